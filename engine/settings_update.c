#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/bundle.h"
#include "engine/engine_private.h"
#include "engine/monitor_link.h"
#include "engine/monitor_wire.h"
#include "engine/record.h"
#include "engine/settings_limits.h"

/* Other limits, or another restart policy, for a container that is there, running or not. The
 * kernel comes first, as it may refuse; then the bundle, by which the container starts again, then
 * the record, then its monitor hears of it. After a crash in between the same command ends it. */

#define BUNDLE_FILE "bundle/config.json"

struct update {
    struct engine *engine;
    struct record *record;
    int dir_fd;
    struct cgroup_resources limits; /* what has to be written */
};

static void update_clear(struct update *update)
{
    record_free(update->record);
    limits_clear(&update->limits);
    if (update->dir_fd >= 0)
        close(update->dir_fd); /* and with it goes the lock */
}

/* Limits that a guest's kernel keeps are changed there, which takes a guest that runs: none is
 * written again that stays as it is. */
static void leave_inner_limits(const struct cgroup_resources *old, struct cgroup_resources *limits)
{
    if (memcmp(&old->memory, &limits->memory, sizeof(old->memory)) == 0)
        limits->memory = (struct cgroup_memory){ 0 };
    if (memcmp(&old->pids, &limits->pids, sizeof(old->pids)) == 0)
        limits->pids = (struct cgroup_pids){ 0 };
}

static int plan(struct update *update, settings_change *change, void *context,
                struct strings *ret_warnings, struct error *err)
{
    struct settings *settings = &update->record->settings;
    AUTO_CLEAR(limits) struct cgroup_resources old = { 0 };
    int64_t old_swap = settings->memory_swap;
    int r;

    r = settings_limits_plan(update->engine, settings, &old, NULL, err);
    if (r == 0)
        r = change(settings, context, err);
    if (r == 0)
        r = settings_limits_check_swap(settings, old_swap, err);
    if (r < 0)
        return r;
    if (settings->is_removed && settings->restart != RESTART_NO)
        return error_set(err, EINVAL, "it was made with --rm, and cannot be restarted at its end");
    r = settings_limits_plan(update->engine, settings, &update->limits, ret_warnings, err);
    if (r == 0)
        r = engine_need_runtime(update->engine, err);
    if (r < 0)
        return r;
    settings_limits_release(
        &old, cgroup_system_layout(runtime_cgroups(update->engine->runtime)) == CGROUP_LAYOUT_V2,
        &update->limits);
    if (bundle_is_vm(settings))
        leave_inner_limits(&old, &update->limits);
    return 0;
}

/* One that does not run has no cgroup. */
static int update_running(struct update *update, struct error *err)
{
    AUTO(container) struct container *container = NULL;
    int r;

    r = container_open(update->engine->runtime, update->record->id, &container, err);
    if (r == 0)
        r = container_update(container, &update->limits, err);
    return r == -ENOENT || r == -ESRCH ? 0 : r;
}

static int update_bundle(struct update *update, struct error *err)
{
    AUTO(spec) struct spec *spec = NULL;
    auto_close int bundle_fd = -1;
    auto_free char *text = NULL;
    int r;

    r = spec_read(update->dir_fd, BUNDLE_FILE, &spec, err);
    if (r < 0)
        return r;
    if (spec->linux_.resources == NULL)
        spec->linux_.resources = xcalloc(1, sizeof(*spec->linux_.resources));
    cgroup_resources_merge(spec->linux_.resources, &update->limits);
    text = spec_encode(spec, ENCODE_COMPACT);
    bundle_fd = openat(update->dir_fd, "bundle", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (bundle_fd < 0)
        return error_errno(err, "open the bundle of container %.12s", update->record->id);
    return file_replace(bundle_fd, "config.json", text, strlen(text), 0600, FILE_SYNC_NONE, err);
}

/* Its monitor decides about restarts. None, or one that ends: nobody has to know. */
static int tell_monitor(struct update *update, struct error *err)
{
    auto_close int fd = -1;
    int r;

    r = monitor_link_open(update->engine, update->record->id, &fd, err);
    if (r == 0)
        r = monitor_link_ask(fd, MONITOR_CHANGED, NULL, 0, NULL, err);
    return r == -ESRCH || r == -EPIPE || r > 0 ? 0 : r;
}

int engine_update(struct engine *engine, const char *id, settings_change *change, void *context,
                  struct strings *ret_warnings, struct error *err)
{
    AUTO_CLEAR(update) struct update update = { .engine = engine, .dir_fd = -1 };
    int r;

    r = container_lock(engine, id, &update.dir_fd, err);
    if (r == 0)
        r = record_read(engine, id, &update.record, err);
    if (r == 0)
        r = plan(&update, change, context, ret_warnings, err);
    if (r == 0)
        r = update_running(&update, err);
    if (r == 0)
        r = update_bundle(&update, err);
    if (r == 0)
        r = record_write(update.dir_fd, update.record, false, err);
    /* Unlocked: a monitor that removes its container waits for the lock, and answers nobody. */
    auto_close_cleanup(&update.dir_fd);
    update.dir_fd = -1;
    if (r == 0)
        r = tell_monitor(&update, err);
    if (r == -ENOENT && !engine_has_container(engine, id))
        return container_explain_removal(engine, id, r, err);
    return r < 0 ? error_prefix(err, r, "update container %.12s", id) : 0;
}
