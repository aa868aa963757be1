#include "engine/engine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "engine/container_names.h"
#include "engine/engine_private.h"
#include "engine/monitor_link.h"
#include "engine/monitor_wire.h"
#include "engine/record.h"
#include "engine/volumes.h"

/* Removing a container, with its claim held: processes and run state, volumes, the directory (a
 * rename makes it invisible at once), the name, and with the claim its lock file. A crash between
 * two of them leaves the lock file, by which repair.c does the rest. */

bool container_id_is_full(const char *text)
{
    return strlen(text) == CONTAINER_ID_LENGTH &&
           strspn(text, "0123456789abcdef") == CONTAINER_ID_LENGTH;
}

bool engine_has_container(const struct engine *engine, const char *id)
{
    char path[CONTAINER_ID_LENGTH + 32];

    (void)snprintf(path, sizeof(path), "containers/%.64s", id);
    return faccessat(engine->data_fd, path, F_OK, 0) == 0;
}

int engine_container_ids(struct engine *engine, struct strings *ret_ids, struct error *err)
{
    int fd = openat(engine->data_fd, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL)
        return error_errno(err, "list the containers");
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        if (container_id_is_full(entry->d_name))
            strings_add(ret_ids, entry->d_name);
    closedir(dir);
    return 0;
}

int engine_sweep_run(struct engine *engine, const char *id, struct error *err)
{
    char path[CONTAINER_ID_LENGTH + 1];
    int r;

    (void)snprintf(path, sizeof(path), "%.64s", id);
    if (faccessat(engine->run_fd, path, F_OK, 0) < 0)
        return 0;
    r = engine_need_runtime(engine, err);
    if (r < 0)
        return r;
    return container_delete_remains(engine->runtime, id, err);
}

static int remove_directory(struct engine *engine, const char *id, struct error *err)
{
    char visible[CONTAINER_ID_LENGTH + 32], hidden[CONTAINER_ID_LENGTH + 32];

    (void)snprintf(visible, sizeof(visible), "containers/%.64s", id);
    (void)snprintf(hidden, sizeof(hidden), "containers/.old-%.64s", id);
    if (renameat(engine->data_fd, visible, engine->data_fd, hidden) < 0 && errno != ENOENT)
        return error_errno(err, "remove container %.12s", id);
    return path_remove_tree(engine->data_fd, hidden, err);
}

int engine_remove_claimed(struct engine *engine, const char *id, bool with_volumes,
                          struct error *err)
{
    AUTO(record) struct record *record = NULL;
    auto_close int lock_fd = -1;
    int r;

    r = engine_sweep_run(engine, id, err);
    if (r < 0)
        return r;
    /* Who gives it another name just now does so before this, or does not find it any more. */
    (void)container_lock(engine, id, &lock_fd, NULL); /* else the directory is gone already */
    /* A damaged record must not keep the container: then its volumes stay. */
    (void)record_read(engine, id, &record, NULL);
    if (record != NULL && with_volumes) {
        r = volumes_remove_anonymous(engine, record, err);
        if (r < 0)
            return r;
    }
    r = remove_directory(engine, id, err);
    if (r < 0)
        return r;
    if (record != NULL)
        container_name_drop(engine, record->name, id);
    else
        container_name_drop_all(engine, id);
    return 0;
}

/* Tells the monitor not to restart, kills, and waits until it let go. */
static int kill_and_wait(struct engine *engine, const char *id, int fd, struct error *err)
{
    int r;

    r = monitor_link_ask(fd, MONITOR_STOPPING, NULL, 0, NULL, err);
    if (r == 0) {
        r = engine_kill(engine, id, SIGKILL, err);
        if (r < 0 && r != -ESRCH && r != -ENOENT && r != -EPIPE)
            return r;
        r = monitor_link_wait_killed(engine, id, fd, err);
    }
    return r < 0 && r != -EPIPE ? r : 0;
}

/* Who is killed may be started anew before the claim is taken, and is killed then, too. */
static int take_claim(struct engine *engine, const char *id, bool is_forced, int *ret_fd,
                      struct error *err)
{
    for (;;) {
        auto_close int link_fd = -1;
        int r = monitor_link_or_claim(engine, id, is_forced ? UINT32_MAX : CLAIM_WAIT_MS, ret_fd,
                                      &link_fd, err);

        if (r <= 0)
            return r;
        if (!is_forced)
            return error_set(err, EBUSY,
                             "container %.12s is running: stop it first, or remove it with --force",
                             id);
        r = kill_and_wait(engine, id, link_fd, err);
        if (r < 0)
            return r;
    }
}

int engine_remove(struct engine *engine, const char *id, bool is_forced, bool with_volumes,
                  struct error *err)
{
    int claim_fd = -1;
    int r;

    engine_drop_reservation(engine);
    r = take_claim(engine, id, is_forced, &claim_fd, err);
    if (r < 0)
        return r;
    r = engine_remove_claimed(engine, id, with_volumes, err);
    claim_drop(engine, id, &claim_fd);
    return r;
}

int engine_rename(struct engine *engine, const char *id, const char *name, struct error *err)
{
    AUTO(record) struct record *record = NULL;
    auto_free char *old_name = NULL;
    auto_close int dir_fd = -1;
    int r;

    r = container_lock(engine, id, &dir_fd, err);
    if (r == 0)
        r = record_read(engine, id, &record, err);
    if (r < 0)
        return r;
    if (strcmp(record->name, name) == 0)
        return error_set(err, EINVAL, "container %.12s is called '%s' already", id, name);
    /* New link, record, old link: at each moment one valid name leads here (container_names.h). */
    r = container_name_take(engine, name, id, err);
    if (r < 0)
        return r;
    old_name = take_ptr(&record->name);
    record->name = xstrdup(name);
    r = record_write(dir_fd, record, false, err);
    container_name_drop(engine, r < 0 ? name : old_name, id);
    return container_explain_removal(engine, id, r, err);
}
