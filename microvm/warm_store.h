#ifndef MICROVM_WARM_STORE_H
#define MICROVM_WARM_STORE_H

#include "base/error.h"
#include "base/text.h"
#include "microvm/vm_config.h"

/* Machines that were saved with their agent up and nothing of a container in them, to start others
 * from (`--warm`): DATA/warm/<hash>/, one for each kind of machine. What is in it is berth-vmm's
 * (warm_snapshot.h); here it is found, made and bounded. */

#define WARM_STORE_FOLDER "warm"
#define WARM_STORE_MAX    8 /* those that were used last stay */

/* What a saved machine is only good for. Borrowed. */
struct warm_subject {
    const struct vm_config *config;
    const char *boot_id;     /* a snapshot is believed until the next boot of this machine */
    const char *processor;   /* of KVM: what the guest sees of it; NULL: emulated */
    struct strings identity; /* of each file that made it: "NAME DEVICE INODE SIZE TIME" */
};

/** The text that two machines have in common if one can be started from the other; pure. Caller
 * frees. */
char *warm_key(const struct warm_subject *subject);

/** Adds what tells a file from any other, or from what it was before. */
int warm_identify(const char *name, const char *path, struct strings *identity, struct error *err);

/** DATA/warm/<hash> for a key. Caller frees. */
char *warm_store_path(const char *data_path, const char *key);

/**
 * Makes the directory for a key if it is missing, and removes those that were not used for longest.
 *
 * -EEXIST: another key has the place.
 */
int warm_store_make(const char *data_path, const char *key, struct error *err);

#endif
