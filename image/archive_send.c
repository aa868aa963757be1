/* berth-archive's end of the stream. */
#include <string.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "image/archive_stream.h"

#define PROGRESS_BYTES (1u << 20)

static int send_frame(struct archive_sender *sender, enum archive_frame type, const void *payload,
                      size_t length, struct error *err)
{
    struct archive_frame_header header = { .type = type,
                                           .length = (uint32_t)length,
                                           .taken = sender->taken };
    const struct iovec parts[] = { { &header, sizeof(header) }, { (void *)payload, length } };
    size_t done = 0;
    int r = 0;

    /* One call in most cases; what it leaves is written in the ordinary way. */
    ssize_t written = writev(sender->fd, parts, length > 0 ? 2 : 1);

    if (written > 0)
        done = (size_t)written;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++) {
        size_t part = done < parts[i].iov_len ? done : parts[i].iov_len;

        done -= part;
        if (part < parts[i].iov_len)
            r = fd_write_all(sender->fd, (const char *)parts[i].iov_base + part,
                             parts[i].iov_len - part, "the stream of files", err);
    }
    if (r == 0)
        sender->told = sender->taken;
    return r;
}

/* A payload of two parts. */
static int send_parts(struct archive_sender *sender, enum archive_frame type, const void *first,
                      size_t first_length, const char *second, struct error *err)
{
    size_t length = first_length + strlen(second);
    auto_free char *payload = xcalloc(1, length + 1);

    memcpy(payload, first, first_length);
    memcpy(payload + first_length, second, length - first_length);
    return send_frame(sender, type, payload, length, err);
}

int archive_send_file(struct archive_sender *sender, const char *name, uint64_t size,
                      struct error *err)
{
    return send_parts(sender, ARCHIVE_FRAME_FILE, &size, sizeof(size), name, err);
}

int archive_send_data(struct archive_sender *sender, const void *bytes, size_t length,
                      struct error *err)
{
    int r = 0;

    for (size_t sent = 0, part; r == 0 && sent < length; sent += part) {
        part = length - sent < ARCHIVE_FRAME_DATA_MAX ? length - sent : ARCHIVE_FRAME_DATA_MAX;
        r = send_frame(sender, ARCHIVE_FRAME_DATA, (const char *)bytes + sent, part, err);
    }
    return r;
}

int archive_send_link(struct archive_sender *sender, const char *name, const char *target,
                      struct error *err)
{
    return send_parts(sender, ARCHIVE_FRAME_LINK, name, strlen(name) + 1, target, err);
}

int archive_send_progress(struct archive_sender *sender, struct error *err)
{
    return sender->taken - sender->told < PROGRESS_BYTES
               ? 0
               : send_frame(sender, ARCHIVE_FRAME_PROGRESS, NULL, 0, err);
}

int archive_send_end(struct archive_sender *sender, struct error *err)
{
    return send_frame(sender, ARCHIVE_FRAME_END, NULL, 0, err);
}

void archive_send_failure(struct archive_sender *sender, const struct error *failure)
{
    uint32_t code = (uint32_t)failure->code;

    (void)send_parts(sender, ARCHIVE_FRAME_FAILED, &code, sizeof(code), failure->message, NULL);
}
