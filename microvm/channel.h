#ifndef MICROVM_CHANNEL_H
#define MICROVM_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

/* Messages and streams over one byte stream, between berth-vmm and the agent in its guest.
 *
 * A frame is a header of four little-endian numbers {length, type, stream, credit} and @length
 * bytes. Stream 0 carries messages, each a whole text. Others carry bytes: a side sends no more
 * than the other has room for, which it tells by credit, so that a stream nobody reads stops
 * neither the messages nor the other streams. Nothing here reads or writes descriptors: bytes come
 * in by channel_receive() and go out by channel_output().
 *
 * The other side is not trusted: what it may not send is an error, after which the channel is of no
 * more use. */

#define CHANNEL_HEADER_BYTES 16
#define CHANNEL_DATA_MAX     32768  /* bytes of one frame of a stream */
#define CHANNEL_WINDOW       131072 /* bytes of a stream on their way in one direction */

enum channel_frame {
    CHANNEL_MESSAGE = 1, /* stream 0 */
    CHANNEL_DATA = 2,
    CHANNEL_END = 3,    /* no more data on this stream in this direction */
    CHANNEL_CREDIT = 4, /* so many bytes more may be sent */
};

/** What arrives; a negative result ends channel_receive() with that error. Bytes are borrowed. */
struct channel_handlers {
    int (*message)(void *context, const char *text, size_t length, struct error *err);
    int (*data)(void *context, uint32_t stream, const void *bytes, size_t length,
                struct error *err);
    int (*end)(void *context, uint32_t stream, struct error *err);
    /* channel_stream_room() has grown; NULL: nobody wants to know. */
    int (*room)(void *context, uint32_t stream, struct error *err);
};

struct channel;

/**
 * @message_max  bytes of the longest message that is accepted
 * @is_lenient   frames of streams that are not open are dropped: for the agent, which may have
 * closed what is still written to
 */
struct channel *channel_new(const struct channel_handlers *handlers, void *context,
                            size_t message_max, bool is_lenient);
void channel_free(struct channel *channel);
DEFINE_AUTO(channel)

/** Takes bytes that arrived, in pieces of any length. -EPROTO: the other side broke the rules. */
int channel_receive(struct channel *channel, const void *bytes, size_t length, struct error *err);

/** What is to be sent, borrowed until the next call; 0 bytes: nothing. */
size_t channel_output(const struct channel *channel, const void **ret_bytes);
/** Takes off what was sent. */
void channel_sent(struct channel *channel, size_t length);

void channel_send_message(struct channel *channel, const char *text, size_t length);

/** Both sides open a stream before its first frame, by a number that is used once. */
void channel_stream_open(struct channel *channel, uint32_t stream);
void channel_stream_close(struct channel *channel, uint32_t stream);
/** Bytes that may be sent now; 0 also when the stream is not open. */
size_t channel_stream_room(const struct channel *channel, uint32_t stream);
/** Sends at most channel_stream_room() bytes. */
void channel_stream_send(struct channel *channel, uint32_t stream, const void *bytes,
                         size_t length);
void channel_stream_end(struct channel *channel, uint32_t stream);
/** Tells that @length bytes which arrived are out of the way, so that as many may follow. */
void channel_stream_consumed(struct channel *channel, uint32_t stream, size_t length);

/* --- for a channel that goes on in another process -------------------------------------------- */

struct channel_stream {
    uint32_t id;
    uint32_t room;     /* bytes that may be sent */
    uint32_t expected; /* bytes that the other side may send */
    uint32_t consumed; /* bytes taken that it has not been told of */
    bool has_ended;    /* the other side's direction */
};

/** How a stream stands, which is open. */
struct channel_stream channel_stream_look(const struct channel *channel, uint32_t stream);
/** -EBADMSG: no stream can stand so. */
int channel_stream_check(const struct channel_stream *stream, struct error *err);
/** Opens a stream as it stood, which was checked. */
void channel_stream_resume(struct channel *channel, const struct channel_stream *stream);
/** Sends what channel_output() of the other process had, and nothing was sent before. */
void channel_resume_output(struct channel *channel, const void *bytes, size_t length);

#endif
