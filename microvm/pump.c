#include "microvm/pump.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

/* Bytes of one write(2) to a terminal that is ready: it takes so many without waiting, or nearly
 * so. */
#define TERMINAL_WRITE_MAX 512

struct pump {
    struct event_loop *loop;
    struct channel *channel;
    uint32_t stream;
    int fd; /* -1: ended */
    bool is_input;
    bool is_always_ready; /* a regular file, for one: cannot be watched (epoll_ctl(2), EPERM) */
    bool is_finishing;    /* output: close when all is written */
    struct event_source *source; /* NULL: not watched */
    size_t left;                 /* input: bytes that are read at most */
    struct text waiting;         /* output: not yet written */
    size_t written;              /* of it */
    pump_flush *flush;
    void *context;
};

static void stop_watching(struct pump *pump)
{
    event_source_remove(pump->source);
    pump->source = NULL;
}

static void close_end(struct pump *pump)
{
    stop_watching(pump);
    if (pump->fd >= 0)
        (void)close(take_fd(&pump->fd)); /* what could fail was told by write(2) */
}

void pump_end(struct pump *pump)
{
    if (pump->fd < 0)
        return;
    close_end(pump);
    channel_stream_end(pump->channel, pump->stream);
    pump->flush(pump->context);
}

/* One read. Returns 1: something was read; 0: nothing is there now, or no room; -EPIPE: the end. */
static int read_some(struct pump *pump)
{
    char bytes[CHANNEL_DATA_MAX];
    size_t room = channel_stream_room(pump->channel, pump->stream);
    ssize_t length;

    if (room == 0)
        return 0;
    if (room > pump->left)
        room = pump->left;
    length = read(pump->fd, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    /* The other end of a terminal tells its end by EIO. */
    if (length <= 0)
        return -EPIPE;
    channel_stream_send(pump->channel, pump->stream, bytes, (size_t)length);
    if (pump->left != SIZE_MAX)
        pump->left -= (size_t)length;
    pump->flush(pump->context);
    return 1;
}

/* One write. Returns 1: something was written; 0: would wait; -EPIPE: nobody reads. */
static int write_some(struct pump *pump)
{
    size_t length = pump->waiting.length - pump->written;
    struct iovec part = { pump->waiting.data + pump->written, length };
    ssize_t done;

    done = pwritev2(pump->fd, &part, 1, -1, pump->is_always_ready ? 0 : RWF_NOWAIT);
    if (done < 0 && errno == EOPNOTSUPP)
        done = write(pump->fd, part.iov_base,
                     length < TERMINAL_WRITE_MAX ? length : TERMINAL_WRITE_MAX);
    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (done < 0)
        return -EPIPE;
    pump->written += (size_t)done;
    channel_stream_consumed(pump->channel, pump->stream, (size_t)done);
    pump->flush(pump->context);
    return 1;
}

static int watch(struct pump *pump, struct error *err);

static int handle_input(struct pump *pump, struct error *err)
{
    int r;

    do
        r = read_some(pump);
    while (r > 0 && pump->is_always_ready);
    if (r < 0) {
        pump_end(pump);
        return 0;
    }
    return watch(pump, err);
}

/* What arrives from now on is thrown away, and told as taken, so that its writer never waits. */
static void give_up(struct pump *pump)
{
    channel_stream_consumed(pump->channel, pump->stream, pump->waiting.length - pump->written);
    pump->waiting.length = pump->written = 0;
    close_end(pump);
    pump->flush(pump->context);
}

static int handle_output(struct pump *pump, struct error *err)
{
    int r = 1;

    while (r > 0 && pump->written < pump->waiting.length) {
        r = write_some(pump);
        /* A terminal that took a part may make the next write wait. */
        if (r > 0 && !pump->is_always_ready && pump->source != NULL)
            break;
    }
    if (r < 0) {
        give_up(pump);
        return 0;
    }
    if (pump->written == pump->waiting.length) {
        pump->waiting.length = pump->written = 0;
        if (pump->is_finishing) {
            close_end(pump);
            return 0;
        }
    }
    return watch(pump, err);
}

static int handle_ready(struct event_source *source, uint32_t events, void *context,
                        struct error *err)
{
    struct pump *pump = context;

    (void)source;
    (void)events; /* errors and the end show in read(2) and write(2) */
    return pump->is_input ? handle_input(pump, err) : handle_output(pump, err);
}

/* Watches the descriptor when there is a reason to, else not at all: a hang-up would be told again
 * and again (epoll_ctl(2), EPOLLHUP). */
static int watch(struct pump *pump, struct error *err)
{
    bool is_wanted = pump->is_input ? channel_stream_room(pump->channel, pump->stream) > 0
                                    : pump->written < pump->waiting.length;
    struct error refusal = { 0 };
    int r;

    if (pump->fd < 0 || pump->is_always_ready || is_wanted == (pump->source != NULL))
        return 0;
    if (!is_wanted) {
        stop_watching(pump);
        return 0;
    }
    r = event_loop_add(pump->loop, pump->fd, pump->is_input ? EPOLLIN : EPOLLOUT, handle_ready,
                       pump, &pump->source, &refusal);
    if (r < 0 && r != -EPERM)
        return error_set(err, -r, "%s", refusal.message);
    if (r == 0)
        return 0;
    pump->is_always_ready = true;
    return pump->is_input ? handle_input(pump, err) : handle_output(pump, err);
}

int pump_open(struct event_loop *loop, struct channel *channel, uint32_t stream, int fd,
              bool is_input, pump_flush *flush, void *context, struct pump **ret_pump,
              struct error *err)
{
    AUTO(pump) struct pump *pump = xcalloc(1, sizeof(*pump));
    int r;

    pump->loop = loop;
    pump->channel = channel;
    pump->stream = stream;
    pump->fd = fd;
    pump->is_input = is_input;
    pump->left = SIZE_MAX;
    pump->flush = flush;
    pump->context = context;
    r = watch(pump, err);
    if (r < 0)
        return r;
    *ret_pump = take_ptr(&pump);
    return 0;
}

void pump_free(struct pump *pump)
{
    if (pump == NULL)
        return;
    close_end(pump);
    text_clear(&pump->waiting);
    free(pump);
}

uint32_t pump_stream(const struct pump *pump)
{
    return pump->stream;
}

int pump_room(struct pump *pump, struct error *err)
{
    assert(pump->is_input);
    if (pump->is_always_ready && pump->fd >= 0)
        return handle_input(pump, err);
    return watch(pump, err);
}

int pump_drain(struct pump *pump, bool *ret_is_ended, struct error *err)
{
    assert(pump->is_input);
    if (pump->fd >= 0 && pump->left == SIZE_MAX)
        pump->left = fd_capacity(pump->fd);
    while (pump->fd >= 0) {
        struct pollfd ready = { .fd = pump->fd, .events = POLLIN };
        int r;

        if (channel_stream_room(pump->channel, pump->stream) == 0) {
            *ret_is_ended = false;
            return watch(pump, err);
        }
        r = pump->left > 0 && poll(&ready, 1, 0) > 0 ? read_some(pump) : -EPIPE;
        if (r < 0)
            pump_end(pump);
    }
    *ret_is_ended = true;
    return 0;
}

bool pump_has_ended(const struct pump *pump)
{
    return pump->fd < 0;
}

int pump_write(struct pump *pump, const void *bytes, size_t length, struct error *err)
{
    assert(!pump->is_input);
    if (pump->fd < 0) {
        channel_stream_consumed(pump->channel, pump->stream, length);
        pump->flush(pump->context);
        return 0;
    }
    text_add_bytes(&pump->waiting, bytes, length);
    if (pump->source != NULL) /* it waits to become ready */
        return 0;
    if (pump->is_always_ready)
        return handle_output(pump, err);
    return watch(pump, err);
}

int pump_finish(struct pump *pump, struct error *err)
{
    assert(!pump->is_input);
    pump->is_finishing = true;
    if (pump->fd >= 0 && pump->written == pump->waiting.length)
        close_end(pump);
    return watch(pump, err);
}

size_t pump_waiting(const struct pump *pump, const void **ret_bytes)
{
    if (!pump_is_busy(pump))
        return 0;
    *ret_bytes = pump->waiting.data + pump->written;
    return pump->waiting.length - pump->written;
}

bool pump_is_busy(const struct pump *pump)
{
    return pump != NULL && pump->fd >= 0 && pump->written < pump->waiting.length;
}
