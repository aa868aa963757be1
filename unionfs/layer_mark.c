#include "unionfs/layer_mark.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/text.h"
#include "unionfs/whiteout.h"

#define OWN_WHITEOUT LAYER_MARK_PREFIX "whiteout"
#define OWN_OPAQUE   LAYER_MARK_PREFIX "opaque"

static bool is_refused(int code)
{
    return code == EPERM || code == EACCES || code == EOPNOTSUPP;
}

/* With the time 0, as all whiteouts are alike. */
static int make_own_whiteout(int dir_fd, const char *name, struct error *err)
{
    const struct timespec times[2] = { 0 };
    auto_close int fd = -1;

    fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(err, "make the whiteout");
    if (fsetxattr(fd, OWN_WHITEOUT, "y", 1, 0) < 0 || futimens(fd, times) < 0) {
        int code = errno;

        (void)unlinkat(dir_fd, name, 0); /* else it would be a file of the layer */
        errno = code;
        return error_errno(err, "make the whiteout (no device 0:0, and no attribute either, can be "
                                "made on this file system)");
    }
    return 0;
}

/* What fuse-overlayfs takes for one. */
static int make_named_whiteout(int dir_fd, const char *name, struct error *err)
{
    auto_free char *other_name = xasprintf(WHITEOUT_PREFIX "%s", name);
    int r = make_own_whiteout(dir_fd, other_name, err);

    return r == -EEXIST ? 0 : r;
}

int layer_mark_whiteout(int dir_fd, const char *name, struct error *err)
{
    int r;

    assert(name != NULL);

    if (mknodat(dir_fd, name, S_IFCHR, 0) == 0)
        return 0;
    if (!is_refused(errno))
        return error_errno(err, "make the whiteout");
    r = make_own_whiteout(dir_fd, name, err);
    return r < 0 ? r : make_named_whiteout(dir_fd, name, err);
}

void layer_mark_drop_whiteout(int dir_fd, const char *name)
{
    auto_free char *other_name = xasprintf(WHITEOUT_PREFIX "%s", name);

    (void)unlinkat(dir_fd, other_name, 0); /* mostly not there */
}

bool layer_mark_is_whiteout(int dir_fd, const char *name, const struct stat *status)
{
    auto_close int fd = -1;
    char value[2];

    if (S_ISCHR(status->st_mode))
        return status->st_rdev == 0;
    if (status->st_mode != S_IFREG || status->st_size != 0)
        return false;
    fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 && fgetxattr(fd, OWN_WHITEOUT, value, sizeof(value)) == 1;
}

static int make_named_opaque(int fd, struct error *err)
{
    int r = make_own_whiteout(fd, WHITEOUT_OPAQUE_NAME, err);

    return r == -EEXIST ? 0 : r;
}

int layer_mark_opaque(int fd, struct error *err)
{
    if (fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) == 0)
        return 0;
    /* Refused for who is root of a user namespace only. */
    if (errno == EPERM && fsetxattr(fd, "user.overlay.opaque", "y", 1, 0) == 0)
        return 0;
    if (is_refused(errno) && fsetxattr(fd, OWN_OPAQUE, "y", 1, 0) == 0)
        return make_named_opaque(fd, err);
    return error_errno(err, "mark as opaque");
}

bool layer_mark_is_opaque(int fd)
{
    static const char *const names[] = { "trusted.overlay.opaque", "user.overlay.opaque" };
    char value[2];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (fgetxattr(fd, names[i], value, sizeof(value)) == 1)
            return value[0] == 'y';
    return fgetxattr(fd, OWN_OPAQUE, value, sizeof(value)) == 1;
}
