#include "runtime/cgroup_owner.h"

#include "base/log.h"

static bool is_new(const struct spec_namespace *namespace_)
{
    return namespace_ != NULL && text_is_empty(namespace_->path);
}

static bool has_writable_cgroup(const struct spec *spec)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct spec_mount *mount = &spec->mounts.items[i];

        if (text_equal(mount->source, "cgroup") &&
            text_equal(mount->destination, "/sys/fs/cgroup") &&
            !strings_contains(&mount->options, "ro") && !strings_contains(&mount->options, "rro"))
            return true;
    }
    return false;
}

static bool map_uid(const struct spec_id_mappings *mappings, uint32_t uid, uint32_t *ret_uid)
{
    for (size_t i = 0; i < mappings->count; i++) {
        const struct spec_id_mapping *mapping = &mappings->items[i];

        if (uid >= mapping->container_id && uid - mapping->container_id < mapping->size) {
            *ret_uid = mapping->host_id + (uid - mapping->container_id);
            return true;
        }
    }
    return false;
}

bool cgroup_owner_plan(const struct spec *spec, uint32_t *ret_uid)
{
    uint32_t uid;

    if (spec->process == NULL || !is_new(spec_find_namespace(spec, "cgroup")) ||
        !has_writable_cgroup(spec))
        return false;
    uid = spec->process->user.uid;
    if (spec_find_namespace(spec, "user") != NULL)
        return map_uid(&spec->linux_.uid_mappings, uid, ret_uid);
    if (uid == 0)
        return false; /* it is root's already */
    *ret_uid = uid;
    return true;
}

int cgroup_owner_apply(const struct spec *spec, struct container *container, struct error *err)
{
    uint32_t uid = 0;
    int r;

    if (container->cgroup == NULL || !cgroup_owner_plan(spec, &uid))
        return 0;
    r = cgroup_give(container->cgroup, uid, err);
    if (r < 0)
        return rootless_owner_failed(uid, r, err);
    log_debug("create %s: its cgroup is for user %u", container->state.id, uid);
    return 0;
}
