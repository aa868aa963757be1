#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/engine_private.h"
#include "engine/group.h"
#include "engine/settings_limits.h"

/* Making, changing and removing groups, each with the lock held.
 *
 *   create  record, then cgroup     a crash in between leaves what a reboot leaves too
 *   update  cgroup, then record     the kernel may refuse; the same command again ends it
 *   remove  cgroup, then record     as create */

#define NAMES_SHOWN 5

static struct cgroup_system *cgroups_of(struct engine *engine)
{
    return runtime_cgroups(engine->runtime);
}

static void unlink_record(struct engine *engine, const char *name)
{
    auto_free char *encoded = group_name_encode(name);
    auto_free char *file = xasprintf("cgroups/%s", encoded);

    (void)unlinkat(engine->data_fd, file, 0); /* was there a moment ago, and the lock is held */
}

static int check_parent(struct engine *engine, const char *name, struct error *err)
{
    AUTO(group) struct group *group = NULL;
    auto_free char *parent = group_name_parent(name);
    int r = parent == NULL ? 0 : group_read(engine, parent, &group, err);

    return r < 0 ? error_prefix(err, r, "cgroup '%s'", name) : 0;
}

static int check_new(struct engine *engine, const char *name, struct error *err)
{
    AUTO(group) struct group *group = NULL;
    AUTO(cgroup) struct cgroup *cgroup = NULL;
    auto_free char *path = group_name_path(name);
    int r;

    r = group_read(engine, name, &group, NULL);
    if (r == 0)
        return error_set(err, EEXIST,
                         "cgroup '%s' exists already: `berth cgroup update` changes its limits",
                         name);
    if (r != -ENOENT) /* it is damaged; say how */
        return group_read(engine, name, &group, err);
    r = check_parent(engine, name, err);
    if (r == 0)
        r = engine_need_runtime(engine, err);
    if (r < 0)
        return r;
    if (cgroup_open(cgroups_of(engine), path, &cgroup, NULL) == 0)
        return error_set(err, EEXIST,
                         "cgroup %s is there already, and not of %s: choose another name", path,
                         engine->data_path);
    return 0;
}

/* The name that was typed, with the lock on all groups. */
static int lock_name(struct engine *engine, const char *text, char **ret_name, int *ret_lock,
                     struct error *err)
{
    int r = group_name_parse(text, ret_name, err);

    return r < 0 ? r : groups_lock(engine, true, ret_lock, err);
}

int engine_group_create(struct engine *engine, const char *text, settings_change *change,
                        void *context, struct strings *ret_warnings, struct error *err)
{
    AUTO(group) struct group *group = xcalloc(1, sizeof(*group));
    AUTO(cgroup) struct cgroup *cgroup = NULL;
    AUTO_CLEAR(limits) struct cgroup_resources resources = { 0 };
    auto_free char *path = NULL;
    auto_close int lock_fd = -1;
    int r;

    r = lock_name(engine, text, &group->name, &lock_fd, err);
    if (r == 0)
        r = check_new(engine, group->name, err);
    if (r == 0)
        r = change(&group->settings, context, err);
    if (r == 0)
        r = settings_limits_plan(engine, &group->settings, &resources, ret_warnings, err);
    if (r == 0)
        r = group_write(engine, group, err);
    if (r < 0)
        return r;
    r = group_make(engine, group->name, &cgroup, err);
    if (r == 0)
        return 0;
    path = group_name_path(group->name);
    (void)cgroup_remove(cgroups_of(engine), path, NULL); /* new and empty */
    unlink_record(engine, group->name);
    return r;
}

static int update_locked(struct engine *engine, struct group *group, settings_change *change,
                         void *context, struct strings *ret_warnings, struct error *err)
{
    AUTO(cgroup) struct cgroup *cgroup = NULL;
    AUTO_CLEAR(limits) struct cgroup_resources old = { 0 };
    AUTO_CLEAR(limits) struct cgroup_resources wanted = { 0 };
    int64_t old_swap = group->settings.memory_swap;
    int r;

    r = settings_limits_plan(engine, &group->settings, &old, NULL, err);
    if (r == 0)
        r = change(&group->settings, context, err);
    if (r == 0)
        r = settings_limits_check_swap(&group->settings, old_swap, err);
    if (r == 0)
        r = settings_limits_plan(engine, &group->settings, &wanted, ret_warnings, err);
    if (r == 0)
        r = group_make(engine, group->name, &cgroup, err);
    if (r < 0)
        return r;
    settings_limits_release(&old, cgroup_system_layout(cgroups_of(engine)) == CGROUP_LAYOUT_V2,
                            &wanted);
    r = cgroup_update(cgroup, &wanted, NULL, err);
    return r < 0 ? r : group_write(engine, group, err);
}

int engine_group_update(struct engine *engine, const char *text, settings_change *change,
                        void *context, struct strings *ret_warnings, struct error *err)
{
    AUTO(group) struct group *group = NULL;
    auto_free char *name = NULL;
    auto_close int lock_fd = -1;
    int r;

    r = lock_name(engine, text, &name, &lock_fd, err);
    if (r == 0)
        r = group_read(engine, name, &group, err);
    if (r < 0)
        return r;
    r = update_locked(engine, group, change, context, ret_warnings, err);
    return r < 0 ? error_prefix(err, r, "cgroup '%s'", name) : 0;
}

/* "a, b, c, d, e and 3 more". Caller frees. */
static char *some_names(const struct strings *names)
{
    struct strings shown = { names->items,
                             names->count < NAMES_SHOWN ? names->count : NAMES_SHOWN };
    auto_free char *joined = strings_join(&shown, ", ");

    if (names->count <= NAMES_SHOWN)
        return take_ptr(&joined);
    return xasprintf("%s and %zu more", joined, names->count - NAMES_SHOWN);
}

static int check_unused(struct engine *engine, const char *name, struct error *err)
{
    AUTO_CLEAR(strings) struct strings all = { 0 };
    AUTO_CLEAR(strings) struct strings below = { 0 };
    AUTO_CLEAR(strings) struct strings containers = { 0 };
    auto_free char *prefix = xasprintf("%s/", name);
    auto_free char *names = NULL;
    int r;

    r = groups_list(engine, &all, err);
    if (r == 0)
        r = group_containers(engine, name, true, &containers, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < all.count; i++)
        if (text_starts(all.items[i], prefix))
            strings_add(&below, all.items[i]);
    if (containers.count > 0) {
        names = some_names(&containers);
        return error_set(err, EBUSY,
                         "cgroup '%s' is used by containers: %s; remove them first, running or not",
                         name, names);
    }
    if (below.count == 0)
        return 0;
    names = some_names(&below);
    return error_set(err, EBUSY, "cgroup '%s' has others below it: %s; remove these first", name,
                     names);
}

int engine_group_remove(struct engine *engine, const char *text, struct error *err)
{
    AUTO(group) struct group *group = NULL;
    auto_free char *name = NULL;
    auto_free char *path = NULL;
    auto_close int lock_fd = -1;
    int r;

    r = lock_name(engine, text, &name, &lock_fd, err);
    if (r == 0)
        r = group_read(engine, name, &group, err);
    if (lock_fd < 0)
        return r;
    if (r == -ENOENT)
        return error_set(err, ENOENT, "there is no cgroup '%s'", name);
    /* A damaged record must not keep the group. */
    r = check_unused(engine, name, err);
    if (r == 0)
        r = engine_need_runtime(engine, err);
    if (r < 0)
        return r;
    path = group_name_path(name);
    r = cgroup_remove(cgroups_of(engine), path, err);
    if (r == 0)
        unlink_record(engine, name);
    return r;
}
