#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/wire.h"
#include "engine/engine_private.h"
#include "engine/log_line.h"
#include "engine/monitor_link.h"
#include "engine/monitor_wire.h"
#include "engine/record.h"

/* Reads a container's log files in order, oldest first (log.2, log.1, log), and with --follow goes
 * on as the monitor writes. Rotation renames files; a reader keeps the one it has open, reads it to
 * its end, finds where it went by its inode, and goes on with the next newer one. */

#define READ_CHUNK     65536
#define LINE_BYTES_MAX (LOG_LINE_MAX * 6 + 256) /* every byte written as \u00XX */
#define FILES_MAX      1001
#define OUT_FLUSH      32768

struct reader {
    const struct logs_options *options;
    int dir_fd;
    int fd;              /* the file that is read; -1 */
    struct text pending; /* bytes of a line that has not ended */
    struct text output;  /* to be written to output_fd */
    int output_fd;
    bool has_passed_until, is_unread; /* our reader is gone */
};

static void reader_clear(struct reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    if (reader->dir_fd >= 0)
        close(reader->dir_fd);
    text_clear(&reader->pending);
    text_clear(&reader->output);
}

/* --- lines -------------------------------------------------------------------------------------
 */

static int flush(struct reader *reader, struct error *err)
{
    int r = 0;

    if (reader->output.length > 0)
        r = fd_write_all(reader->output_fd, reader->output.data, reader->output.length, "output",
                         err);
    reader->output.length = 0;
    if (r == -EPIPE) {
        reader->is_unread = true;
        return 0;
    }
    return r;
}

static bool is_before(const struct log_line *line, const struct timespec *time)
{
    return line->seconds < time->tv_sec ||
           (line->seconds == time->tv_sec && (long)line->nanoseconds < time->tv_nsec);
}

static int print_line(struct reader *reader, const struct log_line *line, struct error *err)
{
    const struct logs_options *options = reader->options;
    int fd = line->stream == LOG_STDERR ? STDERR_FILENO : STDOUT_FILENO;
    int r = 0;

    if (options->has_since && is_before(line, &options->since))
        return 0;
    if (options->has_until && !is_before(line, &options->until)) {
        reader->has_passed_until = true;
        return 0;
    }
    if (!(line->stream == LOG_STDERR ? options->has_stderr : options->has_stdout))
        return 0;
    /* What was written first comes out first, across both streams. */
    if (fd != reader->output_fd || reader->output.length >= OUT_FLUSH)
        r = flush(reader, err);
    reader->output_fd = fd;
    if (options->has_timestamps) {
        text_add(&reader->output, line->time);
        text_add(&reader->output, " ");
    }
    text_add_bytes(&reader->output, line->bytes, line->length);
    return r;
}

/* Takes the whole lines out of what was read. A line that cannot be understood was cut by a crash.
 */
static int take_lines(struct reader *reader, struct error *err)
{
    char *at = reader->pending.data;
    size_t left = reader->pending.length;
    char *newline;
    int r = 0;

    while (r == 0 && left > 0 && (newline = memchr(at, '\n', left)) != NULL) {
        size_t length = (size_t)(newline - at);
        struct log_line line;

        *newline = '\0';
        if (log_line_parse(at, length, &line) == 0)
            r = print_line(reader, &line, err);
        at = newline + 1;
        left -= length + 1;
    }
    if (left > LINE_BYTES_MAX)
        left = 0;
    if (left > 0)
        memmove(reader->pending.data, at, left);
    reader->pending.length = left;
    return r;
}

static int read_to_end(struct reader *reader, struct error *err)
{
    char bytes[READ_CHUNK];
    int r = 0;

    while (r == 0 && reader->fd >= 0 && !reader->is_unread) {
        ssize_t count = read(reader->fd, bytes, sizeof(bytes));

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_errno(err, "read the log");
        if (count == 0)
            break;
        text_add_bytes(&reader->pending, bytes, (size_t)count);
        r = take_lines(reader, err);
    }
    return r < 0 ? r : flush(reader, err);
}

/* --- files -------------------------------------------------------------------------------------
 */

static void file_name(unsigned index, char name[32])
{
    if (index == 0)
        (void)snprintf(name, 32, LOG_FILE);
    else
        (void)snprintf(name, 32, LOG_FILE ".%u", index);
}

static int open_file(const struct reader *reader, unsigned index)
{
    char name[32];

    file_name(index, name);
    return openat(reader->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static void use_file(struct reader *reader, int fd)
{
    if (reader->fd >= 0)
        close(reader->fd);
    reader->fd = fd;
    reader->pending.length = 0;
}

static unsigned oldest_file(const struct reader *reader)
{
    unsigned index = 0;
    char name[32];

    for (unsigned i = 1; i < FILES_MAX; i++) {
        file_name(i, name);
        if (faccessat(reader->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
            break;
        index = i;
    }
    return index;
}

/* Where the last @lines lines of a file begin; *lines is lowered by those that it has. */
static off_t find_tail(int fd, int64_t *lines, struct error *err)
{
    char bytes[READ_CHUNK];
    off_t end = lseek(fd, 0, SEEK_END);
    bool is_last = true;

    while (end > 0) {
        size_t count = end > READ_CHUNK ? READ_CHUNK : (size_t)end;
        ssize_t got = pread(fd, bytes, count, end - (off_t)count);

        if (got != (ssize_t)count)
            return error_errno(err, "read the log");
        for (size_t i = count; i > 0; i--) {
            bool is_end = is_last; /* the newline that ends the file begins no line */

            is_last = false;
            if (bytes[i - 1] != '\n' || is_end)
                continue;
            if (--*lines == 0)
                return end - (off_t)count + (off_t)i;
        }
        end -= (off_t)count;
    }
    if (!is_last)
        --*lines;
    return 0;
}

/* The file to begin with, and its descriptor at the place to begin; -1: there is no log yet. */
static int find_start(struct reader *reader, struct error *err)
{
    int64_t lines = reader->options->tail;
    unsigned oldest = oldest_file(reader);

    if (lines < 0) {
        use_file(reader, open_file(reader, oldest));
        return 0;
    }
    for (unsigned i = 0; i <= oldest; i++) {
        off_t offset;

        use_file(reader, open_file(reader, i));
        if (reader->fd < 0)
            continue;
        offset = lines == 0 ? lseek(reader->fd, 0, SEEK_END) : find_tail(reader->fd, &lines, err);
        if (offset < 0)
            return (int)offset;
        if (lseek(reader->fd, offset, SEEK_SET) < 0)
            return error_errno(err, "read the log");
        if (lines == 0)
            return 0;
    }
    return 0;
}

static bool is_same_file(const struct reader *reader, unsigned index, const struct stat *own)
{
    struct stat status;
    char name[32];

    file_name(index, name);
    return fstatat(reader->dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           status.st_ino == own->st_ino && status.st_dev == own->st_dev;
}

/* The index of the file that is read, or -1 when rotation removed its name. */
static int find_own(const struct reader *reader, const struct stat *own)
{
    for (unsigned i = 0; i <= oldest_file(reader); i++)
        if (is_same_file(reader, i, own))
            return (int)i;
    return -1;
}

/* Goes on to the next newer file. Names may move while we look: what was opened counts only if
 * our own file is still where it was. Returns 1, or 0 when ours is the newest. */
static int use_newer(struct reader *reader, struct error *err)
{
    struct stat own;

    if (fstat(reader->fd, &own) < 0)
        return error_errno(err, "look at the log");
    for (;;) {
        int index = find_own(reader, &own);
        int fd, r;

        if (index == 0)
            return 0;
        fd = open_file(reader, index < 0 ? oldest_file(reader) : (unsigned)index - 1);
        if (index > 0 && !is_same_file(reader, (unsigned)index, &own)) {
            if (fd >= 0)
                close(fd);
            continue;
        }
        if (fd < 0)
            return 0; /* a rotation is half done: its rest wakes us again */
        /* It was still written to until it was renamed. */
        r = read_to_end(reader, err);
        use_file(reader, fd);
        return r < 0 ? r : 1;
    }
}

/* Everything from the place where we are on. */
static int read_all(struct reader *reader, struct error *err)
{
    struct stat own;
    int r;

    if (reader->fd < 0)
        use_file(reader, open_file(reader, oldest_file(reader)));
    if (reader->fd < 0)
        return 0; /* nothing was written yet */
    do {
        /* With one file only, rotation empties it. */
        if (fstat(reader->fd, &own) == 0 && own.st_size < lseek(reader->fd, 0, SEEK_CUR))
            (void)lseek(reader->fd, 0, SEEK_SET);
        r = read_to_end(reader, err);
        if (r == 0 && !reader->is_unread)
            r = use_newer(reader, err);
    } while (r > 0);
    return r;
}

/* --- following ---------------------------------------------------------------------------------
 */

static int until_timeout(const struct logs_options *options)
{
    struct timespec now;
    int64_t left;

    if (!options->has_until)
        return -1;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    left = (options->until.tv_sec - now.tv_sec) * 1000 +
           (options->until.tv_nsec - now.tv_nsec) / 1000000 + 1;
    return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

static int watch(const struct reader *reader, int *ret_fd, struct error *err)
{
    auto_close int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    char path[FD_PATH_MAX];

    if (fd < 0)
        return error_errno(err, "watch the log");
    if (inotify_add_watch(fd, fd_path(reader->dir_fd, path),
                          IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0)
        return error_errno(err, "watch the log");
    *ret_fd = take_fd(&fd);
    return 0;
}

/* Until the monitor says that it ended, or is gone. */
static int follow(struct reader *reader, int monitor_fd, int watch_fd, struct error *err)
{
    char events[4096];
    bool has_ended = false;
    int r = 0;

    while (r == 0 && !has_ended && !reader->has_passed_until && !reader->is_unread) {
        struct pollfd fds[] = { { .fd = watch_fd, .events = POLLIN },
                                { .fd = monitor_fd, .events = POLLIN } };
        int ready = poll(fds, ARRAY_SIZE(fds), until_timeout(reader->options));

        if (ready < 0 && errno != EINTR)
            return error_errno(err, "wait for the log");
        if (ready == 0)
            return 0;
        has_ended = fds[1].revents != 0;
        while (read(watch_fd, events, sizeof(events)) > 0)
            continue;
        r = read_all(reader, err);
    }
    return r;
}

static int open_followed(struct engine *engine, const char *id, int *ret_fd)
{
    uint32_t wait = MONITOR_WAIT_NOT_RUNNING;
    auto_close int fd = -1;
    int r;

    r = monitor_link_open(engine, id, &fd, NULL);
    if (r == 0)
        r = wire_send(fd, MONITOR_WAIT, &wait, sizeof(wait), NULL, 0, NULL);
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

static int check_driver(struct engine *engine, const char *id, struct error *err)
{
    AUTO(record) struct record *record = NULL;
    int r;

    r = record_read(engine, id, &record, err);
    if (r < 0)
        return r;
    if (record->settings.log_driver != NULL && strcmp(record->settings.log_driver, "none") == 0)
        return error_set(err, EOPNOTSUPP,
                         "container %.12s keeps no log: it has the log driver 'none'", id);
    return 0;
}

int engine_logs(struct engine *engine, const char *id, const struct logs_options *options,
                struct error *err)
{
    AUTO_CLEAR(reader)
    struct reader reader = {
        .options = options,
        .dir_fd = -1,
        .fd = -1,
        .output_fd = STDOUT_FILENO,
    };
    auto_close int monitor_fd = -1;
    auto_close int watch_fd = -1;
    int r;

    assert(options != NULL);

    r = check_driver(engine, id, err);
    if (r < 0)
        return r;
    r = container_directory(engine, id, &reader.dir_fd, err);
    if (r < 0)
        return r;
    /* Watch before reading, so that nothing falls between. */
    if (options->follows && open_followed(engine, id, &monitor_fd) == 0) {
        r = watch(&reader, &watch_fd, err);
        if (r < 0)
            return r;
    }
    r = find_start(&reader, err);
    if (r < 0)
        return r;
    r = read_all(&reader, err);
    if (r < 0 || watch_fd < 0)
        return r;
    return follow(&reader, monitor_fd, watch_fd, err);
}
