#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "microvm/channel.h"

#define STREAM 5

struct seen {
    struct text messages, data;
    int ends, rooms;
};

static int take_message(void *context, const char *text, size_t length, struct error *err)
{
    struct seen *seen = context;

    (void)err;
    text_add_bytes(&seen->messages, text, length);
    text_add(&seen->messages, "|");
    return 0;
}

static int take_data(void *context, uint32_t stream, const void *bytes, size_t length,
                     struct error *err)
{
    (void)err;
    assert_int_equal(stream, STREAM);
    text_add_bytes(&((struct seen *)context)->data, bytes, length);
    return 0;
}

static int take_end(void *context, uint32_t stream, struct error *err)
{
    (void)err;
    assert_int_equal(stream, STREAM);
    ((struct seen *)context)->ends++;
    return 0;
}

static int take_room(void *context, uint32_t stream, struct error *err)
{
    (void)err;
    assert_int_equal(stream, STREAM);
    ((struct seen *)context)->rooms++;
    return 0;
}

static const struct channel_handlers handlers = { take_message, take_data, take_end, take_room };

static struct channel *open_channel(struct seen *seen)
{
    struct channel *channel = channel_new(&handlers, seen, 1000, false);

    channel_stream_open(channel, STREAM);
    return channel;
}

static void seen_clear(struct seen *seen)
{
    text_clear(&seen->messages);
    text_clear(&seen->data);
}

/* Carries what one side has to send to the other, in pieces. */
static void carry(struct channel *from, struct channel *to, size_t piece)
{
    const void *bytes;
    size_t length;

    while ((length = channel_output(from, &bytes)) > 0) {
        if (length > piece)
            length = piece;
        assert_int_equal(channel_receive(to, bytes, length, NULL), 0);
        channel_sent(from, length);
    }
}

static void messages_and_streams_arrive_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 80; piece++) {
        AUTO_CLEAR(seen) struct seen seen = { 0 };
        AUTO(channel) struct channel *left = open_channel(&seen);
        AUTO(channel) struct channel *right = open_channel(&seen);

        channel_send_message(left, "one", 3);
        channel_stream_send(left, STREAM, "hello", 5);
        channel_send_message(left, "two", 3);
        channel_stream_end(left, STREAM);
        carry(left, right, piece);
        assert_string_equal(seen.messages.data, "one|two|");
        assert_string_equal(seen.data.data, "hello");
        assert_int_equal(seen.ends, 1);
    }
}

static void a_stream_has_room_again_when_the_other_side_has_consumed(void **state)
{
    AUTO_CLEAR(seen) struct seen seen = { 0 };
    AUTO(channel) struct channel *left = open_channel(&seen);
    AUTO(channel) struct channel *right = open_channel(&seen);
    auto_free char *bytes = xcalloc(1, CHANNEL_WINDOW);

    (void)state;
    assert_int_equal(channel_stream_room(left, STREAM), CHANNEL_WINDOW);
    channel_stream_send(left, STREAM, bytes, CHANNEL_WINDOW);
    assert_int_equal(channel_stream_room(left, STREAM), 0);
    carry(left, right, 4096);
    assert_int_equal(seen.data.length, CHANNEL_WINDOW);
    channel_stream_consumed(right, STREAM, 10);
    carry(right, left, 4096);
    assert_int_equal(seen.rooms, 0); /* so little is not told */
    channel_stream_consumed(right, STREAM, CHANNEL_WINDOW - 10);
    carry(right, left, 4096);
    assert_int_equal(seen.rooms, 1);
    assert_int_equal(channel_stream_room(left, STREAM), CHANNEL_WINDOW);
    /* Messages are not held up by a full stream. */
    channel_stream_send(left, STREAM, bytes, CHANNEL_WINDOW);
    channel_send_message(left, "m", 1);
    carry(left, right, 65536);
    assert_string_equal(seen.messages.data, "m|");
}

struct bad_frame {
    uint32_t length, type, stream, credit;
    const char *sentence;
};

static int receive(struct channel *channel, const struct bad_frame *frame, struct error *err)
{
    static const char payload[CHANNEL_DATA_MAX];
    const uint32_t words[4] = { htole32(frame->length), htole32(frame->type),
                                htole32(frame->stream), htole32(frame->credit) };
    int r = channel_receive(channel, words, sizeof(words), err);

    if (r == 0 && frame->length > 0)
        r = channel_receive(channel, payload, frame->length, err);
    return r;
}

static void what_the_other_side_may_not_send_is_refused(void **state)
{
    static const struct bad_frame frames[] = {
        { 0, 0, STREAM, 0, "frame of an unknown type 0" },
        { 0, 5, STREAM, 0, "frame of an unknown type 5" },
        { 1001, CHANNEL_MESSAGE, 0, 0, "frame of type 1 with 1001 bytes, 1000 are allowed" },
        { UINT32_MAX, CHANNEL_DATA, STREAM, 0,
          "frame of type 2 with 4294967295 bytes, 32768 are allowed" },
        { 1, CHANNEL_END, STREAM, 0, "frame of type 3 with 1 bytes, 0 are allowed" },
        { 1, CHANNEL_CREDIT, STREAM, 0, "frame of type 4 with 1 bytes, 0 are allowed" },
        { 2, CHANNEL_MESSAGE, STREAM, 0, "frame of type 1 on stream 5" },
        { 2, CHANNEL_DATA, 0, 0, "frame of type 2 on stream 0" },
        { 2, CHANNEL_DATA, 6, 0, "stream 6 is not open" },
        { 0, CHANNEL_CREDIT, STREAM, 0, "stream 5: credit of 0 upon 131072" },
        { 0, CHANNEL_CREDIT, STREAM, 1, "stream 5: credit of 1 upon 131072" },
        { 0, CHANNEL_CREDIT, STREAM, UINT32_MAX, "stream 5: credit of 4294967295 upon 131072" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        AUTO_CLEAR(seen) struct seen seen = { 0 };
        AUTO(channel) struct channel *channel = open_channel(&seen);
        struct error err = { 0 };

        if (receive(channel, &frames[i], &err) != -EPROTO)
            fail_msg("row %zu was accepted", i);
        assert_string_equal(err.message, frames[i].sentence);
        assert_int_equal(seen.messages.length + seen.data.length, 0);
    }
}

static void more_than_the_window_is_refused(void **state)
{
    const struct bad_frame full = { CHANNEL_DATA_MAX, CHANNEL_DATA, STREAM, 0, NULL };
    const struct bad_frame more = { 1, CHANNEL_DATA, STREAM, 0, NULL };
    AUTO_CLEAR(seen) struct seen seen = { 0 };
    AUTO(channel) struct channel *channel = open_channel(&seen);
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < CHANNEL_WINDOW / CHANNEL_DATA_MAX; i++)
        assert_int_equal(receive(channel, &full, &err), 0);
    assert_int_equal(receive(channel, &more, &err), -EPROTO);
    assert_string_equal(err.message, "stream 5: 1 bytes, there is room for 0");
}

static void nothing_follows_the_end_of_a_stream(void **state)
{
    const struct bad_frame end = { 0, CHANNEL_END, STREAM, 0, NULL };
    const struct bad_frame data = { 1, CHANNEL_DATA, STREAM, 0, NULL };

    (void)state;
    for (int i = 0; i < 2; i++) {
        AUTO_CLEAR(seen) struct seen seen = { 0 };
        AUTO(channel) struct channel *channel = open_channel(&seen);
        struct error err = { 0 };

        assert_int_equal(receive(channel, &end, &err), 0);
        assert_int_equal(receive(channel, i == 0 ? &end : &data, &err), -EPROTO);
        assert_string_equal(err.message,
                            i == 0 ? "stream 5 ends twice" : "data after the end of stream 5");
    }
}

static void a_lenient_side_drops_frames_of_closed_streams(void **state)
{
    const struct bad_frame data = { 7, CHANNEL_DATA, STREAM, 0, NULL };
    AUTO_CLEAR(seen) struct seen seen = { 0 };
    AUTO(channel) struct channel *channel = channel_new(&handlers, &seen, 1000, true);

    (void)state;
    assert_int_equal(receive(channel, &data, NULL), 0);
    assert_int_equal(seen.data.length, 0);
    assert_int_equal(channel_stream_room(channel, STREAM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_streams_arrive_however_they_are_cut),
        cmocka_unit_test(a_stream_has_room_again_when_the_other_side_has_consumed),
        cmocka_unit_test(what_the_other_side_may_not_send_is_refused),
        cmocka_unit_test(more_than_the_window_is_refused),
        cmocka_unit_test(nothing_follows_the_end_of_a_stream),
        cmocka_unit_test(a_lenient_side_drops_frames_of_closed_streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
