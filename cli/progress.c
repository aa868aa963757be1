#include "cli/progress.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define REFRESH_MS      100
#define COLUMNS_DEFAULT 80
#define COLUMNS_MIN     20
#define BAR_WIDTH       24
#define RATE_FROM_MS    300 /* before that a rate is only noise */

struct progress {
    bool is_shown; /* to somebody at a terminal */
    bool has_color;
    bool is_visible; /* a line is on the screen */
    char *step;
    uint64_t step_begin_ms, last_ms;
};

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct progress *progress_open(bool is_quiet)
{
    struct progress *progress = xcalloc(1, sizeof(*progress));
    const char *terminal = getenv("TERM");

    progress->is_shown = !is_quiet && isatty(STDERR_FILENO) && !text_is_empty(terminal) &&
                         strcmp(terminal, "dumb") != 0;
    progress->has_color = text_is_empty(getenv("NO_COLOR"));
    return progress;
}

void progress_hide(struct progress *progress)
{
    if (progress == NULL || !progress->is_visible)
        return;
    (void)fputs("\r\033[K", stderr); /* a lost terminal loses only its decoration */
    (void)fflush(stderr);
    progress->is_visible = false;
    progress->last_ms = 0;
}

void progress_free(struct progress *progress)
{
    if (progress == NULL)
        return;
    progress_hide(progress);
    free(progress->step);
    free(progress);
}

static void add_bar(struct text *line, uint64_t done, uint64_t total)
{
    unsigned filled = total > 0 ? (unsigned)((double)done / (double)total * BAR_WIDTH) : 0;

    text_add(line, " [");
    for (unsigned i = 0; i < BAR_WIDTH; i++)
        text_add(line, i < filled ? "=" : i == filled ? ">" : " ");
    text_addf(line, "] %3u%%", (unsigned)((double)done / (double)total * 100));
}

static void add_amounts(struct text *line, uint64_t done, uint64_t total, uint64_t elapsed_ms)
{
    auto_free char *done_text = text_format_size(done);
    auto_free char *total_text = text_format_size(total);
    auto_free char *rate = NULL;

    text_addf(line, "  %s", done_text);
    if (total > 0)
        text_addf(line, "/%s", total_text);
    if (elapsed_ms < RATE_FROM_MS)
        return;
    rate = text_format_size((uint64_t)((double)done * 1000 / (double)elapsed_ms));
    text_addf(line, "  %s/s", rate);
}

char *progress_format(const char *step, uint64_t done, uint64_t total, uint64_t elapsed_ms,
                      unsigned columns, bool has_color)
{
    static const char spinner[] = "|/-\\";
    AUTO_CLEAR(text) struct text line = { 0 };
    AUTO_CLEAR(text) struct text behind = { 0 };
    size_t step_length = strlen(step);
    size_t room;

    if (columns < COLUMNS_MIN)
        columns = COLUMNS_MIN;
    room = columns - 1; /* the last column would wrap on some terminals */
    if (done > total && total > 0)
        total = 0; /* it was a guess */
    if (total > 0)
        add_bar(&behind, done, total);
    else
        text_addf(&behind, " %c", spinner[elapsed_ms / REFRESH_MS % 4]);
    if (done > 0 || total > 0)
        add_amounts(&behind, done, total, elapsed_ms);
    if (step_length > room)
        step_length = room;
    if (has_color)
        text_add(&line, "\033[1m");
    text_add_bytes(&line, step, step_length);
    if (has_color)
        text_add(&line, "\033[0m");
    if (behind.length > room - step_length)
        text_add_bytes(&line, behind.data, room - step_length);
    else
        text_add_bytes(&line, behind.data, behind.length);
    return text_take(&line);
}

static unsigned terminal_columns(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return COLUMNS_DEFAULT;
    return size.ws_col;
}

void progress_update(const char *step, uint64_t done, uint64_t total, void *context)
{
    struct progress *progress = context;
    auto_free char *line = NULL;
    uint64_t now;

    assert(step != NULL);

    if (progress == NULL || !progress->is_shown)
        return;
    now = now_ms();
    if (!text_equal(progress->step, step)) {
        free(progress->step);
        progress->step = xstrdup(step);
        progress->step_begin_ms = now;
    } else if (now - progress->last_ms < REFRESH_MS) {
        return;
    }
    progress->last_ms = now;
    progress->is_visible = true;
    line = progress_format(step, done, total, now - progress->step_begin_ms, terminal_columns(),
                           progress->has_color);
    (void)fprintf(stderr, "\r%s\033[K", line);
    (void)fflush(stderr);
}
