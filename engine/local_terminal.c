#include "engine/local_terminal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

int local_terminal_make_raw(struct local_terminal *terminal, struct error *err)
{
    struct termios raw;

    if (!isatty(STDIN_FILENO))
        return 0;
    if (tcgetattr(STDIN_FILENO, &terminal->saved) < 0)
        return error_errno(err, "read the terminal's settings");
    raw = terminal->saved;
    cfmakeraw(&raw);
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
        return error_errno(err, "set the terminal to raw mode");
    terminal->is_raw = true;
    return 0;
}

void local_terminal_restore(struct local_terminal *terminal)
{
    if (!terminal->is_raw)
        return;
    /* A terminal that hung up has nothing to restore. */
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal->saved);
    terminal->is_raw = false;
}

int local_terminal_size(uint16_t *ret_rows, uint16_t *ret_columns)
{
    struct winsize window;

    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &window) < 0 &&
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) < 0)
        return -ENOTTY;
    *ret_rows = window.ws_row;
    *ret_columns = window.ws_col;
    return 0;
}

int local_signals_open(bool forwards, bool has_terminal, int *ret_fd, struct error *err)
{
    static const int ours[] = { SIGKILL, SIGSTOP, SIGPIPE };
    static const int job_control[] = { SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT };
    static const int ends[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT };
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigset_t signals;
    int fd;

    /* A reader that goes away (`| head`) ends our writing, not the container's. */
    if (sigaction(SIGPIPE, &ignore, NULL) < 0)
        return error_errno(err, "ignore SIGPIPE");
    if (forwards) {
        (void)sigfillset(&signals);
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
            (void)sigdelset(&signals, ours[i]);
        for (size_t i = 0; isatty(STDIN_FILENO) && i < sizeof(job_control) / sizeof(int); i++)
            (void)sigdelset(&signals, job_control[i]);
    } else {
        (void)sigemptyset(&signals);
        for (size_t i = 0; has_terminal && i < sizeof(ends) / sizeof(ends[0]); i++)
            (void)sigaddset(&signals, ends[i]);
        (void)sigaddset(&signals, SIGCHLD);
        (void)sigaddset(&signals, SIGWINCH);
    }
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return error_errno(err, "block signals");
    fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return error_errno(err, "open a signalfd");
    *ret_fd = fd;
    return 0;
}
