/* The operations on open files. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "microvm/fuse_calls.h"

/* Of what a guest may ask for when it opens a file. O_DIRECT is served from the host's cache, since
 * requests are not aligned as it demands; O_APPEND is done by each write. */
#define COPY_MAX   (64u << 20)
#define OPEN_FLAGS (O_ACCMODE | O_TRUNC | O_SYNC | O_NOATIME)

/* --- open files --------------------------------------------------------------------------------
 */

/* Takes @fd, whose place is reserved. @id: 0: a new number. */
static int file_add(struct fuse_server *server, uint64_t id, struct fuse_inode *inode, int fd,
                    struct fuse_file **ret_file)
{
    struct fuse_file *file = xcalloc(1, sizeof(*file));

    if (id == 0)
        file->id = fuse_slots_add(&server->files, file);
    else if (fuse_slots_put(&server->files, id, file) == 0)
        file->id = id;
    if (file->id == 0) {
        free(file);
        (void)close(fd); /* the error is the other one */
        fuse_inodes_unreserve(&server->inodes);
        return -ENFILE;
    }
    file->inode = inode;
    file->fd = fd;
    fuse_inodes_use(&server->inodes, inode);
    *ret_file = file;
    return 0;
}

/* Opens what an O_PATH descriptor leads to. */
static int reopen(struct fuse_inode *inode, int path_fd, int flags)
{
    char path[FD_PATH_MAX];
    int fd;

    /* Never a device, FIFO or socket: the type of the file behind a descriptor does not change. */
    if (S_ISREG(inode->type))
        fd = open(fd_path(path_fd, path), (flags & OPEN_FLAGS) | O_CLOEXEC | O_NOCTTY);
    else if (S_ISDIR(inode->type))
        fd = open(fd_path(path_fd, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    else
        return -EOPNOTSUPP;
    return fd < 0 ? -errno : fd;
}

static int file_open(struct fuse_server *server, uint64_t id, struct fuse_inode *inode, int flags,
                     struct fuse_file **ret_file)
{
    int path_fd;
    int fd;
    int r;

    if (server->options.is_read_only && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0))
        return -EROFS;
    r = fuse_inodes_reserve(&server->inodes);
    if (r < 0)
        return r;
    path_fd = fuse_inodes_descriptor(&server->inodes, inode);
    fd = path_fd < 0 ? path_fd : reopen(inode, path_fd, flags);
    if (fd < 0) {
        fuse_inodes_unreserve(&server->inodes);
        return fd;
    }
    r = file_add(server, id, inode, fd, ret_file);
    if (r == 0)
        (*ret_file)->is_append = (flags & O_APPEND) != 0;
    return r;
}

int fuse_file_open(struct fuse_server *server, struct fuse_inode *inode, int flags,
                   struct fuse_file **ret_file)
{
    return file_open(server, 0, inode, flags, ret_file);
}

int fuse_file_flags(const struct fuse_file *file)
{
    const int flags = fcntl(file->fd, F_GETFL);

    assert(flags >= 0);
    return (flags & OPEN_FLAGS & ~O_TRUNC) | (file->is_append ? O_APPEND : 0);
}

int fuse_file_restore(struct fuse_server *server, uint64_t id, struct fuse_inode *inode, int flags)
{
    struct fuse_file *file;

    assert(id != 0);
    if ((flags & ~(OPEN_FLAGS | O_APPEND)) != 0 || (flags & O_TRUNC) != 0)
        return -EINVAL;
    return file_open(server, id, inode, flags, &file);
}

struct fuse_file *fuse_file_find(const struct fuse_server *server, uint64_t fh,
                                 const struct fuse_inode *inode)
{
    struct fuse_file *file = fuse_slots_find(&server->files, fh);

    return file != NULL && file->inode == inode ? file : NULL;
}

void fuse_file_close(struct fuse_server *server, struct fuse_file *file)
{
    (void)close(file->fd); /* what can fail was reported by FLUSH */
    fuse_inodes_unreserve(&server->inodes);
    fuse_inodes_release(&server->inodes, file->inode);
    fuse_slots_remove(&server->files, file->id);
    free(file);
}

static void open_reply(const struct fuse_server *server, const struct fuse_file *file,
                       struct fuse_open_out *ret_out)
{
    *ret_out = (struct fuse_open_out){ .fh = file->id };
    if (server->options.cache == FUSE_CACHE_ALWAYS)
        ret_out->open_flags = FOPEN_KEEP_CACHE;
}

/* With O_TRUNC it may have to lose its set-id bits. */
static int open_as_asked(struct fuse_server *server, const struct fuse_request *request,
                         struct fuse_inode *inode, uint32_t fuse_flags, uint32_t flags,
                         struct fuse_file **ret_file)
{
    int r =
        fuse_identity_without_set_id(server, request, (fuse_flags & FUSE_OPEN_KILL_SUIDGID) != 0);

    if (r == 0)
        r = fuse_file_open(server, inode, (int)flags, ret_file);
    fuse_identity_leave(&server->identity);
    return r;
}

int fuse_call_open(struct fuse_server *server, const struct fuse_request *request,
                   struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_open_in *in = &request->in.open;
    struct fuse_file *file;
    int r;

    if (!S_ISREG(inode->type))
        return S_ISDIR(inode->type) ? -EISDIR : -EOPNOTSUPP;
    r = open_as_asked(server, request, inode, in->open_flags, in->flags, &file);
    if (r < 0)
        return r;
    open_reply(server, file, (struct fuse_open_out *)reply);
    return sizeof(struct fuse_open_out);
}

/* --- new files ---------------------------------------------------------------------------------
 */

struct created_reply {
    struct fuse_entry_out entry;
    struct fuse_open_out open;
};

/* The answer for a new file behind @fd, which is taken and whose place is reserved.
 * @name: NULL: it has none. */
static int created_add(struct fuse_server *server, int fd, struct fuse_inode *directory,
                       const char *name, bool is_append, struct created_reply *reply)
{
    auto_close int owned = fd;
    struct fuse_inode *inode;
    struct fuse_file *file;
    char path[FD_PATH_MAX];
    int path_fd = open(fd_path(fd, path), O_PATH | O_CLOEXEC);
    int r = path_fd < 0 ? -errno : 0;

    if (r == 0)
        r = fuse_entry_add(server, path_fd, name == NULL ? NULL : directory, name, &reply->entry,
                           &inode);
    if (r < 0) {
        fuse_inodes_unreserve(&server->inodes);
        return r;
    }
    r = file_add(server, 0, inode, take_fd(&owned), &file);
    if (r < 0) {
        fuse_inodes_forget(&server->inodes, inode, 1);
        return r;
    }
    file->is_append = is_append;
    open_reply(server, file, &reply->open);
    return sizeof(*reply);
}

/* Makes a file and opens it. -EEXIST also where the name is a link to nowhere, or a device. */
static int create_new(struct fuse_server *server, const struct fuse_request *request,
                      struct fuse_inode *directory, const char *name, struct created_reply *reply)
{
    const struct fuse_create_in *in = &request->in.create;
    int how = name == NULL ? O_TMPFILE | ((int)in->flags & O_EXCL) : O_CREAT | O_EXCL | O_NOFOLLOW;
    int flags = ((int)in->flags & OPEN_FLAGS & ~O_TRUNC) | how | O_CLOEXEC | O_NOCTTY;
    int directory_fd;
    int fd;
    int r = fuse_inodes_reserve(&server->inodes);

    if (r < 0)
        return r;
    directory_fd = fuse_inodes_descriptor(&server->inodes, directory);
    r = directory_fd < 0 ? directory_fd : fuse_identity_of(server, request, in->umask);
    if (r < 0) {
        fuse_inodes_unreserve(&server->inodes);
        return r;
    }
    fd = openat(directory_fd, name == NULL ? "." : name, flags, in->mode & 07777);
    r = fd < 0 ? -errno : 0;
    fuse_identity_leave(&server->identity);
    if (r < 0) {
        fuse_inodes_unreserve(&server->inodes);
        return r;
    }
    return created_add(server, fd, directory, name, (in->flags & O_APPEND) != 0, reply);
}

/* The name exists: somebody else was faster, or the guest did not know it yet. */
static int create_existing(struct fuse_server *server, const struct fuse_request *request,
                           struct fuse_inode *directory, struct created_reply *reply)
{
    const struct fuse_create_in *in = &request->in.create;
    const char *name = request->names[0];
    int directory_fd = fuse_inodes_descriptor(&server->inodes, directory);
    int path_fd = directory_fd < 0 ? directory_fd : fuse_name_open(directory_fd, name);
    struct fuse_inode *inode;
    struct fuse_file *file;
    int r;

    if (path_fd < 0)
        return path_fd;
    r = fuse_entry_add(server, path_fd, directory, name, &reply->entry, &inode);
    if (r < 0)
        return r;
    r = S_ISREG(inode->type)
            ? open_as_asked(server, request, inode, in->open_flags, in->flags, &file)
            : -EEXIST;
    if (r < 0) {
        fuse_inodes_forget(&server->inodes, inode, 1);
        return r;
    }
    open_reply(server, file, &reply->open);
    return sizeof(*reply);
}

/* Never O_CREAT without O_EXCL: it would open what is there, whatever that is. */
int fuse_call_create(struct fuse_server *server, const struct fuse_request *request,
                     struct fuse_inode *inode, uint8_t *reply)
{
    struct created_reply *created = (struct created_reply *)reply;
    int r = create_new(server, request, inode, request->names[0], created);

    if (r == -EEXIST && (request->in.create.flags & O_EXCL) == 0)
        r = create_existing(server, request, inode, created);
    return r;
}

int fuse_call_tmpfile(struct fuse_server *server, const struct fuse_request *request,
                      struct fuse_inode *inode, uint8_t *reply)
{
    return create_new(server, request, inode, NULL, (struct created_reply *)reply);
}

/* --- data --------------------------------------------------------------------------------------
 */

int fuse_call_read(struct fuse_server *server, const struct fuse_request *request,
                   struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_read_in *in = &request->in.read;
    struct fuse_file *file = fuse_file_find(server, in->fh, inode);
    ssize_t length;

    if (file == NULL)
        return -EBADF;
    if (in->size > FUSE_MAX_WRITE || in->offset > INT64_MAX)
        return -EINVAL;
    length = pread(file->fd, reply, in->size, (off_t)in->offset);
    return length < 0 ? -errno : (int)length;
}

/* With RWF_APPEND and not with O_APPEND: what the guest's kernel writes back of a mapped file comes
 * by any descriptor of it, and has to stay where it is. */
int fuse_call_write(struct fuse_server *server, const struct fuse_request *request,
                    struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_write_in *in = &request->in.write;
    struct fuse_file *file = fuse_file_find(server, in->fh, inode);
    struct iovec bytes = { (void *)request->data, request->data_length };
    bool is_cache = (in->write_flags & FUSE_WRITE_CACHE) != 0;
    ssize_t length;
    int r;

    if (file == NULL)
        return -EBADF;
    if (in->offset > INT64_MAX)
        return -EFBIG;
    r = fuse_identity_without_set_id(server, request,
                                     (in->write_flags & FUSE_WRITE_KILL_SUIDGID) != 0);
    if (r < 0)
        return r;
    length = pwritev2(file->fd, &bytes, 1, (off_t)in->offset,
                      file->is_append && !is_cache ? RWF_APPEND : 0);
    r = length < 0 ? -errno : 0;
    fuse_identity_leave(&server->identity);
    if (r < 0)
        return r;
    *(struct fuse_write_out *)reply = (struct fuse_write_out){ .size = (uint32_t)length };
    return sizeof(struct fuse_write_out);
}

int fuse_call_flush(struct fuse_server *server, const struct fuse_request *request,
                    struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_flush_in *in = &request->in.flush;
    struct fuse_file *file = fuse_file_find(server, in->fh, inode);
    int copy;

    (void)reply;
    if (file == NULL)
        return -EBADF;
    fuse_locks_drop_owner(server, inode, in->lock_owner);
    /* Some file systems tell at close that a write failed: close(2). */
    copy = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return -errno;
    return close(copy) < 0 ? -errno : 0;
}

int fuse_call_release(struct fuse_server *server, const struct fuse_request *request,
                      struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_release_in *in = &request->in.release;
    struct fuse_file *file = fuse_file_find(server, in->fh, inode);

    (void)reply;
    if (file == NULL)
        return -EBADF;
    /* A thread that waits for a lock has a descriptor of the same open file. */
    if ((in->release_flags & FUSE_RELEASE_FLOCK_UNLOCK) != 0)
        (void)flock(file->fd, LOCK_UN);
    fuse_file_close(server, file);
    return 0;
}

int fuse_call_fsync(struct fuse_server *server, const struct fuse_request *request,
                    struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_fsync_in *in = &request->in.fsync;
    struct fuse_file *file = fuse_file_find(server, in->fh, inode);
    bool is_data = (in->fsync_flags & FUSE_FSYNC_FDATASYNC) != 0;

    (void)reply;
    if (file == NULL)
        return -EBADF;
    return (is_data ? fdatasync(file->fd) : fsync(file->fd)) < 0 ? -errno : 0;
}

int fuse_call_fallocate(struct fuse_server *server, const struct fuse_request *request,
                        struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_fallocate_in *in = &request->in.fallocate;
    struct fuse_file *file = fuse_file_find(server, in->fh, inode);
    const uint32_t served = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;

    (void)reply;
    if (file == NULL)
        return -EBADF;
    if ((in->mode & ~served) != 0)
        return -EOPNOTSUPP;
    if (in->offset > INT64_MAX || in->length > INT64_MAX)
        return -EFBIG;
    return fallocate(file->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length) < 0 ? -errno
                                                                                        : 0;
}

int fuse_call_lseek(struct fuse_server *server, const struct fuse_request *request,
                    struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_lseek_in *in = &request->in.lseek;
    struct fuse_file *file = fuse_file_find(server, in->fh, inode);
    off_t offset;

    if (file == NULL || S_ISDIR(inode->type))
        return -EBADF;
    if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
        return -EINVAL;
    if (in->offset > INT64_MAX)
        return -ENXIO;
    offset = lseek(file->fd, (off_t)in->offset, (int)in->whence);
    if (offset < 0)
        return -errno;
    *(struct fuse_lseek_out *)reply = (struct fuse_lseek_out){ .offset = (uint64_t)offset };
    return sizeof(struct fuse_lseek_out);
}

int fuse_call_copy_file_range(struct fuse_server *server, const struct fuse_request *request,
                              struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_copy_file_range_in *in = &request->in.copy_file_range;
    struct fuse_inode *target = fuse_inodes_find(&server->inodes, in->nodeid_out);
    struct fuse_file *from = fuse_file_find(server, in->fh_in, inode);
    struct fuse_file *to = target == NULL ? NULL : fuse_file_find(server, in->fh_out, target);
    off64_t from_offset = (off64_t)in->off_in;
    off64_t to_offset = (off64_t)in->off_out;
    /* The answer has 32 bits; a piece that does not keep all others waiting for long. */
    size_t length = in->len < COPY_MAX ? in->len : COPY_MAX;
    ssize_t copied;

    if (from == NULL || to == NULL)
        return -EBADF;
    if (in->off_in > INT64_MAX || in->off_out > INT64_MAX)
        return -EFBIG;
    if (in->flags != 0)
        return -EINVAL;
    copied = copy_file_range(from->fd, &from_offset, to->fd, &to_offset, length, 0);
    if (copied < 0)
        return -errno;
    *(struct fuse_write_out *)reply = (struct fuse_write_out){ .size = (uint32_t)copied };
    return sizeof(struct fuse_write_out);
}
