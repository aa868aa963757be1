#include "image/archive_stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "image/archive_name.h"

#define BUFFER_BYTES (256u << 10)
#define PAYLOAD_MAX  (2 * ARCHIVE_NAME_MAX + 1) /* of all frames but DATA */

struct archive_stream {
    int fd;
    bool (*matters)(const char *name);
    char *buffer;
    size_t start, end;  /* of what was read and not yet taken */
    uint64_t file_left; /* bytes of the file that did not come yet */
    uint64_t data_left; /* of them, in the frame that comes */
    uint64_t taken;
    bool has_ended;
    char payload[PAYLOAD_MAX + 1]; /* ends with a zero byte that is not its own */
};

struct archive_stream *archive_stream_open(int fd, bool (*matters)(const char *name))
{
    struct archive_stream *stream = xcalloc(1, sizeof(*stream));

    assert(matters != NULL);

    stream->fd = fd;
    stream->matters = matters;
    stream->buffer = xcalloc(1, BUFFER_BYTES);
    return stream;
}

void archive_stream_free(struct archive_stream *stream)
{
    if (stream == NULL)
        return;
    free(stream->buffer);
    free(stream);
}

static int refuse(const char *what, struct error *err)
{
    return error_set(err, EBADMSG, "read the archive: berth-archive sends %s", what);
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* The next bytes, at most @max of them and at least one. */
static int take(struct archive_stream *stream, uint64_t max, const char **ret_bytes,
                size_t *ret_length, struct error *err)
{
    ssize_t length;

    if (stream->start == stream->end) {
        do
            length = read(stream->fd, stream->buffer, BUFFER_BYTES);
        while (length < 0 && errno == EINTR);
        if (length < 0)
            return error_errno(err, "read the archive from berth-archive");
        if (length == 0)
            return error_set(err, EPIPE, "read the archive: berth-archive ended early");
        stream->start = 0;
        stream->end = (size_t)length;
    }
    *ret_bytes = stream->buffer + stream->start;
    *ret_length = stream->end - stream->start;
    if (*ret_length > max)
        *ret_length = (size_t)max;
    stream->start += *ret_length;
    return 0;
}

static int take_all(struct archive_stream *stream, void *ret_bytes, size_t length,
                    struct error *err)
{
    for (size_t done = 0; done < length;) {
        const char *bytes;
        size_t part = 0;
        int r = take(stream, length - done, &bytes, &part, err);

        if (r < 0)
            return r;
        memcpy((char *)ret_bytes + done, bytes, part);
        done += part;
    }
    return 0;
}

/* --- payloads --------------------------------------------------------------------------------- */

static int check_name(const char *name, struct error *err)
{
    auto_free char *clean = NULL;

    if (*name == '\0' || strlen(name) > ARCHIVE_NAME_MAX)
        return refuse("a name that is empty or too long", err);
    clean = archive_name_clean("", 0, name);
    if (strcmp(clean, name) != 0)
        return refuse("a name that is not clean", err);
    return 0;
}

static int check_member(const struct archive_stream *stream, const char *name, struct error *err)
{
    int r = check_name(name, err);

    return r == 0 && !stream->matters(name) ? refuse("a file that does not matter", err) : r;
}

static int take_file(struct archive_stream *stream, size_t length, struct archive_event *event,
                     struct error *err)
{
    int r;

    if (length <= sizeof(event->size))
        return refuse("a file without a name", err);
    memcpy(&event->size, stream->payload, sizeof(event->size));
    event->name = stream->payload + sizeof(event->size);
    if (strlen(event->name) != length - sizeof(event->size))
        return refuse("a name with a zero byte", err);
    if (event->size > INT64_MAX)
        return refuse("a size that no file has", err);
    r = check_member(stream, event->name, err);
    if (r == 0)
        stream->file_left = event->size;
    return r;
}

static int take_link(struct archive_stream *stream, size_t length, struct archive_event *event,
                     struct error *err)
{
    size_t name_length = strlen(stream->payload);
    int r;

    if (name_length == length)
        return refuse("a link without a target", err);
    event->name = stream->payload;
    event->link = stream->payload + name_length + 1;
    if (strlen(event->link) != length - name_length - 1)
        return refuse("a name with a zero byte", err);
    r = check_member(stream, event->name, err);
    /* A link to "/" has an empty name, which is no file's. */
    return r == 0 && *event->link != '\0' ? check_name(event->link, err) : r;
}

/* Its sentence, of which error_set() makes one line; its code only if ours could give it. */
static int take_failure(struct archive_stream *stream, size_t length, struct error *err)
{
    static const uint32_t codes[] = { EINVAL, EFBIG, ENOMEM, EIO, EPERM };
    uint32_t code;
    const char *sentence = stream->payload + sizeof(code);
    bool is_ours = false;

    if (length <= sizeof(code) || *sentence == '\0')
        return refuse("no reason for its failure", err);
    memcpy(&code, stream->payload, sizeof(code));
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        is_ours = is_ours || codes[i] == code;
    return error_set(err, is_ours ? (int)code : EBADMSG, "%.*s", ERROR_MESSAGE_MAX - 1, sentence);
}

/* --- frames ----------------------------------------------------------------------------------- */

static int check_header(struct archive_stream *stream, const struct archive_frame_header *header,
                        struct error *err)
{
    bool is_data = header->type == ARCHIVE_FRAME_DATA;
    bool has_payload = is_data || header->type == ARCHIVE_FRAME_FILE ||
                       header->type == ARCHIVE_FRAME_LINK || header->type == ARCHIVE_FRAME_FAILED;

    if (header->type < ARCHIVE_FRAME_FILE || header->type > ARCHIVE_FRAME_FAILED)
        return refuse("a frame of an unknown type", err);
    if (has_payload != (header->length > 0) ||
        header->length > (is_data ? ARCHIVE_FRAME_DATA_MAX : PAYLOAD_MAX))
        return refuse("a frame of a wrong length", err);
    if (header->taken < stream->taken)
        return refuse("that it took less than before", err);
    if (is_data && header->length > stream->file_left)
        return refuse("more bytes than a file has", err);
    if (stream->file_left > 0 && !is_data && header->type != ARCHIVE_FRAME_PROGRESS &&
        header->type != ARCHIVE_FRAME_FAILED)
        return refuse("fewer bytes than a file has", err);
    return 0;
}

static int take_payload(struct archive_stream *stream, const struct archive_frame_header *header,
                        struct archive_event *event, struct error *err)
{
    int r;

    r = take_all(stream, stream->payload, header->length, err);
    if (r < 0)
        return r;
    stream->payload[header->length] = '\0';
    switch (header->type) {
    case ARCHIVE_FRAME_FILE:
        return take_file(stream, header->length, event, err);
    case ARCHIVE_FRAME_LINK:
        return take_link(stream, header->length, event, err);
    case ARCHIVE_FRAME_FAILED:
        return take_failure(stream, header->length, err);
    case ARCHIVE_FRAME_END:
        stream->has_ended = true;
        return 0;
    default:
        return 0;
    }
}

/* What has come of a frame of data: no need to wait for all of it. */
static int take_data(struct archive_stream *stream, struct archive_event *event, struct error *err)
{
    const char *bytes;
    int r = take(stream, stream->data_left, &bytes, &event->length, err);

    if (r < 0)
        return r;
    event->bytes = bytes;
    stream->data_left -= event->length;
    stream->file_left -= event->length;
    return 0;
}

int archive_stream_next(struct archive_stream *stream, struct archive_event *ret_event,
                        struct error *err)
{
    struct archive_event event = { .frame = ARCHIVE_FRAME_DATA };
    struct archive_frame_header header = { 0 };
    int r;

    assert(stream != NULL);
    assert(!stream->has_ended);
    assert(ret_event != NULL);

    if (stream->data_left == 0) {
        r = take_all(stream, &header, sizeof(header), err);
        if (r == 0)
            r = check_header(stream, &header, err);
        if (r < 0)
            return r;
        stream->taken = header.taken;
        event.frame = (enum archive_frame)header.type;
        if (event.frame == ARCHIVE_FRAME_DATA)
            stream->data_left = header.length;
    }
    r = event.frame == ARCHIVE_FRAME_DATA ? take_data(stream, &event, err)
                                          : take_payload(stream, &header, &event, err);
    if (r < 0)
        return r;
    event.taken = stream->taken;
    *ret_event = event;
    return 0;
}
