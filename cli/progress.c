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
#define ROWS_DEFAULT    24
#define COLUMNS_MIN     20
#define BAR_WIDTH       24
#define RATE_FROM_MS    300    /* before that a rate is only noise */
#define TIME_LEFT_MAX   360000 /* seconds: more than that says nothing */

struct progress {
    bool is_shown; /* to somebody at a terminal */
    bool has_color;
    bool is_visible; /* a line is on the screen */
    char *step;
    uint64_t step_begin, step_begin_ms, last_ms;
};

uint64_t progress_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool progress_has_terminal(void)
{
    const char *terminal = getenv("TERM");

    return isatty(STDERR_FILENO) && !text_is_empty(terminal) && strcmp(terminal, "dumb") != 0;
}

bool progress_has_color(void)
{
    return text_is_empty(getenv("NO_COLOR"));
}

struct progress *progress_open(bool is_quiet)
{
    struct progress *progress = xcalloc(1, sizeof(*progress));

    progress->is_shown = !is_quiet && progress_has_terminal();
    progress->has_color = progress_has_color();
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

static void add_time(struct text *line, double seconds)
{
    uint64_t left = (uint64_t)seconds + 1;

    if (left < 60)
        text_addf(line, "  %us", (unsigned)left);
    else if (left < 3600)
        text_addf(line, "  %um%02us", (unsigned)(left / 60), (unsigned)(left % 60));
    else if (left < TIME_LEFT_MAX)
        text_addf(line, "  %uh%02um", (unsigned)(left / 3600), (unsigned)(left / 60 % 60));
}

static void add_amounts(struct text *line, const struct progress_amount *amount)
{
    auto_free char *done_text = text_format_size(amount->done);
    auto_free char *total_text = text_format_size(amount->total);
    auto_free char *rate_text = NULL;
    double rate;

    text_addf(line, "  %s", done_text);
    if (amount->total > 0)
        text_addf(line, "/%s", total_text);
    if (amount->elapsed_ms < RATE_FROM_MS || amount->done < amount->from)
        return;
    rate = (double)(amount->done - amount->from) * 1000 / (double)amount->elapsed_ms;
    rate_text = text_format_size((uint64_t)rate);
    text_addf(line, "  %s/s", rate_text);
    if (amount->done < amount->total && rate >= 1)
        add_time(line, (double)(amount->total - amount->done) / rate);
}

char *progress_format(const char *step, const struct progress_amount *given, unsigned columns,
                      bool has_color)
{
    struct progress_amount amount = *given;
    static const char spinner[] = "|/-\\";
    AUTO_CLEAR(text) struct text line = { 0 };
    AUTO_CLEAR(text) struct text behind = { 0 };
    size_t step_length = strlen(step);
    size_t room;

    if (columns < COLUMNS_MIN)
        columns = COLUMNS_MIN;
    room = columns - 1; /* the last column would wrap on some terminals */
    if (amount.done > amount.total)
        amount.total = 0; /* it was a guess */
    if (amount.total > 0)
        add_bar(&behind, amount.done, amount.total);
    else
        text_addf(&behind, " %c", spinner[amount.elapsed_ms / REFRESH_MS % 4]);
    if (amount.done > 0 || amount.total > 0)
        add_amounts(&behind, &amount);
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

void progress_terminal_size(unsigned *ret_columns, unsigned *ret_rows)
{
    struct winsize size = { 0 };

    (void)ioctl(STDERR_FILENO, TIOCGWINSZ, &size); /* else the defaults */
    *ret_columns = size.ws_col == 0 ? COLUMNS_DEFAULT : size.ws_col;
    *ret_rows = size.ws_row == 0 ? ROWS_DEFAULT : size.ws_row;
}

void progress_update(const char *step, uint64_t done, uint64_t total, void *context)
{
    struct progress *progress = context;
    struct progress_amount amount = { .done = done, .total = total };
    auto_free char *line = NULL;
    unsigned columns, rows;
    uint64_t now;

    assert(step != NULL);

    if (progress == NULL || !progress->is_shown)
        return;
    now = progress_now_ms();
    if (!text_equal(progress->step, step)) {
        free(progress->step);
        progress->step = xstrdup(step);
        progress->step_begin = done;
        progress->step_begin_ms = now;
    } else if (now - progress->last_ms < REFRESH_MS) {
        return;
    }
    progress->last_ms = now;
    progress->is_visible = true;
    amount.from = progress->step_begin;
    amount.elapsed_ms = now - progress->step_begin_ms;
    progress_terminal_size(&columns, &rows);
    line = progress_format(step, &amount, columns, progress->has_color);
    (void)fprintf(stderr, "\r%s\033[K", line);
    (void)fflush(stderr);
}
