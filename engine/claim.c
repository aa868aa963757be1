#include "engine/claim.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/wire.h"
#include "engine/engine_private.h"

#define CLAIM_NAME_MAX (CONTAINER_ID_LENGTH + 8)

static void claim_name(const char *id, const char *suffix, char *ret_name)
{
    (void)snprintf(ret_name, CLAIM_NAME_MAX, "%.64s.%s", id, suffix);
}

int claim_take(struct engine *engine, const char *id, uint32_t timeout_ms, int *ret_fd,
               struct error *err)
{
    char name[CLAIM_NAME_MAX];

    assert(ret_fd != NULL);

    claim_name(id, "lock", name);
    return file_lock(engine->monitors_fd, name, true, timeout_ms, ret_fd, err);
}

int claim_is_held(struct engine *engine, const char *id, struct error *err)
{
    char name[CLAIM_NAME_MAX];

    claim_name(id, "lock", name);
    return file_is_locked(engine->monitors_fd, name, err);
}

void claim_drop(struct engine *engine, const char *id, int *fd)
{
    char name[CLAIM_NAME_MAX];

    if (*fd < 0)
        return;
    /* While still locked, so that nobody's new lock file is removed. Missing ones are fine. */
    claim_name(id, "sock", name);
    (void)unlinkat(engine->monitors_fd, name, 0);
    claim_name(id, "lock", name);
    (void)unlinkat(engine->monitors_fd, name, 0);
    close(take_fd(fd));
}

int claim_wait_free(struct engine *engine, const char *id, struct error *err)
{
    struct flock shared = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
    char name[CLAIM_NAME_MAX];
    auto_close int fd = -1;

    claim_name(id, "lock", name);
    /* Never created here, so nothing stays behind; a shared lock keeps no other waiter out. */
    fd = openat(engine->monitors_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_errno(err, "open lock '%s'", name);
    while (fcntl(fd, F_OFD_SETLKW, &shared) < 0)
        if (errno != EINTR)
            return error_errno(err, "wait for lock '%s'", name);
    return 0;
}

int claim_listen(struct engine *engine, const char *id, int *ret_fd, struct error *err)
{
    char name[CLAIM_NAME_MAX];

    claim_name(id, "sock", name);
    return wire_listen(engine->monitors_fd, name, 0600, ret_fd, err);
}

int claim_connect(struct engine *engine, const char *id, int *ret_fd, struct error *err)
{
    char name[CLAIM_NAME_MAX];

    claim_name(id, "sock", name);
    return wire_connect(engine->monitors_fd, name, ret_fd, err);
}
