#include "unionfs/erofs_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "unionfs/erofs_image.h"

/* Small files are gathered in a buffer, since opening and copying each by itself costs more calls;
 * of large ones the kernel copies the bytes, or shares them where the file system can. */

#define BUFFER_BYTES (1u << 20)
#define SMALL_BYTES  (64u << 10)
/* So much is written before the disk is told to begin. */
#define WRITE_BEHIND_BYTES (8u << 20)

struct writer {
    int fd;
    const int *layer_fds;
    struct erofs_tree tree;
    struct erofs_plan plan;
    const struct erofs_watch *watch;
    uint8_t *buffer;
    uint64_t buffer_at; /* where its first byte belongs */
    size_t used;
    uint64_t written_to; /* what lies before was given to the disk */
    uint64_t done_bytes;
};

static void writer_clear(struct writer *writer)
{
    erofs_tree_clear(&writer->tree);
    free(writer->buffer);
}

static int writer_open(int fd, const int *layer_fds, size_t layer_count, struct writer *writer,
                       struct error *err)
{
    int r;

    writer->fd = fd;
    writer->layer_fds = layer_fds;
    writer->buffer = xcalloc(1, BUFFER_BYTES);
    r = erofs_tree_read(layer_fds, layer_count, &writer->tree, err);
    return r < 0 ? r : erofs_plan(&writer->tree, &writer->plan, err);
}

static void tell(struct writer *writer, uint64_t more)
{
    writer->done_bytes += more;
    if (writer->watch != NULL && writer->watch->progress != NULL)
        writer->watch->progress(writer->done_bytes, writer->plan.file_bytes,
                                writer->watch->context);
}

static int open_content(const struct writer *writer, uint32_t index, int *ret_fd, struct error *err)
{
    const struct erofs_node *node = &writer->tree.nodes[index];
    auto_free char *path = erofs_tree_path(&writer->tree, index);

    *ret_fd = openat(writer->layer_fds[node->layer], path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? error_errno(err, "open '/%s'", path) : 0;
}

static int shortened(const struct writer *writer, uint32_t index, struct error *err)
{
    auto_free char *path = erofs_tree_path(&writer->tree, index);

    return error_set(err, EBADMSG, "'/%s' became shorter while it was read", path);
}

/* Reads so many bytes, or fails. */
static int read_piece(const struct writer *writer, uint32_t index, int fd, void *bytes,
                      uint64_t offset, size_t length, struct error *err)
{
    size_t done = 0;

    while (done < length) {
        ssize_t count = pread(fd, (uint8_t *)bytes + done, length - done, (off_t)(offset + done));

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_errno(err, "read a file of the image");
        if (count == 0)
            return shortened(writer, index, err);
        done += (size_t)count;
    }
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_bytes(struct writer *writer, const void *bytes, size_t length, uint64_t offset,
                       struct error *err)
{
    size_t done = 0;

    while (done < length) {
        ssize_t count = pwrite(writer->fd, (const uint8_t *)bytes + done, length - done,
                               (off_t)(offset + done));

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_errno(err, "write the EROFS file");
        done += (size_t)count;
    }
    return 0;
}

/* The disk works while the next files are read; what is missing then is the final sync's. */
static void write_behind(struct writer *writer, uint64_t offset)
{
    if (offset < writer->written_to + WRITE_BEHIND_BYTES)
        return;
    (void)sync_file_range(writer->fd, (off_t)writer->written_to,
                          (off_t)(offset - writer->written_to), SYNC_FILE_RANGE_WRITE);
    writer->written_to = offset;
}

static int flush(struct writer *writer, struct error *err)
{
    size_t used = writer->used;
    int r;

    writer->used = 0;
    if (used == 0)
        return 0;
    r = write_bytes(writer, writer->buffer, used, writer->buffer_at, err);
    write_behind(writer, writer->buffer_at + used);
    return r;
}

static int add_small(struct writer *writer, uint32_t index, int fd, struct error *err)
{
    const struct erofs_node *node = &writer->tree.nodes[index];
    size_t size = (size_t)node->bytes;
    size_t padding = (EROFS_BLOCK_BYTES - size % EROFS_BLOCK_BYTES) % EROFS_BLOCK_BYTES;
    int r = 0;

    if (writer->used + size + padding > BUFFER_BYTES)
        r = flush(writer, err);
    if (r < 0)
        return r;
    if (writer->used == 0)
        writer->buffer_at = node->block * EROFS_BLOCK_BYTES;
    r = read_piece(writer, index, fd, writer->buffer + writer->used, 0, size, err);
    if (r < 0)
        return r;
    memset(writer->buffer + writer->used + size, 0, padding);
    writer->used += size + padding;
    tell(writer, size);
    return 0;
}

/* Copies in the kernel: by copy_file_range(2), or where it is not possible between these two files
 * by sendfile(2). */
static ssize_t copy_some(struct writer *writer, int fd, uint64_t from, uint64_t to, uint64_t length)
{
    size_t part = length < WRITE_BEHIND_BYTES ? (size_t)length : WRITE_BEHIND_BYTES;
    off_t from_at = (off_t)from, to_at = (off_t)to;
    ssize_t count = copy_file_range(fd, &from_at, writer->fd, &to_at, part, 0);

    if (count >= 0 || (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS))
        return count;
    if (lseek(writer->fd, (off_t)to, SEEK_SET) < 0)
        return -1;
    from_at = (off_t)from;
    return sendfile(writer->fd, fd, &from_at, part);
}

static int copy_range(struct writer *writer, uint32_t index, int fd, uint64_t offset,
                      uint64_t length, struct error *err)
{
    uint64_t start = writer->tree.nodes[index].block * EROFS_BLOCK_BYTES;

    while (length > 0) {
        ssize_t count = copy_some(writer, fd, offset, start + offset, length);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_errno(err, "write the EROFS file");
        if (count == 0)
            return shortened(writer, index, err);
        offset += (uint64_t)count;
        length -= (uint64_t)count;
        write_behind(writer, start + offset);
        tell(writer, (uint64_t)count);
    }
    return 0;
}

/* Only what is no hole. */
static int copy_sparse(struct writer *writer, uint32_t index, int fd, struct error *err)
{
    uint64_t size = writer->tree.nodes[index].bytes;
    off_t end = 0;
    int r = 0;

    while (r == 0) {
        off_t begin = lseek(fd, end, SEEK_DATA);

        if (begin < 0 && errno == ENXIO)
            return 0; /* a hole up to the end */
        end = begin < 0 ? -1 : lseek(fd, begin, SEEK_HOLE);
        if (end < 0)
            return error_errno(err, "look for holes in a file of the image");
        if ((uint64_t)end > size)
            end = (off_t)size;
        if (begin >= end)
            return 0;
        r = copy_range(writer, index, fd, (uint64_t)begin, (uint64_t)(end - begin), err);
    }
    return r;
}

static int add_file(struct writer *writer, uint32_t index, struct error *err)
{
    const struct erofs_node *node = &writer->tree.nodes[index];
    auto_close int fd = -1;
    int r;

    r = open_content(writer, index, &fd, err);
    if (r < 0)
        return r;
    if (node->bytes <= SMALL_BYTES)
        return add_small(writer, index, fd, err);
    r = flush(writer, err);
    if (r < 0)
        return r;
    return node->is_sparse ? copy_sparse(writer, index, fd, err)
                           : copy_range(writer, index, fd, 0, node->bytes, err);
}

int erofs_file_write(int fd, const int *layer_fds, size_t layer_count,
                     const struct erofs_watch *watch, struct error *err)
{
    AUTO_CLEAR(writer) struct writer writer = { .watch = watch };
    auto_free uint8_t *names = NULL;
    int r;

    r = writer_open(fd, layer_fds, layer_count, &writer, err);
    if (r < 0)
        return r;
    names = erofs_encode(&writer.tree, &writer.plan);
    r = write_bytes(&writer, names, erofs_plan_head_bytes(&writer.plan), 0, err);
    for (uint32_t i = 0; r == 0 && i < writer.tree.node_count; i++) {
        if (S_ISREG(writer.tree.nodes[i].mode) && writer.tree.nodes[i].bytes > 0)
            r = add_file(&writer, i, err);
    }
    if (r == 0)
        r = flush(&writer, err);
    if (r == 0 && ftruncate(fd, (off_t)writer.plan.length) < 0)
        r = error_errno(err, "write the EROFS file");
    return r;
}

/* --- comparing -------------------------------------------------------------------------------- */

static int differs(const char *what, struct error *err)
{
    return error_set(err, EBADMSG, "%s", what);
}

/* Against what is in memory, by way of the buffer. */
static int compare_head(struct writer *writer, const uint8_t *bytes, uint64_t length,
                        struct error *err)
{
    for (uint64_t at = 0; at < length; at += BUFFER_BYTES) {
        size_t part = length - at < BUFFER_BYTES ? (size_t)(length - at) : BUFFER_BYTES;
        ssize_t count = pread(writer->fd, writer->buffer, part, (off_t)at);

        if (count < 0)
            return error_errno(err, "read the EROFS file");
        if ((size_t)count < part || memcmp(writer->buffer, bytes + at, part) != 0)
            return differs("its names or what it says of files are not those of the layers", err);
    }
    return 0;
}

static int compare_file(struct writer *writer, uint32_t index, struct error *err)
{
    const struct erofs_node *node = &writer->tree.nodes[index];
    uint8_t *found = writer->buffer, *expected = writer->buffer + BUFFER_BYTES / 2;
    auto_close int fd = -1;
    int r;

    r = open_content(writer, index, &fd, err);
    for (uint64_t at = 0; r == 0 && at < node->bytes; at += BUFFER_BYTES / 2) {
        size_t part =
            node->bytes - at < BUFFER_BYTES / 2 ? (size_t)(node->bytes - at) : BUFFER_BYTES / 2;

        r = read_piece(writer, index, fd, expected, at, part, err);
        if (r == 0)
            r = read_piece(writer, index, writer->fd, found, node->block * EROFS_BLOCK_BYTES + at,
                           part, err);
        if (r == 0 && memcmp(found, expected, part) != 0) {
            auto_free char *path = erofs_tree_path(&writer->tree, index);

            return error_set(err, EBADMSG, "'/%s' has another content in it", path);
        }
    }
    return r;
}

int erofs_file_compare(int fd, const int *layer_fds, size_t layer_count, bool with_contents,
                       struct error *err)
{
    AUTO_CLEAR(writer) struct writer writer = { 0 };
    auto_free uint8_t *head = NULL;
    struct stat status;
    int r;

    r = writer_open(fd, layer_fds, layer_count, &writer, err);
    if (r < 0)
        return r;
    if (fstat(fd, &status) < 0)
        return error_errno(err, "look at the EROFS file");
    if ((uint64_t)status.st_size != writer.plan.length)
        return differs("it has another length", err);
    head = erofs_encode(&writer.tree, &writer.plan);
    r = compare_head(&writer, head, erofs_plan_head_bytes(&writer.plan), err);
    for (uint32_t i = 0; with_contents && r == 0 && i < writer.tree.node_count; i++) {
        if (S_ISREG(writer.tree.nodes[i].mode))
            r = compare_file(&writer, i, err);
    }
    return r;
}
