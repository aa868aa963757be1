#include "runtime/container.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "base/wire.h"
#include "runtime/hooks.h"
#include "runtime/process_setup.h"

/* The starter's side of a created container: START to the init, until its program runs. */

/* How long an init that has told its last error is waited for. */
#define INIT_END_MS 2000

/* The container is "creating" in the document, as the specification's example, runc and crun have
 * it: agents know no other word for a first process. */
static int pass_listener(struct container *container, const struct spec_seccomp *profile,
                         int agent_fd, struct error *err)
{
    auto_free char *json = state_format_process(&container->state, CONTAINER_CREATING,
                                                container->state.pid, profile->listener_metadata);
    int r = seccomp_listener_pass(container->sync_fd, agent_fd, json, err);

    /* The program may wait for an answer already that will never come. */
    if (r < 0)
        (void)container_signal(container, SIGKILL, false, NULL);
    return r;
}

/* STARTED and then end of file is success; an ERROR after STARTED is a failed exec. */
static int wait_started(struct container *container, const struct spec *spec, int *agent_fd,
                        struct error *err)
{
    int fd = container->sync_fd;
    int r;

    r = sync_expect(fd, SYNC_STARTED, NULL, err);
    if (r == 0)
        return error_set(err, ESRCH, "the container's init ended before it started the program");
    if (r < 0)
        return r;
    if (*agent_fd >= 0) {
        r = pass_listener(container, spec->linux_.seccomp, take_fd(agent_fd), err);
        if (r < 0)
            return r;
    }
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
    auto_close int agent_fd = -1;
    int r;

    r = container_spec(container, &spec, err);
    if (r < 0)
        return r;
    r = seccomp_listener_connect(spec->linux_.seccomp, &agent_fd, err);
    if (r < 0)
        return r;
    r = connect_to_init(container, err);
    if (r < 0)
        return r;
    r = sync_send(container->sync_fd, SYNC_START, NULL, 0, err);
    if (r < 0)
        return r;
    r = wait_started(container, spec, &agent_fd, err);
    (void)close(take_fd(&container->sync_fd));
    if (r < 0) {
        /* Who hears of the failure deletes the container next, which has to be stopped by then:
         * containerd's shim asks no second time. Only the answer's time depends on it. */
        if (container->pidfd >= 0)
            (void)process_wait_end(container->pidfd, INIT_END_MS, NULL);
        return r;
    }

    log_debug("start %s: the program runs", container->state.id);
    r = hooks_run(spec, HOOK_POSTSTART, &container->state, container->state.pid, NULL, err);
    /* The container does not outlive the failure (runtime.md "Lifecycle" 9). */
    if (r < 0)
        (void)container_delete(container, true, NULL);
    return r;
}
