#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"
#include "engine/detach_keys.h"
#include "engine/engine_private.h"
#include "engine/image_root.h"
#include "engine/local_terminal.h"
#include "engine/record.h"

/* `exec`: this process is the parent of the new one and pumps its streams itself. Pipes or a
 * terminal of the container's own lie between: the user's terminal is never handed into a
 * container. The caller made itself unreachable from inside before (process_protect_program()). */

#define CHUNK 16384

struct session {
    const struct exec_settings *settings;
    struct container *container;
    pid_t pid;
    int inner[3]; /* the process's 0, 1, 2 until it has them; -1: our own */
    int stdin_fd; /* where our standard input goes; -1: nowhere (any more) */
    int output_fds[2];
    int terminal_fd; /* also output_fds[0] */
    int signal_fd;
    struct local_terminal terminal;
    struct detach_keys keys;
    char input[CHUNK + DETACH_KEYS_MAX]; /* read and not yet written */
    size_t input_length, input_done;
    bool reads_stdin, is_detached, has_ended, is_dropped[2];
    int status;
};

void exec_settings_clear(struct exec_settings *settings)
{
    strings_clear(&settings->command);
    strings_clear(&settings->env);
    free(settings->user);
    free(settings->working_dir);
    free(settings->detach_keys);
    *settings = (struct exec_settings){ 0 };
}

/* --- the process -------------------------------------------------------------------------------
 */

static void set_capabilities(const struct exec_settings *settings, struct spec_process *process)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    struct spec_capabilities *capabilities = process->capabilities;

    if (capabilities == NULL)
        return;
    if (settings->is_privileged)
        spec_all_capabilities(&names);
    else
        strings_add_all(&names, &capabilities->bounding);
    strings_clear(&capabilities->bounding);
    strings_clear(&capabilities->effective);
    strings_clear(&capabilities->permitted);
    strings_add_all(&capabilities->bounding, &names);
    if (process->user.uid == 0) {
        strings_add_all(&capabilities->effective, &names);
        strings_add_all(&capabilities->permitted, &names);
    }
}

/* Users are looked up in the files of the container as they are now; of a microVM, whose files are
 * not seen here, in those of its image. */
static int open_root(const struct container *container, const struct record *record,
                     int *ret_root_fd, struct error *err)
{
    char path[64];

    if (container_isolation(container) != NULL)
        return image_root_open(&record->layers, ret_root_fd, err);
    (void)snprintf(path, sizeof(path), "/proc/%d/root", container_pid(container));
    *ret_root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *ret_root_fd < 0 ? error_errno(err, "open the container's root directory") : 0;
}

static int set_user(struct engine *engine, const char *id, const struct session *session,
                    struct spec_process *process, struct error *err)
{
    AUTO(record) struct record *record = NULL;
    auto_free char *home = NULL;
    auto_close int root_fd = -1;
    int r;

    if (text_is_empty(session->settings->user))
        return 0;
    r = record_read(engine, id, &record, err);
    if (r == 0)
        r = open_root(session->container, record, &root_fd, err);
    if (r < 0)
        return r;
    free(process->user.additional_gids.items);
    process->user.additional_gids = (struct u32_list){ 0 };
    r = user_resolve(root_fd, session->settings->user, &process->user, &home, err);
    if (r < 0)
        return r;
    /* HOME follows the user, unless the image or its user decided about it. */
    if (strings_variable(&record->env, "HOME") == NULL)
        strings_set_variable(&process->env, "HOME", home == NULL ? "/" : home);
    return 0;
}

static int set_size(struct spec_process *process)
{
    uint16_t rows, columns;

    if (!process->terminal || local_terminal_size(&rows, &columns) < 0)
        return 0;
    if (process->console_size == NULL)
        process->console_size = xcalloc(1, sizeof(*process->console_size));
    process->console_size->height = rows;
    process->console_size->width = columns;
    return 0;
}

static int plan_process(struct engine *engine, const char *id, const struct session *session,
                        struct spec_process **ret_process, struct error *err)
{
    const struct exec_settings *settings = session->settings;
    AUTO(spec_process) struct spec_process *process = NULL;
    int r;

    if (settings->command.count == 0)
        return error_set(err, EINVAL, "no program to run was given");
    r = container_exec_process(session->container, &process, err);
    if (r < 0)
        return r;
    strings_clear(&process->args);
    strings_add_all(&process->args, &settings->command);
    /* Nobody would hold a detached terminal: its hangup would end the program. */
    process->terminal = settings->has_terminal && !settings->is_detached;
    r = set_user(engine, id, session, process, err);
    if (r < 0)
        return r;
    if (settings->has_terminal && strings_variable(&process->env, "TERM") == NULL)
        strings_set_variable(&process->env, "TERM", "xterm");
    for (size_t i = 0; i < settings->env.count; i++) {
        const char *equals = strchr(settings->env.items[i], '=');
        auto_free char *name = NULL;

        if (equals == NULL)
            continue;
        name = xstrndup(settings->env.items[i], (size_t)(equals - settings->env.items[i]));
        strings_set_variable(&process->env, name, equals + 1);
    }
    if (!text_is_empty(settings->working_dir)) {
        if (settings->working_dir[0] != '/')
            return error_set(err, EINVAL, "the working directory '%s' is not an absolute path",
                             settings->working_dir);
        free(process->cwd);
        process->cwd = xstrdup(settings->working_dir);
    }
    set_capabilities(settings, process);
    (void)set_size(process);
    *ret_process = take_ptr(&process);
    return 0;
}

/* --- streams -----------------------------------------------------------------------------------
 */

static int make_pipe(int *ret_read, int *ret_write, struct error *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    *ret_read = fds[0];
    *ret_write = fds[1];
    return 0;
}

static int open_null(int *ret_fd, struct error *err)
{
    *ret_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return *ret_fd < 0 ? error_errno(err, "open '/dev/null'") : 0;
}

static int make_streams(struct session *session, struct error *err)
{
    const struct exec_settings *settings = session->settings;
    int r = 0;

    if (settings->has_terminal && !settings->is_detached)
        return 0;
    for (size_t i = 0; r == 0 && settings->is_detached && i < 3; i++)
        r = open_null(&session->inner[i], err);
    if (r < 0 || settings->is_detached)
        return r;
    for (size_t i = 0; r == 0 && i < 2; i++) {
        r = make_pipe(&session->output_fds[i], &session->inner[i + 1], err);
        if (r == 0)
            r = fd_set_nonblocking(session->output_fds[i], true, err);
    }
    if (r < 0)
        return r;
    if (!settings->opens_stdin)
        return open_null(&session->inner[0], err);
    r = make_pipe(&session->inner[0], &session->stdin_fd, err);
    return r < 0 ? r : fd_set_nonblocking(session->stdin_fd, true, err);
}

static int take_terminal(struct session *session, int console, struct error *err)
{
    if (console < 0)
        return 0;
    session->terminal_fd = session->output_fds[0] = console;
    if (session->settings->opens_stdin) {
        session->stdin_fd = fcntl(console, F_DUPFD_CLOEXEC, 3);
        if (session->stdin_fd < 0)
            return error_errno(err, "duplicate the terminal");
    }
    return fd_set_nonblocking(console, true, err);
}

static void session_clear(struct session *session)
{
    for (size_t i = 0; i < 3; i++)
        if (session->inner[i] >= 0)
            close(take_fd(&session->inner[i]));
    for (size_t i = 0; i < 2; i++)
        if (session->output_fds[i] >= 0)
            close(take_fd(&session->output_fds[i]));
    if (session->stdin_fd >= 0)
        close(take_fd(&session->stdin_fd));
    if (session->signal_fd >= 0)
        close(take_fd(&session->signal_fd));
    container_free(session->container);
}

static void close_stdin(struct session *session)
{
    if (session->stdin_fd >= 0)
        close(take_fd(&session->stdin_fd));
    session->input_length = session->input_done = 0;
}

static void write_input(struct session *session)
{
    ssize_t count;

    while (session->input_done < session->input_length) {
        count = write(session->stdin_fd, session->input + session->input_done,
                      session->input_length - session->input_done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return;
        if (count < 0) {
            session->reads_stdin = false;
            close_stdin(session);
            return;
        }
        session->input_done += (size_t)count;
    }
    session->input_length = session->input_done = 0;
    if (!session->reads_stdin && session->terminal_fd < 0)
        close_stdin(session);
}

static void read_input(struct session *session)
{
    char typed[CHUNK];
    ssize_t length = read(STDIN_FILENO, typed, sizeof(typed));

    if (length < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (length <= 0) {
        session->reads_stdin = false;
    } else if (session->terminal_fd >= 0) {
        session->input_length = detach_keys_filter(&session->keys, typed, (size_t)length,
                                                   session->input, &session->is_detached);
    } else {
        memcpy(session->input, typed, (size_t)length);
        session->input_length = (size_t)length;
    }
    write_input(session);
}

/* How many bytes there were. */
static size_t read_output(struct session *session, size_t index)
{
    char bytes[CHUNK];
    ssize_t length;

    do {
        length = read(session->output_fds[index], bytes, sizeof(bytes));
    } while (length < 0 && errno == EINTR);
    if (length > 0) {
        if (!session->is_dropped[index] &&
            fd_write_all((int)index + 1, bytes, (size_t)length, "output", NULL) < 0)
            session->is_dropped[index] = true; /* our reader is gone; the program goes on */
        return (size_t)length;
    }
    if (length < 0 && errno == EAGAIN)
        return 0;
    close(take_fd(&session->output_fds[index]));
    if (index == 0)
        session->terminal_fd = -1;
    return 0;
}

static void resize(const struct session *session)
{
    struct winsize window = { 0 };

    if (session->terminal_fd >= 0 && local_terminal_size(&window.ws_row, &window.ws_col) == 0)
        (void)ioctl(session->terminal_fd, TIOCSWINSZ, &window); /* cannot fail for a terminal */
}

static void handle_signal(struct session *session)
{
    struct signalfd_siginfo info;
    int status;

    if (read(session->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo == SIGCHLD) {
        if (waitpid(session->pid, &status, WNOHANG) == session->pid) {
            session->status = process_exit_status(status);
            session->has_ended = true;
        }
    } else if (info.ssi_signo == SIGWINCH && session->settings->has_terminal) {
        resize(session);
    } else {
        (void)kill(session->pid, (int)info.ssi_signo); /* our child: never another process */
    }
}

enum { AT_SIGNALS, AT_FROM, AT_TO, AT_STDOUT, AT_STDERR, AT_COUNT };

static int step(struct session *session, struct error *err)
{
    bool is_pending = session->input_done < session->input_length;
    bool reads = session->reads_stdin && session->stdin_fd >= 0 && !is_pending;
    struct pollfd fds[AT_COUNT] = {
        [AT_SIGNALS] = { .fd = session->signal_fd, .events = POLLIN },
        [AT_FROM] = { .fd = reads ? STDIN_FILENO : -1, .events = POLLIN },
        [AT_TO] = { .fd = is_pending ? session->stdin_fd : -1, .events = POLLOUT },
        [AT_STDOUT] = { .fd = session->output_fds[0], .events = POLLIN },
        [AT_STDERR] = { .fd = session->output_fds[1], .events = POLLIN },
    };

    if (poll(fds, AT_COUNT, -1) < 0)
        return errno == EINTR ? 0 : error_errno(err, "wait for the program");
    if (fds[AT_TO].revents != 0)
        write_input(session);
    if (fds[AT_FROM].revents != 0)
        read_input(session);
    if (fds[AT_STDOUT].revents != 0)
        (void)read_output(session, 0);
    if (fds[AT_STDERR].revents != 0)
        (void)read_output(session, 1);
    if (fds[AT_SIGNALS].revents != 0)
        handle_signal(session);
    return 0;
}

/* A program in the background that still holds a stream is not waited for, nor followed while it
 * writes: what the ended one wrote is within what the stream can hold. */
static void drain_stream(struct session *session, size_t index)
{
    size_t left = fd_capacity(session->output_fds[index]);
    size_t length = 1;

    while (left > 0 && length > 0) {
        length = read_output(session, index);
        left -= length > 0 && length < left ? length : left;
    }
}

static void drain(struct session *session)
{
    for (size_t i = 0; i < 2; i++)
        if (session->output_fds[i] >= 0)
            drain_stream(session, i);
}

static int pump(struct session *session, int *ret_status, struct error *err)
{
    int r = 0;

    if (session->settings->has_terminal && session->settings->opens_stdin)
        r = local_terminal_make_raw(&session->terminal, err);
    resize(session);
    session->reads_stdin = session->stdin_fd >= 0;
    while (r == 0 && !session->has_ended && !session->is_detached)
        r = step(session, err);
    if (session->has_ended)
        drain(session);
    local_terminal_restore(&session->terminal);
    *ret_status = session->status;
    return r;
}

int engine_exec(struct engine *engine, const char *id, const struct exec_settings *settings,
                int *ret_status, struct error *err)
{
    AUTO_CLEAR(session)
    struct session session = {
        .settings = settings,
        .inner = { -1, -1, -1 },
        .stdin_fd = -1,
        .output_fds = { -1, -1 },
        .terminal_fd = -1,
        .signal_fd = -1,
    };
    AUTO(spec_process) struct spec_process *process = NULL;
    struct container_exec_options options = { .keeps_console = settings->has_terminal &&
                                                               !settings->is_detached };
    int console = -1;
    int r;

    assert(ret_status != NULL);

    r = detach_keys_parse(settings->detach_keys, &session.keys, err);
    if (r < 0)
        return r;
    r = engine_open_running(engine, id, &session.container, err);
    if (r < 0)
        return r;
    r = plan_process(engine, id, &session, &process, err);
    if (r < 0)
        return r;
    r = make_streams(&session, err);
    if (r < 0)
        return r;
    /* Before the process exists: its end must not be missed. */
    r = local_signals_open(true, settings->has_terminal, &session.signal_fd, err);
    if (r < 0)
        return r;
    options.process = process;
    memcpy(options.stdio, session.inner, sizeof(options.stdio));
    r = container_exec(session.container, &options, &session.pid, &console, err);
    if (r == -ESRCH) /* in berth's words */
        return error_set(err, ESRCH, "container %.12s is not running", id);
    if (r < 0)
        return r;
    for (size_t i = 0; i < 3; i++)
        if (session.inner[i] >= 0)
            close(take_fd(&session.inner[i]));
    r = take_terminal(&session, console, err);
    if (r < 0)
        return r;
    if (settings->is_detached) {
        *ret_status = 0;
        return 0;
    }
    return pump(&session, ret_status, err);
}
