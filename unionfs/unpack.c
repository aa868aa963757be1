#include "unionfs/unionfs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/fd.h"
#include "base/hash.h"
#include "unionfs/inflate.h"
#include "unionfs/layer_path.h"
#include "unionfs/tree.h"
#include "unionfs/whiteout.h"

/* libarchive parses tar here and nothing else: it gets uncompressed bytes, knows no other format,
 * and never touches a file. What an entry may do is decided here, how it is done in tree.c. */

#define ID_MAX         4294967294ull /* (uid_t)-1 means "do not change" to chown(2) */
#define MAJOR_MAX      4095u
#define MINOR_MAX      1048575u
#define ATTRIBUTES_MAX 256

/* Of a name in an error, so that the reason fits behind it. */
#define NAME_SHOWN_MAX 200

struct unpack {
    struct inflate *inflate;
    struct tree *tree;
    bool is_bottom;
    bool dropped_whiteout;
    uint64_t bytes;
    uint64_t entries;
    uint64_t devices_left_out;
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
        if (count == ATTRIBUTES_MAX)
            return error_set(err, E2BIG, "has more than %d attributes", ATTRIBUTES_MAX);
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

/* @attributes has room for ATTRIBUTES_MAX. */
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

    if (size < 0 || (uint64_t)size > UNPACK_BYTES_MAX - unpack->bytes)
        return error_set(err, EFBIG, "makes the layer larger than %llu bytes",
                         (unsigned long long)UNPACK_BYTES_MAX);
    if (is_sparse && archive_entry_sparse_count(entry) > (int)UNPACK_SPARSE_PARTS_MAX)
        return error_set(err, EFBIG, "is a sparse file of more than %u parts",
                         UNPACK_SPARSE_PARTS_MAX);
    unpack->bytes += (uint64_t)size;

    r = tree_add_file(unpack->tree, path, metadata, &fd, err);
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

static int add_whiteout(struct unpack *unpack, const struct layer_path *path, struct error *err)
{
    if (unpack->is_bottom) {
        unpack->dropped_whiteout = true;
        return 0;
    }
    return tree_add_whiteout(unpack->tree, path, err);
}

static int add_node(struct unpack *unpack, struct archive_entry *entry, mode_t type,
                    const struct layer_path *path, const struct tree_metadata *metadata,
                    struct error *err)
{
    uint64_t device_major = 0, device_minor = 0;
    int r;

    if (type != S_IFIFO) {
        device_major = archive_entry_rdevmajor(entry);
        device_minor = archive_entry_rdevminor(entry);
        if (device_major > MAJOR_MAX || device_minor > MINOR_MAX)
            return error_set(err, EINVAL, "is a device with numbers out of range");
    }
    /* What a raw copy of an overlay's upper directory has in place of a whiteout; on disk it is
     * one in any case. */
    if (type == S_IFCHR && device_major == 0 && device_minor == 0)
        return add_whiteout(unpack, path, err);
    r = tree_add_node(unpack->tree, path, type,
                      makedev((unsigned)device_major, (unsigned)device_minor), metadata, err);
    if (r != -EPERM || type == S_IFIFO)
        return r;
    /* Containers have a /dev of their own, so what a base image has there is not missed. */
    unpack->devices_left_out++;
    return 0;
}

static int add_link(struct unpack *unpack, const char *target_name, const struct layer_path *path,
                    struct error *err)
{
    auto_free struct layer_path *target = xcalloc(1, sizeof(*target));
    int r;

    r = layer_path_parse(target_name, target, err);
    if (r < 0)
        return error_prefix(err, r, "hard link to '%s'", target_name);
    return tree_add_link(unpack->tree, path, target, err);
}

static int add_symlink(struct unpack *unpack, struct archive_entry *entry,
                       const struct layer_path *path, const struct tree_metadata *metadata,
                       struct error *err)
{
    const char *target = archive_entry_symlink(entry);

    if (target == NULL || *target == '\0')
        return error_set(err, EINVAL, "is a symbolic link to nothing");
    return tree_add_symlink(unpack->tree, path, target, metadata, err);
}

/* The whiteouts that a name asks for: 1 the entry is done, 0 it is an ordinary one. */
static int apply_whiteout(struct unpack *unpack, const struct layer_path *path, struct error *err)
{
    struct layer_path hidden;
    const char *name = NULL;
    int r;

    /* Below the directories in which AUFS kept its own files. */
    if (text_starts(path->parent, ".wh..wh.") || strstr(path->parent, "/.wh..wh.") != NULL)
        return 1;
    if (text_starts(path->parent, ".wh.") || strstr(path->parent, "/.wh.") != NULL)
        return error_set(err, EINVAL, "is below a whiteout");
    r = whiteout_parse(path->base, &name, err);
    if (r < 0)
        return r;
    switch ((enum whiteout)r) {
    case WHITEOUT_NONE:
        return 0;
    case WHITEOUT_IGNORED:
        return 1;
    case WHITEOUT_OPAQUE:
        if (unpack->is_bottom)
            unpack->dropped_whiteout = true;
        else
            r = tree_add_opaque(unpack->tree, path->parent, err);
        return r < 0 ? r : 1;
    case WHITEOUT_NAME:
        break;
    }
    hidden.parent = path->parent;
    hidden.base = name;
    r = add_whiteout(unpack, &hidden, err);
    return r < 0 ? r : 1;
}

static int add_entry(struct unpack *unpack, struct archive *archive, struct archive_entry *entry,
                     const struct layer_path *path, struct error *err)
{
    struct tree_attribute attributes[ATTRIBUTES_MAX];
    struct tree_metadata metadata;
    const char *link = archive_entry_hardlink(entry);
    mode_t type = archive_entry_filetype(entry);
    int r;

    r = apply_whiteout(unpack, path, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (link != NULL)
        return add_link(unpack, link, path, err);
    r = entry_metadata(entry, attributes, &metadata, err);
    if (r < 0)
        return r;
    switch (type) {
    case AE_IFREG:
        return add_file(unpack, archive, entry, path, &metadata, err);
    case AE_IFDIR:
        return tree_add_directory(unpack->tree, path, &metadata, err);
    case AE_IFLNK:
        return add_symlink(unpack, entry, path, &metadata, err);
    case AE_IFIFO:
        return add_node(unpack, entry, S_IFIFO, path, &metadata, err);
    case AE_IFCHR:
        return add_node(unpack, entry, S_IFCHR, path, &metadata, err);
    case AE_IFBLK:
        return add_node(unpack, entry, S_IFBLK, path, &metadata, err);
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
        if (++unpack->entries > UNPACK_ENTRIES_MAX)
            return error_set(err, E2BIG, "more than %u entries in the layer", UNPACK_ENTRIES_MAX);
        name = archive_entry_pathname(entry);
        if (name == NULL)
            return error_set(err, EBADMSG, "a layer entry without a usable name");
        r = layer_path_parse(name, path, err);
        if (r == 0)
            r = add_entry(unpack, archive, entry, path, err);
        if (r < 0)
            return error_prefix(err, r, "layer entry '%.*s%s'", NAME_SHOWN_MAX, name,
                                strlen(name) > NAME_SHOWN_MAX ? "..." : "");
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
    r = inflate_drain(unpack->inflate, err);
    if (r < 0)
        return r;
    return tree_finish(unpack->tree, err);
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
    AUTO(tree) struct tree *tree = NULL;
    struct unpack_result result = { 0 };
    int r;

    assert(ret_result != NULL);

    r = inflate_open(input, &limits, hash, &inflate, err);
    if (r < 0)
        return r;
    tree = tree_open(root_fd, UNPACK_ENTRIES_MAX);
    struct unpack unpack = { .inflate = inflate, .tree = tree, .is_bottom = is_bottom };

    r = unpack_all(&unpack, err);
    if (r < 0)
        return r;
    hash_finish(hash, &result.diff_id);
    result.bytes = unpack.bytes;
    result.entries = unpack.entries;
    result.devices_left_out = unpack.devices_left_out;
    result.hides_all = tree_hides_all(tree);
    tree_list_orphans(tree, &result.orphans);
    tree_list_whiteouts(tree, &result.whiteouts);
    if (result.orphans.count > UNPACK_ORPHANS_MAX) {
        unpack_result_clear(&result);
        return error_set(err, E2BIG, "more than %u directories have no entry of their own",
                         UNPACK_ORPHANS_MAX);
    }
    result.needs_chain = result.hides_all || unpack.dropped_whiteout || result.orphans.count > 0;
    *ret_result = result;
    return 0;
}

void unpack_result_clear(struct unpack_result *result)
{
    strings_clear(&result->orphans);
    strings_clear(&result->whiteouts);
    *result = (struct unpack_result){ 0 };
}
