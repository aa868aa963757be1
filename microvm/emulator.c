#include "microvm/machine.h"

#include <assert.h>
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
#include <sys/socket.h>
#include <sys/stat.h>
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
#include "microvm/emulator_console.h"
#include "microvm/emulator_plan.h"
#include "microvm/emulator_qmp.h"
#include "microvm/initrd.h"
#include "microvm/vmm_sandbox.h"

/* A machine that QEMU runs as a child, for hosts where KVM cannot be used. The child has no
 * capability and cannot get one, and QEMU's own seccomp filter; it ends with this process. It finds
 * its files by their descriptors, under /proc/self/fd, and by Landlock no others of the jail's.
 *
 * A machine is saved and loaded by what QEMU calls a migration. Its memory is then a file of this
 * process, which the migration leaves out (x-ignore-shared; qemu, docs/devel/migration.rst). It is
 * copied without its zeros, into and out of the saved one: QEMU opens the file of a memory for
 * writing, also where it maps it copy-on-write, and a guest that took QEMU over must not be able to
 * change what others are started from. */

#define EMULATOR_PROGRAM "/usr/bin/qemu-system-x86_64"
/* So long the counter is watched to learn its frequency: enough for five digits. */
#define TSC_SAMPLE_NS 10000000

struct emulator {
    struct machine machine;
    pid_t pid;
    int pidfd;
    int complaint_fd; /* what QEMU writes to standard error */
    struct qmp *qmp;
    uint64_t memory_bytes;
    int memory_fd; /* the guest's memory, while it can be saved; else -1 */
    struct emulator_console console;
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

/* --- the child -----------------------------------------------------------------------------------
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
    auto_close_cleanup(&emulator->memory_fd);
    qmp_free(emulator->qmp);
    emulator_console_close(&emulator->console);
    free(emulator);
}

/* --- from a saved machine ------------------------------------------------------------------------
 */

#define EXECUTE(command)    "{\"execute\":\"" command "\"}\n"
#define WITH_STATE(command) "{\"execute\":\"" command "\",\"arguments\":{\"uri\":\"fd:state\"}}\n"
#define GET_STATE           "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"state\"}}\n"
#define CAPABILITIES                                                                               \
    "{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":["                  \
    "{\"capability\":\"events\",\"state\":true},"                                                  \
    "{\"capability\":\"x-ignore-shared\",\"state\":true}]}}\n"
/* As fast as it goes: the machine stands still. */
#define NO_LIMIT                                                                                   \
    "{\"execute\":\"migrate-set-parameters\",\"arguments\":{\"max-bandwidth\":1099511627776}}\n"

static int map_memory(int fd, uint64_t size, int protection, void **ret_memory, struct error *err)
{
    *ret_memory = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    return *ret_memory == MAP_FAILED ? error_errno(err, "map the memory") : 0;
}

static int read_run(int fd, uint8_t *bytes, off_t start, off_t end, struct error *err)
{
    while (start < end) {
        ssize_t length = pread(fd, bytes + start, (size_t)(end - start), start);

        if (length < 0 && errno != EINTR)
            return error_errno(err, "read the saved memory");
        if (length == 0)
            return error_set(err, EBADMSG, "the saved memory ends early");
        if (length > 0)
            start += length;
    }
    return 0;
}

static int load_memory(int from_fd, uint8_t *memory, uint64_t size, struct error *err)
{
    off_t start, end = 0;
    int r = 0;

    if (lseek(from_fd, 0, SEEK_END) != (off_t)size)
        return error_set(err, EXDEV, "the saved machine's memory is not of %llu bytes",
                         (unsigned long long)size);
    while (r == 0 && (start = lseek(from_fd, end, SEEK_DATA)) >= 0) {
        end = lseek(from_fd, start, SEEK_HOLE);
        if (end < 0)
            return error_errno(err, "read the saved memory");
        r = read_run(from_fd, memory, start, end < (off_t)size ? end : (off_t)size, err);
    }
    if (r == 0 && errno != ENXIO)
        return error_errno(err, "read the saved memory");
    return r;
}

static int open_memory(const struct machine_config *config, int *ret_fd, struct error *err)
{
    uint64_t size = config->memory_bytes;
    void *memory = NULL;
    int r;

    *ret_fd = memfd_create("memory", MFD_CLOEXEC);
    if (*ret_fd < 0 || ftruncate(*ret_fd, (off_t)size) < 0)
        return error_errno(err, "make the guest's memory");
    if (config->saved_memory_fd < 0)
        return 0;
    r = map_memory(*ret_fd, size, PROT_READ | PROT_WRITE, &memory, err);
    if (r < 0)
        return r;
    r = load_memory(config->saved_memory_fd, memory, size, err);
    (void)munmap(memory, size); /* is ours */
    return r;
}

static int open_control(struct emulator *emulator, int *ret_fd, struct error *err)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return error_errno(err, "make QEMU's control channel");
    emulator->qmp = qmp_new(fds[0]);
    *ret_fd = fds[1];
    return 0;
}

static void close_memory(struct emulator *emulator)
{
    auto_close_cleanup(&emulator->memory_fd);
    emulator->memory_fd = -1;
}

static int load(struct emulator *emulator, int state_fd, struct error *err)
{
    static const char *const commands[] = { GET_STATE, CAPABILITIES, WITH_STATE("migrate-incoming"),
                                            NULL };
    static const char *const go[] = { EXECUTE("cont"), NULL };
    int r;

    r = qmp_run(emulator->qmp, commands, state_fd, err);
    if (r == 0)
        r = qmp_wait_migrated(emulator->qmp, err);
    if (r == 0)
        r = qmp_run(emulator->qmp, go, -1, err);
    return r < 0 ? error_prefix(err, r, "load the saved machine") : 0;
}

/* --- start ---------------------------------------------------------------------------------------
 */

static int run_emulator(const struct machine_config *config, struct emulator *emulator,
                        struct error *err)
{
    AUTO_CLEAR(emulator_plan) struct emulator_plan plan = { 0 };
    struct emulator_files files = { .memory_fd = -1, .control_fd = -1 };
    auto_close int initrd_fd = -1;
    auto_close int control_fd = -1;
    bool is_saved = config->saved_state_fd >= 0;
    int r = 0;

    if (!is_saved)
        r = make_initrd(config, &initrd_fd, err);
    if (r == 0 && (is_saved || config->is_savable))
        r = open_memory(config, &emulator->memory_fd, err);
    if (r == 0)
        r = open_control(emulator, &control_fd, err);
    if (r < 0)
        return r;
    files.initrd_fd = initrd_fd;
    files.memory_fd = emulator->memory_fd;
    files.control_fd = control_fd;
    emulator_plan(config, EMULATOR_PROGRAM, &files, is_saved ? 0 : measure_tsc_khz(), &plan);
    r = spawn(emulator, &plan, err);
    auto_close_cleanup(&control_fd); /* so that the end of QEMU is seen */
    control_fd = -1;
    if (r == 0 && is_saved)
        r = load(emulator, config->saved_state_fd, err);
    if (!config->is_savable)
        close_memory(emulator);
    return r;
}

static int emulator_start(const struct machine_config *config, struct machine **ret_machine,
                          struct error *err)
{
    struct emulator *emulator = xcalloc(1, sizeof(*emulator));
    AUTO(machine) struct machine *machine = &emulator->machine;
    struct machine_config own = *config;
    auto_close int console_fd = -1;
    int r;

    emulator->machine.machine_class = &emulator_machine_class;
    emulator->memory_bytes = config->memory_bytes;
    emulator->pidfd = emulator->complaint_fd = emulator->memory_fd = -1;
    emulator->console = (struct emulator_console){ .read_fd = -1, .log.fd = -1 };
    if (access(EMULATOR_PROGRAM, X_OK) < 0)
        return error_errno(err, "find the emulator %s; it is in the package qemu-system-x86",
                           EMULATOR_PROGRAM);
    r = emulator_console_open(&emulator->console, config->console_fd, &console_fd, err);
    if (r < 0)
        return r;
    own.console_fd = console_fd;
    r = run_emulator(&own, emulator, err);
    if (r == 0 && !config->is_unconfined)
        r = vmm_sandbox_drop(err);
    if (r == 0)
        r = emulator_console_start(&emulator->console, config->is_unconfined, err);
    if (r == 0 && !config->is_unconfined)
        r = vmm_sandbox_filter(config->is_savable ? VMM_THREAD_SAVABLE : VMM_THREAD_MAIN, err);
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
    /* Power-off, reset and panic end QEMU alike. */
    emulator->end = emulator_console_finish(&emulator->console, err);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return emulator->end;
    emulator->end = MACHINE_FAILED;
    if (WIFSIGNALED(status)) {
        (void)error_set(err, EIO, "QEMU was ended by signal %d (%s)", WTERMSIG(status),
                        strsignal(WTERMSIG(status)));
        return emulator->end;
    }
    length = read(emulator->complaint_fd, complaint, sizeof(complaint) - 1);
    complaint[length > 0 ? length : 0] = '\0';
    complaint[strcspn(complaint, "\n")] = '\0';
    (void)error_set(err, EIO, "QEMU ended with status %d: %s", process_exit_status(status),
                    complaint[0] != '\0' ? complaint : "it did not say why");
    return emulator->end;
}

static int control(struct emulator *emulator, const char *command, struct error *err)
{
    const char *const commands[] = { command, NULL };

    return qmp_run(emulator->qmp, commands, -1, err);
}

static int emulator_pause(struct machine *machine, struct error *err)
{
    return control((struct emulator *)machine, EXECUTE("stop"), err);
}

static int emulator_resume(struct machine *machine, struct error *err)
{
    return control((struct emulator *)machine, EXECUTE("cont"), err);
}

static int emulator_balloon(struct machine *machine, uint64_t bytes, struct error *err)
{
    struct emulator *emulator = (struct emulator *)machine;
    auto_free char *command = NULL;

    assert(bytes < emulator->memory_bytes);
    command = xasprintf("{\"execute\":\"balloon\",\"arguments\":{\"value\":%llu}}\n",
                        (unsigned long long)(emulator->memory_bytes - bytes));
    return control(emulator, command, err);
}

static int emulator_given(struct machine *machine, uint64_t *ret_bytes, struct error *err)
{
    struct emulator *emulator = (struct emulator *)machine;
    uint64_t bytes = 0;
    int r = qmp_find_memory(emulator->qmp, &bytes, err);

    if (r == 0)
        *ret_bytes = bytes < emulator->memory_bytes ? emulator->memory_bytes - bytes : 0;
    return r;
}

/* --- saving --------------------------------------------------------------------------------------
 */

/* By lseek(2) and write(2), which the thread's filter allows anyway. */
static int write_at(int fd, const uint8_t *bytes, size_t length, off_t offset, struct error *err)
{
    if (lseek(fd, offset, SEEK_SET) < 0)
        return error_errno(err, "save the memory");
    return fd_write_all(fd, bytes, length, "the saved memory", err);
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, MACHINE_PAGE_SIZE - 1) == 0;
}

/* Writes the runs of pages that are not zero. */
static int write_runs(int fd, const uint8_t *memory, size_t start, size_t end, struct error *err)
{
    int r = 0;

    while (start < end && r == 0) {
        size_t next = start;

        while (next < end && !is_zero(memory + next))
            next += MACHINE_PAGE_SIZE;
        if (next > start)
            r = write_at(fd, memory + start, next - start, (off_t)start, err);
        start = next + MACHINE_PAGE_SIZE;
    }
    return r;
}

static int copy_memory(int from_fd, const uint8_t *memory, size_t size, int to_fd,
                       struct error *err)
{
    off_t start, end = 0;
    int r = 0;

    while (r == 0 && (start = lseek(from_fd, end, SEEK_DATA)) >= 0) {
        end = lseek(from_fd, start, SEEK_HOLE);
        if (end < 0)
            return error_errno(err, "read the memory");
        r = write_runs(to_fd, memory, (size_t)start, (size_t)end, err);
    }
    if (r == 0 && errno != ENXIO)
        return error_errno(err, "read the memory");
    /* As long as the memory, whatever its last page is. */
    return r < 0 ? r : write_at(to_fd, memory + size - 1, 1, (off_t)size - 1, err);
}

static int save_memory(int from_fd, int to_fd, struct error *err)
{
    off_t size = lseek(from_fd, 0, SEEK_END);
    void *memory = NULL;
    int r;

    if (size <= 0)
        return error_errno(err, "measure the memory");
    r = map_memory(from_fd, (uint64_t)size, PROT_READ, &memory, err);
    if (r < 0)
        return r;
    r = copy_memory(from_fd, memory, (size_t)size, to_fd, err);
    (void)munmap(memory, (size_t)size); /* is ours */
    return r;
}

static int emulator_save(struct machine *machine, int state_fd, int memory_fd, struct error *err)
{
    static const char *const commands[] = { GET_STATE, CAPABILITIES, NO_LIMIT,
                                            WITH_STATE("migrate"), NULL };
    struct emulator *emulator = (struct emulator *)machine;
    int r;

    if (emulator->memory_fd < 0)
        return error_set(err, EPERM, "this machine was not started to be saved");
    r = qmp_run(emulator->qmp, commands, state_fd, err);
    if (r == 0)
        r = qmp_wait_migrated(emulator->qmp, err);
    if (r == 0)
        r = save_memory(emulator->memory_fd, memory_fd, err);
    return r < 0 ? error_prefix(err, r, "save the machine") : 0;
}

const struct machine_class emulator_machine_class = {
    .name = "qemu",
    .start = emulator_start,
    .end_fd = emulator_end_fd,
    .end = emulator_end,
    .pause = emulator_pause,
    .resume = emulator_resume,
    .balloon = emulator_balloon,
    .given = emulator_given,
    .save = emulator_save,
    .free = emulator_free,
};
