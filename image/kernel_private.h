#ifndef IMAGE_KERNEL_PRIVATE_H
#define IMAGE_KERNEL_PRIVATE_H

#include <stdbool.h>
#include <stdlib.h>

#include "base/text.h"
#include "image/kernel.h"

/* What the files of the kernel import share. */

#define KERNEL_IMAGE_MAX  (256u << 20) /* bytes of a bzImage, and of what is in it */
#define KERNEL_MODULE_MAX (64u << 20)
/* Bytes of all files of a package, unpacked; a distribution's kernel has some 500 MiB. */
#define KERNEL_FILES_MAX (8ull << 30)

/* Of a package or folder; a distribution's kernel with all its drivers has some 7000. */
#define KERNEL_MODULES_MAX 16384
/* Bytes of the names that one module needs. */
#define KERNEL_DEPENDS_MAX 4096

struct kernel_bytes {
    char *data;
    size_t length;
};

static inline void kernel_bytes_clear(struct kernel_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct kernel_bytes){ 0 };
}

/* --- kernel_name.c: names of files, for berth-archive, which tells of them, and for us */

/** "a/b.ko" for "a/b.ko.xz", "a/b.ko.zst" and itself, "boot/vmlinuz-6.1" for itself; NULL: no file
 * of a kernel that is wanted. Caller frees. */
char *kernel_file_name(const char *path);
/** Whether it is a name that kernel_file_name() gives. */
bool kernel_file_matters(const char *name);
/** How many bytes a file of this name may have at most. */
size_t kernel_file_max(const char *name);
/** "virtio_rng" from "a/b/virtio-rng.ko". Caller frees. */
char *kernel_module_name(const char *path);

/* --- kernel_files.c: files of a package, or of folders, by way of berth-archive */

/** Called with each file whose path is wanted; may take the bytes. A negative result ends it. */
typedef int kernel_visitor(const char *path, struct kernel_bytes *bytes, void *context,
                           struct error *err);
/**
 * Visits /boot/vmlinuz-* and *.ko, *.ko.xz, *.ko.zst (unpacked, without that suffix) of a package.
 *
 * @wanted  names of the modules that are to be read, and nothing else; NULL, or none: everything
 *
 * -EFBIG: more, or larger, than a kernel's. -EBADMSG: berth-archive is not what it should be.
 */
int kernel_visit_package(int fd, const struct strings *wanted, kernel_visitor *visit, void *context,
                         struct error *err);
/** The same for modules below a folder. */
int kernel_visit_modules(const char *directory, const struct strings *wanted, kernel_visitor *visit,
                         void *context, struct error *err);
/** Unpacks a stream of a compression that kernels use. */
int kernel_unpack(const struct kernel_bytes *packed, size_t max, struct kernel_bytes *ret_bytes,
                  struct error *err);

/* --- kernel_image.c: pure */

/** Where the compressed vmlinux is in a bzImage (kernel, arch/x86/boot.rst), without the four bytes
 * behind it that tell its size. */
int kernel_image_payload(const void *bytes, size_t length, size_t *ret_offset, size_t *ret_length,
                         struct error *err);
/** "6.1.0-56-cloud-amd64"; it becomes a part of a path. */
int kernel_image_release(const void *bytes, size_t length, char **ret_release, struct error *err);
/** Whether it is an ELF executable of x86-64. */
int kernel_image_check_elf(const void *bytes, size_t length, struct error *err);

/* --- kernel_modules.c */

struct kernel_module {
    char *name; /* with '_' for '-' */
    struct strings depends;
    struct kernel_bytes bytes; /* of those that are wanted */
};
struct kernel_modules {
    struct kernel_module *items;
    size_t count;
};
void kernel_modules_clear(struct kernel_modules *modules);
/** Reads the names of those that it needs from a module's section .modinfo. */
int kernel_module_depends(const void *bytes, size_t length, struct strings *ret_names,
                          struct error *err);
/** Length without an appended signature. */
size_t kernel_module_unsigned_length(const void *bytes, size_t length);
/** The text of modules.list, and the names of all that it mentions; pure. Modules that are not
 * there are built in, or not part of this kernel. */
char *kernel_modules_plan(const struct kernel_modules *modules, struct strings *ret_names);
/** modules.cpio: the list, and the modules of these names. */
int kernel_modules_write(const struct kernel_modules *modules, const char *list,
                         const struct strings *names, int fd, struct error *err);

#endif
