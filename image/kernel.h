#ifndef IMAGE_KERNEL_H
#define IMAGE_KERNEL_H

#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/text.h"

/* Kernels for microVMs: DATA/kernels/<name>/ with
 *
 *   bzimage       as the distribution has it
 *   vmlinux       the same, unpacked once: a guest need not
 *   modules.cpio  modules.list and the modules of a guest's devices and file systems, without their
 *                 signatures, whose check would cost more than their loading
 *   kernel.json   written last: without it there is no kernel
 *
 * modules.list has a line for each feature, "root: erofs.ko overlay.ko", in the order of loading.
 */

struct kernel {
    char *name, *release;
    char *source;   /* the file, or the package */
    char *digest;   /* of bzimage */
    char *created;  /* RFC 3339 */
    uint64_t bytes; /* of all files; not kept in kernel.json */
};
struct kernels {
    struct kernel *items;
    size_t count;
};
void kernels_clear(struct kernels *kernels);

/**
 * Imports a kernel: a Debian package (.deb), or a bzImage.
 *
 * @name         NULL: the kernel's release; a kernel of this name is replaced
 * @source       what kernel.json says it came from
 * @modules_dir  for a bzImage: where its modules are; NULL: /lib/modules/<release>
 * @ret_name     the caller frees it
 *
 * -EINVAL: the file is neither, or has no kernel of x86-64.
 */
int kernel_import(int data_fd, const char *path, const char *name, const char *source,
                  const char *modules_dir, char **ret_name, struct error *err);
/** All, sorted by name. */
int kernel_list(int data_fd, struct kernels *ret_kernels, struct error *err);
/** -ENOENT: "there is no kernel 'x': ...". Running VMs keep theirs. */
int kernel_remove(int data_fd, const char *name, struct error *err);

#endif
