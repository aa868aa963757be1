#ifndef MICROVM_FUSE_LOCKS_H
#define MICROVM_FUSE_LOCKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/** Ends all waits, without answers, and returns when no thread is left. */
void fuse_locks_close(struct fuse_locks *locks);

#endif
