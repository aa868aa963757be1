#include "engine/container_tree.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/path.h"
#include "base/staging.h"
#include "engine/bundle.h"
#include "engine/engine_private.h"
#include "engine/guest_files.h"

/* Where every container has mounts that are not its user's: bundle_mounts.c. */
static const char *const mount_points[] = {
    "dev", "etc/hostname", "etc/hosts", "etc/resolv.conf", "proc", "sbin/docker-init", "sys",
};

void container_mount_points(struct strings *ret_names)
{
    for (size_t i = 0; i < ARRAY_SIZE(mount_points); i++)
        strings_add(ret_names, mount_points[i]);
}

/* Shows the ids of a container's user namespace as the container does. */
static int map_back(const struct record *record, struct mount_attr *attributes, int *namespace_fd,
                    struct error *err)
{
    int r;

    if (!bundle_has_user_namespace(&record->settings))
        return 0;
    r = runtime_idmap_open(bundle_user_base(record), 0, BUNDLE_USER_RANGE, namespace_fd, err);
    if (r < 0)
        return r;
    attributes->attr_set |= MOUNT_ATTR_IDMAP;
    attributes->userns_fd = (uint64_t)*namespace_fd;
    return 0;
}

/* In the container's directory, or in staging. */
static int open_upper(const struct record *record, int dir_fd, int *ret_fd, struct error *err)
{
    struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV |
                                                 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC };
    auto_close int namespace_fd = -1;
    auto_close int mount_fd = -1;
    int r;

    mount_fd =
        open_tree(dir_fd, "upper", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
    if (mount_fd < 0)
        return error_errno(err, "open the writable directory of container %.12s", record->id);
    /* How times of access are kept is locked in a user namespace (mount_namespaces(7)). */
    if (!rootless_session_is_on()) {
        attributes.attr_set |= MOUNT_ATTR_NOATIME;
        attributes.attr_clr = MOUNT_ATTR__ATIME;
    }
    r = map_back(record, &attributes, &namespace_fd, err);
    if (r < 0)
        return r;
    if (mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
        return error_errno(err, "protect the writable directory of container %.12s", record->id);
    *ret_fd = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_errno(err, "read the writable directory of container %.12s", record->id);
    return 0;
}

/* What an overlay's upper directory would have, made by a comparison with the layers. */
static int stage_changes(struct engine *engine, const struct record *record, int dir_fd,
                         struct container_changes *changes, struct error *err)
{
    auto_close int root_fd = -1, upper_fd = -1;
    struct stat made;
    int r;

    r = path_open_beneath(dir_fd, "upper", O_RDONLY | O_DIRECTORY, 0, &root_fd, err);
    if (r < 0)
        return r;
    if (fstatat(dir_fd, "work", &made, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "find out when container %.12s was made", record->id);
    r = staging_create(engine->data_fd, &changes->staging, err);
    if (r < 0)
        return r;
    if (mkdirat(changes->staging->fd, "upper", 0700) < 0)
        return error_errno(err, "make a directory in staging");
    r = path_open_beneath(changes->staging->fd, "upper", O_RDONLY | O_DIRECTORY, 0, &upper_fd, err);
    if (r < 0)
        return r;
    return copied_root_changes(changes->lowers.items, changes->lowers.count, root_fd, &made.st_mtim,
                               upper_fd, err);
}

static int open_changes(struct engine *engine, const struct record *record,
                        struct container_changes *changes, struct error *err)
{
    auto_close int dir_fd = -1;
    int r;

    r = container_directory(engine, record->id, &dir_fd, err);
    if (r == 0)
        r = layer_fds_open(AT_FDCWD, &record->layers, O_RDONLY, &changes->lowers, err);
    if (r == 0 && record->is_copied)
        r = stage_changes(engine, record, dir_fd, changes, err);
    if (r < 0)
        return r;
    return open_upper(record, record->is_copied ? changes->staging->fd : dir_fd, &changes->upper_fd,
                      err);
}

int container_changes_open(struct engine *engine, const struct record *record,
                           struct container_changes *ret_changes, struct error *err)
{
    struct container_changes changes = { .upper_fd = -1 };
    int r;

    assert(record != NULL);
    assert(ret_changes != NULL);

    r = open_changes(engine, record, &changes, err);
    if (r < 0) {
        container_changes_clear(&changes);
        return container_explain_removal(engine, record->id, r, err);
    }
    container_mount_points(&changes.mount_points);
    *ret_changes = changes;
    ret_changes->source.upper_fd = changes.upper_fd;
    ret_changes->source.lower_fds = changes.lowers.items;
    ret_changes->source.lower_count = changes.lowers.count;
    ret_changes->source.mount_points = &ret_changes->mount_points;
    ret_changes->source.has_whiteout_names = record->is_served;
    ret_changes->source.has_user_attributes =
        rootless_session_is_on() || bundle_has_user_namespace(&record->settings);
    return 0;
}

void container_changes_clear(struct container_changes *changes)
{
    layer_fds_clear(&changes->lowers);
    auto_close_cleanup(&changes->upper_fd);
    staging_free(changes->staging);
    strings_clear(&changes->mount_points);
    *changes = (struct container_changes){ .upper_fd = -1 };
}

static int guest_changes(struct engine *engine, const struct record *record,
                         change_function *function, void *context, struct error *err)
{
    AUTO_CLEAR(guest_files) struct guest_files files = GUEST_FILES_NONE;
    AUTO_CLEAR(strings) struct strings points = { 0 };
    struct inner_files work = { .work = (char *)INNER_CHANGES };
    int r;

    container_mount_points(&points);
    work.mount_points = points;
    r = guest_files_open(engine, record, &work, &files, err);
    if (r < 0)
        return r;
    r = guest_changes_read(files.data_fd, function, context, err);
    return guest_files_finish(&files, r, NULL, err);
}

int engine_changes(struct engine *engine, const char *id, change_function *function, void *context,
                   struct error *err)
{
    AUTO_CLEAR(container_changes) struct container_changes changes = { .upper_fd = -1 };
    AUTO(record) struct record *record = NULL;
    int r;

    assert(engine != NULL);

    r = record_read(engine, id, &record, err);
    if (r < 0)
        return r;
    if (bundle_is_vm(&record->settings))
        return guest_changes(engine, record, function, context, err);
    r = container_changes_open(engine, record, &changes, err);
    return r < 0 ? r : changes_walk(&changes.source, function, context, err);
}
