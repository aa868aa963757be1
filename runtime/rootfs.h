#ifndef RUNTIME_ROOTFS_H
#define RUNTIME_ROOTFS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/error.h"
#include "cgroups/cgroups.h"
#include "runtime/procfs.h"
#include "runtime/spec.h"

/* The container's file system, from the spec's mounts to the new root. Decided by the creator
 * before clone (rootfs_plan), done by the init in its own mount namespace (the *_child functions,
 * in the order of this header). No mount is ever made on the host. */

struct rootfs_plan;

/**
 * Parses every mount's options and orders what has to be done; pure. Borrows strings of @spec.
 *
 * @bundle_path  absolute; a relative root.path and relative bind sources are below it
 *
 * -EINVAL names the member: "mounts[2].options: unknown mount option 'x'".
 */
int rootfs_plan(const struct spec *spec, const char *bundle_path, struct rootfs_plan **ret_plan,
                struct error *err);
void rootfs_plan_free(struct rootfs_plan *plan);
DEFINE_AUTO(rootfs_plan)

/* --- rootfs_sources.c: the root and the sources of binds, where others than the init open them
 *
 * Descriptors are the plan's and end with rootfs_plan_free(). All but the first two do nothing
 * unless root makes a container with a user namespace; rootfs_open_sources_child() and
 * rootfs_open_binds() always do what they say. */

/** Before all else: the root is a mount that the caller has, attached nowhere. The init inherits it
 * with the clone. @mount_fd: borrowed. */
int rootfs_take_root(struct rootfs_plan *plan, int mount_fd, struct error *err);

/** Before clone: what depends on this machine, and a root overlay for a user namespace, whose root
 * could not enter the caller's directories (the store is 0700), nor set id maps. */
int rootfs_prepare(struct rootfs_plan *plan, struct error *err);
/** Whether the init waits for its sources. */
bool rootfs_gives_sources(const struct rootfs_plan *plan);
/**
 * Opens the root and the sources in the mount namespace of the init, which must not have changed
 * anything there yet. So the flags of the host's mounts are locked, as for everything that is
 * copied into a user namespace.
 *
 * @pid, @pidfd  the init, which cannot end unnoticed as it is the caller's child
 */
int rootfs_open_sources_of(struct rootfs_plan *plan, pid_t pid, int pidfd, struct error *err);
/** Sends them, after HOST_READY; then the init takes them. */
int rootfs_send_sources(const struct rootfs_plan *plan, int sync_fd, struct error *err);
int rootfs_receive_sources_child(struct rootfs_plan *plan, int sync_fd, struct error *err);

/** Opens them in the caller's own mount namespace, for what is not attached in a container's. */
int rootfs_open_sources(struct rootfs_plan *plan, struct error *err);
/** The same in the init, which has the rights to mount that an ordinary user lacks, but still his
 * id. */
int rootfs_open_sources_child(struct rootfs_plan *plan, struct error *err);

/**
 * Opens the sources of all binds, for a container that is there already; they are slaves of the
 * host's mounts unless the root is shared.
 *
 * @user_pidfd  a process in the user namespace that is to have no right over the flags of the
 *              host's mounts; -1: none
 */
int rootfs_open_binds(struct rootfs_plan *plan, int user_pidfd, struct error *err);

/* What the init knows when it sets up the file system. */
struct rootfs_context {
    struct cgroup_system *cgroups; /* as seen by the creator; for mounts of type "cgroup" */
    const char *cgroup_path;       /* the container's: "/berth/<id>"; NULL: none */
    bool has_user_namespace, has_cgroup_namespace, has_network_namespace;
    bool has_no_pivot;
};

struct rootfs; /* descriptors the steps share: the root, /dev, procfs handles */

/** Root propagation, the overlay or bind of root.path, all mounts, /dev with its nodes and links.
 */
int rootfs_mount_child(const struct rootfs_plan *plan, const struct rootfs_context *context,
                       struct rootfs **ret_rootfs, struct error *err);

/** A new terminal on the container's own devpts: the master's descriptor, and the slave's, which is
 * also bound on /dev/console. */
int rootfs_open_terminal_child(struct rootfs *rootfs, const struct spec_process *process,
                               int *ret_master_fd, int *ret_slave_fd, struct error *err);

/** pivot_root(".", "."), detach the old root, chdir("/"). */
int rootfs_enter_child(struct rootfs *rootfs, struct error *err);

/** Sysctls, read-only root, read-only and masked paths; from the new root. */
int rootfs_finish_child(struct rootfs *rootfs, struct error *err);

/** The part of it that makes mounts read-only that had to be written to before. */
int rootfs_finish_mounts_child(const struct rootfs *rootfs, struct error *err);

/**
 * For a restore, in a mount namespace that is shut off from the host already: attaches the root
 * alone, where the bundle has its rootfs. CRIU makes the container's mounts from there.
 */
int rootfs_attach_child(const struct rootfs_plan *plan, struct error *err);

/**
 * After rootfs_attach_child(), in a mount namespace below that one which is given up afterwards:
 * makes all mounts once, so that every place of one exists in the root, as after a create.
 */
int rootfs_make_places_child(const struct rootfs_plan *plan, const struct rootfs_context *context,
                             struct error *err);

/** Closes the descriptors. */
void rootfs_free(struct rootfs *rootfs);
DEFINE_AUTO(rootfs)

#endif
