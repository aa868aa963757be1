#include "engine/engine.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "base/wire.h"
#include "engine/engine_private.h"
#include "engine/monitor_link.h"
#include "engine/monitor_wire.h"
#include "engine/record.h"

/* stop, kill, restart, pause, wait. Signals go straight to the container's first process; the
 * monitor is told before, so that it does not restart what a person ends. */

#define STOP_TIMEOUT_S 10
#define TIMEOUT_MAX_S  (UINT32_MAX / 1000 - 1)

/* What failed because the container ended meanwhile is told as that. */
static int explain_end(struct engine *engine, const char *id, int r, struct error *err)
{
    AUTO(container) struct container *container = NULL;
    enum container_status status;

    if (r >= 0)
        return r;
    if (r != -ESRCH && engine_open_with_status(engine, id, &container, &status, NULL) == 0 &&
        status != CONTAINER_STOPPED)
        return r;
    return error_set(err, ESRCH, "container %.12s is not running", id);
}

static int signal_container(struct engine *engine, const char *id, int signal, struct error *err)
{
    AUTO(container) struct container *container = NULL;
    enum container_status status;
    int r;

    r = engine_open_running(engine, id, &container, err);
    if (r < 0)
        return r;
    r = container_signal(container, signal, false, err);
    if (r < 0)
        return explain_end(engine, id, r, err);
    /* A frozen process gets its signal when it is thawed; for SIGKILL docker thaws as well. */
    if (container_status(container, &status, NULL) == 0 && status == CONTAINER_PAUSED &&
        (signal == SIGKILL || signal == SIGTERM))
        (void)container_resume(container, NULL); /* someone else did it */
    return 0;
}

static int stop_signal(const struct record *record, const char *given, int *ret_signal,
                       struct error *err)
{
    const char *text = !text_is_empty(given) ? given : record->stop_signal;

    *ret_signal = SIGTERM;
    return text_is_empty(text) ? 0 : process_parse_signal(text, ret_signal, err);
}

static int end_it(struct engine *engine, const char *id, int fd, int signal, uint32_t timeout_s,
                  struct error *err)
{
    uint32_t timeout_ms = (timeout_s > TIMEOUT_MAX_S ? TIMEOUT_MAX_S : timeout_s) * 1000;
    int status;
    int r;

    r = signal_container(engine, id, signal, err);
    if (r < 0 && r != -ESRCH) /* it waits for its restart, or ends just now: the monitor tells */
        return r;
    r = monitor_link_wait_exit(fd, timeout_ms, &status, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = signal_container(engine, id, SIGKILL, err);
    if (r < 0 && r != -ESRCH)
        return r;
    r = monitor_link_wait_killed(engine, id, fd, err);
    return r < 0 ? r : 0;
}

int engine_stop(struct engine *engine, const char *id, const char *signal, uint32_t timeout_s,
                struct error *err)
{
    AUTO(record) struct record *record = NULL;
    auto_close int fd = -1;
    int number;
    int r;

    r = record_read(engine, id, &record, err);
    if (r < 0)
        return r;
    r = stop_signal(record, signal, &number, err);
    if (r < 0)
        return r;
    if (timeout_s == UINT32_MAX)
        timeout_s =
            record->settings.has_stop_timeout ? record->settings.stop_timeout : STOP_TIMEOUT_S;
    r = monitor_link_open(engine, id, &fd, err);
    if (r == -ESRCH)
        return 0; /* stopped already */
    if (r < 0)
        return r;
    r = monitor_link_ask(fd, MONITOR_STOPPING, NULL, 0, NULL, err);
    if (r == 0)
        r = end_it(engine, id, fd, number, timeout_s, err);
    if (r == -EPIPE) /* the monitor was killed: repair kills the rest */
        r = engine_repair(engine, err);
    return r < 0 ? r : 0;
}

int engine_kill(struct engine *engine, const char *id, int signal, struct error *err)
{
    AUTO(record) struct record *record = NULL;
    auto_close int fd = -1;
    int own_signal;
    int r;

    r = record_read(engine, id, &record, err);
    if (r < 0)
        return r;
    r = stop_signal(record, NULL, &own_signal, err);
    if (r < 0)
        return r;
    if (signal == SIGKILL || signal == own_signal) {
        r = monitor_link_open(engine, id, &fd, err);
        if (r < 0)
            return r;
        r = monitor_link_ask(fd, MONITOR_STOPPING, NULL, 0, NULL, err);
        if (r > 0 || r == -EPIPE)
            return error_set(err, ESRCH, "container %.12s is not running", id);
        if (r < 0)
            return r;
    }
    return signal_container(engine, id, signal, err);
}

int engine_restart(struct engine *engine, const char *id, const char *signal, uint32_t timeout_s,
                   struct error *err)
{
    int r;

    r = engine_stop(engine, id, signal, timeout_s, err);
    if (r < 0)
        return r;
    r = engine_start(engine, id, NULL, err);
    return r == -EALREADY ? 0 : r; /* another command was faster */
}

/* The monitor does it, between all else that it does: a program that is frozen while it starts, or
 * after it was killed, would hold up its monitor, and so whoever wants to end it. */
int engine_pause(struct engine *engine, const char *id, struct error *err)
{
    auto_close int fd = -1;
    int r;

    r = monitor_link_open(engine, id, &fd, err);
    if (r == 0)
        r = monitor_link_ask(fd, MONITOR_PAUSE, NULL, 0, NULL, err);
    if (r > 0)
        return error_set(err, ESRCH, "container %.12s is not running", id);
    return explain_end(engine, id, r, err);
}

int engine_unpause(struct engine *engine, const char *id, struct error *err)
{
    AUTO(container) struct container *container = NULL;
    enum container_status status;
    int r;

    r = engine_open_with_status(engine, id, &container, &status, err);
    if (r < 0)
        return r;
    if (status != CONTAINER_STOPPED && status != CONTAINER_PAUSED)
        return error_set(err, EINVAL, "container %.12s is not paused", id);
    return explain_end(engine, id, container_resume(container, err), err);
}

static int recorded_status(struct engine *engine, const char *id, int *ret_status,
                           struct error *err)
{
    AUTO_CLEAR(life) struct life life = { 0 };
    int r;

    if (!engine_has_container(engine, id)) {
        *ret_status = 0; /* removed meanwhile, and with it its status */
        return 0;
    }
    r = life_read(engine, id, &life, err);
    if (r < 0)
        return r;
    /* Started and never ended, without a monitor: it was killed with it (repair.c). */
    *ret_status = life.started > life.finished ? 128 + SIGKILL : life.exit_status;
    return 0;
}

int engine_wait(struct engine *engine, const char *id, const char *condition, int *ret_status,
                struct error *err)
{
    bool waits_for_next = condition != NULL && strcmp(condition, "next-exit") == 0;
    uint32_t wait = waits_for_next ? MONITOR_WAIT_NEXT_EXIT : MONITOR_WAIT_NOT_RUNNING;
    auto_close int fd = -1;
    int r;

    if (!text_is_empty(condition) && !waits_for_next && strcmp(condition, "removed") != 0 &&
        strcmp(condition, "not-running") != 0)
        return error_set(err, EINVAL, "condition '%s': give not-running, next-exit or removed",
                         condition);
    r = monitor_link_open(engine, id, &fd, err);
    if (r == 0) {
        r = wire_send(fd, MONITOR_WAIT, &wait, sizeof(wait), NULL, 0, err);
        if (r == 0 || r == -EPIPE || r == -ECONNRESET)
            r = monitor_link_wait_exit(fd, UINT32_MAX, ret_status, err);
        if (r > 0)
            return 0;
        if (r != -EPIPE)
            return r;
    } else if (r != -ESRCH) {
        return r;
    }
    /* No monitor listens: it ended, or it is just beginning or ending and holds the claim. */
    r = claim_wait_free(engine, id, err);
    if (r < 0)
        return r;
    return recorded_status(engine, id, ret_status, err);
}
