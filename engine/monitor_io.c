#include "engine/monitor_private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"
#include "base/process.h"

/* A monitor's streams and clients. */

static const uint32_t stream_messages[] = { MONITOR_STDOUT, MONITOR_STDERR };
static const uint32_t stream_flags[] = { MONITOR_HAS_STDOUT, MONITOR_HAS_STDERR };

bool monitor_is_held_up(const struct monitor *monitor)
{
    for (size_t i = 0; i < monitor->client_count; i++)
        if (client_has_queue(monitor->clients[i]))
            return true;
    return false;
}

/* --- output ------------------------------------------------------------------------------------
 */

static void pass_on(struct monitor *monitor, size_t index, const char *bytes, size_t length)
{
    struct timespec now;

    if (monitor->log != NULL) {
        (void)clock_gettime(CLOCK_REALTIME, &now);
        /* A full disk must not stop the container; the log goes on when there is room. */
        (void)monitor_log_add(monitor->log, index == 0 ? LOG_STDOUT : LOG_STDERR, bytes, length,
                              &now, NULL);
    }
    for (size_t i = 0; i < monitor->client_count; i++)
        if ((monitor->clients[i]->flags & stream_flags[index]) != 0)
            client_send(monitor->clients[i], stream_messages[index], bytes, length);
}

int monitor_read_output(struct monitor *monitor, size_t index)
{
    char bytes[MONITOR_CHUNK_MAX];
    ssize_t length;

    do {
        length = read(monitor->output_fds[index], bytes, sizeof(bytes));
    } while (length < 0 && errno == EINTR);
    if (length > 0) {
        pass_on(monitor, index, bytes, (size_t)length);
        return (int)length;
    }
    if (length < 0 && errno == EAGAIN)
        return 0;
    /* End of file; EIO is a terminal's. */
    close(take_fd(&monitor->output_fds[index]));
    if (index == 0)
        monitor->terminal_fd = -1;
    return -1;
}

/* What the dead wrote is in the pipe, at most its size; who else has the other end (a process
 * outside of the cgroup that was handed it) is not waited for, and cannot keep us by writing. */
static void drain_stream(struct monitor *monitor, size_t index)
{
    size_t left = fd_capacity(monitor->output_fds[index]);
    int length = 1;

    while (left > 0 && length > 0) {
        length = monitor_read_output(monitor, index);
        left -= length > 0 && (size_t)length < left ? (size_t)length : left;
    }
}

void monitor_drain_output(struct monitor *monitor)
{
    struct timespec now;

    for (size_t i = 0; i < ARRAY_SIZE(monitor->output_fds); i++)
        if (monitor->output_fds[i] >= 0)
            drain_stream(monitor, i);
    if (monitor->log != NULL) {
        (void)clock_gettime(CLOCK_REALTIME, &now);
        (void)monitor_log_flush(monitor->log, &now, NULL); /* as in pass_on() */
    }
}

static void close_stdin(struct monitor *monitor)
{
    if (monitor->stdin_fd >= 0)
        close(take_fd(&monitor->stdin_fd));
}

void monitor_close_streams(struct monitor *monitor)
{
    for (size_t i = 0; i < ARRAY_SIZE(monitor->output_fds); i++)
        if (monitor->output_fds[i] >= 0)
            close(take_fd(&monitor->output_fds[i]));
    if (monitor->slave_fd >= 0)
        close(take_fd(&monitor->slave_fd));
    monitor->terminal_fd = -1;
    close_stdin(monitor);
    slirp_stop(&monitor->slirp);
}

/* --- input -------------------------------------------------------------------------------------
 */

bool monitor_has_input(const struct monitor *monitor)
{
    for (size_t i = 0; i < monitor->client_count; i++)
        if (monitor->clients[i]->input != NULL)
            return true;
    return false;
}

static void drop_input(struct client *client)
{
    free(client->input);
    client->input = NULL;
    client_send(client, MONITOR_STDIN_TAKEN, NULL, 0);
}

/* The end of a client's input ends the container's only where the first client's input is all there
 * is (docker's StdinOnce); a terminal has no end of file of its own. */
static void end_input(struct monitor *monitor, struct client *client)
{
    client->has_input_end = true;
    if (client->input == NULL && monitor->record->settings.stdin_once && monitor->terminal_fd < 0)
        close_stdin(monitor);
}

static void write_input_of(struct monitor *monitor, struct client *client)
{
    ssize_t count;

    while (client->input != NULL && monitor->stdin_fd >= 0) {
        count = write(monitor->stdin_fd, client->input + client->input_done,
                      client->input_length - client->input_done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return;
        if (count < 0) { /* nobody reads it any more */
            close_stdin(monitor);
            break;
        }
        client->input_done += (size_t)count;
        if (client->input_done == client->input_length)
            drop_input(client);
    }
    if (client->input != NULL)
        drop_input(client);
    if (client->has_input_end)
        end_input(monitor, client);
}

void monitor_write_input(struct monitor *monitor)
{
    for (size_t i = 0; i < monitor->client_count; i++)
        if (monitor->clients[i]->input != NULL)
            write_input_of(monitor, monitor->clients[i]);
}

/* --- messages ----------------------------------------------------------------------------------
 */

static void take_input(struct monitor *monitor, struct client *client,
                       const struct wire_message *message)
{
    if ((client->flags & MONITOR_HAS_STDIN) == 0 || client->has_input_end)
        return;
    if (client->input != NULL) { /* more than it has credit for */
        client->is_dead = true;
        return;
    }
    client->input = xmemdup(message->payload, message->length);
    client->input_length = message->length;
    client->input_done = 0;
    write_input_of(monitor, client);
}

static void resize(const struct monitor *monitor, const struct wire_message *message)
{
    struct monitor_size size;
    struct winsize window = { 0 };

    if (message->length != sizeof(size) || monitor->terminal_fd < 0)
        return;
    memcpy(&size, message->payload, sizeof(size));
    window.ws_row = size.rows;
    window.ws_col = size.columns;
    (void)ioctl(monitor->terminal_fd, TIOCSWINSZ, &window); /* cannot fail for a terminal */
}

static void send_signal(const struct monitor *monitor, const struct wire_message *message)
{
    int32_t signal;

    if (message->length != sizeof(signal) || monitor->container == NULL)
        return;
    memcpy(&signal, message->payload, sizeof(signal));
    if (signal > 0 && signal < NSIG)
        (void)container_signal(monitor->container, signal, false,
                               NULL); /* it may just have ended */
}

/* The rest of the record is looked at when the container starts, or does not change. */
static void take_policy(struct monitor *monitor)
{
    AUTO(record) struct record *record = NULL;

    if (record_read(monitor->engine, monitor->id, &record, NULL) < 0)
        return; /* it is being removed */
    monitor->record->settings.restart = record->settings.restart;
    monitor->record->settings.restart_max = record->settings.restart_max;
}

static int pause_container(struct monitor *monitor, struct error *err)
{
    enum container_status status = CONTAINER_STOPPED;
    int r;

    if (monitor->state != MONITOR_RUNNING || monitor->container == NULL)
        return error_set(err, ESRCH, "container %.12s is not running", monitor->id);
    r = container_status(monitor->container, &status, err);
    if (r < 0)
        return r;
    if (status == CONTAINER_PAUSED)
        return error_set(err, EINVAL, "container %.12s is paused already", monitor->id);
    r = container_pause(monitor->container, err);
    /* Who kills a frozen process thaws it (stop.c). This one was killed before it was frozen. */
    if (r == 0 && process_is_killed(monitor->pid))
        (void)container_resume(monitor->container, NULL); /* it may have just ended */
    return r;
}

static void answer_pause(struct monitor *monitor, struct client *client)
{
    struct error err = { 0 };

    if (pause_container(monitor, &err) < 0)
        client_send(client, MONITOR_ERROR, &err, sizeof(err));
    else
        client_send(client, MONITOR_OK, NULL, 0);
}

static void handle(struct monitor *monitor, struct client *client,
                   const struct wire_message *message)
{
    struct monitor_attach attach;

    switch (message->type) {
    case MONITOR_START:
    case MONITOR_ATTACH:
        if (message->length != sizeof(attach))
            break;
        memcpy(&attach, message->payload, sizeof(attach));
        client->flags = attach.flags;
        if (message->type == MONITOR_ATTACH)
            client_send(client, MONITOR_OK, NULL, 0);
        return;
    case MONITOR_STDIN:
        take_input(monitor, client, message);
        return;
    case MONITOR_STDIN_END:
        if ((client->flags & MONITOR_HAS_STDIN) != 0)
            end_input(monitor, client);
        return;
    case MONITOR_RESIZE:
        resize(monitor, message);
        return;
    case MONITOR_SIGNAL:
        send_signal(monitor, message);
        return;
    case MONITOR_STOPPING:
        monitor->is_stopping = true;
        client_send(client, MONITOR_OK, NULL, 0);
        return;
    case MONITOR_WAIT:
        if (message->length != sizeof(client->wait))
            break;
        memcpy(&client->wait, message->payload, sizeof(client->wait));
        client->has_wait = true;
        return;
    case MONITOR_CHANGED:
        take_policy(monitor);
        client_send(client, MONITOR_OK, NULL, 0);
        return;
    case MONITOR_PAUSE:
        answer_pause(monitor, client);
        return;
    default:
        break;
    }
    client->is_dead = true; /* it does not speak our language */
}

void monitor_read_client(struct monitor *monitor, struct client *client)
{
    struct wire_message message;
    int r;

    while (!client->is_dead) {
        r = wire_receive(client->fd, &message, NULL);
        if (r == -EAGAIN)
            return;
        if (r <= 0) {
            client->is_dead = true;
            return;
        }
        wire_message_close(&message);
        handle(monitor, client, &message);
    }
}

void monitor_add_client(struct monitor *monitor, int fd)
{
    struct client *client;

    if (monitor->client_count == MONITOR_CLIENTS_MAX) {
        close(fd);
        return;
    }
    client = client_open(fd);
    monitor->clients[monitor->client_count++] = client;
    monitor_read_client(monitor, client); /* mostly its first message is there already */
}

void monitor_remove_dead_clients(struct monitor *monitor)
{
    for (size_t i = monitor->client_count; i > 0; i--) {
        struct client *client = monitor->clients[i - 1];

        if (!client->is_dead)
            continue;
        if ((client->flags & MONITOR_HAS_STDIN) != 0) {
            free(client->input);
            client->input = NULL;
            end_input(monitor, client);
        }
        client_free(client);
        monitor->clients[i - 1] = monitor->clients[--monitor->client_count];
    }
}

void monitor_tell_exit(struct monitor *monitor, bool only_next)
{
    int32_t status = monitor->exit_status;

    for (size_t i = 0; i < monitor->client_count; i++) {
        struct client *client = monitor->clients[i];

        if (only_next && !(client->has_wait && client->wait == MONITOR_WAIT_NEXT_EXIT))
            continue;
        client->has_wait = false;
        client_send(client, MONITOR_EXIT, &status, sizeof(status));
    }
}
