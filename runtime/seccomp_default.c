#include "runtime/spec.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* The default profile, equal in effect to docker's of June 2026: system calls that act on what a
 * container has anyway are always allowed; calls that a capability guards are allowed with it, so
 * that a kernel bug behind them needs the capability too; all others get EPERM.
 *
 * Names of other architectures and of kernels to come do no harm: a filter leaves out what it does
 * not know. */

/* Always allowed: 361 names by subject, and three for tracing. */
static const char *const always_allowed[] = {
    /* open, close, read, write */
    "open openat openat2 creat close close_range read readv pread64 preadv preadv2 write writev "
    "pwrite64 pwritev pwritev2 lseek _llseek readahead sendfile sendfile64 splice tee vmsplice "
    "copy_file_range dup dup2 dup3 fcntl fcntl64 ioctl flock pipe pipe2 memfd_create memfd_secret",
    /* names and directories */
    "access faccessat faccessat2 chdir fchdir getcwd getdents getdents64 link linkat mkdir mkdirat "
    "mknod mknodat readlink readlinkat rename renameat renameat2 rmdir symlink symlinkat unlink "
    "unlinkat umask name_to_handle_at",
    /* what files are: modes, owners, times, sizes, attributes */
    "chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32 stat "
    "stat64 fstat fstat64 fstatat64 newfstatat lstat lstat64 statx statfs statfs64 fstatfs "
    "fstatfs64 statmount listmount utime utimes utimensat utimensat_time64 futimesat truncate "
    "truncate64 ftruncate ftruncate64 fallocate getxattr getxattrat lgetxattr fgetxattr setxattr "
    "setxattrat lsetxattr fsetxattr listxattr listxattrat llistxattr flistxattr removexattr "
    "removexattrat lremovexattr fremovexattr",
    /* caches and disks */
    "sync syncfs fsync fdatasync sync_file_range fadvise64 fadvise64_64 cachestat",
    /* waiting for many things at once */
    "poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 "
    "epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 "
    "signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
    "timerfd_settime64 inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark "
    "io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64",
    /* memory */
    "brk mmap mmap2 munmap mremap mprotect madvise mincore mlock mlock2 mlockall munlock "
    "munlockall "
    "msync mseal membarrier remap_file_pages map_shadow_stack pkey_alloc pkey_free pkey_mprotect",
    /* processes and threads */
    "fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid "
    "getpgrp setpgid getsid setsid set_tid_address set_robust_list get_robust_list "
    "set_thread_area get_thread_area futex futex_time64 futex_wait futex_waitv futex_wake "
    "futex_requeue rseq prctl pidfd_open pidfd_send_signal process_mrelease restart_syscall "
    "uretprobe riscv_hwprobe",
    /* signals */
    "kill tkill tgkill pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo "
    "rt_sigreturn "
    "rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack "
    "sigprocmask sigreturn",
    /* identity and rights */
    "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 "
    "getresgid getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid "
    "setreuid32 setregid setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid "
    "setfsuid32 setfsgid setfsgid32 setgroups setgroups32 capget capset seccomp "
    "landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    /* limits and scheduling */
    "getrlimit ugetrlimit setrlimit prlimit64 getrusage getpriority setpriority ioprio_get "
    "ioprio_set getcpu sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr "
    "sched_getparam sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max "
    "sched_get_priority_min sched_rr_get_interval sched_rr_get_interval_time64",
    /* time; the clock itself is guarded by CAP_SYS_TIME */
    "time times gettimeofday adjtimex clock_adjtime clock_adjtime64 clock_getres "
    "clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 "
    "nanosleep alarm getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime "
    "timer_gettime64 timer_settime timer_settime64",
    /* sockets; socket() itself is below */
    "accept accept4 bind connect listen getpeername getsockname getsockopt setsockopt recv "
    "recvfrom "
    "recvmsg recvmmsg recvmmsg_time64 send sendto sendmsg sendmmsg shutdown socketpair socketcall",
    /* System V and POSIX communication */
    "ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl "
    "shmdt shmget mq_open mq_unlink mq_notify mq_getsetattr mq_timedreceive mq_timedreceive_time64 "
    "mq_timedsend mq_timedsend_time64",
    /* the system */
    "uname sysinfo getrandom",
    /* other processes: since Linux 4.8 ptrace(2) cannot be used to get around a filter */
    "ptrace process_vm_readv process_vm_writev",
    NULL,
};

/* Calls of one processor family: what docker allows "with" that architecture. */
#if defined(__x86_64__)
#define NATIVE_ALLOWED "arch_prctl modify_ldt"
static const char *const native_architectures[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86",
                                                    "SCMP_ARCH_X32", NULL };
#elif defined(__aarch64__)
#define NATIVE_ALLOWED                                                                             \
    "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls"
static const char *const native_architectures[] = { "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", NULL };
#elif defined(__riscv)
#define NATIVE_ALLOWED "riscv_flush_icache"
static const char *const native_architectures[] = { "SCMP_ARCH_RISCV64", NULL };
#elif defined(__powerpc64__)
#define NATIVE_ALLOWED "sync_file_range2 swapcontext"
static const char *const native_architectures[] = { "SCMP_ARCH_PPC64LE", NULL };
#elif defined(__s390x__)
#define NATIVE_ALLOWED "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"
static const char *const native_architectures[] = { "SCMP_ARCH_S390X", "SCMP_ARCH_S390", NULL };
#else
#define NATIVE_ALLOWED ""
static const char *const native_architectures[] = { NULL }; /* our own alone */
#endif

#if defined(__s390x__)
#define CLONE_FLAGS_INDEX 1 /* clone(2), "C library/kernel differences" */
#else
#define CLONE_FLAGS_INDEX 0
#endif

/* Calls that a capability guards. */
static const struct capability_calls {
    const char *capability;
    const char *names;
} capability_calls[] = {
    { "CAP_DAC_READ_SEARCH", "open_by_handle_at" },
    { "CAP_SYS_ADMIN",
      "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
      "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
      "open_tree "
      "perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 "
      "unshare" },
    { "CAP_SYS_BOOT", "reboot" },
    { "CAP_SYS_CHROOT", "chroot" },
    { "CAP_SYS_MODULE", "delete_module init_module finit_module" },
    { "CAP_SYS_PACCT", "acct" },
    { "CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise" },
    { "CAP_SYS_RAWIO", "iopl ioperm" },
    { "CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64" },
    { "CAP_SYS_TTY_CONFIG", "vhangup" },
    { "CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node" },
    { "CAP_SYSLOG", "syslog" },
    { "CAP_BPF", "bpf" },
    { "CAP_PERFMON", "perf_event_open" },
};

/* All flags that make a namespace (clone(2), CLONE_NEW*), but CLONE_NEWTIME, which only clone3(2)
 * and unshare(2) take. */
#define CLONE_NEW_ANY 0x7E020000u

/* AF_ALG (38) and AF_VSOCK (40) are left out: the one reaches the kernel's cryptography, the other
 * the host of a virtual machine. */
static const struct spec_seccomp_arg socket_families[] = {
    { .index = 0, .value = 38, .op = "SCMP_CMP_LT" },
    { .index = 0, .value = 39, .op = "SCMP_CMP_EQ" },
    { .index = 0, .value = 40, .op = "SCMP_CMP_GT" },
};

/* Linux, 32-bit addresses (0x8), UNAME26 (0x20000), both, and the question for the present one. */
static const uint64_t personalities[] = { 0x0, 0x8, 0x20000, 0x20008, 0xffffffff };

static struct spec_syscall *add_rule(struct spec_seccomp *profile, const char *names,
                                     const char *action)
{
    struct spec_syscalls *rules = &profile->syscalls;
    struct spec_syscall *rule = NULL;

    rules->items = xrealloc(rules->items, rules->count + 1, sizeof(*rules->items));
    rule = &rules->items[rules->count++];
    *rule = (struct spec_syscall){ .action = xstrdup(action) };
    strings_split(&rule->names, names, ' ');
    return rule;
}

static void add_conditional(struct spec_seccomp *profile, const char *name,
                            const struct spec_seccomp_arg *condition)
{
    struct spec_syscall *rule = add_rule(profile, name, "SCMP_ACT_ALLOW");

    rule->args.items = xcalloc(1, sizeof(*rule->args.items));
    rule->args.items[0] = *condition;
    rule->args.items[0].op = xstrdup(condition->op);
    rule->args.count = 1;
}

/* One rule for all names that are allowed whatever their arguments: the profile travels inside
 * config.json, where a name is cheaper than a rule. */
static void allow_names(struct spec_seccomp *profile, const struct strings *capabilities)
{
    struct text names = { 0 };

    for (size_t i = 0; always_allowed[i] != NULL; i++)
        text_addf(&names, "%s%s", i > 0 ? " " : "", always_allowed[i]);
    if (NATIVE_ALLOWED[0] != '\0')
        text_add(&names, " " NATIVE_ALLOWED);
    for (size_t i = 0; i < ARRAY_SIZE(capability_calls); i++) {
        if (strings_contains(capabilities, capability_calls[i].capability))
            text_addf(&names, " %s", capability_calls[i].names);
    }
    (void)add_rule(profile, names.data, "SCMP_ACT_ALLOW");
    text_clear(&names);
}

/* Without CAP_SYS_ADMIN no new namespaces. The flags of clone3 lie in memory, where no filter can
 * see them; with ENOSYS the C library turns to clone. */
static void guard_clone(struct spec_seccomp *profile)
{
    static const struct spec_seccomp_arg no_namespaces = {
        .index = CLONE_FLAGS_INDEX,
        .value = CLONE_NEW_ANY,
        .op = "SCMP_CMP_MASKED_EQ",
    };
    struct spec_syscall *clone3 = NULL;

    add_conditional(profile, "clone", &no_namespaces);
    clone3 = add_rule(profile, "clone3", "SCMP_ACT_ERRNO");
    clone3->has_errno_ret = true;
    clone3->errno_ret = ENOSYS;
}

struct spec_seccomp *spec_default_seccomp(const struct strings *capabilities)
{
    struct spec_seccomp *profile = xcalloc(1, sizeof(*profile));

    assert(capabilities != NULL);

    profile->default_action = xstrdup("SCMP_ACT_ERRNO");
    profile->has_default_errno_ret = true;
    profile->default_errno_ret = EPERM;
    for (size_t i = 0; native_architectures[i] != NULL; i++)
        strings_add(&profile->architectures, native_architectures[i]);
    allow_names(profile, capabilities);
    for (size_t i = 0; i < ARRAY_SIZE(socket_families); i++)
        add_conditional(profile, "socket", &socket_families[i]);
    for (size_t i = 0; i < ARRAY_SIZE(personalities); i++) {
        const struct spec_seccomp_arg condition = { .index = 0,
                                                    .value = personalities[i],
                                                    .op = "SCMP_CMP_EQ" };

        add_conditional(profile, "personality", &condition);
    }
    if (!strings_contains(capabilities, "CAP_SYS_ADMIN"))
        guard_clone(profile);
    return profile;
}
