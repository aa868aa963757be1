/* fs_mount BERTH-FS TARGET BERTH-FS'S-OPTIONS...: mounts what berth-fs serves, by the relay that
 * the agent uses in guests, and leaves both in the background, for as long as TARGET is mounted. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "microvm/fuse_relay.h"

#define OPTIONS_MAX 16

static void server_exec(char **arguments, int socket_fd)
{
    auto_free char *fd_text = xasprintf("%d", socket_fd);
    char *all[OPTIONS_MAX + 4] = { arguments[1], (char *)"--socket-fd", fd_text };

    for (size_t i = 0; i < OPTIONS_MAX && arguments[3 + i] != NULL; i++)
        all[3 + i] = arguments[3 + i];
    (void)fd_set_close_on_exec(socket_fd, false, NULL);
    execv(all[0], all);
    perror(all[0]);
}

int main(int count, char **arguments)
{
    struct error err = { 0 };
    bool is_read_only = false;
    pid_t server, relay;
    int pair[2];

    if (count < 4) {
        (void)fprintf(stderr, "usage: fs_mount BERTH-FS TARGET OPTIONS...\n");
        return 2;
    }
    for (int i = 3; i < count; i++)
        is_read_only |= strcmp(arguments[i], "--read-only") == 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        perror("socketpair");
        return 1;
    }
    server = fork();
    if (server == 0) {
        server_exec(arguments, pair[1]);
        return 127;
    }
    if (server < 0 || close(pair[1]) < 0 ||
        fuse_relay_start(pair[0], arguments[2], is_read_only, &relay, &err) < 0) {
        (void)fprintf(stderr, "fs_mount: %s\n", err.message);
        return 1;
    }
    return 0;
}
