#include "image/fetcher_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/auto.h"
#include "base/log.h"

#ifdef __SANITIZE_ADDRESS__
#define HAS_SANITIZERS true

/* The search for leaks at the end reads /proc, which is out of reach by then. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#else
#define HAS_SANITIZERS false
#endif

#define NOBODY           65534
#define MEMORY_BYTES_MAX (2ull << 30)
#define OPEN_FILES_MAX   512

/* --- limits, user, capabilities --------------------------------------------------------------- */

static int limit_set(__rlimit_resource_t resource, const char *name, rlim_t value,
                     struct error *err)
{
    struct rlimit limit = { .rlim_cur = value, .rlim_max = value };
    struct rlimit old;

    if (getrlimit(resource, &old) < 0)
        return error_errno(err, "read limit %s", name);
    if (old.rlim_max != RLIM_INFINITY && old.rlim_max < value)
        limit = (struct rlimit){ .rlim_cur = old.rlim_max, .rlim_max = old.rlim_max };
    if (setrlimit(resource, &limit) < 0)
        return error_errno(err, "set limit %s", name);
    return 0;
}

/* A file of no byte: it has only sockets and pipes to write into. */
static int limits_set(struct error *err)
{
    int r = limit_set(RLIMIT_CORE, "core", 0, err);

    if (r == 0)
        r = limit_set(RLIMIT_FSIZE, "fsize", 0, err);
    if (r == 0)
        r = limit_set(RLIMIT_NOFILE, "nofile", OPEN_FILES_MAX, err);
    if (r == 0 && !HAS_SANITIZERS)
        r = limit_set(RLIMIT_AS, "as", MEMORY_BYTES_MAX, err);
    return r;
}

static int identity_drop(struct error *err)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { 0 };

    if (geteuid() == 0) {
        /* In a user namespace that lacks this id, or the right, the capabilities are what counts.
         */
        if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
            setresuid(NOBODY, NOBODY, NOBODY) < 0)
            log_debug("berth-fetch cannot become nobody here: it goes on without capabilities");
    }
    if (syscall(SYS_capset, &header, data) < 0)
        return error_errno(err, "drop capabilities");
    return 0;
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

static int allow_reading(int ruleset_fd, const char *path, struct error *err)
{
    auto_close int fd = open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr beneath = {
        .parent_fd = fd,
        .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    };

    if (fd < 0)
        return 0; /* not on this machine */
    if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0)
        return 0;
    beneath.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE; /* EINVAL: it is a file */
    if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
        return error_errno(err, "allow reading of '%s'", path);
    return 0;
}

static int landlock_restrict(struct error *err)
{
    /* All rights of the first version; a file cannot be written in any other way, either. */
    struct landlock_ruleset_attr ruleset = { .handled_access_fs =
                                                 (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };
    auto_close int fd = -1;

    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) {
        log_debug("no Landlock here: berth-fetch goes on without");
        return 0;
    }
    fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
    if (fd < 0)
        return error_errno(err, "make a Landlock ruleset");
    for (size_t i = 0; i < ARRAY_SIZE(read_paths); i++) {
        int r = allow_reading(fd, read_paths[i], err);

        if (r < 0)
            return r;
    }
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return error_errno(err, "restrict paths");
    return 0;
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

static int add_rules(scmp_filter_ctx context)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(allowed_calls); i++) {
        /* Negative: a call that this architecture does not have. */
        if (allowed_calls[i] >= 0)
            r = seccomp_rule_add(context, SCMP_ACT_ALLOW, allowed_calls[i], 0);
    }
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(allowed_families); i++)
        r = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, (uint64_t)allowed_families[i]));
    if (r == 0)
        r = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
                             SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    /* libcurl resolves names in threads. What clone3(2) is asked for is in memory, where no filter
     * can look; without it, glibc uses clone(2). */
    if (r == 0)
        r = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (r == 0)
        r = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return r;
}

static int seccomp_load_filter(struct error *err)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = context == NULL ? -ENOMEM : add_rules(context);

    if (r == 0)
        r = seccomp_load(context);
    if (context != NULL)
        seccomp_release(context);
    if (r == -ENOSYS || r == -EOPNOTSUPP) {
        log_debug("no seccomp filters here: berth-fetch goes on without");
        return 0;
    }
    return r < 0 ? error_set(err, -r, "load the seccomp filter") : 0;
}

int fetcher_sandbox_enter(struct error *err)
{
    int r;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(err, "set no_new_privs");
    r = limits_set(err);
    if (r == 0)
        r = identity_drop(err);
    /* After the change of user, which resets both. They only make things better. */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (r == 0)
        r = landlock_restrict(err);
    if (r == 0 && !HAS_SANITIZERS)
        r = seccomp_load_filter(err);
    return r < 0 ? error_prefix(err, r, "sandbox") : 0;
}
