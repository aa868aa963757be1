#include "microvm/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* PID 1 of a microVM's guest: does what berth-vmm asks for over one port of the console, and makes
 * the container with the same library that makes containers on the host. */

#define PORT_READ_BYTES  65536
#define PORT_WRITE_BYTES 32768 /* the kernel takes no more at once (virtio_console.c) */

static int watch_port(struct agent *agent, struct error *err)
{
    return event_source_set(agent->port_source, EPOLLIN | (agent->waits_for_port ? EPOLLOUT : 0U),
                            err);
}

void agent_flush(void *context)
{
    struct agent *agent = context;
    const void *bytes;
    size_t length;
    bool waits = false;

    if (agent->is_frozen)
        return;
    while (!waits && (length = channel_output(agent->channel, &bytes)) > 0) {
        ssize_t done =
            write(agent->port_fd, bytes, length < PORT_WRITE_BYTES ? length : PORT_WRITE_BYTES);

        if (done < 0 && errno != EINTR)
            waits = true; /* also when the host is gone: then nothing is of use any more */
        if (done > 0)
            channel_sent(agent->channel, (size_t)done);
    }
    if (waits == agent->waits_for_port || agent->port_source == NULL)
        return;
    agent->waits_for_port = waits;
    (void)watch_port(agent, NULL); /* cannot fail: it is watched already */
}

/* --- requests ------------------------------------------------------------------------------------
 */

static void do_signal(struct agent *agent, const struct agent_message *message)
{
    const struct agent_process *process = agent_find_process(agent, message->process);

    /* Whoever is gone got it too late. */
    if (process == NULL || process->has_exited)
        return;
    if (message->is_to_all && agent->container != NULL)
        (void)container_signal(agent->container, message->signal, true, NULL);
    else
        (void)kill(process->pid, message->signal);
}

static void do_resize(struct agent *agent, const struct agent_message *message)
{
    struct agent_process *process = agent_find_process(agent, message->process);

    if (process != NULL)
        agent_resize(process, message->rows, message->columns);
}

static void do_power_off(struct agent *agent, const struct agent_message *message)
{
    (void)message;
    if (agent->container != NULL)
        (void)container_delete(agent->container, true, NULL); /* the machine ends in any case */
    agent_power_off();
}

/* Who has read the reply has read all that was ever said. What is to be said afterwards waits in
 * the channel, which is in the memory that is saved. */
static void do_freeze(struct agent *agent, const struct agent_message *message)
{
    const struct agent_message reply = { .type = (char *)"reply", .request = message->request };
    struct pollfd port = { .fd = agent->port_fd, .events = POLLOUT };

    agent_message_send(agent->channel, &reply);
    for (agent_flush(agent); agent->waits_for_port; agent_flush(agent))
        (void)poll(&port, 1, -1); /* tried again in any case */
    agent->is_frozen = true;
}

/* What cannot be set up again is no reason to end what runs. */
static void do_thaw(struct agent *agent, const struct agent_message *message)
{
    struct error error = { 0 };

    if (message->setup != NULL && agent_set_up_again(message->setup, &error) < 0)
        log_warning("%s", error.message);
    agent->is_frozen = false;
    agent_flush(agent);
}

static const struct {
    const char *type;
    agent_answer *answer;
} questions[] = {
    { "processes", agent_answer_processes },
    { "usage", agent_answer_usage },
    { "update", agent_answer_update },
    { "clock", agent_answer_clock },
};

static void do_answer(struct agent *agent, const struct agent_message *request,
                      agent_answer *answer)
{
    auto_free char *text = NULL;
    struct error error = { 0 };
    struct agent_message message = { .type = (char *)"reply", .request = request->request };

    if (answer(agent, request, &text, &error) < 0) {
        message.code = (uint32_t)error.code;
        message.text = error.message;
    } else {
        message.text = text;
    }
    agent_message_send(agent->channel, &message);
    agent_flush(agent);
}

static const struct {
    const char *type;
    void (*handle)(struct agent *agent, const struct agent_message *message);
} requests[] = {
    { "start", agent_start_container },
    { "exec", agent_start_process },
    { "files", agent_start_files },
    { "signal", do_signal },
    { "resize", do_resize },
    { "freeze", do_freeze },
    { "thaw", do_thaw },
    { "power-off", do_power_off },
};

static int take_message(void *context, const char *text, size_t length, struct error *err)
{
    AUTO(agent_message) struct agent_message *message = NULL;
    int r;

    r = agent_message_decode(text, length, &message, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        if (text_equal(requests[i].type, message->type)) {
            requests[i].handle(context, message);
            return 0;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
        if (text_equal(questions[i].type, message->type)) {
            do_answer(context, message, questions[i].answer);
            return 0;
        }
    }
    return error_set(err, EPROTO, "'%s' is not for the agent", message->type);
}

static int take_data(void *context, uint32_t stream, const void *bytes, size_t length,
                     struct error *err)
{
    return agent_stream_data(context, stream, bytes, length, err);
}

static int take_end(void *context, uint32_t stream, struct error *err)
{
    return agent_stream_end(context, stream, err);
}

static int take_room(void *context, uint32_t stream, struct error *err)
{
    return agent_stream_room(context, stream, err);
}

static const struct channel_handlers handlers = {
    .message = take_message,
    .data = take_data,
    .end = take_end,
    .room = take_room,
};

/* --- events --------------------------------------------------------------------------------------
 */

static int handle_port(struct event_source *source, uint32_t events, void *context,
                       struct error *err)
{
    static char bytes[PORT_READ_BYTES];
    struct agent *agent = context;
    ssize_t length;

    (void)source;
    if ((events & EPOLLOUT) != 0)
        agent_flush(agent);
    length = read(agent->port_fd, bytes, sizeof(bytes));
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (length < 0)
        return error_errno(err, "read from berth-vmm");
    if (length == 0)
        return error_set(err, EPIPE, "berth-vmm has closed the channel");
    return channel_receive(agent->channel, bytes, (size_t)length, err);
}

static int handle_signals(struct event_source *source, uint32_t events, void *context,
                          struct error *err)
{
    struct signalfd_siginfo info;

    (void)events;
    while (read(event_source_fd(source), &info, sizeof(info)) == (ssize_t)sizeof(info))
        continue;
    return agent_reap(context, err);
}

/* The first write waits until berth-vmm has its end of the port open, which others would not. */
static int say_hello(struct agent *agent, struct error *err)
{
    const struct agent_message message = { .type = (char *)"hello", .version = AGENT_VERSION };

    agent_message_send(agent->channel, &message);
    agent_flush(agent);
    return fd_set_nonblocking(agent->port_fd, true, err);
}

static int serve(struct agent *agent, struct error *err)
{
    static const int signals[] = { SIGCHLD, 0 };
    auto_close int signal_fd = -1;
    int r;

    r = event_loop_open(&agent->loop, err);
    if (r == 0)
        r = runtime_open("/run", &agent->runtime, err);
    if (r == 0)
        r = event_open_signals(signals, &signal_fd, err);
    if (r == 0)
        r = event_loop_add(agent->loop, signal_fd, EPOLLIN, handle_signals, agent, NULL, err);
    if (r == 0)
        r = say_hello(agent, err);
    if (r == 0)
        r = event_loop_add(agent->loop, agent->port_fd, EPOLLIN, handle_port, agent,
                           &agent->port_source, err);
    if (r < 0)
        return r;
    return event_loop_run(agent->loop, err);
}

static int run(struct error *err)
{
    struct agent agent = { .port_fd = -1, .initramfs_fd = -1 };
    int r;

    r = agent_boot(&agent.initramfs_fd, err);
    if (r == 0)
        r = fd_open_standard(err);
    if (r < 0)
        return r;
    log_configure("berth-agent", open("/dev/kmsg", O_WRONLY | O_CLOEXEC), LOG_PLAIN, false);
    r = agent_load_modules(agent.initramfs_fd, "core", err);
    if (r == 0)
        r = agent_open_port(1, &agent.port_fd, err);
    if (r < 0)
        return r;
    agent.channel = channel_new(&handlers, &agent, AGENT_MESSAGE_MAX, true);
    return serve(&agent, err);
}

int main(void)
{
    struct error err = { 0 };

    if (run(&err) < 0)
        log_error("%s", err.message);
    agent_power_off();
}
