#include "microvm/virtio_device.h"

#include <assert.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"

#define COMMON_FEATURES                                                                            \
    (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |                                \
     1ull << VIRTIO_RING_F_INDIRECT_DESC)

void virtio_device_init(struct virtio_device *device, const struct virtio_class *virtio_class,
                        uint64_t offered, unsigned queue_count)
{
    assert(queue_count <= VIRTIO_QUEUES_MAX);

    device->virtio_class = virtio_class;
    device->offered = offered;
    device->queue_count = queue_count;
    (void)pthread_mutex_init(&device->lock, NULL); /* cannot fail with the default attributes */
}

void virtio_device_set_config(struct virtio_device *device, const void *config, size_t length)
{
    assert(length <= sizeof(device->config));

    memcpy(device->config, config, length);
    device->config_length = length;
}

void virtio_device_add_stream(struct virtio_device *device, int fd)
{
    assert(device->stream_count < VIRTIO_STREAMS_MAX);

    device->streams[device->stream_count++] = (struct virtio_stream){ .device = device, .fd = fd };
}

bool virtio_device_has(const struct virtio_device *device, unsigned feature)
{
    return (device->features & 1ull << feature) != 0;
}

uint64_t virtio_device_offers(const struct virtio_device *device)
{
    return device->offered | COMMON_FEATURES;
}

static void signal_transport(struct virtio_device *device, enum virtio_signal signal,
                             unsigned queue)
{
    device->transport->signal(device->transport, signal, queue);
}

/* --- queues -------------------------------------------------------------------------------- */

bool virtio_device_next(struct virtio_device *device, unsigned queue,
                        struct virtqueue_chain *ret_chain)
{
    int r;

    assert(queue < device->queue_count);

    if (!device->is_active)
        return false;
    r = virtqueue_next(&device->queues[queue], ret_chain);
    if (r < 0)
        virtio_device_break(device);
    return r == 1;
}

void virtio_device_finish(struct virtio_device *device, unsigned queue, uint16_t head,
                          size_t written_bytes)
{
    virtqueue_put(&device->queues[queue], head, (uint32_t)written_bytes);
    virtqueue_publish(&device->queues[queue]);
}

void virtio_device_interrupt(struct virtio_device *device, unsigned queue)
{
    if (device->is_active && virtqueue_wants_interrupt(&device->queues[queue]))
        signal_transport(device, VIRTIO_SIGNAL_QUEUE, queue);
}

void virtio_device_again(struct virtio_device *device, unsigned queue)
{
    if (device->is_active)
        signal_transport(device, VIRTIO_SIGNAL_AGAIN, queue);
}

void virtio_device_serve(struct virtio_device *device, unsigned queue,
                         size_t (*serve)(struct virtio_device *device, unsigned queue,
                                         struct virtqueue_chain *chain))
{
    struct virtqueue_chain chain;
    unsigned left;

    for (left = VIRTIO_BATCH; left > 0 && virtio_device_next(device, queue, &chain); left--) {
        size_t written_bytes = serve(device, queue, &chain);

        if (!device->is_active) /* the chain was wrong */
            return;
        virtio_device_finish(device, queue, chain.head, written_bytes);
    }
    virtio_device_interrupt(device, queue);
    if (left == 0)
        virtio_device_again(device, queue);
}

void virtio_device_break(struct virtio_device *device)
{
    if (!device->is_active)
        return;
    log_debug("virtio %s: the driver broke a queue", device->virtio_class->name);
    device->is_active = false;
    signal_transport(device, VIRTIO_SIGNAL_BROKEN, 0);
}

/* --- descriptors ---------------------------------------------------------------------------- */

/* One event, then silence until it is armed again: a descriptor that was hung up would otherwise be
 * reported for ever while the device does not want to read from it (epoll_ctl(2), EPOLLHUP). */
static void arm(struct virtio_stream *stream)
{
    struct error err = { 0 };

    stream->is_armed = true;
    if (stream->source != NULL &&
        event_source_set(stream->source, stream->wanted | EPOLLONESHOT, &err) < 0)
        log_debug("virtio %s: %s", stream->device->virtio_class->name, err.message);
}

void virtio_device_watch(struct virtio_device *device, unsigned stream, uint32_t events)
{
    struct virtio_stream *watched = &device->streams[stream];

    assert(stream < device->stream_count);

    if (watched->wanted == events)
        return;
    watched->wanted = events;
    if (events != 0)
        arm(watched);
}

void virtio_device_watch_more(struct virtio_device *device, unsigned stream, uint32_t events)
{
    virtio_device_watch(device, stream, device->streams[stream].wanted | events);
}

void virtio_device_watch_less(struct virtio_device *device, unsigned stream, uint32_t events)
{
    virtio_device_watch(device, stream, device->streams[stream].wanted & ~events);
}

static void handle_io(struct virtio_stream *stream, uint32_t events)
{
    struct virtio_device *device = stream->device;

    stream->is_armed = false;
    if (!device->is_active || stream->wanted == 0)
        return;
    device->virtio_class->io(device, (unsigned)(stream - device->streams), events);
    if (stream->wanted != 0 && !stream->is_armed)
        arm(stream);
}

void virtio_device_io(struct virtio_device *device, unsigned stream, uint32_t events)
{
    assert(stream < device->stream_count);

    (void)pthread_mutex_lock(&device->lock);
    handle_io(&device->streams[stream], events);
    (void)pthread_mutex_unlock(&device->lock);
}

static int on_stream(struct event_source *source, uint32_t events, void *context, struct error *err)
{
    struct virtio_stream *stream = context;

    (void)source;
    (void)err;
    virtio_device_io(stream->device, (unsigned)(stream - stream->device->streams), events);
    return 0;
}

int virtio_device_join(struct virtio_device *device, struct event_loop *loop, struct error *err)
{
    for (unsigned i = 0; i < device->stream_count; i++) {
        struct virtio_stream *stream = &device->streams[i];
        int r;

        if (stream->fd < 0)
            continue;
        r = event_loop_add(loop, stream->fd, EPOLLONESHOT, on_stream, stream, &stream->source, err);
        if (r < 0)
            return error_prefix(err, r, "virtio %s", device->virtio_class->name);
    }
    return 0;
}

/* --- life ----------------------------------------------------------------------------------- */

void virtio_device_activate(struct virtio_device *device, const struct guest_memory *memory,
                            const struct virtqueue_layout *layouts)
{
    struct error err = { 0 };

    device->is_active = true;
    for (unsigned i = 0; i < device->queue_count; i++) {
        device->queues[i] = (struct virtqueue){ 0 };
        if (layouts[i].size == 0) /* the driver has no use for it */
            continue;
        if (virtqueue_open(&device->queues[i], memory, &layouts[i], device->features, &err) < 0) {
            log_debug("virtio %s: queue %u: %s", device->virtio_class->name, i, err.message);
            virtio_device_break(device);
            return;
        }
    }
    if (device->virtio_class->activate != NULL)
        device->virtio_class->activate(device);
}

void virtio_device_reset(struct virtio_device *device)
{
    device->is_active = false;
    device->features = 0;
    /* They stay in the loop, and are quiet after at most one event. */
    for (unsigned i = 0; i < device->stream_count; i++)
        device->streams[i].wanted = 0;
    if (device->virtio_class->reset != NULL)
        device->virtio_class->reset(device);
}

void virtio_device_free(struct virtio_device *device)
{
    if (device == NULL)
        return;
    for (unsigned i = 0; i < device->stream_count; i++)
        event_source_remove(device->streams[i].source);
    (void)pthread_mutex_destroy(&device->lock);
    device->virtio_class->free(device);
}
