#include "image/fetcher_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/auto.h"
#include "base/log.h"
#include "base/sandbox.h"

#define MEMORY_BYTES_MAX (2ull << 30)
#define OPEN_FILES_MAX   512

/* --- limits ----------------------------------------------------------------------------------- */

/* A file of no byte: it has only sockets and pipes to write into. */
static int limits_set(struct error *err)
{
    int r = sandbox_limit(RLIMIT_CORE, "core", 0, err);

    if (r == 0)
        r = sandbox_limit(RLIMIT_FSIZE, "fsize", 0, err);
    if (r == 0)
        r = sandbox_limit(RLIMIT_NOFILE, "nofile", OPEN_FILES_MAX, err);
    if (r == 0 && !SANDBOX_HAS_SANITIZERS)
        r = sandbox_limit(RLIMIT_AS, "as", MEMORY_BYTES_MAX, err);
    return r;
}

/* --- paths ------------------------------------------------------------------------------------ */

/* What getaddrinfo(3) and OpenSSL read, and the libraries that nsswitch.conf may name. */
static const char *const read_paths[] = {
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/networks",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/dev/urandom",
    "/dev/null",
};

static int allow_reading(const struct sandbox_paths *paths, const char *path, struct error *err)
{
    auto_close int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return 0; /* not on this machine */
    return sandbox_paths_allow(
        paths, fd, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR, path, err);
}

static int paths_restrict(struct error *err)
{
    struct sandbox_paths paths;
    int r;

    r = sandbox_paths_begin(&paths, 1, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(read_paths); i++)
        r = allow_reading(&paths, read_paths[i], err);
    if (r == 0)
        r = sandbox_paths_enforce(&paths, err);
    sandbox_paths_close(&paths);
    return r;
}

/* --- system calls ----------------------------------------------------------------------------- */

static const int allowed_calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup),
    SCMP_SYS(dup3),
    SCMP_SYS(openat),
    SCMP_SYS(open),
    SCMP_SYS(fstat),
    SCMP_SYS(stat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(fstatfs),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(getdents64),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(ioctl),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(eventfd2),
    SCMP_SYS(pipe2),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(tgkill),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

/* AF_NETLINK: getaddrinfo(3) asks which kinds of addresses this machine has. */
static const int allowed_families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

static int add_rules(void *filter)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(allowed_families); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, (uint64_t)allowed_families[i]));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
                             SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    /* libcurl resolves names in threads. What clone3(2) is asked for is in memory, where no filter
     * can look; without it, glibc uses clone(2). */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return r;
}

int fetcher_sandbox_enter(struct error *err)
{
    int r;

    r = limits_set(err);
    if (r < 0)
        return error_prefix(err, r, "sandbox");
    sandbox_become_nobody();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user takes it away */
    r = sandbox_begin(err);
    if (r == 0)
        r = sandbox_keep_capabilities(0, err);
    if (r == 0)
        r = paths_restrict(err);
    if (r == 0)
        r = sandbox_filter(allowed_calls, ARRAY_SIZE(allowed_calls), add_rules, err);
    return r < 0 ? error_prefix(err, r, "sandbox") : 0;
}
