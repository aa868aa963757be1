/* The operations on what a file is: attributes, extended attributes, links' targets. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/limits.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "microvm/fuse_calls.h"

/* --- attributes ------------------------------------------------------------------------------- */

static int attributes_reply(const struct fuse_server *server, const struct fuse_inode *inode,
                            int fd, uint8_t *reply)
{
    struct fuse_attr_out *out = (struct fuse_attr_out *)reply;
    struct statx status;
    int r = fuse_inode_status(fd, &status);

    if (r < 0)
        return r;
    *out = (struct fuse_attr_out){ .attr_valid = fuse_cache_seconds(server) };
    fuse_attributes_write(server, inode, &status, &out->attr);
    return sizeof(*out);
}

int fuse_call_getattr(struct fuse_server *server, const struct fuse_request *request,
                      struct fuse_inode *inode, uint8_t *reply)
{
    int fd = fuse_inodes_descriptor(&server->inodes, inode);

    (void)request;
    return fd < 0 ? fd : attributes_reply(server, inode, fd, reply);
}

static int size_set(struct fuse_server *server, const struct fuse_request *request,
                    struct fuse_inode *inode)
{
    const struct fuse_setattr_in *in = &request->in.setattr;
    struct fuse_file *file = NULL;
    bool is_opened = (in->valid & FATTR_FH) == 0;
    int r;

    if (is_opened) {
        r = fuse_file_open(server, inode, O_WRONLY, &file);
        if (r < 0)
            return r;
    } else {
        file = fuse_file_find(server, in->fh, inode);
        if (file == NULL)
            return -EBADF;
    }
    r = in->size > INT64_MAX ? -EFBIG : 0;
    if (r == 0)
        r = fuse_identity_without_set_id(server, request, (in->valid & FATTR_KILL_SUIDGID) != 0);
    if (r == 0 && ftruncate(file->fd, (off_t)in->size) < 0)
        r = -errno;
    fuse_identity_leave(&server->identity);
    if (is_opened)
        fuse_file_close(server, file);
    return r;
}

static int owner_set(int fd, const struct fuse_setattr_in *in)
{
    uid_t uid = (in->valid & FATTR_UID) != 0 ? in->uid : (uid_t)-1;
    gid_t gid = (in->valid & FATTR_GID) != 0 ? in->gid : (gid_t)-1;

    return fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static struct timespec time_of(const struct fuse_setattr_in *in, uint32_t set, uint32_t now,
                               uint64_t seconds, uint32_t nanoseconds)
{
    if ((in->valid & now) != 0)
        return (struct timespec){ .tv_nsec = UTIME_NOW };
    if ((in->valid & set) == 0)
        return (struct timespec){ .tv_nsec = UTIME_OMIT };
    /* A number that means "now" or "not" is none of a kernel's. */
    return (struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = nanoseconds % 1000000000 };
}

static int times_set(int fd, const struct fuse_setattr_in *in)
{
    struct timespec times[2] = {
        time_of(in, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
        time_of(in, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec),
    };

    return utimensat(fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* In this order: a new size removes set-id bits and sets times, a new owner removes set-id bits. */
int fuse_call_setattr(struct fuse_server *server, const struct fuse_request *request,
                      struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_setattr_in *in = &request->in.setattr;
    char path[FD_PATH_MAX];
    int fd = -1;
    int r = 0;

    if ((in->valid & FATTR_SIZE) != 0)
        r = size_set(server, request, inode);
    if (r == 0) {
        fd = fuse_inodes_descriptor(&server->inodes, inode);
        r = fd < 0 ? fd : 0;
    }
    if (r == 0 && (in->valid & (FATTR_UID | FATTR_GID)) != 0)
        r = owner_set(fd, in);
    if (r == 0 && (in->valid & FATTR_MODE) != 0 && chmod(fd_path(fd, path), in->mode & 07777) < 0)
        r = -errno;
    if (r == 0 && (in->valid & (FATTR_ATIME | FATTR_MTIME)) != 0)
        r = times_set(fd, in);
    return r < 0 ? r : attributes_reply(server, inode, fd, reply);
}

/* --- other ------------------------------------------------------------------------------------ */

int fuse_call_readlink(struct fuse_server *server, const struct fuse_request *request,
                       struct fuse_inode *inode, uint8_t *reply)
{
    int fd = fuse_inodes_descriptor(&server->inodes, inode);
    ssize_t length;

    (void)request;
    if (fd < 0)
        return fd;
    length = readlinkat(fd, "", (char *)reply, PATH_MAX);
    if (length < 0)
        /* ENOENT is what an empty path gives for anything but a link. */
        return errno == ENOENT ? -EINVAL : -errno;
    return (int)length;
}

int fuse_call_statfs(struct fuse_server *server, const struct fuse_request *request,
                     struct fuse_inode *inode, uint8_t *reply)
{
    int fd = fuse_inodes_descriptor(&server->inodes, inode);
    struct statfs status;

    (void)request;
    if (fd < 0)
        return fd;
    if (fstatfs(fd, &status) < 0)
        return -errno;
    *(struct fuse_statfs_out *)reply = (struct fuse_statfs_out){
        .st = {
            .blocks = status.f_blocks,
            .bfree = status.f_bfree,
            .bavail = status.f_bavail,
            .files = status.f_files,
            .ffree = status.f_ffree,
            .bsize = (uint32_t)status.f_bsize,
            .namelen = (uint32_t)status.f_namelen,
            .frsize = (uint32_t)status.f_frsize,
        },
    };
    return sizeof(struct fuse_statfs_out);
}

/* Only asked where the guest's kernel does not check by itself: about what a file's mode says. */
int fuse_call_access(struct fuse_server *server, const struct fuse_request *request,
                     struct fuse_inode *inode, uint8_t *reply)
{
    uint32_t mask = request->in.access.mask & (R_OK | W_OK | X_OK);
    const struct fuse_in_header *caller = &request->header;
    struct statx status;
    int fd = fuse_inodes_descriptor(&server->inodes, inode);
    int r = fd < 0 ? fd : fuse_inode_status(fd, &status);
    unsigned granted;

    (void)reply;
    if (r < 0)
        return r;
    if ((mask & W_OK) != 0 && server->options.is_read_only)
        return -EROFS;
    if (caller->uid == 0)
        granted = R_OK | W_OK | (S_ISDIR(inode->type) || (status.stx_mode & 0111) != 0 ? X_OK : 0);
    else if (caller->uid == status.stx_uid)
        granted = status.stx_mode >> 6;
    else if (caller->gid == status.stx_gid)
        granted = status.stx_mode >> 3;
    else
        granted = status.stx_mode;
    return (mask & ~granted) != 0 ? -EACCES : 0;
}

int fuse_call_syncfs(struct fuse_server *server, const struct fuse_request *request,
                     struct fuse_inode *inode, uint8_t *reply)
{
    (void)request;
    (void)inode;
    (void)reply;
    return syncfs(server->options.root_fd) < 0 ? -errno : 0;
}

/* --- extended attributes ------------------------------------------------------------------------
 */

/* Through /proc: an O_PATH descriptor itself is not taken. It leads to the very file, also to a
 * symbolic link. */
static int path_of(struct fuse_server *server, struct fuse_inode *inode, char *ret_path)
{
    int fd = fuse_inodes_descriptor(&server->inodes, inode);

    if (fd < 0)
        return fd;
    (void)fd_path(fd, ret_path);
    return 0;
}

int fuse_call_setxattr(struct fuse_server *server, const struct fuse_request *request,
                       struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_setxattr_in *in = &request->in.setxattr;
    char path[FD_PATH_MAX];
    int r = path_of(server, inode, path);

    (void)reply;
    if (r < 0)
        return r;
    if (in->size > XATTR_SIZE_MAX)
        return -E2BIG;
    r = fuse_identity_without_set_id(server, request,
                                     (in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0);
    if (r == 0 && setxattr(path, request->names[0], request->data, in->size, (int)in->flags) < 0)
        r = -errno;
    fuse_identity_leave(&server->identity);
    return r;
}

/* Also for LISTXATTR, which has no name. */
int fuse_call_getxattr(struct fuse_server *server, const struct fuse_request *request,
                       struct fuse_inode *inode, uint8_t *reply)
{
    uint32_t size = request->in.getxattr.size;
    size_t room = size < XATTR_SIZE_MAX ? size : XATTR_SIZE_MAX;
    const char *name = request->names[0];
    char path[FD_PATH_MAX];
    ssize_t length;
    int r = path_of(server, inode, path);

    if (r < 0)
        return r;
    length =
        name != NULL ? getxattr(path, name, reply, room) : listxattr(path, (char *)reply, room);
    if (length < 0)
        return -errno;
    if (size > 0)
        return (int)length;
    /* The answer to "how large" is a struct, to "which" the bytes themselves. */
    *(struct fuse_getxattr_out *)reply = (struct fuse_getxattr_out){ .size = (uint32_t)length };
    return sizeof(struct fuse_getxattr_out);
}

int fuse_call_removexattr(struct fuse_server *server, const struct fuse_request *request,
                          struct fuse_inode *inode, uint8_t *reply)
{
    char path[FD_PATH_MAX];
    int r = path_of(server, inode, path);

    (void)reply;
    if (r < 0)
        return r;
    return removexattr(path, request->names[0]) < 0 ? -errno : 0;
}
