#include "microvm/vmm_shares.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

static void run_child(const struct vm_config *config, const struct vm_share *share, int fd,
                      pid_t parent)
{
    /* An emulator's guest writes into the socket itself. */
    const bool is_savable = strcmp(config->backend, "kvm") == 0;
    char number[16];
    const char *arguments[8] = { config->fs_program, "--socket-fd", number, "--root", share->path };
    size_t count = 5;
    sigset_t none;

    (void)sigemptyset(&none);
    if (share->is_read_only)
        arguments[count++] = "--read-only";
    if (is_savable)
        arguments[count++] = "--savable";
    (void)snprintf(number, sizeof(number), "%d", fd);
    /* The parent may have ended before PDEATHSIG was asked for. */
    if (fd_set_close_on_exec(fd, false, NULL) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
        _exit(1);
    (void)execv(config->fs_program, (char *const *)arguments);
    (void)dprintf(STDERR_FILENO, "execute %s: %s\n", config->fs_program, strerror(errno));
    _exit(1);
}

static int open_share(const struct vm_config *config, const struct vm_share *share, int *ret_fd,
                      struct error *err)
{
    auto_close int own_fd = -1;
    auto_close int given_fd = -1;
    pid_t parent = getpid(), pid;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return error_errno(err, "make a socket for share '%s'", share->tag);
    own_fd = fds[0];
    given_fd = fds[1];
    pid = fork();
    if (pid < 0)
        return error_errno(err, "start berth-fs for share '%s'", share->tag);
    if (pid == 0)
        run_child(config, share, given_fd, parent);
    *ret_fd = take_fd(&own_fd);
    return 0;
}

int vmm_shares_open(const struct vm_config *config, struct machine_config *machine,
                    struct error *err)
{
    if (config->shares.count > MACHINE_SHARES_MAX)
        return error_set(err, EOPNOTSUPP, "a microVM has at most %d shares", MACHINE_SHARES_MAX);
    for (size_t i = 0; i < config->shares.count; i++) {
        const struct vm_share *share = &config->shares.items[i];
        int r = open_share(config, share, &machine->shares[i].fd, err);

        if (r < 0)
            return r;
        machine->shares[i].tag = share->tag;
        machine->share_count++;
    }
    return 0;
}
