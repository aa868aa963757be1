#include "microvm/virtio_net.h"

#include <assert.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUE_COUNT };

/* The header that a tap device and a virtio network card both put before a packet. */
#define HEADER_BYTES sizeof(struct virtio_net_hdr_mrg_rxbuf)
/* A segment that the other side cuts into packets, with its Ethernet header and two VLAN tags. */
#define PACKET_BYTES_MAX (HEADER_BYTES + 65535 + 22)

#define BIT(feature) (1ull << (feature))

#define OFFERED                                                                                    \
    (BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CSUM) |                \
     BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) |      \
     BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |  \
     BIT(VIRTIO_NET_F_GUEST_ECN))

struct virtio_net {
    struct virtio_device device;
    int tap_fd;
    size_t packet_length; /* of a packet that the guest has not got yet; 0: there is none */
    uint8_t packet[PACKET_BYTES_MAX];
};

/* --- to the guest ----------------------------------------------------------------------------- */

/* Takes a packet from the tap device. False when there is none. */
static bool fetch_packet(struct virtio_net *net)
{
    ssize_t length;

    if (net->packet_length > 0)
        return true;
    length = read(net->tap_fd, net->packet, sizeof(net->packet));
    if (length < (ssize_t)HEADER_BYTES)
        return false;
    net->packet_length = (size_t)length;
    return true;
}

/* Puts the piece of the packet that begins at @done into one buffer; returns its length. */
static size_t fill_buffer(struct virtio_net *net, struct virtqueue_chain *chain, size_t done)
{
    size_t left = net->packet_length - done;
    size_t piece = left < chain->writable.length ? left : chain->writable.length;

    (void)guest_bytes_put(&chain->writable, net->packet + done, piece); /* there is room */
    virtqueue_put(&net->device.queues[QUEUE_RECEIVE], chain->head, (uint32_t)piece);
    return piece;
}

/* Whether a buffer can be used: the header stands in one piece at its beginning, as with all
 * drivers. */
static bool is_buffer(const struct virtqueue_chain *chain)
{
    return chain->readable.count == 0 && chain->writable.count > 0 &&
           chain->segments[0].iov_len >= HEADER_BYTES;
}

/* Puts the packet into as many buffers as it needs. False when there are too few: it waits. */
static bool deliver_packet(struct virtio_net *net)
{
    struct virtio_device *device = &net->device;
    struct virtqueue *queue = &device->queues[QUEUE_RECEIVE];
    bool may_merge = virtio_device_has(device, VIRTIO_NET_F_MRG_RXBUF);
    uint8_t *header = NULL; /* in the first buffer */
    uint16_t buffers = 0;

    for (size_t done = 0; done < net->packet_length;) {
        struct virtqueue_chain chain;

        if (!virtio_device_next(device, QUEUE_RECEIVE, &chain)) {
            virtqueue_undo(queue, buffers);
            return false;
        }
        if (!is_buffer(&chain)) {
            virtio_device_break(device);
            return false;
        }
        if (header == NULL)
            header = chain.segments[0].iov_base;
        done += fill_buffer(net, &chain, done);
        buffers++;
        if (!may_merge)
            break; /* the rest of a packet that is too long is lost */
    }
    memcpy(header + offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers), &buffers,
           sizeof(buffers));
    virtqueue_publish(queue);
    net->packet_length = 0;
    return true;
}

static void receive(struct virtio_net *net)
{
    struct virtio_device *device = &net->device;

    /* What is left over after so many is reported again. */
    for (unsigned left = VIRTIO_BATCH; left > 0 && fetch_packet(net); left--) {
        if (!deliver_packet(net))
            break;
    }
    virtio_device_interrupt(device, QUEUE_RECEIVE);
    /* Without buffers the tap device keeps, and at last drops, what comes. */
    virtio_device_watch(device, 0, net->packet_length > 0 ? 0 : EPOLLIN);
}

/* --- from the guest --------------------------------------------------------------------------- */

/* A network loses packets: one that is wrong, or that the tap device cannot take now, is lost. */
static size_t send_packet(struct virtio_device *device, unsigned queue,
                          struct virtqueue_chain *chain)
{
    const struct virtio_net *net = (struct virtio_net *)device;
    const struct guest_bytes *run = &chain->readable;

    (void)queue;
    if (run->length > HEADER_BYTES && run->length <= PACKET_BYTES_MAX &&
        writev(net->tap_fd, run->segments, (int)run->count) < 0)
        log_debug("virtio net: a packet of %zu bytes is lost: %s", run->length, strerror(errno));
    return 0;
}

/* --- the device ------------------------------------------------------------------------------- */

/* What the guest can take: without these the host computes checksums and cuts segments. */
static void net_activate(struct virtio_device *device)
{
    static const struct {
        unsigned feature;
        unsigned offload;
    } rows[] = {
        { VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM },
        { VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4 },
        { VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6 },
        { VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN },
    };
    const struct virtio_net *net = (struct virtio_net *)device;
    unsigned long offloads = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (virtio_device_has(device, rows[i].feature))
            offloads |= rows[i].offload;
    }
    if (ioctl(net->tap_fd, TUNSETOFFLOAD, offloads) < 0)
        log_debug("virtio net: the tap device takes no offloads: %s", strerror(errno));
}

static void net_notify(struct virtio_device *device, unsigned queue)
{
    if (queue == QUEUE_RECEIVE)
        receive((struct virtio_net *)device);
    else
        virtio_device_serve(device, queue, send_packet);
}

static void net_io(struct virtio_device *device, unsigned stream, uint32_t events)
{
    (void)stream;
    (void)events;
    receive((struct virtio_net *)device);
}

static void net_reset(struct virtio_device *device)
{
    ((struct virtio_net *)device)->packet_length = 0;
}

static void net_free(struct virtio_device *device)
{
    free(device);
}

static const struct virtio_class net_class = {
    .name = "net",
    .id = VIRTIO_ID_NET,
    .activate = net_activate,
    .notify = net_notify,
    .io = net_io,
    .reset = net_reset,
    .has_own_config = true, /* the address; a packet that waits is lost */
    .free = net_free,
};

int virtio_net_open(int tap_fd, const uint8_t mac[6], struct virtio_device **ret_device,
                    struct error *err)
{
    int header_bytes = HEADER_BYTES;
    struct virtio_net *net;
    int r;

    assert(ret_device != NULL);

    if (ioctl(tap_fd, TUNSETVNETHDRSZ, &header_bytes) < 0)
        return error_errno(err, "set the header size of the tap device");
    r = fd_set_nonblocking(tap_fd, true, err);
    if (r < 0)
        return r;
    net = xcalloc(1, sizeof(*net));
    net->tap_fd = tap_fd;
    virtio_device_init(&net->device, &net_class, OFFERED, QUEUE_COUNT);
    virtio_device_set_config(&net->device, mac, 6);
    virtio_device_add_stream(&net->device, tap_fd);
    *ret_device = &net->device;
    return 0;
}
