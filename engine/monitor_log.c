#include "engine/monitor_log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define DEFAULT_MAX_BYTES (10u << 20)
#define DEFAULT_MAX_FILES 3
#define MAX_FILES         1000
#define FLUSH_BYTES       16384 /* written at once; bounds the memory for many short lines */

struct partial {
    size_t length;
    char *bytes; /* LOG_LINE_MAX, made with the first line that does not end */
};

struct monitor_log {
    int dir_fd;
    int fd;
    uint64_t size, max_bytes;
    unsigned max_files;
    struct partial partials[2];
    struct text text;
};

struct monitor_log *monitor_log_open(int dir_fd, uint64_t max_bytes, unsigned max_files)
{
    struct monitor_log *log = xcalloc(1, sizeof(*log));

    log->dir_fd = dir_fd;
    log->fd = -1;
    log->max_bytes = max_bytes;
    log->max_files = max_files == 0 ? 1 : max_files;
    return log;
}

void monitor_log_free(struct monitor_log *log)
{
    struct timespec now;

    if (log == NULL)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)monitor_log_flush(log, &now, NULL);
    if (log->fd >= 0)
        close(log->fd);
    for (size_t i = 0; i < ARRAY_SIZE(log->partials); i++)
        free(log->partials[i].bytes);
    text_clear(&log->text);
    free(log);
}

int monitor_log_options(const struct string_map *options, uint64_t *ret_max_bytes,
                        unsigned *ret_max_files, struct error *err)
{
    uint64_t bytes = DEFAULT_MAX_BYTES, files = DEFAULT_MAX_FILES;
    int r;

    for (size_t i = 0; i < options->count; i++) {
        const char *key = options->items[i].key;
        const char *value = options->items[i].value;

        if (strcmp(key, "max-size") == 0) {
            /* docker's word for "never" */
            r = strcmp(value, "-1") == 0
                    ? 0
                    : text_parse_bytes(value, "--log-opt max-size", &bytes, err);
            if (r < 0)
                return r;
            if (strcmp(value, "-1") == 0)
                bytes = 0;
        } else if (strcmp(key, "max-file") == 0) {
            r = text_parse_u64(value, "--log-opt max-file", MAX_FILES, &files, err);
            if (r < 0)
                return r;
            if (files == 0)
                return error_set(err, EINVAL, "--log-opt max-file: give at least 1");
        } else {
            return error_set(err, EINVAL, "--log-opt '%s': there are max-size and max-file", key);
        }
    }
    *ret_max_bytes = bytes;
    *ret_max_files = (unsigned)files;
    return 0;
}

/* --- formatting --------------------------------------------------------------------------------
 */

/* Length of the valid UTF-8 sequence at @bytes (Unicode, table 3-7), or 0. */
static size_t utf8_length(const unsigned char *bytes, size_t left)
{
    unsigned char first = bytes[0], low = 0x80, high = 0xbf;
    size_t length;

    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        length = 2;
    else if (first >= 0xe0 && first <= 0xef)
        length = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        length = 4;
    else
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (left < length || bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (bytes[i] < 0x80 || bytes[i] > 0xbf)
            return 0;
    return length;
}

static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

static void add_escaped(struct text *text, unsigned char byte)
{
    switch (byte) {
    case '"':
        text_add(text, "\\\"");
        break;
    case '\\':
        text_add(text, "\\\\");
        break;
    case '\n':
        text_add(text, "\\n");
        break;
    case '\r':
        text_add(text, "\\r");
        break;
    case '\t':
        text_add(text, "\\t");
        break;
    default:
        text_addf(text, "\\u%04x", byte);
    }
}

/* Bytes that are no UTF-8 become U+FFFD, as docker writes them: JSON cannot carry them. */
static void add_json_text(struct text *text, const char *bytes, size_t length)
{
    const unsigned char *at = (const unsigned char *)bytes;
    const unsigned char *end = at + length;

    while (at < end) {
        const unsigned char *start = at;
        size_t sequence;

        while (at < end && is_plain(*at))
            at++;
        text_add_bytes(text, start, (size_t)(at - start));
        if (at == end)
            return;
        sequence = utf8_length(at, (size_t)(end - at));
        if (sequence > 1) {
            text_add_bytes(text, at, sequence);
            at += sequence;
        } else if (sequence == 1) {
            add_escaped(text, *at++);
        } else {
            text_add(text, "\xef\xbf\xbd");
            at++;
        }
    }
}

void monitor_log_format(struct text *text, const char *bytes, size_t length, enum log_stream stream,
                        const char *time)
{
    text_add(text, "{\"log\":\"");
    add_json_text(text, bytes, length);
    text_add(text, stream == LOG_STDERR ? "\",\"stream\":\"stderr\",\"time\":\""
                                        : "\",\"stream\":\"stdout\",\"time\":\"");
    text_add(text, time);
    text_add(text, "\"}\n");
}

/* --- files -------------------------------------------------------------------------------------
 */

static int open_file(struct monitor_log *log, struct error *err)
{
    struct stat status;

    log->fd =
        openat(log->dir_fd, LOG_FILE, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (log->fd < 0)
        return error_errno(err, "open the log");
    log->size = fstat(log->fd, &status) == 0 ? (uint64_t)status.st_size : 0;
    return 0;
}

/* Readers that follow notice by the names that change (logs.c). */
static int rotate(struct monitor_log *log, struct error *err)
{
    char from[32], to[32];

    if (log->max_files == 1) {
        if (ftruncate(log->fd, 0) < 0)
            return error_errno(err, "empty the log");
        log->size = 0;
        return 0;
    }
    close(take_fd(&log->fd));
    for (unsigned i = log->max_files - 1; i > 0; i--) {
        (void)snprintf(to, sizeof(to), LOG_FILE ".%u", i);
        if (i == 1)
            (void)snprintf(from, sizeof(from), LOG_FILE);
        else
            (void)snprintf(from, sizeof(from), LOG_FILE ".%u", i - 1);
        if (renameat(log->dir_fd, from, log->dir_fd, to) < 0 && errno != ENOENT)
            return error_errno(err, "rotate the log");
    }
    return open_file(log, err);
}

static int write_out(struct monitor_log *log, struct error *err)
{
    int r = 0;

    if (log->text.length == 0)
        return 0;
    if (log->fd < 0)
        r = open_file(log, err);
    if (r == 0 && log->max_bytes > 0 && log->size > 0 &&
        log->size + log->text.length > log->max_bytes)
        r = rotate(log, err);
    if (r == 0)
        r = fd_write_all(log->fd, log->text.data, log->text.length, "the log", err);
    if (r == 0)
        log->size += log->text.length;
    log->text.length =
        0; /* keeps its memory; a log on a full disk loses lines, not the container */
    return r;
}

static int add_line(struct monitor_log *log, enum log_stream stream, const char *bytes,
                    size_t length, const char *now, struct error *err)
{
    monitor_log_format(&log->text, bytes, length, stream, now);
    return log->text.length >= FLUSH_BYTES ? write_out(log, err) : 0;
}

/* Adds to the line that has not ended; writes it when it ends or is full. */
static int add_part(struct monitor_log *log, enum log_stream stream, const char *bytes,
                    size_t length, const char *now, struct error *err)
{
    struct partial *partial = &log->partials[stream];
    int r;

    while (length > 0) {
        size_t room = LOG_LINE_MAX - partial->length;
        size_t count = length < room ? length : room;

        if (partial->bytes == NULL)
            partial->bytes = xcalloc(1, LOG_LINE_MAX);
        memcpy(partial->bytes + partial->length, bytes, count);
        partial->length += count;
        bytes += count;
        length -= count;
        if (partial->length == LOG_LINE_MAX || partial->bytes[partial->length - 1] == '\n') {
            r = add_line(log, stream, partial->bytes, partial->length, now, err);
            partial->length = 0;
            if (r < 0)
                return r;
        }
    }
    return 0;
}

int monitor_log_add(struct monitor_log *log, enum log_stream stream, const char *bytes,
                    size_t length, const struct timespec *now, struct error *err)
{
    auto_free char *time = text_format_time(now->tv_sec, (uint32_t)now->tv_nsec);
    int r = 0;

    while (length > 0 && r == 0) {
        const char *newline = memchr(bytes, '\n', length);
        size_t count = newline == NULL ? length : (size_t)(newline - bytes) + 1;

        /* A whole line that is not split needs no copy. */
        if (newline != NULL && log->partials[stream].length == 0 && count <= LOG_LINE_MAX)
            r = add_line(log, stream, bytes, count, time, err);
        else
            r = add_part(log, stream, bytes, count, time, err);
        bytes += count;
        length -= count;
    }
    if (r < 0) {
        log->text.length = 0;
        return r;
    }
    return write_out(log, err);
}

int monitor_log_flush(struct monitor_log *log, const struct timespec *now, struct error *err)
{
    auto_free char *time = text_format_time(now->tv_sec, (uint32_t)now->tv_nsec);

    for (int stream = LOG_STDOUT; stream <= LOG_STDERR; stream++) {
        struct partial *partial = &log->partials[stream];

        if (partial->length > 0)
            monitor_log_format(&log->text, partial->bytes, partial->length, (enum log_stream)stream,
                               time);
        partial->length = 0;
    }
    return write_out(log, err);
}
