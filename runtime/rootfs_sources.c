#include "runtime/rootfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "runtime/mount_api.h"
#include "runtime/mount_apply.h"
#include "runtime/mount_label.h"
#include "runtime/overlay_root.h"
#include "runtime/rootfs_state.h"

/* The root and the sources of binds, as detached mounts: by whoever may open them. */

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

static int open_source(const struct rootfs_plan *plan, struct mount_step *step, struct error *err)
{
    static const struct mount_propagation slave = { .flag = MS_SLAVE, .is_recursive = true };
    char name[MOUNT_STEP_NAME_MAX];
    int r;

    r = mount_step_read_link(step, &step->link_text, err);
    if (r == 0 && step->link_text != NULL)
        return 0;
    if (r == 0)
        r = mount_step_open_source(step, -1, plan->label, &step->mount_fd, err);
    /* What shut_off_host() does to all other mounts. */
    if (r == 0 && !rootfs_is_shared(plan))
        r = mount_propagate(step->mount_fd, &slave, err);
    return r < 0
               ? error_prefix(err, r, "%s: bind of '%s'", mount_step_name(step, name), step->source)
               : 0;
}

/* A source in the container's own root is what the steps before it make there, so it waits for
 * them; but a map of ids can be set only here. */
static bool must_wait(const struct mount_step *step)
{
    return step->inside != NULL && step->uid_mappings == NULL;
}

static int open_binds(struct rootfs_plan *plan, bool has_steps_to_come, struct error *err)
{
    int r;

    for (size_t i = 0; i < plan->step_count; i++) {
        /* A map goes onto a new file system only where its user namespace's owner makes it. */
        if (plan->steps[i].kind != MOUNT_BIND && plan->steps[i].uid_mappings == NULL)
            continue;
        if (has_steps_to_come && must_wait(&plan->steps[i]))
            continue;
        r = open_source(plan, &plan->steps[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

int rootfs_open_binds(struct rootfs_plan *plan, struct error *err)
{
    return open_binds(plan, false, err);
}

/* @is_child: in the container's mount namespace */
static int open_sources(struct rootfs_plan *plan, bool is_child, struct error *err)
{
    auto_close int directory_fd = -1;
    int r;

    r = rootfs_open_directory(plan, &directory_fd, err);
    if (r < 0)
        return r;
    r = rootfs_make_root(plan, directory_fd, is_child, &plan->root_mount_fd, err);
    return r < 0 ? r : open_binds(plan, true, err);
}

int rootfs_open_sources(struct rootfs_plan *plan, struct error *err)
{
    int r;

    assert(plan != NULL);

    r = mount_label_choose(plan, err);
    if (r < 0)
        return r;
    return plan->has_user_namespace && geteuid() == 0 ? open_sources(plan, false, err) : 0;
}

int rootfs_open_sources_child(struct rootfs_plan *plan, struct error *err)
{
    assert(plan != NULL);

    return plan->root_mount_fd < 0 ? open_sources(plan, true, err) : 0;
}
