#include "microvm/machine_state.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define PAGE_BYTES 4096
/* Of one write: enough that the calls do not count. */
#define RUN_BYTES_MAX (4U << 20)
#define MARK_BYTES    4

static const char magic[8] = "berthVM";

struct header {
    char magic[8];
    uint32_t version;
    uint32_t unused;
    uint64_t length; /* of what follows */
    uint64_t hash;   /* of it */
};

/* --- parts ------------------------------------------------------------------------------------ */

void state_put(struct state_writer *writer, const void *bytes, size_t length)
{
    assert(writer != NULL);

    if (length > writer->room - writer->length) {
        writer->room = 2 * (writer->length + length);
        writer->bytes = xrealloc(writer->bytes, writer->room, 1);
    }
    if (length > 0)
        memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

void state_put_mark(struct state_writer *writer, const char mark[5])
{
    state_put(writer, mark, MARK_BYTES);
}

void state_writer_clear(struct state_writer *writer)
{
    free(writer->bytes);
    *writer = (struct state_writer){ 0 };
}

int state_take_place(struct state_reader *reader, size_t length, const uint8_t **ret_bytes,
                     struct error *err)
{
    assert(reader != NULL);

    if (length > reader->left)
        return error_set(err, EBADMSG, "the state of the saved machine is too short");
    *ret_bytes = reader->bytes;
    reader->bytes += length;
    reader->left -= length;
    return 0;
}

int state_take(struct state_reader *reader, void *ret_bytes, size_t length, struct error *err)
{
    const uint8_t *bytes = NULL;
    int r;

    r = state_take_place(reader, length, &bytes, err);
    if (r == 0 && length > 0)
        memcpy(ret_bytes, bytes, length);
    return r;
}

int state_take_mark(struct state_reader *reader, const char mark[5], struct error *err)
{
    char found[MARK_BYTES];
    int r;

    r = state_take(reader, found, sizeof(found), err);
    if (r == 0 && memcmp(found, mark, MARK_BYTES) != 0)
        r = error_set(err, EBADMSG,
                      "the state of the saved machine has no part '%s' where it "
                      "belongs",
                      mark);
    return r;
}

/* --- files ------------------------------------------------------------------------------------ */

static int write_at(int fd, const uint8_t *bytes, size_t length, uint64_t at, const char *what,
                    struct error *err)
{
    while (length > 0) {
        const ssize_t count = pwrite(fd, bytes, length, (off_t)at);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_errno(err, "write the %s of the machine", what);
        bytes += count;
        length -= (size_t)count;
        at += (uint64_t)count;
    }
    return 0;
}

int state_write_file(const struct state_writer *writer, int fd, struct error *err)
{
    struct header header = { .version = MACHINE_STATE_VERSION,
                             .length = writer->length,
                             .hash = text_hash(writer->bytes, writer->length) };
    int r;

    assert(writer->length <= MACHINE_STATE_MAX);

    memcpy(header.magic, magic, sizeof(magic));
    r = write_at(fd, (const uint8_t *)&header, sizeof(header), 0, "state", err);
    return r < 0 ? r : write_at(fd, writer->bytes, writer->length, sizeof(header), "state", err);
}

int state_open(const uint8_t *bytes, size_t length, struct state_reader *ret_reader,
               struct error *err)
{
    struct state_reader reader = { bytes, length };
    struct header header;
    int r;

    assert(ret_reader != NULL);

    r = state_take(&reader, &header, sizeof(header), err);
    if (r < 0)
        return r;
    if (memcmp(header.magic, magic, sizeof(magic)) != 0)
        return error_set(err, EBADMSG, "the file is not the state of a machine");
    if (header.version != MACHINE_STATE_VERSION)
        return error_set(err, EXDEV, "the machine was saved by another version of berth");
    if (header.length != reader.left || header.hash != text_hash(reader.bytes, reader.left))
        return error_set(err, EBADMSG, "the state of the saved machine is damaged");
    *ret_reader = reader;
    return 0;
}

int state_read_file(int fd, uint8_t **ret_bytes, struct state_reader *ret_reader, struct error *err)
{
    auto_free uint8_t *bytes = NULL;
    struct stat stat;
    size_t length = 0;
    int r;

    assert(ret_bytes != NULL);

    if (fstat(fd, &stat) < 0)
        return error_errno(err, "look at the state of the saved machine");
    if (stat.st_size > (off_t)(MACHINE_STATE_MAX + sizeof(struct header)))
        return error_set(err, EBADMSG, "the state of the saved machine is too long");
    bytes = xcalloc(1, (size_t)stat.st_size + 1);
    while (length < (size_t)stat.st_size) {
        const ssize_t count =
            pread(fd, bytes + length, (size_t)stat.st_size - length, (off_t)length);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_errno(err, "read the state of the saved machine");
        if (count == 0)
            break;
        length += (size_t)count;
    }
    r = state_open(bytes, length, ret_reader, err);
    if (r == 0)
        *ret_bytes = take_ptr(&bytes);
    return r;
}

/* --- memory ----------------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *page)
{
    static const uint8_t zeros[PAGE_BYTES];

    return memcmp(page, zeros, PAGE_BYTES) == 0;
}

int state_write_memory(const uint8_t *memory, uint64_t bytes, int fd, struct error *err)
{
    assert(bytes % PAGE_BYTES == 0);

    for (uint64_t start = 0, end; start < bytes; start = end) {
        int r;

        for (end = start; end < bytes && end - start < RUN_BYTES_MAX && !is_zero(memory + end);)
            end += PAGE_BYTES;
        if (end == start) {
            end += PAGE_BYTES;
            continue;
        }
        r = write_at(fd, memory + start, end - start, start, "memory", err);
        if (r < 0)
            return r;
    }
    return ftruncate(fd, (off_t)bytes) < 0 ? error_errno(err, "write the memory of the machine")
                                           : 0;
}
