/* A static program that the integration tests run inside containers, so that they need nothing from
 * outside: each first argument is one small deed.
 *
 *   payload syscall NUMBER [ARGUMENT...]   calls it, prints "ok" or the name of the error
 *   payload hog MEBIBYTES                  allocates and touches so much memory, prints "full"
 *   payload direct FILE                    reads up to 4 MiB past the page cache, prints KiB a
 * second payload bomb                           forks without end; a failing fork is tried again
 *   payload users                          prints its real and its effective user id
 *   payload peak PROGRAM [ARGUMENT...]     runs it, prints the largest resident set of its
 * processes in KiB payload deny NUMBER CODE PROGRAM [ARGUMENT...] runs it with a system call that
 * fails with that errno
 *   payload notify TEXT                    reports by sd_notify(3)
 *   payload notify-barrier                 waits until its reports were read (sd_notify_barrier(3))
 *   payload notify-file FILE               sends a descriptor of FILE as if it were a barrier's
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int call(int argc, char **argv)
{
    long arguments[6] = { 0 };
    long r;

    for (int i = 3; i < argc && i < 9; i++)
        arguments[i - 3] = strtol(argv[i], NULL, 0);
    errno = 0;
    r = syscall(strtol(argv[2], NULL, 0), arguments[0], arguments[1], arguments[2], arguments[3],
                arguments[4], arguments[5]);
    (void)puts(r < 0 ? strerrorname_np(errno) : "ok");
    return 0;
}

static int hog(const char *mebibytes)
{
    size_t length = (size_t)strtoul(mebibytes, NULL, 10) << 20;
    char *bytes = malloc(length);

    if (bytes == NULL)
        return 1;
    for (size_t i = 0; i < length; i += 4096)
        bytes[i] = 1;
    (void)puts("full");
    return 0;
}

static int direct(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECT);
    struct timespec begin, end;
    size_t total = 0;
    void *buffer;
    ssize_t n;

    if (fd < 0 || posix_memalign(&buffer, 4096, 1 << 20) != 0) {
        perror(path);
        return 1;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    while (total < 4 << 20 && (n = read(fd, buffer, 1 << 20)) > 0)
        total += (size_t)n;
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    (void)printf("%.0f\n", (double)total / 1024 /
                               ((double)(end.tv_sec - begin.tv_sec) +
                                (double)(end.tv_nsec - begin.tv_nsec) / 1e9));
    return 0;
}

static _Noreturn void bomb(void)
{
    for (;;) {
        if (fork() < 0)
            (void)usleep(1000);
    }
}

/* As in a sandbox that bars the call. Needs CAP_SYS_ADMIN, as no_new_privs would stay. */
static int deny(char **argv)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)strtoul(argv[2], NULL, 0), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)strtoul(argv[3], NULL, 0)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]),
                                        .filter = filter };

    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        (void)execvp(argv[4], argv + 4);
    perror(argv[4]);
    return 126;
}

/* Here and not in a script, because the resident set of who forks counts too (getrusage(2)). */
static int peak(char **argv)
{
    struct rusage usage;
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        (void)execvp(argv[2], argv + 2);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) < 0)
        return 1;
    (void)printf("%ld\n", usage.ru_maxrss);
    return status != 0;
}

/* Sends a text, and a descriptor with it unless that is -1, to NOTIFY_SOCKET. */
static int notify(char *text, int sent_fd)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec data = { text, strlen(text) };
    struct msghdr message = {
        .msg_name = &address, .msg_namelen = sizeof(address), .msg_iov = &data, .msg_iovlen = 1
    };
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", getenv("NOTIFY_SOCKET"));
    if (sent_fd >= 0) {
        struct cmsghdr *header;

        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &sent_fd, sizeof(int));
    }
    if (fd < 0 || sendmsg(fd, &message, 0) < 0) {
        perror("notify");
        return 1;
    }
    return 0;
}

static int notify_barrier(void)
{
    char text[] = "BARRIER=1";
    int fds[2];

    if (pipe(fds) < 0 || notify(text, fds[1]) != 0)
        return 1;
    (void)close(fds[1]);
    return poll(&(struct pollfd){ .fd = fds[0] }, 1, 10000) == 1 ? 0 : 1;
}

static int notify_file(const char *file)
{
    char text[] = "BARRIER=1";
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? 1 : notify(text, fd);
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "syscall") == 0)
        return call(argc, argv);
    if (argc == 3 && strcmp(argv[1], "hog") == 0)
        return hog(argv[2]);
    if (argc == 3 && strcmp(argv[1], "direct") == 0)
        return direct(argv[2]);
    if (argc == 2 && strcmp(argv[1], "bomb") == 0)
        bomb();
    if (argc == 2 && strcmp(argv[1], "users") == 0)
        return printf("%u %u\n", (unsigned)getuid(), (unsigned)geteuid()) < 0;
    if (argc >= 3 && strcmp(argv[1], "peak") == 0)
        return peak(argv);
    if (argc >= 5 && strcmp(argv[1], "deny") == 0)
        return deny(argv);
    if (argc == 3 && strcmp(argv[1], "notify") == 0)
        return notify(argv[2], -1);
    if (argc == 2 && strcmp(argv[1], "notify-barrier") == 0)
        return notify_barrier();
    if (argc == 3 && strcmp(argv[1], "notify-file") == 0)
        return notify_file(argv[2]);
    (void)fprintf(
        stderr, "usage: payload syscall NUMBER [ARGUMENT...] | hog MEBIBYTES | direct FILE | bomb "
                "| users | peak PROGRAM [ARGUMENT...] | deny NUMBER CODE PROGRAM [ARGUMENT...] | "
                "notify TEXT | notify-barrier | notify-file FILE\n");
    return 2;
}
