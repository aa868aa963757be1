#ifndef MICROVM_FUSE_IDENTITY_H
#define MICROVM_FUSE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* As whom the server acts on files: what is made belongs to the guest's caller from the beginning,
 * and loses its set-id bits as if that caller had changed it. The guest's kernel decides whether he
 * may (default_permissions); so the server keeps its right to ignore modes. Of one thread, and
 * changed only when it differs from the last call. */

struct fuse_identity {
    uint64_t capabilities; /* effective ones when nothing is left out */
    uid_t uid;
    gid_t gid;
    mode_t umask;
    bool lacks_fsetid;
};

/** Takes the thread as it is: call before anything else, after the sandbox. */
int fuse_identity_open(struct fuse_identity *identity);

/**
 * Files are made as @uid and @gid, with @umask.
 *
 * @lacks_fsetid  CAP_FSETID is off: writing removes set-id bits
 *
 * Returns 0, or -EPERM when the server may not act as that user.
 */
int fuse_identity_enter(struct fuse_identity *identity, uid_t uid, gid_t gid, mode_t umask,
                        bool lacks_fsetid);
/** Back to root with all that it has. */
void fuse_identity_leave(struct fuse_identity *identity);

#endif
