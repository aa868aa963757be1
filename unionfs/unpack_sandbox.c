#include "unionfs/unpack_sandbox.h"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdbool.h>

#include <seccomp.h>

#include "base/auto.h"
#include "base/sandbox.h"
#include "unionfs/unionfs.h"

/* A zstd window of 128 MiB, the list of directories of a layer, and libraries. */
#define MEMORY_BYTES_MAX (1ull << 30)
#define OPEN_FILES_MAX   1024

/* CAP_SYS_ADMIN only for trusted.overlay.opaque: what else it would permit, seccomp forbids. */
#define KEPT_CAPABILITIES                                                                          \
    (1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER | 1ull << CAP_FSETID |      \
     1ull << CAP_MKNOD | 1ull << CAP_SETFCAP | 1ull << CAP_SYS_ADMIN)

static int limits_set(struct error *err)
{
    int r = sandbox_limit(RLIMIT_CORE, "core", 0, err);

    if (r == 0)
        r = sandbox_limit(RLIMIT_NOFILE, "nofile", OPEN_FILES_MAX, err);
    if (r == 0)
        r = sandbox_limit(RLIMIT_FSIZE, "fsize", UNPACK_BYTES_MAX, err);
    if (r == 0 && !SANDBOX_HAS_SANITIZERS)
        r = sandbox_limit(RLIMIT_AS, "as", MEMORY_BYTES_MAX, err);
    return r;
}

/* Without the right to refer (version 2) no file could be linked into another directory. */
static int paths_restrict(int root_fd, struct error *err)
{
    const uint64_t forbidden = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_SOCK;
    struct sandbox_paths paths;
    int r;

    r = sandbox_paths_begin(&paths, 2, err);
    if (r == 0)
        r = sandbox_paths_allow(&paths, root_fd, ~forbidden, "the layer's directory", err);
    if (r == 0)
        r = sandbox_paths_enforce(&paths, err);
    sandbox_paths_close(&paths);
    return r;
}

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
    SCMP_SYS(exit_group),     SCMP_SYS(fgetxattr),
};

int unpack_sandbox_enter(int root_fd, struct error *err)
{
    int r;

    r = sandbox_begin(err);
    if (r == 0)
        r = limits_set(err);
    if (r == 0)
        r = sandbox_keep_capabilities(KEPT_CAPABILITIES, err);
    if (r == 0)
        r = paths_restrict(root_fd, err);
    if (r == 0)
        r = sandbox_filter(allowed_calls, ARRAY_SIZE(allowed_calls), NULL, err);
    return r < 0 ? error_prefix(err, r, "sandbox") : 0;
}
