#ifndef MICROVM_MICROVM_H
#define MICROVM_MICROVM_H

#include "base/error.h"
#include "base/text.h"
#include "runtime/isolation.h"

/* The isolation "microvm": a container's process is berth-vmm, which runs the program under a
 * kernel of its own. */

#define MICROVM_NAME "microvm"

/** The isolation, for runtime_set_isolation().
 * @data_path  where kernels are: DATA; borrowed */
struct isolation microvm_isolation(const char *data_path);

/* What runs guests on this machine. */
struct microvm_backend {
    const char *name; /* "kvm", "qemu"; NULL: nothing can */
    char *reason;     /* why not KVM; NULL: it is used */
    char *emulator;   /* path of QEMU; NULL: not installed */
};
/**
 * Finds out whether KVM runs guests here; asked once after each boot, the answer is kept in
 * RUN/.vm-probe.
 */
int microvm_find_backend(const char *run_path, struct microvm_backend *ret_backend,
                         struct error *err);
void microvm_backend_clear(struct microvm_backend *backend);

/**
 * Finds an imported kernel.
 *
 * @name  NULL: the newest
 *
 * @ret_path  DATA/kernels/<name>; caller frees
 *
 * -ENOENT: there is none; the sentence says how to get one.
 */
int microvm_find_kernel(const char *data_path, const char *name, char **ret_path,
                        struct error *err);
/** Names of imported kernels, the newest first. */
void microvm_list_kernels(const char *data_path, struct strings *ret_names);

#endif
