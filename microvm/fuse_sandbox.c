#include "microvm/fuse_sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/resource.h>

#include <seccomp.h>

#include "base/auto.h"
#include "base/sandbox.h"

/* What a process has open beside files of the guest's. */
#define OTHER_DESCRIPTORS 32u
#define DESCRIPTORS_MAX   1048576u

/* Without CAP_MKNOD no device can be made whatever is asked for (a whiteout is none), and without
 * CAP_DAC_READ_SEARCH no file be opened by a handle. */
#define KEPT_CAPABILITIES                                                                          \
    (1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER | 1ull << CAP_FSETID |      \
     1ull << CAP_SETUID | 1ull << CAP_SETGID | 1ull << CAP_SETFCAP)

static const int allowed_calls[] = {
    /* requests and answers */
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    /* names */
    SCMP_SYS(openat),
    SCMP_SYS(open),
    SCMP_SYS(close),
    SCMP_SYS(mkdirat),
    SCMP_SYS(mknodat),
    SCMP_SYS(symlinkat),
    SCMP_SYS(linkat),
    SCMP_SYS(unlinkat),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    /* attributes */
    SCMP_SYS(statx),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fstatfs),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(fchownat),
    SCMP_SYS(utimensat),
    SCMP_SYS(getxattr),
    SCMP_SYS(fgetxattr),
    SCMP_SYS(setxattr),
    SCMP_SYS(listxattr),
    SCMP_SYS(removexattr),
    /* data */
    SCMP_SYS(pread64),
    SCMP_SYS(pwritev2),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(lseek),
    SCMP_SYS(copy_file_range),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(syncfs),
    SCMP_SYS(fcntl),
    SCMP_SYS(flock),
    /* as whom */
    SCMP_SYS(setfsuid),
    SCMP_SYS(setfsgid),
    SCMP_SYS(capget),
    SCMP_SYS(capset),
    SCMP_SYS(umask),
    SCMP_SYS(geteuid),
    SCMP_SYS(getegid),
    /* memory, threads, signals */
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(tgkill),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(getrandom),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

/* Threads and no processes. The flags of clone3(2) cannot be looked at; glibc takes clone(2) when
 * there is none. */
static int add_thread_rules(void *filter)
{
    int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

    return r < 0 ? r : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int paths_restrict(int root_fd, int fdinfo_fd, struct error *err)
{
    const uint64_t forbidden = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
    struct sandbox_paths paths;
    int r = sandbox_paths_begin(&paths, 2, err);

    if (r == 0)
        r = sandbox_paths_allow(&paths, root_fd, ~forbidden, "the directory to serve", err);
    if (r == 0 && fdinfo_fd >= 0)
        r = sandbox_paths_allow(&paths, fdinfo_fd, LANDLOCK_ACCESS_FS_READ_FILE,
                                "/proc/self/fdinfo", err);
    if (r == 0)
        r = sandbox_paths_enforce(&paths, err);
    sandbox_paths_close(&paths);
    return r;
}

static int limits_set(size_t *ret_descriptors_max, struct error *err)
{
    struct rlimit limit;
    int r = sandbox_limit(RLIMIT_CORE, "core", 0, err);

    if (r == 0)
        r = sandbox_limit(RLIMIT_NOFILE, "nofile", DESCRIPTORS_MAX, err);
    if (r < 0)
        return r;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return error_errno(err, "read limit nofile");
    if (limit.rlim_cur <= 2 * OTHER_DESCRIPTORS)
        return error_set(err, EMFILE, "only %llu files may be open; raise the limit nofile",
                         (unsigned long long)limit.rlim_cur);
    *ret_descriptors_max = (size_t)limit.rlim_cur - OTHER_DESCRIPTORS;
    return 0;
}

int fuse_sandbox_enter(int root_fd, int fdinfo_fd, size_t *ret_descriptors_max, struct error *err)
{
    int r;

    /* Groups of the caller's are none of the guest's callers. Where it is not permitted, they can
     * only add rights that root has anyway. */
    (void)setgroups(0, NULL);
    r = sandbox_begin(err);
    if (r == 0)
        r = limits_set(ret_descriptors_max, err);
    if (r == 0)
        r = sandbox_keep_capabilities(KEPT_CAPABILITIES, err);
    if (r == 0)
        r = paths_restrict(root_fd, fdinfo_fd, err);
    if (r == 0)
        r = sandbox_filter(allowed_calls, ARRAY_SIZE(allowed_calls), add_thread_rules, err);
    return r < 0 ? error_prefix(err, r, "sandbox") : 0;
}
