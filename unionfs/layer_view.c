#include "unionfs/layer_view.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "unionfs/layer_mark.h"
#include "unionfs/layer_path.h"

/* How overlayfs goes on below one layer when it looks for a directory. */
enum lookup {
    LOOKUP_FOUND,  /* this layer has the directory */
    LOOKUP_BELOW,  /* this layer says nothing */
    LOOKUP_HIDDEN, /* this layer hides what is below, or has something else there */
};

/* Walks one layer component by component: what hides may be in any of them. @is_own: @path itself
 * is there, and only the directories above it can hide. */
static enum lookup layer_lookup(int fs_fd, const char *path, bool is_own, int *ret_fd)
{
    auto_close int fd = fcntl(fs_fd, F_DUPFD_CLOEXEC, 3);
    enum lookup on_miss = LOOKUP_BELOW;
    const char *at = path;

    while (fd >= 0) {
        size_t length = strcspn(at, "/");
        auto_free char *name = xstrndup(at, length);
        int next;

        at += length;
        at += strspn(at, "/");
        if (is_own && *at == '\0')
            return on_miss;
        next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return errno == ENOENT ? on_miss : LOOKUP_HIDDEN;
        (void)close(fd); /* only read */
        fd = next;
        if (*at == '\0') {
            *ret_fd = take_fd(&fd);
            return LOOKUP_FOUND;
        }
        if (layer_mark_is_opaque(fd))
            on_miss = LOOKUP_HIDDEN;
    }
    return LOOKUP_HIDDEN;
}

int view_open_directory(const struct layer_view *view, const char *path)
{
    int fd = -1;

    assert(view != NULL);
    assert(path != NULL);

    if (layer_lookup(view->own_fd, path, true, &fd) == LOOKUP_HIDDEN)
        return -1;
    for (size_t i = 0; i < view->lower_count; i++) {
        enum lookup found = layer_lookup(view->lower_fds[i], path, false, &fd);

        if (found == LOOKUP_FOUND)
            return fd;
        if (found == LOOKUP_HIDDEN)
            return -1;
    }
    return -1;
}

/* The same for a link in one layer. @ret_target: only when found. */
static enum lookup link_lookup(int fs_fd, const char *parent, const char *base, char **ret_target)
{
    char target[LAYER_PATH_MAX];
    auto_close int fd = -1;
    ssize_t length;

    if (*parent == '\0') {
        fd = fcntl(fs_fd, F_DUPFD_CLOEXEC, 3);
    } else {
        enum lookup found = layer_lookup(fs_fd, parent, false, &fd);

        if (found != LOOKUP_FOUND)
            return found;
    }
    length = readlinkat(fd, base, target, sizeof(target));
    if (length < 0 || (size_t)length == sizeof(target)) {
        if (length >= 0 || errno != ENOENT)
            return LOOKUP_HIDDEN;
        return *parent != '\0' && layer_mark_is_opaque(fd) ? LOOKUP_HIDDEN : LOOKUP_BELOW;
    }
    *ret_target = xstrndup(target, (size_t)length);
    return LOOKUP_FOUND;
}

char *view_read_link(const struct layer_view *view, const char *path)
{
    const char *slash = strrchr(path, '/');
    auto_free char *parent = slash == NULL ? xstrdup("") : xstrndup(path, (size_t)(slash - path));
    char *target = NULL;
    int fd = -1;

    assert(view != NULL);

    if (layer_lookup(view->own_fd, path, true, &fd) == LOOKUP_HIDDEN)
        return NULL;
    for (size_t i = 0; i < view->lower_count; i++) {
        enum lookup found =
            link_lookup(view->lower_fds[i], parent, slash == NULL ? path : slash + 1, &target);

        if (found != LOOKUP_BELOW)
            break;
    }
    return target;
}
