#include "cli/layer_table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"

#define REFRESH_MS 100

struct layer_table {
    bool is_shown; /* to somebody at a terminal */
    bool has_color;
    struct layer_row *rows;
    size_t count;
    unsigned lines; /* on the screen, above the cursor */
    uint64_t last_ms;
};

/* docker's words. */
static const struct {
    const char *word;
    bool has_amount;
} steps[] = {
    [LAYER_WAITING] = { "Waiting", false },
    [LAYER_DOWNLOADING] = { "Downloading", true },
    [LAYER_DOWNLOADED] = { "Download complete", false },
    [LAYER_UNPACKING] = { "Extracting", true },
    [LAYER_READY] = { "Pull complete", false },
    [LAYER_EXISTS] = { "Already exists", false },
};

static bool is_done(const struct layer_row *row)
{
    return row->step == LAYER_READY || row->step == LAYER_EXISTS;
}

static char *row_format(const struct layer_row *row, uint64_t now_ms, unsigned columns,
                        bool has_color)
{
    struct progress_amount amount = { .done = row->done,
                                      .total = row->total,
                                      .from = row->from,
                                      .elapsed_ms = now_ms - row->begin_ms };
    auto_free char *step = xasprintf("%s: %s", row->id, steps[row->step].word);

    if (!steps[row->step].has_amount)
        return xasprintf("%.*s", (int)columns - 1, step);
    return progress_format(step, &amount, columns, has_color);
}

void layer_table_format(const struct layer_row *rows, size_t count, uint64_t now_ms,
                        unsigned height, unsigned columns, bool has_color,
                        struct strings *ret_lines)
{
    size_t left_out = count > height ? count - height + 1 : 0; /* one line tells of them */
    size_t to_drop = left_out, shown = 0, hidden_done = 0;

    for (size_t i = 0; i < count; i++) {
        bool is_dropped = is_done(&rows[i]) && to_drop > 0;

        if (is_dropped || (left_out > 0 && shown + 1 >= height)) {
            to_drop -= is_dropped;
            hidden_done += is_done(&rows[i]);
            continue;
        }
        strings_take(ret_lines, row_format(&rows[i], now_ms, columns, has_color));
        shown++;
    }
    if (left_out > 0)
        strings_addf(ret_lines, "%zu more, %zu of them complete", count - shown, hidden_done);
}

/* --- the screen ------------------------------------------------------------------------------- */

struct layer_table *layer_table_open(bool is_quiet)
{
    struct layer_table *table = xcalloc(1, sizeof(*table));

    table->is_shown = !is_quiet && progress_has_terminal();
    table->has_color = progress_has_color();
    return table;
}

/* Writes over the lines of the last time. */
static void draw(struct layer_table *table)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    unsigned columns, height;
    uint64_t now = progress_now_ms();

    progress_terminal_size(&columns, &height);
    layer_table_format(table->rows, table->count, now, height > 3 ? height - 2 : 1, columns,
                       table->has_color, &lines);
    if (table->lines > 0)
        (void)fprintf(stderr, "\033[%uA", table->lines);
    for (size_t i = 0; i < lines.count; i++)
        (void)fprintf(stderr, "\r%s\033[K\n", lines.items[i]);
    (void)fputs("\033[J", stderr);
    (void)fflush(stderr);
    table->lines = (unsigned)lines.count;
    table->last_ms = now;
}

void layer_table_begin(struct layer_table *table, const struct image_descriptors *layers)
{
    free(table->rows); /* of a try before this one */
    table->rows = xcalloc(layers->count + 1, sizeof(*table->rows));
    table->count = layers->count;
    for (size_t i = 0; i < layers->count; i++)
        (void)snprintf(table->rows[i].id, sizeof(table->rows[i].id), "%s",
                       digest_hex(&layers->items[i].digest));
    if (table->is_shown)
        draw(table);
}

void layer_table_update(const struct layer_progress *layer, void *context)
{
    struct layer_table *table = context;
    struct layer_row *row;
    bool is_new_step;

    assert(layer->step < ARRAY_SIZE(steps));

    if (!table->is_shown || layer->index >= table->count)
        return;
    row = &table->rows[layer->index];
    is_new_step = row->step != layer->step;
    if (is_new_step || layer->done < row->from) {
        row->from = layer->done;
        row->begin_ms = progress_now_ms();
    }
    row->step = layer->step;
    row->done = layer->done;
    row->total = layer->total;
    if (is_new_step || progress_now_ms() - table->last_ms >= REFRESH_MS)
        draw(table);
}

void layer_table_free(struct layer_table *table)
{
    if (table == NULL)
        return;
    free(table->rows);
    free(table);
}
