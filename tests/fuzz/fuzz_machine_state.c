/* The state of a saved machine, as bytes from anywhere: a whole file, or, since no fuzzer finds a
 * hash, the parts of a device behind its header. The first byte chooses. What is accepted is used
 * as a driver would, with memory that is full of the input. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/virtio_driver.h"

#include "microvm/machine_state.h"
#include "microvm/platform.h"
#include "microvm/virtio_balloon.h"
#include "microvm/virtio_blk.h"
#include "microvm/virtio_console.h"
#include "microvm/virtio_fs.h"
#include "microvm/virtio_net.h"
#include "microvm/virtio_pmem.h"
#include "microvm/virtio_rng.h"

#define DISK_BYTES (64 * 512)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* The tap device is a socket here. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    (void)fd;
    (void)request;
    return 0;
}

/* --- devices ---------------------------------------------------------------------------------- */

struct ends {
    int host, device;
};

static void open_ends(struct ends *ends, int type)
{
    int pair[2];
    int r = socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);

    assert(r == 0);
    ends->host = pair[0];
    ends->device = pair[1];
}

static struct virtio_device *open_rng(struct ends *ends)
{
    (void)ends;
    return virtio_rng_open();
}

static struct virtio_device *open_balloon(struct ends *ends)
{
    (void)ends;
    return virtio_balloon_open();
}

static struct virtio_device *open_pmem(struct ends *ends)
{
    (void)ends;
    return virtio_pmem_open(DRIVER_IMAGE, sizeof(driver_image));
}

static struct virtio_device *open_disk(struct ends *ends)
{
    struct virtio_device *device = NULL;
    int r;

    ends->device = memfd_create("disk", MFD_CLOEXEC);
    r = ftruncate(ends->device, DISK_BYTES);
    assert(r == 0);
    r = virtio_blk_open(ends->device, false, "fuzz", &device, NULL);
    assert(r == 0);
    return device;
}

static struct virtio_device *open_console(struct ends *ends)
{
    struct virtio_console_port ports[VIRTIO_CONSOLE_PORTS_MAX] = { { -1, "console", true },
                                                                   { -1, "berth.agent", false } };

    open_ends(ends, SOCK_STREAM);
    ports[1].fd = ends->device;
    return virtio_console_open(ports);
}

static struct virtio_device *open_net(struct ends *ends)
{
    static const uint8_t mac[6] = { 2 };
    struct virtio_device *device = NULL;
    int r;

    open_ends(ends, SOCK_DGRAM);
    r = virtio_net_open(ends->device, mac, &device, NULL);
    assert(r == 0);
    return device;
}

static struct virtio_device *open_fs(struct ends *ends)
{
    struct virtio_device *device = NULL;
    int r;

    open_ends(ends, SOCK_STREAM);
    r = virtio_fs_open(ends->device, "share0", &device, NULL);
    assert(r == 0);
    return device;
}

static struct virtio_device *(*const devices[])(struct ends *ends) = {
    open_rng, open_balloon, open_pmem, open_disk, open_console, open_net, open_fs,
};

/* --- input ------------------------------------------------------------------------------------ */

static void use(struct driver *driver, const struct ends *ends)
{
    AUTO_CLEAR(state_writer) struct state_writer writer = { 0 };

    virtio_mmio_resume(driver->mmio);
    if (ends->host >= 0)
        (void)!write(ends->host, driver_memory, 64);
    for (unsigned i = 0; i < driver->device->stream_count; i++)
        virtio_device_io(driver->device, i, EPOLLIN | EPOLLOUT);
    virtio_mmio_lock(driver->mmio);
    (void)virtio_mmio_save(driver->mmio, &writer, NULL);
    virtio_mmio_unlock(driver->mmio);
}

/* What a device saves of itself, with @patches over it: pairs of a place and a byte. */
static void restore_device(unsigned kind, const uint8_t *patches, size_t size)
{
    AUTO_CLEAR(state_writer) struct state_writer writer = { 0 };
    struct ends ends = { -1, -1 }, others = { -1, -1 };
    struct state_reader reader;
    struct driver driver;
    int r;

    driver_open(&driver, devices[kind](&ends));
    driver_start(&driver, virtio_device_offers(driver.device));
    r = virtio_mmio_save(driver.mmio, &writer, NULL);
    assert(r == 0);
    driver_close(&driver);
    driver_open(&driver, devices[kind](&others));
    for (size_t i = 0; i < sizeof(driver_memory) && size > 0 && i < 0x20000; i++)
        driver_memory[i] = patches[i % size];
    for (size_t i = 0; i + 1 < size; i += 2)
        writer.bytes[patches[i] % writer.length] = patches[i + 1];
    reader = (struct state_reader){ writer.bytes, writer.length };
    if (virtio_mmio_restore(driver.mmio, &reader, NULL) == 0)
        use(&driver, &others);
    driver_close(&driver);
    auto_close_cleanup(&ends.host);
    auto_close_cleanup(&ends.device);
    auto_close_cleanup(&others.host);
    auto_close_cleanup(&others.device);
}

static void restore_serial(const uint8_t *data, size_t size)
{
    struct state_reader reader = { data, size };
    struct platform platform;

    platform_start(&platform, -1, -1);
    if (platform_restore(&platform, &reader, NULL) == 0)
        platform_resume(&platform);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct state_reader reader;

    if (size == 0)
        return 0;
    if (data[0] < ARRAY_SIZE(devices))
        restore_device(data[0], data + 1, size - 1);
    else if (data[0] == ARRAY_SIZE(devices))
        restore_serial(data + 1, size - 1);
    else if (state_open(data + 1, size - 1, &reader, NULL) == 0)
        assert(reader.left <= size);
    return 0;
}
