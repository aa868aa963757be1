#include "microvm/session_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/wire.h"

/* The clients of control.sock, which only root of the host and this jail can reach: a client that
 * breaks the rules is dropped, and with it what it asked for. */

static void signal_process(struct session *session, uint32_t number, int signal)
{
    const struct agent_message message = { .type = (char *)"signal",
                                           .process = number,
                                           .signal = signal };

    agent_message_send(session->channel, &message);
    session_flush(session);
}

void session_free_client(struct session_client *client)
{
    struct session *session = client->session;
    struct session_client **link = &session->clients;

    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    session->client_count--;
    if (session->saver == client)
        session_save_end(session);
    if (client->process != NULL) {
        client->process->client = NULL;
        if (!client->process->has_exited)
            signal_process(session, client->process->number, SIGKILL);
    }
    if (client->waiting != NULL)
        wire_message_close(client->waiting);
    free(client->waiting);
    event_source_remove(client->source);
    (void)close(client->fd); /* a socket's close cannot fail */
    free(client);
}

/* A client that does not read its few answers is as good as gone; its socket then tells. */
void session_tell(struct session_client *client, uint32_t type, const void *payload, size_t length)
{
    if (client != NULL)
        (void)wire_send(client->fd, type, payload, length, NULL, 0, NULL);
}

void session_tell_started(struct session_process *process)
{
    session_tell(process->client, CONTROL_STARTED, NULL, 0);
}

static struct error failure(const struct agent_message *message)
{
    struct error error = { 0 };

    (void)error_set(&error, message->code > 0 && message->code < 4096 ? (int)message->code : EIO,
                    "%s", message->text != NULL ? message->text : "the agent does not say why");
    return error;
}

void session_tell_failed(struct session_process *process, const struct agent_message *message)
{
    const struct error error = failure(message);

    session_tell(process->client, CONTROL_FAILED, &error, sizeof(error));
}

void session_tell_exit(struct session_process *process)
{
    session_tell(process->client, CONTROL_EXITED, &process->status, sizeof(process->status));
}

void session_tell_answer(struct session *session, const struct agent_message *message)
{
    for (struct session_client *client = session->clients; client != NULL; client = client->next) {
        if (client->request == 0 || client->request != message->request)
            continue;
        client->request = 0;
        if (message->code != 0) {
            const struct error error = failure(message);

            session_tell(client, CONTROL_FAILED, &error, sizeof(error));
        } else {
            const char *text = message->text != NULL ? message->text : "";

            session_tell(client, CONTROL_ANSWER, text, strnlen(text, WIRE_PAYLOAD_MAX));
        }
    }
}

/* --- requests ------------------------------------------------------------------------------------
 */

static int read_spec(int fd, char **ret_json, struct error *err)
{
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_errno(err, "read the process of an exec");
    return fd_read_all(fd, CONTROL_SPEC_MAX, "the process of an exec", ret_json, NULL, err);
}

/* @type: of the message to the agent */
static int take_process(struct session_client *client, struct wire_message *wire, const char *type,
                        struct error *err)
{
    struct session *session = client->session;
    struct agent_message message = { .type = (char *)type };
    auto_free char *json = NULL;
    struct control_exec exec;
    int r;

    if (wire->length != sizeof(exec) || wire->fd_count != 4 || client->process != NULL)
        return error_set(err, EPROTO, "a malformed exec");
    if (session->state != SESSION_RUNNING || session->next_number > AGENT_PROCESS_MAX)
        return error_set(err, ESRCH, "container not running");
    r = read_spec(wire->fds[0], &json, err);
    if (r < 0)
        return r;
    memcpy(&exec, wire->payload, sizeof(exec));
    client->process = session_add_process(session);
    client->process->client = client;
    message.process = client->process->number;
    message.spec = json;
    message.rows = exec.size.rows;
    message.columns = exec.size.columns;
    agent_message_send(session->channel, &message);
    session_flush(session);
    return session_connect_streams(session, client->process, &wire->fds[1], err);
}

static int take_exec(struct session_client *client, struct wire_message *wire, struct error *err)
{
    return take_process(client, wire, "exec", err);
}

static int take_files(struct session_client *client, struct wire_message *wire, struct error *err)
{
    return take_process(client, wire, "files", err);
}

static int take_save(struct session_client *client, struct wire_message *wire, struct error *err)
{
    struct control_save save;

    if (wire->length != sizeof(save) || wire->fd_count != SESSION_SAVED)
        return error_set(err, EPROTO, "a malformed request to save");
    memcpy(&save, wire->payload, sizeof(save));
    return session_save_start(client->session, client, wire->fds, save.keeps_output != 0, err);
}

static int take_signal(struct session_client *client, struct wire_message *wire, struct error *err)
{
    int32_t signal;

    if (wire->length != sizeof(signal))
        return error_set(err, EPROTO, "a malformed signal");
    memcpy(&signal, wire->payload, sizeof(signal));
    if (client->process != NULL && !client->process->has_exited)
        signal_process(client->session, client->process->number, signal);
    return 0;
}

static int take_resize(struct session_client *client, struct wire_message *wire, struct error *err)
{
    struct agent_message message = { .type = (char *)"resize" };
    struct control_size size;

    if (wire->length != sizeof(size))
        return error_set(err, EPROTO, "a malformed size");
    memcpy(&size, wire->payload, sizeof(size));
    if (client->process == NULL || client->process->has_exited)
        return 0;
    message.process = client->process->number;
    message.rows = size.rows;
    message.columns = size.columns;
    agent_message_send(client->session->channel, &message);
    session_flush(client->session);
    return 0;
}

/* The machine itself answers. */
static int take_memory(struct session_client *client, const char *text, struct error *err)
{
    struct machine *machine = client->session->machine;
    uint64_t bytes = 0, given = 0;
    auto_free char *answer = NULL;
    int r;

    r = text_parse_u64(text, "memory", client->session->options->config->memory_bytes - 1, &bytes,
                       err);
    if (r == 0)
        r = machine_balloon(machine, bytes, err);
    if (r == 0)
        r = machine_given(machine, &given, err);
    if (r < 0)
        return r;
    answer = xasprintf("%llu", (unsigned long long)given);
    session_tell(client, CONTROL_ANSWER, answer, strlen(answer));
    return 0;
}

static int take_question(struct session_client *client, struct wire_message *wire,
                         struct error *err)
{
    static const char *const types[] = {
        [CONTROL_PROCESSES] = "processes",
        [CONTROL_USAGE] = "usage",
        [CONTROL_UPDATE] = "update",
        [CONTROL_CLOCK] = "clock",
    };
    struct session *session = client->session;
    struct agent_message message = { 0 };
    struct control_question question;

    if (wire->length < sizeof(question) || client->request != 0)
        return error_set(err, EPROTO, "a malformed question");
    memcpy(&question, wire->payload, sizeof(question));
    if (question.type >= ARRAY_SIZE(types))
        return error_set(err, EPROTO, "question %u is unknown", question.type);
    if (session->state != SESSION_RUNNING)
        return error_set(err, ESRCH, "container not running");
    if (question.type == CONTROL_MEMORY)
        return take_memory(client, wire->payload + sizeof(question), err);
    client->request = session->next_request++;
    message.type = (char *)types[question.type];
    message.request = client->request;
    message.time_ns = session_now_ns();
    if (wire->length > sizeof(question))
        message.spec = wire->payload + sizeof(question);
    agent_message_send(session->channel, &message);
    session_flush(session);
    return 0;
}

static const struct {
    uint32_t type;
    int (*handle)(struct session_client *client, struct wire_message *wire, struct error *err);
} requests[] = {
    { CONTROL_EXEC, take_exec },     { CONTROL_SIGNAL, take_signal },
    { CONTROL_RESIZE, take_resize }, { CONTROL_ASK, take_question },
    { CONTROL_FILES, take_files },   { CONTROL_SAVE, take_save },
};

static int take_request(struct session_client *client, struct wire_message *wire, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        if (requests[i].type == wire->type)
            return requests[i].handle(client, wire, err);
    }
    return error_set(err, EPROTO, "request %u is unknown", wire->type);
}

static void drop_client(struct session_client *client, const struct error *error)
{
    session_tell(client, CONTROL_FAILED, error, sizeof(*error));
    session_free_client(client);
}

void session_start_waiting(struct session *session)
{
    struct session_client *next;

    for (struct session_client *client = session->clients; client != NULL; client = next) {
        auto_free struct wire_message *wire = take_ptr(&client->waiting);
        struct error error = { 0 };
        int r = wire != NULL ? take_request(client, wire, &error) : 0;

        next = client->next;
        if (wire != NULL)
            wire_message_close(wire);
        if (r < 0)
            drop_client(client, &error);
    }
}

static int handle_client(struct event_source *source, uint32_t events, void *context,
                         struct error *err)
{
    auto_free struct wire_message *wire = xcalloc(1, sizeof(*wire));
    struct session_client *client = context;
    struct error error = { 0 };
    int r;

    (void)source;
    (void)events;
    (void)err;
    r = wire_receive(client->fd, wire, &error);
    if (r == -EAGAIN)
        return 0;
    if (r <= 0) {
        session_free_client(client);
        return 0;
    }
    /* A guest that boots or is saved is no failure: what is asked of it waits. A second request
     * before the first was taken is a signal to what does not run yet: it goes with its sender. */
    if (client->session->state < SESSION_RUNNING || client->session->saver != NULL) {
        if (client->waiting == NULL) {
            client->waiting = take_ptr(&wire);
            return 0;
        }
        wire_message_close(wire);
        session_free_client(client);
        return 0;
    }
    r = take_request(client, wire, &error);
    wire_message_close(wire);
    if (r < 0)
        drop_client(client, &error);
    return 0;
}

int session_accept(struct event_source *source, uint32_t events, void *context, struct error *err)
{
    struct session *session = context;
    struct session_client *client;
    int fd = -1;

    (void)events;
    /* Who came may be gone again. */
    if (wire_accept(event_source_fd(source), &fd, NULL) < 0)
        return 0;
    if (session->client_count == SESSION_CLIENTS_MAX || fd_set_nonblocking(fd, true, NULL) < 0) {
        (void)close(fd); /* the client sees the end */
        return 0;
    }
    client = xcalloc(1, sizeof(*client));
    client->session = session;
    client->fd = fd;
    client->next = session->clients;
    session->clients = client;
    session->client_count++;
    return event_loop_add(session->loop, fd, EPOLLIN, handle_client, client, &client->source, err);
}
