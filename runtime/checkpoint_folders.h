#ifndef RUNTIME_CHECKPOINT_FOLDERS_H
#define RUNTIME_CHECKPOINT_FOLDERS_H

#include "runtime/checkpoint_plan.h"
#include "runtime/criu.h"

/* What checkpoint and restore have in common: the folders of an image and of CRIU's log, CRIU's
 * configuration, and the place where CRIU's temporary mounts stay. */

struct checkpoint_folders {
    int image_fd, work_fd; /* work_fd -1: the image's */
    const char *log_dir;   /* borrowed */
};
#define CHECKPOINT_FOLDERS_NONE                                                                    \
    {                                                                                              \
        .image_fd = -1, .work_fd = -1                                                              \
    }
void checkpoint_folders_clear(struct checkpoint_folders *folders);

/** @makes_image  the image's folder is made when missing; the work folder always is */
int checkpoint_folders_open(const struct checkpoint_options *options, bool makes_image,
                            bool has_user_namespace, struct checkpoint_folders *ret_folders,
                            struct error *err);

/** Adds the folders and CRIU's configuration to @ret_options. -ENOENT: the annotation's is missing.
 */
int checkpoint_folders_use(const struct checkpoint_folders *folders,
                           const struct string_map *annotations, struct criu_options *ret_options,
                           struct error *err);

/** A mount namespace of the calling process's own, into which the host's mounts come but from which
 * none gets out: CRIU's are gone with it, however it ends. */
int checkpoint_shut_off_child(struct error *err);

/** Opens the folders again as they are in the calling process's mount namespace, at the same
 * descriptors, which stay open at exec: CRIU makes a mount in its work folder, and cannot in one of
 * another namespace. */
int checkpoint_folders_reopen_child(const struct checkpoint_folders *folders,
                                    const struct checkpoint_options *options, struct error *err);

/** Refuses who is not root of the machine; @purpose as in criu_start(). */
int checkpoint_check_rights(const char *purpose, struct error *err);

#endif
