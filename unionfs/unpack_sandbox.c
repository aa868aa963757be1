#include "unionfs/unpack_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/auto.h"
#include "base/log.h"
#include "unionfs/unionfs.h"

#ifdef __SANITIZE_ADDRESS__
#define HAS_SANITIZERS true

/* The search for leaks at the end reads /proc, which is out of reach by then. The unit tests of the
 * same code search. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#else
#define HAS_SANITIZERS false
#endif

/* A zstd window of 128 MiB, the list of directories of a layer, and libraries. */
#define MEMORY_BYTES_MAX (1ull << 30)
#define OPEN_FILES_MAX   1024

/* --- limits ----------------------------------------------------------------------------------- */

static int limit_set(int resource, const char *name, rlim_t value, struct error *err)
{
    struct rlimit limit;

    if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
        return error_errno(err, "read limit %s", name);
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < value)
        value = limit.rlim_max;
    limit.rlim_cur = limit.rlim_max = value;
    if (setrlimit((__rlimit_resource_t)resource, &limit) < 0)
        return error_errno(err, "set limit %s", name);
    return 0;
}

static int limits_set(struct error *err)
{
    int r = limit_set(RLIMIT_CORE, "core", 0, err);

    if (r == 0)
        r = limit_set(RLIMIT_NOFILE, "nofile", OPEN_FILES_MAX, err);
    if (r == 0)
        r = limit_set(RLIMIT_FSIZE, "fsize", UNPACK_BYTES_MAX, err);
    if (r == 0 && !HAS_SANITIZERS)
        r = limit_set(RLIMIT_AS, "as", MEMORY_BYTES_MAX, err);
    return r;
}

/* --- capabilities ----------------------------------------------------------------------------- */

/* CAP_SYS_ADMIN only for trusted.overlay.opaque: what else it would permit, seccomp forbids. */
static const int kept_capabilities[] = {
    CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP, CAP_SYS_ADMIN,
};

static int capabilities_drop(struct error *err)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    uint64_t kept = 0;

    for (size_t i = 0; i < ARRAY_SIZE(kept_capabilities); i++)
        kept |= 1ull << kept_capabilities[i];
    if (syscall(SYS_capget, &header, data) < 0)
        return error_errno(err, "read capabilities");
    if ((data[0].permitted & (1u << CAP_SETPCAP)) != 0) {
        for (int i = 0; i <= CAP_LAST_CAP; i++) {
            /* A number that this kernel does not know cannot be dropped, and need not. */
            if ((kept & (1ull << i)) == 0)
                (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(kept >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) < 0)
        return error_errno(err, "drop capabilities");
    return 0;
}

/* --- paths ------------------------------------------------------------------------------------ */

static int landlock_restrict(int root_fd, struct error *err)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr ruleset = { .handled_access_fs =
                                                 (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };
    struct landlock_path_beneath_attr beneath = { .parent_fd = root_fd };
    auto_close int fd = -1;

    if (version < 0) {
        log_debug("no Landlock here: berth-unpack goes on without");
        return 0;
    }
    /* Without the right to refer (version 2) no file could be linked into another directory. */
    if (version < 2) {
        log_debug("Landlock is too old here: berth-unpack goes on without");
        return 0;
    }
    ruleset.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
#ifdef LANDLOCK_ACCESS_FS_TRUNCATE
    if (version >= 3)
        ruleset.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
#endif
    beneath.allowed_access = ruleset.handled_access_fs &
                             ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_SOCK);
    fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
    if (fd < 0)
        return error_errno(err, "make a Landlock ruleset");
    if (root_fd >= 0 &&
        syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
        return error_errno(err, "allow the layer's directory");
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return error_errno(err, "restrict paths");
    return 0;
}

/* --- system calls ----------------------------------------------------------------------------- */

/* Everything else fails with EPERM: no exec, no socket, no mount, no ptrace, no new process. */
static const int allowed_calls[] = {
    SCMP_SYS(read),           SCMP_SYS(readv),         SCMP_SYS(pread64),
    SCMP_SYS(write),          SCMP_SYS(writev),        SCMP_SYS(pwrite64),
    SCMP_SYS(lseek),          SCMP_SYS(close),         SCMP_SYS(close_range),
    SCMP_SYS(fcntl),          SCMP_SYS(openat),        SCMP_SYS(openat2),
    SCMP_SYS(fstat),          SCMP_SYS(newfstatat),    SCMP_SYS(statx),
    SCMP_SYS(fstatfs),        SCMP_SYS(faccessat),     SCMP_SYS(faccessat2),
    SCMP_SYS(getdents64),     SCMP_SYS(readlinkat),    SCMP_SYS(mkdirat),
    SCMP_SYS(mknodat),        SCMP_SYS(symlinkat),     SCMP_SYS(linkat),
    SCMP_SYS(unlinkat),       SCMP_SYS(fchown),        SCMP_SYS(fchownat),
    SCMP_SYS(fchmod),         SCMP_SYS(fchmodat),      SCMP_SYS(utimensat),
    SCMP_SYS(fsetxattr),      SCMP_SYS(ftruncate),     SCMP_SYS(mmap),
    SCMP_SYS(munmap),         SCMP_SYS(mremap),        SCMP_SYS(mprotect),
    SCMP_SYS(madvise),        SCMP_SYS(brk),           SCMP_SYS(futex),
    SCMP_SYS(getrandom),      SCMP_SYS(getpid),        SCMP_SYS(gettid),
    SCMP_SYS(tgkill),         SCMP_SYS(clock_gettime), SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),  SCMP_SYS(restart_syscall),
    SCMP_SYS(sched_yield),    SCMP_SYS(rseq),          SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

static int seccomp_load_filter(struct error *err)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = context == NULL ? -ENOMEM : 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(allowed_calls); i++) {
        /* Negative: a call that this architecture does not have. */
        if (allowed_calls[i] >= 0)
            r = seccomp_rule_add(context, SCMP_ACT_ALLOW, allowed_calls[i], 0);
    }
    if (r == 0)
        r = seccomp_load(context);
    if (context != NULL)
        seccomp_release(context);
    if (r == -ENOSYS || r == -EOPNOTSUPP) {
        log_debug("no seccomp filters here: berth-unpack goes on without");
        return 0;
    }
    return r < 0 ? error_set(err, -r, "load the seccomp filter") : 0;
}

int unpack_sandbox_enter(int root_fd, struct error *err)
{
    int r;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(err, "set no_new_privs");
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* only hides it better */
    r = limits_set(err);
    if (r == 0)
        r = capabilities_drop(err);
    if (r == 0)
        r = landlock_restrict(root_fd, err);
    if (r == 0 && !HAS_SANITIZERS)
        r = seccomp_load_filter(err);
    return r < 0 ? error_prefix(err, r, "sandbox") : 0;
}
