/* The operations on names in directories. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "microvm/fuse_calls.h"

#define CACHE_ALWAYS_SECONDS 86400u

int fuse_name_open(int directory_fd, const char *name)
{
    int fd = openat(directory_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

int fuse_identity_of(struct fuse_server *server, const struct fuse_request *request, mode_t umask)
{
    /* What capabilities he has there is not told; root is taken to have them. */
    return fuse_identity_enter(&server->identity, request->header.uid, request->header.gid, umask,
                               request->header.uid != 0);
}

int fuse_identity_without_set_id(struct fuse_server *server, const struct fuse_request *request,
                                 bool kills_set_id)
{
    const struct fuse_in_header *caller = &request->header;

    if (!kills_set_id)
        return 0;
    return fuse_identity_enter(&server->identity, caller->uid, caller->gid, 0, true);
}

/* --- entries ---------------------------------------------------------------------------------- */

uint64_t fuse_cache_seconds(const struct fuse_server *server)
{
    switch (server->options.cache) {
    case FUSE_CACHE_NONE:
        return 0;
    case FUSE_CACHE_AUTO:
        return 1;
    case FUSE_CACHE_ALWAYS:
        break;
    }
    return CACHE_ALWAYS_SECONDS;
}

void fuse_attributes_write(const struct fuse_server *server, const struct fuse_inode *inode,
                           const struct statx *status, struct fuse_attr *ret_attributes)
{
    *ret_attributes = (struct fuse_attr){
        .ino = status->stx_ino,
        .size = status->stx_size,
        .blocks = status->stx_blocks,
        .atime = (uint64_t)status->stx_atime.tv_sec,
        .mtime = (uint64_t)status->stx_mtime.tv_sec,
        .ctime = (uint64_t)status->stx_ctime.tv_sec,
        .atimensec = status->stx_atime.tv_nsec,
        .mtimensec = status->stx_mtime.tv_nsec,
        .ctimensec = status->stx_ctime.tv_nsec,
        .mode = status->stx_mode,
        .nlink = status->stx_nlink,
        .uid = status->stx_uid,
        .gid = status->stx_gid,
        /* 32 bits, as new_encode_dev() of the kernel */
        .rdev = (status->stx_rdev_minor & 0xff) | status->stx_rdev_major << 8 |
                (status->stx_rdev_minor & ~0xffu) << 12,
        .blksize = status->stx_blksize,
    };
    if (inode->is_submount && (server->init_flags & FUSE_SUBMOUNTS) != 0)
        ret_attributes->flags = FUSE_ATTR_SUBMOUNT;
}

int fuse_entry_add(struct fuse_server *server, int fd, struct fuse_inode *parent, const char *name,
                   struct fuse_entry_out *ret_entry, struct fuse_inode **ret_inode)
{
    struct fuse_inode *inode;
    struct statx status;
    int r = fuse_inodes_look_up(&server->inodes, fd, parent, name, &inode, &status);

    if (r < 0)
        return r;
    *ret_entry = (struct fuse_entry_out){
        .nodeid = inode->id,
        .entry_valid = fuse_cache_seconds(server),
        .attr_valid = fuse_cache_seconds(server),
    };
    fuse_attributes_write(server, inode, &status, &ret_entry->attr);
    if (ret_inode != NULL)
        *ret_inode = inode;
    return sizeof(*ret_entry);
}

/* The entry of a name that is there, in @reply. */
static int entry_reply(struct fuse_server *server, struct fuse_inode *directory, int directory_fd,
                       const char *name, uint8_t *reply)
{
    int fd = fuse_name_open(directory_fd, name);

    if (fd < 0)
        return fd;
    return fuse_entry_add(server, fd, directory, name, (struct fuse_entry_out *)reply, NULL);
}

int fuse_call_lookup(struct fuse_server *server, const struct fuse_request *request,
                     struct fuse_inode *inode, uint8_t *reply)
{
    int fd = fuse_inodes_descriptor(&server->inodes, inode);
    int r = fd < 0 ? fd : entry_reply(server, inode, fd, request->names[0], reply);

    /* "Not there" is remembered as long as what is there. */
    if (r == -ENOENT && server->options.cache == FUSE_CACHE_ALWAYS) {
        *(struct fuse_entry_out *)reply =
            (struct fuse_entry_out){ .entry_valid = fuse_cache_seconds(server) };
        return sizeof(struct fuse_entry_out);
    }
    return r;
}

/* --- new names -------------------------------------------------------------------------------- */

/* Ends what fuse_identity_of() began; @r is the result of the system call between. */
static int made_reply(struct fuse_server *server, int r, struct fuse_inode *directory, int fd,
                      const char *name, uint8_t *reply)
{
    int code = errno;

    fuse_identity_leave(&server->identity);
    return r < 0 ? -code : entry_reply(server, directory, fd, name, reply);
}

int fuse_call_symlink(struct fuse_server *server, const struct fuse_request *request,
                      struct fuse_inode *inode, uint8_t *reply)
{
    int fd = fuse_inodes_descriptor(&server->inodes, inode);
    int r = fd < 0 ? fd : fuse_identity_of(server, request, 0);

    if (r < 0)
        return r;
    r = symlinkat(request->names[1], fd, request->names[0]);
    return made_reply(server, r, inode, fd, request->names[0], reply);
}

/* As makedev() of the kernel's 32 bits; the inverse of what fuse_attributes_write() does. */
static dev_t device_of(uint32_t encoded)
{
    return makedev((encoded & 0xfff00) >> 8, (encoded & 0xff) | ((encoded >> 12) & 0xfff00));
}

int fuse_call_mknod(struct fuse_server *server, const struct fuse_request *request,
                    struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_mknod_in *in = &request->in.mknod;
    mode_t type = in->mode & S_IFMT;
    dev_t device = device_of(in->rdev);
    bool is_whiteout = type == S_IFCHR && device == 0;
    int fd;
    int r;

    /* A host's user who can reach the directory could open what is a device there. */
    if (!is_whiteout && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK)
        return -EPERM;
    fd = fuse_inodes_descriptor(&server->inodes, inode);
    r = fd < 0 ? fd : fuse_identity_of(server, request, in->umask);
    if (r < 0)
        return r;
    r = mknodat(fd, request->names[0], in->mode & (S_IFMT | 07777), is_whiteout ? device : 0);
    return made_reply(server, r, inode, fd, request->names[0], reply);
}

int fuse_call_mkdir(struct fuse_server *server, const struct fuse_request *request,
                    struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_mkdir_in *in = &request->in.mkdir;
    int fd = fuse_inodes_descriptor(&server->inodes, inode);
    int r = fd < 0 ? fd : fuse_identity_of(server, request, in->umask);

    if (r < 0)
        return r;
    r = mkdirat(fd, request->names[0], in->mode & 07777);
    return made_reply(server, r, inode, fd, request->names[0], reply);
}

int fuse_call_link(struct fuse_server *server, const struct fuse_request *request,
                   struct fuse_inode *inode, uint8_t *reply)
{
    struct fuse_inode *file = fuse_inodes_find(&server->inodes, request->in.link.oldnodeid);
    char path[FD_PATH_MAX];
    int directory_fd;
    int fd;
    int r;

    if (file == NULL)
        return -ESTALE;
    directory_fd = fuse_inodes_descriptor(&server->inodes, inode);
    if (directory_fd < 0)
        return directory_fd;
    /* So that the second descriptor does not close the first. */
    fuse_inodes_use(&server->inodes, inode);
    fd = fuse_inodes_descriptor(&server->inodes, file);
    r = fd < 0 ? fd : 0;
    /* The file itself, also when it has no name any more (open(2), O_TMPFILE). */
    if (r == 0 &&
        linkat(AT_FDCWD, fd_path(fd, path), directory_fd, request->names[0], AT_SYMLINK_FOLLOW) < 0)
        r = -errno;
    if (r == 0)
        r = entry_reply(server, inode, directory_fd, request->names[0], reply);
    fuse_inodes_release(&server->inodes, inode);
    return r;
}

/* --- names that go ---------------------------------------------------------------------------- */

static int name_remove(struct fuse_server *server, const struct fuse_request *request,
                       struct fuse_inode *inode, int flags)
{
    int fd = fuse_inodes_descriptor(&server->inodes, inode);

    if (fd < 0)
        return fd;
    return unlinkat(fd, request->names[0], flags) < 0 ? -errno : 0;
}

int fuse_call_unlink(struct fuse_server *server, const struct fuse_request *request,
                     struct fuse_inode *inode, uint8_t *reply)
{
    (void)reply;
    return name_remove(server, request, inode, 0);
}

int fuse_call_rmdir(struct fuse_server *server, const struct fuse_request *request,
                    struct fuse_inode *inode, uint8_t *reply)
{
    (void)reply;
    return name_remove(server, request, inode, AT_REMOVEDIR);
}

/* A known file that now is @name has to be found there from now on. */
static void name_moved(struct fuse_server *server, struct fuse_inode *directory, int directory_fd,
                       const char *name)
{
    struct fuse_inode *inode;
    struct stat status;

    if (fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    inode = fuse_inodes_find_file(&server->inodes, status.st_dev, status.st_ino);
    if (inode != NULL)
        fuse_inodes_rename(&server->inodes, inode, directory, name);
}

static int rename_between(struct fuse_server *server, const struct fuse_request *request,
                          struct fuse_inode *from, struct fuse_inode *to, unsigned flags)
{
    int from_fd = fuse_inodes_descriptor(&server->inodes, from);
    int to_fd;

    if (from_fd < 0)
        return from_fd;
    to_fd = fuse_inodes_descriptor(&server->inodes, to);
    if (to_fd < 0)
        return to_fd;
    if (renameat2(from_fd, request->names[0], to_fd, request->names[1], flags) < 0)
        return -errno;
    name_moved(server, to, to_fd, request->names[1]);
    if ((flags & RENAME_EXCHANGE) != 0)
        name_moved(server, from, from_fd, request->names[0]);
    return 0;
}

static int rename_by_id(struct fuse_server *server, const struct fuse_request *request,
                        struct fuse_inode *from, uint64_t to_id, unsigned flags)
{
    struct fuse_inode *to = fuse_inodes_find(&server->inodes, to_id);
    int r;

    if (to == NULL)
        return -ESTALE;
    fuse_inodes_use(&server->inodes, from);
    fuse_inodes_use(&server->inodes, to);
    r = rename_between(server, request, from, to, flags);
    fuse_inodes_release(&server->inodes, to);
    fuse_inodes_release(&server->inodes, from);
    return r;
}

int fuse_call_rename(struct fuse_server *server, const struct fuse_request *request,
                     struct fuse_inode *inode, uint8_t *reply)
{
    (void)reply;
    return rename_by_id(server, request, inode, request->in.rename.newdir, 0);
}

int fuse_call_rename2(struct fuse_server *server, const struct fuse_request *request,
                      struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_rename2_in *in = &request->in.rename2;

    (void)reply;
    if ((in->flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) != 0)
        return -EINVAL;
    return rename_by_id(server, request, inode, in->newdir, in->flags);
}
