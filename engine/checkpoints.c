#include "engine/checkpoints.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "engine/bundle.h"
#include "engine/engine_private.h"
#include "engine/fuse_root.h"
#include "engine/monitor_link.h"
#include "engine/monitor_wire.h"
#include "engine/record.h"

/* A checkpoint takes its name when it is whole, before anything has ended: whoever is killed leaves
 * a container that goes on, or one with its checkpoint. */

#define WHOLE     "checkpoint"
#define UNWHOLE   "checkpoint.new"
#define LOCK_FILE "checkpoint.lock"

/* Locks are the container's own. Established connections are not, and CRIU needs iptables for them.
 */
static struct checkpoint_options options_of(const char *image_path)
{
    return (struct checkpoint_options){
        .image_path = image_path,
        .has_file_locks = true,
        .status_fd = -1,
    };
}

static char *path_of(const struct engine *engine, const char *id, const char *name)
{
    return xasprintf("%s/containers/%s/%s", engine->data_path, id, name);
}

bool checkpoints_has_one(const struct engine *engine, const char *id)
{
    auto_free char *path = path_of(engine, id, WHOLE);

    return access(path, F_OK) == 0;
}

static int lock(struct engine *engine, const char *id, int *ret_dir_fd, int *ret_fd,
                struct error *err)
{
    int r = container_directory(engine, id, ret_dir_fd, err);

    if (r == 0)
        r = file_lock(*ret_dir_fd, LOCK_FILE, true, 0, ret_fd, err);
    if (r == -EAGAIN)
        return error_set(err, EBUSY, "container %.12s is being saved or restored already", id);
    return r;
}

/* --- checkpoint ------------------------------------------------------------------------------- */

struct saving {
    const char *id;
    int dir_fd, monitor_fd;
    bool leaves_running;
};

static int publish(int dir_fd, struct error *err)
{
    auto_close int fd = -1;
    int r = path_open_beneath(dir_fd, UNWHOLE, O_RDONLY | O_DIRECTORY, 0, &fd, err);

    if (r < 0)
        return r;
    /* It is for after a power cut, too, and what it is of ends now. */
    if (syncfs(fd) < 0)
        return error_errno(err, "write the checkpoint to disk");
    if (renameat2(dir_fd, UNWHOLE, dir_fd, WHOLE, RENAME_EXCHANGE) == 0)
        return 0;
    if (errno != ENOENT || renameat(dir_fd, UNWHOLE, dir_fd, WHOLE) < 0)
        return error_errno(err, "give the checkpoint its name");
    return 0;
}

/* The monitor must not restart what ends now. */
static int keep(void *context, struct error *err)
{
    const struct saving *saving = context;
    int r = publish(saving->dir_fd, err);

    if (r < 0 || saving->leaves_running)
        return r;
    r = monitor_link_ask(saving->monitor_fd, MONITOR_STOPPING, NULL, 0, NULL, err);
    return r == 1 ? error_set(err, ESRCH, "container %.12s ended by itself", saving->id) : r;
}

static int save(struct engine *engine, struct saving *saving, struct error *err)
{
    auto_free char *path = path_of(engine, saving->id, UNWHOLE);
    struct checkpoint_options options = options_of(path);
    AUTO(container) struct container *container = NULL;
    int r;

    options.leaves_running = saving->leaves_running;
    options.leaves_container = true;
    options.keep = keep;
    options.keep_context = saving;
    r = engine_open_running(engine, saving->id, &container, err);
    if (r == 0)
        r = container_checkpoint(container, &options, err);
    if (r < 0 || saving->leaves_running)
        return r;
    r = monitor_link_wait_killed(engine, saving->id, saving->monitor_fd, err);
    return r < 0 ? r : 0;
}

int engine_checkpoint(struct engine *engine, const char *id, bool leaves_running, struct error *err)
{
    struct saving saving = { .id = id, .leaves_running = leaves_running };
    AUTO(record) struct record *record = NULL;
    auto_close int dir_fd = -1;
    auto_close int monitor_fd = -1;
    auto_close int lock_fd = -1;
    int r;

    r = record_read(engine, id, &record, err);
    if (r < 0)
        return r;
    if (record->settings.is_removed)
        return error_set(err, EINVAL,
                         "container %.12s has --rm: it would be removed with its checkpoint", id);
    if (record->is_served)
        return error_set(
            err, EOPNOTSUPP,
            "container %.12s has its root by " FUSE_ROOT_PROGRAM ", which cannot be saved", id);
    if (network_is_joined(&record->settings))
        return error_set(err, EOPNOTSUPP,
                         "container %.12s is in the network of another, which cannot be saved", id);
    r = monitor_link_open(engine, id, &monitor_fd, err);
    if (r == 0)
        r = lock(engine, id, &dir_fd, &lock_fd, err);
    if (r == 0)
        r = path_remove_tree(dir_fd, UNWHOLE, err);
    if (r < 0)
        return r;
    saving.dir_fd = dir_fd;
    saving.monitor_fd = monitor_fd;
    r = save(engine, &saving, err);
    /* What failed, or the one before; what stays is removed by the next one. */
    (void)path_remove_tree(dir_fd, UNWHOLE, NULL);
    return r;
}

/* --- restore ---------------------------------------------------------------------------------- */

int checkpoints_restore(struct engine *engine, const struct container_options *options,
                        int (*prepare)(void *context, pid_t pid, struct error *err), void *context,
                        struct container **ret_container, struct error *err)
{
    auto_free char *path = path_of(engine, options->id, WHOLE);
    struct checkpoint_options checkpoint = options_of(path);

    checkpoint.prepare = prepare;
    checkpoint.prepare_context = context;
    return container_restore(engine->runtime, options, &checkpoint, ret_container, err);
}

static int drop(int dir_fd, struct error *err)
{
    int r = path_remove_tree(dir_fd, UNWHOLE, err);

    if (r < 0)
        return r;
    if (renameat(dir_fd, WHOLE, dir_fd, UNWHOLE) < 0)
        return error_errno(err, "remove the checkpoint");
    return path_remove_tree(dir_fd, UNWHOLE, err);
}

int engine_restore(struct engine *engine, const char *id, bool keeps, struct error *err)
{
    auto_close int dir_fd = -1;
    auto_close int lock_fd = -1;
    struct error ignored = { 0 };
    int r = lock(engine, id, &dir_fd, &lock_fd, err);

    if (r < 0)
        return r;
    if (!checkpoints_has_one(engine, id))
        return error_set(err, ENOENT,
                         "container %.12s has no checkpoint: 'berth checkpoint' makes one", id);
    r = engine_start_monitor(engine, id, true, NULL, err);
    if (r < 0 || keeps)
        return r;
    if (drop(dir_fd, &ignored) < 0) /* it goes on all the same */
        log_warning("container %.12s: %s", id, ignored.message);
    return 0;
}
