#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/path.h"
#include "base/process.h"
#include "runtime/container.h"
#include "runtime/mount_apply.h"
#include "runtime/mount_plan.h"
#include "runtime/procfs.h"
#include "runtime/rootfs_state.h"

/* Mounts of a running container. Sources are opened on the host, as detached mounts (for a user
 * namespace from a copy of the host's mounts, in which flags are locked); then a child enters
 * the container's mount namespace (and its user namespace, so that new file systems are the
 * container's) and goes through the same steps as the init did, each onto a descriptor that was
 * opened inside the root. A process of the container may swap links meanwhile: then the mount is
 * somewhere else in the container, which is noticed, or fails; it is never outside.
 *
 * All or nothing: the descriptor of each mount is kept, and umount2(2) by it, through a procfs of
 * our own, takes back exactly this mount. */

struct change {
    struct rootfs_plan *plan;       /* to add; NULL */
    const struct spec_mounts *gone; /* to remove; NULL */
    const struct spec *spec;
    int pidfd;
    int flags; /* CLONE_NEW* to join */
    int proc_fd;
};

/* --- in the child ----------------------------------------------------------------------------- */

static int enter(struct change *change, struct rootfs *rootfs, struct error *err)
{
    int r;

    /* Nobody in the container's namespaces may look into us (ptrace(2)). */
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return error_errno(err, "hide the process");
    r = procfs_open(false, &change->proc_fd, err);
    if (r < 0)
        return r;
    if (setns(change->pidfd, change->flags) < 0)
        return error_errno(err, "join the container's namespaces");
    if ((change->flags & CLONE_NEWUSER) != 0 &&
        (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0))
        return error_errno(err, "become root of the user namespace");
    rootfs->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (rootfs->root_fd < 0)
        return error_errno(err, "open the container's root");
    (void)umask(0);
    return 0;
}

static int unmount(const struct change *change, int mount_fd, struct error *err)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "self/fd/%d", mount_fd);
    if (fchdir(change->proc_fd) < 0 || umount2(path, MNT_DETACH) < 0)
        return error_errno(err, "unmount");
    return 0;
}

static int add_all(struct change *change, struct rootfs *rootfs, struct error *err)
{
    const struct rootfs_plan *plan = change->plan;
    int r = 0;

    rootfs->plan = plan;
    rootfs->keeps_attached = true;
    rootfs->context = (struct rootfs_context){
        .has_user_namespace = plan->has_user_namespace,
        .has_network_namespace = spec_find_namespace(change->spec, "network") != NULL,
    };
    for (size_t i = 0; i < plan->step_count && r == 0; i++) {
        if (plan->steps[i].index != MOUNT_STEP_IMPLIED)
            r = mount_step_apply(rootfs, &plan->steps[i], err);
    }
    if (r == 0)
        r = rootfs_finish_mounts_child(rootfs, err);
    /* The last one may never have been attached: then it is none of this namespace (EINVAL). */
    for (size_t i = rootfs->attached_count; r < 0 && i-- > 0;)
        (void)unmount(change, rootfs->attached_fds[i], NULL);
    return r;
}

/* The topmost mount at a destination. */
static int open_mount(const struct rootfs *rootfs, const char *destination, int *ret_fd,
                      struct error *err)
{
    auto_close int fd = -1;
    struct statx status, root;
    int r;

    r = path_open_in_root(rootfs->root_fd, destination, O_PATH, 0, &fd, err);
    if (r < 0)
        return r;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) < 0 ||
        statx(rootfs->root_fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &root) < 0)
        return error_errno(err, "look at it");
    if ((status.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0)
        return error_set(err, EINVAL, "nothing is mounted there");
    if (status.stx_mnt_id == root.stx_mnt_id)
        return error_set(err, EINVAL, "the root cannot be removed");
    *ret_fd = take_fd(&fd);
    return 0;
}

/* Twice, so that a wrong destination is told while all mounts are still there. */
static int remove_all(const struct change *change, const struct rootfs *rootfs, struct error *err)
{
    for (int is_real = 0; is_real < 2; is_real++) {
        for (size_t i = 0; i < change->gone->count; i++) {
            const char *destination = change->gone->items[i].destination;
            auto_close int fd = -1;
            int r = open_mount(rootfs, destination, &fd, err);

            if (r == 0 && is_real)
                r = unmount(change, fd, err);
            if (r < 0)
                return error_prefix(err, r, "mounts[%zu] on '%s'", i, destination);
        }
    }
    return 0;
}

static int run(void *context, struct error *err)
{
    AUTO(rootfs) struct rootfs *rootfs = xcalloc(1, sizeof(*rootfs));
    struct change *change = context;
    int r;

    rootfs->root_fd = rootfs->dev_fd = rootfs->pts_fd = rootfs->null_fd = -1;
    r = enter(change, rootfs, err);
    if (r < 0)
        return r;
    return change->plan != NULL ? add_all(change, rootfs, err) : remove_all(change, rootfs, err);
}

/* --- in the caller ---------------------------------------------------------------------------- */

static int open_change(struct container *container, struct change *ret_change, struct error *err)
{
    struct change change = { .pidfd = container->pidfd, .proc_fd = -1 };
    int r;

    if (container_pid(container) == 0 || container->state.is_creating)
        return error_set(err, ESRCH, "container not running: '%s'", container->state.id);
    r = container_refuse_isolation(container, "changing mounts", err);
    if (r < 0)
        return r;
    r = container_spec(container, &change.spec, err);
    if (r == 0)
        r = namespaces_need_mounts(change.spec, "changing mounts", err);
    if (r < 0)
        return r;
    change.flags = namespaces_exec_flags(change.spec) &
                   (CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWNET);
    *ret_change = change;
    return 0;
}

/* What shows namespaces that the child cannot be in, or what later steps of the init rely on. */
static int check_addable(const struct mount_step *step, struct error *err)
{
    if (step->kind == MOUNT_PROC || step->kind == MOUNT_CGROUP || step->is_dev)
        return error_set(err, EOPNOTSUPP,
                         "mounts[%zu]: '%s' on '/%s' cannot be added to a running container",
                         step->index, step->type, step->destination);
    if (step->uid_mappings != NULL && step->kind != MOUNT_BIND)
        return error_set(err, EOPNOTSUPP,
                         "mounts[%zu]: only a bind can be id-mapped in a running container",
                         step->index);
    return 0;
}

static int check_plan(const struct rootfs_plan *plan, struct error *err)
{
    int r = 0;

    if (plan->overlay != NULL)
        return error_set(err, EINVAL, "mounts[%zu].destination: is the root", plan->overlay->index);
    for (size_t i = 0; i < plan->step_count && r == 0; i++) {
        if (plan->steps[i].index != MOUNT_STEP_IMPLIED)
            r = check_addable(&plan->steps[i], err);
    }
    return r;
}

/* An ordinary user owns the user namespace, and has no right that it has not. */
static bool has_locked_mounts(const struct change *change)
{
    return (change->flags & CLONE_NEWUSER) != 0 && geteuid() == 0;
}

int container_add_mounts(struct container *container, const struct spec_mounts *mounts,
                         struct error *err)
{
    AUTO(rootfs_plan) struct rootfs_plan *plan = NULL;
    struct change change;
    struct spec spec;
    int r;

    r = open_change(container, &change, err);
    if (r < 0)
        return r;
    spec = *change.spec;
    spec.mounts = *mounts;
    r = rootfs_plan(&spec, container->state.bundle, &plan, err);
    if (r < 0)
        return r;
    r = check_plan(plan, err);
    if (r < 0)
        return r;
    r = rootfs_open_binds(plan, has_locked_mounts(&change) ? change.pidfd : -1, err);
    if (r < 0)
        return r;
    change.plan = plan;
    return process_call_in_child(run, &change, err);
}

int container_remove_mounts(struct container *container, const struct spec_mounts *mounts,
                            struct error *err)
{
    struct change change;
    int r;

    r = open_change(container, &change, err);
    if (r < 0)
        return r;
    change.gone = mounts;
    return process_call_in_child(run, &change, err);
}
