#ifndef CLI_LAYER_TABLE_H
#define CLI_LAYER_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/text.h"
#include "engine/engine.h"

/* A live line for each layer of an image, as docker's pull shows them: what is done with it, how
 * much of it, how fast, and how long it will take. On standard error, and only at a terminal. */

struct layer_table;

/** @is_quiet  the user wants none */
struct layer_table *layer_table_open(bool is_quiet);
/** The lines stay as they are. */
void layer_table_free(struct layer_table *table);
DEFINE_AUTO(layer_table)

/** Takes the layers of an image, all of them waiting. */
void layer_table_begin(struct layer_table *table, const struct image_descriptors *layers);
/** Takes how far a layer is. @context: the struct layer_table; so it fits struct layers_watch */
void layer_table_update(const struct layer_progress *layer, void *context);

/* A layer as it is shown. */
struct layer_row {
    char id[13]; /* of its blob's digest */
    enum layer_step step;
    uint64_t done, total;
    uint64_t from, begin_ms; /* done, and the time, when the step began */
};

/**
 * The lines, at most @height of them: where there is no room, those that are done go first, and the
 * last line counts what is left out. Pure.
 */
void layer_table_format(const struct layer_row *rows, size_t count, uint64_t now_ms,
                        unsigned height, unsigned columns, bool has_color,
                        struct strings *ret_lines);

#endif
