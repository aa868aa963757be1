#include "runtime/mount_idmap.h"

#include <fcntl.h>
#include <sys/mount.h>

#include "runtime/idmap.h"
#include "runtime/procfs.h"
#include "runtime/runtime.h"
#include "runtime/user_namespace.h"

struct maps {
    const struct spec_id_mappings *uids, *gids;
};

static int write_maps(int proc_fd, pid_t pid, void *context, struct error *err)
{
    const struct maps *maps = context;
    auto_free char *uid_path = xasprintf("%d/uid_map", pid);
    auto_free char *gid_path = xasprintf("%d/gid_map", pid);
    auto_free char *uids = idmap_format(maps->uids);
    auto_free char *gids = idmap_format(maps->gids);
    int r;

    r = procfs_write(proc_fd, uid_path, uids, err);
    return r < 0 ? r : procfs_write(proc_fd, gid_path, gids, err);
}

int mount_idmap_open(const struct spec_id_mappings *uids, const struct spec_id_mappings *gids,
                     int *ret_namespace_fd, struct error *err)
{
    struct maps maps = { .uids = uids, .gids = gids };
    int r = user_namespace_open(write_maps, &maps, ret_namespace_fd, err);

    return r < 0 ? error_prefix(err, r, "id map of a mount") : 0;
}

int mount_idmap_set(int mount_fd, int namespace_fd, bool is_recursive, struct error *err)
{
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_IDMAP,
        .userns_fd = (unsigned)namespace_fd,
    };

    if (mount_setattr(mount_fd, "", AT_EMPTY_PATH | (is_recursive ? AT_RECURSIVE : 0), &attributes,
                      sizeof(attributes)) < 0)
        return error_errno(err, "set the id map (not every file system can)");
    return 0;
}

int runtime_idmap_open(uint32_t from, uint32_t to, uint32_t count, int *ret_namespace_fd,
                       struct error *err)
{
    struct spec_id_mapping items[] = {
        { .container_id = from, .host_id = to, .size = count },
        { .container_id = 0, .host_id = to + count, .size = 1 },
    };
    const struct spec_id_mappings mappings = { .items = items, .count = from > 0 ? 2 : 1 };

    return mount_idmap_open(&mappings, &mappings, ret_namespace_fd, err);
}
