#include "microvm/virtio_mmio.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAGIC   0x74726976 /* "virt" */
#define VERSION 2
#define VENDOR  0x48545242 /* "BRTH" */

/* Bits of the status register that a driver may set. */
#define DRIVER_STATUS                                                                              \
    (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK |            \
     VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED)

struct mmio_queue {
    struct virtio_mmio *mmio;
    struct virtqueue_layout layout; /* as the driver writes it */
    bool is_ready;
    int notify_fd; /* -1 without a loop */
    struct event_source *source;
};

struct virtio_mmio {
    struct virtio_transport transport; /* first: signal_guest() gets it */
    struct virtio_device *device;      /* its lock guards all of this but interrupt_status */
    const struct guest_memory *memory;
    int irq_fd;
    atomic_uint interrupt_status;
    uint32_t status;
    uint32_t generation; /* of the configuration */
    uint32_t device_features_select;
    uint32_t driver_features_select;
    uint64_t driver_features;
    uint32_t queue_select;
    struct mmio_queue queues[VIRTIO_QUEUES_MAX];
    uint32_t kicked; /* without a loop: bits of queues to be served */
};

/* --- from the device ------------------------------------------------------------------------ */

/* Both are eventfds, whose counters do not overflow in practice: nothing can fail. */
static void write_event(int fd)
{
    const uint64_t one = 1;

    if (fd >= 0)
        (void)!write(fd, &one, sizeof(one));
}

static void interrupt(struct virtio_mmio *mmio, unsigned reason)
{
    /* First the reason: the guest reads it as soon as the interrupt is there. */
    atomic_fetch_or(&mmio->interrupt_status, reason);
    write_event(mmio->irq_fd);
}

static void kick(struct virtio_mmio *mmio, unsigned queue)
{
    mmio->kicked |= 1u << queue;
    write_event(mmio->queues[queue].notify_fd);
}

static void signal_guest(struct virtio_transport *transport, enum virtio_signal signal,
                         unsigned queue)
{
    struct virtio_mmio *mmio = (struct virtio_mmio *)transport;

    switch (signal) {
    case VIRTIO_SIGNAL_QUEUE:
        interrupt(mmio, VIRTIO_MMIO_INT_VRING);
        break;
    case VIRTIO_SIGNAL_CONFIG:
        mmio->generation++;
        if ((mmio->status & VIRTIO_CONFIG_S_DRIVER_OK) != 0)
            interrupt(mmio, VIRTIO_MMIO_INT_CONFIG);
        break;
    case VIRTIO_SIGNAL_BROKEN:
        mmio->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
        interrupt(mmio, VIRTIO_MMIO_INT_CONFIG);
        break;
    case VIRTIO_SIGNAL_AGAIN:
        kick(mmio, queue);
        break;
    }
}

/* --- queues --------------------------------------------------------------------------------- */

static void activate(struct virtio_mmio *mmio)
{
    struct virtqueue_layout layouts[VIRTIO_QUEUES_MAX] = { 0 };

    for (unsigned i = 0; i < mmio->device->queue_count; i++) {
        if (mmio->queues[i].is_ready)
            layouts[i] = mmio->queues[i].layout;
    }
    virtio_device_activate(mmio->device, mmio->memory, layouts);
}

/* Serves a notification; the first one after DRIVER_OK also sets the device up, so that this is
 * done by the thread whose system calls it needs. */
static void serve_queue(struct virtio_mmio *mmio, unsigned queue)
{
    const uint32_t runs = mmio->status & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET);

    mmio->kicked &= ~(1u << queue);
    if (runs != VIRTIO_CONFIG_S_DRIVER_OK)
        return;
    if (!mmio->device->is_active)
        activate(mmio);
    if (mmio->device->is_active)
        mmio->device->virtio_class->notify(mmio->device, queue);
}

static int on_notify(struct event_source *source, uint32_t events, void *context, struct error *err)
{
    struct mmio_queue *queue = context;
    struct virtio_mmio *mmio = queue->mmio;
    uint64_t count;

    (void)source;
    (void)events;
    (void)err;
    (void)!read(queue->notify_fd, &count, sizeof(count)); /* without a count it serves once more */
    (void)pthread_mutex_lock(&mmio->device->lock);
    serve_queue(mmio, (unsigned)(queue - mmio->queues));
    (void)pthread_mutex_unlock(&mmio->device->lock);
    return 0;
}

/* Without a loop: serves what was kicked, and what that kicked again. */
static void serve_kicked(struct virtio_mmio *mmio)
{
    while (mmio->queues[0].notify_fd < 0 && mmio->kicked != 0)
        serve_queue(mmio, (unsigned)__builtin_ctz(mmio->kicked));
}

static int join_loop(struct virtio_mmio *mmio, struct event_loop *loop, struct error *err)
{
    int r;

    for (unsigned i = 0; i < mmio->device->queue_count; i++) {
        struct mmio_queue *queue = &mmio->queues[i];

        queue->notify_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (queue->notify_fd < 0)
            return error_errno(err, "create an event descriptor");
        r = event_loop_add(loop, queue->notify_fd, EPOLLIN, on_notify, queue, &queue->source, err);
        if (r < 0)
            return r;
    }
    return virtio_device_join(mmio->device, loop, err);
}

int virtio_mmio_open(struct virtio_device *device, const struct guest_memory *memory,
                     struct event_loop *io_loop, int irq_fd, struct virtio_mmio **ret_mmio,
                     struct error *err)
{
    AUTO(virtio_mmio) struct virtio_mmio *mmio = xcalloc(1, sizeof(*mmio));
    int r;

    assert(device != NULL);
    assert(memory != NULL);
    assert(ret_mmio != NULL);

    mmio->transport.signal = signal_guest;
    mmio->device = device;
    mmio->memory = memory;
    mmio->irq_fd = irq_fd;
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        mmio->queues[i].mmio = mmio;
        mmio->queues[i].notify_fd = -1;
    }
    device->transport = &mmio->transport;
    if (io_loop != NULL) {
        r = join_loop(mmio, io_loop, err);
        if (r < 0)
            return r;
    }
    *ret_mmio = take_ptr(&mmio);
    return 0;
}

void virtio_mmio_free(struct virtio_mmio *mmio)
{
    if (mmio == NULL)
        return;
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        event_source_remove(mmio->queues[i].source);
        auto_close_cleanup(&mmio->queues[i].notify_fd);
    }
    virtio_device_free(mmio->device);
    free(mmio);
}

unsigned virtio_mmio_queue_count(const struct virtio_mmio *mmio)
{
    return mmio->device->queue_count;
}

bool virtio_mmio_queue_is_ready(const struct virtio_mmio *mmio, unsigned queue)
{
    assert(queue < mmio->device->queue_count);

    return mmio->queues[queue].is_ready;
}

int virtio_mmio_notify_fd(const struct virtio_mmio *mmio, unsigned queue)
{
    assert(queue < mmio->device->queue_count);

    return mmio->queues[queue].notify_fd;
}

/* --- save and restore ------------------------------------------------------------------------- */

/* Both as they stand in a file, without gaps. */
struct saved_mmio {
    uint32_t id;
    uint32_t queue_count;
    uint64_t offered;
    uint64_t driver_features;
    uint32_t status;
    uint32_t generation;
    uint32_t device_features_select;
    uint32_t driver_features_select;
    uint32_t queue_select;
    uint32_t interrupt_status;
    uint32_t is_active;
    uint32_t config_length;
    uint8_t config[VIRTIO_CONFIG_MAX];
};

struct saved_queue {
    uint64_t descriptors;
    uint64_t available;
    uint64_t used;
    uint32_t size;
    uint32_t is_ready;
    struct virtqueue_position position;
};
static_assert(sizeof(struct saved_mmio) == 56 + VIRTIO_CONFIG_MAX, "there is a gap");
static_assert(sizeof(struct saved_queue) == 40, "there is a gap");

void virtio_mmio_lock(struct virtio_mmio *mmio)
{
    (void)pthread_mutex_lock(&mmio->device->lock);
}

void virtio_mmio_unlock(struct virtio_mmio *mmio)
{
    (void)pthread_mutex_unlock(&mmio->device->lock);
}

int virtio_mmio_save(struct virtio_mmio *mmio, struct state_writer *writer, struct error *err)
{
    struct virtio_device *device = mmio->device;
    struct saved_mmio saved;
    int r = device->virtio_class->settle == NULL ? 0 : device->virtio_class->settle(device, err);

    if (r < 0)
        return r;
    saved = (struct saved_mmio){
        .id = device->virtio_class->id,
        .queue_count = device->queue_count,
        .offered = device->offered,
        .driver_features = mmio->driver_features,
        .status = mmio->status,
        .generation = mmio->generation,
        .device_features_select = mmio->device_features_select,
        .driver_features_select = mmio->driver_features_select,
        .queue_select = mmio->queue_select,
        .interrupt_status = atomic_load(&mmio->interrupt_status),
        .is_active = device->is_active,
        .config_length = (uint32_t)device->config_length,
    };

    memcpy(saved.config, device->config, sizeof(saved.config));
    state_put_mark(writer, "mmio");
    state_put(writer, &saved, sizeof(saved));
    for (unsigned i = 0; i < device->queue_count; i++) {
        const struct mmio_queue *queue = &mmio->queues[i];
        const struct saved_queue saved_queue = {
            .descriptors = queue->layout.descriptors,
            .available = queue->layout.available,
            .used = queue->layout.used,
            .size = queue->layout.size,
            .is_ready = queue->is_ready,
            .position = virtqueue_position(&device->queues[i]),
        };

        state_put(writer, &saved_queue, sizeof(saved_queue));
    }
    return device->virtio_class->save == NULL ? 0 : device->virtio_class->save(device, writer, err);
}

/* Whether it is the saved device's kind, and as large. */
static bool is_same_device(const struct virtio_device *device, const struct saved_mmio *saved)
{
    return saved->id == device->virtio_class->id && saved->queue_count == device->queue_count &&
           saved->offered == device->offered && saved->config_length == device->config_length &&
           (device->virtio_class->has_own_config ||
            memcmp(saved->config, device->config, device->config_length) == 0);
}

/* Whether a driver can have brought the registers there. */
static bool is_possible(const struct virtio_device *device, const struct saved_mmio *saved)
{
    const bool is_broken = (saved->status & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;
    const bool is_ok = (saved->status & VIRTIO_CONFIG_S_DRIVER_OK) != 0;

    return (saved->status & ~(uint32_t)(DRIVER_STATUS | VIRTIO_CONFIG_S_NEEDS_RESET)) == 0 &&
           ((saved->status & VIRTIO_CONFIG_S_FEATURES_OK) != 0
                ? (saved->driver_features & ~virtio_device_offers(device)) == 0
                : !is_ok) &&
           (saved->is_active == 0 || (is_ok && !is_broken));
}

static int restore_queues(struct virtio_mmio *mmio, struct state_reader *reader,
                          struct virtqueue_position ret_positions[VIRTIO_QUEUES_MAX],
                          struct error *err)
{
    for (unsigned i = 0; i < mmio->device->queue_count; i++) {
        struct saved_queue saved;
        int r;

        r = state_take(reader, &saved, sizeof(saved), err);
        if (r < 0)
            return r;
        mmio->queues[i].layout = (struct virtqueue_layout){ .size = saved.size,
                                                            .descriptors = saved.descriptors,
                                                            .available = saved.available,
                                                            .used = saved.used };
        mmio->queues[i].is_ready = saved.is_ready != 0;
        ret_positions[i] = saved.position;
    }
    return 0;
}

int virtio_mmio_restore(struct virtio_mmio *mmio, struct state_reader *reader, struct error *err)
{
    struct virtqueue_position positions[VIRTIO_QUEUES_MAX];
    struct virtio_device *device = mmio->device;
    struct saved_mmio saved;
    int r;

    r = state_take_mark(reader, "mmio", err);
    if (r == 0)
        r = state_take(reader, &saved, sizeof(saved), err);
    if (r < 0)
        return r;
    if (!is_same_device(device, &saved))
        return error_set(err, EXDEV, "the saved machine had another device in place of virtio %s",
                         device->virtio_class->name);
    if (!is_possible(device, &saved))
        return error_set(err, EBADMSG, "virtio %s was saved with impossible registers",
                         device->virtio_class->name);
    r = restore_queues(mmio, reader, positions, err);
    if (r < 0)
        return r;
    mmio->driver_features = saved.driver_features;
    mmio->status = saved.status;
    mmio->generation = saved.generation;
    mmio->device_features_select = saved.device_features_select;
    mmio->driver_features_select = saved.driver_features_select;
    mmio->queue_select = saved.queue_select;
    atomic_store(&mmio->interrupt_status, saved.interrupt_status);
    if ((saved.status & VIRTIO_CONFIG_S_DRIVER_OK) != 0)
        device->features = saved.driver_features;
    if (saved.is_active != 0) {
        activate(mmio);
        if (!device->is_active)
            return error_set(err, EBADMSG, "virtio %s was saved with impossible queues",
                             device->virtio_class->name);
        for (unsigned i = 0; i < device->queue_count; i++)
            virtqueue_set_position(&device->queues[i], &positions[i]);
    }
    return device->virtio_class->restore == NULL
               ? 0
               : device->virtio_class->restore(device, reader, err);
}

void virtio_mmio_resume(struct virtio_mmio *mmio)
{
    assert(mmio != NULL);

    virtio_mmio_lock(mmio);
    if (atomic_load(&mmio->interrupt_status) != 0)
        write_event(mmio->irq_fd);
    for (unsigned i = 0; i < mmio->device->queue_count; i++)
        if (mmio->queues[i].is_ready)
            kick(mmio, i);
    serve_kicked(mmio);
    virtio_mmio_unlock(mmio);
}

/* --- registers ------------------------------------------------------------------------------ */

static struct mmio_queue *selected_queue(struct virtio_mmio *mmio)
{
    return mmio->queue_select < mmio->device->queue_count ? &mmio->queues[mmio->queue_select]
                                                          : NULL;
}

static uint32_t half(uint64_t value, uint32_t select)
{
    return select > 1 ? 0 : (uint32_t)(value >> (32 * select));
}

static uint32_t read_register(struct virtio_mmio *mmio, uint64_t offset)
{
    const struct mmio_queue *queue = selected_queue(mmio);

    switch (offset) {
    case VIRTIO_MMIO_MAGIC_VALUE:
        return MAGIC;
    case VIRTIO_MMIO_VERSION:
        return VERSION;
    case VIRTIO_MMIO_DEVICE_ID:
        return mmio->device->virtio_class->id;
    case VIRTIO_MMIO_VENDOR_ID:
        return VENDOR;
    case VIRTIO_MMIO_DEVICE_FEATURES:
        return half(virtio_device_offers(mmio->device), mmio->device_features_select);
    case VIRTIO_MMIO_QUEUE_NUM_MAX:
        return queue == NULL ? 0 : VIRTQUEUE_SIZE_MAX;
    case VIRTIO_MMIO_QUEUE_READY:
        return queue != NULL && queue->is_ready;
    case VIRTIO_MMIO_STATUS:
        return mmio->status;
    case VIRTIO_MMIO_SHM_LEN_LOW: /* all ones: there is no shared memory */
    case VIRTIO_MMIO_SHM_LEN_HIGH:
    case VIRTIO_MMIO_SHM_BASE_LOW:
    case VIRTIO_MMIO_SHM_BASE_HIGH:
        return UINT32_MAX;
    case VIRTIO_MMIO_CONFIG_GENERATION:
        return mmio->generation;
    default:
        return 0;
    }
}

static void set_half(uint64_t *value, unsigned shift, uint32_t bits)
{
    *value = (*value & ~(0xffffffffull << shift)) | (uint64_t)bits << shift;
}

static void write_queue_register(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    struct mmio_queue *queue = selected_queue(mmio);

    if (queue == NULL || (mmio->status & VIRTIO_CONFIG_S_DRIVER_OK) != 0)
        return;
    if (offset == VIRTIO_MMIO_QUEUE_READY)
        queue->is_ready = (value & 1) != 0;
    if (queue->is_ready)
        return;
    switch (offset) {
    case VIRTIO_MMIO_QUEUE_NUM:
        queue->layout.size = value;
        break;
    case VIRTIO_MMIO_QUEUE_DESC_LOW:
        set_half(&queue->layout.descriptors, 0, value);
        break;
    case VIRTIO_MMIO_QUEUE_DESC_HIGH:
        set_half(&queue->layout.descriptors, 32, value);
        break;
    case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
        set_half(&queue->layout.available, 0, value);
        break;
    case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
        set_half(&queue->layout.available, 32, value);
        break;
    case VIRTIO_MMIO_QUEUE_USED_LOW:
        set_half(&queue->layout.used, 0, value);
        break;
    case VIRTIO_MMIO_QUEUE_USED_HIGH:
        set_half(&queue->layout.used, 32, value);
        break;
    default:
        break;
    }
}

static void reset(struct virtio_mmio *mmio)
{
    virtio_device_reset(mmio->device);
    mmio->status = 0;
    mmio->driver_features = 0;
    mmio->device_features_select = 0;
    mmio->driver_features_select = 0;
    mmio->queue_select = 0;
    mmio->kicked = 0;
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        mmio->queues[i].layout = (struct virtqueue_layout){ 0 };
        mmio->queues[i].is_ready = false;
    }
    atomic_store(&mmio->interrupt_status, 0);
}

static bool accepts_features(const struct virtio_mmio *mmio)
{
    return (mmio->driver_features & ~virtio_device_offers(mmio->device)) == 0 &&
           (mmio->driver_features & 1ull << VIRTIO_F_VERSION_1) != 0;
}

static void write_status(struct virtio_mmio *mmio, uint32_t value)
{
    uint32_t added = value & DRIVER_STATUS & ~mmio->status;

    if (value == 0) {
        reset(mmio);
        return;
    }
    if ((added & VIRTIO_CONFIG_S_FEATURES_OK) != 0 && !accepts_features(mmio))
        added &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK; /* the driver looks, and gives up */
    mmio->status |= added & ~(uint32_t)VIRTIO_CONFIG_S_DRIVER_OK;
    if ((mmio->status & VIRTIO_CONFIG_S_FEATURES_OK) == 0 ||
        (added & VIRTIO_CONFIG_S_DRIVER_OK) == 0)
        return;
    mmio->status |= VIRTIO_CONFIG_S_DRIVER_OK;
    mmio->device->features = mmio->driver_features;
    /* The I/O thread sets the device up, and looks for what was put into the queues before. */
    for (unsigned i = 0; i < mmio->device->queue_count; i++)
        kick(mmio, i);
}

static void write_register(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
        mmio->device_features_select = value;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
        mmio->driver_features_select = value;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES:
        if (mmio->driver_features_select <= 1 && (mmio->status & VIRTIO_CONFIG_S_FEATURES_OK) == 0)
            set_half(&mmio->driver_features, 32 * mmio->driver_features_select, value);
        break;
    case VIRTIO_MMIO_QUEUE_SEL:
        mmio->queue_select = value;
        break;
    case VIRTIO_MMIO_QUEUE_NOTIFY:
        if (value < mmio->device->queue_count)
            kick(mmio, value);
        break;
    case VIRTIO_MMIO_STATUS:
        write_status(mmio, value);
        break;
    default:
        write_queue_register(mmio, offset, value);
        break;
    }
}

/* --- the window ----------------------------------------------------------------------------- */

static void read_config(const struct virtio_device *device, uint64_t offset, void *bytes,
                        size_t length)
{
    if (offset < device->config_length && length <= device->config_length - offset)
        memcpy(bytes, device->config + offset, length);
}

static void write_config(struct virtio_device *device, uint64_t offset, const void *bytes,
                         size_t length)
{
    if (offset >= device->config_writable &&
        offset - device->config_writable < device->config_writable_length &&
        length <= device->config_writable_length - (offset - device->config_writable))
        memcpy(device->config + offset, bytes, length);
}

void virtio_mmio_read(struct virtio_mmio *mmio, uint64_t offset, void *bytes, size_t length)
{
    uint32_t value = 0;

    assert(mmio != NULL);
    assert(bytes != NULL);

    memset(bytes, 0, length);
    /* Read for each interrupt, so not behind the lock, which the I/O thread may hold for long. */
    if (offset == VIRTIO_MMIO_INTERRUPT_STATUS && length == sizeof(value)) {
        value = atomic_load(&mmio->interrupt_status);
        memcpy(bytes, &value, sizeof(value));
        return;
    }
    (void)pthread_mutex_lock(&mmio->device->lock);
    if (offset >= VIRTIO_MMIO_CONFIG) {
        read_config(mmio->device, offset - VIRTIO_MMIO_CONFIG, bytes, length);
    } else if (length == sizeof(value)) {
        value = read_register(mmio, offset);
        memcpy(bytes, &value, sizeof(value));
    }
    (void)pthread_mutex_unlock(&mmio->device->lock);
}

void virtio_mmio_write(struct virtio_mmio *mmio, uint64_t offset, const void *bytes, size_t length)
{
    uint32_t value = 0;

    assert(mmio != NULL);
    assert(bytes != NULL);

    if (length == sizeof(value))
        memcpy(&value, bytes, sizeof(value));
    if (offset == VIRTIO_MMIO_INTERRUPT_ACK && length == sizeof(value)) {
        atomic_fetch_and(&mmio->interrupt_status, ~value);
        return;
    }
    (void)pthread_mutex_lock(&mmio->device->lock);
    if (offset >= VIRTIO_MMIO_CONFIG) {
        write_config(mmio->device, offset - VIRTIO_MMIO_CONFIG, bytes, length);
    } else if (length == sizeof(value)) {
        write_register(mmio, offset, value);
        serve_kicked(mmio);
    }
    (void)pthread_mutex_unlock(&mmio->device->lock);
}
