#include "base/event.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

/* Events taken from the kernel with one call. */
#define EVENTS_MAX 16

struct event_source {
    struct event_loop *loop;
    struct event_source *next; /* in loop->sources or loop->removed */
    event_handler *handler;
    void *context;
    int fd;
    bool is_removed;
};

struct event_loop {
    int epoll_fd;
    struct event_source *sources;
    struct event_source *removed; /* freed when no event in hand can name them any more */
    bool is_stopped;
    int result;
};

int event_loop_open(struct event_loop **ret_loop, struct error *err)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct event_loop *loop;

    assert(ret_loop != NULL);

    if (epoll_fd < 0)
        return error_errno(err, "create an event loop");
    loop = xcalloc(1, sizeof(*loop));
    loop->epoll_fd = epoll_fd;
    *ret_loop = loop;
    return 0;
}

static void free_sources(struct event_source **list)
{
    while (*list != NULL) {
        struct event_source *source = *list;

        *list = source->next;
        free(source);
    }
}

void event_loop_free(struct event_loop *loop)
{
    if (loop == NULL)
        return;
    free_sources(&loop->sources);
    free_sources(&loop->removed);
    auto_close_cleanup(&loop->epoll_fd);
    free(loop);
}

int event_loop_add(struct event_loop *loop, int fd, uint32_t events, event_handler *handler,
                   void *context, struct event_source **ret_source, struct error *err)
{
    auto_free struct event_source *source = xcalloc(1, sizeof(*source));
    struct epoll_event event = { .events = events, .data.ptr = source };

    assert(loop != NULL);
    assert(handler != NULL);

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return error_errno(err, "watch descriptor %d", fd);
    source->loop = loop;
    source->handler = handler;
    source->context = context;
    source->fd = fd;
    source->next = loop->sources;
    loop->sources = source;
    if (ret_source != NULL)
        *ret_source = source;
    (void)take_ptr(&source); /* the loop has it now */
    return 0;
}

int event_source_set(struct event_source *source, uint32_t events, struct error *err)
{
    struct epoll_event event = { .events = events, .data.ptr = source };

    assert(!source->is_removed);

    if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0)
        return error_errno(err, "watch descriptor %d", source->fd);
    return 0;
}

int event_source_fd(const struct event_source *source)
{
    return source->fd;
}

void event_source_remove(struct event_source *source)
{
    struct event_source **link;

    if (source == NULL || source->is_removed)
        return;
    /* A descriptor that was closed before has left the epoll set by itself: EBADF is fine. */
    (void)epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    for (link = &source->loop->sources; *link != source;)
        link = &(*link)->next;
    *link = source->next;
    source->is_removed = true;
    source->next = source->loop->removed;
    source->loop->removed = source;
}

static int dispatch(struct event_loop *loop, const struct epoll_event *events, int count,
                    struct error *err)
{
    for (int i = 0; i < count && !loop->is_stopped; i++) {
        struct event_source *source = events[i].data.ptr;
        int r;

        if (source->is_removed) /* by the handler of an event before this one */
            continue;
        r = source->handler(source, events[i].events, source->context, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int event_loop_run(struct event_loop *loop, struct error *err)
{
    assert(loop != NULL);

    while (!loop->is_stopped) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, -1);
        int r;

        if (count < 0 && errno != EINTR)
            return error_errno(err, "wait for events");
        r = dispatch(loop, events, count, err);
        free_sources(&loop->removed);
        if (r < 0)
            return r;
    }
    loop->is_stopped = false; /* it may run again */
    return loop->result;
}

void event_loop_stop(struct event_loop *loop, int result)
{
    loop->is_stopped = true;
    loop->result = result;
}

int event_open_timer(int *ret_fd, struct error *err)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    if (fd < 0)
        return error_errno(err, "create a timer");
    *ret_fd = fd;
    return 0;
}

static struct timespec from_milliseconds(uint64_t ms)
{
    return (struct timespec){ .tv_sec = (time_t)(ms / 1000),
                              .tv_nsec = (long)(ms % 1000) * 1000000 };
}

int event_set_timer(int fd, uint64_t first_ms, uint64_t interval_ms, struct error *err)
{
    struct itimerspec setting = {
        /* A first time of zero would stop the timer (timerfd_settime(2)). */
        .it_value = from_milliseconds(first_ms > 0 ? first_ms : interval_ms),
        .it_interval = from_milliseconds(interval_ms),
    };

    if (timerfd_settime(fd, 0, &setting, NULL) < 0)
        return error_errno(err, "set a timer");
    return 0;
}

int event_open_signals(const int *signals, int *ret_fd, struct error *err)
{
    sigset_t set;
    int fd;

    (void)sigemptyset(&set);
    for (size_t i = 0; signals[i] != 0; i++) {
        if (sigaddset(&set, signals[i]) < 0)
            return error_errno(err, "watch signal %d", signals[i]);
    }
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return error_errno(err, "block signals");
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "watch signals");
    *ret_fd = fd;
    return 0;
}
