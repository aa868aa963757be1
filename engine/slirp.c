#include "engine/slirp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/process.h"
#include "engine/engine.h"

#define TUN_DEVICE       "/dev/net/tun"
#define COMPLAINTS_BYTES 16384 /* kept of what the program says */

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

void slirp_plan(const char *program, pid_t pid, struct strings *ret_command)
{
    static const char *const options[] = { "--configure",      "--mtu=65520",
                                           "--enable-sandbox", "--disable-host-loopback",
                                           "--exit-fd=0",      "--ready-fd=1",
                                           "--netns-type=path" };

    strings_add(ret_command, program);
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        strings_add(ret_command, options[i]);
    strings_addf(ret_command, "/proc/%d/ns/net", pid);
    strings_add(ret_command, "tap0");
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

/* What it says goes into memory of a fixed size: it lives as long as the container. */
static int open_complaints(int *ret_fd, struct error *err)
{
    auto_close int fd = memfd_create("slirp4netns", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, COMPLAINTS_BYTES) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) < 0)
        return error_errno(err, "make a memory file");
    *ret_fd = take_fd(&fd);
    return 0;
}

/* The last line that it said. */
static int failed(int complaints_fd, struct error *err)
{
    char text[COMPLAINTS_BYTES + 1] = "";
    const char *line;
    size_t length;

    if (pread(complaints_fd, text, COMPLAINTS_BYTES, 0) < 0)
        return error_errno(err, "read what slirp4netns said");
    length = strlen(text);
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    line = strrchr(text, '\n');
    line = line == NULL ? text : line + 1;
    return error_set(err, EIO, "%s", line[0] == '\0' ? "it ended without a word" : line);
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
    return count == 1 ? 0 : failed(complaints_fd, err);
}

static int start(const char *program, pid_t pid, int *ret_fd, struct error *err)
{
    AUTO_CLEAR(strings) struct strings command = { 0 };
    auto_close int exit_fd = -1, exit_inner = -1, ready_fd = -1, ready_inner = -1;
    auto_close int complaints_fd = -1;
    int pair[2];
    pid_t child;
    int r;

    if (pipe2(pair, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    exit_inner = pair[0];
    exit_fd = pair[1];
    if (pipe2(pair, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    ready_fd = pair[0];
    ready_inner = pair[1];
    r = open_complaints(&complaints_fd, err);
    if (r < 0)
        return r;
    slirp_plan(program, pid, &command);
    r = process_spawn(&command, (int[3]){ exit_inner, ready_inner, complaints_fd }, &child, err);
    if (r < 0)
        return r;
    close(take_fd(&ready_inner));
    r = wait_ready(ready_fd, complaints_fd, err);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&exit_fd);
    return 0;
}

int slirp_start(pid_t pid, int *ret_fd, struct error *err)
{
    auto_free char *program = process_find_system_program(SLIRP_NETWORK);
    int r;

    if (program == NULL)
        return error_set(err, EIO,
                         "--network slirp4netns: the program is not installed (Debian's package "
                         "slirp4netns)");
    r = start(program, pid, ret_fd, err);
    return r < 0 ? error_prefix(err, r, "--network slirp4netns") : 0;
}
