#include "engine/monitor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "engine/complaints.h"
#include "engine/engine_private.h"
#include "engine/monitor_private.h"
#include "engine/restart_policy.h"

/* The process that stays with one container: its parent, the other end of its streams, the holder
 * of its claim. It sleeps in poll(2) unless something happens.
 *
 *   RUNNING ── first process ended ──► cgroup removed, rest of the output read
 *      ▲                                   │
 *      │ delay is over                     ├─ policy says so ─► WAITING_TO_RESTART
 *      └───────────────────────────────────┘
 *                                          └─ else ─► end recorded (or, with --rm, all removed),
 *                                                     claim released, clients told: ENDED
 *
 * The order at the end matters: who was told EXIT finds the container ended, startable and
 * removable; and when the monitor is killed between two steps, repair.c finds the lock file of a
 * dead claim. */

uint64_t monitor_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void set_finished(struct life *life)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    life->finished = now.tv_sec;
    life->finished_ns = (uint32_t)now.tv_nsec;
}

/* The record of a container that is removed at its end is not written again. A full disk does not
 * change what the container does: then the end is seen as `exited` without a status. */
static void write_life(const struct monitor *monitor)
{
    struct error err = { 0 };

    if (life_write(monitor->engine, monitor->id, &monitor->life, &err) < 0)
        log_warning("container %.12s: %s", monitor->id, err.message);
}

static void set_started(struct monitor *monitor)
{
    uint32_t restart_count = monitor->life.restart_count;
    struct timespec now;

    life_clear(&monitor->life);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    monitor->life.restart_count = restart_count;
    monitor->life.started = now.tv_sec;
    monitor->life.started_ns = (uint32_t)now.tv_nsec;
    monitor->started_ms = monitor_now_ms();
    monitor->deadline_ms = 0;
    monitor->state = MONITOR_RUNNING;
    write_life(monitor);
}

/* --- the end -----------------------------------------------------------------------------------
 */

static void set_start_failure(struct monitor *monitor, int r, const struct error *error)
{
    monitor->exit_status = r == -ENOENT ? 127 : r == -EACCES ? 126 : 128;
    monitor->life.exit_status = monitor->exit_status;
    free(monitor->life.error);
    monitor->life.error = xstrdup(error->message);
}

static void end(struct monitor *monitor)
{
    struct error err = { 0 };

    monitor->state = MONITOR_ENDED;
    monitor_log_free(monitor->log);
    monitor->log = NULL;
    if (monitor->record->settings.is_removed) {
        if (engine_remove_claimed(monitor->engine, monitor->id, true, &err) < 0) {
            /* Leave the lock file: the next command tries again. */
            log_warning("container %.12s: %s", monitor->id, err.message);
            close(take_fd(&monitor->claim_fd));
        }
    } else {
        write_life(monitor);
    }
    /* Whoever connected until now is told; who comes later finds no socket and reads the record. */
    claim_drop(monitor->engine, monitor->id, &monitor->claim_fd);
    for (;;) {
        int fd = accept4(monitor->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
            break;
        monitor_add_client(monitor, fd);
    }
    close(take_fd(&monitor->listen_fd));
    monitor_tell_exit(monitor, false);
}

static void end_or_restart(struct monitor *monitor)
{
    const struct settings *settings = &monitor->record->settings;
    uint64_t now = monitor_now_ms();

    /* A stop that was sent before the end must be seen before the decision. */
    for (size_t i = 0; i < monitor->client_count; i++)
        monitor_read_client(monitor, monitor->clients[i]);
    monitor->life.was_stopped = monitor->is_stopping;
    if (!restart_is_due(settings->restart, settings->restart_max, monitor->exit_status,
                        monitor->life.restart_count, monitor->is_stopping)) {
        end(monitor);
        return;
    }
    monitor->restart_delay_ms =
        restart_next_delay(monitor->restart_delay_ms, now - monitor->started_ms);
    monitor->deadline_ms = now + monitor->restart_delay_ms;
    monitor->state = MONITOR_WAITING_TO_RESTART;
    write_life(monitor);
    monitor_tell_exit(monitor, true);
}

static void name_lost_root(struct monitor *monitor, struct error *err)
{
    int status = monitor->root_status;
    int r;

    if (WIFSIGNALED(status))
        r = error_set(err, EIO, "it was ended by signal %d", WTERMSIG(status));
    else
        r = complaints_error(monitor->fuse_root.complaints_fd, FUSE_ROOT_PROGRAM, err);
    (void)error_prefix(err, r, "the container's root was lost with " FUSE_ROOT_PROGRAM);
}

static void handle_exit(struct monitor *monitor, int wait_status)
{
    struct error err = { 0 };

    monitor->exit_status = process_exit_status(wait_status);
    monitor->life.was_oom_killed = container_was_oom_killed(monitor->container);
    if (container_delete(monitor->container, true, &err) < 0)
        log_warning("container %.12s: %s", monitor->id, err.message);
    container_free(monitor->container);
    monitor->container = NULL;
    if (monitor->root_status != 0)
        name_lost_root(monitor, &err);
    fuse_root_finish(&monitor->fuse_root);
    monitor->pid = 0;
    monitor_drain_output(monitor);
    monitor_close_streams(monitor);
    set_finished(&monitor->life);
    monitor->life.exit_status = monitor->exit_status;
    free(monitor->life.error);
    monitor->life.error = err.code != 0 ? xstrdup(err.message) : NULL;
    end_or_restart(monitor);
}

static void restart(struct monitor *monitor)
{
    struct error err = { 0 };
    int r;

    monitor->life.restart_count++;
    r = monitor_start(monitor, false, &err);
    if (r == 0) {
        set_started(monitor);
        return;
    }
    monitor->started_ms = monitor_now_ms();
    set_start_failure(monitor, r, &err);
    set_finished(&monitor->life);
    end_or_restart(monitor);
}

/* --- events ------------------------------------------------------------------------------------
 */

/* The program that gave the container its root: it ends well when nothing has the mount any more.
 * Else every file is out of the container's reach, and it cannot do anything. */
static void handle_root_end(struct monitor *monitor, int wait_status)
{
    monitor->fuse_root.pid = 0;
    if (wait_status == 0 || monitor->container == NULL)
        return;
    monitor->root_status = wait_status;
    (void)container_signal(monitor->container, SIGKILL, false, NULL); /* may have just ended */
}

/* A subreaper gets what a container with the host's pid namespace leaves behind, too. */
static void reap(struct monitor *monitor)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == monitor->slirp.pid)
            monitor->slirp.pid = 0;
        if (pid == monitor->fuse_root.pid)
            handle_root_end(monitor, status);
        if (pid == monitor->pid)
            handle_exit(monitor, status);
    }
}

/* What a shutdown sends to all processes: end the container as `stop` does. */
static void stop(struct monitor *monitor)
{
    const struct record *record = monitor->record;
    uint32_t timeout_s = record->settings.has_stop_timeout ? record->settings.stop_timeout : 10;
    int signal = SIGTERM;

    monitor->is_stopping = true;
    if (monitor->state != MONITOR_RUNNING)
        return;
    if (!text_is_empty(record->stop_signal))
        (void)process_parse_signal(record->stop_signal, &signal, NULL); /* else SIGTERM */
    (void)container_signal(monitor->container, signal, false, NULL);
    (void)container_resume(monitor->container, NULL); /* in case it is paused */
    monitor->deadline_ms = monitor_now_ms() + (uint64_t)timeout_s * 1000;
}

static void handle_signals(struct monitor *monitor)
{
    struct signalfd_siginfo info;

    while (read(monitor->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(monitor);
        else if (info.ssi_signo == SIGTERM)
            stop(monitor);
        if (monitor->state == MONITOR_ENDED)
            return;
    }
}

static void handle_deadline(struct monitor *monitor)
{
    if (monitor->state == MONITOR_WAITING_TO_RESTART && monitor->is_stopping) {
        end(monitor);
        return;
    }
    if (monitor->deadline_ms == 0 || monitor_now_ms() < monitor->deadline_ms)
        return;
    monitor->deadline_ms = 0;
    if (monitor->state == MONITOR_WAITING_TO_RESTART)
        restart(monitor);
    else if (monitor->container != NULL)
        (void)container_signal(monitor->container, SIGKILL, false, NULL); /* may have just ended */
}

static int poll_timeout(const struct monitor *monitor)
{
    uint64_t now;

    if (monitor->deadline_ms == 0)
        return -1;
    now = monitor_now_ms();
    return now >= monitor->deadline_ms ? 0 : (int)(monitor->deadline_ms - now);
}

enum { POLL_SIGNALS, POLL_LISTEN, POLL_STDOUT, POLL_STDERR, POLL_STDIN, POLL_CLIENTS };
#define POLL_MAX (POLL_CLIENTS + MONITOR_CLIENTS_MAX)

/* Negative descriptors are skipped by poll(2). */
static size_t fill_poll(const struct monitor *monitor, struct pollfd fds[POLL_MAX])
{
    bool reads_output = !monitor_is_held_up(monitor);

    fds[POLL_SIGNALS] = (struct pollfd){ .fd = monitor->signal_fd, .events = POLLIN };
    fds[POLL_LISTEN] = (struct pollfd){ .fd = monitor->listen_fd, .events = POLLIN };
    for (size_t i = 0; i < ARRAY_SIZE(monitor->output_fds); i++)
        fds[POLL_STDOUT + i] = (struct pollfd){
            .fd = reads_output ? monitor->output_fds[i] : -1,
            .events = POLLIN,
        };
    fds[POLL_STDIN] = (struct pollfd){
        .fd = monitor_has_input(monitor) ? monitor->stdin_fd : -1,
        .events = POLLOUT,
    };
    for (size_t i = 0; i < monitor->client_count; i++)
        fds[POLL_CLIENTS + i] = (struct pollfd){
            .fd = monitor->clients[i]->fd,
            .events = (short)(POLLIN | (client_has_queue(monitor->clients[i]) ? POLLOUT : 0)),
        };
    return POLL_CLIENTS + monitor->client_count;
}

static void accept_client(struct monitor *monitor)
{
    int fd = -1;

    if (wire_accept(monitor->listen_fd, &fd, NULL) == 0)
        monitor_add_client(monitor, fd);
}

static int step(struct monitor *monitor, struct error *err)
{
    struct pollfd fds[POLL_MAX];
    size_t count = fill_poll(monitor, fds);

    if (poll(fds, count, poll_timeout(monitor)) < 0 && errno != EINTR)
        return error_errno(err, "wait for events");
    for (size_t i = POLL_CLIENTS; i < count; i++) {
        struct client *client = monitor->clients[i - POLL_CLIENTS];

        if ((fds[i].revents & POLLOUT) != 0)
            client_flush(client);
        if ((fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
            monitor_read_client(monitor, client);
    }
    if ((fds[POLL_STDIN].revents & (POLLOUT | POLLERR | POLLHUP)) != 0)
        monitor_write_input(monitor);
    for (size_t i = 0; i < ARRAY_SIZE(monitor->output_fds); i++)
        if ((fds[POLL_STDOUT + i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
            monitor->output_fds[i] >= 0 && !monitor_is_held_up(monitor))
            (void)monitor_read_output(monitor, i);
    if ((fds[POLL_LISTEN].revents & POLLIN) != 0)
        accept_client(monitor);
    if ((fds[POLL_SIGNALS].revents & POLLIN) != 0)
        handle_signals(monitor);
    if (monitor->state != MONITOR_ENDED)
        handle_deadline(monitor);
    monitor_remove_dead_clients(monitor);
    return 0;
}

/* After the end: clients that are slow still get what belongs to them. */
static void serve_rest(struct monitor *monitor)
{
    monitor_remove_dead_clients(monitor);
    for (size_t i = monitor->client_count; i > 0; i--)
        if (!client_has_queue(monitor->clients[i - 1]))
            monitor->clients[i - 1]->is_dead = true;
    monitor_remove_dead_clients(monitor);
    while (monitor->client_count > 0) {
        struct pollfd fds[MONITOR_CLIENTS_MAX];

        for (size_t i = 0; i < monitor->client_count; i++)
            fds[i] = (struct pollfd){ .fd = monitor->clients[i]->fd, .events = POLLOUT };
        if (poll(fds, monitor->client_count, -1) < 0 && errno != EINTR)
            return;
        for (size_t i = 0; i < monitor->client_count; i++) {
            if (fds[i].revents != 0)
                client_flush(monitor->clients[i]);
            if (!client_has_queue(monitor->clients[i]))
                monitor->clients[i]->is_dead = true;
        }
        monitor_remove_dead_clients(monitor);
    }
}

/* --- memory ------------------------------------------------------------------------------------
 */

/* The code that starts a container is not needed again until it restarts or ends: let go of the
 * pages of the program that were touched. What runs on comes back with its first use. */
static int forget_segment(struct dl_phdr_info *info, size_t size, void *context)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    (void)size;
    (void)context;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t start = (info->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        uintptr_t end = info->dlpi_addr + segment->p_vaddr + segment->p_memsz;

        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) == 0)
            (void)madvise((void *)start, end - start, MADV_DONTNEED); /* costs memory only */
    }
    return 0;
}

static void shrink(void)
{
    (void)malloc_trim(0);
    (void)dl_iterate_phdr(forget_segment, NULL);
}

/* --- the beginning -----------------------------------------------------------------------------
 */

static int open_log(struct monitor *monitor, struct error *err)
{
    const struct settings *settings = &monitor->record->settings;
    uint64_t max_bytes;
    unsigned max_files;
    int r;

    if (settings->log_driver != NULL && strcmp(settings->log_driver, "none") == 0)
        return 0;
    r = monitor_log_options(&settings->log_options, &max_bytes, &max_files, err);
    if (r < 0)
        return r;
    monitor->log = monitor_log_open(monitor->directory_fd, max_bytes, max_files);
    return 0;
}

static int begin(struct monitor *monitor, struct error *err)
{
    static const int signals[] = { SIGCHLD, SIGTERM, SIGHUP,  SIGINT,  SIGQUIT,
                                   SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, 0 };
    int r;

    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return error_errno(err, "become the reaper of the container's processes");
    r = event_open_signals(signals, &monitor->signal_fd, err);
    if (r < 0)
        return r;
    r = container_directory(monitor->engine, monitor->id, &monitor->directory_fd, err);
    if (r < 0)
        return r;
    r = record_read(monitor->engine, monitor->id, &monitor->record, err);
    if (r < 0)
        return r;
    r = open_log(monitor, err);
    if (r < 0)
        return r;
    r = engine_need_runtime(monitor->engine, err);
    if (r < 0)
        return r;
    r = claim_listen(monitor->engine, monitor->id, &monitor->listen_fd, err);
    return r < 0 ? r : fd_set_nonblocking(monitor->listen_fd, true, err);
}

static void monitor_clear(struct monitor *monitor)
{
    monitor_log_free(monitor->log);
    container_free(monitor->container);
    spec_free(monitor->spec);
    record_free(monitor->record);
    life_clear(&monitor->life);
    monitor_close_streams(monitor);
    fuse_root_clear(&monitor->fuse_root);
    for (size_t i = 0; i < monitor->client_count; i++)
        client_free(monitor->clients[i]);
    if (monitor->signal_fd >= 0)
        close(monitor->signal_fd);
    if (monitor->directory_fd >= 0)
        close(monitor->directory_fd);
    if (monitor->listen_fd >= 0)
        close(monitor->listen_fd);
    if (monitor->claim_fd >= 0)
        close(monitor->claim_fd);
}

/* The starter hears why only after everything is undone, so that it can try again at once. */
static void fail(struct monitor *monitor, bool is_restored, int r, const struct error *error)
{
    struct client *starter = monitor->client_count > 0 ? monitor->clients[0] : NULL;

    set_start_failure(monitor, r, error);
    if (monitor->record != NULL && monitor->record->settings.is_removed)
        (void)engine_remove_claimed(monitor->engine, monitor->id, true, NULL); /* or repair */
    else if (monitor->record != NULL && !is_restored) /* it stays as it had ended */
        write_life(monitor);
    claim_drop(monitor->engine, monitor->id, &monitor->claim_fd);
    if (starter != NULL)
        client_send(starter, MONITOR_ERROR, error, sizeof(*error));
    serve_rest(monitor);
}

int monitor_run(struct engine *engine, const char *id, bool is_restored, int starter_fd,
                int claim_fd, struct error *err)
{
    AUTO_CLEAR(monitor)
    struct monitor monitor = {
        .engine = engine,
        .id = id,
        .claim_fd = claim_fd,
        .listen_fd = -1,
        .signal_fd = -1,
        .slirp = SLIRP_NONE,
        .fuse_root = FUSE_ROOT_NONE,
        .directory_fd = -1,
        .output_fds = { -1, -1 },
        .stdin_fd = -1,
        .terminal_fd = -1,
        .slave_fd = -1,
    };
    struct error local = { 0 };
    struct error *told = err != NULL ? err : &local;
    const char *warning;
    int r;

    monitor_add_client(&monitor, starter_fd);
    r = begin(&monitor, told);
    if (r == 0)
        r = monitor_start(&monitor, is_restored, told);
    if (r < 0) {
        fail(&monitor, is_restored, r, told);
        return r;
    }
    set_started(&monitor);
    warning = container_warning(monitor.container);
    if (monitor.client_count > 0)
        client_send(monitor.clients[0], MONITOR_STARTED, warning,
                    warning == NULL ? 0 : strlen(warning));
    /* What starting needed goes back to the system: the monitor may live for months. */
    shrink();
    while (monitor.state != MONITOR_ENDED) {
        r = step(&monitor, told);
        if (r < 0)
            return r;
    }
    serve_rest(&monitor);
    return 0;
}
