#include "image/kernel_private.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define BLOCK_BYTES 65536

static void archive_close(struct archive **archive)
{
    if (*archive != NULL)
        (void)archive_read_free(*archive); /* was only read */
}

static int archive_failed(struct archive *archive, const char *what, struct error *err)
{
    const char *reason = archive_error_string(archive);

    return error_set(err, EINVAL, "read %s: %s", what, reason != NULL ? reason : "unknown reason");
}

/* Those of kernels, modules and packages. "All" of libarchive's would also start programs. */
static bool support_filters(struct archive *archive)
{
    return archive_read_support_filter_gzip(archive) == ARCHIVE_OK &&
           archive_read_support_filter_bzip2(archive) == ARCHIVE_OK &&
           archive_read_support_filter_lzma(archive) == ARCHIVE_OK &&
           archive_read_support_filter_xz(archive) == ARCHIVE_OK &&
           archive_read_support_filter_lz4(archive) == ARCHIVE_OK &&
           archive_read_support_filter_zstd(archive) == ARCHIVE_OK;
}

/* The data of the entry at hand. */
static int read_entry(struct archive *archive, const char *what, size_t max,
                      struct kernel_bytes *ret_bytes, struct error *err)
{
    struct text text = { 0 };
    auto_free char *block = xcalloc(1, BLOCK_BYTES);
    la_ssize_t length;

    while ((length = archive_read_data(archive, block, BLOCK_BYTES)) > 0) {
        if ((size_t)length > max - text.length) {
            text_clear(&text);
            return error_set(err, EFBIG, "%s has more than %zu bytes", what, max);
        }
        text_add_bytes(&text, block, (size_t)length);
    }
    if (length < 0) {
        text_clear(&text);
        return archive_failed(archive, what, err);
    }
    ret_bytes->length = text.length;
    ret_bytes->data = text_take(&text);
    return 0;
}

int kernel_unpack(const void *bytes, size_t length, size_t max, struct kernel_bytes *ret_bytes,
                  struct error *err)
{
    __attribute__((cleanup(archive_close))) struct archive *archive = archive_read_new();
    struct archive_entry *entry;

    if (archive == NULL)
        return error_set(err, ENOMEM, "unpack: no memory");
    if (archive_read_support_format_raw(archive) != ARCHIVE_OK || !support_filters(archive) ||
        archive_read_open_memory(archive, bytes, length) != ARCHIVE_OK ||
        archive_read_next_header(archive, &entry) != ARCHIVE_OK)
        return archive_failed(archive, "compressed bytes", err);
    return read_entry(archive, "compressed bytes", max, ret_bytes, err);
}

static void kernel_bytes_clear(struct kernel_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct kernel_bytes){ 0 };
}

static bool is_module(const char *path)
{
    return text_ends(path, ".ko") || text_ends(path, ".ko.xz") || text_ends(path, ".ko.zst");
}

static int visit_bytes(const char *path, struct kernel_bytes *bytes, kernel_visitor *visit,
                       void *context, struct error *err)
{
    AUTO_CLEAR(kernel_bytes) struct kernel_bytes unpacked = { 0 };
    const char *dot = strstr(path, ".ko.");
    auto_free char *name = dot != NULL ? xstrndup(path, (size_t)(dot - path) + 3) : xstrdup(path);
    int r;

    if (dot == NULL)
        return visit(name, bytes, context, err);
    r = kernel_unpack(bytes->data, bytes->length, KERNEL_MODULE_MAX, &unpacked, err);
    if (r < 0)
        return error_prefix(err, r, "module %s", path);
    return visit(name, &unpacked, context, err);
}

/* --- a package -----------------------------------------------------------------------------------
 */

/* data.tar of a package (deb(5)), read through the archive in which it lies. */
struct inner {
    struct archive *package;
    char block[BLOCK_BYTES];
};

static la_ssize_t read_inner(struct archive *archive, void *context, const void **ret_block)
{
    struct inner *inner = context;
    la_ssize_t length = archive_read_data(inner->package, inner->block, sizeof(inner->block));

    *ret_block = inner->block;
    if (length < 0)
        archive_set_error(archive, EIO, "%s", archive_error_string(inner->package));
    return length;
}

static int visit_tar(struct archive *tar, kernel_visitor *visit, void *context, struct error *err)
{
    struct archive_entry *entry;
    int r;

    while ((r = archive_read_next_header(tar, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
        AUTO_CLEAR(kernel_bytes) struct kernel_bytes bytes = { 0 };
        const char *path = archive_entry_pathname(entry);

        if (path == NULL || archive_entry_filetype(entry) != AE_IFREG)
            continue;
        path += text_starts(path, "./") ? 2 : 0;
        if (!text_starts(path, "boot/vmlinuz-") && !is_module(path))
            continue;
        r = read_entry(tar, path, KERNEL_IMAGE_MAX, &bytes, err);
        if (r == 0)
            r = visit_bytes(path, &bytes, visit, context, err);
        if (r < 0)
            return r;
    }
    return r == ARCHIVE_EOF ? 0 : archive_failed(tar, "the package", err);
}

static int visit_data(struct archive *package, kernel_visitor *visit, void *context,
                      struct error *err)
{
    __attribute__((cleanup(archive_close))) struct archive *tar = archive_read_new();
    auto_free struct inner *inner = xcalloc(1, sizeof(*inner));

    inner->package = package;
    if (tar == NULL)
        return error_set(err, ENOMEM, "read the package: no memory");
    if (archive_read_support_format_tar(tar) != ARCHIVE_OK || !support_filters(tar) ||
        archive_read_open(tar, inner, NULL, read_inner, NULL) != ARCHIVE_OK)
        return archive_failed(tar, "the package", err);
    return visit_tar(tar, visit, context, err);
}

int kernel_visit_package(int fd, kernel_visitor *visit, void *context, struct error *err)
{
    __attribute__((cleanup(archive_close))) struct archive *package = archive_read_new();
    struct archive_entry *entry;

    if (package == NULL)
        return error_set(err, ENOMEM, "read the package: no memory");
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_errno(err, "read the package");
    if (archive_read_support_format_ar(package) != ARCHIVE_OK ||
        archive_read_open_fd(package, fd, BLOCK_BYTES) != ARCHIVE_OK)
        return archive_failed(package, "the package", err);
    while (archive_read_next_header(package, &entry) == ARCHIVE_OK) {
        const char *name = archive_entry_pathname(entry);

        if (name != NULL && text_starts(name, "data.tar"))
            return visit_data(package, visit, context, err);
    }
    return error_set(err, EINVAL, "is no Debian package: it has no data.tar");
}

/* --- folders -------------------------------------------------------------------------------------
 */

static int visit_file(const char *path, kernel_visitor *visit, void *context, struct error *err)
{
    AUTO_CLEAR(kernel_bytes) struct kernel_bytes bytes = { 0 };
    int r = file_read(AT_FDCWD, path, KERNEL_MODULE_MAX, &bytes.data, &bytes.length, err);

    if (r < 0)
        return r;
    return visit_bytes(path, &bytes, visit, context, err);
}

int kernel_visit_modules(const char *directory, kernel_visitor *visit, void *context,
                         struct error *err)
{
    char *const paths[] = { (char *)directory, NULL };
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    const FTSENT *entry;
    int r = 0;

    if (tree == NULL)
        return error_errno(err, "read '%s'", directory);
    while (r == 0 && (entry = fts_read(tree)) != NULL) {
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            r = error_set(err, entry->fts_errno, "read '%s': %s", entry->fts_path,
                          strerror(entry->fts_errno));
        else if (entry->fts_info == FTS_F && is_module(entry->fts_path))
            r = visit_file(entry->fts_path, visit, context, err);
    }
    (void)fts_close(tree); /* was only read */
    return r;
}
