#include "microvm/saved_session.h"

#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "microvm/agent_message.h"

/* What was sent and not taken is a few frames, and at most what two streams have room for. */
#define SENT_MAX (4u << 20)

struct numbers {
    uint32_t agent_version;
    uint32_t next_number, next_request;
    uint32_t has_terminal;
    uint32_t has_input_ended;
};

struct stream_numbers {
    uint32_t room, expected, consumed, has_ended;
};

void saved_session_clear(struct saved_session *saved)
{
    free(saved->sent);
    free(saved->waiting[0]);
    free(saved->waiting[1]);
    *saved = (struct saved_session){ 0 };
}

/* --- writing ---------------------------------------------------------------------------------- */

static void put_bytes(struct state_writer *writer, const uint8_t *bytes, uint32_t length)
{
    state_put(writer, &length, sizeof(length));
    state_put(writer, bytes, length);
}

int saved_session_write(const struct saved_session *saved, int fd, struct error *err)
{
    AUTO_CLEAR(state_writer) struct state_writer writer = { 0 };
    const struct numbers numbers = {
        .agent_version = saved->agent_version,
        .next_number = saved->next_number,
        .next_request = saved->next_request,
        .has_terminal = saved->has_terminal,
        .has_input_ended = saved->has_input_ended,
    };

    state_put_mark(&writer, "sess");
    state_put(&writer, &numbers, sizeof(numbers));
    for (size_t i = 0; i < ARRAY_SIZE(saved->streams); i++) {
        const struct channel_stream *stream = &saved->streams[i];
        const struct stream_numbers put = { stream->room, stream->expected, stream->consumed,
                                            stream->has_ended };

        state_put(&writer, &put, sizeof(put));
    }
    put_bytes(&writer, saved->sent, saved->sent_length);
    for (size_t i = 0; i < ARRAY_SIZE(saved->waiting); i++)
        put_bytes(&writer, saved->waiting[i], saved->waiting_length[i]);
    return state_write_file(&writer, fd, err);
}

/* --- reading ---------------------------------------------------------------------------------- */

static int impossible(const char *what, struct error *err)
{
    return error_set(err, EBADMSG, "the saved session has an impossible %s", what);
}

static int take_bytes(struct state_reader *reader, uint32_t max, uint8_t **ret_bytes,
                      uint32_t *ret_length, struct error *err)
{
    const uint8_t *bytes = NULL;
    uint32_t length = 0;
    int r;

    r = state_take(reader, &length, sizeof(length), err);
    if (r == 0 && length > max)
        r = impossible("length", err);
    if (r == 0)
        r = state_take_place(reader, length, &bytes, err);
    if (r < 0)
        return r;
    *ret_bytes = length > 0 ? xmemdup(bytes, length) : NULL;
    *ret_length = length;
    return 0;
}

static int take_numbers(struct state_reader *reader, struct saved_session *saved, struct error *err)
{
    struct numbers numbers;
    int r;

    r = state_take_mark(reader, "sess", err);
    if (r == 0)
        r = state_take(reader, &numbers, sizeof(numbers), err);
    if (r < 0)
        return r;
    if (numbers.agent_version != AGENT_VERSION)
        return error_set(err, EXDEV, "the guest's agent has version %u, not %d",
                         numbers.agent_version, AGENT_VERSION);
    if (numbers.next_number <= AGENT_FIRST || numbers.next_number > AGENT_PROCESS_MAX + 1u)
        return impossible("number of processes", err);
    if (numbers.next_request == 0)
        return impossible("number of requests", err);
    saved->agent_version = numbers.agent_version;
    saved->next_number = numbers.next_number;
    saved->next_request = numbers.next_request;
    saved->has_terminal = numbers.has_terminal != 0;
    saved->has_input_ended = numbers.has_input_ended != 0;
    return 0;
}

static int take_streams(struct state_reader *reader, struct saved_session *saved, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(saved->streams); i++) {
        struct stream_numbers numbers;
        int r = state_take(reader, &numbers, sizeof(numbers), err);

        if (r < 0)
            return r;
        saved->streams[i] = (struct channel_stream){
            .id = agent_stream(AGENT_FIRST, (int)i),
            .room = numbers.room,
            .expected = numbers.expected,
            .consumed = numbers.consumed,
            .has_ended = numbers.has_ended != 0,
        };
        r = channel_stream_check(&saved->streams[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What was written and not read is not told as taken. */
static int take_waiting(struct state_reader *reader, struct saved_session *saved, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(saved->waiting); i++) {
        const struct channel_stream *stream = &saved->streams[i + 1];
        const uint32_t max = CHANNEL_WINDOW - stream->expected - stream->consumed;
        int r = take_bytes(reader, max, &saved->waiting[i], &saved->waiting_length[i], err);

        if (r < 0)
            return r;
    }
    return 0;
}

int saved_session_parse(struct state_reader *reader, struct saved_session *ret_saved,
                        struct error *err)
{
    AUTO_CLEAR(saved_session) struct saved_session saved = { 0 };
    int r;

    r = take_numbers(reader, &saved, err);
    if (r == 0)
        r = take_streams(reader, &saved, err);
    if (r == 0)
        r = take_bytes(reader, SENT_MAX, &saved.sent, &saved.sent_length, err);
    if (r == 0)
        r = take_waiting(reader, &saved, err);
    if (r == 0 && reader->left != 0)
        r = error_set(err, EBADMSG, "the saved session is too long");
    if (r < 0)
        return r;
    *ret_saved = saved;
    saved = (struct saved_session){ 0 };
    return 0;
}

int saved_session_read(int fd, struct saved_session *ret_saved, struct error *err)
{
    auto_free uint8_t *bytes = NULL;
    struct state_reader reader;
    int r;

    r = state_read_file(fd, &bytes, &reader, err);
    return r < 0 ? r : saved_session_parse(&reader, ret_saved, err);
}
