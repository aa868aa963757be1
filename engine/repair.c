#include "engine/engine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "base/staging.h"
#include "engine/container_names.h"
#include "engine/engine_private.h"
#include "engine/record.h"

/* What dead processes left. Whoever makes, runs or removes a container holds its claim and removes
 * the lock file last: a lock file that nobody holds names a container that needs a look. After
 * a boot RUN is empty, so the first command looks at all containers instead. */

#define SCANNED_MARK  MONITORS_FOLDER "/@scanned"
#define KILLED_STATUS (128 + SIGKILL)

static int remove_hidden(struct engine *engine, const char *prefix, const char *id,
                         struct error *err)
{
    char path[CONTAINER_ID_LENGTH + 32];

    (void)snprintf(path, sizeof(path), "containers/%s%.64s", prefix, id);
    if (faccessat(engine->data_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return path_remove_tree(engine->data_fd, path, err);
}

/* A container that started and has no end ended with its monitor, or with the machine. */
static int write_end(struct engine *engine, const char *id, struct life *life, const char *reason,
                     struct error *err)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    life->finished = now.tv_sec;
    life->finished_ns = (uint32_t)now.tv_nsec;
    life->exit_status = KILLED_STATUS;
    free(life->error);
    life->error = xstrdup(reason);
    return life_write(engine, id, life, err);
}

static bool is_unfinished(const struct life *life)
{
    return life->started != 0 &&
           (life->finished < life->started ||
            (life->finished == life->started && life->finished_ns < life->started_ns));
}

/* The claim is held. */
static int repair_claimed(struct engine *engine, const char *id, const char *reason,
                          struct error *err)
{
    AUTO(record) struct record *record = NULL;
    AUTO_CLEAR(life) struct life life = { 0 };
    int r;

    r = engine_sweep_run(engine, id, err);
    if (r < 0)
        return r;
    r = remove_hidden(engine, ".new-", id, err);
    if (r < 0)
        return r;
    r = remove_hidden(engine, ".old-", id, err);
    if (r < 0)
        return r;
    r = record_read(engine, id, &record, err);
    if (r == -ENOENT) {
        container_name_drop_all(engine, id);
        return 0;
    }
    if (r < 0)
        return r;
    /* Whether or not it started: its user asked for it to be gone at the end of this run. */
    if (record->settings.is_removed)
        return engine_remove_claimed(engine, id, true, err);
    r = life_read(engine, id, &life, err);
    if (r < 0 || !is_unfinished(&life))
        return r;
    return write_end(engine, id, &life, reason, err);
}

static void repair_one(struct engine *engine, const char *id, const char *reason)
{
    struct error err = { 0 };
    int claim_fd = -1;
    int r;

    r = claim_take(engine, id, 0, &claim_fd, NULL);
    if (r < 0)
        return; /* alive after all, or somebody else repairs it */
    r = repair_claimed(engine, id, reason, &err);
    if (r == 0) {
        claim_drop(engine, id, &claim_fd);
        return;
    }
    /* Keep the lock file: the next command tries again. One container must not block the others. */
    close(take_fd(&claim_fd));
    log_warning("cannot repair container %.12s: %s", id, err.message);
}

static void repair_dead_claims(struct engine *engine)
{
    int fd = openat(engine->monitors_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL)
        return;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char id[CONTAINER_ID_LENGTH + 1];

        if (strlen(entry->d_name) != CONTAINER_ID_LENGTH + 5 ||
            strcmp(entry->d_name + CONTAINER_ID_LENGTH, ".lock") != 0)
            continue;
        memcpy(id, entry->d_name, CONTAINER_ID_LENGTH);
        id[CONTAINER_ID_LENGTH] = '\0';
        if (!container_id_is_full(id))
            continue;
        if (engine->reserved_id != NULL && strcmp(engine->reserved_id, id) == 0)
            continue;
        if (claim_is_held(engine, id, NULL) == 0)
            repair_one(engine, id, "its monitor was killed");
    }
    closedir(dir);
}

/* Also finds half-made and half-removed directories, whose lock files the boot removed. */
static void repair_after_boot(struct engine *engine)
{
    int fd = openat(engine->data_fd, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL)
        return;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        const char *name = entry->d_name;
        const char *id = text_starts(name, ".new-") || text_starts(name, ".old-") ? name + 5 : name;
        AUTO_CLEAR(life) struct life life = { 0 };

        if (!container_id_is_full(id))
            continue;
        /* A container that was made and not started may have --rm: it waits for its start. */
        if (id != name || (life_read(engine, id, &life, NULL) == 0 && is_unfinished(&life)))
            repair_one(engine, id, "the machine stopped while it ran");
    }
    closedir(dir);
}

int engine_repair(struct engine *engine, struct error *err)
{
    int fd;

    if (faccessat(engine->run_fd, SCANNED_MARK, F_OK, 0) < 0) {
        repair_after_boot(engine);
        (void)staging_clean(engine->data_fd, NULL); /* its owner does it later otherwise */
        fd = openat(engine->run_fd, SCANNED_MARK, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return error_errno(err, "mark '%s' as repaired", engine->data_path);
        close(fd);
    }
    repair_dead_claims(engine);
    return 0;
}
