/* A static program that the integration tests run inside containers, so that they need nothing from
 * outside: each first argument is one small deed.
 *
 *   payload syscall NUMBER [ARGUMENT...]
 *           calls it, prints "ok" or the name of the error
 *   payload hog MEBIBYTES
 *           allocates and touches so much memory, prints "full"
 *   payload hold MEBIBYTES
 *           the same, and keeps it until it is killed
 *   payload huge PAGES
 *           touches up to 9 huge pages of 2 MiB, prints how many it got, and why not more
 *   payload rdma FILE HANDLES OBJECTS
 *           opens an RDMA device so often, then makes so many protection domains in it; prints how
 *           many of each it got, and why not more
 *   payload direct read|write FILE BYTES COUNT
 *           COUNT times so many bytes at its beginning, past the page cache; prints the
 * milliseconds payload burn MILLISECONDS [REST TIMES] uses so much CPU time; so many times, each
 * time resting for REST milliseconds payload bomb forks without end; a failing fork is tried again
 *   payload forks NUMBER
 *           has up to so many children at a time, at most 64, prints how many it could have
 *   payload realtime
 *           asks for real-time scheduling, prints "ok" or the name of the error
 *   payload users
 *           prints its real and its effective user id
 *   payload peak PROGRAM [ARGUMENT...]
 *           runs it, prints the largest resident set of its processes in KiB
 *   payload deny NUMBER CODE PROGRAM [ARGUMENT...]
 *           runs it with a system call that fails with that errno
 *   payload notify TEXT
 *           reports by sd_notify(3)
 *   payload notify-barrier
 *           waits until its reports were read (sd_notify_barrier(3))
 *   payload notify-file FILE
 *           sends a descriptor of FILE as if it were a barrier's
 *   payload climb DIRECTORY FILE
 *           leaves its root by way of a deeper one (chroot(2)) and climbs as far as that leads;
 * prints whether FILE is there, "yes" or "no"
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <rdma/ib_user_verbs.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

static int hog(int argc, char **argv)
{
    size_t length = (size_t)strtoul(argv[2], NULL, 10) << 20;
    char *bytes = malloc(length);

    (void)argc;
    if (bytes == NULL)
        return 1;
    for (size_t i = 0; i < length; i += 4096)
        bytes[i] = 1;
    (void)puts("full");
    (void)fflush(stdout);
    while (strcmp(argv[1], "hold") == 0)
        (void)pause();
    return 0;
}

static volatile sig_atomic_t huge_touched;

static void tell_bus_error(int signal)
{
    char text[] = "0 SIGBUS\n";

    (void)signal;
    text[0] = (char)(text[0] + huge_touched);
    _exit(write(STDOUT_FILENO, text, strlen(text)) < 0);
}

/* A page for which no room is reserved is refused by mmap(2), one that was reserved by a signal. */
static int huge(int argc, char **argv)
{
    int count = atoi(argv[2]);

    (void)argc;
    (void)signal(SIGBUS, tell_bus_error);
    for (; huge_touched < count && huge_touched < 9; huge_touched++) {
        char *page =
            mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (21 << MAP_HUGE_SHIFT), -1, 0);

        if (page == MAP_FAILED)
            break;
        *page = 1;
    }
    return printf("%d %s\n", (int)huge_touched,
                  huge_touched < count ? strerrorname_np(errno) : "ok") < 0;
}

/* One of the kernel's older commands, in which all have this form: a place for the answer. */
static bool rdma_command(int fd, uint32_t number, void *answer, size_t answer_length)
{
    struct {
        struct ib_uverbs_cmd_hdr header;
        uint64_t answer;
    } command = {
        .header = { number, sizeof(command) / 4, (uint16_t)(answer_length / 4) },
        .answer = (uint64_t)(uintptr_t)answer,
    };

    return write(fd, &command, sizeof(command)) == (ssize_t)sizeof(command);
}

static int rdma(int argc, char **argv)
{
    struct ib_uverbs_get_context_resp context;
    struct ib_uverbs_alloc_pd_resp domain;
    int handles = 0, objects = 0, first_fd = -1;
    int most_handles = atoi(argv[3]), most_objects = atoi(argv[4]);

    (void)argc;
    for (; handles < most_handles; handles++) {
        int fd = open(argv[2], O_RDWR | O_CLOEXEC);

        if (!rdma_command(fd, IB_USER_VERBS_CMD_GET_CONTEXT, &context, sizeof(context)))
            break;
        first_fd = handles == 0 ? fd : first_fd;
    }
    for (; handles == most_handles && objects < most_objects; objects++)
        if (!rdma_command(first_fd, IB_USER_VERBS_CMD_ALLOC_PD, &domain, sizeof(domain)))
            break;
    return printf("%d %d %s\n", handles, objects,
                  handles < most_handles || objects < most_objects ? strerrorname_np(errno)
                                                                   : "ok") < 0;
}

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int direct(int argc, char **argv)
{
    bool is_write = strcmp(argv[2], "write") == 0;
    int fd = open(argv[3], (is_write ? O_WRONLY : O_RDONLY) | O_DIRECT);
    size_t length = strtoul(argv[4], NULL, 10);
    long count = strtol(argv[5], NULL, 10);
    uint64_t begin_us = clock_us(CLOCK_MONOTONIC);
    void *buffer;

    (void)argc;
    if (fd < 0 || posix_memalign(&buffer, 4096, length) != 0) {
        perror(argv[3]);
        return 1;
    }
    memset(buffer, 0, length);
    for (long i = 0; i < count; i++) {
        ssize_t n = is_write ? pwrite(fd, buffer, length, 0) : pread(fd, buffer, length, 0);

        if (n != (ssize_t)length) {
            perror(argv[2]);
            return 1;
        }
    }
    return printf("%ld\n", (long)((clock_us(CLOCK_MONOTONIC) - begin_us) / 1000)) < 0;
}

static int burn(int argc, char **argv)
{
    uint64_t burn_us = strtoul(argv[2], NULL, 10) * 1000;
    useconds_t rest_us = argc > 4 ? (useconds_t)strtoul(argv[3], NULL, 10) * 1000 : 0;
    long times = argc > 4 ? strtol(argv[4], NULL, 10) : 1;

    for (long i = 0; i < times; i++) {
        uint64_t end_us = clock_us(CLOCK_PROCESS_CPUTIME_ID) + burn_us;

        while (clock_us(CLOCK_PROCESS_CPUTIME_ID) < end_us)
            for (volatile int j = 0; j < 10000; j++)
                ;
        (void)usleep(rest_us);
    }
    return puts("burnt") < 0;
}

static int bomb(int argc, char **argv)
{
    bool is_endless = argc > 0;

    (void)argv;
    while (is_endless) {
        if (fork() < 0)
            (void)usleep(1000);
    }
    return 0;
}

static int realtime(int argc, char **argv)
{
    const struct sched_param param = { .sched_priority = 1 };

    (void)argc;
    (void)argv;
    return puts(sched_setscheduler(0, SCHED_FIFO, &param) < 0 ? strerrorname_np(errno) : "ok") < 0;
}

static int forks(int argc, char **argv)
{
    pid_t children[64];
    size_t wanted = strtoul(argv[2], NULL, 10);
    size_t count = 0;

    (void)argc;
    for (; count < wanted && count < 64; count++) {
        children[count] = fork();
        if (children[count] < 0)
            break;
        while (children[count] == 0)
            (void)pause();
    }
    for (size_t i = 0; i < count; i++) {
        (void)kill(children[i], SIGKILL);
        (void)waitpid(children[i], NULL, 0);
    }
    return printf("%zu\n", count) < 0;
}

/* As in a sandbox that bars the call. Needs CAP_SYS_ADMIN, as no_new_privs would stay. */
static int deny(int argc, char **argv)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)strtoul(argv[2], NULL, 0), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)strtoul(argv[3], NULL, 0)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]),
                                        .filter = filter };

    (void)argc;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        (void)execvp(argv[4], argv + 4);
    perror(argv[4]);
    return 126;
}

/* Here and not in a script, because the resident set of who forks counts too (getrusage(2)). */
static int peak(int argc, char **argv)
{
    struct rusage usage;
    pid_t child = fork();
    int status = 0;

    (void)argc;
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
static int notify_send(char *text, int sent_fd)
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

static int notify(int argc, char **argv)
{
    (void)argc;
    return notify_send(argv[2], -1);
}

static int notify_barrier(int argc, char **argv)
{
    char text[] = "BARRIER=1";
    int fds[2];

    (void)argc;
    (void)argv;
    if (pipe(fds) < 0 || notify_send(text, fds[1]) != 0)
        return 1;
    (void)close(fds[1]);
    return poll(&(struct pollfd){ .fd = fds[0] }, 1, 10000) == 1 ? 0 : 1;
}

static int notify_file(int argc, char **argv)
{
    char text[] = "BARRIER=1";
    int fd = open(argv[2], O_RDONLY | O_CLOEXEC);

    (void)argc;
    return fd < 0 ? 1 : notify_send(text, fd);
}

static int climb(int argc, char **argv)
{
    (void)argc;
    if (chdir("/") < 0 || chroot(argv[2]) < 0)
        return 1;
    for (int i = 0; i < 32; i++) {
        if (chdir("..") < 0)
            return 1;
    }
    return puts(access(argv[3], F_OK) == 0 ? "yes" : "no") < 0;
}

static int users(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return printf("%u %u\n", (unsigned)getuid(), (unsigned)geteuid()) < 0;
}

static const struct deed {
    const char *name;
    int min_argc, max_argc;
    int (*run)(int argc, char **argv);
} deeds[] = {
    { "syscall", 3, 9, call },
    { "hog", 3, 3, hog },
    { "hold", 3, 3, hog },
    { "huge", 3, 3, huge },
    { "rdma", 5, 5, rdma },
    { "direct", 6, 6, direct },
    { "burn", 3, 5, burn },
    { "bomb", 2, 2, bomb },
    { "forks", 3, 3, forks },
    { "realtime", 2, 2, realtime },
    { "users", 2, 2, users },
    { "peak", 3, INT_MAX, peak },
    { "deny", 5, INT_MAX, deny },
    { "notify", 3, 3, notify },
    { "notify-barrier", 2, 2, notify_barrier },
    { "notify-file", 3, 3, notify_file },
    { "climb", 4, 4, climb },
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc >= 2 && i < sizeof(deeds) / sizeof(deeds[0]); i++)
        if (strcmp(argv[1], deeds[i].name) == 0 && argc >= deeds[i].min_argc &&
            argc <= deeds[i].max_argc)
            return deeds[i].run(argc, argv);
    (void)fprintf(stderr, "usage: see the top of payload.c\n");
    return 2;
}
