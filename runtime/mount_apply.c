#include "runtime/mount_apply.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/path.h"
#include "runtime/cgroup_mount.h"
#include "runtime/devices.h"
#include "runtime/mount_api.h"
#include "runtime/mount_idmap.h"
#include "runtime/mount_label.h"
#include "runtime/overlay_root.h"
#include "runtime/tmpfs_copy_up.h"

#define DIRECTORY_MODE 0755
#define FILE_MODE      0644

/* --- destinations ---------------------------------------------------------------------------- */

/* Where a mount goes: onto @fd itself, or onto @name directly below a directory of our own. */
struct target {
    int fd;
    const char *name; /* NULL: fd itself, which is ours to close */
    bool was_there;
};

static void target_clear(struct target *target)
{
    if (target->name == NULL)
        auto_close_cleanup(&target->fd);
}

/* "dev/pts" -> "pts" where /dev is the new tmpfs of this container, into which nobody else can
 * write yet: a directory made there needs no look-up that is safe against links. */
static const char *own_dev_name(const struct rootfs *rootfs, const struct mount_step *step)
{
    const char *name = step->destination + strlen("dev/");

    if (rootfs->dev_fd < 0 || !text_starts(step->destination, "dev/") || strchr(name, '/') != NULL)
        return NULL;
    return name;
}

static bool must_be_ordinary(const struct mount_step *step)
{
    return step->kind == MOUNT_PROC || step->kind == MOUNT_SYSFS;
}

static int make_destination(const struct rootfs *rootfs, const struct mount_step *step,
                            bool is_directory, int *ret_fd, struct error *err)
{
    if (is_directory)
        return path_make_directories(rootfs->root_fd, step->destination, DIRECTORY_MODE, ret_fd,
                                     err);
    return path_make_file(rootfs->root_fd, step->destination, FILE_MODE, ret_fd, err);
}

/* @source_fd: what will be bound there, a file or a directory; -1: a directory. */
static bool is_directory(int source_fd)
{
    struct stat status;

    return source_fd < 0 || (fstat(source_fd, &status) == 0 && S_ISDIR(status.st_mode));
}

static int find_target(const struct rootfs *rootfs, const struct mount_step *step, int source_fd,
                       struct target *ret_target, struct error *err)
{
    const char *name = source_fd < 0 ? own_dev_name(rootfs, step) : NULL;
    int flags = O_PATH, fd = -1, r;

    if (name != NULL && mkdirat(rootfs->dev_fd, name, DIRECTORY_MODE) == 0) {
        *ret_target = (struct target){ .fd = rootfs->dev_fd, .name = name };
        return 0;
    }
    /* A link at /proc or /sys would put the real one elsewhere, and leave a place of the image's
     * choice where checks expect it (CVE-2019-19921, CVE-2023-27561). */
    if (must_be_ordinary(step))
        flags |= O_DIRECTORY | O_NOFOLLOW;
    if (step->options.keeps_destination_link)
        flags |= O_NOFOLLOW;
    r = path_open_in_root(rootfs->root_fd, step->destination, flags, 0, &fd, err);
    if (r == 0) {
        *ret_target = (struct target){ .fd = fd, .was_there = true };
        return 0;
    }
    if (r == -ENOENT)
        r = make_destination(rootfs, step, is_directory(source_fd), &fd, err);
    else if (must_be_ordinary(step) && (r == -ENOTDIR || r == -ELOOP))
        r = error_set(err, ENOTDIR, "filesystem \"%s\" must be mounted on ordinary directory",
                      step->type);
    if (r < 0)
        return r;
    *ret_target = (struct target){ .fd = fd };
    return 0;
}

static int look_at_mount(int fd, struct statx *ret_status, struct error *err)
{
    if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MNT_ID, ret_status) < 0)
        return error_errno(err, "look at the mount");
    return 0;
}

/* The destination may lie in a volume that another container can change: when the path leads
 * elsewhere after the mount, later steps would not be where they seem. */
static int check_on_top(const struct rootfs *rootfs, const struct mount_step *step, int mount_fd,
                        struct error *err)
{
    auto_close int fd = -1;
    struct statx ours, found;
    int r;

    r = look_at_mount(mount_fd, &ours, err);
    if (r < 0)
        return r;
    /* What is mounted may be a link itself. */
    r = path_open_in_root(rootfs->root_fd, step->destination,
                          O_PATH | (S_ISLNK(ours.stx_mode) ? O_NOFOLLOW : 0), 0, &fd, err);
    if (r < 0)
        return r;
    r = look_at_mount(fd, &found, err);
    if (r < 0)
        return r;
    if (ours.stx_mnt_id != found.stx_mnt_id)
        return error_set(err, EXDEV, "the destination was changed while it was mounted");
    return 0;
}

static bool is_proc(int fd)
{
    struct statfs file_system;

    return fstatfs(fd, &file_system) == 0 && file_system.f_type == PROC_SUPER_MAGIC;
}

/* Nothing may be put into /proc by way of a link (the plan checked the names), and /proc itself
 * must be one, as whoever writes to it later relies on it. */
static int check_proc(const struct mount_step *step, int mount_fd, const struct target *target,
                      struct error *err)
{
    if (strcmp(step->destination, "proc") == 0)
        return step->kind == MOUNT_PROC || is_proc(mount_fd)
                   ? 0
                   : error_set(err, EINVAL, "only a proc file system can be mounted there");
    if (target->name == NULL && !text_starts(step->destination, "proc/") && is_proc(target->fd))
        return error_set(err, EINVAL, "the destination is inside of a proc file system");
    return 0;
}

static int keep_copy(int mount_fd, int **fds, size_t *count, struct error *err)
{
    int copy = fcntl(mount_fd, F_DUPFD_CLOEXEC, 3);

    if (copy < 0)
        return error_errno(err, "keep the mount");
    *fds = xrealloc(*fds, *count + 1, sizeof(**fds));
    (*fds)[(*count)++] = copy;
    return 0;
}

static int attach_step(struct rootfs *rootfs, const struct mount_step *step,
                       const struct target *target, int mount_fd, struct error *err)
{
    int r;

    r = check_proc(step, mount_fd, target, err);
    if (r < 0)
        return r;
    /* Before, so that nothing is attached that could not be taken back. */
    if (rootfs->keeps_attached) {
        r = keep_copy(mount_fd, &rootfs->attached_fds, &rootfs->attached_count, err);
        if (r < 0)
            return r;
    }
    r = mount_attach(mount_fd, target->fd, target->name, err);
    if (r == -EINVAL && is_directory(mount_fd) != is_directory(target->fd))
        return error_set(err, ENOTDIR, "the source is a %s, the destination is not",
                         is_directory(mount_fd) ? "directory" : "file");
    if (r < 0)
        return r;
    if (target->name == NULL) {
        r = check_on_top(rootfs, step, mount_fd, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < step->options.propagation_count; i++) {
        r = mount_propagate(mount_fd, &step->options.propagations[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- what is mounted ------------------------------------------------------------------------- */

/* The attributes a new file system is mounted with: it has nothing below it yet. */
static uint64_t new_mount_attributes(const struct mount_options *options)
{
    return options->attr_set | options->attr_recursive_set;
}

/* Words of mount(8) that the kernel takes as parameters of the file system (VFS ones, see
 * vfs_parse_sb_flag); iversion and acl are up to the file system. */
static const struct superblock_word {
    unsigned long flag;
    const char *word;
    bool is_general;
} superblock_words[] = {
    { MS_SYNCHRONOUS, "sync", true },    { MS_DIRSYNC, "dirsync", true },
    { MS_MANDLOCK, "mand", true },       { MS_LAZYTIME, "lazytime", true },
    { MS_I_VERSION, "iversion", false }, { MS_POSIXACL, "acl", false },
};
#define SUPERBLOCK_WORDS_MAX (ARRAY_SIZE(superblock_words) + 1)

static size_t add_superblock_words(const struct mount_step *step, const char **words)
{
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_SIZE(superblock_words); i++) {
        const struct superblock_word *word = &superblock_words[i];

        if ((step->options.superblock & word->flag) != 0 &&
            (word->is_general || step->kind == MOUNT_OTHER))
            words[count++] = word->word;
    }
    /* The kernel's own file systems are shared with others, or cost nothing to write to: there the
     * mount alone is read-only. A device must not even have its journal replayed. */
    if (step->kind == MOUNT_OTHER && (step->options.attr_set & MOUNT_ATTR_RDONLY) != 0)
        words[count++] = "ro";
    return count;
}

/* @label  of the plan; @extra: one more word; NULL: none */
static int make_file_system(const struct mount_step *step, const char *label, const char *extra,
                            int *ret_mount_fd, struct error *err)
{
    const struct mount_options *options = &step->options;
    auto_free const char **words =
        xcalloc(options->data_count + SUPERBLOCK_WORDS_MAX + 2, sizeof(words[0]));
    size_t count = add_superblock_words(step, words);

    for (size_t i = 0; i < options->data_count; i++)
        words[count++] = options->data[i];
    if (extra != NULL)
        words[count++] = extra;
    if (label != NULL && mount_label_concerns(step))
        words[count++] = label;
    return mount_create(step->type, step->source, words, count, new_mount_attributes(options),
                        ret_mount_fd, err);
}

/* A tmpfs without "mode=" gets that of the directory it covers: --tmpfs /tmp stays usable for all.
 */
static int make_tmpfs(const struct rootfs *rootfs, const struct mount_step *step,
                      const struct target *target, int *ret_mount_fd, struct error *err)
{
    char mode[16] = "";
    struct stat status;

    if (target->was_there && mount_options_value(&step->options, "mode") == NULL &&
        fstat(target->fd, &status) == 0)
        (void)snprintf(mode, sizeof(mode), "mode=%o", status.st_mode & 07777);
    return make_file_system(step, rootfs->plan->label, mode[0] == '\0' ? NULL : mode, ret_mount_fd,
                            err);
}

/* What shows a namespace that the container's user namespace does not own cannot be made, but the
 * caller's may be bound: /sys read-only, as it shows the host. */
static int make_or_bind(const struct rootfs *rootfs, const struct mount_step *step,
                        const char *host_path, bool owns_namespace, int *ret_mount_fd,
                        struct error *err)
{
    bool is_sysfs = step->kind == MOUNT_SYSFS;
    uint64_t attributes = new_mount_attributes(&step->options);
    auto_close int fd = -1;
    int r;

    r = make_file_system(step, rootfs->plan->label, NULL, ret_mount_fd, err);
    if (r != -EPERM || owns_namespace)
        return r;
    if (mount_clone(AT_FDCWD, host_path, true, &fd, NULL) < 0)
        return r; /* the first failure is the one to tell */
    if (is_sysfs)
        attributes |= MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    r = mount_change(fd, attributes, 0, true, err);
    if (r < 0)
        return r;
    *ret_mount_fd = take_fd(&fd);
    return 0;
}

static int make_mount(struct rootfs *rootfs, const struct mount_step *step,
                      const struct target *target, int *ret_mount_fd, struct error *err)
{
    const struct overlay_scratch scratch = {
        .path = rootfs->plan->root_path,
        .is_in_own_namespace = true,
        .is_in_user_namespace = rootfs->context.has_user_namespace,
    };

    switch (step->kind) {
    case MOUNT_TMPFS:
        return make_tmpfs(rootfs, step, target, ret_mount_fd, err);
    case MOUNT_PROC:
        return make_or_bind(rootfs, step, "/proc", rootfs->plan->has_pid_namespace, ret_mount_fd,
                            err);
    case MOUNT_SYSFS:
        return make_or_bind(rootfs, step, "/sys", rootfs->context.has_network_namespace,
                            ret_mount_fd, err);
    case MOUNT_CGROUP:
        return cgroup_mount_create(rootfs, step, ret_mount_fd, err);
    case MOUNT_OVERLAY:
        return overlay_create(step, &scratch, ret_mount_fd, err);
    default:
        if (strcmp(step->type, "mqueue") == 0)
            return make_or_bind(rootfs, step, "/dev/mqueue",
                                spec_find_namespace(rootfs->plan->spec, "ipc") != NULL,
                                ret_mount_fd, err);
        return make_file_system(step, rootfs->plan->label, NULL, ret_mount_fd, err);
    }
}

int mount_step_map_ids(const struct mount_step *step, int mount_fd, struct error *err)
{
    auto_close int namespace_fd = -1;
    int r;

    if (step->uid_mappings == NULL)
        return 0;
    r = mount_idmap_open(step->uid_mappings, step->gid_mappings, &namespace_fd, err);
    if (r < 0)
        return r;
    return mount_idmap_set(mount_fd, namespace_fd, step->options.is_id_map_recursive, err);
}

int mount_step_read_link(const struct mount_step *step, char **ret_text, struct error *err)
{
    char text[PATH_MAX];
    ssize_t length;

    *ret_text = NULL;
    if (!step->options.copies_link)
        return 0;
    length = readlink(step->source, text, sizeof(text) - 1);
    if (length < 0)
        return errno == EINVAL ? 0 : error_errno(err, "read the link");
    text[length] = '\0';
    *ret_text = xstrdup(text);
    return 0;
}

/* A source in the container's own root is there what the steps before made of it, and a link of
 * the image leads nowhere else. */
static int copy_source(const struct mount_step *step, int root_fd, int *ret_mount_fd,
                       struct error *err)
{
    const struct mount_options *options = &step->options;
    int flags = O_PATH | (options->keeps_source_link ? O_NOFOLLOW : 0);
    auto_close int fd = -1;
    int r;

    if (root_fd >= 0 && step->inside != NULL) {
        r = path_open_in_root(root_fd, step->inside, flags, 0, &fd, err);
        return r < 0 ? r : mount_clone(fd, "", options->is_bind_recursive, ret_mount_fd, err);
    }
    if (options->keeps_source_link)
        return mount_clone_link(step->source, options->is_bind_recursive, ret_mount_fd, err);
    return mount_clone(AT_FDCWD, step->source, options->is_bind_recursive, ret_mount_fd, err);
}

int mount_step_copy_source(const struct mount_step *step, int root_fd, int *ret_mount_fd,
                           struct error *err)
{
    int r = copy_source(step, root_fd, ret_mount_fd, err);

    if (r == -EINVAL && !step->options.is_bind_recursive)
        return error_set(err, EINVAL,
                         "it cannot be copied alone (in a user namespace a mount below it must not "
                         "be uncovered: use 'rbind')");
    return r;
}

int mount_step_make(const struct mount_step *step, const char *label, int *ret_mount_fd,
                    struct error *err)
{
    return make_file_system(step, label, NULL, ret_mount_fd, err);
}

static int keep_opened(const struct mount_step *step, int *ret_mount_fd, struct error *err)
{
    *ret_mount_fd = fcntl(step->mount_fd, F_DUPFD_CLOEXEC, 3);
    return *ret_mount_fd < 0 ? error_errno(err, "keep the mount") : 0;
}

static uint64_t attributes_of(unsigned long flags)
{
    static const struct {
        unsigned long flag;
        uint64_t attribute;
    } words[] = {
        { ST_RDONLY, MOUNT_ATTR_RDONLY },   { ST_NOSUID, MOUNT_ATTR_NOSUID },
        { ST_NODEV, MOUNT_ATTR_NODEV },     { ST_NOEXEC, MOUNT_ATTR_NOEXEC },
        { ST_NOATIME, MOUNT_ATTR_NOATIME }, { ST_NODIRATIME, MOUNT_ATTR_NODIRATIME },
    };
    uint64_t attributes = (flags & (ST_NOATIME | ST_RELATIME)) == 0 ? MOUNT_ATTR_STRICTATIME : 0;

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if ((flags & words[i].flag) != 0)
            attributes |= words[i].attribute;
    }
    return attributes;
}

static int change_locked_bind(const struct mount_options *options, int mount_fd, struct error *err)
{
    uint64_t set = 0, clear = 0;
    struct statvfs status;
    int r;

    if (fstatvfs(mount_fd, &status) < 0)
        return error_errno(err, "look at the source's flags");
    /* Less what change_recursively() set: that is no lock. */
    r = mount_options_plan_locked_bind(
        options, attributes_of(status.f_flag) & ~options->attr_recursive_set, &set, &clear, err);
    return r < 0 ? r : mount_change(mount_fd, set, clear, false, err);
}

static int change_bind(const struct mount_options *options, int mount_fd, struct error *err)
{
    uint64_t set = 0, clear = 0;
    int r;

    if (options->attr_set == 0 && options->attr_clear == 0)
        return 0;
    mount_options_plan_bind(options, &set, &clear);
    r = mount_change(mount_fd, set, clear, false, err);
    return r == -EPERM ? change_locked_bind(options, mount_fd, err) : r;
}

/* As with crun, what is locked stays, also when a word wants it cleared everywhere below. */
static int change_recursively(const struct mount_options *options, int mount_fd, struct error *err)
{
    uint64_t set = options->attr_recursive_set, clear = options->attr_recursive_clear;
    int r = mount_change(mount_fd, set, clear, true, err);

    if (r != -EPERM || clear == 0)
        return r;
    return mount_change(mount_fd, set & ~(uint64_t)MOUNT_ATTR__ATIME, 0, true, err);
}

static int open_source(const struct mount_step *step, int root_fd, int *ret_mount_fd,
                       struct error *err)
{
    auto_close int fd = -1;
    int r;

    r = mount_step_copy_source(step, root_fd, &fd, err);
    if (r == 0)
        r = mount_step_map_ids(step, fd, err);
    if (r < 0)
        return r;
    *ret_mount_fd = take_fd(&fd);
    return 0;
}

static int make_bind(const struct rootfs *rootfs, const struct mount_step *step, int *ret_mount_fd,
                     struct error *err)
{
    const struct mount_options *options = &step->options;
    auto_close int fd = -1;
    int r;

    r = step->mount_fd >= 0 ? keep_opened(step, &fd, err)
                            : open_source(step, rootfs->root_fd, &fd, err);
    if (r < 0)
        return r;
    r = change_recursively(options, fd, err);
    if (r < 0)
        return r;
    r = change_bind(options, fd, err);
    if (r < 0)
        return r;
    *ret_mount_fd = take_fd(&fd);
    return 0;
}

/* Anything but a bind; the root overlay sets its map itself. */
static int make_new(struct rootfs *rootfs, const struct mount_step *step,
                    const struct target *target, int *ret_mount_fd, struct error *err)
{
    auto_close int fd = -1;
    int r;

    if (step->mount_fd >= 0)
        return keep_opened(step, ret_mount_fd, err);
    r = make_mount(rootfs, step, target, &fd, err);
    if (r == 0 && step->kind != MOUNT_OVERLAY)
        r = mount_step_map_ids(step, fd, err);
    if (r < 0)
        return r;
    *ret_mount_fd = take_fd(&fd);
    return 0;
}

/* copy-symlink: the link that the source is, made again at the destination. */
static int copy_link(const struct rootfs *rootfs, const char *destination, const char *text,
                     struct error *err)
{
    const char *slash = strrchr(destination, '/');
    const char *name = slash == NULL ? destination : slash + 1;
    auto_free char *directory = xstrndup(destination, (size_t)(name - destination));
    auto_close int directory_fd = -1;
    char there[PATH_MAX];
    ssize_t length;
    int r;

    r = path_make_directories(rootfs->root_fd, directory[0] == '\0' ? "." : directory,
                              DIRECTORY_MODE, &directory_fd, err);
    if (r < 0)
        return r;
    if (symlinkat(text, directory_fd, name) == 0)
        return 0;
    if (errno != EEXIST)
        return error_errno(err, "make the link");
    length = readlinkat(directory_fd, name, there, sizeof(there));
    if (length < 0 || (size_t)length != strlen(text) || memcmp(there, text, (size_t)length) != 0)
        return error_set(err, EEXIST, "there is something else than a link to '%s'", text);
    return 0;
}

/* --- one step -------------------------------------------------------------------------------- */

/* The steps after this one, and the end, need some of the mounts by descriptor. */
static int keep_mount(struct rootfs *rootfs, const struct mount_step *step, int *mount_fd,
                      struct error *err)
{
    int r;

    if (step->is_late_read_only) {
        r = keep_copy(*mount_fd, &rootfs->late_fds, &rootfs->late_count, err);
        if (r < 0)
            return r;
    }
    if (step->is_dev && rootfs->dev_fd < 0)
        rootfs->dev_fd = take_fd(mount_fd);
    else if (step->is_pts && rootfs->pts_fd < 0)
        rootfs->pts_fd = take_fd(mount_fd);
    return 0;
}

/* What belongs into a mount as soon as it is attached (before Linux 6.15 nothing can be mounted in
 * a detached one, which device nodes may need). */
static int fill_mount(struct rootfs *rootfs, const struct mount_step *step,
                      const struct target *target, int mount_fd, struct error *err)
{
    int r;

    if (step->kind == MOUNT_CGROUP)
        return cgroup_mount_fill(rootfs, step, mount_fd, err);
    if (step->is_dev) {
        r = devices_create_default(rootfs, mount_fd, err);
        if (r < 0)
            return r;
    }
    if (step->options.has_copy_up && target->was_there)
        return tmpfs_copy_up(target->fd, mount_fd, err);
    return 0;
}

/* Whether nothing but the file system itself is wanted, by words that mount(2) takes. */
static bool is_simple(const struct mount_step *step)
{
    const struct mount_options *options = &step->options;

    return (step->kind == MOUNT_TMPFS || step->kind == MOUNT_DEVPTS ||
            step->kind == MOUNT_KERNEL) &&
           options->superblock == 0 && options->propagation_count == 0 && !options->has_copy_up &&
           step->uid_mappings == NULL && !step->is_late_read_only;
}

/* What stands in every container's own /dev: pts, shm, mqueue. 1: done, 0: not so simple, or it
 * failed and the longer way will tell why. */
static int mount_in_own_dev(struct rootfs *rootfs, const struct mount_step *step,
                            const struct target *target, struct error *err)
{
    const struct mount_options *options = &step->options;

    int r;

    if (target->name == NULL || !is_simple(step))
        return 0;
    r = mount_simply(rootfs->is_in_dev ? -1 : target->fd, target->name, step->type, step->source,
                     options->data, options->data_count, new_mount_attributes(options));
    rootfs->is_in_dev = r == 0;
    if (r < 0)
        return 0;
    if (!step->is_pts || rootfs->pts_fd >= 0)
        return 1;
    rootfs->pts_fd = openat(target->fd, target->name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return rootfs->pts_fd < 0 ? error_errno(err, "open the mount") : 1;
}

static int apply(struct rootfs *rootfs, const struct mount_step *step, struct target *target,
                 struct error *err)
{
    auto_close int mount_fd = -1;
    auto_free char *text = NULL;
    int r;

    if (step->link_text != NULL)
        return copy_link(rootfs, step->destination, step->link_text, err);
    r = mount_step_read_link(step, &text, err);
    if (r < 0)
        return r;
    if (text != NULL)
        return copy_link(rootfs, step->destination, text, err);
    if (step->kind == MOUNT_BIND) {
        r = make_bind(rootfs, step, &mount_fd, err);
        if (r < 0)
            return r;
    }
    r = find_target(rootfs, step, mount_fd, target, err);
    if (r < 0)
        return r;
    r = mount_in_own_dev(rootfs, step, target, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (step->kind != MOUNT_BIND) {
        r = make_new(rootfs, step, target, &mount_fd, err);
        if (r < 0)
            return r;
    }
    r = attach_step(rootfs, step, target, mount_fd, err);
    if (r < 0)
        return r;
    r = fill_mount(rootfs, step, target, mount_fd, err);
    if (r < 0)
        return r;
    return keep_mount(rootfs, step, &mount_fd, err);
}

int mount_step_name_error(const struct mount_step *step, int r, struct error *err)
{
    char name[MOUNT_STEP_NAME_MAX];

    if (r < 0 && step->kind == MOUNT_BIND)
        return error_prefix(err, r, "%s: bind of '%s'", mount_step_name(step, name), step->source);
    if (r < 0)
        return error_prefix(err, r, "%s: %s", mount_step_name(step, name), step->type);
    return 0;
}

int mount_step_apply(struct rootfs *rootfs, const struct mount_step *step, struct error *err)
{
    struct target target __attribute__((cleanup(target_clear))) = { .fd = -1 };

    return mount_step_name_error(step, apply(rootfs, step, &target, err), err);
}
