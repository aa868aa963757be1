#include "unionfs/unionfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/path.h"
#include "unionfs/layer_path.h"

/* libarchive parses, nothing more. Each directory on the way is opened beneath the place, then one
 * name in it is made; where a program swaps directories and links meanwhile, files land somewhere
 * else in its own tree, or an error tells of it. */

#define BLOCK_BYTES (64u << 10)
#define ID_MAX      4294967294ll /* (uid_t)-1 means "do not change" to chown(2) */

/* What a directory gets when all is in it. */
struct pending {
    char *path;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    struct timespec times[2];
};

struct extract {
    const struct extract_options *options;
    struct archive *archive;
    struct archive_entry *entry;
    int place_fd;
    char *place_path, *name;
    bool has_place;
    struct pending *pending;
    size_t pending_count;
};

static void extract_clear(struct extract *extract)
{
    if (extract->archive != NULL)
        (void)archive_read_free(extract->archive); /* nothing that was written depends on it */
    auto_close_cleanup(&extract->place_fd);
    free(extract->place_path);
    free(extract->name);
    for (size_t i = 0; i < extract->pending_count; i++)
        free(extract->pending[i].path);
    free(extract->pending);
}

static int archive_failure(struct extract *extract, struct error *err)
{
    const char *message = archive_error_string(extract->archive);

    return error_set(err, EBADMSG, "not a good tar archive: %s",
                     message == NULL ? "no reason given" : message);
}

static void warn(struct extract *extract, const char *path, const char *what)
{
    if (extract->options->warnings != NULL)
        strings_addf(extract->options->warnings, "'%s' %s", path, what);
}

/* --- names ------------------------------------------------------------------------------------ */

/* A name in the tar as a path in the place; its base is "" for the place itself. */
static int map_name(const struct extract *extract, const char *name, struct layer_path *ret_path,
                    struct error *err)
{
    auto_free char *mapped = NULL;
    char whole[LAYER_PATH_MAX];
    const char *rest;
    int r;

    r = layer_path_parse(name, ret_path, err);
    if (r < 0 || extract->name == NULL)
        return r;
    rest = layer_path_format(ret_path, whole);
    rest += strcspn(rest, "/");
    mapped = xasprintf("./%s%s", extract->name, rest);
    return layer_path_parse(mapped, ret_path, err);
}

static int open_parent(const struct extract *extract, const struct layer_path *path, int *ret_fd,
                       struct error *err)
{
    const char *parent = *path->parent == '\0' ? "." : path->parent;
    auto_free char *whole = NULL;

    *ret_fd = path_open_resolved(extract->place_fd, parent, O_PATH | O_DIRECTORY, 0,
                                 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
    if (*ret_fd >= 0)
        return 0;
    if (extract->options->root_fd < 0 || (errno != ELOOP && errno != ENOENT))
        return error_errno(err, "open the directory '%s'", parent);
    whole = path_join(extract->place_path, parent);
    return path_make_directories(extract->options->root_fd, whole, 0755, ret_fd, err);
}

/* --- metadata --------------------------------------------------------------------------------- */

static int describe(const struct extract *extract, struct pending *ret_pending, struct error *err)
{
    const struct extract_options *options = extract->options;
    struct archive_entry *entry = extract->entry;
    int64_t uid = options->has_owner ? (int64_t)options->uid : archive_entry_uid(entry);
    int64_t gid = options->has_owner ? (int64_t)options->gid : archive_entry_gid(entry);
    struct timespec time = { .tv_sec = archive_entry_mtime(entry),
                             .tv_nsec = archive_entry_mtime_nsec(entry) };

    if (uid < 0 || uid > ID_MAX || gid < 0 || gid > ID_MAX)
        return error_set(err, EINVAL, "its owner %lld:%lld is out of range", (long long)uid,
                         (long long)gid);
    if (!archive_entry_mtime_is_set(entry))
        time = (struct timespec){ .tv_nsec = UTIME_NOW };
    *ret_pending =
        (struct pending){ .mode = archive_entry_mode(entry) & (options->is_safe ? 01777 : 07777),
                          .uid = (uid_t)uid,
                          .gid = (gid_t)gid,
                          .times = { time, time } };
    return 0;
}

/* The owner first: chown(2) clears set-id bits and capabilities. */
static int set_metadata(int fd, const struct pending *pending, struct error *err)
{
    if (fchown(fd, pending->uid, pending->gid) < 0)
        return error_errno(err, "set the owner");
    if (fchmod(fd, pending->mode) < 0)
        return error_errno(err, "set the mode");
    (void)futimens(fd, pending->times); /* times are a courtesy */
    return 0;
}

static void set_attributes(struct extract *extract, int fd, const char *path)
{
    const char *name;
    const void *value;
    size_t size;

    (void)archive_entry_xattr_reset(extract->entry); /* a count */
    while (archive_entry_xattr_next(extract->entry, &name, &value, &size) == ARCHIVE_OK) {
        if (!unpack_keeps_attribute(name) ||
            (extract->options->is_safe && !text_starts(name, "user.")))
            continue;
        if (fsetxattr(fd, name, value, size, 0) < 0)
            warn(extract, path, "lost an extended attribute, which cannot be set there");
    }
}

/* --- entries ---------------------------------------------------------------------------------- */

static int copy_content(struct extract *extract, int fd, struct error *err)
{
    const void *bytes;
    size_t length;
    la_int64_t offset;
    int r;

    while ((r = archive_read_data_block(extract->archive, &bytes, &length, &offset)) ==
           ARCHIVE_OK) {
        for (size_t done = 0; done < length;) {
            ssize_t written =
                pwrite(fd, (const char *)bytes + done, length - done, offset + (la_int64_t)done);

            if (written < 0 && errno != EINTR)
                return error_errno(err, "write it");
            done += written > 0 ? (size_t)written : 0;
        }
    }
    if (r != ARCHIVE_EOF)
        return archive_failure(extract, err);
    if (ftruncate(fd, archive_entry_size(extract->entry)) < 0)
        return error_errno(err, "set its size");
    return 0;
}

/* Makes room for something that is no directory. @ret_busy: a file that is mounted there stays. */
static int make_room(int parent_fd, const char *base, bool *ret_busy, struct error *err)
{
    *ret_busy = false;
    if (unlinkat(parent_fd, base, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno == EISDIR)
        return error_set(err, EISDIR, "a directory is there, which is not replaced by a file");
    if (errno != EBUSY)
        return error_errno(err, "replace what is there");
    *ret_busy = true;
    return 0;
}

static int open_new_file(int parent_fd, const char *base, int *ret_fd, struct error *err)
{
    struct stat status;
    bool is_busy;
    int r;

    r = make_room(parent_fd, base, &is_busy, err);
    if (r < 0)
        return r;
    *ret_fd = openat(parent_fd, base,
                     O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
                         (is_busy ? O_TRUNC : O_CREAT | O_EXCL),
                     0600);
    if (*ret_fd < 0)
        return error_errno(err, "create it");
    if (is_busy && (fstat(*ret_fd, &status) < 0 || !S_ISREG(status.st_mode))) {
        (void)close(*ret_fd); /* nothing was written */
        return error_set(err, EBUSY, "something that is no file is mounted there");
    }
    return 0;
}

static int add_file(struct extract *extract, int parent_fd, const char *base, const char *path,
                    struct error *err)
{
    auto_close int fd = -1;
    struct pending metadata;
    int r;

    r = describe(extract, &metadata, err);
    if (r == 0)
        r = open_new_file(parent_fd, base, &fd, err);
    if (r == 0)
        r = copy_content(extract, fd, err);
    if (r == 0)
        r = set_metadata(fd, &metadata, err);
    if (r == 0)
        set_attributes(extract, fd, path);
    return r;
}

static int add_directory(struct extract *extract, int parent_fd, const char *base, const char *path,
                         struct error *err)
{
    struct pending metadata;
    int r;

    r = describe(extract, &metadata, err);
    if (r < 0)
        return r;
    /* Something else than a directory is found when it is opened. */
    if (mkdirat(parent_fd, base, 0700) < 0 && errno != EEXIST)
        return error_errno(err, "make the directory");
    metadata.path = xstrdup(path);
    extract->pending =
        xrealloc(extract->pending, extract->pending_count + 1, sizeof(*extract->pending));
    extract->pending[extract->pending_count++] = metadata;
    r = openat(parent_fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (r < 0)
        return error_errno(err, "a directory cannot replace what is there");
    set_attributes(extract, r, path);
    (void)close(r); /* only opened */
    return 0;
}

static int add_link(struct extract *extract, int parent_fd, const char *base, struct error *err)
{
    auto_close int target_fd = -1;
    struct layer_path target;
    bool is_busy;
    int r;

    r = map_name(extract, archive_entry_hardlink(extract->entry), &target, err);
    if (r == 0)
        r = open_parent(extract, &target, &target_fd, err);
    if (r == 0)
        r = make_room(parent_fd, base, &is_busy, err);
    if (r < 0)
        return r;
    if (linkat(target_fd, target.base, parent_fd, base, 0) < 0)
        return error_errno(err, "make it a link to '%s'", target.base);
    return 0;
}

static int add_node(struct extract *extract, int parent_fd, const char *base, const char *path,
                    struct error *err)
{
    struct archive_entry *entry = extract->entry;
    mode_t type = archive_entry_filetype(entry);
    struct pending metadata;
    bool is_busy;
    int r;

    if (extract->options->is_safe && (type == AE_IFCHR || type == AE_IFBLK)) {
        warn(extract, path, "is a device and is left out; --archive copies it");
        return 0;
    }
    r = describe(extract, &metadata, err);
    if (r == 0)
        r = make_room(parent_fd, base, &is_busy, err);
    if (r < 0)
        return r;
    if (type == AE_IFLNK
            ? symlinkat(archive_entry_symlink(entry), parent_fd, base) < 0
            : mknodat(parent_fd, base, type | metadata.mode,
                      makedev(archive_entry_rdevmajor(entry), archive_entry_rdevminor(entry))) < 0)
        return error_errno(err, "make it");
    if (fchownat(parent_fd, base, metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "set its owner");
    (void)utimensat(parent_fd, base, metadata.times, AT_SYMLINK_NOFOLLOW); /* a courtesy */
    return 0;
}

static int find_place(struct extract *extract, extract_place *place, void *context,
                      struct error *err)
{
    AUTO_CLEAR(strings) struct strings parts = { 0 };
    const char *name = archive_entry_pathname(extract->entry);
    struct layer_path path;
    char whole[LAYER_PATH_MAX];
    int r;

    if (extract->has_place)
        return 0;
    r = layer_path_parse(name, &path, err);
    if (r < 0)
        return r;
    strings_split(&parts, layer_path_format(&path, whole), '/');
    extract->has_place = true;
    return place(parts.items[0],
                 archive_entry_hardlink(extract->entry) == NULL &&
                     archive_entry_filetype(extract->entry) == AE_IFDIR,
                 context, &extract->place_fd, &extract->place_path, &extract->name, err);
}

static int add_entry(struct extract *extract, struct error *err)
{
    struct archive_entry *entry = extract->entry;
    auto_close int parent_fd = -1;
    struct layer_path path;
    char whole[LAYER_PATH_MAX];
    int r;

    r = map_name(extract, archive_entry_pathname(entry), &path, err);
    if (r < 0 || *path.base == '\0')
        return r; /* of the place itself nothing is changed */
    (void)layer_path_format(&path, whole);
    r = open_parent(extract, &path, &parent_fd, err);
    if (r < 0)
        return r;
    if (archive_entry_hardlink(entry) != NULL)
        return add_link(extract, parent_fd, path.base, err);
    switch (archive_entry_filetype(entry)) {
    case AE_IFDIR:
        return add_directory(extract, parent_fd, path.base, whole, err);
    case AE_IFREG:
        return add_file(extract, parent_fd, path.base, whole, err);
    case AE_IFLNK:
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
        return add_node(extract, parent_fd, path.base, whole, err);
    default:
        warn(extract, whole, "is of a kind that cannot be made, and is left out");
        return 0;
    }
}

/* Children first: what a child changes in its parent is set again then. */
static int finish_directories(struct extract *extract, struct error *err)
{
    for (size_t i = extract->pending_count; i > 0; i--) {
        const struct pending *pending = &extract->pending[i - 1];
        auto_close int parent_fd = -1;
        auto_close int fd = -1;
        struct layer_path path;
        int r;

        r = layer_path_parse(pending->path, &path, err);
        if (r == 0)
            r = open_parent(extract, &path, &parent_fd, err);
        if (r < 0)
            return r;
        fd = openat(parent_fd, path.base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return error_errno(err, "open the directory '%s'", pending->path);
        r = set_metadata(fd, pending, err);
        if (r < 0)
            return error_prefix(err, r, "'%s'", pending->path);
    }
    return 0;
}

int extract_archive(const struct extract_options *options, extract_place *place, void *context,
                    struct error *err)
{
    AUTO_CLEAR(extract) struct extract extract = { .options = options, .place_fd = -1 };
    int r;

    assert(options != NULL);
    assert(place != NULL);

    extract.archive = archive_read_new();
    if (extract.archive == NULL)
        return error_set(err, ENOMEM, "no memory for libarchive");
    if (archive_read_support_format_tar(extract.archive) != ARCHIVE_OK ||
        archive_read_support_format_empty(extract.archive) != ARCHIVE_OK ||
        archive_read_open_fd(extract.archive, options->fd, BLOCK_BYTES) != ARCHIVE_OK)
        return archive_failure(&extract, err);
    /* A warning is of a name that is not in the locale's character set. */
    while ((r = archive_read_next_header(extract.archive, &extract.entry)) == ARCHIVE_OK ||
           r == ARCHIVE_WARN) {
        if (archive_entry_pathname(extract.entry) == NULL)
            return error_set(err, EBADMSG, "an entry of the archive has no name");
        r = find_place(&extract, place, context, err);
        if (r < 0)
            return r;
        r = add_entry(&extract, err);
        if (r < 0)
            return error_prefix(err, r, "'%.200s'", archive_entry_pathname(extract.entry));
    }
    return r == ARCHIVE_EOF ? finish_directories(&extract, err) : archive_failure(&extract, err);
}
