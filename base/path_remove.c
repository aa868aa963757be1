/* path_remove_tree(): a walk by descriptors that neither links nor depth can lead astray. */
#include "base/path.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/text.h"

/* Below this depth directories are moved to the top of the tree instead of being entered, so that
 * neither the stack nor the descriptors depend on what is removed. */
#define DEPTH_MAX 48

#define ENTRIES_BYTES 4096

struct removal {
    int top_fd;        /* the tree's root: where deep directories are moved to */
    struct error *err; /* the first failure; the rest is removed nevertheless */
    int result;
};

static void note_failure(struct removal *removal, int code, const char *step, const char *name)
{
    if (removal->result < 0)
        return;
    errno = code;
    removal->result = error_errno(removal->err, "%s '%s'", step, name);
}

/* Opens a directory unless it is a link or a mount point (also of the same file system). */
static int open_directory(int dir_fd, const char *name)
{
    return path_open_resolved(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                              RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

static bool empty_and_remove(struct removal *removal, int parent_fd, const char *name, int dir_fd,
                             unsigned depth);

static bool move_to_top(struct removal *removal, int dir_fd, const char *name)
{
    auto_free char *random = text_random_hex(16);
    auto_free char *moved = xasprintf(".removed-%s", random);

    if (renameat(dir_fd, name, removal->top_fd, moved) < 0 && errno != ENOENT) {
        note_failure(removal, errno, "remove the directory", name);
        return false;
    }
    return true;
}

static bool remove_directory(struct removal *removal, int dir_fd, const char *name, unsigned depth)
{
    auto_close int fd = -1;

    if (depth > DEPTH_MAX)
        return move_to_top(removal, dir_fd, name);
    fd = open_directory(dir_fd, name);
    if (fd < 0 && errno == ENOENT)
        return true; /* another process removes the same tree */
    if (fd < 0) {
        note_failure(removal, errno == EXDEV ? EBUSY : errno, "remove the directory", name);
        return false;
    }
    return empty_and_remove(removal, dir_fd, name, fd, depth);
}

static bool remove_entry(struct removal *removal, int dir_fd, const struct dirent64 *entry,
                         unsigned depth)
{
    if (entry->d_type != DT_DIR) {
        if (unlinkat(dir_fd, entry->d_name, 0) == 0 || errno == ENOENT)
            return true;
        if (errno != EISDIR) {
            note_failure(removal, errno, "remove the file", entry->d_name);
            return false;
        }
    }
    return remove_directory(removal, dir_fd, entry->d_name, depth + 1);
}

/* Reads the directory once from where it stands; tells whether everything seen could be removed. */
static bool remove_pass(struct removal *removal, int dir_fd, unsigned depth, bool *ret_is_empty)
{
    _Alignas(struct dirent64) char entries[ENTRIES_BYTES];
    bool is_done = true;

    *ret_is_empty = true;
    for (;;) {
        ssize_t length = getdents64(dir_fd, entries, sizeof(entries));

        if (length < 0 && errno != ENOENT) {
            note_failure(removal, errno, "read", "the directory");
            return false;
        }
        if (length <= 0)
            return is_done;
        for (ssize_t at = 0; at < length;) {
            const struct dirent64 *entry = (const struct dirent64 *)(entries + at);

            at += entry->d_reclen;
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            *ret_is_empty = false;
            is_done &= remove_entry(removal, dir_fd, entry, depth);
        }
    }
}

/* Again until the directory can go: removing while reading makes some file systems skip names, and
 * deep directories arrive at the top meanwhile. Ends, as each pass removes all it saw. */
static bool empty_and_remove(struct removal *removal, int parent_fd, const char *name, int dir_fd,
                             unsigned depth)
{
    bool is_empty = false;

    while (remove_pass(removal, dir_fd, depth, &is_empty)) {
        if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return true;
        if ((errno != ENOTEMPTY && errno != EEXIST) || is_empty || lseek(dir_fd, 0, SEEK_SET) < 0) {
            note_failure(removal, errno, "remove the directory", name);
            return false;
        }
    }
    return false;
}

int path_remove_tree(int dir_fd, const char *name, struct error *err)
{
    struct removal removal = { .err = err };
    auto_close int top_fd = -1;
    int code;

    assert(name != NULL);

    /* Mostly it is a directory. */
    top_fd = open_directory(dir_fd, name);
    if (top_fd < 0) {
        code = errno;
        if (code != ENOENT && (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT))
            return 0;
        /* Not a directory: what unlink said is the reason. A mount point is "busy" for both. */
        code = code == ENOTDIR || code == ELOOP ? errno : code == EXDEV ? EBUSY : code;
        errno = code;
        return code == ENOENT ? 0 : error_errno(err, "remove '%s'", name);
    }
    removal.top_fd = top_fd;
    if (!empty_and_remove(&removal, dir_fd, name, top_fd, 0))
        return error_prefix(err, removal.result, "remove '%s'", name);
    return 0;
}
