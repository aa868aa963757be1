#ifndef MICROVM_FUSE_LOCKS_H
#define MICROVM_FUSE_LOCKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Locks that the guest takes are locks of the host, so that they hold between guests, and between a
 * guest and the host. flock(2) is about the open file, which is one here as well. fcntl(2) locks
 * are about the process, of which the guest tells a number: each gets an open file of its own for
 * each file that it locks, with locks of that open file (F_OFD_SETLK).
 *
 * Who has to wait for a lock does so in a thread, while the others are served. */

#define FUSE_WAITERS_MAX 64u

struct fuse_server;
struct fuse_inode;
struct fuse_waiter;

struct fuse_locks {
    pthread_mutex_t mutex; /* for what is below, and for the sending of answers */
    struct fuse_waiter *waiters;
    size_t waiter_count;
};

void fuse_locks_open(struct fuse_locks *locks);

/** Gives up the fcntl(2) locks of one owner on a file. */
void fuse_locks_drop_owner(struct fuse_server *server, struct fuse_inode *inode, uint64_t owner);
/** Gives up those of all owners on a file. */
void fuse_locks_drop_all(struct fuse_server *server, struct fuse_inode *inode);

/** Ends the wait that the request @unique began, if there is one. */
void fuse_locks_interrupt(struct fuse_locks *locks, uint64_t unique);
/** Whether a wait that was interrupted has not ended yet: call again after FUSE_INTERRUPT_MS. */
bool fuse_locks_interrupt_again(struct fuse_locks *locks);
#define FUSE_INTERRUPT_MS 20

/** A lock that the guest holds. */
struct fuse_lock {
    bool is_flock;
    uint64_t holder; /* flock(2): the open file; fcntl(2): the owner, as the guest calls it */
    short type;      /* F_RDLCK, F_WRLCK */
    int64_t start;
    int64_t length; /* 0: to the end of the file, however large */
};
typedef int fuse_lock_take(struct fuse_inode *inode, const struct fuse_lock *lock, void *context,
                           struct error *err);

/**
 * Calls @take for each lock that the guest holds, as the kernel lists them (proc(5),
 * /proc/PID/fdinfo), until it returns another value than 0.
 *
 * Returns what it returned, or a negative errno value.
 */
int fuse_locks_list(struct fuse_server *server, fuse_lock_take *take, void *context,
                    struct error *err);
/** Takes a lock that was listed in another server. -EAGAIN: somebody else holds one. */
int fuse_locks_restore(struct fuse_server *server, struct fuse_inode *inode,
                       const struct fuse_lock *lock);
/** Reads a line of that list. False: it is no lock, or one of another kind than @is_flock. Pure. */
bool fuse_lock_parse(const char *line, bool is_flock, struct fuse_lock *ret_lock);

/** Ends all waits, without answers, and returns when no thread is left. */
void fuse_locks_close(struct fuse_locks *locks);

#endif
