#include "runtime/rootfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "runtime/container.h"
#include "runtime/mount_api.h"
#include "runtime/mount_apply.h"
#include "runtime/mount_label.h"
#include "runtime/mount_namespace.h"
#include "runtime/overlay_root.h"
#include "runtime/rootfs_state.h"

/* The root and the sources of binds, as detached mounts, opened by who may:
 *
 *   - without a user namespace by the init, step by step (mount_step_apply); nothing of this file
 *   - with one that an ordinary user made by the init too, before it becomes another user
 *   - with one that root made by the creator: its root may neither enter the creator's folders nor
 *     set id maps. But a copy of a mount of the host's namespace would have no lock on its flags,
 * so that the container could make a read-only one writable (mount_namespaces(7), "Restrictions on
 *     mount namespaces"). So the creator copies from the init's own namespace, whose mounts are
 *     locked since the clone, by a thread that enters it while the init waits for HOST_READY.
 *
 * Layers of a root overlay are opened on the host, before the clone: nothing of their mounts'
 * flags can be reached through the overlay. */

bool rootfs_is_shared(const struct rootfs_plan *plan)
{
    return plan->has_propagation && plan->propagation.flag == MS_SHARED;
}

int rootfs_make_root(const struct rootfs_plan *plan, int directory_fd, bool is_child, int *ret_fd,
                     struct error *err)
{
    const struct overlay_scratch scratch = {
        .path = plan->root_path,
        .is_in_own_namespace = is_child,
        .is_in_user_namespace = is_child && plan->has_user_namespace,
    };
    static const struct mount_propagation private = { .flag = MS_PRIVATE, .is_recursive = true };
    auto_close int fd = -1;
    int r;

    if (plan->overlay != NULL) {
        r = overlay_create(plan->overlay, &scratch, ret_fd, err);
        return r < 0 ? error_prefix(err, r, "mounts[%zu] on '/'", plan->overlay->index) : 0;
    }
    r = mount_clone(directory_fd, "", true, &fd, err);
    if (r < 0)
        return error_prefix(err, r, "root.path '%s'", plan->root_path);
    r = mount_propagate(fd, &private, err);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&fd);
    return 0;
}

int rootfs_open_directory(const struct rootfs_plan *plan, int *ret_fd, struct error *err)
{
    int fd = open(plan->root_path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    /* The root of a user namespace may not be let into the caller's directories, but the root was
     * opened for it and can be attached anywhere: this is its own copy of the host's mounts. */
    if (fd < 0 && errno == EACCES && plan->root_mount_fd >= 0)
        fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open root.path '%s'", plan->root_path);
    *ret_fd = fd;
    return 0;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int open_source(const struct rootfs_plan *plan, struct mount_step *step, struct error *err)
{
    static const struct mount_propagation slave = { .flag = MS_SLAVE, .is_recursive = true };
    int r;

    r = mount_step_read_link(step, &step->link_text, err);
    if (r < 0 || step->link_text != NULL)
        return r;
    r = mount_step_copy_source(step, -1, &step->mount_fd, err);
    /* What shut_off_host() does to all other mounts. */
    return r < 0 || rootfs_is_shared(plan) ? r : mount_propagate(step->mount_fd, &slave, err);
}

/* A source in the container's own root is what the steps before it make there, so it waits for
 * them; but a map of ids can be set only here. */
static bool must_wait(const struct mount_step *step)
{
    return step->inside != NULL && step->uid_mappings == NULL;
}

static bool is_bind_to_open(const struct mount_step *step, bool has_steps_to_come)
{
    return step->kind == MOUNT_BIND && !(has_steps_to_come && must_wait(step));
}

static int open_binds(struct rootfs_plan *plan, bool has_steps_to_come, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < plan->step_count && r == 0; i++) {
        struct mount_step *step = &plan->steps[i];

        if (is_bind_to_open(step, has_steps_to_come))
            r = mount_step_name_error(step, open_source(plan, step, err), err);
    }
    return r;
}

/* A map goes onto a new file system only where its user namespace's owner makes it, so that is made
 * here as well. */
static int map_ids(struct rootfs_plan *plan, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < plan->step_count && r == 0; i++) {
        struct mount_step *step = &plan->steps[i];

        if (step->uid_mappings == NULL || step->link_text != NULL)
            continue;
        if (step->kind != MOUNT_BIND)
            r = mount_step_make(step, plan->label, &step->mount_fd, err);
        if (r == 0)
            r = mount_step_map_ids(step, step->mount_fd, err);
        r = mount_step_name_error(step, r, err);
    }
    return r;
}

/* @is_child: in the container's mount namespace */
static int open_root(struct rootfs_plan *plan, bool is_child, struct error *err)
{
    auto_close int directory_fd = -1;
    int r = rootfs_open_directory(plan, &directory_fd, err);

    return r < 0 ? r : rootfs_make_root(plan, directory_fd, is_child, &plan->root_mount_fd, err);
}

static int open_all(struct rootfs_plan *plan, bool is_child, struct error *err)
{
    /* A root overlay is there already (rootfs_prepare). */
    int r = plan->root_mount_fd < 0 ? open_root(plan, is_child, err) : 0;

    return r < 0 ? r : open_binds(plan, true, err);
}

int rootfs_take_root(struct rootfs_plan *plan, int mount_fd, struct error *err)
{
    assert(plan != NULL);

    plan->root_mount_fd = fcntl(mount_fd, F_DUPFD_CLOEXEC, 3);
    return plan->root_mount_fd < 0 ? error_errno(err, "keep the mount of the root") : 0;
}

int rootfs_prepare(struct rootfs_plan *plan, struct error *err)
{
    int r;

    assert(plan != NULL);

    r = mount_label_choose(plan, err);
    if (r < 0)
        return r;
    plan->gives_sources = plan->has_user_namespace && geteuid() == 0;
    return plan->gives_sources && plan->overlay != NULL ? open_root(plan, false, err) : 0;
}

bool rootfs_gives_sources(const struct rootfs_plan *plan)
{
    return plan->gives_sources;
}

int rootfs_open_sources(struct rootfs_plan *plan, struct error *err)
{
    int r;

    assert(plan != NULL);

    if (!plan->gives_sources)
        return 0;
    r = open_all(plan, false, err);
    return r < 0 ? r : map_ids(plan, err);
}

int rootfs_open_sources_child(struct rootfs_plan *plan, struct error *err)
{
    int r;

    assert(plan != NULL);

    r = open_all(plan, true, err);
    return r < 0 ? r : map_ids(plan, err);
}

static int open_all_there(void *context, struct error *err)
{
    return open_all(context, true, err);
}

int rootfs_open_sources_of(struct rootfs_plan *plan, pid_t pid, int pidfd, struct error *err)
{
    auto_free char *path = xasprintf("/proc/%d/root", pid);
    auto_close int root_fd = -1;
    int r;

    assert(plan != NULL);

    if (!plan->gives_sources)
        return 0;
    root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return error_errno(err, "open the root of the container's init");
    r = mount_namespace_call(pidfd, root_fd, open_all_there, plan, err);
    /* Here, as a procfs, which the making of maps needs, cannot be mounted in a namespace of a user
     * namespace where parts of the host's /proc are covered. */
    return r < 0 ? r : map_ids(plan, err);
}

static int open_binds_there(void *context, struct error *err)
{
    return open_binds(context, false, err);
}

int rootfs_open_binds(struct rootfs_plan *plan, int user_pidfd, struct error *err)
{
    int r;

    assert(plan != NULL);

    r = user_pidfd < 0 ? open_binds(plan, false, err)
                       : mount_namespace_call_locked(user_pidfd, open_binds_there, plan, err);
    return r < 0 ? r : map_ids(plan, err);
}

/* --- handing over to the init ------------------------------------------------------------------
 */

/* Both sides have the same plan, so both know what comes in which order: the root, but for an
 * overlay, which the init has from before the clone; then the steps. */

static bool is_given(const struct mount_step *step)
{
    return is_bind_to_open(step, true) || step->uid_mappings != NULL;
}

int rootfs_send_sources(const struct rootfs_plan *plan, int sync_fd, struct error *err)
{
    int r = 0;

    assert(plan != NULL);

    if (!plan->gives_sources)
        return 0;
    if (plan->overlay == NULL)
        r = sync_send_source(sync_fd, plan->root_mount_fd, NULL, err);
    for (size_t i = 0; i < plan->step_count && r == 0; i++) {
        const struct mount_step *step = &plan->steps[i];

        if (is_given(step))
            r = sync_send_source(sync_fd, step->mount_fd, step->link_text, err);
    }
    return r;
}

int rootfs_receive_sources_child(struct rootfs_plan *plan, int sync_fd, struct error *err)
{
    int r = 0;

    assert(plan != NULL);
    assert(plan->gives_sources);

    if (plan->overlay == NULL)
        r = sync_receive_source(sync_fd, &plan->root_mount_fd, NULL, err);
    for (size_t i = 0; i < plan->step_count && r == 0; i++) {
        struct mount_step *step = &plan->steps[i];

        if (is_given(step))
            r = sync_receive_source(sync_fd, &step->mount_fd, &step->link_text, err);
    }
    return r;
}
