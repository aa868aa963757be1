#include "microvm/channel.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct header {
    uint32_t length, type, stream, credit;
};

struct channel {
    struct channel_handlers handlers;
    void *context;
    size_t message_max;
    bool is_lenient;
    struct channel_stream *streams;
    size_t stream_count;
    struct text input; /* one frame, as far as it has arrived */
    struct text output;
    size_t sent; /* of output */
};

struct channel *channel_new(const struct channel_handlers *handlers, void *context,
                            size_t message_max, bool is_lenient)
{
    struct channel *channel = xcalloc(1, sizeof(*channel));

    channel->handlers = *handlers;
    channel->context = context;
    channel->message_max = message_max;
    channel->is_lenient = is_lenient;
    return channel;
}

void channel_free(struct channel *channel)
{
    if (channel == NULL)
        return;
    text_clear(&channel->input);
    text_clear(&channel->output);
    free(channel->streams);
    free(channel);
}

static struct channel_stream *find_stream(const struct channel *channel, uint32_t id)
{
    for (size_t i = 0; i < channel->stream_count; i++) {
        if (channel->streams[i].id == id)
            return &channel->streams[i];
    }
    return NULL;
}

/* --- what arrives --------------------------------------------------------------------------------
 */

static struct header parse_header(const void *bytes)
{
    uint32_t words[4];

    _Static_assert(sizeof(words) == CHANNEL_HEADER_BYTES, "the header is four numbers");
    memcpy(words, bytes, sizeof(words));
    return (struct header){ le32toh(words[0]), le32toh(words[1]), le32toh(words[2]),
                            le32toh(words[3]) };
}

/* Before any of the frame's bytes are kept. */
static int check_header(const struct channel *channel, const struct header *header,
                        struct error *err)
{
    size_t max = header->type == CHANNEL_MESSAGE ? channel->message_max
                 : header->type == CHANNEL_DATA  ? CHANNEL_DATA_MAX
                                                 : 0;

    if (header->type < CHANNEL_MESSAGE || header->type > CHANNEL_CREDIT)
        return error_set(err, EPROTO, "frame of an unknown type %u", header->type);
    if (header->length > max)
        return error_set(err, EPROTO, "frame of type %u with %u bytes, %zu are allowed",
                         header->type, header->length, max);
    if ((header->type == CHANNEL_MESSAGE) != (header->stream == 0))
        return error_set(err, EPROTO, "frame of type %u on stream %u", header->type,
                         header->stream);
    return 0;
}

static int take_data(struct channel *channel, struct channel_stream *stream,
                     const struct header *header, const char *bytes, struct error *err)
{
    if (stream->has_ended)
        return error_set(err, EPROTO, "data after the end of stream %u", stream->id);
    if (header->length > stream->expected)
        return error_set(err, EPROTO, "stream %u: %u bytes, there is room for %u", stream->id,
                         header->length, stream->expected);
    stream->expected -= header->length;
    return channel->handlers.data(channel->context, header->stream, bytes, header->length, err);
}

static int take_end(struct channel *channel, struct channel_stream *stream, struct error *err)
{
    if (stream->has_ended)
        return error_set(err, EPROTO, "stream %u ends twice", stream->id);
    stream->has_ended = true;
    return channel->handlers.end(channel->context, stream->id, err);
}

static int take_credit(struct channel *channel, struct channel_stream *stream, uint32_t credit,
                       struct error *err)
{
    if (credit == 0 || credit > CHANNEL_WINDOW - stream->room)
        return error_set(err, EPROTO, "stream %u: credit of %u upon %u", stream->id, credit,
                         stream->room);
    stream->room += credit;
    if (channel->handlers.room == NULL)
        return 0;
    return channel->handlers.room(channel->context, stream->id, err);
}

static int take_frame(struct channel *channel, const struct header *header, const char *bytes,
                      struct error *err)
{
    struct channel_stream *stream;

    if (header->type == CHANNEL_MESSAGE)
        return channel->handlers.message(channel->context, bytes, header->length, err);
    stream = find_stream(channel, header->stream);
    if (stream == NULL && channel->is_lenient)
        return 0;
    if (stream == NULL)
        return error_set(err, EPROTO, "stream %u is not open", header->stream);
    switch (header->type) {
    case CHANNEL_DATA:
        return take_data(channel, stream, header, bytes, err);
    case CHANNEL_END:
        return take_end(channel, stream, err);
    default:
        return take_credit(channel, stream, header->credit, err);
    }
}

/* Keeps bytes until the input has @wanted of them; 1 when it has. */
static int fill(struct channel *channel, size_t wanted, const char **bytes, size_t *length)
{
    size_t missing = wanted - channel->input.length;
    size_t part = missing < *length ? missing : *length;

    text_add_bytes(&channel->input, *bytes, part);
    *bytes += part;
    *length -= part;
    return part == missing;
}

int channel_receive(struct channel *channel, const void *bytes, size_t length, struct error *err)
{
    const char *rest = bytes;
    int r;

    while (length > 0) {
        struct header header;

        if (channel->input.length < CHANNEL_HEADER_BYTES &&
            !fill(channel, CHANNEL_HEADER_BYTES, &rest, &length))
            return 0;
        header = parse_header(channel->input.data);
        r = check_header(channel, &header, err);
        if (r < 0)
            return r;
        if (!fill(channel, CHANNEL_HEADER_BYTES + (size_t)header.length, &rest, &length))
            return 0;
        r = take_frame(channel, &header, channel->input.data + CHANNEL_HEADER_BYTES, err);
        if (r < 0)
            return r;
        channel->input.length = 0;
    }
    return 0;
}

/* --- what is sent --------------------------------------------------------------------------------
 */

size_t channel_output(const struct channel *channel, const void **ret_bytes)
{
    *ret_bytes = channel->output.data + channel->sent;
    return channel->output.length - channel->sent;
}

void channel_sent(struct channel *channel, size_t length)
{
    assert(length <= channel->output.length - channel->sent);
    channel->sent += length;
    if (channel->sent < channel->output.length)
        return;
    channel->sent = 0;
    channel->output.length = 0;
}

static void send_frame(struct channel *channel, struct header header, const void *bytes)
{
    uint32_t words[4] = { htole32(header.length), htole32(header.type), htole32(header.stream),
                          htole32(header.credit) };

    /* What was sent goes once it is the larger part: the buffer stays small without being moved for
     * each frame. */
    if (channel->sent > channel->output.length / 2) {
        channel->output.length -= channel->sent;
        memmove(channel->output.data, channel->output.data + channel->sent, channel->output.length);
        channel->sent = 0;
    }
    text_add_bytes(&channel->output, words, sizeof(words));
    if (header.length > 0)
        text_add_bytes(&channel->output, bytes, header.length);
}

void channel_send_message(struct channel *channel, const char *text, size_t length)
{
    assert(length <= UINT32_MAX);
    send_frame(channel, (struct header){ (uint32_t)length, CHANNEL_MESSAGE, 0, 0 }, text);
}

static void add_stream(struct channel *channel, struct channel_stream stream)
{
    channel->streams =
        xrealloc(channel->streams, channel->stream_count + 1, sizeof(*channel->streams));
    channel->streams[channel->stream_count++] = stream;
}

void channel_stream_open(struct channel *channel, uint32_t id)
{
    assert(id != 0);
    assert(find_stream(channel, id) == NULL);
    add_stream(channel, (struct channel_stream){
                            .id = id, .room = CHANNEL_WINDOW, .expected = CHANNEL_WINDOW });
}

void channel_stream_close(struct channel *channel, uint32_t id)
{
    struct channel_stream *stream = find_stream(channel, id);

    if (stream != NULL)
        *stream = channel->streams[--channel->stream_count];
}

size_t channel_stream_room(const struct channel *channel, uint32_t id)
{
    const struct channel_stream *stream = find_stream(channel, id);

    return stream != NULL ? stream->room : 0;
}

void channel_stream_send(struct channel *channel, uint32_t id, const void *bytes, size_t length)
{
    struct channel_stream *stream = find_stream(channel, id);
    const char *rest = bytes;

    assert(stream != NULL);
    assert(length <= stream->room);
    stream->room -= (uint32_t)length;
    while (length > 0) {
        size_t part = length < CHANNEL_DATA_MAX ? length : CHANNEL_DATA_MAX;

        send_frame(channel, (struct header){ (uint32_t)part, CHANNEL_DATA, id, 0 }, rest);
        rest += part;
        length -= part;
    }
}

void channel_stream_end(struct channel *channel, uint32_t id)
{
    send_frame(channel, (struct header){ 0, CHANNEL_END, id, 0 }, NULL);
}

void channel_stream_consumed(struct channel *channel, uint32_t id, size_t length)
{
    struct channel_stream *stream = find_stream(channel, id);

    if (stream == NULL || stream->has_ended)
        return;
    stream->consumed += (uint32_t)length;
    /* Told in larger pieces: a frame for each few bytes would cost more than they do. */
    if (stream->consumed < CHANNEL_WINDOW / 4)
        return;
    stream->expected += stream->consumed;
    send_frame(channel, (struct header){ 0, CHANNEL_CREDIT, id, stream->consumed }, NULL);
    stream->consumed = 0;
}

/* --- going on ------------------------------------------------------------------------------------
 */

struct channel_stream channel_stream_look(const struct channel *channel, uint32_t id)
{
    const struct channel_stream *stream = find_stream(channel, id);

    assert(stream != NULL);
    return *stream;
}

int channel_stream_check(const struct channel_stream *stream, struct error *err)
{
    if (stream->room > CHANNEL_WINDOW || stream->expected > CHANNEL_WINDOW ||
        stream->consumed > CHANNEL_WINDOW - stream->expected)
        return error_set(err, EBADMSG, "stream %u was saved in an impossible state", stream->id);
    return 0;
}

void channel_stream_resume(struct channel *channel, const struct channel_stream *stream)
{
    assert(stream->id != 0);
    assert(find_stream(channel, stream->id) == NULL);
    add_stream(channel, *stream);
}

void channel_resume_output(struct channel *channel, const void *bytes, size_t length)
{
    assert(channel->output.length == 0);
    text_add_bytes(&channel->output, bytes, length);
}
