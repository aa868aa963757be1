#ifndef TESTS_FUZZ_VIRTIO_TARGETS_H
#define TESTS_FUZZ_VIRTIO_TARGETS_H

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

/* Each virtio device with descriptors of its own, for fuzzers. */

#define DISK_BYTES (64 * 512)
#define STREAMS    2

int __wrap_ioctl(int fd, unsigned long request, ...);

/* The tap device is a socket here. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    (void)fd;
    (void)request;
    return 0;
}

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

static struct virtio_device *(*const target_devices[])(struct target *target) = {
    open_balloon, open_rng, open_pmem, open_disk, open_root, open_console, open_net, open_fs,
};

static struct target target_none(void)
{
    return (struct target){ .host = { -1, -1 }, .device = { -1, -1 } };
}

/* Its device is closed. */
static void target_close(struct target *target)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        auto_close_cleanup(&target->host[i]);
        auto_close_cleanup(&target->device[i]);
    }
}

#endif
