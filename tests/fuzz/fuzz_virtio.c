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

#include "tests/fuzz/virtio_targets.h"

#define STEPS_MAX   256
#define GUEST_BYTES 0x8000u /* what the steps reach; the rest is only walked over */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    struct target target = target_none();
    struct virtio_device *device =
        target_devices[take(&input, 1) % ARRAY_SIZE(target_devices)](&target);
    uint32_t setup = take(&input, 1);

    driver_open(&target.driver, device);
    if ((setup & 1) != 0)
        driver_start(&target.driver,
                     virtio_device_offers(device) & ~(uint64_t)((setup & 2) != 0 ? 0 : 0xffffff));
    for (int i = 0; i < STEPS_MAX && input.size > 0; i++)
        run_step(&target, &input);
    driver_close(&target.driver);
    target_close(&target);
    return 0;
}
