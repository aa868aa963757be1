#include "image/kernel.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/path.h"
#include "base/staging.h"
#include "image/kernel_fields.h"
#include "image/kernel_private.h"

#define KERNELS  "kernels"
#define JSON     "kernel.json"
#define JSON_MAX 65536
/* No file system's blocks are larger. */
#define HOLE_BYTES 65536

/* --- import --------------------------------------------------------------------------------------
 */

struct import {
    const char *modules_dir; /* NULL: a package is read */
    int fd;                  /* of the package or image */
    struct kernel_bytes image;
    struct kernel_modules modules;
    struct strings wanted; /* names of modules whose bytes are kept */
};

static void import_clear(struct import *import)
{
    free(import->image.data);
    kernel_modules_clear(&import->modules);
    strings_clear(&import->wanted);
}

static void take_bytes(struct kernel_bytes *from, struct kernel_bytes *to)
{
    free(to->data);
    to->length = from->length;
    to->data = take_ptr(&from->data);
}

/* First reading: the image, and what each module needs. */
static int look_at_file(const char *path, struct kernel_bytes *bytes, void *context,
                        struct error *err)
{
    struct import *import = context;
    struct kernel_modules *modules = &import->modules;
    struct kernel_module module = { 0 };
    int r;

    if (!text_ends(path, ".ko")) {
        take_bytes(bytes, &import->image);
        return 0;
    }
    r = kernel_module_depends(bytes->data, bytes->length, &module.depends, err);
    if (r < 0) {
        strings_clear(&module.depends);
        return error_prefix(err, r, "module %s", path);
    }
    module.name = kernel_module_name(path);
    modules->items = xrealloc(modules->items, modules->count + 1, sizeof(modules->items[0]));
    modules->items[modules->count++] = module;
    return 0;
}

/* Second reading: the modules that are wanted; all of them would not fit into memory well. */
static int keep_file(const char *path, struct kernel_bytes *bytes, void *context, struct error *err)
{
    struct import *import = context;
    auto_free char *name = kernel_module_name(path);

    (void)err;
    if (!text_ends(path, ".ko") || !strings_contains(&import->wanted, name))
        return 0;
    bytes->length = kernel_module_unsigned_length(bytes->data, bytes->length);
    for (size_t i = 0; i < import->modules.count; i++) {
        if (strcmp(import->modules.items[i].name, name) == 0)
            take_bytes(bytes, &import->modules.items[i].bytes);
    }
    return 0;
}

static int visit_files(struct import *import, const struct strings *wanted, kernel_visitor *visit,
                       struct error *err)
{
    if (import->modules_dir != NULL)
        return kernel_visit_modules(import->modules_dir, wanted, visit, import, err);
    return kernel_visit_package(import->fd, wanted, visit, import, err);
}

static int write_file(int dir_fd, const char *name, const void *bytes, size_t length,
                      struct error *err)
{
    return file_replace(dir_fd, name, bytes, length, 0644, FILE_SYNC_DATA, err);
}

static bool is_zero(const char *block)
{
    static const char zeros[HOLE_BYTES];

    return memcmp(block, zeros, HOLE_BYTES) == 0;
}

/* A kernel has megabytes of zeros, which whoever loads it need not read. Where the file system
 * makes no holes they stay. */
static int write_with_holes(int dir_fd, const char *name, const struct kernel_bytes *bytes,
                            struct error *err)
{
    auto_close int fd = -1;
    int r;

    r = write_file(dir_fd, name, bytes->data, bytes->length, err);
    if (r < 0)
        return r;
    fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open %s", name);
    for (size_t start = 0, end; start < bytes->length; start = end + HOLE_BYTES) {
        for (end = start; end + HOLE_BYTES <= bytes->length && is_zero(bytes->data + end);)
            end += HOLE_BYTES;
        if (end > start)
            (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start,
                            (off_t)(end - start)); /* see above */
    }
    return 0;
}

static int write_image(int dir_fd, const struct kernel_bytes *image, struct error *err)
{
    struct kernel_bytes vmlinux = { 0 }, payload = { 0 };
    size_t offset = 0;
    int r;

    r = kernel_image_payload(image->data, image->length, &offset, &payload.length, err);
    payload.data = image->data + offset;
    if (r == 0)
        r = kernel_unpack(&payload, KERNEL_IMAGE_MAX, &vmlinux, err);
    if (r == 0)
        r = kernel_image_check_elf(vmlinux.data, vmlinux.length, err);
    if (r == 0)
        r = write_with_holes(dir_fd, "vmlinux", &vmlinux, err);
    free(vmlinux.data);
    if (r == 0)
        r = write_file(dir_fd, "bzimage", image->data, image->length, err);
    return r;
}

static int write_modules(int dir_fd, struct import *import, struct error *err)
{
    auto_free char *list = kernel_modules_plan(&import->modules, &import->wanted);
    auto_close int fd = -1;
    int r;

    r = visit_files(import, &import->wanted, keep_file, err);
    if (r < 0)
        return r;
    fd = openat(dir_fd, "modules.cpio", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(err, "create modules.cpio");
    r = kernel_modules_write(&import->modules, list, &import->wanted, fd, err);
    if (r == 0 && fsync(fd) < 0)
        r = error_errno(err, "write modules.cpio");
    return r;
}

static int write_json(int dir_fd, const struct import *import, const char *name,
                      const char *release, const char *source, struct error *err)
{
    auto_free char *created = text_format_time((int64_t)time(NULL), 0);
    struct digest digest;
    auto_free char *json = NULL;

    hash_bytes("sha256", import->image.data, import->image.length, &digest);
    json = encode_text(&kernel_object,
                       &(struct kernel){ .name = (char *)name,
                                         .release = (char *)release,
                                         .source = (char *)source,
                                         .digest = digest.text,
                                         .created = created },
                       ENCODE_INDENTED);
    return write_file(dir_fd, JSON, json, strlen(json), err);
}

/* Makes the folder visible at once. An earlier one of that name changes places with it, and goes
 * with the staging directory. */
static int publish(int data_fd, struct staging *staging, const char *name, struct error *err)
{
    auto_close int kernels_fd = -1;
    int r;

    r = path_make_directories(data_fd, KERNELS, 0755, NULL, err);
    if (r == 0)
        r = path_open_beneath(data_fd, KERNELS, O_RDONLY | O_DIRECTORY, 0, &kernels_fd, err);
    if (r < 0)
        return r;
    if (renameat2(staging->fd, "kernel", kernels_fd, name, RENAME_EXCHANGE) == 0)
        return 0;
    if (errno != ENOENT || renameat(staging->fd, "kernel", kernels_fd, name) < 0)
        return error_errno(err, "make kernel '%s' visible", name);
    return 0;
}

/* "6.12.117+deb12-cloud-amd64": what a name cannot have becomes a dot. */
static char *name_of_release(const char *release)
{
    char *name = xstrdup(release);

    for (char *at = name; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("_.-", *at) == NULL)
            *at = '.';
    }
    return name;
}

static int import_all(int data_fd, struct import *import, const char *name, const char *source,
                      char **ret_name, struct error *err)
{
    AUTO(staging) struct staging *staging = NULL;
    auto_free char *release = NULL;
    auto_free char *folder = NULL;
    auto_close int dir_fd = -1;
    int r;

    r = kernel_image_release(import->image.data, import->image.length, &release, err);
    if (r < 0)
        return r;
    folder = name != NULL ? xstrdup(name) : name_of_release(release);
    name = folder;
    r = text_check_name("kernel", name, err);
    if (r == 0)
        r = staging_create(data_fd, &staging, err);
    if (r == 0)
        r = path_make_directories(staging->fd, "kernel", 0755, NULL, err);
    if (r == 0)
        r = path_open_beneath(staging->fd, "kernel", O_RDONLY | O_DIRECTORY, 0, &dir_fd, err);
    if (r == 0)
        r = write_image(dir_fd, &import->image, err);
    if (r == 0)
        r = write_modules(dir_fd, import, err);
    if (r == 0)
        r = write_json(dir_fd, import, name, release, source, err);
    if (r == 0)
        r = publish(data_fd, staging, name, err);
    if (r == 0)
        *ret_name = xstrdup(name);
    return r;
}

/* Without modules all has to be in the kernel itself, which a file beside them says; else somebody
 * named the wrong directory. */
static int check_built_in(const struct import *import, struct error *err)
{
    auto_free char *list = NULL;

    if (import->modules_dir == NULL)
        return error_set(err, EINVAL, "is a package without modules, /lib/modules/*");
    list = path_join(import->modules_dir, "modules.builtin");
    if (access(list, F_OK) == 0)
        return 0;
    return error_set(err, EINVAL, "no modules of the kernel are in '%s'", import->modules_dir);
}

static int find_modules(struct import *import, const char *release, const char *given,
                        char **ret_directory, struct error *err)
{
    auto_free char *directory =
        given != NULL ? xstrdup(given) : xasprintf("/lib/modules/%s", release);

    if (access(directory, R_OK | X_OK) < 0)
        return error_set(err, errno,
                         "the kernel's modules are not in '%s' (%s): name their directory with "
                         "--modules, or import the kernel's package, which has them",
                         directory, strerror(errno));
    import->modules_dir = *ret_directory = take_ptr(&directory);
    return 0;
}

static int read_image(struct import *import, struct error *err)
{
    if (lseek(import->fd, 0, SEEK_SET) < 0)
        return error_errno(err, "read the kernel");
    return fd_read_all(import->fd, KERNEL_IMAGE_MAX, "the kernel", &import->image.data,
                       &import->image.length, err);
}

static int import_file(int data_fd, struct import *import, const char *name, const char *source,
                       const char *modules_dir, char **ret_name, struct error *err)
{
    static const char package[] = "!<arch>\n";
    auto_free char *release = NULL;
    auto_free char *directory = NULL;
    char magic[sizeof(package) - 1];
    int r;

    if (pread(import->fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic))
        return error_set(err, EINVAL, "is neither a Debian package nor a bzImage");
    if (memcmp(magic, package, sizeof(magic)) != 0) {
        r = read_image(import, err);
        if (r == 0)
            r = kernel_image_release(import->image.data, import->image.length, &release, err);
        if (r == 0)
            r = find_modules(import, release, modules_dir, &directory, err);
        if (r < 0)
            return r;
    }
    r = visit_files(import, NULL, look_at_file, err);
    if (r == 0 && import->image.data == NULL)
        r = error_set(err, EINVAL, "is a package without a kernel, /boot/vmlinuz-*");
    if (r == 0 && import->modules.count == 0)
        r = check_built_in(import, err);
    if (r < 0)
        return r;
    return import_all(data_fd, import, name, source, ret_name, err);
}

int kernel_import(int data_fd, const char *path, const char *name, const char *source,
                  const char *modules_dir, char **ret_name, struct error *err)
{
    AUTO_CLEAR(import) struct import import = { 0 };
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int r;

    assert(ret_name != NULL);

    if (fd < 0)
        return error_errno(err, "open '%s'", path);
    import.fd = fd;
    r = import_file(data_fd, &import, name, source, modules_dir, ret_name, err);
    return r < 0 ? error_prefix(err, r, "'%s'", source) : 0;
}

/* --- what is there -------------------------------------------------------------------------------
 */

void kernels_clear(struct kernels *kernels)
{
    for (size_t i = 0; i < kernels->count; i++)
        object_clear(&kernel_object, &kernels->items[i]);
    free(kernels->items);
    *kernels = (struct kernels){ 0 };
}

static uint64_t size_of(int dir_fd)
{
    static const char *const files[] = { "bzimage", "vmlinux", "modules.cpio", JSON };
    uint64_t bytes = 0;

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct stat status;

        if (fstatat(dir_fd, files[i], &status, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t)status.st_size;
    }
    return bytes;
}

/* One that is being removed or damaged is not there. */
static void add_kernel(int kernels_fd, const char *name, struct kernels *kernels)
{
    struct kernel kernel = { 0 };
    auto_close int dir_fd = -1;
    auto_free char *json = NULL;
    size_t length = 0;

    if (path_open_beneath(kernels_fd, name, O_RDONLY | O_DIRECTORY, 0, &dir_fd, NULL) < 0 ||
        file_read(dir_fd, JSON, JSON_MAX, &json, &length, NULL) < 0 ||
        decode_text(&kernel_object, json, length, &kernel, JSON, NULL) < 0)
        return;
    kernel.bytes = size_of(dir_fd);
    kernels->items = xrealloc(kernels->items, kernels->count + 1, sizeof(kernels->items[0]));
    kernels->items[kernels->count++] = kernel;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct kernel *)a)->name, ((const struct kernel *)b)->name);
}

int kernel_list(int data_fd, struct kernels *ret_kernels, struct error *err)
{
    struct kernels kernels = { 0 };
    const struct dirent *entry;
    DIR *directory;
    int fd = -1, r;

    r = path_open_beneath(data_fd, KERNELS, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r == -ENOENT) {
        *ret_kernels = kernels;
        return 0;
    }
    if (r < 0)
        return r;
    directory = fdopendir(fd);
    if (directory == NULL) {
        (void)close(fd); /* was only read */
        return error_errno(err, "read the kernels");
    }
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.')
            add_kernel(fd, entry->d_name, &kernels);
    }
    (void)closedir(directory); /* was only read */
    if (kernels.count > 1)
        qsort(kernels.items, kernels.count, sizeof(kernels.items[0]), compare);
    *ret_kernels = kernels;
    return 0;
}

int kernel_remove(int data_fd, const char *name, struct error *err)
{
    auto_close int kernels_fd = -1;
    struct stat status;
    int r;

    r = text_check_name("kernel", name, err);
    if (r < 0)
        return r;
    r = path_open_beneath(data_fd, KERNELS, O_RDONLY | O_DIRECTORY, 0, &kernels_fd, err);
    if (r == -ENOENT ||
        (r == 0 && fstatat(kernels_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT))
        return error_set(err, ENOENT,
                         "there is no kernel '%s': `berth vm kernel ls` lists those that are",
                         name);
    if (r < 0)
        return r;
    return staging_discard(data_fd, kernels_fd, name, err);
}
