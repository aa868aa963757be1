#include "microvm/virtio_console.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* The guest's driver finds the ports by messages on a pair of control queues: it says that it is
 * ready, we add the ports, it says of each that it is ready, we tell its name and that our side is
 * open, it says when somebody opens or closes it (virtio 1.2, 5.3.6.2). What we have to tell waits
 * as flags until the driver has given buffers, so the guest cannot make it grow. */

enum { QUEUE_CONTROL_RECEIVE = 2, QUEUE_CONTROL_TRANSMIT, QUEUE_COUNT = 6 };

#define NAME_MAX_BYTES 64

/* What the guest has to be told of a port, in this order. */
enum { TELL_ADD, TELL_CONSOLE, TELL_NAME, TELL_OPEN, TELL_COUNT };

struct port {
    struct virtio_console_port config;
    unsigned stream;  /* of the device */
    uint32_t to_tell; /* bits 1 << TELL_... */
    bool is_added;
    bool is_guest_open; /* somebody in the guest reads */
    bool is_host_closed;
    bool is_sending; /* a chain whose bytes the socket did not take yet */
    struct virtqueue_chain sending;
};

struct virtio_console {
    struct virtio_device device;
    struct port ports[VIRTIO_CONSOLE_PORTS_MAX];
};

static_assert(QUEUE_COUNT == 2 + 2 * VIRTIO_CONSOLE_PORTS_MAX, "two queues for each port");
static_assert(QUEUE_COUNT <= VIRTIO_QUEUES_MAX, "too many queues");

/* Port 0 has the queues before those of the control messages. */
static unsigned receive_queue(const struct virtio_console *console, const struct port *port)
{
    size_t index = (size_t)(port - console->ports);

    return index == 0 ? 0 : (unsigned)(2 + 2 * index);
}

static unsigned transmit_queue(const struct virtio_console *console, const struct port *port)
{
    return receive_queue(console, port) + 1;
}

static bool is_present(const struct port *port)
{
    return port->config.fd >= 0;
}

/* --- control messages ------------------------------------------------------------------------ */

static bool put_message(struct virtio_console *console, const struct port *port, unsigned what,
                        struct guest_bytes *run)
{
    static const uint16_t events[TELL_COUNT] = { VIRTIO_CONSOLE_PORT_ADD,
                                                 VIRTIO_CONSOLE_CONSOLE_PORT,
                                                 VIRTIO_CONSOLE_PORT_NAME,
                                                 VIRTIO_CONSOLE_PORT_OPEN };
    const struct virtio_console_control message = {
        .id = (uint32_t)(port - console->ports),
        .event = events[what],
        .value = what == TELL_OPEN && port->is_host_closed ? 0 : 1,
    };

    return guest_bytes_put(run, &message, sizeof(message)) &&
           (what != TELL_NAME ||
            guest_bytes_put(run, port->config.name, strlen(port->config.name)));
}

/* False when the driver has no buffer for it now. */
static bool tell(struct virtio_console *console, struct port *port, unsigned what)
{
    struct virtio_device *device = &console->device;
    struct virtqueue_chain chain;
    size_t room;

    if (!virtio_device_next(device, QUEUE_CONTROL_RECEIVE, &chain))
        return false;
    room = chain.writable.length;
    if (!put_message(console, port, what, &chain.writable)) {
        virtio_device_break(device);
        return false;
    }
    virtio_device_finish(device, QUEUE_CONTROL_RECEIVE, chain.head, room - chain.writable.length);
    port->to_tell &= ~(1u << what);
    return true;
}

static void tell_all(struct virtio_console *console)
{
    for (size_t i = 0; i < VIRTIO_CONSOLE_PORTS_MAX; i++) {
        struct port *port = &console->ports[i];

        for (unsigned what = 0; what < TELL_COUNT; what++) {
            if ((port->to_tell & 1u << what) != 0 && !tell(console, port, what)) {
                virtio_device_interrupt(&console->device, QUEUE_CONTROL_RECEIVE);
                return;
            }
        }
    }
    virtio_device_interrupt(&console->device, QUEUE_CONTROL_RECEIVE);
}

/* --- bytes ------------------------------------------------------------------------------------ */

static void close_host_side(struct virtio_console *console, struct port *port)
{
    port->is_host_closed = true;
    virtio_device_watch(&console->device, port->stream, 0);
    if (port->is_added) {
        port->to_tell |= 1u << TELL_OPEN;
        tell_all(console);
    }
}

/* Sends as much as the socket takes. False when some bytes have to wait. */
static bool send_bytes(struct virtio_console *console, struct port *port)
{
    struct guest_bytes *run = &port->sending.readable;

    while (run->length > 0 && is_present(port) && !port->is_host_closed) {
        const struct msghdr message = { .msg_iov = run->segments, .msg_iovlen = run->count };
        ssize_t sent = sendmsg(port->config.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent >= 0)
            guest_bytes_skip(run, (size_t)sent);
        else if (errno == EAGAIN)
            return false;
        else if (errno != EINTR)
            close_host_side(console, port);
    }
    return true;
}

static void transmit(struct virtio_console *console, struct port *port)
{
    struct virtio_device *device = &console->device;
    unsigned queue = transmit_queue(console, port);

    for (unsigned left = VIRTIO_BATCH; left > 0; left--) {
        port->is_sending = port->is_sending || virtio_device_next(device, queue, &port->sending);
        if (!port->is_sending)
            break;
        if (!send_bytes(console, port)) {
            virtio_device_watch_more(device, port->stream, EPOLLOUT);
            virtio_device_interrupt(device, queue);
            return;
        }
        virtio_device_finish(device, queue, port->sending.head, 0);
        port->is_sending = false;
        if (left == 1)
            virtio_device_again(device, queue);
    }
    if (is_present(port))
        virtio_device_watch_less(device, port->stream, EPOLLOUT);
    virtio_device_interrupt(device, queue);
}

/* Fills one buffer of the guest. False when there are no bytes, or no buffer. */
static bool receive_bytes(struct virtio_console *console, struct port *port, unsigned queue)
{
    struct virtio_device *device = &console->device;
    struct virtqueue_chain chain;
    struct msghdr message = { 0 };
    ssize_t received;

    if (!virtio_device_next(device, queue, &chain)) {
        virtio_device_watch_less(device, port->stream, EPOLLIN);
        return false;
    }
    if (chain.writable.length == 0) {
        virtio_device_break(device);
        return false;
    }
    message.msg_iov = chain.writable.segments;
    message.msg_iovlen = chain.writable.count;
    received = recvmsg(port->config.fd, &message, MSG_DONTWAIT);
    if (received > 0) {
        virtio_device_finish(device, queue, chain.head, (size_t)received);
        return true;
    }
    virtqueue_undo(&device->queues[queue], 1);
    if (received == 0 || (errno != EAGAIN && errno != EINTR))
        close_host_side(console, port);
    return false;
}

static void receive(struct virtio_console *console, struct port *port)
{
    unsigned queue = receive_queue(console, port);
    unsigned left = VIRTIO_BATCH;

    if (!is_present(port) || !port->is_guest_open || port->is_host_closed)
        return;
    /* What is left over after so many is reported again. */
    virtio_device_watch_more(&console->device, port->stream, EPOLLIN);
    while (left > 0 && receive_bytes(console, port, queue))
        left--;
    virtio_device_interrupt(&console->device, queue);
}

/* --- what the driver says --------------------------------------------------------------------- */

static void add_ports(struct virtio_console *console)
{
    for (size_t i = 0; i < VIRTIO_CONSOLE_PORTS_MAX; i++) {
        struct port *port = &console->ports[i];

        if (is_present(port) && !port->is_added)
            port->to_tell |= 1u << TELL_ADD;
        port->is_added = is_present(port);
    }
}

static void set_guest_open(struct virtio_console *console, struct port *port, bool is_open)
{
    port->is_guest_open = is_open;
    if (is_open)
        receive(console, port);
    else
        virtio_device_watch_less(&console->device, port->stream, EPOLLIN);
}

static void hear(struct virtio_console *console, const struct virtio_console_control *message)
{
    struct port *port = NULL;

    if (message->event == VIRTIO_CONSOLE_DEVICE_READY) {
        if (message->value == 1)
            add_ports(console);
        return;
    }
    if (message->id < VIRTIO_CONSOLE_PORTS_MAX)
        port = &console->ports[message->id];
    if (port == NULL || !port->is_added)
        return;
    if (message->event == VIRTIO_CONSOLE_PORT_OPEN)
        set_guest_open(console, port, message->value != 0);
    else if (message->event == VIRTIO_CONSOLE_PORT_READY && message->value == 1)
        port->to_tell |=
            (port->config.is_console ? 1u << TELL_CONSOLE : 0) | 1u << TELL_NAME | 1u << TELL_OPEN;
}

static size_t serve_control(struct virtio_device *device, unsigned queue,
                            struct virtqueue_chain *chain)
{
    struct virtio_console_control message;

    (void)queue;
    if (guest_bytes_take(&chain->readable, &message, sizeof(message)))
        hear((struct virtio_console *)device, &message);
    return 0;
}

static void console_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_console *console = (struct virtio_console *)device;

    if (queue == QUEUE_CONTROL_TRANSMIT)
        virtio_device_serve(device, queue, serve_control);
    for (size_t i = 0; i < VIRTIO_CONSOLE_PORTS_MAX; i++) {
        if (queue == receive_queue(console, &console->ports[i]))
            receive(console, &console->ports[i]);
        else if (queue == transmit_queue(console, &console->ports[i]))
            transmit(console, &console->ports[i]);
    }
    tell_all(console);
}

static void console_io(struct virtio_device *device, unsigned stream, uint32_t events)
{
    struct virtio_console *console = (struct virtio_console *)device;
    struct port *port = &console->ports[0];

    (void)events; /* both directions look for themselves, and so find a hang-up */
    while (!is_present(port) || port->stream != stream)
        port++;
    if (port->is_sending)
        transmit(console, port);
    if ((device->streams[stream].wanted & EPOLLIN) != 0)
        receive(console, port);
}

static void console_reset(struct virtio_device *device)
{
    struct virtio_console *console = (struct virtio_console *)device;

    for (size_t i = 0; i < VIRTIO_CONSOLE_PORTS_MAX; i++) {
        struct port *port = &console->ports[i];

        port->to_tell = 0;
        port->is_added = false;
        port->is_guest_open = false;
        port->is_sending = false;
    }
}

/* A port as it stands in a file. */
struct saved_port {
    uint32_t to_tell;
    uint8_t is_added;
    uint8_t is_guest_open;
    uint8_t is_host_closed;
    uint8_t unused;
};

static int console_save(const struct virtio_device *device, struct state_writer *writer,
                        struct error *err)
{
    const struct virtio_console *console = (const struct virtio_console *)device;

    for (size_t i = 0; i < VIRTIO_CONSOLE_PORTS_MAX; i++) {
        const struct port *port = &console->ports[i];
        const struct saved_port saved = { .to_tell = port->to_tell,
                                          .is_added = port->is_added,
                                          .is_guest_open = port->is_guest_open,
                                          .is_host_closed = port->is_host_closed };

        if (port->is_sending)
            return error_set(err, EBUSY, "the guest's bytes for port '%s' are not read yet",
                             port->config.name);
        state_put(writer, &saved, sizeof(saved));
    }
    return 0;
}

/* The host's side is another one now, and open. */
static int console_restore(struct virtio_device *device, struct state_reader *reader,
                           struct error *err)
{
    struct virtio_console *console = (struct virtio_console *)device;

    for (size_t i = 0; i < VIRTIO_CONSOLE_PORTS_MAX; i++) {
        struct port *port = &console->ports[i];
        struct saved_port saved;
        int r;

        r = state_take(reader, &saved, sizeof(saved), err);
        if (r < 0)
            return r;
        if (saved.to_tell >= 1u << TELL_COUNT)
            return error_set(err, EBADMSG, "a port was saved in an impossible state");
        if (saved.is_added != 0 && !is_present(port))
            return error_set(err, EXDEV, "the saved machine had a port '%s'", port->config.name);
        port->to_tell = saved.to_tell;
        port->is_added = saved.is_added != 0;
        port->is_guest_open = saved.is_guest_open != 0;
        if (saved.is_host_closed != 0 && port->is_added)
            port->to_tell |= 1u << TELL_OPEN;
    }
    return 0;
}

static void console_free(struct virtio_device *device)
{
    free(device);
}

static const struct virtio_class console_class = {
    .name = "console",
    .id = VIRTIO_ID_CONSOLE,
    .notify = console_notify,
    .io = console_io,
    .reset = console_reset,
    .save = console_save,
    .restore = console_restore,
    .free = console_free,
};

struct virtio_device *virtio_console_open(
    const struct virtio_console_port ports[VIRTIO_CONSOLE_PORTS_MAX])
{
    const struct virtio_console_config config = { .max_nr_ports = VIRTIO_CONSOLE_PORTS_MAX };
    struct virtio_console *console = xcalloc(1, sizeof(*console));

    virtio_device_init(&console->device, &console_class, 1ull << VIRTIO_CONSOLE_F_MULTIPORT,
                       QUEUE_COUNT);
    virtio_device_set_config(&console->device, &config,
                             offsetof(struct virtio_console_config, emerg_wr));
    for (size_t i = 0; i < VIRTIO_CONSOLE_PORTS_MAX; i++) {
        struct port *port = &console->ports[i];

        port->config = ports[i];
        if (!is_present(port))
            continue;
        assert(strlen(ports[i].name) <= NAME_MAX_BYTES);
        port->stream = console->device.stream_count;
        virtio_device_add_stream(&console->device, ports[i].fd);
    }
    return &console->device;
}
