#include "cli/oci_commands.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"

#define COPY_MAX 32768
#define DRAIN_MS 100 /* how long to wait for the last output once the process has ended */

/* The caller's terminal in raw mode, while it is in use; restored at the end. */
struct raw_terminal {
    struct termios saved;
    bool is_raw;
};

static void raw_begin(struct raw_terminal *terminal)
{
    struct termios raw;

    if (tcgetattr(0, &terminal->saved) < 0)
        return; /* not a terminal: bytes are passed on as they come */
    raw = terminal->saved;
    cfmakeraw(&raw);
    /* Line feeds become CR LF here, not in the container: see terminal_clear_onlcr(). */
    raw.c_oflag |= OPOST;
    terminal->is_raw = tcsetattr(0, TCSANOW, &raw) == 0;
}

static void raw_end(const struct raw_terminal *terminal)
{
    if (terminal->is_raw)
        (void)tcsetattr(0, TCSANOW, &terminal->saved);
}

static void copy_size(int console)
{
    struct winsize size;

    if (ioctl(0, TIOCGWINSZ, &size) == 0)
        (void)ioctl(console, TIOCSWINSZ, &size);
}

int foreground_open(struct foreground *ret_foreground, struct error *err)
{
    sigset_t all;
    int fd;

    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGSEGV);
    (void)sigdelset(&all, SIGBUS);
    (void)sigdelset(&all, SIGABRT);
    if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
        return error_errno(err, "block signals");
    fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return error_errno(err, "open a signalfd");
    *ret_foreground = (struct foreground){ .signal_fd = fd, .console_fd = -1 };
    return 0;
}

void foreground_close(struct foreground *foreground)
{
    auto_close_cleanup(&foreground->signal_fd);
    auto_close_cleanup(&foreground->console_fd);
}

void foreground_take_console(struct foreground *foreground, int console_fd)
{
    foreground->console_fd = console_fd;
    if (console_fd < 0)
        return;
    terminal_clear_onlcr(console_fd);
    copy_size(console_fd);
}

/* Handles pending signals. Returns 1 when @pid has ended. */
static int handle_signals(const struct foreground *foreground, pid_t pid, int *status)
{
    struct signalfd_siginfo info;

    while (read(foreground->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        int signal = (int)info.ssi_signo;

        if (signal == SIGCHLD) {
            int child_status;
            pid_t child;

            while ((child = waitpid(-1, &child_status, WNOHANG)) > 0) {
                if (child == pid) {
                    *status = process_exit_status(child_status);
                    return 1;
                }
            }
            if (child < 0)
                return 1; /* there is none to wait for any more: the status stays as it is */
        } else if (signal == SIGWINCH && foreground->console_fd >= 0) {
            copy_size(foreground->console_fd);
        } else if (signal != SIGPIPE && signal != SIGTTIN && signal != SIGTTOU) {
            (void)kill(pid, signal);
        }
    }
    return 0;
}

/* Copies what is there once. Returns how much; 0: nothing now; -1: it is at its end. */
static ssize_t copy_once(int from, int to)
{
    char bytes[COPY_MAX];
    ssize_t n = read(from, bytes, sizeof(bytes));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return -1; /* EIO: the last process has closed the terminal */
    return fd_write_all(to, bytes, (size_t)n, "output", NULL) == 0 ? n : -1;
}

/* What the ended process wrote, and no more of who may go on writing. */
static void drain(int console)
{
    struct pollfd entry = { .fd = console, .events = POLLIN };
    size_t left = fd_capacity(console);

    while (left > 0 && poll(&entry, 1, DRAIN_MS) > 0 && (entry.revents & POLLIN) != 0) {
        ssize_t length = copy_once(console, 1);

        if (length < 0)
            return;
        left -= (size_t)length < left ? (size_t)length : left;
    }
}

static int pump(struct foreground *foreground, pid_t pid, int *status, struct error *err)
{
    struct pollfd entries[4] = {
        { .fd = foreground->signal_fd, .events = POLLIN },
        { .fd = foreground->console_fd, .events = POLLIN },
        { .fd = foreground->console_fd >= 0 ? 0 : -1, .events = POLLIN },
        { .fd = foreground->notify != NULL ? notify_fd(foreground->notify) : -1, .events = POLLIN },
    };

    for (;;) {
        /* The process may have ended before the first poll: SIGCHLD is pending then. */
        if (poll(entries, 4, -1) < 0 && errno != EINTR)
            return error_errno(err, "wait for the container");
        if (entries[1].revents != 0 && copy_once(foreground->console_fd, 1) < 0)
            entries[1].fd = -1;
        if (entries[2].revents != 0 && copy_once(0, foreground->console_fd) < 0)
            entries[2].fd = -1;
        /* The main process of a service in the foreground is the one that systemd started. */
        if (entries[3].revents != 0)
            (void)notify_forward(foreground->notify, getpid());
        if (entries[0].revents != 0 && handle_signals(foreground, pid, status) > 0)
            return 0;
    }
}

int foreground_wait(struct foreground *foreground, pid_t pid, int *ret_status, struct error *err)
{
    struct raw_terminal terminal = { 0 };
    int r;

    if (foreground->console_fd >= 0)
        raw_begin(&terminal);
    r = pump(foreground, pid, ret_status, err);
    if (foreground->console_fd >= 0)
        drain(foreground->console_fd);
    raw_end(&terminal);
    return r;
}
