#include "microvm/virtio_blk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR_BYTES 512ull
/* A chain has two descriptors that are not data. */
#define SEGMENTS_MAX (VIRTQUEUE_SIZE_MAX - 2)
/* Of one discard or write-zeroes request. */
#define RANGES_MAX        16
#define RANGE_SECTORS_MAX (1u << 22)
#define DISCARD_ALIGNMENT 8 /* sectors: a page, what file systems make holes of */

struct virtio_blk {
    struct virtio_device device;
    int fd;
    bool is_read_only;
    uint64_t sectors;
    char serial[VIRTIO_BLK_SERIAL_MAX]; /* zero-padded */
};

/* One request: its header, and its chain without header and status byte. */
struct request {
    struct virtio_blk_outhdr header;
    struct guest_bytes *readable;
    struct guest_bytes *writable;
    size_t written_bytes; /* of the writable ones, without the status byte */
};

typedef uint8_t request_handler(struct virtio_blk *blk, struct request *request);

static bool has_sectors(const struct virtio_blk *blk, uint64_t sector, uint64_t count)
{
    return sector <= blk->sectors && count <= blk->sectors - sector;
}

/* Reads or writes all bytes of a run with as few calls as there can be. */
static uint8_t transfer(const struct virtio_blk *blk, struct guest_bytes *run, uint64_t sector,
                        ssize_t (*call)(int fd, const struct iovec *vector, int count, off_t at))
{
    off_t at = (off_t)(sector * SECTOR_BYTES);

    if (run->length % SECTOR_BYTES != 0 || !has_sectors(blk, sector, run->length / SECTOR_BYTES))
        return VIRTIO_BLK_S_IOERR;
    while (run->length > 0) {
        ssize_t done = call(blk->fd, run->segments, (int)run->count, at);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return VIRTIO_BLK_S_IOERR;
        guest_bytes_skip(run, (size_t)done);
        at += done;
    }
    return VIRTIO_BLK_S_OK;
}

static uint8_t flush(struct virtio_blk *blk, struct request *request)
{
    (void)request;
    return blk->is_read_only || fdatasync(blk->fd) == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

static uint8_t read_sectors(struct virtio_blk *blk, struct request *request)
{
    size_t length = request->writable->length;
    uint8_t status = transfer(blk, request->writable, request->header.sector, preadv);

    request->written_bytes = length - request->writable->length;
    return status;
}

static uint8_t write_sectors(struct virtio_blk *blk, struct request *request)
{
    uint8_t status;

    if (blk->is_read_only)
        return VIRTIO_BLK_S_IOERR;
    status = transfer(blk, request->readable, request->header.sector, pwritev);
    /* A driver that does not flush takes what is written for safe (virtio 1.2, 5.2.6.2). */
    if (status == VIRTIO_BLK_S_OK && !virtio_device_has(&blk->device, VIRTIO_BLK_F_FLUSH))
        status = flush(blk, request);
    return status;
}

static uint8_t tell_serial(struct virtio_blk *blk, struct request *request)
{
    if (!guest_bytes_put(request->writable, blk->serial, sizeof(blk->serial)))
        return VIRTIO_BLK_S_IOERR;
    request->written_bytes = sizeof(blk->serial);
    return VIRTIO_BLK_S_OK;
}

/* Not every file system can do both; each leaves zeroes. */
static uint8_t clear_range(const struct virtio_blk *blk, uint64_t sector, uint32_t count,
                           bool makes_hole)
{
    const int modes[] = { FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                          FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };

    for (size_t i = makes_hole ? 1 : 0; i < ARRAY_SIZE(modes); i++) {
        if (fallocate(blk->fd, modes[i], (off_t)(sector * SECTOR_BYTES),
                      (off_t)(count * SECTOR_BYTES)) == 0)
            return VIRTIO_BLK_S_OK;
        if (errno != EOPNOTSUPP)
            return VIRTIO_BLK_S_IOERR;
    }
    return VIRTIO_BLK_S_UNSUPP;
}

static uint8_t clear_sectors(struct virtio_blk *blk, struct request *request)
{
    bool is_discard = request->header.type == VIRTIO_BLK_T_DISCARD;
    struct virtio_blk_discard_write_zeroes ranges[RANGES_MAX];
    size_t count = request->readable->length / sizeof(*ranges);

    if (blk->is_read_only || count == 0 || count > RANGES_MAX ||
        request->readable->length % sizeof(*ranges) != 0)
        return VIRTIO_BLK_S_IOERR;
    (void)guest_bytes_take(request->readable, ranges, count * sizeof(*ranges)); /* all are there */
    for (size_t i = 0; i < count; i++) {
        uint32_t flags = ranges[i].flags;
        uint8_t status;

        if ((flags & ~(uint32_t)VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0 ||
            (is_discard && flags != 0))
            return VIRTIO_BLK_S_UNSUPP;
        if (ranges[i].num_sectors == 0 || ranges[i].num_sectors > RANGE_SECTORS_MAX ||
            !has_sectors(blk, ranges[i].sector, ranges[i].num_sectors))
            return VIRTIO_BLK_S_IOERR;
        status =
            clear_range(blk, ranges[i].sector, ranges[i].num_sectors, is_discard || flags != 0);
        if (status != VIRTIO_BLK_S_OK)
            return status;
    }
    return VIRTIO_BLK_S_OK;
}

static const struct {
    uint32_t type;
    request_handler *handler;
} handlers[] = {
    { VIRTIO_BLK_T_IN, read_sectors },       { VIRTIO_BLK_T_OUT, write_sectors },
    { VIRTIO_BLK_T_FLUSH, flush },           { VIRTIO_BLK_T_GET_ID, tell_serial },
    { VIRTIO_BLK_T_DISCARD, clear_sectors }, { VIRTIO_BLK_T_WRITE_ZEROES, clear_sectors },
};

static uint8_t handle(struct virtio_blk *blk, struct request *request)
{
    if (!guest_bytes_take(request->readable, &request->header, sizeof(request->header)))
        return VIRTIO_BLK_S_IOERR;
    for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
        if (handlers[i].type == request->header.type)
            return handlers[i].handler(blk, request);
    }
    return VIRTIO_BLK_S_UNSUPP;
}

/* The status is the last byte that may be written, wherever the descriptors are cut. */
static uint8_t *cut_status(struct guest_bytes *run)
{
    const struct iovec *last = &run->segments[run->count - 1];
    uint8_t *status = (uint8_t *)last->iov_base + last->iov_len - 1;

    guest_bytes_cut(run, run->length - 1);
    return status;
}

static size_t serve(struct virtio_device *device, unsigned queue, struct virtqueue_chain *chain)
{
    struct request request = { .readable = &chain->readable, .writable = &chain->writable };
    uint8_t *status;

    (void)queue;
    if (chain->writable.length == 0) {
        virtio_device_break(device);
        return 0;
    }
    status = cut_status(&chain->writable);
    *status = handle((struct virtio_blk *)device, &request);
    return request.written_bytes + 1;
}

static void blk_notify(struct virtio_device *device, unsigned queue)
{
    virtio_device_serve(device, queue, serve);
}

static void blk_free(struct virtio_device *device)
{
    free(device);
}

static const struct virtio_class blk_class = {
    .name = "blk",
    .id = VIRTIO_ID_BLOCK,
    .notify = blk_notify,
    .free = blk_free,
};

static void describe(struct virtio_blk *blk)
{
    uint64_t features =
        1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE | 1ull << VIRTIO_BLK_F_FLUSH;
    const struct virtio_blk_config config = {
        .capacity = blk->sectors,
        .seg_max = SEGMENTS_MAX,
        .blk_size = SECTOR_BYTES,
        .max_discard_sectors = RANGE_SECTORS_MAX,
        .max_discard_seg = RANGES_MAX,
        .discard_sector_alignment = DISCARD_ALIGNMENT,
        .max_write_zeroes_sectors = RANGE_SECTORS_MAX,
        .max_write_zeroes_seg = RANGES_MAX,
        .write_zeroes_may_unmap = 1,
    };

    features |= blk->is_read_only
                    ? 1ull << VIRTIO_BLK_F_RO
                    : 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
    virtio_device_init(&blk->device, &blk_class, features, 1);
    virtio_device_set_config(&blk->device, &config,
                             offsetof(struct virtio_blk_config, write_zeroes_may_unmap) +
                                 sizeof(config.write_zeroes_may_unmap));
}

int virtio_blk_open(int fd, bool is_read_only, const char *serial,
                    struct virtio_device **ret_device, struct error *err)
{
    off_t size = lseek(fd, 0, SEEK_END); /* also right for block devices */
    struct virtio_blk *blk;

    assert(serial != NULL && strlen(serial) <= VIRTIO_BLK_SERIAL_MAX);
    assert(ret_device != NULL);

    if (size < 0)
        return error_errno(err, "find out the size of the disk");
    blk = xcalloc(1, sizeof(*blk));
    blk->fd = fd;
    blk->is_read_only = is_read_only;
    blk->sectors = (uint64_t)size / SECTOR_BYTES;
    memcpy(blk->serial, serial, strlen(serial));
    describe(blk);
    *ret_device = &blk->device;
    return 0;
}
