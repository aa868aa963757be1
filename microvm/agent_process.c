#include "microvm/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/decode.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"

#define CONTAINER_ID "container"

/* The agent's ends of a process's streams, and the process's own. */
struct stdio {
    int own[3];
    int given[3];
};

static void stdio_clear(struct stdio *stdio)
{
    for (size_t i = 0; i < 3; i++) {
        auto_close_cleanup(&stdio->own[i]);
        auto_close_cleanup(&stdio->given[i]);
    }
}

static int open_stdio(bool has_terminal, struct stdio *stdio, struct error *err)
{
    for (int i = 0; i < 3 && !has_terminal; i++) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
            return error_errno(err, "make a pipe");
        stdio->given[i] = fds[i == 0 ? 0 : 1];
        stdio->own[i] = fds[i == 0 ? 1 : 0];
    }
    return 0;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void tell_failure(struct agent *agent, uint32_t number, const struct error *error)
{
    const struct agent_message message = { .type = (char *)"failed",
                                           .process = number,
                                           .code = (uint32_t)error->code,
                                           .text = (char *)error->message };

    for (int i = 0; i < 3; i++)
        channel_stream_close(agent->channel, agent_stream(number, i));
    agent_message_send(agent->channel, &message);
    agent_flush(agent);
}

static void tell_start(struct agent *agent, uint32_t number)
{
    const struct agent_message message = { .type = (char *)"started", .process = number };

    agent_message_send(agent->channel, &message);
    agent_flush(agent);
}

static bool ran_out_of_memory(struct agent *agent)
{
    struct cgroup *cgroup = container_cgroup(agent->container);
    uint64_t kills = 0;

    /* Without a memory controller it did not. */
    return cgroup != NULL && cgroup_oom_kills(cgroup, &kills, NULL) == 0 && kills > 0;
}

static void tell_exit(struct agent *agent, const struct agent_process *process)
{
    const struct agent_message message = {
        .type = (char *)"exited",
        .process = process->number,
        .status = process->status,
        .is_oom = process->number == AGENT_FIRST && ran_out_of_memory(agent),
    };

    agent_message_send(agent->channel, &message);
    agent_flush(agent);
}

/* --- processes -----------------------------------------------------------------------------------
 */

struct agent_process *agent_find_process(struct agent *agent, uint32_t number)
{
    for (struct agent_process *process = agent->processes; process != NULL;
         process = process->next) {
        if (process->number == number)
            return process;
    }
    return NULL;
}

static void process_free(struct agent *agent, struct agent_process *process)
{
    struct agent_process **link = &agent->processes;

    while (*link != process)
        link = &(*link)->next;
    *link = process->next;
    if (process->pauses)
        agent_files_resume(agent);
    pump_free(process->input);
    pump_free(process->outputs[0]);
    pump_free(process->outputs[1]);
    auto_close_cleanup(&process->terminal_fd);
    for (int i = 0; i < 3; i++)
        channel_stream_close(agent->channel, agent_stream(process->number, i));
    free(process);
}

static int open_pump(struct agent *agent, uint32_t number, int index, int *fd,
                     struct pump **ret_pump, struct error *err)
{
    int r = pump_open(agent->loop, agent->channel, agent_stream(number, index), *fd, index != 0,
                      agent_flush, agent, ret_pump, err);

    if (r == 0)
        (void)take_fd(fd);
    return r;
}

static int open_pumps(struct agent *agent, struct agent_process *process, struct stdio *stdio,
                      struct error *err)
{
    int r;

    if (process->terminal_fd >= 0) {
        stdio->own[0] = fcntl(process->terminal_fd, F_DUPFD_CLOEXEC, 3);
        stdio->own[1] = fcntl(process->terminal_fd, F_DUPFD_CLOEXEC, 3);
        if (stdio->own[0] < 0 || stdio->own[1] < 0)
            return error_errno(err, "duplicate the terminal");
        channel_stream_end(agent->channel, agent_stream(process->number, 2));
    }
    r = open_pump(agent, process->number, 0, &stdio->own[0], &process->input, err);
    for (int i = 1; i < 3 && r == 0; i++) {
        if (stdio->own[i] >= 0)
            r = open_pump(agent, process->number, i, &stdio->own[i], &process->outputs[i - 1], err);
    }
    return r;
}

void agent_resize(struct agent_process *process, uint32_t rows, uint32_t columns)
{
    const struct winsize size = { .ws_row = (unsigned short)rows,
                                  .ws_col = (unsigned short)columns };

    /* A terminal without a size has 0, 0, as one without a host has. */
    if (process->terminal_fd >= 0 && rows > 0 && columns > 0)
        (void)ioctl(process->terminal_fd, TIOCSWINSZ, &size);
}

static int add_process(struct agent *agent, const struct agent_message *message, pid_t pid,
                       int terminal_fd, bool pauses, struct stdio *stdio, struct error *err)
{
    struct agent_process *process = xcalloc(1, sizeof(*process));

    process->pauses = pauses;
    process->number = message->process;
    process->pid = pid;
    process->terminal_fd = terminal_fd;
    process->next = agent->processes;
    agent->processes = process;
    agent_resize(process, message->rows, message->columns);
    return open_pumps(agent, process, stdio, err);
}

static void open_streams(struct agent *agent, uint32_t number)
{
    for (int i = 0; i < 3; i++)
        channel_stream_open(agent->channel, agent_stream(number, i));
}

/* --- the container -------------------------------------------------------------------------------
 */

static int write_bundle(const char *json, bool *ret_has_terminal, struct error *err)
{
    AUTO(spec) struct spec *spec = NULL;
    auto_free char *text = NULL;
    int r;

    r = spec_decode(json, strlen(json), &spec, err);
    if (r < 0)
        return r;
    if (spec->process == NULL || spec->root == NULL)
        return error_set(err, EINVAL, "config.json: has no process or no root");
    free(spec->root->path);
    spec->root->path = xstrdup(AGENT_ROOT);
    *ret_has_terminal = spec->process->terminal;
    text = spec_encode(spec, ENCODE_COMPACT);
    return file_replace(AT_FDCWD, AGENT_BUNDLE "/config.json", text, strlen(text), 0600,
                        FILE_SYNC_NONE, err);
}

static int create_container(struct agent *agent, const struct agent_message *message,
                            struct error *err)
{
    AUTO_CLEAR(stdio) struct stdio stdio = { { -1, -1, -1 }, { -1, -1, -1 } };
    struct container_options options = {
        .id = CONTAINER_ID, .bundle_path = AGENT_BUNDLE, .bundle_fd = -1, .is_started_here = true
    };
    bool has_terminal = false;
    int r;

    r = agent_set_up(agent->initramfs_fd, message->setup, err);
    if (r == 0)
        r = write_bundle(message->spec, &has_terminal, err);
    if (r == 0)
        r = open_stdio(has_terminal, &stdio, err);
    if (r < 0)
        return r;
    options.keeps_console = has_terminal;
    memcpy(options.stdio, stdio.given, sizeof(options.stdio));
    r = container_create(agent->runtime, &options, &agent->container, err);
    if (r == 0)
        r = container_start(agent->container, err);
    if (r < 0)
        return r;
    return add_process(agent, message, container_first_pid(agent->container),
                       container_take_console(agent->container), false, &stdio, err);
}

/* What a container can do without at its start: memory that it does not use goes back to the host,
 * and there is a generator of random numbers. */
static void load_later(const struct agent *agent)
{
    static const char *const features[] = { "balloon", "rng" };

    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        struct error err = { 0 };

        if (agent_load_modules(agent->initramfs_fd, features[i], &err) < 0)
            log_warning("going on without %s: %s", features[i], err.message);
    }
}

void agent_start_container(struct agent *agent, const struct agent_message *message)
{
    struct error err = { 0 };

    open_streams(agent, message->process);
    if (agent->container != NULL)
        (void)error_set(&err, EALREADY, "the container was started before");
    else
        (void)create_container(agent, message, &err);
    if (err.code != 0) {
        tell_failure(agent, message->process, &err);
        return;
    }
    tell_start(agent, message->process);
    agent_flush(agent);
    load_later(agent);
}

static int exec_process(struct agent *agent, const struct agent_message *message, struct error *err)
{
    AUTO(spec_process) struct spec_process *process = xcalloc(1, sizeof(*process));
    AUTO_CLEAR(stdio) struct stdio stdio = { { -1, -1, -1 }, { -1, -1, -1 } };
    struct container_exec_options options = { .process = process };
    int console_fd = -1, r;
    pid_t pid = 0;

    if (agent->container == NULL)
        return error_set(err, ESRCH, "container not running");
    r = decode_text(&spec_process_object, message->spec, strlen(message->spec), process, "process",
                    err);
    if (r == 0)
        r = spec_process_check(process, err);
    if (r == 0)
        r = open_stdio(process->terminal, &stdio, err);
    if (r < 0)
        return r;
    options.keeps_console = process->terminal;
    memcpy(options.stdio, stdio.given, sizeof(options.stdio));
    r = container_exec(agent->container, &options, &pid, &console_fd, err);
    if (r < 0)
        return r;
    return add_process(agent, message, pid, console_fd, false, &stdio, err);
}

static int files_process(struct agent *agent, const struct agent_message *message,
                         struct error *err)
{
    AUTO_CLEAR(stdio) struct stdio stdio = { { -1, -1, -1 }, { -1, -1, -1 } };
    bool pauses = false;
    pid_t pid = 0;
    int r;

    r = open_stdio(false, &stdio, err);
    if (r == 0)
        r = agent_files_spawn(agent, message->spec, stdio.given, &pid, &pauses, err);
    if (r < 0)
        return r;
    return add_process(agent, message, pid, -1, pauses, &stdio, err);
}

static void start_process(struct agent *agent, const struct agent_message *message,
                          int (*start)(struct agent *agent, const struct agent_message *message,
                                       struct error *err))
{
    struct error err = { 0 };

    open_streams(agent, message->process);
    if (start(agent, message, &err) < 0)
        tell_failure(agent, message->process, &err);
    else
        tell_start(agent, message->process);
}

void agent_start_process(struct agent *agent, const struct agent_message *message)
{
    start_process(agent, message, exec_process);
}

void agent_start_files(struct agent *agent, const struct agent_message *message)
{
    start_process(agent, message, files_process);
}

/* --- the end -------------------------------------------------------------------------------------
 */

/* What a process that ended has written goes out before its status; what others, its children,
 * write later is nobody's. */
static int finish(struct agent *agent, struct agent_process *process, struct error *err)
{
    bool has_ended[2] = { true, true };

    for (size_t i = 0; i < 2; i++) {
        int r =
            process->outputs[i] != NULL ? pump_drain(process->outputs[i], &has_ended[i], err) : 0;

        if (r < 0)
            return r;
    }
    if (!has_ended[0] || !has_ended[1])
        return 0;
    tell_exit(agent, process);
    process_free(agent, process);
    return 0;
}

int agent_reap(struct agent *agent, struct error *err)
{
    int wait_status, r = 0;
    pid_t pid;

    while (r == 0 && (pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
        for (struct agent_process *process = agent->processes; process != NULL;
             process = process->next) {
            if (process->pid != pid || process->has_exited)
                continue;
            process->has_exited = true;
            process->status = (uint8_t)process_exit_status(wait_status);
            r = finish(agent, process, err);
            break;
        }
    }
    return r;
}

/* --- streams -------------------------------------------------------------------------------------
 */

int agent_stream_data(struct agent *agent, uint32_t stream, const void *bytes, size_t length,
                      struct error *err)
{
    struct agent_process *process = agent_find_process(agent, stream / 4);

    if (process != NULL && stream % 4 == 0)
        return pump_write(process->input, bytes, length, err);
    return 0;
}

int agent_stream_end(struct agent *agent, uint32_t stream, struct error *err)
{
    struct agent_process *process = agent_find_process(agent, stream / 4);

    if (process != NULL && stream % 4 == 0)
        return pump_finish(process->input, err);
    return 0;
}

int agent_stream_room(struct agent *agent, uint32_t stream, struct error *err)
{
    struct agent_process *process = agent_find_process(agent, stream / 4);
    struct pump *pump;

    if (process == NULL || stream % 4 == 0)
        return 0;
    if (process->has_exited)
        return finish(agent, process, err);
    pump = process->outputs[stream % 4 - 1];
    return pump != NULL ? pump_room(pump, err) : 0;
}
