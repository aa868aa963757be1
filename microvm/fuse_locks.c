#include "microvm/fuse_locks.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "microvm/fuse_calls.h"
#include "microvm/fuse_send.h"

#define WAITER_STACK (64u << 10)
/* Ends a wait; its handler does nothing. */
#define WAKE_SIGNAL SIGUSR1

/* Who holds fcntl(2) locks of one file. */
struct fuse_lock_owner {
    uint64_t owner; /* as the guest calls it */
    int fd;
    struct fuse_lock_owner *next;
};

struct lock_request {
    bool is_flock;
    int operation;     /* of flock(2) */
    struct flock lock; /* of fcntl(2) */
};

struct fuse_waiter {
    struct fuse_locks *locks;
    int socket_fd;
    uint64_t unique;
    int fd; /* a copy: the guest may close the file meanwhile */
    struct lock_request request;
    pthread_t thread;
    bool is_interrupted;
    struct fuse_waiter *next;
};

/* --- owners ----------------------------------------------------------------------------------- */

static void owner_free(struct fuse_server *server, struct fuse_inode *inode,
                       struct fuse_lock_owner *owner)
{
    struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

    /* A waiting thread's copy would keep them. */
    (void)fcntl(owner->fd, F_OFD_SETLK, &all);
    (void)close(owner->fd); /* nothing was written */
    free(owner);
    fuse_inodes_unreserve(&server->inodes);
    fuse_inodes_release(&server->inodes, inode);
}

void fuse_locks_drop_owner(struct fuse_server *server, struct fuse_inode *inode, uint64_t owner)
{
    for (struct fuse_lock_owner **place = &inode->lock_owners; *place != NULL;
         place = &(*place)->next) {
        struct fuse_lock_owner *found = *place;

        if (found->owner != owner)
            continue;
        *place = found->next;
        owner_free(server, inode, found);
        return;
    }
}

void fuse_locks_drop_all(struct fuse_server *server, struct fuse_inode *inode)
{
    struct fuse_lock_owner *owner = inode->lock_owners;

    inode->lock_owners = NULL;
    while (owner != NULL) {
        struct fuse_lock_owner *next = owner->next;

        owner_free(server, inode, owner);
        owner = next;
    }
}

static struct fuse_lock_owner *owner_find(const struct fuse_inode *inode, uint64_t owner)
{
    struct fuse_lock_owner *found = inode->lock_owners;

    while (found != NULL && found->owner != owner)
        found = found->next;
    return found;
}

/* The owner's open file, made for the first lock. It can take locks of both kinds where the file
 * can be written; the guest's kernel checks what its own open file allows. */
static int owner_fd(struct fuse_server *server, struct fuse_inode *inode, uint64_t id)
{
    struct fuse_lock_owner *owner = owner_find(inode, id);
    struct fuse_file *file;
    int copy;
    int r;

    if (owner != NULL)
        return owner->fd;
    r = fuse_file_open(server, inode, O_RDWR, &file);
    if (r == -EROFS || r == -ETXTBSY || r == -EACCES)
        r = fuse_file_open(server, inode, O_RDONLY, &file);
    if (r < 0)
        return r;
    copy = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
    r = copy < 0 ? -errno : fuse_inodes_reserve(&server->inodes);
    if (r == 0)
        fuse_inodes_use(&server->inodes, inode);
    fuse_file_close(server, file);
    if (r < 0) {
        if (copy >= 0)
            (void)close(copy);
        return r;
    }
    owner = xcalloc(1, sizeof(*owner));
    *owner = (struct fuse_lock_owner){ .owner = id, .fd = copy, .next = inode->lock_owners };
    inode->lock_owners = owner;
    return copy;
}

/* --- requests --------------------------------------------------------------------------------- */

static int lock_from(const struct fuse_file_lock *in, struct flock *ret_lock)
{
    if (in->type != F_RDLCK && in->type != F_WRLCK && in->type != F_UNLCK)
        return -EINVAL;
    if (in->start > INT64_MAX || in->end < in->start)
        return -EINVAL;
    *ret_lock = (struct flock){
        .l_type = (short)in->type,
        .l_whence = SEEK_SET,
        .l_start = (off_t)in->start,
        /* To the end of the file, however large: 0. */
        .l_len = in->end >= INT64_MAX ? 0 : (off_t)(in->end - in->start + 1),
    };
    return 0;
}

int fuse_call_getlk(struct fuse_server *server, const struct fuse_request *request,
                    struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_lk_in *in = &request->in.lock;
    struct fuse_lk_out *out = (struct fuse_lk_out *)reply;
    struct flock lock;
    int r = fuse_file_find(server, in->fh, inode) == NULL ? -EBADF : lock_from(&in->lk, &lock);
    int fd;

    if (r < 0)
        return r;
    fd = owner_fd(server, inode, in->owner);
    if (fd < 0)
        return fd;
    if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
        return -errno;
    /* Who holds it is not known across machines: 0, as the kernel says of other pid namespaces. */
    *out = (struct fuse_lk_out){ .lk.type = (uint32_t)lock.l_type };
    if (lock.l_type != F_UNLCK) {
        out->lk.start = (uint64_t)lock.l_start;
        out->lk.end =
            lock.l_len == 0 ? INT64_MAX : (uint64_t)lock.l_start + (uint64_t)lock.l_len - 1;
    }
    return sizeof(*out);
}

static int lock_take(int fd, const struct lock_request *request, bool is_waiting)
{
    struct flock lock = request->lock;
    int r;

    if (request->is_flock)
        r = flock(fd, request->operation | (is_waiting ? 0 : LOCK_NB));
    else
        r = fcntl(fd, is_waiting ? F_OFD_SETLKW : F_OFD_SETLK, &lock);
    if (r == 0)
        return 0;
    return errno == EACCES ? -EAGAIN : -errno;
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* With the mutex held. */
static void waiter_remove(struct fuse_waiter *waiter)
{
    struct fuse_waiter **place = &waiter->locks->waiters;

    while (*place != waiter)
        place = &(*place)->next;
    *place = waiter->next;
    waiter->locks->waiter_count--;
}

static void *waiter_thread(void *context)
{
    struct fuse_waiter *waiter = context;
    struct fuse_locks *locks = waiter->locks;
    int r;

    do
        r = lock_take(waiter->fd, &waiter->request, true);
    while (r == -EINTR && !__atomic_load_n(&waiter->is_interrupted, __ATOMIC_ACQUIRE));
    (void)pthread_mutex_lock(&locks->mutex);
    /* A guest that is gone reads no answer; the main thread finds that out. */
    if (waiter->socket_fd >= 0)
        (void)fuse_send_error(waiter->socket_fd, waiter->unique, r);
    waiter_remove(waiter);
    (void)close(waiter->fd);
    free(waiter);
    (void)pthread_mutex_unlock(&locks->mutex);
    return NULL;
}

static int waiter_start(struct fuse_waiter *waiter)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int r = pthread_attr_init(&attributes);

    if (r != 0)
        return -r;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, WAITER_STACK);
    r = pthread_create(&thread, &attributes, waiter_thread, waiter);
    if (r == 0)
        waiter->thread = thread;
    (void)pthread_attr_destroy(&attributes);
    return -r;
}

static int wait_for_lock(struct fuse_server *server, uint64_t unique, int fd,
                         const struct lock_request *request)
{
    struct fuse_locks *locks = &server->locks;
    struct fuse_waiter *waiter;
    int r = 0;

    if (locks->waiter_count >= FUSE_WAITERS_MAX)
        return -ENOLCK;
    waiter = xcalloc(1, sizeof(*waiter));
    *waiter = (struct fuse_waiter){ .locks = locks,
                                    .socket_fd = server->options.socket_fd,
                                    .unique = unique,
                                    .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
                                    .request = *request };
    if (waiter->fd < 0) {
        r = -errno;
        free(waiter);
        return r;
    }
    /* Until its thread is known, it cannot end. */
    (void)pthread_mutex_lock(&locks->mutex);
    waiter->next = locks->waiters;
    locks->waiters = waiter;
    locks->waiter_count++;
    r = waiter_start(waiter);
    if (r < 0) {
        waiter_remove(waiter);
        (void)close(waiter->fd);
        free(waiter);
    }
    (void)pthread_mutex_unlock(&locks->mutex);
    return r < 0 ? r : FUSE_LATER;
}

int fuse_call_setlk(struct fuse_server *server, const struct fuse_request *request,
                    struct fuse_inode *inode, uint8_t *reply)
{
    const struct fuse_lk_in *in = &request->in.lock;
    struct fuse_file *file = fuse_file_find(server, in->fh, inode);
    struct lock_request lock = { .is_flock = (in->lk_flags & FUSE_LK_FLOCK) != 0 };
    int r = file == NULL ? -EBADF : lock_from(&in->lk, &lock.lock);
    int fd;

    (void)reply;
    if (r < 0)
        return r;
    /* Giving up what was never taken makes no owner. */
    if (!lock.is_flock && in->lk.type == F_UNLCK && owner_find(inode, in->owner) == NULL)
        return 0;
    if (lock.is_flock)
        file->may_be_locked = in->lk.type != F_UNLCK;
    lock.operation = in->lk.type == F_UNLCK ? LOCK_UN : in->lk.type == F_WRLCK ? LOCK_EX : LOCK_SH;
    fd = lock.is_flock ? file->fd : owner_fd(server, inode, in->owner);
    if (fd < 0)
        return fd;
    r = lock_take(fd, &lock, false);
    if ((r == -EAGAIN || r == -EWOULDBLOCK) && request->header.opcode == FUSE_SETLKW)
        return wait_for_lock(server, request->header.unique, fd, &lock);
    return r;
}

/* --- what is held ----------------------------------------------------------------------------- */

bool fuse_lock_parse(const char *line, bool is_flock, struct fuse_lock *ret_lock)
{
    struct fuse_lock lock = { .is_flock = is_flock };
    char kind[8], type[8], end[24];
    long long start, last;

    /* "lock:\t1: OFDLCK ADVISORY  WRITE -1 fe:00:42 0 EOF" */
    if (sscanf(line, "lock: %*d: %7s %*s %7s %*d %*s %lld %23s", kind, type, &start, end) != 4 ||
        strcmp(kind, is_flock ? "FLOCK" : "OFDLCK") != 0)
        return false;
    lock.type = strcmp(type, "WRITE") == 0 ? F_WRLCK : F_RDLCK;
    lock.start = start;
    if (strcmp(end, "EOF") != 0) {
        last = strtoll(end, NULL, 10);
        lock.length = last - start + 1;
    }
    *ret_lock = lock;
    return true;
}

/* Of one open file. */
static int list_of(const struct fuse_server *server, int fd, struct fuse_inode *inode,
                   bool is_flock, uint64_t holder, fuse_lock_take *take, void *context,
                   struct error *err)
{
    auto_free char *name = xasprintf("%d", fd);
    auto_free char *text = NULL;
    struct fuse_lock lock;
    int r = file_read_kernel(server->options.fdinfo_fd, name, &text, err);

    for (char *rest = text, *line; r == 0 && (line = strsep(&rest, "\n")) != NULL;) {
        if (!fuse_lock_parse(line, is_flock, &lock))
            continue;
        lock.holder = holder;
        r = take(inode, &lock, context, err);
    }
    return r;
}

int fuse_locks_list(struct fuse_server *server, fuse_lock_take *take, void *context,
                    struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < server->inodes.slots.used; i++) {
        struct fuse_inode *inode = fuse_slots_at(&server->inodes.slots, i);
        const struct fuse_lock_owner *owner = inode == NULL ? NULL : inode->lock_owners;

        for (; r == 0 && owner != NULL; owner = owner->next)
            r = list_of(server, owner->fd, inode, false, owner->owner, take, context, err);
    }
    for (size_t i = 0; r == 0 && i < server->files.used; i++) {
        const struct fuse_file *file = fuse_slots_at(&server->files, i);

        if (file != NULL && file->may_be_locked)
            r = list_of(server, file->fd, file->inode, true, file->id, take, context, err);
    }
    return r;
}

int fuse_locks_restore(struct fuse_server *server, struct fuse_inode *inode,
                       const struct fuse_lock *lock)
{
    const struct lock_request request = {
        .is_flock = lock->is_flock,
        .operation = lock->type == F_WRLCK ? LOCK_EX : LOCK_SH,
        .lock = { .l_type = lock->type,
                  .l_whence = SEEK_SET,
                  .l_start = lock->start,
                  .l_len = lock->length },
    };
    struct fuse_file *file = NULL;
    int fd;

    if (lock->is_flock) {
        file = fuse_file_find(server, lock->holder, inode);
        if (file == NULL)
            return -EINVAL;
        file->may_be_locked = true;
    }
    fd = lock->is_flock ? file->fd : owner_fd(server, inode, lock->holder);
    return fd < 0 ? fd : lock_take(fd, &request, false);
}

/* --- interruption ----------------------------------------------------------------------------- */

static void wake(int signal)
{
    (void)signal;
}

void fuse_locks_open(struct fuse_locks *locks)
{
    struct sigaction action = { .sa_handler = wake }; /* without SA_RESTART */

    *locks = (struct fuse_locks){ .mutex = PTHREAD_MUTEX_INITIALIZER };
    (void)sigaction(WAKE_SIGNAL, &action, NULL);
}

void fuse_locks_interrupt(struct fuse_locks *locks, uint64_t unique)
{
    (void)pthread_mutex_lock(&locks->mutex);
    for (struct fuse_waiter *waiter = locks->waiters; waiter != NULL; waiter = waiter->next)
        if (waiter->unique == unique) {
            __atomic_store_n(&waiter->is_interrupted, true, __ATOMIC_RELEASE);
            (void)pthread_kill(waiter->thread, WAKE_SIGNAL);
        }
    (void)pthread_mutex_unlock(&locks->mutex);
}

/* fcntl(2) and flock(2) have no form that lets a signal in at the very moment at which they begin
 * to wait, as ppoll(2) has. One that came just before is lost, so it is sent until the wait is
 * over. */
bool fuse_locks_interrupt_again(struct fuse_locks *locks)
{
    bool is_any = false;

    (void)pthread_mutex_lock(&locks->mutex);
    for (struct fuse_waiter *waiter = locks->waiters; waiter != NULL; waiter = waiter->next)
        if (waiter->is_interrupted) {
            is_any = true;
            (void)pthread_kill(waiter->thread, WAKE_SIGNAL);
        }
    (void)pthread_mutex_unlock(&locks->mutex);
    return is_any;
}

void fuse_locks_close(struct fuse_locks *locks)
{
    (void)pthread_mutex_lock(&locks->mutex);
    for (struct fuse_waiter *waiter = locks->waiters; waiter != NULL; waiter = waiter->next) {
        waiter->socket_fd = -1;
        __atomic_store_n(&waiter->is_interrupted, true, __ATOMIC_RELEASE);
    }
    (void)pthread_mutex_unlock(&locks->mutex);
    while (fuse_locks_interrupt_again(locks))
        (void)usleep(FUSE_INTERRUPT_MS * 1000);
}
