#include "unionfs/layer_inherit.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/path.h"
#include "unionfs/layer_follow.h"
#include "unionfs/layer_mark.h"
#include "unionfs/layer_path.h"
#include "unionfs/layer_view.h"
#include "unionfs/unionfs.h"
#include "unionfs/whiteout.h"

#define ATTRIBUTE_NAMES_MAX 65536 /* XATTR_LIST_MAX */

/* --- copying what a directory is -------------------------------------------------------------- */

static int copy_attribute(int from_fd, int to_fd, const char *name, struct error *err)
{
    auto_free char *value = NULL;
    ssize_t length;

    if (!unpack_keeps_attribute(name))
        return 0;
    value = xcalloc(1, UNPACK_ATTRIBUTE_MAX);
    length = fgetxattr(from_fd, name, value, UNPACK_ATTRIBUTE_MAX);
    if (length < 0)
        return error_errno(err, "read the attribute '%s'", name);
    if (fsetxattr(to_fd, name, value, (size_t)length, 0) < 0)
        return error_errno(err, "set the attribute '%s'", name);
    return 0;
}

static int copy_attributes(int from_fd, int to_fd, struct error *err)
{
    auto_free char *names = NULL;
    ssize_t length = flistxattr(from_fd, NULL, 0);

    if (length == 0 || (length < 0 && errno == ENOTSUP))
        return 0;
    names = xcalloc(1, ATTRIBUTE_NAMES_MAX);
    length = flistxattr(from_fd, names, ATTRIBUTE_NAMES_MAX);
    if (length < 0)
        return error_errno(err, "list attributes");
    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1) {
        int r = copy_attribute(from_fd, to_fd, names + at, err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int copy_metadata(int from_fd, int to_fd, struct error *err)
{
    struct timespec times[2];
    struct stat st;
    int r;

    if (fstat(from_fd, &st) < 0)
        return error_errno(err, "look at it");
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    if (fchown(to_fd, st.st_uid, st.st_gid) < 0)
        return error_errno(err, "set the owner");
    if (fchmod(to_fd, st.st_mode & 07777) < 0)
        return error_errno(err, "set the mode");
    r = copy_attributes(from_fd, to_fd, err);
    if (r < 0)
        return r;
    if (futimens(to_fd, times) < 0)
        return error_errno(err, "set the times");
    return 0;
}

static int inherit_directory(int fs_fd, const char *path, const struct layer_view *view,
                             struct error *err)
{
    auto_close int from_fd = view_open_directory(view, path);
    auto_close int to_fd = -1;
    int r;

    if (from_fd < 0)
        return 0;
    r = path_open_beneath(fs_fd, path, O_RDONLY | O_DIRECTORY, 0, &to_fd, err);
    if (r < 0)
        return r;
    return copy_metadata(from_fd, to_fd, err);
}

/* --- an opaque root --------------------------------------------------------------------------- */

/* Hides one name of a layer below: overlayfs does not look at the opaque mark of a layer's root. */
static int hide_name(int fs_fd, const char *name, struct error *err)
{
    auto_close int fd = -1;
    struct stat st;
    int r;

    r = layer_mark_whiteout(fs_fd, name, err);
    if (r == 0)
        return 0;
    if (r != -EEXIST)
        return error_prefix(err, r, "hide '%s'", name);
    if (fstatat(fs_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "look at '%s'", name);
    if (!S_ISDIR(st.st_mode))
        return 0;
    fd = openat(fs_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open '%s'", name);
    r = layer_mark_opaque(fd, err);
    return r < 0 ? error_prefix(err, r, "'%s'", name) : 0;
}

static int hide_layer(int fs_fd, int lower_fd, struct error *err)
{
    int fd = openat(lower_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int r = 0;

    if (directory == NULL)
        return error_errno(err, "read a layer below");
    while (r == 0 && (entry = readdir(directory)) != NULL) {
        if (!text_equal(entry->d_name, ".") && !text_equal(entry->d_name, ".."))
            r = hide_name(fs_fd, entry->d_name, err);
    }
    (void)closedir(directory); /* only read */
    return r;
}

static int hide_all(int fs_fd, const int *lower_fds, size_t lower_count, struct error *err)
{
    struct timespec times[2];
    struct stat st;

    if (fstat(fs_fd, &st) < 0)
        return error_errno(err, "look at the layer's root");
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    for (size_t i = 0; i < lower_count; i++) {
        int r = hide_layer(fs_fd, lower_fds[i], err);

        if (r < 0)
            return r;
    }
    if (futimens(fs_fd, times) < 0)
        return error_errno(err, "set the times of the layer's root");
    return 0;
}

/* --- whiteouts that hide nothing -------------------------------------------------------------- */

static int drop_whiteouts(int dir_fd, struct error *err)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct timespec times[2];
    struct stat st;
    int r = 0;

    if (directory == NULL || fstat(fd, &st) < 0)
        return error_errno(err, "read the directory");
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    while (r == 0 && (entry = readdir(directory)) != NULL) {
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            r = error_errno(err, "look at '%s'", entry->d_name);
        else if (!text_equal(entry->d_name, WHITEOUT_OPAQUE_NAME) &&
                 layer_mark_is_whiteout(fd, entry->d_name, &st) &&
                 unlinkat(fd, entry->d_name, 0) < 0)
            r = error_errno(err, "remove the whiteout '%s'", entry->d_name);
    }
    if (r == 0 && futimens(fd, times) < 0)
        r = error_errno(err, "set the times");
    (void)closedir(directory); /* only read */
    return r;
}

/* In a directory that is opaque, or that no layer below shows. */
static int drop_idle_whiteouts(int fs_fd, const char *path, const struct layer_view *view,
                               bool *is_placed, struct error *err)
{
    auto_close int lower_fd = -1;
    auto_close int fd = -1;
    int r;

    r = path_open_beneath(fs_fd, path, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r < 0)
        return r;
    if (layer_mark_is_opaque(fd))
        return drop_whiteouts(fd, err);
    lower_fd = view_open_directory(view, path);
    if (lower_fd >= 0)
        return 0;
    *is_placed = true;
    return drop_whiteouts(fd, err);
}

int layer_inherit(int fs_fd, struct unpack_report *report, const int *lower_fds, size_t lower_count,
                  struct error *err)
{
    const struct layer_view view = { .own_fd = fs_fd,
                                     .lower_fds = lower_fds,
                                     .lower_count = lower_count };
    int r = 0;

    assert(report != NULL);

    if (!report->hides_all)
        r = layer_follow(&view, report, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < report->whiteouts.count; i++) {
        auto_free char *path = layer_path_unescape(report->whiteouts.items[i]);

        r = drop_idle_whiteouts(fs_fd, path, &view, &report->needs_chain, err);
        if (r < 0)
            return error_prefix(err, r, "whiteouts in '%s'", path);
    }
    /* Children first: their making does not touch what a parent gets. */
    for (size_t i = report->orphans.count; i > 0 && !report->hides_all; i--) {
        auto_free char *path = layer_path_unescape(report->orphans.items[i - 1]);

        r = inherit_directory(fs_fd, path, &view, err);
        if (r < 0)
            return error_prefix(err, r, "directory '%s' as in the layers below", path);
    }
    if (report->hides_all) {
        r = hide_all(fs_fd, lower_fds, lower_count, err);
        if (r < 0)
            return error_prefix(err, r, "hide the layers below");
    }
    return 0;
}
