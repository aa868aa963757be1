#ifndef MICROVM_FUSE_CALLS_H
#define MICROVM_FUSE_CALLS_H

#include <limits.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "microvm/fuse_identity.h"
#include "microvm/fuse_inodes.h"
#include "microvm/fuse_locks.h"
#include "microvm/fuse_message.h"
#include "microvm/fuse_server.h"
#include "microvm/fuse_slots.h"
#include "microvm/machine_state.h"

/* What the files that serve the operations share. */

/* An open file or directory: what the guest calls fh. */
struct fuse_file {
    uint64_t id;
    struct fuse_inode *inode;
    int fd;
    bool is_append;     /* the descriptor is without O_APPEND, see fuse_call_write() */
    bool may_be_locked; /* by flock(2) */
};

struct fuse_server {
    struct fuse_server_options options;
    struct fuse_inodes inodes;
    struct fuse_slots files;
    struct fuse_identity identity;
    struct fuse_locks locks;
    uint64_t init_flags;       /* agreed upon */
    bool is_ready;             /* INIT was done */
    struct state_writer state; /* on its way to another server, or from one */
    size_t state_read;
};

/**
 * Serves one operation.
 *
 * @inode  of the request's nodeid
 * @reply  room for an answer without its header, FUSE_REPLY_BODY_MAX bytes
 *
 * Returns the length of the answer, FUSE_LATER, or a negative errno value for the guest.
 */
typedef int fuse_call(struct fuse_server *server, const struct fuse_request *request,
                      struct fuse_inode *inode, uint8_t *reply);
#define FUSE_LATER          INT_MAX /* somebody else answers, or nobody */
#define FUSE_REPLY_BODY_MAX (FUSE_MAX_WRITE + 4096u)

/* fuse_names.c */
fuse_call fuse_call_lookup;
fuse_call fuse_call_symlink;
fuse_call fuse_call_mknod;
fuse_call fuse_call_mkdir;
fuse_call fuse_call_unlink;
fuse_call fuse_call_rmdir;
fuse_call fuse_call_rename;
fuse_call fuse_call_rename2;
fuse_call fuse_call_link;

/* fuse_attributes.c */
fuse_call fuse_call_getattr;
fuse_call fuse_call_setattr;
fuse_call fuse_call_readlink;
fuse_call fuse_call_statfs;
fuse_call fuse_call_access;
fuse_call fuse_call_syncfs;
fuse_call fuse_call_setxattr;
fuse_call fuse_call_getxattr;
fuse_call fuse_call_removexattr;

/* fuse_files.c */
fuse_call fuse_call_open;
fuse_call fuse_call_create;
fuse_call fuse_call_tmpfile;
fuse_call fuse_call_read;
fuse_call fuse_call_write;
fuse_call fuse_call_flush;
fuse_call fuse_call_release;
fuse_call fuse_call_fsync;
fuse_call fuse_call_fallocate;
fuse_call fuse_call_lseek;
fuse_call fuse_call_copy_file_range;

/* fuse_directories.c */
fuse_call fuse_call_opendir;
fuse_call fuse_call_readdir;
fuse_call fuse_call_readdirplus;

/* fuse_locks.c */
fuse_call fuse_call_getlk;
fuse_call fuse_call_setlk;

/* fuse_server.c */

/** Forgets all that the guest's kernel knew. Returns 0 or a negative errno value. */
int fuse_server_begin_again(struct fuse_server *server);
/** FUSE_... of linux/fuse.h that may be agreed upon. */
uint64_t fuse_server_flags(const struct fuse_server *server);

/* --- shared parts ----------------------------------------------------------------------------- */

/** How long the guest may believe names and attributes. */
uint64_t fuse_cache_seconds(const struct fuse_server *server);
/** Writes what the guest is told of a file: struct fuse_attr. */
void fuse_attributes_write(const struct fuse_server *server, const struct fuse_inode *inode,
                           const struct statx *status, struct fuse_attr *ret_attributes);
/** Counts a lookup of @fd, which is taken, and writes its struct fuse_entry_out. Returns its
 * length. */
int fuse_entry_add(struct fuse_server *server, int fd, struct fuse_inode *parent, const char *name,
                   struct fuse_entry_out *ret_entry, struct fuse_inode **ret_inode);
/** Opens a name for fuse_entry_add(): O_PATH, no links followed. Returns a negative errno value. */
int fuse_name_open(int directory_fd, const char *name);
/** Acts as the one who asks, until fuse_identity_leave(): for what makes a file. */
int fuse_identity_of(struct fuse_server *server, const struct fuse_request *request, mode_t umask);
/** The same for what changes a file, if the guest's kernel says that it removes set-id bits. */
int fuse_identity_without_set_id(struct fuse_server *server, const struct fuse_request *request,
                                 bool kills_set_id);

/** Opens the file behind a number: regular files and directories only. @flags as in open(2). */
int fuse_file_open(struct fuse_server *server, struct fuse_inode *inode, int flags,
                   struct fuse_file **ret_file);
/** What fuse_file_open() has to be asked for to open it again. */
int fuse_file_flags(const struct fuse_file *file);
/** Opens it with the number that it had in another server; fuse_slots_resume() comes behind the
 * last one. @flags as fuse_file_flags() said. */
int fuse_file_restore(struct fuse_server *server, uint64_t id, struct fuse_inode *inode, int flags);
/** The open file @fh, if it is one of @inode; otherwise NULL. */
struct fuse_file *fuse_file_find(const struct fuse_server *server, uint64_t fh,
                                 const struct fuse_inode *inode);
void fuse_file_close(struct fuse_server *server, struct fuse_file *file);

#endif
