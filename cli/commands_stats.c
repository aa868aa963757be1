#include "cli/berth.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/event.h"
#include "cli/listing.h"
#include "cli/stats_row.h"

/* `stats`: what containers use, once or again every second. CPU use is the difference of two looks,
 * so the first row comes one interval after the start. On a terminal the table stays in place. */

#define STATS_INTERVAL_MS 1000

struct stats {
    struct engine *engine;
    const struct arguments *arguments;
    struct strings ids;          /* containers that were named; empty: all */
    struct stats_samples before; /* the previous look */
    bool is_terminal, is_endless, is_whole, shows_all;
    bool has_format; /* may show more than the table does */
    unsigned looks;
    struct event_loop *loop;
};

static uint64_t now_ns(void)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_running(const struct container_view *view)
{
    return strcmp(view->status, "running") == 0 || strcmp(view->status, "paused") == 0;
}

static void copy_pressure(const struct cgroup_pressure *from, struct cgroup_pressure *to)
{
    if (from != NULL)
        *to = *from;
}

/* Reads more files than the table needs. */
static int take_details(struct stats *stats, struct stats_sample *sample)
{
    AUTO_CLEAR(cgroup_details) struct cgroup_details details = { 0 };
    int r = engine_details(stats->engine, sample->id, &details, NULL);

    if (r < 0)
        return r;
    sample->usage = details.usage;
    sample->has_pressure = details.cpu_pressure != NULL;
    copy_pressure(details.cpu_pressure, &sample->cpu_pressure);
    copy_pressure(details.memory_pressure, &sample->memory_pressure);
    copy_pressure(details.io_pressure, &sample->io_pressure);
    return 0;
}

/* Looks at one container; one that ended meanwhile shows zeros, as with docker. */
static void take_sample(struct stats *stats, const struct container_view *view,
                        struct stats_samples *samples)
{
    struct stats_sample sample = {
        .id = xstrdup(view->id),
        .name = xstrdup(view->name),
        .is_running = is_running(view),
        .taken_ns = now_ns(),
    };

    if (sample.is_running &&
        (stats->has_format ? take_details(stats, &sample)
                           : engine_usage(stats->engine, view->id, &sample.usage, NULL)) < 0)
        sample.is_running = false;
    if (sample.is_running)
        sample.has_traffic = engine_traffic(view, &sample.traffic, NULL) == 0;
    stats_samples_add(samples, &sample);
}

static int take_samples(struct stats *stats, struct stats_samples *samples, struct error *err)
{
    struct container_views views = { 0 };
    int r = engine_list(stats->engine, false, &views, err);

    for (size_t i = 0; r == 0 && i < views.count; i++) {
        const struct container_view *view = &views.items[i];
        bool is_wanted = stats->ids.count > 0 ? strings_contains(&stats->ids, view->id)
                                              : stats->shows_all || is_running(view);

        if (is_wanted)
            take_sample(stats, view, samples);
    }
    container_views_clear(&views);
    return r;
}

/* --- printing --------------------------------------------------------------------------------- */

/* From the top again; each line is cut to the terminal's width, so that the table never wraps. */
static void print_in_place(const char *text)
{
    struct winsize size = { 0 };
    size_t width = 80, rows = 24;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        width = size.ws_col;
        rows = size.ws_row;
    }
    fputs("\033[H", stdout);
    for (size_t row = 0; *text != '\0' && row + 1 < rows; row++) {
        size_t length = strcspn(text, "\n");

        printf("%.*s\033[K\n", (int)(length < width ? length : width), text);
        text += length + (text[length] == '\n');
    }
    fputs("\033[J", stdout);
}

static int print_samples(struct stats *stats, const struct stats_samples *samples,
                         struct error *err)
{
    struct listing listing = { 0 };
    auto_free char *text = NULL;
    struct sysinfo system = { 0 };
    uint64_t memory;
    int r;

    (void)sysinfo(&system);
    memory = (uint64_t)system.totalram * system.mem_unit;
    r = listing_open(arguments_text(stats->arguments, "format"), STATS_TABLE, stats_columns,
                     &listing, err);
    for (size_t i = 0; r == 0 && i < samples->count; i++) {
        const struct stats_sample *sample = &samples->items[i];
        AUTO_CLEAR(string_map) struct string_map fields = { 0 };

        stats_row_format(stats_samples_find(&stats->before, sample->id), sample, memory,
                         stats->is_whole, &fields);
        r = listing_add(&listing, &fields, NULL, err);
    }
    if (r == 0)
        r = listing_format(&listing, &text, err);
    if (r == 0 && stats->is_terminal)
        print_in_place(text);
    else if (r == 0)
        fputs(text, stdout);
    listing_clear(&listing);
    (void)fflush(stdout);
    return r;
}

static int look(struct stats *stats, struct error *err)
{
    struct stats_samples samples = { 0 };
    int r = take_samples(stats, &samples, err);

    if (r == 0 && stats->looks++ > 0)
        r = print_samples(stats, &samples, err);
    stats_samples_clear(&stats->before);
    stats->before = samples;
    if (r == 0 && stats->looks > 1 && !stats->is_endless)
        event_loop_stop(stats->loop, 0);
    return r;
}

/* --- the loop --------------------------------------------------------------------------------- */

static int on_timer(struct event_source *source, uint32_t events, void *context, struct error *err)
{
    uint64_t expirations;

    (void)events;
    if (read(event_source_fd(source), &expirations, sizeof(expirations)) < 0)
        return 0; /* nothing expired after all */
    return look(context, err);
}

/* A change of the window's size shows at the next look; the other signals end the command. */
static int on_signal(struct event_source *source, uint32_t events, void *context, struct error *err)
{
    struct stats *stats = context;

    (void)source;
    (void)events;
    (void)err;
    event_loop_stop(stats->loop, 0);
    return 0;
}

static int watch(struct stats *stats, struct error *err)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, 0 };
    AUTO(event_loop) struct event_loop *loop = NULL;
    struct event_source *source = NULL;
    auto_close int timer = -1;
    auto_close int signal_fd = -1;
    int r;

    r = event_loop_open(&loop, err);
    if (r == 0)
        r = event_open_timer(&timer, err);
    if (r == 0)
        r = event_open_signals(signals, &signal_fd, err);
    if (r == 0)
        r = event_loop_add(loop, timer, EPOLLIN, on_timer, stats, &source, err);
    if (r == 0)
        r = event_loop_add(loop, signal_fd, EPOLLIN, on_signal, stats, &source, err);
    if (r == 0)
        r = event_set_timer(timer, STATS_INTERVAL_MS, STATS_INTERVAL_MS, err);
    stats->loop = loop;
    if (r == 0)
        r = look(stats, err);
    if (r == 0 && stats->is_terminal)
        fputs("\033[2J", stdout);
    return r < 0 ? r : event_loop_run(loop, err);
}

static int find_named(struct stats *stats, struct berth *berth, struct error *err)
{
    for (size_t i = 0; i < stats->arguments->word_count; i++) {
        auto_free char *id = NULL;
        int r = berth_find(berth, stats->arguments->words[i], &id, err);

        if (r < 0)
            return r;
        strings_add(&stats->ids, id);
    }
    return 0;
}

int command_stats(const struct arguments *arguments, void *context)
{
    const char *format = arguments_text(arguments, "format");
    struct stats stats = {
        .arguments = arguments,
        .is_endless = !arguments_flag(arguments, "no-stream"),
        .is_whole = arguments_flag(arguments, "no-trunc"),
        .shows_all = arguments_flag(arguments, "all"),
        .has_format = !text_is_empty(format) && strcmp(format, "table") != 0,
    };
    struct error err = { 0 };
    int r;

    stats.is_terminal = stats.is_endless && isatty(STDOUT_FILENO) == 1;
    r = berth_engine(context, &stats.engine, &err);
    if (r == 0)
        r = find_named(&stats, context, &err);
    if (r == 0)
        r = watch(&stats, &err);
    strings_clear(&stats.ids);
    stats_samples_clear(&stats.before);
    return r < 0 ? berth_failed(&err, STATUS_FAILED) : 0;
}
