#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/sandbox.h"
#include "microvm/vmm_sandbox.h"

/* Runs a filter as the kernel does (bpf(4)), so far as ours goes. */
static uint32_t result_of(enum vmm_thread thread, const struct seccomp_data *data)
{
    struct sock_filter filter[VMM_SANDBOX_FILTER_MAX];
    uint32_t accumulator = 0;
    size_t count;

    vmm_sandbox_filter_plan(thread, filter, &count);
    for (size_t i = 0; i < count; i++) {
        const struct sock_filter *step = &filter[i];

        switch (step->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_true(step->k + 4 <= sizeof(*data));
            memcpy(&accumulator, (const uint8_t *)data + step->k, 4);
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            i += accumulator == step->k ? step->jt : step->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            i += accumulator >= step->k ? step->jt : step->jf;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            i += (accumulator & step->k) != 0 ? step->jt : step->jf;
            break;
        case BPF_RET | BPF_K:
            return step->k;
        default:
            fail_msg("instruction 0x%x", step->code);
        }
    }
    fail_msg("the filter has no end");
    return 0;
}

static bool allows(enum vmm_thread thread, int number, uint64_t second, uint64_t third)
{
    const struct seccomp_data data = { .nr = number,
                                       .arch = AUDIT_ARCH_X86_64,
                                       .args = { 3, second, third } };
    const uint32_t result = result_of(thread, &data);

    assert_true(result == SECCOMP_RET_ALLOW || result == SECCOMP_RET_KILL_PROCESS);
    return result == SECCOMP_RET_ALLOW;
}

static void nothing_opens_a_file_or_makes_a_process(void **state)
{
    static const int calls[] = {
        SYS_open,
        SYS_openat,
        SYS_openat2,
        SYS_creat,
        SYS_execve,
        SYS_execveat,
        SYS_fork,
        SYS_vfork,
        SYS_clone,
        SYS_clone3,
        SYS_socket,
        SYS_connect,
        SYS_bind,
        SYS_ptrace,
        SYS_mount,
        SYS_setns,
        SYS_unshare,
        SYS_bpf,
        SYS_io_uring_setup,
        SYS_prctl,
        SYS_memfd_create,
        SYS_userfaultfd,
        SYS_mknodat,
        SYS_process_vm_writev,
        SYS_perf_event_open,
        SYS_keyctl,
        SYS_pidfd_getfd,
        SYS_unlinkat,
        SYS_renameat2,
        SYS_linkat,
        SYS_symlinkat,
        SYS_mkdirat,
        SYS_chroot,
        SYS_pivot_root,
        SYS_open_by_handle_at,
        SYS_open_tree,
        SYS_fsopen,
        SYS_setuid,
        SYS_capset,
        SYS_personality,
        SYS_init_module,
        SYS_kexec_load,
        SYS_reboot,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
        for (unsigned thread = 0; thread < VMM_THREADS; thread++)
            if (allows(thread, calls[i], 0, 0))
                fail_msg("thread %u may make call %d", thread, calls[i]);
}

static void a_request_belongs_to_one_kind_of_thread(void **state)
{
    static const struct {
        uint32_t request;
        bool is_allowed[VMM_THREADS]; /* main, devices, CPU, savable */
    } rows[] = {
        { KVM_RUN, { false, false, true, false } },
        { KVM_SET_USER_MEMORY_REGION, { false, false, false, false } },
        { KVM_SET_SREGS, { false, false, false, false } },
        { KVM_GET_SREGS, { false, false, false, true } },
        { KVM_GET_MSRS, { false, false, false, true } },
        { KVM_SET_MSRS, { false, false, false, false } },
        { KVM_GET_CLOCK, { false, false, false, true } },
        { TCSETSW, { true, false, false, true } },
        { TIOCGWINSZ, { true, false, false, true } },
        { TIOCSTI, { false, false, false, false } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        for (unsigned thread = 0; thread < VMM_THREADS; thread++)
            if (allows(thread, SYS_ioctl, rows[i].request, 0) != rows[i].is_allowed[thread])
                fail_msg("row %zu, thread %u", i, thread);
    /* The kernel looks at 32 bits, so the filter does, too. */
    assert_true(allows(VMM_THREAD_CPU, SYS_ioctl, 1ULL << 32 | KVM_RUN, 0));
}

static void memory_is_never_code(void **state)
{
    (void)state;
    for (unsigned thread = 0; thread < VMM_THREADS; thread++) {
        assert_true(allows(thread, SYS_mmap, 4096, PROT_READ | PROT_WRITE));
        assert_false(allows(thread, SYS_mmap, 4096, PROT_READ | PROT_EXEC));
        assert_true(allows(thread, SYS_mprotect, 4096, PROT_READ));
        assert_false(allows(thread, SYS_mprotect, 4096, PROT_EXEC));
        assert_false(allows(thread, SYS_pkey_mprotect, 4096, PROT_READ));
    }
}

static void calls_of_another_architecture_are_refused(void **state)
{
    const struct seccomp_data i386 = { .nr = SYS_read, .arch = AUDIT_ARCH_I386 };
    const struct seccomp_data x32 = { .nr = 0x40000000 | SYS_read, .arch = AUDIT_ARCH_X86_64 };

    (void)state;
    for (unsigned thread = 0; thread < VMM_THREADS; thread++) {
        assert_int_equal(result_of(thread, &i386), SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(result_of(thread, &x32), SECCOMP_RET_KILL_PROCESS);
    }
}

static void each_thread_may_do_its_work(void **state)
{
    (void)state;
    for (unsigned thread = 0; thread < VMM_THREADS; thread++) {
        assert_true(allows(thread, SYS_read, 0, 0));
        assert_true(allows(thread, SYS_write, 0, 0));
        assert_true(allows(thread, SYS_futex, 0, 0));
        assert_true(allows(thread, SYS_tgkill, 0, 0));
        assert_true(allows(thread, SYS_exit, 0, 0));
    }
    assert_true(allows(VMM_THREAD_DEVICES, SYS_pwritev, 0, 0));
    assert_true(allows(VMM_THREAD_DEVICES, SYS_epoll_wait, 0, 0));
    assert_true(allows(VMM_THREAD_MAIN, SYS_accept4, 0, 0));
    assert_true(allows(VMM_THREAD_SAVABLE, SYS_accept4, 0, 0));
    assert_false(allows(VMM_THREAD_CPU, SYS_sendmsg, 0, 0));
    assert_false(allows(VMM_THREAD_DEVICES, SYS_accept4, 0, 0));
}

static void only_a_machine_that_can_be_saved_may_write_files(void **state)
{
    static const int calls[] = { SYS_pwrite64, SYS_ftruncate };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        assert_true(allows(VMM_THREAD_SAVABLE, calls[i], 0, 0));
        assert_false(allows(VMM_THREAD_MAIN, calls[i], 0, 0));
        assert_false(allows(VMM_THREAD_CPU, calls[i], 0, 0));
    }
}

/* --- as the kernel sees it -------------------------------------------------------------------- */

/* What is given up does not come back: each try is a child's. Returns how it ended, as wait(2)
 * says. */
static int try_in_child(int (*work)(unsigned number), unsigned number)
{
    pid_t pid = fork();
    int status = 0;

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(work(number));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static bool has_nothing(const struct __user_cap_data_struct data[2])
{
    return (data[0].effective | data[0].permitted | data[0].inheritable | data[1].effective |
            data[1].permitted | data[1].inheritable) == 0;
}

/* Returns which of the promises is not kept; 0: all are. */
static int look_around(unsigned number)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    struct rlimit core;
    const bool has_landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 1;

    (void)number;
    if (vmm_sandbox_drop(NULL) < 0)
        return 1;
    if (syscall(SYS_capget, &header, data) < 0 || !has_nothing(data))
        return 2;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 3;
    if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 0)
        return 4;
    if (setuid(getuid() + 1) == 0 || chroot("/") == 0 || unshare(CLONE_NEWNS) == 0)
        return 5;
    if (!has_landlock)
        return 0;
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
        return 6;
    if (open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0 || errno != EACCES)
        return 7;
    return open("/dev/null", O_WRONLY | O_CLOEXEC) < 0 && errno == EACCES ? 0 : 8;
}

static void who_takes_over_the_process_finds_nothing(void **state)
{
    (void)state;
    assert_int_equal(try_in_child(look_around, 0), 0);
}

struct forbidden {
    long number, arguments[5];
};

static const struct forbidden forbidden_calls[] = {
    { SYS_openat, { AT_FDCWD, (long)"/", O_RDONLY } },
    { SYS_openat2, { AT_FDCWD, (long)"/" } },
    { SYS_socket, { AF_UNIX, SOCK_STREAM } },
    { SYS_execve, { (long)"/bin/true" } },
    { SYS_clone, { SIGCHLD } },
    { SYS_clone3, { 0 } },
    { SYS_unshare, { CLONE_NEWUSER } },
    { SYS_ptrace, { 0 } },
    { SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1 } },
    { SYS_ioctl, { 0, TIOCSTI } },
    { SYS_memfd_create, { (long)"x" } },
    { SYS_unlinkat, { AT_FDCWD, (long)"no-such-file" } },
    { 0x40000000 | SYS_getpid, { 0 } },
};

static int do_forbidden(unsigned number)
{
    const struct forbidden *call = &forbidden_calls[number / VMM_THREADS];
    const long *with = call->arguments;

    if (vmm_sandbox_drop(NULL) < 0 ||
        vmm_sandbox_filter((enum vmm_thread)(number % VMM_THREADS), NULL) < 0)
        return 1;
    (void)syscall(call->number, with[0], with[1], with[2], with[3], with[4], 0);
    return 0;
}

static void a_forbidden_call_is_the_last_one(void **state)
{
    (void)state;
    if (SANDBOX_HAS_SANITIZERS) /* there are no filters then */
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(forbidden_calls) * VMM_THREADS; i++) {
        const int status = try_in_child(do_forbidden, i);

        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("call %ld of thread %u: status 0x%x", forbidden_calls[i / VMM_THREADS].number,
                     i % VMM_THREADS, (unsigned)status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_opens_a_file_or_makes_a_process),
        cmocka_unit_test(a_request_belongs_to_one_kind_of_thread),
        cmocka_unit_test(memory_is_never_code),
        cmocka_unit_test(calls_of_another_architecture_are_refused),
        cmocka_unit_test(each_thread_may_do_its_work),
        cmocka_unit_test(only_a_machine_that_can_be_saved_may_write_files),
        cmocka_unit_test(who_takes_over_the_process_finds_nothing),
        cmocka_unit_test(a_forbidden_call_is_the_last_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
