/* berth-monitor DATA RUN ID: stays with one container (monitor.c). Started by engine/start.c with
 * the starter's socket and the container's claim as descriptors 3 and 4. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/wire.h"
#include "engine/engine.h"
#include "engine/monitor.h"
#include "engine/monitor_wire.h"
#include "microvm/microvm.h"

/* An ignored signal stays ignored over exec, in the container too: the starter may have been run by
 * nohup(1) or in the background of a shell. */
static void reset_signals(void)
{
    for (int signal = 1; signal < 32; signal++) {
        struct sigaction action;

        if (sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN) {
            action.sa_handler = SIG_DFL;
            (void)sigaction(signal, &action, NULL); /* cannot fail for these */
        }
    }
}

/* Best effort: only privileged processes may protect themselves, and only they need to. */
static void resist_oom(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, "-250", 4) < 0)
        log_debug("oom_score_adj stays as it is: %s", strerror(errno));
    close(fd);
}

static int run(char **arguments, struct error *err)
{
    AUTO(engine) struct engine *engine = NULL;
#ifdef BERTH_MICROVM
    struct isolation isolation;
#endif
    int r;

    r = fd_set_close_on_exec(MONITOR_STARTER_FD, true, err);
    if (r == 0)
        r = fd_set_close_on_exec(MONITOR_CLAIM_FD, true, err);
    if (r < 0)
        return error_prefix(err, r, "berth-monitor is started by berth only");
    r = rootless_session_join(err);
    if (r == 0)
        r = engine_open(arguments[1], arguments[2], &engine, err);
    if (r < 0) {
        (void)wire_send(MONITOR_STARTER_FD, MONITOR_ERROR, err, sizeof(*err), NULL, 0, NULL);
        return r;
    }
#ifdef BERTH_MICROVM
    isolation = microvm_isolation(NULL);
    engine_set_isolation(engine, &isolation);
#endif
    return monitor_run(engine, arguments[3], text_equal(arguments[4], MONITOR_RESTORES),
                       MONITOR_STARTER_FD, MONITOR_CLAIM_FD, err);
}

int main(int argc, char **argv)
{
    struct error err = { 0 };

    log_configure("berth-monitor", -1, LOG_PLAIN, getenv("BERTH_MONITOR_DEBUG") != NULL);
    if (argc != 4 && argc != 5) {
        log_error("berth-monitor is started by berth only: berth-monitor DATA RUN ID [restore]");
        return 125;
    }
    (void)umask(022);
    reset_signals();
    resist_oom();
    if (run(argv, &err) < 0) {
        log_debug("%s", err.message); /* the starter was told */
        return 125;
    }
    return 0;
}
