#include "microvm/virtio_balloon.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"

/* Linux numbers queues that exist only with a feature without gaps, and so do other devices. */
enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_REPORTING, QUEUE_COUNT };

#define PAGE_BYTES    (1ull << VIRTIO_BALLOON_PFN_SHIFT)
#define FRAME_NUMBERS 256 /* taken from the guest at once; as many as Linux sends */

/* Gives whole pages back to the host; parts of pages at the ends stay. */
static void discard(uint8_t *from, size_t length)
{
    uintptr_t start = ((uintptr_t)from + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
    uintptr_t end = ((uintptr_t)from + length) & ~(PAGE_BYTES - 1);

    /* The guest keeps a page that cannot be taken: only memory is lost. */
    if (start < end && madvise((void *)start, end - start, MADV_DONTNEED) < 0)
        log_debug("virtio balloon: pages cannot be given back: %s", strerror(errno));
}

/* Neighbours in the list are often neighbours in memory. */
static void discard_frames(const struct virtio_device *device, const uint32_t *frames, size_t count)
{
    const struct guest_memory *memory = device->queues[QUEUE_INFLATE].memory;

    for (size_t first = 0, next; first < count; first = next) {
        uint64_t address = frames[first] * PAGE_BYTES;
        uint8_t *host = guest_memory_writable(memory, address, PAGE_BYTES);

        for (next = first + 1; next < count && host != NULL; next++) {
            uint64_t length = (next - first + 1) * PAGE_BYTES;

            if (frames[next] != frames[next - 1] + 1 ||
                guest_memory_writable(memory, address, length) == NULL)
                break;
        }
        if (host != NULL)
            discard(host, (next - first) * PAGE_BYTES);
    }
}

static void inflate(const struct virtio_device *device, struct guest_bytes *run)
{
    uint32_t frames[FRAME_NUMBERS];

    while (run->length >= sizeof(*frames)) {
        size_t bytes = run->length < sizeof(frames) ? run->length : sizeof(frames);

        bytes -= bytes % sizeof(*frames);
        (void)guest_bytes_take(run, frames, bytes); /* so many are there */
        discard_frames(device, frames, bytes / sizeof(*frames));
    }
}

static size_t serve(struct virtio_device *device, unsigned queue, struct virtqueue_chain *chain)
{
    if (queue == QUEUE_INFLATE)
        inflate(device, &chain->readable);
    for (size_t i = 0; queue == QUEUE_REPORTING && i < chain->writable.count; i++)
        discard(chain->writable.segments[i].iov_base, chain->writable.segments[i].iov_len);
    return 0; /* and a deflated page is there again as soon as it is used */
}

static void balloon_notify(struct virtio_device *device, unsigned queue)
{
    virtio_device_serve(device, queue, serve);
}

/* What the guest was asked for; what it gave is in the part that it writes. */
static int balloon_save(const struct virtio_device *device, struct state_writer *writer,
                        struct error *err)
{
    (void)err;
    state_put(writer, device->config, sizeof(struct virtio_balloon_config));
    return 0;
}

static int balloon_restore(struct virtio_device *device, struct state_reader *reader,
                           struct error *err)
{
    return state_take(reader, device->config, sizeof(struct virtio_balloon_config), err);
}

static void balloon_free(struct virtio_device *device)
{
    free(device);
}

static const struct virtio_class balloon_class = {
    .name = "balloon",
    .id = VIRTIO_ID_BALLOON,
    .notify = balloon_notify,
    .save = balloon_save,
    .restore = balloon_restore,
    .has_own_config = true,
    .free = balloon_free,
};

struct virtio_device *virtio_balloon_open(void)
{
    const struct virtio_balloon_config config = { 0 };
    struct virtio_device *device = xcalloc(1, sizeof(*device));

    /* A guest without memory does not take back what it has given: its cgroup has no room for it.
     */
    virtio_device_init(device, &balloon_class, 1ull << VIRTIO_BALLOON_F_REPORTING, QUEUE_COUNT);
    virtio_device_set_config(device, &config, sizeof(config));
    device->config_writable = offsetof(struct virtio_balloon_config, actual);
    device->config_writable_length = sizeof(config.actual);
    return device;
}

void virtio_balloon_set_target(struct virtio_device *device, uint64_t bytes)
{
    uint64_t pages = bytes / PAGE_BYTES;
    uint32_t num_pages = pages > UINT32_MAX ? UINT32_MAX : (uint32_t)pages;

    assert(device->virtio_class == &balloon_class);

    (void)pthread_mutex_lock(&device->lock);
    memcpy(device->config + offsetof(struct virtio_balloon_config, num_pages), &num_pages,
           sizeof(num_pages));
    device->transport->signal(device->transport, VIRTIO_SIGNAL_CONFIG, 0);
    (void)pthread_mutex_unlock(&device->lock);
}

uint64_t virtio_balloon_given(struct virtio_device *device)
{
    uint32_t pages;

    assert(device->virtio_class == &balloon_class);

    (void)pthread_mutex_lock(&device->lock);
    memcpy(&pages, device->config + offsetof(struct virtio_balloon_config, actual), sizeof(pages));
    (void)pthread_mutex_unlock(&device->lock);
    return pages * PAGE_BYTES;
}
