/* A hostile driver against each device. The first byte chooses the device, the second what is set
 * up in the right way beforehand; the rest is a list of steps: memory that is written, registers,
 * notifications, and bytes that come from the host's side. All of the guest's memory, with rings
 * and descriptors, is the fuzzer's.
 *
 * The device may do anything to the guest's memory, but not read or write elsewhere, stop, or ask
 * for an assertion. */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/virtio_driver.h"

#include "microvm/virtio_balloon.h"
#include "microvm/virtio_blk.h"
#include "microvm/virtio_console.h"
#include "microvm/virtio_fs.h"
#include "microvm/virtio_net.h"
#include "microvm/virtio_pmem.h"
#include "microvm/virtio_rng.h"

#define STEPS_MAX   256
#define DISK_BYTES  (64 * 512)
#define STREAMS     2
#define GUEST_BYTES 0x8000u /* what the steps reach; the rest is only walked over */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* The tap device is a socket here. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    (void)fd;
    (void)request;
    return 0;
}

/* --- input ---------------------------------------------------------------------------------- */

struct input {
    const uint8_t *data;
    size_t size;
};

/* Zeroes behind the end. */
static uint32_t take(struct input *input, size_t bytes)
{
    uint32_t value = 0;
    size_t piece = bytes < input->size ? bytes : input->size;

    assert(bytes <= sizeof(value));
    if (piece > 0)
        memcpy(&value, input->data, piece);
    input->data += piece;
    input->size -= piece;
    return value;
}

/* --- devices -------------------------------------------------------------------------------- */

struct target {
    struct driver driver;
    int host[STREAMS]; /* our ends of the device's descriptors */
    int device[STREAMS];
};

static void open_pair(struct target *target, unsigned index, int type)
{
    int pair[2];
    int r = socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);

    assert(r == 0);
    target->host[index] = pair[0];
    target->device[index] = pair[1];
}

static struct virtio_device *open_balloon(struct target *target)
{
    (void)target;
    return virtio_balloon_open();
}

static struct virtio_device *open_rng(struct target *target)
{
    (void)target;
    return virtio_rng_open();
}

static struct virtio_device *open_pmem(struct target *target)
{
    (void)target;
    return virtio_pmem_open(DRIVER_IMAGE, sizeof(driver_image));
}

static struct virtio_device *open_blk(struct target *target, bool is_read_only)
{
    struct virtio_device *device = NULL;
    int r;

    target->device[0] = memfd_create("disk", MFD_CLOEXEC);
    r = ftruncate(target->device[0], DISK_BYTES);
    assert(r == 0);
    r = virtio_blk_open(target->device[0], is_read_only, "fuzz", &device, NULL);
    assert(r == 0);
    return device;
}

static struct virtio_device *open_disk(struct target *target)
{
    return open_blk(target, false);
}

static struct virtio_device *open_root(struct target *target)
{
    return open_blk(target, true);
}

static struct virtio_device *open_console(struct target *target)
{
    struct virtio_console_port ports[VIRTIO_CONSOLE_PORTS_MAX] = { { -1, "console", true },
                                                                   { -1, "berth.agent", false } };

    for (unsigned i = 0; i < VIRTIO_CONSOLE_PORTS_MAX; i++) {
        open_pair(target, i, SOCK_STREAM);
        ports[i].fd = target->device[i];
    }
    return virtio_console_open(ports);
}

static struct virtio_device *open_net(struct target *target)
{
    static const uint8_t mac[6] = { 2 };
    struct virtio_device *device = NULL;
    int r;

    open_pair(target, 0, SOCK_DGRAM);
    r = virtio_net_open(target->device[0], mac, &device, NULL);
    assert(r == 0);
    return device;
}

static struct virtio_device *open_fs(struct target *target)
{
    struct virtio_device *device = NULL;
    int r;

    open_pair(target, 0, SOCK_STREAM);
    r = virtio_fs_open(target->device[0], "share0", &device, NULL);
    assert(r == 0);
    return device;
}

static struct virtio_device *(*const devices[])(struct target *target) = {
    open_balloon, open_rng, open_pmem, open_disk, open_root, open_console, open_net, open_fs,
};

/* --- steps ---------------------------------------------------------------------------------- */

static void put_bytes(uint32_t offset, struct input *input, size_t length)
{
    offset %= GUEST_BYTES;
    if (length > input->size)
        length = input->size;
    if (length > 0)
        memcpy(driver_memory + offset, input->data, length);
    input->data += length;
    input->size -= length;
}

/* A descriptor that is mostly right, so that the fuzzer need not find each address. */
static void put_descriptor(struct driver *driver, struct input *input)
{
    uint32_t queue = take(input, 1) % driver->device->queue_count;
    uint32_t index = take(input, 1) % DRIVER_QUEUE_SIZE;
    struct vring_desc descriptor = {
        .addr = DRIVER_BASE + take(input, 2),
        .len = take(input, 2),
        .flags = (uint16_t)(take(input, 1) & 7),
        .next = (uint16_t)(take(input, 1) % (DRIVER_QUEUE_SIZE + 1)),
    };

    memcpy(driver_memory + queue * DRIVER_QUEUE_STRIDE + index * sizeof(descriptor), &descriptor,
           sizeof(descriptor));
}

static void offer(struct driver *driver, struct input *input)
{
    uint32_t queue = take(input, 1) % driver->device->queue_count;

    if (driver->queues[queue].available != NULL)
        driver_offer(driver, queue, (uint16_t)(take(input, 1) % (DRIVER_QUEUE_SIZE + 1)));
    driver_notify(driver, queue);
}

static void access_register(struct driver *driver, struct input *input)
{
    uint32_t offset = take(input, 2) % (2 * VIRTIO_MMIO_WINDOW);
    uint32_t length = take(input, 1) % 9;
    uint8_t bytes[8] = { 0 };
    uint32_t value = take(input, 4);

    memcpy(bytes, &value, sizeof(value));
    virtio_mmio_read(driver->mmio, offset, bytes + sizeof(value),
                     length < sizeof(value) ? length : sizeof(value));
    virtio_mmio_write(driver->mmio, offset, bytes, length);
}

static void send_from_host(struct target *target, struct input *input)
{
    unsigned stream = take(input, 1) % STREAMS;
    size_t length = take(input, 1);

    if (length > input->size)
        length = input->size;
    if (target->host[stream] >= 0)
        (void)!send(target->host[stream], input->data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    input->data += length;
    input->size -= length;
}

static void drain_host(const struct target *target)
{
    uint8_t bytes[4096];

    for (unsigned i = 0; i < STREAMS; i++) {
        while (target->host[i] >= 0 &&
               recv(target->host[i], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
            ;
    }
}

/* An answer to the last request that the server of a share has got. */
static void answer_from_host(const struct target *target, struct input *input)
{
    uint64_t header[2] = { 16 + take(input, 1), 0 }; /* fuse_out_header, begins with its length */
    uint64_t request[5] = { 0 };                     /* fuse_in_header */
    uint8_t body[256] = { 0 };

    if (target->host[0] < 0)
        return;
    (void)!recv(target->host[0], request, sizeof(request), MSG_DONTWAIT);
    header[1] = request[1];
    (void)!send(target->host[0], header, sizeof(header), MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)!send(target->host[0], body, header[0] - 16, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void run_io(struct target *target)
{
    for (unsigned i = 0; i < target->driver.device->stream_count; i++)
        virtio_device_io(target->driver.device, i, EPOLLIN | EPOLLOUT);
}

static void run_step(struct target *target, struct input *input)
{
    struct driver *driver = &target->driver;
    uint32_t offset;

    switch (take(input, 1) % 12) {
    case 0:
        offset = take(input, 2);
        put_bytes(offset, input, take(input, 1));
        break;
    case 1:
    case 2:
        put_descriptor(driver, input);
        break;
    case 3:
    case 4:
        offer(driver, input);
        break;
    case 5:
        access_register(driver, input);
        break;
    case 6:
        send_from_host(target, input);
        run_io(target);
        break;
    case 7:
        drain_host(target);
        run_io(target);
        break;
    case 8:
        answer_from_host(target, input);
        run_io(target);
        break;
    case 9:
        offset = take(input, 1) % STREAMS;
        if (target->host[offset] >= 0)
            (void)shutdown(target->host[offset], SHUT_RDWR);
        run_io(target);
        break;
    case 10: /* the request of a share: its length and operation */
        offset = DRIVER_BUFFERS % GUEST_BYTES;
        driver_memory[offset] = (uint8_t)take(input, 1);
        driver_memory[offset + 4] = (uint8_t)take(input, 1);
        break;
    default:
        driver_start(driver, take(input, 1) << VIRTIO_RING_F_INDIRECT_DESC &
                                 (DRIVER_INDIRECT | DRIVER_EVENT_INDEX));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = { data, size };
    struct target target = { .host = { -1, -1 }, .device = { -1, -1 } };
    struct virtio_device *device = devices[take(&input, 1) % ARRAY_SIZE(devices)](&target);
    uint32_t setup = take(&input, 1);

    driver_open(&target.driver, device);
    if ((setup & 1) != 0)
        driver_start(&target.driver,
                     virtio_device_offers(device) & ~(uint64_t)((setup & 2) != 0 ? 0 : 0xffffff));
    for (int i = 0; i < STEPS_MAX && input.size > 0; i++)
        run_step(&target, &input);
    driver_close(&target.driver);
    for (unsigned i = 0; i < STREAMS; i++) {
        auto_close_cleanup(&target.host[i]);
        auto_close_cleanup(&target.device[i]);
    }
    return 0;
}
