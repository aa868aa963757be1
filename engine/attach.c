#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/wire.h"
#include "engine/detach_keys.h"
#include "engine/engine_private.h"
#include "engine/local_terminal.h"
#include "engine/monitor_link.h"
#include "engine/monitor_wire.h"

/* The user's side of an attached container: terminal and streams to messages and back. */

struct attachment {
    const struct attach_options *options;
    const char *id;
    int fd, signal_fd;
    struct local_terminal terminal;
    struct detach_keys keys;
    bool reads_stdin;  /* not at its end */
    bool has_credit;   /* may send one STDIN (monitor_wire.h) */
    bool is_closed[3]; /* standard streams that nobody reads any more */
    int end_signal;    /* that ends the command; 0 */
    bool is_detached, has_ended;
    int status;
};

int engine_attach(struct engine *engine, const char *id, int *ret_attached, struct error *err)
{
    struct monitor_attach attach = { .flags = MONITOR_HAS_STDOUT | MONITOR_HAS_STDERR };
    auto_close int fd = -1;
    int r;

    r = monitor_link_open(engine, id, &fd, err);
    if (r < 0)
        return r;
    r = monitor_link_ask(fd, MONITOR_ATTACH, &attach, sizeof(attach), NULL, err);
    if (r < 0)
        return r;
    if (r > 0)
        return error_set(err, ESRCH, "container %.12s is not running", id);
    *ret_attached = take_fd(&fd);
    return 0;
}

/* A monitor that is gone is noticed by the next receive, with what it sent before. */
static int send_message(struct attachment *attachment, uint32_t type, const void *payload,
                        size_t length, struct error *err)
{
    int r = wire_send(attachment->fd, type, payload, length, NULL, 0, err);

    return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

static int send_size(struct attachment *attachment, struct error *err)
{
    struct monitor_size size;

    if (!attachment->options->has_terminal || local_terminal_size(&size.rows, &size.columns) < 0)
        return 0;
    return send_message(attachment, MONITOR_RESIZE, &size, sizeof(size), err);
}

static void write_output(struct attachment *attachment, int fd, const struct wire_message *message)
{
    /* As docker: when the reader is gone (`| head`), the container goes on and its output is
     * dropped. */
    if (!attachment->is_closed[fd] &&
        fd_write_all(fd, message->payload, message->length, "output", NULL) < 0)
        attachment->is_closed[fd] = true;
}

static int handle_message(struct attachment *attachment, const struct wire_message *message)
{
    int32_t status;

    switch (message->type) {
    case MONITOR_STDOUT:
        if (attachment->options->has_stdout)
            write_output(attachment, STDOUT_FILENO, message);
        break;
    case MONITOR_STDERR:
        if (attachment->options->has_stderr)
            write_output(attachment, STDERR_FILENO, message);
        break;
    case MONITOR_STDIN_TAKEN:
        attachment->has_credit = true;
        break;
    case MONITOR_EXIT:
        if (message->length == sizeof(status)) {
            memcpy(&status, message->payload, sizeof(status));
            attachment->status = status;
        }
        attachment->has_ended = true;
        break;
    default:
        break; /* OK, STARTED */
    }
    return 0;
}

static int receive(struct attachment *attachment, struct error *err)
{
    struct wire_message message;
    int r;

    r = wire_receive(attachment->fd, &message, err);
    if (r == -EAGAIN)
        return 0;
    if (r < 0 && r != -ECONNRESET)
        return r;
    if (r <= 0)
        return error_set(err, EPIPE,
                         "the monitor of container %.12s was killed, and the container with it",
                         attachment->id);
    wire_message_close(&message);
    return handle_message(attachment, &message);
}

static int read_input(struct attachment *attachment, struct error *err)
{
    char typed[MONITOR_CHUNK_MAX - DETACH_KEYS_MAX], passed[MONITOR_CHUNK_MAX];
    const char *bytes = typed;
    ssize_t length;
    size_t count;

    length = read(STDIN_FILENO, typed, sizeof(typed));
    if (length < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    /* A raw terminal has no end of file: it was hung up, and nobody is left to see anything. */
    if (length <= 0 && attachment->options->has_terminal) {
        attachment->is_detached = true;
        return 0;
    }
    if (length <= 0) {
        attachment->reads_stdin = false;
        return send_message(attachment, MONITOR_STDIN_END, NULL, 0, err);
    }
    count = (size_t)length;
    if (attachment->options->has_terminal) {
        count =
            detach_keys_filter(&attachment->keys, typed, count, passed, &attachment->is_detached);
        bytes = passed;
    }
    if (count == 0)
        return 0;
    attachment->has_credit = false;
    return send_message(attachment, MONITOR_STDIN, bytes, count, err);
}

static int handle_signal(struct attachment *attachment, struct error *err)
{
    struct signalfd_siginfo info;
    int32_t signal;

    if (read(attachment->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    signal = (int32_t)info.ssi_signo;
    if (signal == SIGWINCH && attachment->options->has_terminal)
        return send_size(attachment, err);
    if (signal == SIGCHLD || (signal == SIGWINCH && !attachment->options->forwards_signals))
        return 0;
    if (attachment->options->forwards_signals)
        return send_message(attachment, MONITOR_SIGNAL, &signal, sizeof(signal), err);
    attachment->end_signal = signal;
    return 0;
}

enum { POLL_SOCKET, POLL_SIGNALS, POLL_STDIN, POLL_COUNT };

static int step(struct attachment *attachment, struct error *err)
{
    bool wants_input = attachment->reads_stdin && attachment->has_credit;
    struct pollfd fds[POLL_COUNT] = {
        [POLL_SOCKET] = { .fd = attachment->fd, .events = POLLIN },
        [POLL_SIGNALS] = { .fd = attachment->signal_fd, .events = POLLIN },
        [POLL_STDIN] = { .fd = wants_input ? STDIN_FILENO : -1, .events = POLLIN },
    };
    int r = 0;

    if (poll(fds, POLL_COUNT, -1) < 0)
        return errno == EINTR ? 0 : error_errno(err, "wait for the container");
    if (fds[POLL_SIGNALS].revents != 0)
        r = handle_signal(attachment, err);
    if (r == 0 && fds[POLL_STDIN].revents != 0)
        r = read_input(attachment, err);
    if (r == 0 && fds[POLL_SOCKET].revents != 0)
        r = receive(attachment, err);
    return r;
}

static int begin(struct attachment *attachment, struct error *err)
{
    const struct attach_options *options = attachment->options;
    struct monitor_attach attach = {
        .flags = (options->has_stdin ? MONITOR_HAS_STDIN : 0u) |
                 (options->has_stdout ? MONITOR_HAS_STDOUT : 0u) |
                 (options->has_stderr ? MONITOR_HAS_STDERR : 0u),
    };
    int r;

    r = detach_keys_parse(options->detach_keys, &attachment->keys, err);
    if (r < 0)
        return r;
    r = local_signals_open(options->forwards_signals, options->has_terminal, &attachment->signal_fd,
                           err);
    if (r < 0)
        return r;
    r = send_message(attachment, MONITOR_ATTACH, &attach, sizeof(attach), err);
    if (r < 0)
        return r;
    r = send_size(attachment, err);
    if (r < 0 || !options->has_terminal || !options->has_stdin)
        return r;
    return local_terminal_make_raw(&attachment->terminal, err);
}

int engine_attach_run(struct engine *engine, const char *id, int attached,
                      const struct attach_options *options, enum attach_end *ret_end,
                      int *ret_status, struct error *err)
{
    auto_close int fd = attached;
    auto_close int signal_fd = -1;
    struct attachment attachment = {
        .options = options,
        .id = id,
        .fd = fd,
        .signal_fd = -1,
        .reads_stdin = options->has_stdin,
        .has_credit = true,
    };
    int r;

    (void)engine;
    assert(ret_end != NULL);

    r = begin(&attachment, err);
    signal_fd = attachment.signal_fd;
    while (r == 0 && !attachment.is_detached && !attachment.has_ended && attachment.end_signal == 0)
        r = step(&attachment, err);
    local_terminal_restore(&attachment.terminal);
    if (r < 0)
        return r;
    if (attachment.end_signal != 0) {
        /* Die of it as without us, now that the terminal is as it was. */
        sigset_t signals;

        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, attachment.end_signal);
        (void)sigprocmask(SIG_UNBLOCK, &signals, NULL);
        (void)raise(attachment.end_signal);
    }
    *ret_end = attachment.has_ended ? ATTACH_EXITED : ATTACH_DETACHED;
    if (ret_status != NULL)
        *ret_status = attachment.status;
    return 0;
}
