#ifndef RUNTIME_MOUNT_PLAN_H
#define RUNTIME_MOUNT_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "runtime/mount_options.h"
#include "runtime/rootfs.h"
#include "runtime/spec.h"

/* What rootfs_plan() decides: one step per mount, in the order in which they are done. */

enum mount_kind {
    MOUNT_BIND,
    MOUNT_OVERLAY,
    MOUNT_TMPFS,
    MOUNT_PROC,
    MOUNT_SYSFS,
    MOUNT_DEVPTS,
    MOUNT_CGROUP,
    MOUNT_KERNEL, /* mqueue and other file systems without a device */
    MOUNT_OTHER,  /* any other file system: "ro" concerns the file system too */
};

struct mount_step {
    enum mount_kind kind;
    size_t index;       /* in spec.mounts; MOUNT_STEP_IMPLIED: not from there */
    char *destination;  /* below the root, cleaned, no slash in front: "dev/pts" */
    char *source;       /* of a bind: absolute; otherwise a name, never NULL */
    const char *inside; /* of a bind from below the root's path: the path there, part of source */
    const char *type;   /* borrowed; not for binds */
    struct mount_options options;
    const struct spec_id_mappings *uid_mappings, *gid_mappings; /* borrowed; NULL: no id map */
    struct spec_id_mappings *own_mappings; /* two, what they are when an option has them; owned */
    char *link_text;        /* copy-symlink: read with the sources; NULL: not, or no link */
    int mount_fd;           /* opened by rootfs_sources.c, owned; -1: the init makes it */
    bool is_dev;            /* gets the device nodes */
    bool is_pts;            /* where terminals come from */
    bool is_late_read_only; /* "ro", but other things are made in it first */
};
#define MOUNT_STEP_IMPLIED ((size_t)-1)

struct rootfs_plan {
    const struct spec *spec; /* borrowed */
    char *root_path;         /* absolute */
    bool has_propagation;    /* linux.rootfsPropagation is given */
    struct mount_propagation propagation;
    char *label;                /* mount option of linux.mountLabel; NULL: none */
    struct mount_step *overlay; /* the root itself; NULL: a bind of root_path */
    int root_mount_fd;          /* opened by rootfs_sources.c, owned; -1: the init makes it */
    struct mount_step *steps;
    size_t step_count;
    bool has_dev_of_config; /* /dev is a bind mount: its nodes are the configuration's matter */
    bool is_read_only;      /* the root, once everything stands */
    bool has_pid_namespace, has_user_namespace;
    bool gives_sources; /* the creator gives them to the init; by rootfs_prepare() */
};

/** "mounts[3] (/data)" for errors; in the caller's buffer, which is returned. */
#define MOUNT_STEP_NAME_MAX 300
char *mount_step_name(const struct mount_step *step, char *buffer);

#endif
