#include "unionfs/unionfs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/fd.h"
#include "base/hash.h"
#include "unionfs/inflate.h"
#include "unionfs/layer_entries.h"

/* libarchive parses tar here and nothing else: it gets uncompressed bytes, knows no other format,
 * and never touches a file. What an entry does is in layer_entries.c, how it is done in tree.c. */

#define ID_MAX 4294967294ull /* (uid_t)-1 means "do not change" to chown(2) */

struct unpack {
    struct inflate *inflate;
    struct layer_entries entries;
    uint64_t stream_bytes;    /* given to libarchive */
    int64_t content_missing;  /* bytes of the current file that have not come yet */
    struct error input_error; /* of the read callback, which cannot return it */
};

#define TAR_BLOCK 512

static void archive_cleanup(struct archive **archive)
{
    if (*archive != NULL)
        (void)archive_read_free(*archive); /* nothing that was written depends on it */
}

/* Some tools leave out the last file's padding (umoci insert 0.4.7). It is made up, but only the
 * padding: a file whose content ends early stays an error. */
static size_t missing_padding(const struct unpack *unpack)
{
    uint64_t over = unpack->stream_bytes % TAR_BLOCK;

    return over == 0 || unpack->content_missing > 0 ? 0 : (size_t)(TAR_BLOCK - over);
}

static la_ssize_t read_callback(struct archive *archive, void *context, const void **ret_bytes)
{
    static const char zeros[TAR_BLOCK];
    struct unpack *unpack = context;
    ssize_t length = inflate_read(unpack->inflate, ret_bytes, &unpack->input_error);

    if (length < 0) {
        archive_set_error(archive, (int)-length, "%s", unpack->input_error.message);
        return -1;
    }
    if (length == 0) {
        length = (ssize_t)missing_padding(unpack);
        *ret_bytes = zeros;
    }
    unpack->stream_bytes += (uint64_t)length;
    return length;
}

/* libarchive failed: because of its input, or of what it found in it. */
static int archive_failure(struct unpack *unpack, struct archive *archive, struct error *err)
{
    const char *message = archive_error_string(archive);

    if (unpack->input_error.code != 0)
        return error_set(err, unpack->input_error.code, "%s", unpack->input_error.message);
    return error_set(err, EBADMSG, "not a good tar archive: %s",
                     message == NULL ? "no reason given" : message);
}

static int archive_start(struct unpack *unpack, struct archive **ret_archive, struct error *err)
{
    struct archive *archive = archive_read_new();

    if (archive == NULL)
        return error_set(err, ENOMEM, "no memory for libarchive");
    *ret_archive = archive;
    if (archive_read_support_format_tar(archive) != ARCHIVE_OK ||
        archive_read_support_format_empty(archive) != ARCHIVE_OK ||
        archive_read_set_callback_data(archive, unpack) != ARCHIVE_OK ||
        archive_read_set_read_callback(archive, read_callback) != ARCHIVE_OK ||
        archive_read_open1(archive) != ARCHIVE_OK)
        return archive_failure(unpack, archive, err);
    return 0;
}

/* --- metadata --------------------------------------------------------------------------------- */

static struct timespec entry_time(bool is_set, time_t seconds, long nanoseconds)
{
    struct timespec time = { 0 };

    if (!is_set)
        return time;
    time.tv_sec = seconds;
    if (nanoseconds >= 0 && nanoseconds < 1000000000)
        time.tv_nsec = nanoseconds;
    return time;
}

static int collect_attributes(struct archive_entry *entry, struct tree_attribute *attributes,
                              size_t *ret_count, struct error *err)
{
    const char *name;
    const void *value;
    size_t size, count = 0;

    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
        if (name == NULL || !unpack_keeps_attribute(name))
            continue;
        if (size > UNPACK_ATTRIBUTE_MAX)
            return error_set(err, E2BIG, "has an attribute '%s' of more than %u bytes", name,
                             UNPACK_ATTRIBUTE_MAX);
        if (count == LAYER_ATTRIBUTES_MAX)
            return error_set(err, E2BIG, "has more than %d attributes", LAYER_ATTRIBUTES_MAX);
        attributes[count++] = (struct tree_attribute){ name, value, size };
    }
    *ret_count = count;
    return 0;
}

static int id_check(const char *what, int64_t id, struct error *err)
{
    if (id < 0 || (uint64_t)id > ID_MAX)
        return error_set(err, EINVAL, "has the %s %lld, which is out of range", what,
                         (long long)id);
    return 0;
}

/* @attributes has room for LAYER_ATTRIBUTES_MAX. */
static int entry_metadata(struct archive_entry *entry, struct tree_attribute *attributes,
                          struct tree_metadata *ret_metadata, struct error *err)
{
    struct tree_metadata metadata = { .attributes = attributes };
    int r;

    r = id_check("user id", archive_entry_uid(entry), err);
    if (r < 0)
        return r;
    r = id_check("group id", archive_entry_gid(entry), err);
    if (r < 0)
        return r;
    metadata.mode = archive_entry_mode(entry) & 07777;
    metadata.uid = (uid_t)archive_entry_uid(entry);
    metadata.gid = (gid_t)archive_entry_gid(entry);
    metadata.times[1] = entry_time(archive_entry_mtime_is_set(entry), archive_entry_mtime(entry),
                                   archive_entry_mtime_nsec(entry));
    metadata.times[0] = metadata.times[1];
    if (archive_entry_atime_is_set(entry))
        metadata.times[0] =
            entry_time(true, archive_entry_atime(entry), archive_entry_atime_nsec(entry));
    if (archive_entry_xattr_reset(entry) > 0) {
        r = collect_attributes(entry, attributes, &metadata.attribute_count, err);
        if (r < 0)
            return r;
    }
    *ret_metadata = metadata;
    return 0;
}

/* --- kinds of entries ------------------------------------------------------------------------- */

/* Copies the content. Sparse files (GNU, PAX) arrive as parts with offsets. */
static int copy_content(struct unpack *unpack, struct archive *archive, int fd, struct error *err)
{
    const void *bytes;
    size_t length;
    la_int64_t offset, at = 0;
    int r;

    while ((r = archive_read_data_block(archive, &bytes, &length, &offset)) == ARCHIVE_OK) {
        if (offset != at && lseek(fd, offset, SEEK_SET) < 0)
            return error_errno(err, "seek");
        r = fd_write_all(fd, bytes, length, "the file", err);
        if (r < 0)
            return r;
        at = offset + (la_int64_t)length;
        unpack->content_missing -= (int64_t)length;
    }
    if (r != ARCHIVE_EOF)
        return archive_failure(unpack, archive, err);
    return 0;
}

static int add_file(struct unpack *unpack, struct archive *archive, struct archive_entry *entry,
                    const struct layer_path *path, const struct tree_metadata *metadata,
                    struct error *err)
{
    int64_t size = archive_entry_size(entry);
    bool is_sparse = archive_entry_sparse_count(entry) > 0;
    auto_close int fd = -1;
    int r;

    if (is_sparse && archive_entry_sparse_count(entry) > (int)UNPACK_SPARSE_PARTS_MAX)
        return error_set(err, EFBIG, "is a sparse file of more than %u parts",
                         UNPACK_SPARSE_PARTS_MAX);
    r = layer_entries_add_file(&unpack->entries, path, size, metadata, &fd, err);
    if (r < 0)
        return r;
    if (size > 0) {
        /* Of a sparse file less comes than its size: no padding is made up for it. */
        unpack->content_missing = size;
        r = copy_content(unpack, archive, fd, err);
        if (r < 0)
            return r;
    }
    unpack->content_missing = 0;
    if (is_sparse && ftruncate(fd, size) < 0)
        return error_errno(err, "set the size");
    return tree_finish_file(fd, metadata, err);
}

static int add_entry(struct unpack *unpack, struct archive *archive, struct archive_entry *entry,
                     const struct layer_path *path, struct error *err)
{
    struct tree_attribute attributes[LAYER_ATTRIBUTES_MAX];
    struct layer_entries *entries = &unpack->entries;
    struct tree_metadata metadata;
    const char *link = archive_entry_hardlink(entry);
    mode_t type = archive_entry_filetype(entry);
    int r;

    r = layer_entries_hide(entries, path, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (link != NULL)
        return layer_entries_add_link(entries, path, link, err);
    r = entry_metadata(entry, attributes, &metadata, err);
    if (r < 0)
        return r;
    switch (type) {
    case AE_IFREG:
        return add_file(unpack, archive, entry, path, &metadata, err);
    case AE_IFDIR:
        return tree_add_directory(entries->tree, path, &metadata, err);
    case AE_IFLNK:
        return layer_entries_add_symlink(entries, path, archive_entry_symlink(entry), &metadata,
                                         err);
    case AE_IFIFO:
    case AE_IFCHR:
    case AE_IFBLK:
        return layer_entries_add_node(entries, path, type, archive_entry_rdevmajor(entry),
                                      archive_entry_rdevminor(entry), &metadata, err);
    default:
        return error_set(err, EINVAL, "has the unknown type %o", (unsigned)type);
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static int unpack_entries(struct unpack *unpack, struct archive *archive, struct error *err)
{
    auto_free struct layer_path *path = xcalloc(1, sizeof(*path));
    struct archive_entry *entry;

    for (;;) {
        const char *name;
        int r = archive_read_next_header(archive, &entry);

        if (r == ARCHIVE_EOF)
            return 0;
        /* A warning (a name that is no UTF-8, an unknown PAX key) comes with a whole entry. */
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
            return archive_failure(unpack, archive, err);
        name = archive_entry_pathname(entry);
        if (name == NULL)
            return error_set(err, EBADMSG, "a layer entry without a usable name");
        r = layer_entries_begin(&unpack->entries, name, path, err);
        if (r == 0)
            r = add_entry(unpack, archive, entry, path, err);
        if (r < 0)
            return layer_entries_blame(name, r, err);
    }
}

static int unpack_all(struct unpack *unpack, struct error *err)
{
    __attribute__((cleanup(archive_cleanup))) struct archive *archive = NULL;
    int r;

    r = archive_start(unpack, &archive, err);
    if (r < 0)
        return r;
    r = unpack_entries(unpack, archive, err);
    if (r < 0)
        return r;
    /* The digest covers what is behind the end of the archive too. */
    return inflate_drain(unpack->inflate, err);
}

int unpack_layer(const struct blob_input *input, int root_fd, const char *algorithm, bool is_bottom,
                 struct unpack_result *ret_result, struct error *err)
{
    const struct inflate_limits limits = {
        .bytes_max = UNPACK_BYTES_MAX,
        .ratio_max = UNPACK_RATIO_MAX,
        .ratio_from_bytes = UNPACK_RATIO_FROM_BYTES,
    };
    AUTO(hash) struct hash *hash = hash_open(algorithm);
    AUTO(inflate) struct inflate *inflate = NULL;
    struct unpack unpack = { 0 };
    int r;

    assert(ret_result != NULL);

    r = inflate_open(input, &limits, hash, &inflate, err);
    if (r < 0)
        return r;
    unpack.inflate = inflate;
    layer_entries_open(root_fd, is_bottom, &unpack.entries);
    r = unpack_all(&unpack, err);
    if (r == 0)
        r = layer_entries_finish(&unpack.entries, ret_result, err);
    layer_entries_clear(&unpack.entries);
    if (r == 0)
        hash_finish(hash, &ret_result->diff_id);
    return r;
}
