#include "runtime/container.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "base/wire.h"
#include "runtime/hooks.h"

/* The starter's side of a created container: START to the init, until its program runs. */

/* STARTED and then end of file is success; an ERROR after STARTED is a failed exec. */
static int wait_started(int fd, struct error *err)
{
    int r;

    r = sync_expect(fd, SYNC_STARTED, NULL, err);
    if (r == 0)
        return error_set(err, ESRCH, "the container's init ended before it started the program");
    if (r < 0)
        return r;
    r = sync_expect(fd, SYNC_ERROR, NULL, err);
    return r < 0 ? r : 0;
}

static int connect_to_init(struct container *container, struct error *err)
{
    int r;

    if (container->sync_fd >= 0)
        return 0;
    r = wire_connect(container->dir_fd, STATE_SOCKET, &container->sync_fd, err);
    if (r == -ENOENT || r == -ECONNREFUSED)
        return error_set(err, EINVAL,
                         "cannot start a container that is not in the created state: "
                         "'%s'",
                         container->state.id);
    if (r < 0)
        return r;
    /* From here on the container counts as started; a starter that dies before START ends it. */
    if (unlinkat(container->dir_fd, STATE_SOCKET, 0) < 0 && errno != ENOENT)
        return error_errno(err, "remove %s", STATE_SOCKET);
    return 0;
}

int container_start(struct container *container, struct error *err)
{
    const struct spec *spec = NULL;
    int r;

    r = connect_to_init(container, err);
    if (r < 0)
        return r;
    r = sync_send(container->sync_fd, SYNC_START, NULL, 0, err);
    if (r < 0)
        return r;
    r = wait_started(container->sync_fd, err);
    (void)close(take_fd(&container->sync_fd));
    if (r < 0)
        return r;

    log_debug("start %s: the program runs", container->state.id);
    r = container_spec(container, &spec, err);
    if (r < 0)
        return r;
    r = hooks_run(spec, HOOK_POSTSTART, &container->state, container->state.pid, NULL, err);
    /* The container does not outlive the failure (runtime.md "Lifecycle" 9). */
    if (r < 0)
        (void)container_delete(container, true, NULL);
    return r;
}
