#ifndef MICROVM_FUSE_INODES_H
#define MICROVM_FUSE_INODES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "microvm/fuse_slots.h"

/* The files that the guest's kernel knows: each by an O_PATH descriptor, which means this very file
 * wherever its name goes, and by how often the guest has looked it up.
 *
 * A guest's kernel remembers as many files as fit into its memory, descriptors are fewer. So when
 * there are many, those that were not used for long are closed. They are opened again by the last
 * known name in their directory, never through a link, and only what is still the same file is
 * taken (device, number, time of birth). Handles (open_by_handle_at(2)) would survive a change of
 * names on the host, but need CAP_DAC_READ_SEARCH, with which a taken-over server could open any
 * file of the host's file system, and Landlock refuses what they open. */

struct fuse_lock_owner;

struct fuse_inode {
    uint64_t id;
    dev_t device;
    ino_t number;
    struct statx_timestamp birth; /* zeroes where the file system does not tell */
    mode_t type;                  /* S_IFREG ... */
    uint64_t lookups;             /* that the guest has not forgotten */
    uint32_t users;               /* open files, locks, and calls that are going on */
    uint32_t children;            /* inodes whose parent it is */
    int fd;                       /* -1: closed for the time being; see fuse_inodes_descriptor() */
    bool is_replaced;             /* not the file that another server knew: see fuse_known */
    bool is_submount;             /* a directory of another file system than its parent's */
    struct fuse_inode *parent;    /* with the last known name; NULL: the root, or none */
    char *name;
    struct fuse_inode *next_same_hash;
    struct fuse_inode *newer, *older; /* of those whose descriptor may be closed */
    struct fuse_lock_owner *lock_owners;
};

struct fuse_inodes {
    struct fuse_slots slots;
    struct fuse_inode **buckets;
    size_t bucket_count;
    size_t count;
    struct fuse_inode *newest, *oldest;
    struct fuse_inode *root;
    size_t descriptors; /* of the whole server: files, too; see fuse_inodes_reserve() */
    size_t descriptors_max;
};

/**
 * Begins with the root alone, whose number is 1.
 *
 * @root_fd          of the directory; borrowed, kept open until the end
 * @inodes_max       at the same time
 * @descriptors_max  how many the server may have open
 *
 * Returns 0 or a negative errno value.
 */
int fuse_inodes_open(struct fuse_inodes *inodes, int root_fd, size_t inodes_max,
                     size_t descriptors_max);
void fuse_inodes_close(struct fuse_inodes *inodes);

/** statx(2) of a descriptor, with all that the guest is told. Returns 0 or a negative errno value.
 */
int fuse_inode_status(int fd, struct statx *ret_status);

/** NULL: the guest made that number up. */
struct fuse_inode *fuse_inodes_find(const struct fuse_inodes *inodes, uint64_t id);
/** The known file with this device and number, or NULL. */
struct fuse_inode *fuse_inodes_find_file(const struct fuse_inodes *inodes, dev_t device,
                                         ino_t number);

/**
 * The O_PATH descriptor of a file, opened again when it was closed. Valid until the next call that
 * opens something, unless the file is in use.
 *
 * Returns it, or -ESTALE and other negative errno values.
 */
int fuse_inodes_descriptor(struct fuse_inodes *inodes, struct fuse_inode *inode);

/**
 * Counts one more lookup of the file behind @fd, which is new or known.
 *
 * @fd      O_PATH; it is taken, or closed
 * @parent  the directory whose entry @name it is; both may be NULL
 *
 * Returns 0, -ENFILE when there are as many as may be, or another negative errno value.
 */
int fuse_inodes_look_up(struct fuse_inodes *inodes, int fd, struct fuse_inode *parent,
                        const char *name, struct fuse_inode **ret_inode, struct statx *ret_status);

/**
 * Whether a file is still found by its last known name.
 *
 * @ret_status  of what is found there
 *
 * Returns 0, -ESTALE when it is not there, or another negative errno value.
 */
int fuse_inodes_check_name(struct fuse_inodes *inodes, struct fuse_inode *inode,
                           struct statx *ret_status);

/** A file as another server knew it, by the number that it gave. */
struct fuse_known {
    uint64_t id;
    uint64_t lookups;
    mode_t type;
    bool is_submount;
    bool is_replaced;          /* it is another file now; what is open cannot be that one */
    struct fuse_inode *parent; /* with the name; NULL: none was known */
    const char *name;
};
/**
 * Adds it; fuse_slots_resume() comes behind the last one.
 *
 * @fd      O_PATH; it is taken, or closed. -1: it is not there any more, the guest gets ESTALE
 * @status  of @fd
 *
 * Returns 0, -EINVAL: the number cannot be, or is taken; or -ENFILE.
 */
int fuse_inodes_put(struct fuse_inodes *inodes, const struct fuse_known *known, int fd,
                    const struct statx *status);

/** Where it can be found from now on. */
void fuse_inodes_rename(struct fuse_inodes *inodes, struct fuse_inode *inode,
                        struct fuse_inode *parent, const char *name);

/** So many lookups less; the last one frees it, unless it is in use. More than there are: all. */
void fuse_inodes_forget(struct fuse_inodes *inodes, struct fuse_inode *inode, uint64_t lookups);

/** In use: neither freed nor closed. */
void fuse_inodes_use(struct fuse_inodes *inodes, struct fuse_inode *inode);
void fuse_inodes_release(struct fuse_inodes *inodes, struct fuse_inode *inode);

/** Counts one more descriptor of the server's; closes one of a file that was not used for long when
 * there are many. Returns 0 or -ENFILE. */
int fuse_inodes_reserve(struct fuse_inodes *inodes);
void fuse_inodes_unreserve(struct fuse_inodes *inodes);

#endif
