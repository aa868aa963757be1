/* Any bytes as a line of a container's log, and as output that becomes such a line. Log files are
 * ours, but what stands in them is the container's, and a crash may cut them. What was written is
 * read back as it was, but for bytes that are no UTF-8. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "engine/log_line.h"
#include "engine/monitor_log.h"

#define TIME "2026-01-02T15:04:05.123456789Z"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_ascii(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)bytes[i] > 0x7f)
            return false;
    }
    return true;
}

/* Writes output as a line, without its newline, and reads it back. */
static void write_and_read(const char *bytes, size_t length, enum log_stream stream,
                           struct text *ret_text, struct log_line *ret_line)
{
    monitor_log_format(ret_text, bytes, length, stream, TIME);
    assert(ret_text->data[ret_text->length - 1] == '\n');
    assert(memchr(ret_text->data, '\n', ret_text->length - 1) == NULL);
    ret_text->data[--ret_text->length] = '\0';
    assert(log_line_parse(ret_text->data, ret_text->length, ret_line) == 0);
    assert(ret_line->stream == stream && ret_line->nanoseconds == 123456789);
    assert(strcmp(ret_line->time, TIME) == 0);
}

static void check_output(const char *bytes, size_t length, enum log_stream stream)
{
    AUTO_CLEAR(text) struct text text = { 0 };
    AUTO_CLEAR(text) struct text again = { 0 };
    struct log_line line = { 0 };
    struct log_line line_again = { 0 };

    write_and_read(bytes, length, stream, &text, &line);
    if (is_ascii(bytes, length)) {
        assert(line.length == length && memcmp(line.bytes, bytes, length) == 0);
        return;
    }
    write_and_read(line.bytes, line.length, stream, &again, &line_again);
    assert(line_again.length == line.length);
    assert(memcmp(line_again.bytes, line.bytes, line.length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *text = xcalloc(size + 1, 1);
    struct log_line line = { 0 };

    check_output((const char *)data, size, size % 2 == 0 ? LOG_STDOUT : LOG_STDERR);
    if (size > 0)
        memcpy(text, data, size);
    if (log_line_parse(text, size, &line) < 0)
        return 0;
    assert(line.bytes >= text && line.bytes + line.length <= text + size);
    assert(line.nanoseconds < 1000000000);
    check_output(line.bytes, line.length, line.stream);
    return 0;
}
