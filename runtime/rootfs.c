#include "runtime/rootfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "runtime/devices.h"
#include "runtime/masked_paths.h"
#include "runtime/mount_api.h"
#include "runtime/mount_apply.h"
#include "runtime/root_move.h"
#include "runtime/rootfs_state.h"
#include "runtime/sysctls.h"

/* The order of things, all of it in the container's own mount namespace:
 *
 *   1. nothing that happens here may reach the host: propagation of "/"
 *   2. the root, made detached and private, attached where the bundle has its rootfs; from here on
 * it is used only by its descriptor
 *   3. the configured mounts, in their order, each onto a descriptor opened inside the root
 *   4. devices; then, when wanted, the terminal (rootfs_open_terminal_child)
 *   5. pivot_root, and the host's tree is gone (rootfs_enter_child)
 *   6. sysctls through a private procfs, what becomes read-only, and masks (rootfs_finish_child) */

/* --- the root -------------------------------------------------------------------------------- */

/* With shared propagation the mounts of this namespace stay peers of the host's, so that what is
 * mounted in a shared volume is seen there. The one mount below which the root is attached must
 * then not be a peer; a mount cannot be asked for by a path inside of it, so parents are tried. */
static int make_parent_private(const char *root_path, struct error *err)
{
    auto_free char *path = xstrdup(root_path);

    for (;;) {
        if (mount(NULL, path, NULL, MS_PRIVATE, NULL) == 0)
            return 0;
        /* The root of a user namespace, whose mounts are no peers anyway. */
        if (errno == EACCES)
            return 0;
        if (errno != EINVAL || strcmp(path, "/") == 0)
            return error_errno(err, "make the mount of '%s' private", root_path);
        (void)dirname(path); /* cuts in place, as path is absolute */
    }
}

/* "unbindable" waits until the root is in place (rootfs_finish_child): from an unbindable tree no
 * root could be made. */
static int shut_off_host(const struct rootfs_plan *plan, struct error *err)
{
    unsigned long flags = MS_REC | MS_SLAVE;

    if (rootfs_is_shared(plan))
        return make_parent_private(plan->root_path, err);
    if (plan->has_propagation && plan->propagation.flag == MS_PRIVATE)
        flags = MS_REC | MS_PRIVATE;
    if (mount(NULL, "/", NULL, flags, NULL) < 0)
        return error_errno(err, "shut mounts off from the host");
    return 0;
}

static int attach_root(struct rootfs *rootfs, struct error *err)
{
    const struct rootfs_plan *plan = rootfs->plan;
    auto_close int directory_fd = -1;
    int r;

    r = rootfs_open_directory(plan, &directory_fd, err);
    if (r < 0)
        return r;
    if (plan->root_mount_fd >= 0) {
        rootfs->root_fd = fcntl(plan->root_mount_fd, F_DUPFD_CLOEXEC, 3);
        r = rootfs->root_fd < 0 ? error_errno(err, "keep the root") : 0;
    } else {
        r = rootfs_make_root(plan, directory_fd, true, &rootfs->root_fd, err);
    }
    if (r < 0)
        return r;
    r = mount_attach(rootfs->root_fd, directory_fd, NULL, err);
    return r < 0 ? error_prefix(err, r, "root '%s'", plan->root_path) : 0;
}

static int mount_root(struct rootfs *rootfs, struct error *err)
{
    int r = shut_off_host(rootfs->plan, err);

    return r < 0 ? r : attach_root(rootfs, err);
}

/* --- the steps ------------------------------------------------------------------------------- */

static int run_steps(struct rootfs *rootfs, struct error *err)
{
    const struct rootfs_plan *plan = rootfs->plan;

    for (size_t i = 0; i < plan->step_count; i++) {
        int r = mount_step_apply(rootfs, &plan->steps[i], err);

        if (r < 0)
            return r;
    }
    return devices_create_configured(rootfs, err);
}

static int run_mounts(struct rootfs *rootfs, struct error *err)
{
    int r = mount_root(rootfs, err);

    return r < 0 ? r : run_steps(rootfs, err);
}

int rootfs_mount_child(const struct rootfs_plan *plan, const struct rootfs_context *context,
                       struct rootfs **ret_rootfs, struct error *err)
{
    AUTO(rootfs) struct rootfs *rootfs = xcalloc(1, sizeof(*rootfs));
    mode_t mask;
    int r;

    assert(plan != NULL);
    assert(context != NULL);
    assert(ret_rootfs != NULL);

    rootfs->plan = plan;
    rootfs->context = *context;
    rootfs->root_fd = rootfs->dev_fd = rootfs->pts_fd = rootfs->null_fd = -1;
    mask = umask(0); /* modes are meant as they are written */
    r = run_mounts(rootfs, err);
    (void)umask(mask);
    if (r < 0)
        return r;
    log_debug("rootfs: %zu mounts below '%s'", plan->step_count, plan->root_path);
    *ret_rootfs = take_ptr(&rootfs);
    return 0;
}

/* --- for a restore ---------------------------------------------------------------------------- */

int rootfs_attach_child(const struct rootfs_plan *plan, struct error *err)
{
    AUTO(rootfs) struct rootfs *rootfs = xcalloc(1, sizeof(*rootfs));

    assert(plan != NULL);

    rootfs->plan = plan;
    rootfs->root_fd = rootfs->dev_fd = rootfs->pts_fd = rootfs->null_fd = -1;
    return attach_root(rootfs, err);
}

int rootfs_make_places_child(const struct rootfs_plan *plan, const struct rootfs_context *context,
                             struct error *err)
{
    AUTO(rootfs) struct rootfs *rootfs = xcalloc(1, sizeof(*rootfs));

    assert(plan != NULL);
    assert(context != NULL);

    rootfs->plan = plan;
    rootfs->context = *context;
    rootfs->root_fd = rootfs->dev_fd = rootfs->pts_fd = rootfs->null_fd = -1;
    (void)umask(0); /* modes are meant as they are written */
    /* What is attached there stands above the directory of that name. */
    rootfs->root_fd = open(plan->root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (rootfs->root_fd < 0)
        return error_errno(err, "open root.path '%s'", plan->root_path);
    return run_steps(rootfs, err);
}

/* --- entering --------------------------------------------------------------------------------- */

/* pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one. */
static int pivot_away(struct error *err)
{
    return syscall(SYS_pivot_root, ".", ".") < 0 ? error_errno(err, "pivot_root") : 0;
}

/* Mounts that are peers of the host's must not be detached: they would be there too. The new root,
 * where "." is after pivot_root, stays what it is, so the old one is entered by its descriptor. */
static int pivot_away_from_peers(struct error *err)
{
    auto_close int old_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (old_fd < 0)
        return error_errno(err, "open the old root");
    r = pivot_away(err);
    if (r < 0)
        return r;
    if (fchdir(old_fd) < 0)
        return error_errno(err, "enter the old root");
    if (mount(NULL, ".", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return error_errno(err, "shut the old root off from the host");
    return 0;
}

static int pivot(const struct rootfs_plan *plan, struct error *err)
{
    int r = rootfs_is_shared(plan) ? pivot_away_from_peers(err) : pivot_away(err);

    if (r < 0)
        return r;
    if (umount2(".", MNT_DETACH) < 0)
        return error_errno(err, "detach the old root");
    return 0;
}

int rootfs_enter_child(struct rootfs *rootfs, struct error *err)
{
    int r;

    if (fchdir(rootfs->root_fd) < 0)
        return error_errno(err, "enter the root");
    r = rootfs->context.has_no_pivot ? root_move_child(err) : pivot(rootfs->plan, err);
    if (r < 0)
        return r;
    if (chdir("/") < 0)
        return error_errno(err, "chdir to '/'");
    return 0;
}

static int write_sysctls(const struct rootfs *rootfs, struct error *err)
{
    const struct spec *spec = rootfs->plan->spec;
    auto_close int proc_fd = -1;
    int r;

    if (spec->linux_.sysctl.count == 0)
        return 0;
    r = procfs_open(true, &proc_fd, err);
    if (r < 0)
        return r;
    return sysctls_apply(spec, proc_fd, err);
}

int rootfs_finish_mounts_child(const struct rootfs *rootfs, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < rootfs->late_count && r == 0; i++)
        r = mount_change(rootfs->late_fds[i], MOUNT_ATTR_RDONLY, 0, false, err);
    return r;
}

static int make_late_read_only(const struct rootfs *rootfs, struct error *err)
{
    int r = rootfs_finish_mounts_child(rootfs, err);

    if (r < 0)
        return r;
    if (!rootfs->plan->is_read_only)
        return 0;
    r = mount_change(rootfs->root_fd, MOUNT_ATTR_RDONLY, 0, false, err);
    return r < 0 ? error_prefix(err, r, "make the root read-only") : 0;
}

static int propagate_root(const struct rootfs *rootfs, struct error *err)
{
    const struct rootfs_plan *plan = rootfs->plan;

    if (!plan->has_propagation ||
        (plan->propagation.flag != MS_SHARED && plan->propagation.flag != MS_UNBINDABLE))
        return 0;
    return mount_propagate(rootfs->root_fd, &plan->propagation, err);
}

int rootfs_finish_child(struct rootfs *rootfs, struct error *err)
{
    int r;

    r = write_sysctls(rootfs, err);
    if (r < 0)
        return r;
    /* Masks last: a mask may lie inside of a path that becomes read-only, and would be in the way
     * of nothing. */
    r = readonly_paths_apply(rootfs, err);
    if (r < 0)
        return r;
    r = masked_paths_apply(rootfs, err);
    if (r < 0)
        return r;
    r = make_late_read_only(rootfs, err);
    if (r < 0)
        return r;
    return propagate_root(rootfs, err);
}

void rootfs_free(struct rootfs *rootfs)
{
    if (rootfs == NULL)
        return;
    auto_close_cleanup(&rootfs->root_fd);
    auto_close_cleanup(&rootfs->dev_fd);
    auto_close_cleanup(&rootfs->pts_fd);
    auto_close_cleanup(&rootfs->null_fd);
    for (size_t i = 0; i < rootfs->late_count; i++)
        auto_close_cleanup(&rootfs->late_fds[i]);
    for (size_t i = 0; i < rootfs->attached_count; i++)
        auto_close_cleanup(&rootfs->attached_fds[i]);
    free(rootfs->late_fds);
    free(rootfs->attached_fds);
    free(rootfs);
}
