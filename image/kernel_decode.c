#include "image/kernel_decode.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/archive_decode.h"
#include "image/archive_name.h"

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

/* --- streams ---------------------------------------------------------------------------------- */

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

int kernel_decode_stream(const void *bytes, size_t length, size_t max,
                         struct kernel_bytes *ret_bytes, struct error *err)
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

/* Unpacks the bytes, and sends what was in them. */
static int send_unpacked(struct archive_sender *sender, const char *name,
                         const struct kernel_bytes *packed, size_t max, struct error *err)
{
    AUTO_CLEAR(kernel_bytes) struct kernel_bytes bytes = { 0 };
    int r;

    r = kernel_decode_stream(packed->data, packed->length, max, &bytes, err);
    if (r == 0)
        r = archive_send_file(sender, name, bytes.length, err);
    return r == 0 ? archive_send_data(sender, bytes.data, bytes.length, err) : r;
}

/* Returns 1; or 0 when there is nothing more. */
static int read_whole(int fd, void *ret_bytes, size_t length, struct error *err)
{
    size_t done = 0;

    while (done < length) {
        ssize_t n = read(fd, (char *)ret_bytes + done, length - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "read compressed bytes");
        if (n == 0)
            return done == 0 ? 0 : error_set(err, EINVAL, "read compressed bytes: they end early");
        done += (size_t)n;
    }
    return 1;
}

int kernel_decode_streams(struct archive_input *input, struct archive_sender *sender,
                          struct error *err)
{
    struct kernel_request request;
    int r;

    while ((r = read_whole(input->fd, &request, sizeof(request), err)) > 0) {
        AUTO_CLEAR(kernel_bytes) struct kernel_bytes packed = { .length = request.length };

        if (request.length > KERNEL_IMAGE_MAX)
            return error_set(err, EFBIG, "read compressed bytes: too many");
        packed.data = xrealloc(NULL, 1, packed.length + 1);
        r = read_whole(input->fd, packed.data, packed.length, err);
        if (r >= 0)
            r = send_unpacked(sender, KERNEL_STREAM, &packed, request.max, err);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : archive_send_end(sender, err);
}

/* --- a package -------------------------------------------------------------------------------- */

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

static int send_packed_module(struct archive *tar, const char *path, const char *name,
                              struct archive_sender *sender, struct error *err)
{
    AUTO_CLEAR(kernel_bytes) struct kernel_bytes packed = { 0 };
    int r;

    r = read_entry(tar, path, KERNEL_MODULE_MAX, &packed, err);
    if (r < 0)
        return r;
    r = send_unpacked(sender, name, &packed, KERNEL_MODULE_MAX, err);
    return r < 0 ? error_prefix(err, r, "module %s", path) : 0;
}

static bool is_wanted(char *const *wanted, const char *path)
{
    auto_free char *name = kernel_module_name(path);
    size_t i;

    for (i = 0; wanted[i] != NULL; i++) {
        if (strcmp(wanted[i], name) == 0)
            return true;
    }
    return i == 0;
}

static int send_entry(struct archive *tar, struct archive_entry *entry, char *const *wanted,
                      struct archive_sender *sender, struct error *err)
{
    const char *raw_path = archive_entry_pathname(entry);
    auto_free char *path = NULL;
    auto_free char *name = NULL;

    if (raw_path == NULL || archive_entry_filetype(entry) != AE_IFREG)
        return 0;
    path = archive_name_clean("", 0, raw_path);
    name = kernel_file_name(path);
    if (name == NULL || !is_wanted(wanted, name))
        return 0;
    if (strlen(name) > ARCHIVE_NAME_MAX)
        return error_set(err, EINVAL, "the package has a name of more than %u bytes",
                         ARCHIVE_NAME_MAX);
    if (strcmp(name, path) != 0)
        return send_packed_module(tar, path, name, sender, err);
    return archive_decode_file(tar, entry, name, sender, err);
}

static int send_entries(struct archive *tar, char *const *wanted, struct archive_sender *sender,
                        struct error *err)
{
    struct archive_entry *entry;
    int r;

    while ((r = archive_read_next_header(tar, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
        r = send_entry(tar, entry, wanted, sender, err);
        if (r < 0)
            return r;
    }
    return r == ARCHIVE_EOF ? archive_send_end(sender, err)
                            : archive_failed(tar, "the package", err);
}

static int send_data_tar(struct archive *package, char *const *wanted,
                         struct archive_sender *sender, struct error *err)
{
    __attribute__((cleanup(archive_close))) struct archive *tar = archive_read_new();
    auto_free struct inner *inner = xcalloc(1, sizeof(*inner));

    inner->package = package;
    if (tar == NULL)
        return error_set(err, ENOMEM, "read the package: no memory");
    if (archive_read_support_format_tar(tar) != ARCHIVE_OK || !support_filters(tar) ||
        archive_read_open(tar, inner, NULL, read_inner, NULL) != ARCHIVE_OK)
        return archive_failed(tar, "the package", err);
    return send_entries(tar, wanted, sender, err);
}

int kernel_decode_package(struct archive_input *input, struct archive_sender *sender,
                          struct error *err)
{
    __attribute__((cleanup(archive_close))) struct archive *package = archive_read_new();
    struct archive_entry *entry;

    assert(input != NULL);
    assert(sender != NULL);

    if (package == NULL)
        return error_set(err, ENOMEM, "read the package: no memory");
    if (archive_read_support_format_ar(package) != ARCHIVE_OK ||
        archive_input_connect(input, sender, package) != ARCHIVE_OK)
        return archive_failed(package, "the package", err);
    while (archive_read_next_header(package, &entry) == ARCHIVE_OK) {
        const char *name = archive_entry_pathname(entry);

        if (name != NULL && text_starts(name, "data.tar"))
            return send_data_tar(package, input->wanted, sender, err);
    }
    return error_set(err, EINVAL, "is no Debian package: it has no data.tar");
}
