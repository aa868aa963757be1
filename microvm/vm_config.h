#ifndef MICROVM_VM_CONFIG_H
#define MICROVM_VM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

/* /vm/config.json in a VM's jail: what berth-vmm is to run. Root writes it beside the container's
 * state, nothing of it comes from an image. Paths are those of the jail. It is two lines, each a
 * JSON document: the machine, and the guest's spec, which berth-vmm passes on unread. */

#define VM_DISK_PATH  "/vm/disk.img"
#define VM_WARM_PATH  "/vm/warm"
#define VM_SAVED_PATH "/vm/saved"
#define VM_CONFIG_MAX (16 << 20) /* bytes of the file */

/* A directory that the guest sees, served by a berth-fs of its own. */
struct vm_share {
    char *tag;  /* names it in the guest: its directory is /shares/TAG there */
    char *path; /* "/share/0" */
    bool is_read_only;
};
struct vm_shares {
    struct vm_share *items;
    size_t count;
};

struct vm_root {
    char *type;  /* "erofs": an image and a layer above it; "share": a directory as it is */
    char *path;  /* of the image */
    char *share; /* tag of the share */
    char *upper; /* of an image: "tmpfs" (also when NULL), "disk" */
    char *disk;  /* image of an ext4 file system, for "disk" */
    uint64_t upper_bytes; /* of a tmpfs; 0: half of the guest's memory */
};

/* A small file that is written in the guest, for its spec to bind. */
struct vm_file {
    char *path; /* absolute, below /files */
    char *content;
    uint32_t mode;
};
struct vm_files {
    struct vm_file *items;
    size_t count;
};

struct vm_config {
    uint64_t memory_bytes;
    uint32_t cpus;
    char *backend; /* "kvm", "qemu" */
    char *kernel;  /* vmlinux or bzImage */
    char *modules; /* cpio archive: /modules.list and the files that it names */
    char *agent;
    char *fs_program; /* berth-fs; needed with shares */
    char *cmdline;    /* added to the kernel's command line; NULL: nothing */
    struct vm_root root;
    struct vm_shares shares;
    char *console; /* "none" (also when NULL); "log": the kernel's messages go to standard error */
    uint64_t tsc_khz;  /* of this machine's time stamp counter, for an emulator; 0: is measured */
    bool has_terminal; /* the guest spec's process.terminal; standard input is a terminal too */
    bool is_warm;     /* starts from a machine that was saved in VM_WARM_PATH, or saves one there */
    bool is_restored; /* goes on as the one that was saved in VM_SAVED_PATH (saved_session.h) */
    char *guest;      /* the second line: the spec that the agent applies */
    struct vm_files files;
};

/** Decodes the file; what berth-vmm would stumble over is refused by name. The spec is not looked
 * at. */
int vm_config_decode(const char *text, size_t length, struct vm_config **ret_config,
                     struct error *err);
char *vm_config_encode(const struct vm_config *config); /* all members set; caller frees */
void vm_config_free(struct vm_config *config);
DEFINE_AUTO(vm_config)

#endif
