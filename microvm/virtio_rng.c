#include "microvm/virtio_rng.h"

#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

/* More per request only keeps the other devices waiting. */
#define REQUEST_BYTES_MAX 4096

static size_t fill(const struct guest_bytes *run)
{
    size_t filled = 0;

    for (size_t i = 0; i < run->count; i++) {
        ssize_t got = getrandom(run->segments[i].iov_base, run->segments[i].iov_len, 0);

        if (got <= 0)
            break;
        filled += (size_t)got;
    }
    return filled;
}

static size_t serve(struct virtio_device *device, unsigned queue, struct virtqueue_chain *chain)
{
    (void)device;
    (void)queue;
    guest_bytes_cut(&chain->writable, REQUEST_BYTES_MAX);
    return fill(&chain->writable);
}

static void rng_notify(struct virtio_device *device, unsigned queue)
{
    virtio_device_serve(device, queue, serve);
}

static void rng_free(struct virtio_device *device)
{
    free(device);
}

static const struct virtio_class rng_class = {
    .name = "rng",
    .id = VIRTIO_ID_RNG,
    .notify = rng_notify,
    .free = rng_free,
};

struct virtio_device *virtio_rng_open(void)
{
    struct virtio_device *device = xcalloc(1, sizeof(*device));

    virtio_device_init(device, &rng_class, 0, 1);
    return device;
}
