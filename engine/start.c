#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "base/wire.h"
#include "engine/bundle.h"
#include "engine/engine_private.h"
#include "engine/monitor_link.h"
#include "engine/monitor_wire.h"
#include "engine/record.h"
#include "engine/volumes.h"

/* Starting a monitor: a grandchild in a session of its own, so that it is nobody's zombie and no
 * terminal's business, with nothing but two descriptors. Both processes on the way share this one's
 * memory until they exec or end (CLONE_VM | CLONE_VFORK): nothing is copied. */

#define CHILD_STACK       16384
#define DESCRIPTORS_ASIDE 10 /* where copies are made before they are placed at 3 and 4 */

struct launch {
    int program_fd, starter_fd, claim_fd;
    char *const *arguments;
    char *libexec;     /* "BERTH_LIBEXEC=..." */
    char *rootless;    /* rootless_session_variable(); NULL: root's */
    char *inner_stack; /* top, for the grandchild */
    int error;         /* errno of a failed step; written by either child */
};

static int place_descriptors_child(const struct launch *launch)
{
    int starter = fcntl(launch->starter_fd, F_DUPFD_CLOEXEC, DESCRIPTORS_ASIDE);
    int claim = fcntl(launch->claim_fd, F_DUPFD_CLOEXEC, DESCRIPTORS_ASIDE);
    int program = fcntl(launch->program_fd, F_DUPFD_CLOEXEC, DESCRIPTORS_ASIDE);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (starter < 0 || claim < 0 || program < 0 || null < 0)
        return -1;
    for (int i = 0; i < 3; i++)
        if ((i != 2 || !log_is_debug()) && dup2(null, i) < 0)
            return -1;
    if (dup2(starter, MONITOR_STARTER_FD) < 0 || dup2(claim, MONITOR_CLAIM_FD) < 0)
        return -1;
    /* Whatever the user's shell left open must not live as long as the container. */
    if (syscall(SYS_close_range, MONITOR_CLAIM_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return -1;
    return program;
}

static int run_monitor_child(void *context)
{
    struct launch *launch = context;
    char variable[] = "BERTH_MONITOR_DEBUG=1";
    char *environment[4] = { launch->libexec };
    size_t count = 1;
    sigset_t none;
    int program = place_descriptors_child(launch);

    if (log_is_debug())
        environment[count++] = variable;
    if (launch->rootless != NULL)
        environment[count++] = launch->rootless;
    if (program >= 0 && chdir("/") == 0) {
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)syscall(SYS_execveat, program, "", launch->arguments, environment, AT_EMPTY_PATH);
    }
    launch->error = errno;
    _exit(125);
}

static int leave_session_child(void *context)
{
    struct launch *launch = context;

    (void)setsid(); /* cannot fail: it was just made */
    if (clone(run_monitor_child, launch->inner_stack, CLONE_VM | CLONE_VFORK | SIGCHLD, launch) < 0)
        launch->error = errno;
    _exit(0);
}

static int spawn(struct launch *launch, struct error *err)
{
    _Alignas(16) char outer[CHILD_STACK];
    _Alignas(16) char inner[CHILD_STACK];
    pid_t pid;

    launch->inner_stack = inner + sizeof(inner);
    pid =
        clone(leave_session_child, outer + sizeof(outer), CLONE_VM | CLONE_VFORK | SIGCHLD, launch);
    if (pid < 0)
        return error_errno(err, "start a process");
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (launch->error != 0)
        return error_set(err, launch->error, "run berth-monitor: %s", strerror(launch->error));
    return 0;
}

/* Both are in the socket before the monitor begins, so the program starts attached and sized. */
static int send_first(int fd, bool is_attached, struct error *err)
{
    struct monitor_attach attach = {
        .flags = is_attached ? MONITOR_HAS_STDOUT | MONITOR_HAS_STDERR : 0,
    };
    struct monitor_size size;
    struct winsize window;
    int r;

    r = wire_send(fd, MONITOR_START, &attach, sizeof(attach), NULL, 0, err);
    if (r < 0 || !is_attached || ioctl(STDIN_FILENO, TIOCGWINSZ, &window) < 0)
        return r;
    size = (struct monitor_size){ .rows = window.ws_row, .columns = window.ws_col };
    return wire_send(fd, MONITOR_RESIZE, &size, sizeof(size), NULL, 0, err);
}

static int spawn_monitor(struct engine *engine, const char *id, bool is_restored, int starter_fd,
                         int claim_fd, struct error *err)
{
    auto_free char *path = NULL;
    auto_free char *variable = NULL;
    auto_free char *rootless = NULL;
    auto_close int program_fd = -1;
    struct launch launch = { .starter_fd = starter_fd, .claim_fd = claim_fd };
    int r;

    r = process_find_helper("berth-monitor", &path, err);
    if (r < 0)
        return r;
    r = process_open_program(path, &program_fd, err);
    if (r < 0)
        return r;
    launch.program_fd = program_fd;
    /* Run from a descriptor, it could not see where the other programs are (a microVM's). */
    variable = xasprintf("BERTH_LIBEXEC=%.*s", (int)(strrchr(path, '/') - path), path);
    launch.libexec = variable;
    rootless = rootless_session_variable();
    launch.rootless = rootless;
    launch.arguments = (char *[]){
        path,
        engine->data_path,
        engine->run_path,
        (char *)id,
        is_restored ? (char *)MONITOR_RESTORES : NULL,
        NULL,
    };
    return spawn(&launch, err);
}

static int wait_started(int fd, const char *id, struct error *err)
{
    struct wire_message message;
    int r;

    r = wire_receive(fd, &message, err);
    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, EPIPE, "the monitor of container %.12s ended before it started", id);
    wire_message_close(&message);
    if (message.type == MONITOR_STARTED) {
        if (message.length > 0)
            log_warning("%s", message.payload);
        return 0;
    }
    if (message.type == MONITOR_ERROR)
        return monitor_link_take_error(&message, err);
    return error_set(err, EPROTO, "the monitor of container %.12s sent message %u before STARTED",
                     id, message.type);
}

static int claim_for_start(struct engine *engine, const char *id, int *ret_fd, struct error *err)
{
    int fd = engine_take_reservation(engine, id);
    auto_close int link_fd = -1;
    int r;

    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    r = monitor_link_or_claim(engine, id, CLAIM_WAIT_MS, ret_fd, &link_fd, err);
    if (r > 0)
        return error_set(err, EALREADY, "container %.12s is running already", id);
    return r;
}

/* The image of the root may have been removed as unused, and the machine be another. */
static int prepare_vm(struct engine *engine, const struct record *record, struct error *err)
{
    AUTO_CLEAR(isolation_view) struct isolation_view view = { 0 };
    auto_free char *path = NULL;
    int r;

    r = engine_look_at_isolation(engine, record->settings.vm_kernel, &view, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < view.warnings.count; i++)
        log_warning("%s", view.warnings.items[i]);
    return engine_flatten(engine, &record->layers, &path, err);
}

/* Volumes that engine_create() made already are there when it is the one who reserved. */
static int prepare(struct engine *engine, const char *id, struct error *err)
{
    AUTO(record) struct record *record = NULL;
    int r;

    r = record_read(engine, id, &record, err);
    if (r == 0 && bundle_is_vm(&record->settings))
        r = prepare_vm(engine, record, err);
    if (r < 0)
        return r;
    return volumes_ensure(engine, record, err);
}

int engine_start_monitor(struct engine *engine, const char *id, bool is_restored, int *ret_attached,
                         struct error *err)
{
    bool is_reserved = engine->reserved_id != NULL && text_equal(engine->reserved_id, id);
    auto_close int own_fd = -1;
    auto_close int starter_fd = -1;
    int claim_fd = -1;
    int pair[2];
    int r;

    r = claim_for_start(engine, id, &claim_fd, err);
    if (r < 0)
        return r;
    r = is_reserved ? 0 : prepare(engine, id, err);
    if (r == 0)
        r = wire_pair(pair, err);
    if (r == 0) {
        own_fd = pair[0];
        starter_fd = pair[1];
        r = send_first(own_fd, ret_attached != NULL, err);
    }
    if (r == 0)
        r = spawn_monitor(engine, id, is_restored, starter_fd, claim_fd, err);
    if (r < 0) {
        claim_drop(engine, id, &claim_fd);
        return r;
    }
    /* The monitor has copies of both. */
    close(take_fd(&claim_fd));
    close(take_fd(&starter_fd));
    r = wait_started(own_fd, id, err);
    if (r < 0)
        return r;
    if (ret_attached != NULL)
        *ret_attached = take_fd(&own_fd);
    return 0;
}

int engine_start(struct engine *engine, const char *id, int *ret_attached, struct error *err)
{
    return engine_start_monitor(engine, id, false, ret_attached, err);
}
