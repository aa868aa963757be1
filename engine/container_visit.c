#include "engine/container_visit.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/path.h"
#include "base/process.h"
#include "engine/bundle.h"
#include "engine/container_tree.h"
#include "engine/engine_private.h"
#include "engine/fuse_root.h"
#include "engine/image_root.h"

/* The root of a running container is what its mount namespace has there, copied as a mount that is
 * attached nowhere. The root of another one is an overlay as at its start, made in a mount
 * namespace that ends with the child: so no mount is ever seen on the host, whoever is killed. */

struct visit {
    struct engine *engine;
    const struct record *record;
    struct container *container; /* NULL: it does not run */
    enum visit_scope scope;
    visit_function *function;
    void *context;
};

/* --- in the child: a container that does not run ---------------------------------------------- */

/* Its directory shows through itself the ids that the container would see. */
static int map_directory(const struct visit *visit, const char *path, struct error *err)
{
    struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP };
    auto_close int namespace_fd = -1;
    auto_close int mount_fd = -1;
    int r;

    r = runtime_idmap_open(bundle_user_base(visit->record), 0, BUNDLE_USER_RANGE, &namespace_fd,
                           err);
    if (r < 0)
        return r;
    attributes.userns_fd = (uint64_t)namespace_fd;
    mount_fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (mount_fd < 0 ||
        mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0 ||
        move_mount(mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return error_errno(err, "map the ids of the container's directory");
    return 0;
}

/* A mount of the user's where the container would have it. */
static int add_mount(int root_fd, const struct settings_mount *mount, struct error *err)
{
    bool is_volume = strcmp(mount->type, "volume") == 0;
    const char *source = is_volume ? mount->volume_path : mount->source;
    struct mount_attr attributes = { .attr_set = MOUNT_ATTR_NODEV |
                                                 (mount->is_readonly ? MOUNT_ATTR_RDONLY : 0) };
    auto_close int mount_fd = -1;
    auto_close int target_fd = -1;
    int r;

    mount_fd = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (mount_fd < 0)
        return error_errno(err, "open '%s'", source);
    r = path_open_in_root(root_fd, mount->target, O_PATH, 0, &target_fd, err);
    if (r == -ENOENT)
        return 0; /* made at the container's first start */
    if (r < 0)
        return r;
    if (mount_setattr(mount_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) <
            0 ||
        move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
            0)
        return error_errno(err, "mount '%s'", source);
    return 0;
}

static int add_mounts(const struct visit *visit, int root_fd, struct error *err)
{
    const struct settings_mounts *mounts = &visit->record->settings.mounts;

    for (size_t i = 0; i < mounts->count; i++) {
        int r = strcmp(mounts->items[i].type, "tmpfs") == 0
                    ? 0
                    : add_mount(root_fd, &mounts->items[i], err);

        if (r < 0)
            return error_prefix(err, r, "mount at '%s'", mounts->items[i].target);
    }
    return 0;
}

static int make_root(const struct record *record, const struct snapshot *snapshot,
                     struct fuse_root *ret_served, int *ret_fd, struct error *err)
{
    int r;

    if (record->is_copied)
        return copied_root_open(snapshot->upper, ret_fd, err);
    if (!record->is_served)
        return snapshot_root_open(snapshot, ret_fd, err);
    r = fuse_root_open(snapshot, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
                       ret_served, err);
    if (r == 0)
        *ret_fd = take_fd(&ret_served->mount_fd);
    return r;
}

static int open_stopped_root(const struct visit *visit, struct fuse_root *ret_served, int *ret_fd,
                             struct error *err)
{
    auto_free char *path =
        xasprintf("%s/containers/%s", engine_data_path(visit->engine), visit->record->id);
    auto_free char *upper = path_join(path, "upper");
    auto_free char *work = path_join(path, "work");
    auto_free char *place = path_join(path, "bundle/rootfs");
    const struct snapshot snapshot = {
        .lower = visit->record->layers,
        .upper = upper,
        .work = work,
        .has_user_attributes = rootless_session_is_on(),
    };
    struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
    auto_close int mount_fd = -1;
    int r;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return error_errno(err, "make a mount namespace");
    r = bundle_has_user_namespace(&visit->record->settings) ? map_directory(visit, path, err) : 0;
    if (r == 0)
        r = make_root(visit->record, &snapshot, ret_served, &mount_fd, err);
    if (r < 0)
        return r;
    if (visit->record->settings.is_readonly &&
        mount_setattr(mount_fd, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) < 0)
        return error_errno(err, "make the container's root read-only");
    /* Attached, so that mounts can be attached to it. */
    if (move_mount(mount_fd, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return error_errno(err, "mount the container's root");
    r = visit->scope == VISIT_MOUNTS ? add_mounts(visit, mount_fd, err) : 0;
    *ret_fd = take_fd(&mount_fd);
    return r;
}

static int visit_child(void *context, struct error *err)
{
    const struct visit *visit = context;
    AUTO_CLEAR(fuse_root) struct fuse_root served = FUSE_ROOT_NONE;
    auto_close int mount_fd = -1;
    auto_close int root_fd = -1;
    int r;

    if (visit->container != NULL)
        r = container_copy_mounts(visit->container,
                                  bundle_has_user_namespace(&visit->record->settings),
                                  visit->scope == VISIT_MOUNTS, &mount_fd, err);
    else
        r = open_stopped_root(visit, &served, &mount_fd, err);
    if (r < 0)
        return r;
    root_fd = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return error_errno(err, "open the container's root");
    return visit->function(root_fd, visit->context, err);
}

/* --- in the caller ---------------------------------------------------------------------------- */

static bool runs(struct container *container)
{
    enum container_status status;

    return container_status(container, &status, NULL) == 0 &&
           (status == CONTAINER_RUNNING || status == CONTAINER_PAUSED);
}

int container_visit(struct engine *engine, const char *id, enum visit_scope scope,
                    visit_function *function, void *context, struct error *err)
{
    AUTO(container) struct container *container = NULL;
    AUTO(record) struct record *record = NULL;
    struct visit visit = {
        .engine = engine, .scope = scope, .function = function, .context = context
    };
    auto_close int dir_fd = -1;
    int claim_fd = -1;
    int r;

    assert(function != NULL);

    r = record_read(engine, id, &record, err);
    if (r == 0)
        r = engine_need_runtime(engine, err);
    if (r < 0)
        return r;
    visit.record = record;
    /* It may start or end just now: the claim is waited for in short steps. */
    for (uint32_t waited_ms = 0;; waited_ms += CLAIM_STEP_MS) {
        container_free(container);
        container = NULL;
        if (container_open(engine->runtime, id, &container, NULL) == 0 && runs(container)) {
            visit.container = container;
            r = process_call_in_child(visit_child, &visit, err);
            if (r != -ESRCH) /* it ended before it was entered */
                return container_explain_removal(engine, id, r, err);
            visit.container = NULL;
        }
        r = claim_take(engine, id, CLAIM_STEP_MS, &claim_fd, err);
        if (r != -ETIMEDOUT || waited_ms >= CLAIM_WAIT_MS)
            break;
    }
    if (r == -ETIMEDOUT)
        return error_set(err, EBUSY,
                         "container %.12s starts, ends or is removed just now; try again", id);
    if (r < 0)
        return r;
    r = container_directory(engine, id, &dir_fd, err); /* not removed before it was claimed */
    if (r == 0)
        r = process_call_in_child(visit_child, &visit, err);
    claim_drop(engine, id, &claim_fd);
    return r;
}
