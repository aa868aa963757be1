/* What a session was saved as: what is accepted is resumed, and the agent goes on to speak. */
#include <assert.h>
#include <stdlib.h>

#include "microvm/channel.h"
#include "microvm/saved_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take_message(void *context, const char *text, size_t length, struct error *err)
{
    (void)context;
    (void)text;
    (void)length;
    (void)err;
    return 0;
}

static int take_data(void *context, uint32_t stream, const void *bytes, size_t length,
                     struct error *err)
{
    (void)bytes;
    (void)err;
    channel_stream_consumed(*(struct channel **)context, stream, length);
    return 0;
}

static int take_end(void *context, uint32_t stream, struct error *err)
{
    (void)context;
    (void)stream;
    (void)err;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct channel_handlers handlers = { take_message, take_data, take_end, NULL };
    AUTO_CLEAR(saved_session) struct saved_session saved = { 0 };
    struct state_reader reader = { data, size };
    struct channel *channel = NULL;

    if (saved_session_parse(&reader, &saved, NULL) < 0)
        return 0;
    channel = channel_new(&handlers, &channel, 4096, false);
    channel_resume_output(channel, saved.sent, saved.sent_length);
    for (size_t i = 0; i < ARRAY_SIZE(saved.streams); i++) {
        channel_stream_resume(channel, &saved.streams[i]);
        channel_stream_consumed(channel, saved.streams[i].id, 0);
        assert(channel_stream_room(channel, saved.streams[i].id) <= CHANNEL_WINDOW);
    }
    (void)channel_receive(channel, data, size, NULL);
    channel_free(channel);
    return 0;
}
