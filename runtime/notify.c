#include "runtime/notify.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "runtime/container.h"

/* sd_notify(3) for a program in a container: its datagrams go to a socket of ours, in a directory
 * of the run state that is mounted into the container, read-only; what may pass goes on to the
 * socket that the caller's NOTIFY_SOCKET names. The program must not be able to speak for processes
 * that are not its own, so MAINPID and descriptors to be stored do not pass, and the runtime says
 * itself who the main process is. The directory is made by create, the socket by who starts the
 * program and listens. */

#define NOTIFY_BYTES_MAX 4096 /* as systemd takes it */
#define NOTIFY_FDS_MAX   8
#define NOTIFY_SOCKET    "notify.sock"
#define READY_TIMEOUT_MS 5000  /* for a full queue of the host's */
#define BARRIER_WAIT_MS  30000 /* as runc waits */
#define BARRIER          "BARRIER=1"

struct notify {
    int socket_fd; /* the container's end */
    int host_fd;   /* connected to NOTIFY_SOCKET */
};

void notify_plan_filter(const char *bytes, struct text *ret_text, bool *ret_is_ready)
{
    static const char *const words[] = {
        "READY=1",   "STATUS=",         "ERRNO=",    "STOPPING=1",           "RELOADING=1",
        "WATCHDOG=", "MONOTONIC_USEC=", "BUSERROR=", "EXTEND_TIMEOUT_USEC=",
    };
    struct strings lines = { 0 };

    *ret_is_ready = false;
    strings_split(&lines, bytes, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        for (size_t j = 0; j < ARRAY_SIZE(words); j++) {
            bool is_whole = !text_ends(words[j], "=");

            if (is_whole ? !text_equal(lines.items[i], words[j])
                         : !text_starts(lines.items[i], words[j]))
                continue;
            text_addf(ret_text, "%s\n", lines.items[i]);
            *ret_is_ready |= j == 0;
        }
    }
    strings_clear(&lines);
}

static int connect_host(const char *path, int *ret_fd, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = strlen(path);
    auto_close int fd = -1;

    if (length >= sizeof(address.sun_path))
        return error_set(err, ENAMETOOLONG, "NOTIFY_SOCKET '%s' is too long", path);
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') /* in the abstract namespace (sd_notify(3)) */
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(err, "make a socket");
    if (connect(fd, (const struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
        return error_errno(err, "connect to NOTIFY_SOCKET '%s'", path);
    *ret_fd = take_fd(&fd);
    return 0;
}

static int bind_socket(int dir_fd, int *ret_fd, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    auto_close int fd = -1;
    char link[FD_PATH_MAX];

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/" NOTIFY_SOCKET,
                   fd_path(dir_fd, link));
    if (unlinkat(dir_fd, NOTIFY_SOCKET, 0) < 0 && errno != ENOENT)
        return error_errno(err, "remove an old %s", NOTIFY_SOCKET);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(err, "make a socket");
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_errno(err, "bind %s", NOTIFY_SOCKET);
    /* Any user of the container may report; the directory lets nobody change it. */
    if (fchmodat(dir_fd, NOTIFY_SOCKET, 0777, 0) < 0)
        return error_errno(err, "open %s to the container's users", NOTIFY_SOCKET);
    *ret_fd = take_fd(&fd);
    return 0;
}

int notify_make_directory(int container_fd, struct error *err)
{
    auto_close int fd = -1;
    int r;

    if (mkdirat(container_fd, NOTIFY_DIRECTORY, 0755) < 0)
        return error_errno(err, "make the directory of the notify socket");
    r = path_open_beneath(container_fd, NOTIFY_DIRECTORY, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r == 0 && fchmod(fd, 0755) < 0) /* whatever the umask */
        r = error_errno(err, "open the directory of the notify socket to the container's users");
    return r;
}

int notify_open(struct container *container, const char *host_path, struct notify **ret_notify,
                struct error *err)
{
    AUTO(notify) struct notify *notify = NULL;
    auto_close int dir_fd = -1;
    int r;

    *ret_notify = NULL;
    r = path_open_beneath(container->dir_fd, NOTIFY_DIRECTORY, O_RDONLY | O_DIRECTORY, 0, &dir_fd,
                          err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    notify = xcalloc(1, sizeof(*notify));
    notify->socket_fd = notify->host_fd = -1;
    r = connect_host(host_path, &notify->host_fd, err);
    if (r == 0)
        r = bind_socket(dir_fd, &notify->socket_fd, err);
    if (r < 0)
        return r;
    *ret_notify = take_ptr(&notify);
    return 0;
}

void notify_free(struct notify *notify)
{
    if (notify == NULL)
        return;
    auto_close_cleanup(&notify->socket_fd);
    auto_close_cleanup(&notify->host_fd);
    free(notify);
}

int notify_fd(const struct notify *notify)
{
    return notify->socket_fd;
}

/* Never waits, but for what matters: what the host's queue has no room for is lost otherwise. */
static void send_text(const struct notify *notify, const char *text, bool matters)
{
    struct pollfd entry = { .fd = notify->host_fd, .events = POLLOUT };

    if (send(notify->host_fd, text, strlen(text), MSG_NOSIGNAL) >= 0)
        return;
    if (errno == EAGAIN && matters && poll(&entry, 1, READY_TIMEOUT_MS) > 0 &&
        send(notify->host_fd, text, strlen(text), MSG_NOSIGNAL) >= 0)
        return;
    log_debug("notify: could not be passed on: %s", strerror(errno));
}

/* Of a program's descriptors the host gets nothing but a pipe: closing a file may run code of its
 * file system, which can be the program itself (FUSE), and the host waits for that. */
static bool is_pipe(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

static void send_barrier(const struct notify *notify, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    char text[] = BARRIER;
    struct iovec data = { text, sizeof(text) - 1 };
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof(control.bytes) };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    /* Not sent: the descriptor closes, and who waits for it goes on. */
    (void)sendmsg(notify->host_fd, &message, MSG_NOSIGNAL);
}

/* Descriptors that came along; beyond what has room the kernel closes them itself. */
static size_t take_fds(struct msghdr *message, int fds[NOTIFY_FDS_MAX])
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    size_t count = 0;

    if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return 0;
    count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    if (count > NOTIFY_FDS_MAX)
        count = NOTIFY_FDS_MAX;
    memcpy(fds, CMSG_DATA(header), count * sizeof(int));
    return count;
}

int notify_forward(struct notify *notify, pid_t main_pid)
{
    union {
        char bytes[CMSG_SPACE(NOTIFY_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    char bytes[NOTIFY_BYTES_MAX + 1];
    struct iovec data = { bytes, NOTIFY_BYTES_MAX };
    struct msghdr message = { .msg_iov = &data,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof(control.bytes) };
    AUTO_CLEAR(text) struct text text = { 0 };
    int fds[NOTIFY_FDS_MAX];
    bool is_ready = false;
    size_t fd_count;
    ssize_t n;

    n = recvmsg(notify->socket_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0)
        return 0;
    fd_count = take_fds(&message, fds);
    bytes[n] = '\0';
    if (fd_count == 1 && text_equal(bytes, BARRIER)) {
        if (is_pipe(fds[0]))
            send_barrier(notify, fds[0]);
    } else if ((message.msg_flags & MSG_TRUNC) == 0 && memchr(bytes, '\0', (size_t)n) == NULL) {
        notify_plan_filter(bytes, &text, &is_ready);
        if (is_ready)
            text_addf(&text, "MAINPID=%d\n", main_pid);
        if (text.length > 0)
            send_text(notify, text.data, is_ready);
    }
    for (size_t i = 0; i < fd_count; i++)
        (void)close(fds[i]);
    return is_ready ? 1 : 0;
}

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until the host has read what was sent (sd_notify_barrier(3)): it looks up a sender, and
 * this one ends soon. Goes on passing on meanwhile, so that the program never waits for room. */
static void wait_barrier(struct notify *notify, pid_t main_pid)
{
    int64_t end_ms = now_ms() + BARRIER_WAIT_MS;
    auto_close int read_fd = -1;
    int pipe_fds[2];

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return;
    read_fd = pipe_fds[0];
    send_barrier(notify, pipe_fds[1]);
    (void)close(pipe_fds[1]);
    for (;;) {
        struct pollfd entries[2] = { { .fd = read_fd }, { notify->socket_fd, POLLIN, 0 } };
        int64_t left_ms = end_ms - now_ms();

        if (left_ms <= 0 || (poll(entries, 2, (int)left_ms) < 0 && errno != EINTR)) {
            log_debug("notify: the host did not answer the barrier");
            return;
        }
        if (entries[0].revents != 0)
            return;
        if (entries[1].revents != 0)
            (void)notify_forward(notify, main_pid);
    }
}

void notify_wait_ready(struct notify *notify, struct container *container)
{
    for (;;) {
        struct pollfd entries[2] = { { container->pidfd, POLLIN, 0 },
                                     { notify->socket_fd, POLLIN, 0 } };

        if (poll(entries, 2, -1) < 0 && errno != EINTR)
            return;
        if (entries[1].revents != 0 && notify_forward(notify, container->state.pid) > 0)
            break;
        if (entries[0].revents != 0 && entries[1].revents == 0)
            return;
    }
    wait_barrier(notify, container->state.pid);
}

void notify_change_spec(const char *run_path, const char *id, struct spec *spec)
{
    static const char *const options[] = { "bind", "nosuid", "noexec", "nodev", "ro", NULL };
    auto_free char *absolute = realpath(run_path, NULL);
    auto_free char *source =
        xasprintf("%s/%s/" NOTIFY_DIRECTORY, absolute != NULL ? absolute : run_path, id);

    (void)spec_add_mount(spec, "/run/notify", "bind", source, options);
    strings_set_variable(&spec->process->env, "NOTIFY_SOCKET", "/run/notify/" NOTIFY_SOCKET);
}
