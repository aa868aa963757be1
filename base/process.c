#include "base/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/file.h"
#include "base/path.h"

/* /proc/PID/stat: 52 numbers of at most 20 digits and a name of at most 64 bytes. */
#define STAT_BYTES 2048

/* proc(5): the state is field 3, the kernel's flags field 9, the start time field 22. */
#define STAT_FIELD_STATE 3
#define STAT_FIELD_FLAGS 9
#define STAT_FIELD_START 22

#define FLAG_KERNEL_THREAD 0x00200000u /* PF_KTHREAD of the kernel's sched.h */

static int read_stat(pid_t pid, char *buffer, struct error *err)
{
    char path[32];
    auto_close int fd = -1;
    ssize_t length;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid); /* fits any pid */
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return error_set(err, ESRCH, "process %d does not exist", pid);
    if (fd < 0)
        return error_errno(err, "open %s", path);
    length = read(fd, buffer, STAT_BYTES - 1);
    if (length < 0 && errno == ESRCH)
        return error_set(err, ESRCH, "process %d does not exist", pid);
    if (length < 0)
        return error_errno(err, "read %s", path);
    buffer[length] = '\0';
    return 0;
}

/* The number in a field behind the state; the name before it may contain anything, also
 * parentheses. */
static int parse_field(const char *stat, pid_t pid, int number, uint64_t *ret_value,
                       struct error *err)
{
    const char *field = strrchr(stat, ')');
    uint64_t value = 0;

    field = field != NULL && field[1] == ' ' ? field + 2 : NULL;
    for (int i = STAT_FIELD_STATE; field != NULL && i < number; i++) {
        field = strchr(field, ' ');
        field = field != NULL ? field + 1 : NULL;
    }
    if (field == NULL || *field < '0' || *field > '9')
        return error_set(err, EBADMSG, "read /proc/%d/stat: its form is unknown", pid);
    for (; *field >= '0' && *field <= '9'; field++)
        value = value * 10 + (uint64_t)(*field - '0');
    *ret_value = value;
    return 0;
}

static int parse_stat(const char *stat, pid_t pid, char *ret_state, uint64_t *ret_ticks,
                      struct error *err)
{
    int r;

    r = parse_field(stat, pid, STAT_FIELD_START, ret_ticks, err);
    if (r < 0)
        return r;
    *ret_state = strrchr(stat, ')')[2];
    return 0;
}

bool process_is_kernel_thread(pid_t pid)
{
    char stat[STAT_BYTES];
    uint64_t flags = 0;

    return read_stat(pid, stat, NULL) == 0 &&
           parse_field(stat, pid, STAT_FIELD_FLAGS, &flags, NULL) == 0 &&
           (flags & FLAG_KERNEL_THREAD) != 0;
}

bool process_is_killed(pid_t pid)
{
    static const char *const sets[] = { "\nSigPnd:\t", "\nShdPnd:\t" };
    auto_free char *path = xasprintf("/proc/%d/status", pid);
    auto_free char *text = NULL;

    if (file_read_kernel(AT_FDCWD, path, &text, NULL) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        const char *set = strstr(text, sets[i]);

        if (set != NULL &&
            (strtoull(set + strlen(sets[i]), NULL, 16) & (1ULL << (SIGKILL - 1))) != 0)
            return true;
    }
    return false;
}

bool process_is_stopped(pid_t pid)
{
    char stat[STAT_BYTES];
    uint64_t ticks;
    char state;

    return read_stat(pid, stat, NULL) == 0 && parse_stat(stat, pid, &state, &ticks, NULL) == 0 &&
           (state == 'T' || state == 't');
}

int process_start_time(pid_t pid, uint64_t *ret_ticks, struct error *err)
{
    char stat[STAT_BYTES];
    char state;
    int r;

    assert(ret_ticks != NULL);

    r = read_stat(pid, stat, err);
    if (r < 0)
        return r;
    return parse_stat(stat, pid, &state, ret_ticks, err);
}

int process_open(pid_t pid, uint64_t start_time, int *ret_pidfd, struct error *err)
{
    char stat[STAT_BYTES];
    auto_close int pidfd = -1;
    uint64_t ticks;
    char state;
    int r;

    assert(ret_pidfd != NULL);

    /* pidfd_open(2) takes 0 and negative numbers for invalid; such a pid is nobody's. */
    if (pid <= 0)
        return error_set(err, ESRCH, "process %d does not exist", pid);
    /* First the handle, then the look: what the handle means cannot change any more. */
    pidfd = pidfd_open(pid, 0);
    if (pidfd < 0 && (errno == ESRCH || errno == EINVAL))
        return error_set(err, ESRCH, "process %d does not exist", pid);
    if (pidfd < 0)
        return error_errno(err, "open process %d", pid);
    r = read_stat(pid, stat, err);
    if (r < 0)
        return r;
    r = parse_stat(stat, pid, &state, &ticks, err);
    if (r < 0)
        return r;
    if (ticks != start_time)
        return error_set(err, ESRCH, "process %d has ended; another one has its number", pid);
    if (state == 'Z' || state == 'X')
        return error_set(err, ESRCH, "process %d has ended", pid);
    *ret_pidfd = take_fd(&pidfd);
    return 0;
}

int process_send_signal(int pidfd, int signal, struct error *err)
{
    const char *name = process_signal_name(signal);

    if (pidfd_send_signal(pidfd, signal, NULL, 0) < 0)
        return error_errno(err, "send %s to the process", name != NULL ? name : "a signal");
    return 0;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int process_wait_end(int pidfd, uint32_t timeout_ms, struct error *err)
{
    uint64_t deadline = timeout_ms == UINT32_MAX ? UINT64_MAX : now_ms() + timeout_ms;

    for (;;) {
        struct pollfd polled = { .fd = pidfd, .events = POLLIN };
        uint64_t now = deadline == UINT64_MAX ? 0 : now_ms();
        uint64_t rest = deadline > now ? deadline - now : 0;
        int limit = deadline == UINT64_MAX ? -1 : rest > INT_MAX ? INT_MAX : (int)rest;
        int n = poll(&polled, 1, limit);

        if (n > 0)
            return 1;
        if (n < 0 && errno != EINTR)
            return error_errno(err, "wait for the end of a process");
        if (n == 0 && now_ms() >= deadline)
            return 0;
    }
}

int process_exit_status(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

static char *take_if_executable(const char *directory, const char *name)
{
    auto_free char *path = path_join(directory, name);

    return access(path, X_OK) == 0 ? take_ptr(&path) : NULL;
}

int process_find_helper(const char *name, char **ret_path, struct error *err)
{
    /* A privileged program must not let its caller choose what it runs (getauxval(3)). */
    const char *directory = getauxval(AT_SECURE) == 0 ? getenv("BERTH_LIBEXEC") : NULL;
    char program[PATH_MAX] = "";
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    char *slash;
    char *path = NULL;

    assert(name != NULL);
    assert(ret_path != NULL);

    if (directory != NULL && directory[0] == '/')
        path = take_if_executable(directory, name);
    /* In a detached mount or a memory file the link has no directory that means anything. */
    slash = length > 0 ? strrchr(program, '/') : NULL;
    if (path == NULL && slash != NULL && slash > program) {
        *slash = '\0';
        path = take_if_executable(program, name);
    }
    if (path == NULL)
        path = take_if_executable(BERTH_LIBEXEC_DIR, name);
    if (path == NULL)
        return error_set(err, ENOENT, "the program %s is neither in '%s' nor in '%s'", name,
                         directory != NULL ? directory : program, BERTH_LIBEXEC_DIR);
    *ret_path = path;
    return 0;
}

char *process_find_system_program(const char *name)
{
    static const char *const folders[] = { "/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin",
                                           "/run/wrappers/bin" };

    assert(name != NULL);

    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        auto_free char *path = xasprintf("%s/%s", folders[i], name);

        if (access(path, X_OK) == 0)
            return take_ptr(&path);
    }
    return NULL;
}
