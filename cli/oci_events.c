#include "cli/oci_events.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/event.h"
#include "base/log.h"
#include "cli/oci_commands.h"
#include "cli/time_option.h"

/* events: usage at each interval, and a line when memory runs out, until the first process ends. */

#define INTERVAL_NS_DEFAULT 5000000000u
#define NS_PER_MS           1000000u

struct watch {
    const char *id;
    struct cgroup *cgroup; /* borrowed */
    struct event_loop *loop;
    int timer_fd, oom_fd;
    uint64_t kills; /* told of so far */
};

static int print_event(const char *type, const char *id, struct cgroup_details *data,
                       struct error *err)
{
    const struct event event = { type, id, data };
    auto_free char *json = encode_text(&event_object, &event, ENCODE_COMPACT);

    if (printf("%s\n", json) < 0 || fflush(stdout) != 0)
        return error_errno(err, "write an event");
    return 0;
}

static int print_stats(const char *id, struct cgroup *cgroup, struct error *err)
{
    AUTO_CLEAR(cgroup_details) struct cgroup_details details = { 0 };
    int r = cgroup_details(cgroup, &details, err);

    return r < 0 ? r : print_event("stats", id, &details, err);
}

static int on_timer(struct event_source *source, uint32_t events, void *context, struct error *err)
{
    struct watch *watch = context;
    struct error stats_error = { 0 };
    uint64_t count;

    (void)source;
    (void)events;
    if (read(watch->timer_fd, &count, sizeof(count)) < 0)
        return errno == EAGAIN ? 0 : error_errno(err, "read the timer");
    /* Nothing to count: it is being removed, and the end of its process will be seen. */
    if (print_stats(watch->id, watch->cgroup, &stats_error) < 0) {
        if (stats_error.code != ENOENT)
            log_warning("%s", stats_error.message);
    }
    return 0;
}

static int on_oom(struct event_source *source, uint32_t events, void *context, struct error *err)
{
    struct watch *watch = context;
    char bytes[4096];
    bool is_told = read(watch->oom_fd, bytes, sizeof(bytes)) >= 0;

    (void)source;
    (void)events;
    if (!is_told && errno != EAGAIN)
        return error_errno(err, "read what tells of memory running out");
    if (cgroup_oom_check(watch->cgroup, is_told, &watch->kills, NULL) <= 0)
        return 0;
    return print_event("oom", watch->id, NULL, err);
}

static int on_end(struct event_source *source, uint32_t events, void *context, struct error *err)
{
    struct watch *watch = context;
    int r = 0;

    /* It may have ended because memory ran out. */
    if (watch->oom_fd >= 0)
        r = on_oom(source, events, context, err);
    event_loop_stop(watch->loop, 0);
    return r;
}

static int watch_container(struct container *container, struct watch *watch, uint64_t interval_ms,
                           struct error *err)
{
    struct event_source *source;
    int r;

    r = event_loop_add(watch->loop, container_pidfd(container), EPOLLIN, on_end, watch, &source,
                       err);
    if (r == 0 && watch->oom_fd >= 0)
        r = event_loop_add(watch->loop, watch->oom_fd, EPOLLIN, on_oom, watch, &source, err);
    if (r == 0)
        r = event_loop_add(watch->loop, watch->timer_fd, EPOLLIN, on_timer, watch, &source, err);
    if (r == 0)
        r = event_set_timer(watch->timer_fd, interval_ms, interval_ms, err);
    return r < 0 ? r : event_loop_run(watch->loop, err);
}

static int follow(struct container *container, uint64_t interval_ms, struct error *err)
{
    AUTO(event_loop) struct event_loop *loop = NULL;
    auto_close int timer_fd = -1;
    auto_close int oom_fd = -1;
    struct watch watch = { .id = container_id(container), .cgroup = container_cgroup(container) };
    struct error oom_error = { 0 };
    int r;

    r = event_loop_open(&loop, err);
    if (r == 0)
        r = event_open_timer(&timer_fd, err);
    if (r < 0)
        return r;
    /* Counted first: a kill after the watch began is one to tell of. Unknown: none so far. */
    (void)cgroup_oom_kills(watch.cgroup, &watch.kills, NULL);
    if (cgroup_watch_oom(watch.cgroup, &oom_fd, &oom_error) < 0)
        log_warning("%s: going on with stats only", oom_error.message);
    watch.loop = loop;
    watch.timer_fd = timer_fd;
    watch.oom_fd = oom_fd;
    return watch_container(container, &watch, interval_ms, err);
}

static int parse_interval(const struct arguments *arguments, uint64_t *ret_ms, struct error *err)
{
    const char *text = arguments_text(arguments, "interval");
    uint64_t interval_ns = INTERVAL_NS_DEFAULT;
    int r = 0;

    if (text != NULL)
        r = time_option_parse_span(text, "--interval", &interval_ns, err);
    if (r < 0)
        return r;
    if (interval_ns == 0)
        return error_set(err, EINVAL, "duration interval must be greater than 0");
    *ret_ms = interval_ns / NS_PER_MS + (interval_ns % NS_PER_MS != 0);
    return 0;
}

static int check_running(struct container *container, struct error *err)
{
    enum container_status status;
    int r = container_status(container, &status, err);

    if (r < 0)
        return r;
    if (status == CONTAINER_STOPPED || status == CONTAINER_CREATING)
        return error_set(err, ESRCH, "container with id %s is not running",
                         container_id(container));
    if (container_cgroup(container) == NULL)
        return error_set(err, EOPNOTSUPP, "container '%s' has no cgroup that could be counted",
                         container_id(container));
    return 0;
}

int oci_events(const struct arguments *arguments, void *context)
{
    struct error err = { 0 };
    AUTO(container) struct container *container = oci_open_container(arguments, context, &err);
    uint64_t interval_ms = 0;
    int r;

    if (container == NULL)
        return oci_fail(context, &err, 1);
    r = parse_interval(arguments, &interval_ms, &err);
    if (r == 0)
        r = check_running(container, &err);
    if (r == 0)
        r = arguments_flag(arguments, "stats")
                ? print_stats(container_id(container), container_cgroup(container), &err)
                : follow(container, interval_ms, &err);
    return r < 0 ? oci_fail(context, &err, 1) : 0;
}
