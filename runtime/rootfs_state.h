#ifndef RUNTIME_ROOTFS_STATE_H
#define RUNTIME_ROOTFS_STATE_H

#include <stddef.h>

#include "runtime/mount_plan.h"
#include "runtime/rootfs.h"

/* What the steps of the container's file system share. All descriptors are O_PATH ones of mounts
 * that the init made itself, so names directly below them need no second look at links. */
struct rootfs {
    const struct rootfs_plan *plan; /* borrowed */
    struct rootfs_context context;  /* its pointers are borrowed */
    int root_fd;
    int dev_fd;     /* our own /dev; -1: it is a bind mount of the configuration's */
    bool is_in_dev; /* it is the working directory */
    int pts_fd;     /* /dev/pts; -1: none was mounted there */
    int null_fd;    /* the null device in dev_fd, verified; -1: not yet needed */
    int *late_fds;  /* mounts that become read-only in rootfs_finish_child() */
    size_t late_count;
    bool keeps_attached; /* a copy of each mount's descriptor goes to attached_fds */
    int *attached_fds;
    size_t attached_count;
};

/* --- rootfs_sources.c */

/** Whether mounts of the container's namespace stay peers of the host's. */
bool rootfs_is_shared(const struct rootfs_plan *plan);
/** The directory that root.path names, or where the root is attached instead of there. */
int rootfs_open_directory(const struct rootfs_plan *plan, int *ret_fd, struct error *err);
/** The root as a detached, private mount. @is_child: in the container's mount namespace */
int rootfs_make_root(const struct rootfs_plan *plan, int directory_fd, bool is_child, int *ret_fd,
                     struct error *err);

#endif
