#include "runtime/cgroup_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/mount_api.h"

#define HOST_CGROUPS "/sys/fs/cgroup"

static enum cgroup_layout layout_of(const struct rootfs *rootfs)
{
    return rootfs->context.cgroups == NULL ? CGROUP_LAYOUT_NONE
                                           : cgroup_system_layout(rootfs->context.cgroups);
}

static int clone_cgroup(const struct cgroup_hierarchy *hierarchy, const char *cgroup_path,
                        uint64_t attributes, int *ret_mount_fd, struct error *err)
{
    auto_free char *path = xasprintf("%s/%s/%s", HOST_CGROUPS, hierarchy->mount_name,
                                     text_is_empty(cgroup_path) ? "." : cgroup_path);

    return mount_clone_with(AT_FDCWD, path, attributes, ret_mount_fd, err);
}

/* The descriptors of cgroup_system belong to the mounts of the creator's mount namespace, of which
 * none can be copied here; so the directory is opened again, in the host's tree that the init still
 * has: a copy of what cgroup_system_open() found to be cgroup file systems. */
static int clone_own(const struct rootfs *rootfs, const struct cgroup_hierarchy *hierarchy,
                     uint64_t attributes, int *ret_mount_fd, struct error *err)
{
    int r = -ENOENT;

    if (rootfs->context.cgroup_path != NULL)
        r = clone_cgroup(hierarchy, rootfs->context.cgroup_path, attributes, ret_mount_fd, err);
    /* A delegated cgroup need not be there in each hierarchy. */
    if (r == -ENOENT)
        r = clone_cgroup(hierarchy, hierarchy->own_path, attributes, ret_mount_fd, err);
    return r;
}

static const struct cgroup_hierarchy *find_v2(const struct rootfs *rootfs)
{
    size_t count = 0;
    const struct cgroup_hierarchy *hierarchies =
        cgroup_system_hierarchies(rootfs->context.cgroups, &count);

    for (size_t i = 0; i < count; i++) {
        if (hierarchies[i].is_v2)
            return &hierarchies[i];
    }
    return NULL;
}

int cgroup_mount_create(const struct rootfs *rootfs, const struct mount_step *step,
                        int *ret_mount_fd, struct error *err)
{
    static const char *const tmpfs_words[] = { "mode=755" };
    const struct mount_options *options = &step->options;
    uint64_t attributes = options->attr_set | options->attr_recursive_set;

    if (layout_of(rootfs) != CGROUP_LAYOUT_V2)
        return mount_create("tmpfs", "tmpfs", tmpfs_words, ARRAY_SIZE(tmpfs_words),
                            attributes & ~(uint64_t)MOUNT_ATTR_RDONLY, ret_mount_fd, err);
    if (rootfs->context.has_cgroup_namespace)
        return mount_create("cgroup2", "cgroup", options->data, options->data_count, attributes,
                            ret_mount_fd, err);
    return clone_own(rootfs, find_v2(rootfs), attributes, ret_mount_fd, err);
}

static unsigned long old_flags(uint64_t attributes)
{
    unsigned long flags = 0;

    flags |= (attributes & MOUNT_ATTR_RDONLY) != 0 ? MS_RDONLY : 0;
    flags |= (attributes & MOUNT_ATTR_NOSUID) != 0 ? MS_NOSUID : 0;
    flags |= (attributes & MOUNT_ATTR_NODEV) != 0 ? MS_NODEV : 0;
    flags |= (attributes & MOUNT_ATTR_NOEXEC) != 0 ? MS_NOEXEC : 0;
    return flags;
}

/* As clone_own(), onto a directory of the working directory. */
static int bind_cgroup(const struct cgroup_hierarchy *hierarchy, const char *cgroup_path,
                       uint64_t attributes, struct error *err)
{
    auto_free char *path = xasprintf("%s/%s/%s", HOST_CGROUPS, hierarchy->mount_name,
                                     text_is_empty(cgroup_path) ? "." : cgroup_path);
    struct mount_attr change = { .attr_set = attributes };

    if (mount(path, hierarchy->mount_name, NULL, MS_BIND, NULL) < 0)
        return error_errno(err, "bind '%s'", path);
    if (mount_setattr(AT_FDCWD, hierarchy->mount_name, AT_SYMLINK_NOFOLLOW, &change,
                      sizeof(change)) < 0)
        return error_errno(err, "set mount attributes");
    return 0;
}

static int bind_own(const struct rootfs *rootfs, const struct cgroup_hierarchy *hierarchy,
                    uint64_t attributes, struct error *err)
{
    int r = -ENOENT;

    if (rootfs->context.cgroup_path != NULL)
        r = bind_cgroup(hierarchy, rootfs->context.cgroup_path, attributes, err);
    return r == -ENOENT ? bind_cgroup(hierarchy, hierarchy->own_path, attributes, err) : r;
}

/* Each is one mount(2) relative to the working directory, which is the tmpfs just made: half the
 * price of the calls of the mount API, and no foreign link can be in the way. */
static int mount_hierarchy(const struct rootfs *rootfs, const struct cgroup_hierarchy *hierarchy,
                           uint64_t attributes, int tmpfs_fd, struct error *err)
{
    const char *type = hierarchy->is_v2 ? "cgroup2" : "cgroup";

    if (mkdirat(tmpfs_fd, hierarchy->mount_name, 0755) < 0)
        return error_errno(err, "make '%s'", hierarchy->mount_name);
    if (rootfs->context.has_cgroup_namespace) {
        if (mount("cgroup", hierarchy->mount_name, type, old_flags(attributes),
                  hierarchy->is_v2 ? NULL : hierarchy->controllers) < 0)
            return error_errno(err, "mount hierarchy '%s'", hierarchy->mount_name);
        return 0;
    }
    return bind_own(rootfs, hierarchy, attributes, err);
}

/* "cpu,cpuacct" is also found as "cpu" and as "cpuacct", as on a host. */
static int link_controllers(const struct cgroup_hierarchy *hierarchy, int tmpfs_fd,
                            struct error *err)
{
    struct strings names = { 0 };
    int r = 0;

    if (hierarchy->is_v2 || strchr(hierarchy->controllers, ',') == NULL)
        return 0;
    strings_split(&names, hierarchy->controllers, ',');
    for (size_t i = 0; i < names.count && r == 0; i++) {
        if (strcmp(names.items[i], hierarchy->mount_name) != 0 &&
            symlinkat(hierarchy->mount_name, tmpfs_fd, names.items[i]) < 0 && errno != EEXIST)
            r = error_errno(err, "link '%s'", names.items[i]);
    }
    strings_clear(&names);
    return r;
}

static bool is_mountable(const struct cgroup_hierarchy *hierarchy)
{
    return hierarchy->fd >= 0 && !text_is_empty(hierarchy->mount_name) &&
           strchr(hierarchy->mount_name, '/') == NULL;
}

static int mount_hierarchies(const struct rootfs *rootfs, uint64_t attributes, int tmpfs_fd,
                             struct error *err)
{
    const struct cgroup_hierarchy *hierarchies = NULL;
    size_t count = 0;
    int r;

    hierarchies = cgroup_system_hierarchies(rootfs->context.cgroups, &count);
    for (size_t i = 0; i < count; i++) {
        if (!is_mountable(&hierarchies[i]))
            continue;
        r = mount_hierarchy(rootfs, &hierarchies[i], attributes, tmpfs_fd, err);
        if (r < 0)
            return r;
        r = link_controllers(&hierarchies[i], tmpfs_fd, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Moves the working directory, as other steps do. */
static int enter_and_mount(struct rootfs *rootfs, uint64_t attributes, int tmpfs_fd,
                           struct error *err)
{
    if (fchdir(tmpfs_fd) < 0)
        return error_errno(err, "enter the tmpfs of the cgroups");
    rootfs->is_in_dev = false;
    return mount_hierarchies(rootfs, attributes, tmpfs_fd, err);
}

int cgroup_mount_fill(struct rootfs *rootfs, const struct mount_step *step, int mount_fd,
                      struct error *err)
{
    uint64_t attributes = step->options.attr_set | step->options.attr_recursive_set;
    enum cgroup_layout layout = layout_of(rootfs);
    int r = 0;

    if (layout == CGROUP_LAYOUT_V2)
        return 0;
    if (layout != CGROUP_LAYOUT_NONE)
        r = enter_and_mount(rootfs, attributes, mount_fd, err);
    if (r < 0)
        return r;
    return mount_change(mount_fd, attributes & MOUNT_ATTR_RDONLY, 0, false, err);
}
