#include "microvm/session_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"

/* A guest that has not said a word by then never will; an emulated one needs some seconds. */
#define BOOT_TIMEOUT_MS 120000
/* For a guest to write back what it has in memory. */
#define POWER_OFF_TIMEOUT_MS 30000
#define AGENT_READ_BYTES     65536

/* --- signals -------------------------------------------------------------------------------------
 */

int session_open_signals(int *ret_fd, struct error *err)
{
    int signals[NSIG] = { 0 };
    size_t count = 0;

    for (int i = 1; i < NSIG; i++) {
        /* Those between 31 and SIGRTMIN are the C library's own. */
        if (i != SIGKILL && i != SIGSTOP && (i < 32 || i >= SIGRTMIN))
            signals[count++] = i;
    }
    return event_open_signals(signals, ret_fd, err);
}

static void send_signal(struct session *session, int signal)
{
    const struct agent_message message = { .type = (char *)"signal",
                                           .process = AGENT_FIRST,
                                           .signal = signal };

    /* Who asks for the end before anything runs gets it: the first process of a pid namespace would
     * ignore these signals until it has handlers for them (pid_namespaces(7)). */
    if (session->state < SESSION_RUNNING &&
        (signal == SIGTERM || signal == SIGINT || signal == SIGQUIT || signal == SIGHUP)) {
        session->result = 128 + signal;
        event_loop_stop(session->loop, 0);
        return;
    }
    if (session->state < SESSION_RUNNING || session->saver != NULL) {
        (void)sigaddset(&session->early_signals, signal); /* a valid one, it came */
        return;
    }
    if (session->state == SESSION_RUNNING) {
        agent_message_send(session->channel, &message);
        session_flush(session);
    }
}

void session_send_early_signals(struct session *session)
{
    const sigset_t signals = session->early_signals;

    (void)sigemptyset(&session->early_signals); /* cannot fail */
    for (int i = 1; i < NSIG; i++) {
        if (sigismember(&signals, i) == 1)
            send_signal(session, i);
    }
}

static void send_size(struct session *session)
{
    struct agent_message message = { .type = (char *)"resize", .process = AGENT_FIRST };

    if (session->state != SESSION_RUNNING || !session->has_terminal || session->saver != NULL ||
        !terminal_mode_size(STDIN_FILENO, &message.rows, &message.columns))
        return;
    agent_message_send(session->channel, &message);
    session_flush(session);
}

static int handle_signals(struct event_source *source, uint32_t events, void *context,
                          struct error *err)
{
    struct session *session = context;
    struct signalfd_siginfo info;

    (void)events;
    (void)err;
    while (read(event_source_fd(source), &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        int signal = (int)info.ssi_signo;

        if (signal == SIGWINCH && session->has_terminal)
            send_size(session);
        /* SIGPIPE is our own writes', SIGCHLD our own children's. */
        else if (signal != SIGPIPE && signal != SIGCHLD)
            send_signal(session, signal);
    }
    return 0;
}

/* --- sending -------------------------------------------------------------------------------------
 */

/* While the machine is saved a last word goes out, and no other (session_save.c). */
static size_t sendable(const struct session *session, const void **ret_bytes)
{
    const size_t length = channel_output(session->channel, ret_bytes);

    return session->saver != NULL && session->save_unsent < length ? session->save_unsent : length;
}

static void note_sent(struct session *session, size_t length)
{
    channel_sent(session->channel, length);
    if (session->saver != NULL)
        session->save_unsent -= length;
}

void session_flush(void *context)
{
    struct session *session = context;
    const void *bytes;
    size_t length;
    bool waits = false;

    while (!waits && (length = sendable(session, &bytes)) > 0) {
        ssize_t done = send(session->options->agent_fd, bytes, length, MSG_NOSIGNAL);

        if (done >= 0)
            note_sent(session, (size_t)done);
        else if (errno != EINTR)
            waits = true; /* or the machine is gone, which its descriptor tells */
    }
    if (waits == session->waits_for_agent || session->agent_source == NULL)
        return;
    session->waits_for_agent = waits;
    /* Cannot fail: it is watched already. */
    (void)event_source_set(session->agent_source, EPOLLIN | (waits ? EPOLLOUT : 0U), NULL);
}

/* What a pump has done. A process whose last output it was cannot be freed from within the pump. */
static void pumped(void *context)
{
    struct session *session = context;

    session_flush(session);
    for (const struct session_process *process = session->processes; process != NULL;
         process = process->next) {
        if (process->has_exited && !pump_is_busy(process->outputs[0]) &&
            !pump_is_busy(process->outputs[1]))
            (void)eventfd_write(session->finish_fd, 1); /* its counter is never full */
    }
}

static int handle_finish(struct event_source *source, uint32_t events, void *context,
                         struct error *err)
{
    struct session *session = context;
    struct session_process *next;
    eventfd_t count;
    int r = 0;

    (void)events;
    (void)eventfd_read(event_source_fd(source), &count); /* only resets it */
    for (struct session_process *process = session->processes; process != NULL && r == 0;
         process = next) {
        next = process->next;
        r = session_finish_process(session, process, err);
    }
    return r;
}

/* --- processes -----------------------------------------------------------------------------------
 */

struct session_process *session_find_process(struct session *session, uint32_t number)
{
    for (struct session_process *process = session->processes; process != NULL;
         process = process->next) {
        if (process->number == number)
            return process;
    }
    return NULL;
}

struct session_process *session_add_process(struct session *session)
{
    struct session_process *process = xcalloc(1, sizeof(*process));

    process->number = session->next_number++;
    process->next = session->processes;
    session->processes = process;
    for (int i = 0; i < 3; i++)
        channel_stream_open(session->channel, agent_stream(process->number, i));
    return process;
}

int session_connect_streams(struct session *session, struct session_process *process, int fds[3],
                            struct error *err)
{
    for (int i = fds[0] < 0 ? 1 : 0; i < 3; i++) {
        struct pump **pump = i == 0 ? &process->input : &process->outputs[i - 1];
        int r = pump_open(session->loop, session->channel, agent_stream(process->number, i), fds[i],
                          i == 0, pumped, session, pump, err);

        if (r < 0)
            return r;
        (void)take_fd(&fds[i]);
    }
    return 0;
}

void session_free_process(struct session *session, struct session_process *process)
{
    struct session_process **link = &session->processes;

    while (*link != process)
        link = &(*link)->next;
    *link = process->next;
    if (process->client != NULL)
        process->client->process = NULL;
    pump_free(process->input);
    pump_free(process->outputs[0]);
    pump_free(process->outputs[1]);
    for (int i = 0; i < 3; i++)
        channel_stream_close(session->channel, agent_stream(process->number, i));
    free(process);
}

/* --- the end -------------------------------------------------------------------------------------
 */

/* Whether the guest has something in memory that belongs elsewhere. */
static bool has_lasting_files(const struct vm_config *config)
{
    return config->shares.count > 0 || text_equal(config->root.upper, "disk");
}

static int begin_end(struct session *session, int result, struct error *err)
{
    const struct agent_message power_off = { .type = (char *)"power-off" };

    session->state = SESSION_ENDING;
    session->result = result;
    if (!has_lasting_files(session->options->config)) {
        event_loop_stop(session->loop, 0);
        return 0;
    }
    agent_message_send(session->channel, &power_off);
    session_flush(session);
    return event_set_timer(session->timer_fd, POWER_OFF_TIMEOUT_MS, 0, err);
}

static void note_oom(const struct session *session)
{
    if (session->options->oom_fd >= 0)
        (void)!write(session->options->oom_fd, "1", 1); /* only told to who asks */
}

int session_finish_process(struct session *session, struct session_process *process,
                           struct error *err)
{
    uint32_t status = process->status;

    if (!process->has_exited || pump_is_busy(process->outputs[0]) ||
        pump_is_busy(process->outputs[1]))
        return 0;
    if (process->number == AGENT_FIRST) {
        session_free_process(session, process);
        return begin_end(session, (int)status, err);
    }
    session_tell_exit(process);
    session_free_process(session, process);
    return 0;
}

/* --- what the agent says -------------------------------------------------------------------------
 */

uint64_t session_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct agent_setup session_make_setup(const struct session *session, char *seed)
{
    const struct vm_config *config = session->options->config;
    struct agent_setup setup = *session->options->setup;

    setup.time_ns = session_now_ns();
    setup.seed = seed;
    setup.root = config->root;
    setup.shares = config->shares;
    setup.files = config->files;
    return setup;
}

static int start_container(struct session *session, struct error *err)
{
    const struct vm_config *config = session->options->config;
    auto_free char *seed = text_random_hex(AGENT_SEED_BYTES * 2);
    struct agent_setup setup = session_make_setup(session, seed);
    struct agent_message message = {
        .type = (char *)"start", .process = AGENT_FIRST, .setup = &setup, .spec = config->guest
    };

    session->state = SESSION_STARTING;
    if (session->has_terminal)
        (void)terminal_mode_size(STDIN_FILENO, &message.rows, &message.columns);
    (void)session_add_process(session);
    agent_message_send(session->channel, &message);
    session_flush(session);
    return event_set_timer(session->timer_fd, 0, 0, err);
}

static int write_snapshot(struct session *session, struct error *err)
{
    const struct warm_snapshot *snapshot = session->options->snapshot;
    int r;

    r = machine_pause(session->machine, err);
    if (r == 0)
        r = machine_save(session->machine, snapshot->state_fd, snapshot->memory_fd, err);
    if (r == 0)
        r = warm_snapshot_commit(snapshot, err);
    return r;
}

/* The agent is silent from its hello until it is asked for something, and knows nothing yet that
 * another container must not see. This machine goes on in any case. */
static int make_snapshot(struct session *session, struct error *err)
{
    struct error reason = { 0 };

    if (session->options->snapshot == NULL)
        return 0;
    if (write_snapshot(session, &reason) < 0) {
        log_warning("no other microVM can be started from this one: %s", reason.message);
        (void)warm_snapshot_abandon(session->options->snapshot, NULL); /* the next start does */
    }
    /* No workload runs while something of it can still be written. */
    warm_snapshot_clear(session->options->snapshot);
    return machine_resume(session->machine, err);
}

static int handle_hello(struct session *session, const struct agent_message *hello,
                        struct error *err)
{
    int r;

    if (session->state != SESSION_BOOTING)
        return error_set(err, EPROTO, "hello comes twice");
    if (hello->version != AGENT_VERSION)
        return error_set(err, EPROTO, "the agent has version %u, not %d", hello->version,
                         AGENT_VERSION);
    r = make_snapshot(session, err);
    return r < 0 ? r : start_container(session, err);
}

int session_connect_first(struct session *session, struct session_process *process, bool has_input,
                          struct error *err)
{
    int fds[3] = { -1, -1, -1 };
    int r = 0;

    for (int i = has_input ? 0 : 1; i < 3 && r == 0; i++) {
        fds[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
        if (fds[i] < 0)
            r = error_errno(err, "duplicate descriptor %d", i);
    }
    if (r == 0)
        r = session_connect_streams(session, process, fds, err);
    for (size_t i = 0; i < 3; i++)
        auto_close_cleanup(&fds[i]);
    return r;
}

static int handle_started(struct session *session, const struct agent_message *message,
                          struct error *err)
{
    struct session_process *process = session_find_process(session, message->process);
    int r;

    if (process == NULL || process->is_started)
        return error_set(err, EPROTO, "process %u cannot have started", message->process);
    process->is_started = true;
    if (process->number != AGENT_FIRST) {
        session_tell_started(process);
        return 0;
    }
    session->state = SESSION_RUNNING;
    r = session_connect_first(session, process, true, err);
    if (r < 0)
        return r;
    session_send_early_signals(session);
    session_start_waiting(session);
    return 0;
}

static int handle_failed(struct session *session, const struct agent_message *message,
                         struct error *err)
{
    struct session_process *process = session_find_process(session, message->process);

    if (process == NULL || process->is_started)
        return error_set(err, EPROTO, "process %u cannot fail to start", message->process);
    if (process->number != AGENT_FIRST) {
        session_tell_failed(process, message);
        session_free_process(session, process);
        return 0;
    }
    (void)error_set(&session->error,
                    message->code > 0 && message->code < 4096 ? (int)message->code : EIO, "%s",
                    message->text != NULL ? message->text : "the agent does not say why");
    session_free_process(session, process);
    return begin_end(session, -session->error.code, err);
}

static int handle_exited(struct session *session, const struct agent_message *message,
                         struct error *err)
{
    struct session_process *process = session_find_process(session, message->process);

    if (process == NULL || !process->is_started || process->has_exited)
        return error_set(err, EPROTO, "process %u cannot have ended", message->process);
    process->has_exited = true;
    process->status = message->status;
    if (message->is_oom && process->number == AGENT_FIRST)
        note_oom(session);
    return session_finish_process(session, process, err);
}

static int handle_reply(struct session *session, const struct agent_message *message,
                        struct error *err)
{
    (void)err;
    if (!session_save_take_reply(session, message))
        session_tell_answer(session, message);
    return 0;
}

static const struct {
    const char *type;
    int (*handle)(struct session *session, const struct agent_message *message, struct error *err);
} words[] = {
    { "hello", handle_hello },   { "started", handle_started }, { "failed", handle_failed },
    { "exited", handle_exited }, { "reply", handle_reply },
};

static int take_message(void *context, const char *text, size_t length, struct error *err)
{
    AUTO(agent_message) struct agent_message *message = NULL;
    struct session *session = context;
    int r;

    r = agent_message_decode(text, length, &message, err);
    if (r < 0)
        return r;
    if (session->state == SESSION_ENDING)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (text_equal(words[i].type, message->type))
            return words[i].handle(session, message, err);
    }
    return error_set(err, EPROTO, "'%s' is not for berth-vmm", message->type);
}

/* A stream is open as long as its process is here, so it is found. */
static int take_data(void *context, uint32_t stream, const void *bytes, size_t length,
                     struct error *err)
{
    struct session_process *process = session_find_process(context, stream / 4);
    struct pump *pump = stream % 4 > 0 ? process->outputs[stream % 4 - 1] : NULL;

    if (pump == NULL || process->has_exited)
        return error_set(err, EPROTO, "data on stream %u", stream);
    return pump_write(pump, bytes, length, err);
}

static int take_end(void *context, uint32_t stream, struct error *err)
{
    struct session_process *process = session_find_process(context, stream / 4);
    struct pump *pump = stream % 4 > 0 ? process->outputs[stream % 4 - 1] : NULL;

    /* A terminal's second output ends before the process has started. */
    if (pump == NULL)
        return 0;
    return pump_finish(pump, err);
}

static int take_room(void *context, uint32_t stream, struct error *err)
{
    struct session_process *process = session_find_process(context, stream / 4);

    if (stream % 4 == 0 && process->input != NULL)
        return pump_room(process->input, err);
    return 0;
}

static const struct channel_handlers handlers = {
    .message = take_message,
    .data = take_data,
    .end = take_end,
    .room = take_room,
};

/* --- events --------------------------------------------------------------------------------------
 */

static int handle_agent(struct event_source *source, uint32_t events, void *context,
                        struct error *err)
{
    static char bytes[AGENT_READ_BYTES];
    struct session *session = context;
    ssize_t length;
    int r;

    if ((events & EPOLLOUT) != 0)
        session_flush(session);
    length = recv(session->options->agent_fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (length <= 0) {
        /* The machine is gone, which its own descriptor tells, with the reason. */
        event_source_remove(source);
        session->agent_source = NULL;
        return 0;
    }
    r = channel_receive(session->channel, bytes, (size_t)length, err);
    return r < 0 ? error_prefix(err, r, "the guest's agent") : 0;
}

static int handle_machine_end(struct event_source *source, uint32_t events, void *context,
                              struct error *err)
{
    struct session *session = context;
    struct error reason = { 0 };
    enum machine_end end;

    (void)source;
    (void)events;
    end = machine_end(session->machine, &reason);
    if (session->state == SESSION_ENDING) {
        event_loop_stop(session->loop, 0);
        return 0;
    }
    if (end == MACHINE_FAILED)
        return error_set(err, EIO, "the machine failed: %s", reason.message);
    if (end == MACHINE_PANIC)
        return error_set(err, EIO, "%s", reason.code != 0 ? reason.message : "the guest panicked");
    return error_set(err, EIO, "the guest %s before its process ended",
                     end == MACHINE_RESET ? "was reset" : "switched itself off");
}

static int handle_timer(struct event_source *source, uint32_t events, void *context,
                        struct error *err)
{
    struct session *session = context;
    uint64_t count;

    (void)events;
    if (read(event_source_fd(source), &count, sizeof(count)) < 0)
        return 0;
    if (session->state == SESSION_BOOTING)
        return error_set(err, ETIMEDOUT, "the guest's agent did not come up in %d s",
                         BOOT_TIMEOUT_MS / 1000);
    if (session->state == SESSION_RUNNING) {
        if (session->saver != NULL)
            session_save_give_up(session);
        return 0;
    }
    log_warning("the guest does not switch off; what it had not written to its disk is lost");
    event_loop_stop(session->loop, 0);
    return 0;
}

static int open_events(struct session *session, struct error *err)
{
    int r;

    session->finish_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (session->finish_fd < 0)
        return error_errno(err, "make an event");
    r = event_loop_open(&session->loop, err);
    if (r == 0)
        r = event_open_timer(&session->timer_fd, err);
    return r;
}

static int watch_all(struct session *session, struct error *err)
{
    const struct session_options *options = session->options;
    struct {
        int fd;
        event_handler *handler;
    } const sources[] = {
        { session->finish_fd, handle_finish },
        { session->timer_fd, handle_timer },
        { options->signal_fd, handle_signals },
        { options->listen_fd, session_accept },
        { machine_end_fd(session->machine), handle_machine_end },
    };
    int r;

    r = event_loop_add(session->loop, options->agent_fd, EPOLLIN, handle_agent, session,
                       &session->agent_source, err);
    for (size_t i = 0; i < ARRAY_SIZE(sources) && r == 0; i++)
        r = event_loop_add(session->loop, sources[i].fd, EPOLLIN, sources[i].handler, session, NULL,
                           err);
    if (r == 0 && options->saved != NULL)
        return session_resume(session, err);
    if (r == 0)
        r = event_set_timer(session->timer_fd, BOOT_TIMEOUT_MS, 0, err);
    return r == 0 && options->is_loaded ? start_container(session, err) : r;
}

int session_open(const struct session_options *options, struct session **ret_session,
                 struct error *err)
{
    AUTO(session) struct session *session = xcalloc(1, sizeof(*session));
    int r;

    session->options = options;
    session->timer_fd = session->finish_fd = -1;
    for (size_t i = 0; i < SESSION_SAVED; i++)
        session->save_fds[i] = -1;
    session->next_number = AGENT_FIRST;
    session->next_request = 1;
    session->has_terminal = options->config->has_terminal;
    (void)sigemptyset(&session->early_signals);
    session->channel = channel_new(&handlers, session, AGENT_ANSWER_MAX, false);
    r = open_events(session, err);
    if (r < 0)
        return r;
    *ret_session = take_ptr(&session);
    return 0;
}

/* Whoever waits for a process is told that it ended with its machine. */
static void end_processes(struct session *session)
{
    session->saver = NULL; /* sees the end of its connection */
    while (session->processes != NULL) {
        struct session_process *process = session->processes;

        process->status = 128 + SIGKILL;
        session_tell_exit(process);
        session_free_process(session, process);
    }
    while (session->clients != NULL)
        session_free_client(session->clients);
}

void session_free(struct session *session)
{
    if (session == NULL)
        return;
    event_loop_free(session->loop);
    channel_free(session->channel);
    auto_close_cleanup(&session->timer_fd);
    auto_close_cleanup(&session->finish_fd);
    free(session);
}

int session_run(struct session *session, struct machine *machine, struct error *err)
{
    int r;

    session->machine = machine;
    r = watch_all(session, err);
    if (r == 0) {
        if (session->has_terminal)
            terminal_mode_set_raw(&session->terminal, STDIN_FILENO);
        r = event_loop_run(session->loop, err);
        terminal_mode_restore(&session->terminal, STDIN_FILENO);
    }
    end_processes(session);
    if (r < 0)
        return r;
    if (session->result < 0)
        *err = session->error;
    return session->result;
}
