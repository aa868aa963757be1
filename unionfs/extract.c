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

#include "base/path.h"
#include "unionfs/extract_input.h"
#include "unionfs/layer_path.h"

/* Who parses the tar is told by the caller (extract_input.h). Each directory on the way is opened
 * beneath the place, then one name in it is made; where a program swaps directories and links
 * meanwhile, files land somewhere else in its own tree, or an error tells of it. */

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
    struct extract_entry entry;
    int place_fd;
    char *place_path, *name;
    bool has_place;
    struct pending *pending;
    size_t pending_count;
};

static void extract_clear(struct extract *extract)
{
    auto_close_cleanup(&extract->place_fd);
    free(extract->place_path);
    free(extract->name);
    for (size_t i = 0; i < extract->pending_count; i++)
        free(extract->pending[i].path);
    free(extract->pending);
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

static void describe(const struct extract *extract, struct pending *ret_pending)
{
    const struct extract_options *options = extract->options;
    const struct tar_entry *tar = &extract->entry.tar;
    struct timespec time = { .tv_sec = tar->time, .tv_nsec = (long)tar->time_ns };

    if (!extract->entry.has_time)
        time = (struct timespec){ .tv_nsec = UTIME_NOW };
    *ret_pending = (struct pending){ .mode = tar->mode & (options->is_safe ? 01777 : 07777),
                                     .uid = options->has_owner ? options->uid : tar->uid,
                                     .gid = options->has_owner ? options->gid : tar->gid,
                                     .times = { time, time } };
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
    const struct tar_entry *tar = &extract->entry.tar;

    for (size_t i = 0; i < tar->attribute_count; i++) {
        const struct tar_attribute *attribute = &tar->attributes[i];

        if (!unpack_keeps_attribute(attribute->name) ||
            (extract->options->is_safe && !text_starts(attribute->name, "user.")))
            continue;
        if (fsetxattr(fd, attribute->name, attribute->value, attribute->length, 0) < 0)
            warn(extract, path, "lost an extended attribute, which cannot be set there");
    }
}

/* --- entries ---------------------------------------------------------------------------------- */

static int copy_content(struct extract *extract, int fd, struct error *err)
{
    const struct extract_input *input = extract->options->input;
    const void *bytes;
    size_t length;
    uint64_t offset;
    int r;

    while ((r = input->read(input->context, &bytes, &length, &offset, err)) > 0) {
        for (size_t done = 0; done < length;) {
            ssize_t written =
                pwrite(fd, (const char *)bytes + done, length - done, (off_t)(offset + done));

            if (written < 0 && errno != EINTR)
                return error_errno(err, "write it");
            done += written > 0 ? (size_t)written : 0;
        }
    }
    if (r < 0)
        return r;
    if (ftruncate(fd, (off_t)extract->entry.tar.size) < 0)
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

    describe(extract, &metadata);
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

    describe(extract, &metadata);
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

    r = map_name(extract, extract->entry.tar.link, &target, err);
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

static mode_t node_type(char type)
{
    return type == TAR_CHARACTER ? S_IFCHR : type == TAR_DEVICE ? S_IFBLK : S_IFIFO;
}

static int add_node(struct extract *extract, int parent_fd, const char *base, const char *path,
                    struct error *err)
{
    const struct tar_entry *tar = &extract->entry.tar;
    struct pending metadata;
    bool is_busy;
    int r;

    if (extract->options->is_safe && (tar->type == TAR_CHARACTER || tar->type == TAR_DEVICE)) {
        warn(extract, path, "is a device and is left out; --archive copies it");
        return 0;
    }
    describe(extract, &metadata);
    r = make_room(parent_fd, base, &is_busy, err);
    if (r < 0)
        return r;
    if (tar->type == TAR_SYMLINK ? symlinkat(tar->link, parent_fd, base) < 0
                                 : mknodat(parent_fd, base, node_type(tar->type) | metadata.mode,
                                           makedev(tar->device_major, tar->device_minor)) < 0)
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
    struct layer_path path;
    char whole[LAYER_PATH_MAX];
    int r;

    if (extract->has_place)
        return 0;
    r = layer_path_parse(extract->entry.tar.name, &path, err);
    if (r < 0)
        return r;
    strings_split(&parts, layer_path_format(&path, whole), '/');
    extract->has_place = true;
    return place(parts.items[0], extract->entry.tar.type == TAR_DIRECTORY, context,
                 &extract->place_fd, &extract->place_path, &extract->name, err);
}

static int add_entry(struct extract *extract, struct error *err)
{
    auto_close int parent_fd = -1;
    struct layer_path path;
    char whole[LAYER_PATH_MAX];
    int r;

    r = map_name(extract, extract->entry.tar.name, &path, err);
    if (r < 0 || *path.base == '\0')
        return r; /* of the place itself nothing is changed */
    (void)layer_path_format(&path, whole);
    r = open_parent(extract, &path, &parent_fd, err);
    if (r < 0)
        return r;
    switch (extract->entry.tar.type) {
    case TAR_LINK:
        return add_link(extract, parent_fd, path.base, err);
    case TAR_DIRECTORY:
        return add_directory(extract, parent_fd, path.base, whole, err);
    case TAR_FILE:
        return add_file(extract, parent_fd, path.base, whole, err);
    case TAR_SYMLINK:
    case TAR_CHARACTER:
    case TAR_DEVICE:
    case TAR_FIFO:
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

void extract_input_clear(struct extract_input *input)
{
    if (input->free != NULL)
        input->free(input->context);
    *input = (struct extract_input){ 0 };
}

int extract_archive(const struct extract_options *options, extract_place *place, void *context,
                    struct error *err)
{
    AUTO_CLEAR(extract) struct extract extract = { .options = options, .place_fd = -1 };
    int r;

    assert(options != NULL);
    assert(place != NULL);

    while ((r = options->input->next(options->input->context, &extract.entry, err)) > 0) {
        r = find_place(&extract, place, context, err);
        if (r < 0)
            return r;
        r = add_entry(&extract, err);
        if (r < 0)
            return error_prefix(err, r, "'%.200s'", extract.entry.tar.name);
    }
    return r == 0 ? finish_directories(&extract, err) : r;
}
