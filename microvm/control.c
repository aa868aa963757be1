#include "microvm/control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/event.h"
#include "base/fd.h"
#include "base/wire.h"
#include "microvm/session.h"
#include "microvm/terminal_mode.h"

/* From its start berth-vmm needs some milliseconds until it listens, more where the machine is
 * busy. */
#define LISTEN_TIMEOUT_MS 10000

/* Until there may be a new file in the directory. */
static int wait_for_file(int watch_fd, int vmm_pidfd, struct error *err)
{
    char events[sizeof(struct inotify_event) + NAME_MAX + 1];
    struct pollfd ready[] = { { .fd = watch_fd, .events = POLLIN },
                              { .fd = vmm_pidfd, .events = POLLIN } };
    int r = poll(ready, ARRAY_SIZE(ready), LISTEN_TIMEOUT_MS);

    if (r < 0 && errno != EINTR)
        return error_errno(err, "wait for berth-vmm");
    if (r == 0)
        return error_set(err, ETIMEDOUT, "berth-vmm does not listen after %d s",
                         LISTEN_TIMEOUT_MS / 1000);
    while (read(watch_fd, events, sizeof(events)) > 0)
        continue;
    return r > 0 && ready[1].revents != 0 ? error_set(err, ESRCH, "container not running") : 0;
}

static int wait_and_connect(int dir_fd, int vmm_pidfd, int *ret_fd, struct error *err)
{
    auto_close int watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    char path[FD_PATH_MAX];
    int r;

    if (watch_fd < 0 || inotify_add_watch(watch_fd, fd_path(dir_fd, path), IN_MOVED_TO) < 0)
        return error_errno(err, "watch the directory of berth-vmm's socket");
    do {
        r = wire_connect(dir_fd, CONTROL_SOCKET, ret_fd, err);
        if (r != -ENOENT)
            return r;
        r = wait_for_file(watch_fd, vmm_pidfd, err);
    } while (r == 0);
    return r;
}

static int connect_to(int dir_fd, int vmm_pidfd, int *ret_fd, struct error *err)
{
    int r = wire_connect(dir_fd, CONTROL_SOCKET, ret_fd, err);

    if (r == -ENOENT)
        r = wait_and_connect(dir_fd, vmm_pidfd, ret_fd, err);
    return r == -ECONNREFUSED ? error_set(err, ESRCH, "container not running") : r;
}

static int take_failure(const struct wire_message *message, struct error *err)
{
    struct error error;

    if (message->length != sizeof(error))
        return error_set(err, EPROTO, "a malformed answer of berth-vmm");
    memcpy(&error, message->payload, sizeof(error));
    error.message[sizeof(error.message) - 1] = '\0';
    return error_set(err, error.code > 0 ? error.code : EIO, "%s", error.message);
}

/* The next message that is no failure. */
static int receive(int fd, struct wire_message *message, struct error *err)
{
    int r = wire_receive(fd, message, err);

    if (r == 0)
        return error_set(err, ECONNRESET, "berth-vmm ended");
    if (r < 0)
        return r;
    wire_message_close(message);
    return message->type == CONTROL_FAILED ? take_failure(message, err) : 0;
}

/* --- exec ----------------------------------------------------------------------------------------
 */

static int send_process(int fd, enum control_type type, const char *json, const int stdio[3],
                        const struct control_exec *exec, struct error *err)
{
    auto_close int spec_fd = memfd_create("process", MFD_CLOEXEC);
    int fds[4] = { spec_fd, stdio[0], stdio[1], stdio[2] };
    int r;

    if (spec_fd < 0)
        return error_errno(err, "make a memfd");
    r = fd_write_all(spec_fd, json, strlen(json), "a memfd", err);
    if (r < 0)
        return r;
    return wire_send(fd, type, exec, sizeof(*exec), fds, ARRAY_SIZE(fds), err);
}

static int send_exec(int fd, const char *json, struct error *err)
{
    static const int stdio[3] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
    struct control_exec exec = { 0 };

    (void)terminal_mode_size(STDIN_FILENO, &exec.size.rows, &exec.size.columns);
    return send_process(fd, CONTROL_EXEC, json, stdio, &exec, err);
}

static int pass_signals(int signal_fd, int fd, struct error *err)
{
    struct signalfd_siginfo info;
    int r = 0;

    while (r == 0 && read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        const int32_t signal = (int32_t)info.ssi_signo;
        struct control_size size = { 0 };

        if (signal == SIGPIPE || signal == SIGCHLD)
            continue;
        if (signal == SIGWINCH && terminal_mode_size(STDIN_FILENO, &size.rows, &size.columns))
            r = wire_send(fd, CONTROL_RESIZE, &size, sizeof(size), NULL, 0, err);
        else
            r = wire_send(fd, CONTROL_SIGNAL, &signal, sizeof(signal), NULL, 0, err);
    }
    return r;
}

/* Returns 1 with the status when the process has ended, else 0. */
static int take_news(int fd, uint32_t *ret_status, struct error *err)
{
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    int r = receive(fd, message, err);

    if (r < 0)
        return r;
    if (message->type != CONTROL_EXITED || message->length != sizeof(*ret_status))
        return 0;
    memcpy(ret_status, message->payload, sizeof(*ret_status));
    return 1;
}

static int follow(int fd, int signal_fd, struct error *err)
{
    uint32_t status = 0;
    int r = 0;

    while (r == 0) {
        struct pollfd ready[] = { { .fd = fd, .events = POLLIN },
                                  { .fd = signal_fd, .events = POLLIN } };

        if (poll(ready, ARRAY_SIZE(ready), -1) < 0 && errno != EINTR)
            return error_errno(err, "wait for berth-vmm");
        if (ready[1].revents != 0)
            r = pass_signals(signal_fd, fd, err);
        /* After an end that crossed a signal, what it says counts. */
        if (ready[0].revents != 0)
            r = take_news(fd, &status, err);
    }
    return r < 0 ? r : (int)(status & 0xff);
}

int control_exec_run(const char *process_json, bool has_terminal, struct error *err)
{
    auto_close int dir_fd = open("/vm/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_close int signal_fd = -1;
    auto_close int fd = -1;
    struct terminal_mode terminal = { 0 };
    int r;

    if (dir_fd < 0)
        return error_errno(err, "open '/vm/run'");
    r = session_open_signals(&signal_fd, err);
    if (r == 0)
        r = connect_to(dir_fd, CONTROL_SAME_END, &fd, err);
    if (r == 0)
        r = send_exec(fd, process_json, err);
    if (r < 0)
        return r;
    if (has_terminal)
        terminal_mode_set_raw(&terminal, STDIN_FILENO);
    r = follow(fd, signal_fd, err);
    terminal_mode_restore(&terminal, STDIN_FILENO);
    return r;
}

/* --- files ---------------------------------------------------------------------------------------
 */

int control_files_start(int dir_fd, int vmm_pidfd, const char *json, const int stdio[3],
                        int *ret_fd, struct error *err)
{
    const struct control_exec exec = { 0 };
    auto_close int fd = -1;
    int r;

    r = connect_to(dir_fd, vmm_pidfd, &fd, err);
    if (r == 0)
        r = send_process(fd, CONTROL_FILES, json, stdio, &exec, err);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&fd);
    return 0;
}

int control_files_finish(int fd, int *ret_status, struct error *err)
{
    uint32_t status = 0;
    int r;

    do
        r = take_news(fd, &status, err);
    while (r == 0);
    if (r < 0)
        return r;
    *ret_status = (int)(status & 0xff);
    return 0;
}

/* --- saving --------------------------------------------------------------------------------------
 */

int control_save(int dir_fd, int vmm_pidfd, const int fds[3], bool keeps_output, int *ret_fd,
                 struct error *err)
{
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    const struct control_save save = { .keeps_output = keeps_output };
    auto_close int fd = -1;
    int r;

    r = connect_to(dir_fd, vmm_pidfd, &fd, err);
    if (r == 0)
        r = wire_send(fd, CONTROL_SAVE, &save, sizeof(save), fds, 3, err);
    if (r == 0)
        r = receive(fd, message, err);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&fd);
    return 0;
}

/* --- questions -----------------------------------------------------------------------------------
 */

int control_ask(int dir_fd, int vmm_pidfd, enum control_question_type type, const char *text,
                char **ret_answer, struct error *err)
{
    auto_free struct wire_message *message = xcalloc(1, sizeof(*message));
    const struct control_question question = { .type = type };
    size_t length = text != NULL ? strlen(text) : 0;
    auto_close int fd = -1;
    int r;

    if (length > WIRE_PAYLOAD_MAX - sizeof(question))
        return error_set(err, E2BIG, "%zu bytes for the guest are too many", length);
    r = connect_to(dir_fd, vmm_pidfd, &fd, err);
    if (r < 0)
        return r;
    memcpy(message->payload, &question, sizeof(question));
    if (length > 0)
        memcpy(message->payload + sizeof(question), text, length);
    r = wire_send(fd, CONTROL_ASK, message->payload, sizeof(question) + length, NULL, 0, err);
    if (r == 0)
        r = receive(fd, message, err);
    if (r < 0)
        return r;
    *ret_answer = xstrndup(message->payload, message->length);
    return 0;
}

/* --- memory --------------------------------------------------------------------------------------
 */

/* A guest gives back some hundred megabytes in a second, an emulated one in some. */
#define MEMORY_STEP_MS 50
#define MEMORY_STEPS   400

static int ask_memory(int dir_fd, int vmm_pidfd, uint64_t bytes, uint64_t *ret_given,
                      struct error *err)
{
    auto_free char *question = xasprintf("%llu", (unsigned long long)bytes);
    auto_free char *answer = NULL;
    int r = control_ask(dir_fd, vmm_pidfd, CONTROL_MEMORY, question, &answer, err);

    return r < 0 ? r
                 : text_parse_u64(answer, "what the guest has given", UINT64_MAX, ret_given, err);
}

/* Neither the device nor an emulator has an event for the last page. */
int control_take_memory(int dir_fd, int vmm_pidfd, uint64_t bytes, uint64_t old_bytes,
                        struct error *err)
{
    const struct timespec step = { .tv_nsec = MEMORY_STEP_MS * 1000000L };
    uint64_t given = 0;

    for (int i = 0; i < MEMORY_STEPS; i++) {
        int r = ask_memory(dir_fd, vmm_pidfd, bytes, &given, err);

        if (r < 0 || given >= bytes)
            return r;
        (void)nanosleep(&step, NULL); /* a shorter one is as good */
    }
    (void)ask_memory(dir_fd, vmm_pidfd, old_bytes, &given, NULL); /* the first failure is told */
    return error_set(err, ENOMEM,
                     "the guest gave %llu of %llu MiB back within %d s and needs the rest",
                     (unsigned long long)given >> 20, (unsigned long long)bytes >> 20,
                     MEMORY_STEP_MS * MEMORY_STEPS / 1000);
}
