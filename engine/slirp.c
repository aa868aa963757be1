#include "engine/slirp.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "base/process.h"
#include "engine/complaints.h"
#include "engine/engine.h"

#define TUN_DEVICE       "/dev/net/tun"
#define ANSWER_BYTES_MAX 4096

char *slirp_find_obstacle(void)
{
    auto_free char *program = process_find_system_program(SLIRP_NETWORK);

    if (program == NULL)
        return xstrdup("slirp4netns is not installed");
    if (access(TUN_DEVICE, R_OK | W_OK) < 0)
        return xasprintf("slirp4netns needs " TUN_DEVICE ": %s", strerror(errno));
    return NULL;
}

char *engine_default_network(char **ret_reason)
{
    *ret_reason = rootless_session_is_on() ? slirp_find_obstacle() : NULL;
    return xstrdup(rootless_session_is_on() && *ret_reason == NULL ? SLIRP_NETWORK : "none");
}

void slirp_plan(const char *program, pid_t pid, const char *api_path, struct strings *ret_command)
{
    static const char *const options[] = {
        "--configure",       "--mtu=65520",
        "--enable-sandbox",  "--enable-seccomp", /* of which it warns on standard output */
        "--exit-fd=0",       "--ready-fd=3",
        "--netns-type=path", "--disable-host-loopback",
    };

    strings_add(ret_command, program);
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        strings_add(ret_command, options[i]);
    if (api_path != NULL)
        strings_addf(ret_command, "--api-socket=%s", api_path);
    strings_addf(ret_command, "/proc/%d/ns/net", pid);
    strings_add(ret_command, "tap0");
}

char *slirp_plan_request(const struct published_port *port)
{
    return xasprintf("{\"execute\": \"add_hostfwd\", \"arguments\": {\"proto\": \"%s\", "
                     "\"host_addr\": \"%s\", \"host_port\": %u, \"guest_port\": %u}}",
                     port->is_udp ? "udp" : "tcp", port->address, port->host_port, port->port);
}

char *slirp_plan_resolv_conf(const char *host_text)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    struct text text = { 0 };

    text_add(&text, "nameserver 10.0.2.3\n");
    strings_split(&lines, host_text == NULL ? "" : host_text, '\n');
    for (size_t i = 0; i < lines.count; i++)
        if (text_starts(lines.items[i], "search") || text_starts(lines.items[i], "options") ||
            text_starts(lines.items[i], "domain"))
            text_addf(&text, "%s\n", lines.items[i]);
    return text_take(&text);
}

static int wait_ready(int ready_fd, int complaints_fd, struct error *err)
{
    char byte;
    ssize_t count;

    do {
        count = read(ready_fd, &byte, 1);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        return error_errno(err, "wait for it");
    return count == 1 ? 0 : complaints_error(complaints_fd, SLIRP_NETWORK, err);
}

static int start(const char *program, pid_t pid, const char *api_path, struct slirp *slirp,
                 struct error *err)
{
    AUTO_CLEAR(strings) struct strings command = { 0 };
    auto_close int exit_fd = -1, exit_inner = -1, ready_fd = -1, ready_inner = -1;
    auto_close int complaints_fd = -1;
    int pair[2];
    int r;

    if (pipe2(pair, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    exit_inner = pair[0];
    exit_fd = pair[1];
    if (pipe2(pair, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    ready_fd = pair[0];
    ready_inner = pair[1];
    r = complaints_open(SLIRP_NETWORK, &complaints_fd, err);
    if (r < 0)
        return r;
    slirp_plan(program, pid, api_path, &command);
    r = process_spawn_with_four(&command, (int[4]){ exit_inner, -1, complaints_fd, ready_inner },
                                &slirp->pid, err);
    if (r < 0)
        return r;
    slirp->fd = take_fd(&exit_fd);
    close(take_fd(&ready_inner));
    return wait_ready(ready_fd, complaints_fd, err);
}

/* --- ports ------------------------------------------------------------------------------------ */

static int connect_api(const char *path, int *ret_fd, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return error_errno(err, "make a socket");
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, ENAMETOOLONG, "the path '%s' is too long for a socket", path);
    strcpy(address.sun_path, path); /* fits */
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_errno(err, "connect to '%s'", path);
    *ret_fd = take_fd(&fd);
    return 0;
}

/* One request a connection; the answer has a member "error" or "return". */
static int publish(const char *api_path, const char *text, struct error *err)
{
    struct published_port port;
    auto_free char *request = NULL;
    auto_free char *answer = NULL;
    auto_close int fd = -1;
    int r;

    r = published_port_parse(text, &port, err);
    if (r < 0)
        return r;
    request = slirp_plan_request(&port);
    r = connect_api(api_path, &fd, err);
    if (r == 0)
        r = fd_write_all(fd, request, strlen(request), "a request to slirp4netns", err);
    if (r == 0 && shutdown(fd, SHUT_WR) < 0)
        r = error_errno(err, "end a request to slirp4netns");
    if (r == 0)
        r = fd_read_all(fd, ANSWER_BYTES_MAX, "answer of slirp4netns", &answer, NULL, err);
    if (r < 0)
        return r;
    if (strstr(answer, "\"error\"") != NULL || strstr(answer, "\"return\"") == NULL)
        return error_set(err, EADDRINUSE,
                         "--publish: port %u of %s cannot be had: another program has it, or it "
                         "takes root",
                         port.host_port, port.address);
    return 0;
}

static int publish_all(const struct strings *published, const char *api_path, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < published->count; i++)
        r = publish(api_path, published->items[i], err);
    if (published->count > 0 && unlink(api_path) < 0 && r == 0)
        return error_errno(err, "remove '%s'", api_path);
    return r;
}

int slirp_start(pid_t pid, const struct strings *published, const char *api_path,
                struct slirp *ret_slirp, struct error *err)
{
    auto_free char *program = process_find_system_program(SLIRP_NETWORK);
    struct slirp slirp = SLIRP_NONE;
    int r;

    if (program == NULL)
        return error_set(err, EIO,
                         "--network slirp4netns: the program is not installed (Debian's package "
                         "slirp4netns)");
    r = start(program, pid, published->count > 0 ? api_path : NULL, &slirp, err);
    if (r < 0)
        r = error_prefix(err, r, "--network slirp4netns");
    if (r == 0)
        r = publish_all(published, api_path, err);
    if (r < 0)
        slirp_stop(&slirp);
    else
        *ret_slirp = slirp;
    return r;
}

void slirp_stop(struct slirp *slirp)
{
    if (slirp->pid != 0) {
        (void)kill(slirp->pid, SIGKILL); /* our child until waited for */
        while (waitpid(slirp->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    auto_close_cleanup(&slirp->fd);
    *slirp = SLIRP_NONE;
}
