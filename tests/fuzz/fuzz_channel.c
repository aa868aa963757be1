/* Any bytes as what a guest's agent sends: the channel accepts nothing beyond its limits, and its
 * messages are decoded as berth-vmm does. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/auto.h"
#include "microvm/agent_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t bytes[3]; /* of streams 4 to 6 */
    bool has_ended[3];
};

static int take_message(void *context, const char *text, size_t length, struct error *err)
{
    AUTO(agent_message) struct agent_message *message = NULL;
    int r;

    (void)context;
    assert(length <= AGENT_ANSWER_MAX);
    r = agent_message_decode(text, length, &message, err);
    assert(r < 0 || message->type != NULL);
    return 0; /* those behind it are of interest, too */
}

static int take_data(void *context, uint32_t stream, const void *bytes, size_t length,
                     struct error *err)
{
    struct seen *seen = context;

    (void)bytes;
    (void)err;
    assert(stream >= 4 && stream <= 6);
    assert(!seen->has_ended[stream - 4]);
    assert(length <= CHANNEL_DATA_MAX);

    seen->bytes[stream - 4] += length;
    assert(seen->bytes[stream - 4] <= CHANNEL_WINDOW);
    return 0;
}

static int take_end(void *context, uint32_t stream, struct error *err)
{
    struct seen *seen = context;

    (void)err;
    assert(stream >= 4 && stream <= 6);
    assert(!seen->has_ended[stream - 4]);
    seen->has_ended[stream - 4] = true;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct channel_handlers handlers = { .message = take_message,
                                                      .data = take_data,
                                                      .end = take_end };
    struct seen seen = { 0 };
    AUTO(channel) struct channel *channel = channel_new(&handlers, &seen, AGENT_ANSWER_MAX, false);
    struct error err = { 0 };
    size_t step = size > 0 ? 1 + data[0] : 1;

    for (uint32_t i = 4; i < 7; i++)
        channel_stream_open(channel, i);
    for (size_t i = 1; i < size; i += step) {
        size_t part = step < size - i ? step : size - i;
        /* Of just this size, so that a read behind the end is found. */
        auto_free char *bytes = xmemdup(data + i, part);

        if (channel_receive(channel, bytes, part, &err) < 0) {
            assert(err.message[0] != '\0');
            break;
        }
    }
    for (uint32_t i = 4; i < 7; i++)
        assert(channel_stream_room(channel, i) <= CHANNEL_WINDOW);
    return 0;
}
