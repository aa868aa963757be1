#include "microvm/fuse_server.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "microvm/fuse_calls.h"
#include "microvm/fuse_state.h"

/* The protocol of Linux 5.4, which all that is served here is part of. */
#define MINOR_MIN 31u
/* As linux/fuse.h was when this was written; the guest's kernel takes the smaller one. */
#define MINOR_OWN 38u

#define READAHEAD_MAX 1048576u
#define PAGE_BYTES    4096u

/* Forgets what the guest's kernel knew: at the end, and when another one begins. */
static void session_end(struct fuse_server *server)
{
    for (size_t i = 0; i < server->files.used; i++) {
        struct fuse_file *file = fuse_slots_at(&server->files, i);

        if (file != NULL)
            fuse_file_close(server, file);
    }
    for (size_t i = 0; i < server->inodes.slots.used; i++) {
        struct fuse_inode *inode = fuse_slots_at(&server->inodes.slots, i);

        if (inode != NULL)
            fuse_locks_drop_all(server, inode);
    }
    fuse_locks_close(&server->locks);
    fuse_slots_clear(&server->files);
    fuse_inodes_close(&server->inodes);
    server->is_ready = false;
}

static int session_begin(struct fuse_server *server)
{
    fuse_locks_open(&server->locks);
    server->files.max = server->options.descriptors_max;
    return fuse_inodes_open(&server->inodes, server->options.root_fd, server->options.inodes_max,
                            server->options.descriptors_max);
}

int fuse_server_begin_again(struct fuse_server *server)
{
    session_end(server);
    return session_begin(server);
}

/* --- INIT ------------------------------------------------------------------------------------- */

/* Whether the directory's file system has access lists: the guest's kernel then asks for them. */
static bool has_acl(int root_fd)
{
    return fgetxattr(root_fd, "system.posix_acl_access", NULL, 0) >= 0 || errno == ENODATA;
}

uint64_t fuse_server_flags(const struct fuse_server *server)
{
    uint64_t flags = FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
                     FUSE_DONT_MASK | FUSE_FLOCK_LOCKS | FUSE_DO_READDIRPLUS |
                     FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |
                     FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_SUBMOUNTS |
                     FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT;

    if (server->options.cache != FUSE_CACHE_ALWAYS)
        flags |= FUSE_AUTO_INVAL_DATA;
    if (server->options.cache == FUSE_CACHE_NONE)
        flags &= ~(uint64_t)FUSE_CACHE_SYMLINKS;
    if (has_acl(server->options.root_fd))
        flags |= FUSE_POSIX_ACL;
    return flags;
}

static int call_init(struct fuse_server *server, const struct fuse_request *request,
                     struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_init_in *in = &request->in.init;
    struct fuse_init_out *out = (struct fuse_init_out *)reply;
    uint64_t offered = in->flags;
    int r;

    (void)inode;
    if (in->major < FUSE_KERNEL_VERSION ||
        (in->major == FUSE_KERNEL_VERSION && in->minor < MINOR_MIN))
        return -EPROTO;
    r = fuse_server_begin_again(server);
    if (r < 0)
        return r;
    *out = (struct fuse_init_out){ .major = FUSE_KERNEL_VERSION, .minor = MINOR_OWN };
    /* A newer protocol: the kernel asks again, with ours. */
    if (in->major > FUSE_KERNEL_VERSION)
        return sizeof(*out);
    if ((in->flags & FUSE_INIT_EXT) != 0)
        offered |= (uint64_t)in->flags2 << 32;
    server->init_flags = offered & fuse_server_flags(server);
    server->is_ready = true;
    out->flags = (uint32_t)server->init_flags;
    out->flags2 = (uint32_t)(server->init_flags >> 32);
    out->max_readahead = in->max_readahead < READAHEAD_MAX ? in->max_readahead : READAHEAD_MAX;
    out->max_background = 64;
    out->congestion_threshold = 48;
    out->max_write = FUSE_MAX_WRITE;
    out->max_pages = FUSE_MAX_WRITE / PAGE_BYTES;
    out->time_gran = 1;
    return sizeof(*out);
}

static int call_destroy(struct fuse_server *server, const struct fuse_request *request,
                        struct fuse_inode *inode, uint8_t *reply)
{
    (void)request;
    (void)inode;
    (void)reply;
    return fuse_server_begin_again(server);
}

/* --- without answer --------------------------------------------------------------------------- */

static void forget(struct fuse_server *server, uint64_t id, uint64_t lookups)
{
    struct fuse_inode *inode = fuse_inodes_find(&server->inodes, id);

    if (inode != NULL)
        fuse_inodes_forget(&server->inodes, inode, lookups);
}

static void handle_silent(struct fuse_server *server, const struct fuse_request *request)
{
    struct fuse_forget_one one;

    switch (request->header.opcode) {
    case FUSE_FORGET:
        forget(server, request->header.nodeid, request->in.forget.nlookup);
        break;
    case FUSE_BATCH_FORGET:
        for (size_t i = 0; i + sizeof(one) <= request->data_length; i += sizeof(one)) {
            memcpy(&one, request->data + i, sizeof(one));
            forget(server, one.nodeid, one.nlookup);
        }
        break;
    default: /* INTERRUPT: all but waiting for a lock is over by now */
        fuse_locks_interrupt(&server->locks, request->in.interrupt.unique);
        break;
    }
}

/* --- dispatch --------------------------------------------------------------------------------- */

struct call {
    uint32_t opcode;
    fuse_call *function;
    bool needs_inode;
};

static const struct call calls[] = {
    { FUSE_INIT, call_init, false },
    { FUSE_DESTROY, call_destroy, false },
    { FUSE_STATFS, fuse_call_statfs, true },
    { FUSE_SYNCFS, fuse_call_syncfs, true },
    { FUSE_LOOKUP, fuse_call_lookup, true },
    { FUSE_GETATTR, fuse_call_getattr, true },
    { FUSE_SETATTR, fuse_call_setattr, true },
    { FUSE_READLINK, fuse_call_readlink, true },
    { FUSE_SYMLINK, fuse_call_symlink, true },
    { FUSE_MKNOD, fuse_call_mknod, true },
    { FUSE_MKDIR, fuse_call_mkdir, true },
    { FUSE_UNLINK, fuse_call_unlink, true },
    { FUSE_RMDIR, fuse_call_rmdir, true },
    { FUSE_RENAME, fuse_call_rename, true },
    { FUSE_RENAME2, fuse_call_rename2, true },
    { FUSE_LINK, fuse_call_link, true },
    { FUSE_OPEN, fuse_call_open, true },
    { FUSE_CREATE, fuse_call_create, true },
    { FUSE_TMPFILE, fuse_call_tmpfile, true },
    { FUSE_READ, fuse_call_read, true },
    { FUSE_WRITE, fuse_call_write, true },
    { FUSE_FLUSH, fuse_call_flush, true },
    { FUSE_RELEASE, fuse_call_release, true },
    { FUSE_FSYNC, fuse_call_fsync, true },
    { FUSE_OPENDIR, fuse_call_opendir, true },
    { FUSE_READDIR, fuse_call_readdir, true },
    { FUSE_READDIRPLUS, fuse_call_readdirplus, true },
    { FUSE_RELEASEDIR, fuse_call_release, true },
    { FUSE_FSYNCDIR, fuse_call_fsync, true },
    { FUSE_SETXATTR, fuse_call_setxattr, true },
    { FUSE_GETXATTR, fuse_call_getxattr, true },
    { FUSE_LISTXATTR, fuse_call_getxattr, true },
    { FUSE_REMOVEXATTR, fuse_call_removexattr, true },
    { FUSE_GETLK, fuse_call_getlk, true },
    { FUSE_SETLK, fuse_call_setlk, true },
    { FUSE_SETLKW, fuse_call_setlk, true },
    { FUSE_ACCESS, fuse_call_access, true },
    { FUSE_FALLOCATE, fuse_call_fallocate, true },
    { FUSE_LSEEK, fuse_call_lseek, true },
    { FUSE_COPY_FILE_RANGE, fuse_call_copy_file_range, true },
};

static int handle_call(struct fuse_server *server, const struct fuse_request *request,
                       uint8_t *reply)
{
    const struct call *call = NULL;
    struct fuse_inode *inode = NULL;
    int r;

    for (size_t i = 0; call == NULL && i < ARRAY_SIZE(calls); i++)
        if (calls[i].opcode == request->header.opcode)
            call = &calls[i];
    assert(call != NULL);
    if (!server->is_ready && request->header.opcode != FUSE_INIT)
        return -ENOTCONN;
    if (request->changes && server->options.is_read_only)
        return -EROFS;
    if (!call->needs_inode)
        return call->function(server, request, NULL, reply);
    inode = fuse_inodes_find(&server->inodes, request->header.nodeid);
    if (inode == NULL)
        return -ESTALE;
    /* Whatever the call opens does not close this one, and whatever it drops does not free it. */
    fuse_inodes_use(&server->inodes, inode);
    r = call->function(server, request, inode, reply);
    fuse_inodes_release(&server->inodes, inode);
    return r;
}

size_t fuse_server_reply_max(void)
{
    return sizeof(struct fuse_out_header) + FUSE_REPLY_BODY_MAX;
}

size_t fuse_server_handle(struct fuse_server *server, const uint8_t *message, size_t length,
                          uint8_t *reply)
{
    struct fuse_out_header *header = (struct fuse_out_header *)reply;
    struct fuse_request request;
    int r = fuse_message_parse(message, length, server->init_flags, &request);

    if (server->options.is_savable && request.header.opcode >= FUSE_STATE_FIRST &&
        request.header.opcode <= FUSE_STATE_LAST)
        return fuse_state_handle(server, message, length, reply);
    if (!request.has_reply) {
        if (r == 0 && server->is_ready)
            handle_silent(server, &request);
        return 0;
    }
    if (r == 0)
        r = handle_call(server, &request, reply + sizeof(*header));
    if (r == FUSE_LATER)
        return 0;
    *header = (struct fuse_out_header){
        .len = (uint32_t)sizeof(*header) + (uint32_t)(r < 0 ? 0 : r),
        .error = r < 0 ? r : 0,
        .unique = request.header.unique,
    };
    return header->len;
}

/* --- the stream ------------------------------------------------------------------------------- */

struct stream {
    uint8_t *bytes;
    size_t length;
    uint8_t *reply;
};

/* Answers all whole messages that were read. */
static int stream_serve(struct fuse_server *server, struct stream *stream, struct error *err)
{
    size_t done = 0;
    int r;

    while ((r = fuse_message_length(stream->bytes + done, stream->length - done)) > 0 &&
           (size_t)r <= stream->length - done) {
        size_t length = fuse_server_handle(server, stream->bytes + done, (size_t)r, stream->reply);

        done += (size_t)r;
        if (length == 0)
            continue;
        (void)pthread_mutex_lock(&server->locks.mutex);
        r = fd_write_all(server->options.socket_fd, stream->reply, length, "the guest's stream",
                         err);
        (void)pthread_mutex_unlock(&server->locks.mutex);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return error_set(err, -r, "the guest sent what is no FUSE message");
    memmove(stream->bytes, stream->bytes + done, stream->length - done);
    stream->length -= done;
    return 0;
}

/* Waits for more, as long as nobody has to be woken. */
static void stream_wait(struct fuse_server *server)
{
    struct pollfd poll_fd = { .fd = server->options.socket_fd, .events = POLLIN };

    while (fuse_locks_interrupt_again(&server->locks) && poll(&poll_fd, 1, FUSE_INTERRUPT_MS) == 0)
        ;
}

int fuse_server_run(struct fuse_server *server, struct error *err)
{
    auto_free uint8_t *bytes = xcalloc(1, FUSE_MESSAGE_MAX);
    auto_free uint8_t *reply = xcalloc(1, fuse_server_reply_max());
    struct stream stream = { .bytes = bytes, .reply = reply };

    for (;;) {
        ssize_t length;
        int r;

        stream_wait(server);
        length = read(server->options.socket_fd, bytes + stream.length,
                      FUSE_MESSAGE_MAX - stream.length);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return error_errno(err, "read requests of the guest");
        if (length == 0)
            return 0;
        stream.length += (size_t)length;
        r = stream_serve(server, &stream, err);
        if (r < 0)
            return r;
    }
}

int fuse_server_open(const struct fuse_server_options *options, struct fuse_server **ret_server,
                     struct error *err)
{
    struct fuse_server *server = xcalloc(1, sizeof(*server));
    int r = fuse_identity_open(&server->identity);

    server->options = *options;
    if (r == 0)
        r = session_begin(server);
    if (r < 0) {
        free(server);
        return error_set(err, -r, "look at the directory to serve: %s", strerror(-r));
    }
    *ret_server = server;
    return 0;
}

void fuse_server_free(struct fuse_server *server)
{
    if (server == NULL)
        return;
    session_end(server);
    state_writer_clear(&server->state);
    free(server);
}
