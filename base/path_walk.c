#include "base/path_walk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/text.h"

/* The kernel resolves a path better than any program can, so this is only what is left where
 * openat2(2) is denied. It never lets the kernel follow anything: each component is opened with
 * O_NOFOLLOW below the descriptor of the directory before it, the texts of links are put in front
 * of the rest of the path, and ".." takes the descriptor that was there before. What others rename
 * or swap meanwhile can change which file inside of the root is meant, and nothing else. */

#define DEPTH_MAX 512
#define LINKS_MAX 40 /* as many as the kernel follows in one path (path_resolution(7)) */

struct walk {
    uint64_t resolve;
    int fds[DEPTH_MAX]; /* of the directories from the root down; the first is borrowed */
    size_t depth;
    unsigned links;
    uint64_t mount_id; /* of the root, for RESOLVE_NO_XDEV */
    char *rest;        /* what is still to be walked */
};

static int fail(int code)
{
    errno = code;
    return -1;
}

static void walk_clear(struct walk *walk)
{
    while (walk->depth > 1)
        (void)close(walk->fds[--walk->depth]); /* O_PATH: nothing can be lost */
    free(walk->rest);
}

static int mount_of(int fd, uint64_t *ret_id)
{
    struct statx status;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) < 0)
        return -1;
    *ret_id = status.stx_mnt_id;
    return 0;
}

/* Links of procfs that lead to an object instead of a path show it as "/..." or "pipe:[1]"; the
 * others, "self" for one, are relative. */
static bool is_magic(int link_fd, const char *text)
{
    struct statfs file_system;

    return fstatfs(link_fd, &file_system) == 0 && file_system.f_type == PROC_SUPER_MAGIC &&
           (text[0] == '/' || strchr(text, ':') != NULL);
}

/* Puts the text of a link in front of the rest. */
static int follow(struct walk *walk, int link_fd, bool has_slash)
{
    char text[PATH_MAX];
    ssize_t length = readlinkat(link_fd, "", text, sizeof(text) - 1);
    char *longer;

    if (length < 0)
        return -1;
    text[length] = '\0';
    if ((walk->resolve & RESOLVE_NO_SYMLINKS) != 0 || ++walk->links > LINKS_MAX ||
        is_magic(link_fd, text))
        return fail(ELOOP);
    longer = xasprintf("%s%s%s", text, has_slash ? "/" : "", walk->rest);
    free(walk->rest);
    walk->rest = longer;
    if (strlen(longer) >= PATH_MAX)
        return fail(ENAMETOOLONG);
    while (text[0] == '/' && walk->depth > 1)
        (void)close(walk->fds[--walk->depth]); /* an absolute link begins at the root again */
    return 0;
}

/* Opens the last component with the flags that were asked for. */
static int open_last(int parent_fd, const char *name, int flags, mode_t mode)
{
    return openat(parent_fd, name, flags | O_NOFOLLOW, mode);
}

static int check_mount(const struct walk *walk, int fd)
{
    uint64_t id;

    if ((walk->resolve & RESOLVE_NO_XDEV) == 0)
        return 0;
    if (mount_of(fd, &id) < 0)
        return -1;
    return id == walk->mount_id ? 0 : fail(EXDEV);
}

static int go_up(struct walk *walk)
{
    if (walk->depth == 1)
        return (walk->resolve & RESOLVE_BENEATH) != 0 ? fail(EXDEV) : 0;
    (void)close(walk->fds[--walk->depth]); /* O_PATH: nothing can be lost */
    return 0;
}

/* Opens @name below the directory where the walk stands. 1: it was a link and is now part of the
 * rest; 0: *ret_fd is it. */
static int look_up(struct walk *walk, const char *name, bool follows, bool has_slash, int *ret_fd)
{
    auto_close int fd = -1;
    struct stat status;

    fd = openat(walk->fds[walk->depth - 1], name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || check_mount(walk, fd) < 0)
        return -1;
    if (S_ISLNK(status.st_mode) && follows)
        return follow(walk, fd, has_slash) < 0 ? -1 : 1;
    *ret_fd = take_fd(&fd);
    return 0;
}

/* Cuts the first component off the rest; NULL when nothing is left. Caller frees. */
static char *take_component(struct walk *walk, bool *ret_is_last, bool *ret_has_slash)
{
    const char *start = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(start, "/");
    const char *next = start + length;
    char *component, *rest;

    if (length == 0)
        return NULL;
    *ret_has_slash = *next == '/';
    next += strspn(next, "/");
    *ret_is_last = *next == '\0';
    component = xstrndup(start, length);
    rest = xstrdup(next);
    free(walk->rest);
    walk->rest = rest;
    return component;
}

/* 0: go on; 1: *ret_fd is the result */
static int step(struct walk *walk, const char *name, bool is_last, bool has_slash, int flags,
                mode_t mode, int *ret_fd)
{
    bool follows = !is_last || has_slash || (flags & O_NOFOLLOW) == 0;
    auto_close int fd = -1;
    int r;

    if (strcmp(name, ".") == 0)
        return 0;
    if (strcmp(name, "..") == 0)
        return go_up(walk);
    if (is_last && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        follows = false; /* a link there is something that is there (open(2)) */
    r = look_up(walk, name, follows, has_slash, &fd);
    if (r < 0 && errno == ENOENT && is_last && (flags & O_CREAT) != 0) {
        *ret_fd = open_last(walk->fds[walk->depth - 1], name, flags, mode);
        return *ret_fd < 0 ? -1 : 1;
    }
    if (r != 0)
        return r < 0 ? -1 : 0;
    if (!is_last) {
        if (walk->depth == DEPTH_MAX)
            return fail(ENAMETOOLONG);
        walk->fds[walk->depth++] = take_fd(&fd);
        return 0;
    }
    if (has_slash)
        flags |= O_DIRECTORY;
    (void)close(take_fd(&fd)); /* where descriptors are short, one must do */
    *ret_fd = open_last(walk->fds[walk->depth - 1], name, flags, mode);
    return *ret_fd < 0 ? -1 : 1;
}

static int walk_path(struct walk *walk, int flags, mode_t mode)
{
    bool is_last = false, has_slash = false;

    for (;;) {
        auto_free char *name = take_component(walk, &is_last, &has_slash);
        int fd = -1, r;

        /* "/", ".", or a path that ends in ".." */
        if (name == NULL)
            return openat(walk->fds[walk->depth - 1], ".", flags & ~O_CREAT, mode);
        r = step(walk, name, is_last, has_slash, flags, mode, &fd);
        if (r < 0)
            return -1;
        if (r > 0)
            return fd;
    }
}

int path_walk(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    struct walk walk = { .resolve = resolve, .fds = { dir_fd }, .depth = 1 };
    int fd, code;

    assert(path != NULL);

    if (path[0] == '\0')
        return fail(ENOENT);
    if (path[0] == '/' && (resolve & RESOLVE_BENEATH) != 0)
        return fail(EXDEV);
    if (strlen(path) >= PATH_MAX)
        return fail(ENAMETOOLONG);
    if ((resolve & RESOLVE_NO_XDEV) != 0 && mount_of(dir_fd, &walk.mount_id) < 0)
        return -1;
    walk.rest = xstrdup(path);
    fd = walk_path(&walk, flags, mode);
    code = errno;
    walk_clear(&walk);
    errno = code;
    return fd;
}
