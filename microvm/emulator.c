#include "microvm/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <x86intrin.h>
#endif

#include "base/fd.h"
#include "base/process.h"
#include "base/sandbox.h"
#include "base/text.h"
#include "microvm/emulator_plan.h"
#include "microvm/initrd.h"
#include "microvm/vmm_sandbox.h"

/* A machine that QEMU runs as a child, for hosts where KVM cannot be used. The child has no
 * capability and cannot get one, and QEMU's own seccomp filter; it ends with this process. It finds
 * its files by their descriptors, under /proc/self/fd, and by Landlock no others of the jail's. */

#define EMULATOR_PROGRAM "/usr/bin/qemu-system-x86_64"
/* So long the counter is watched to learn its frequency: enough for five digits. */
#define TSC_SAMPLE_NS 10000000

struct emulator {
    struct machine machine;
    pid_t pid;
    int pidfd;
    int complaint_fd; /* what QEMU writes to standard error */
    bool has_ended;
    enum machine_end end;
};

/* --- the time stamp counter ----------------------------------------------------------------------
 */

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The emulated counter is this machine's. A guest that had to measure it, against an emulated timer
 * and under load, would find it unstable and stop in the middle of its boot. */
static uint64_t measure_tsc_khz(void)
{
#ifdef __x86_64__
    const struct timespec sample = { .tv_nsec = TSC_SAMPLE_NS };
    uint64_t start_ns = now_ns(), start = __rdtsc();
    uint64_t elapsed_ns;

    (void)nanosleep(&sample, NULL); /* a shorter one is measured as well */
    elapsed_ns = now_ns() - start_ns;
    return (__rdtsc() - start) * 1000000 / elapsed_ns;
#else
    return 0;
#endif
}

/* --- start ---------------------------------------------------------------------------------------
 */

static int make_initrd(const struct machine_config *config, int *ret_fd, struct error *err)
{
    AUTO(initrd) struct initrd *initrd = NULL;
    auto_close int fd = -1;
    uint64_t size;
    void *bytes;
    int r;

    r = initrd_open(config->agent_program_fd, config->modules_fd, &initrd, err);
    if (r < 0)
        return r;
    size = initrd_size(initrd);
    fd = memfd_create("initrd", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return error_errno(err, "make the initrd");
    bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED)
        return error_errno(err, "make the initrd");
    r = initrd_read(initrd, bytes, err);
    (void)munmap(bytes, size);
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

/* With no_new_privs, root's program gets no capability that its caller has not (capabilities(7)).
 */
static bool drop_rights_child(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2] = { 0 };
    const struct rlimit no_core = { 0 };

    return setrlimit(RLIMIT_CORE, &no_core) == 0 &&
           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_capset, &header, none) == 0;
}

/* A descriptor that has no place in a file system needs no rule: a pipe, a socket, a memfd. */
static bool allow_file_child(const struct sandbox_paths *paths, int fd, uint64_t rights)
{
    const int r = sandbox_paths_allow(paths, fd, rights, "a file of QEMU's", NULL);

    return r == 0 || r == -EBADFD;
}

/* Of the jail's files QEMU reaches the programs and libraries, and those that it is given, which it
 * opens by their descriptors; no share, and not the folder with the control socket. */
static bool restrict_paths_child(const struct emulator_plan *plan)
{
    static const char *const folders[] = { "/usr", "/bin", "/lib", "/lib64", "/proc", "/dev" };
    const uint64_t reading =
        LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    const uint64_t writing = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
    struct sandbox_paths paths;
    bool is_allowed = sandbox_paths_begin(&paths, 1, NULL) == 0;

    for (size_t i = 0; i < ARRAY_SIZE(folders) && is_allowed; i++) {
        auto_close int fd = open(folders[i], O_PATH | O_CLOEXEC);
        const bool has_devices = strcmp(folders[i], "/dev") == 0;

        is_allowed =
            fd < 0 || allow_file_child(&paths, fd, has_devices ? reading | writing : reading);
    }
    for (size_t i = 0; i < plan->fd_count && is_allowed; i++)
        is_allowed = allow_file_child(&paths, plan->fds[i], writing);
    return is_allowed && sandbox_paths_enforce(&paths, NULL) == 0;
}

static void run_child(const struct emulator_plan *plan, pid_t parent, int complaint_fd)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    (void)sigemptyset(&none);
    if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(complaint_fd, 2) < 0 ||
        sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        _exit(125);
    for (size_t i = 0; i < plan->fd_count; i++) {
        if (fd_set_close_on_exec(plan->fds[i], false, NULL) < 0)
            _exit(125);
    }
    /* The parent may have ended before PDEATHSIG was asked for. */
    if (!drop_rights_child() || !restrict_paths_child(plan) ||
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
        _exit(125);
    (void)execv(plan->arguments.items[0], plan->arguments.items);
    (void)dprintf(2, "execute %s: %s\n", plan->arguments.items[0], strerror(errno));
    _exit(127);
}

static int spawn(struct emulator *emulator, const struct emulator_plan *plan, struct error *err)
{
    auto_close int read_fd = -1;
    auto_close int write_fd = -1;
    pid_t parent = getpid();
    int fds[2];

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_errno(err, "make a pipe for QEMU");
    read_fd = fds[0];
    write_fd = fds[1];
    emulator->pid = fork();
    if (emulator->pid < 0)
        return error_errno(err, "start QEMU");
    if (emulator->pid == 0)
        run_child(plan, parent, write_fd);
    emulator->pidfd = (int)syscall(SYS_pidfd_open, emulator->pid, 0);
    if (emulator->pidfd < 0)
        return error_errno(err, "watch QEMU");
    emulator->complaint_fd = take_fd(&read_fd);
    return 0;
}

static void emulator_free(struct machine *machine)
{
    struct emulator *emulator = (struct emulator *)machine;

    if (emulator->pid > 0 && !emulator->has_ended) {
        (void)kill(emulator->pid, SIGKILL); /* it is our child: there until it is reaped */
        (void)waitpid(emulator->pid, NULL, 0);
    }
    auto_close_cleanup(&emulator->pidfd);
    auto_close_cleanup(&emulator->complaint_fd);
    free(emulator);
}

static int emulator_start(const struct machine_config *config, struct machine **ret_machine,
                          struct error *err)
{
    struct emulator *emulator = xcalloc(1, sizeof(*emulator));
    AUTO(machine) struct machine *machine = &emulator->machine;
    AUTO_CLEAR(emulator_plan) struct emulator_plan plan = { 0 };
    auto_close int initrd_fd = -1;
    int r;

    emulator->machine.machine_class = &emulator_machine_class;
    emulator->pidfd = emulator->complaint_fd = -1;
    if (config->saved_state_fd >= 0)
        return error_set(err, EOPNOTSUPP, "an emulated machine cannot be started from a saved one");
    if (access(EMULATOR_PROGRAM, X_OK) < 0)
        return error_errno(err, "find the emulator %s; it is in the package qemu-system-x86",
                           EMULATOR_PROGRAM);
    r = make_initrd(config, &initrd_fd, err);
    if (r < 0)
        return r;
    emulator_plan(config, EMULATOR_PROGRAM, initrd_fd, measure_tsc_khz(), &plan);
    r = spawn(emulator, &plan, err);
    if (r == 0 && !config->is_unconfined)
        r = vmm_sandbox_drop(err);
    if (r == 0 && !config->is_unconfined)
        r = vmm_sandbox_filter(VMM_THREAD_MAIN, err);
    if (r < 0)
        return r;
    *ret_machine = take_ptr(&machine);
    return 0;
}

/* --- the end -------------------------------------------------------------------------------------
 */

static int emulator_end_fd(const struct machine *machine)
{
    return ((const struct emulator *)machine)->pidfd;
}

static enum machine_end emulator_end(struct machine *machine, struct error *err)
{
    struct emulator *emulator = (struct emulator *)machine;
    char complaint[512];
    int status = 0;
    ssize_t length;

    if (emulator->has_ended)
        return emulator->end;
    if (waitpid(emulator->pid, &status, 0) < 0) {
        (void)error_errno(err, "wait for QEMU");
        return MACHINE_FAILED;
    }
    emulator->has_ended = true;
    /* Power-off and reset end QEMU alike; which it was is for the caller, who knows if he asked. */
    emulator->end = MACHINE_POWER_OFF;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return emulator->end;
    emulator->end = MACHINE_FAILED;
    length = read(emulator->complaint_fd, complaint, sizeof(complaint) - 1);
    complaint[length > 0 ? length : 0] = '\0';
    complaint[strcspn(complaint, "\n")] = '\0';
    (void)error_set(err, EIO, "QEMU ended with status %d: %s", process_exit_status(status),
                    complaint[0] != '\0' ? complaint : "it did not say why");
    return emulator->end;
}

static int send_signal(struct machine *machine, int signal, const char *what, struct error *err)
{
    const struct emulator *emulator = (const struct emulator *)machine;

    if (kill(emulator->pid, signal) < 0)
        return error_errno(err, "%s QEMU", what);
    return 0;
}

static int emulator_pause(struct machine *machine, struct error *err)
{
    return send_signal(machine, SIGSTOP, "pause", err);
}

static int emulator_resume(struct machine *machine, struct error *err)
{
    return send_signal(machine, SIGCONT, "resume", err);
}

static int emulator_balloon(struct machine *machine, uint64_t bytes, struct error *err)
{
    (void)machine;
    (void)bytes;
    return error_set(err, EOPNOTSUPP, "an emulated machine does not give memory back");
}

static int emulator_save(struct machine *machine, int state_fd, int memory_fd, struct error *err)
{
    (void)machine;
    (void)state_fd;
    (void)memory_fd;
    return error_set(err, EOPNOTSUPP, "an emulated machine cannot be saved");
}

static int emulator_forbid_save(struct machine *machine, struct error *err)
{
    (void)machine;
    (void)err;
    return 0;
}

const struct machine_class emulator_machine_class = {
    .name = "qemu",
    .start = emulator_start,
    .end_fd = emulator_end_fd,
    .end = emulator_end,
    .pause = emulator_pause,
    .resume = emulator_resume,
    .balloon = emulator_balloon,
    .save = emulator_save,
    .forbid_save = emulator_forbid_save,
    .free = emulator_free,
};
