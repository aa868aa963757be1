#include "microvm/virtio_pmem.h"

#include <linux/virtio_ids.h>
#include <linux/virtio_pmem.h>
#include <stdlib.h>

#define FAILED 0xffffffff /* -1: any other request */

static uint32_t answer(struct guest_bytes *run)
{
    struct virtio_pmem_req request;

    if (!guest_bytes_take(run, &request, sizeof(request)))
        return FAILED;
    return request.type == VIRTIO_PMEM_REQ_TYPE_FLUSH ? 0 : FAILED;
}

static size_t serve(struct virtio_device *device, unsigned queue, struct virtqueue_chain *chain)
{
    const struct virtio_pmem_resp response = { .ret = answer(&chain->readable) };

    (void)device;
    (void)queue;
    return guest_bytes_put(&chain->writable, &response, sizeof(response)) ? sizeof(response) : 0;
}

static void pmem_notify(struct virtio_device *device, unsigned queue)
{
    virtio_device_serve(device, queue, serve);
}

static void pmem_free(struct virtio_device *device)
{
    free(device);
}

static const struct virtio_class pmem_class = {
    .name = "pmem",
    .id = VIRTIO_ID_PMEM,
    .notify = pmem_notify,
    .free = pmem_free,
};

struct virtio_device *virtio_pmem_open(uint64_t address, uint64_t size)
{
    const struct virtio_pmem_config config = { .start = address, .size = size };
    struct virtio_device *device = xcalloc(1, sizeof(*device));

    virtio_device_init(device, &pmem_class, 0, 1);
    virtio_device_set_config(device, &config, sizeof(config));
    return device;
}
