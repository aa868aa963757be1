#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include <stdbool.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/template.h"

/* Output of commands that list things, by --format: "table" (default), "table TEMPLATE", "json", or
 * a template for each row. */

struct listing_column {
    const char *field;  /* "ID", as templates name it; NULL ends the table */
    const char *header; /* "CONTAINER ID" */
};

struct listing {
    struct template *template;
    bool is_table;
    bool has_own_colors; /* the values are berth's own, with sequences for the terminal */
    const struct listing_column *columns;
    struct text rows;
};

/**
 * @format         what the user gave; NULL or "table": @default_table, a template
 * @ret_listing    release with listing_clear()
 */
int listing_open(const char *format, const char *default_table,
                 const struct listing_column *columns, struct listing *ret_listing,
                 struct error *err);
void listing_clear(struct listing *listing);

/** Adds one row. @labels: for {{.Label "key"}}; may be NULL. */
int listing_add(struct listing *listing, const struct string_map *fields,
                const struct string_map *labels, struct error *err);

/** The whole output, with headers and aligned when it is a table; @listing is empty of rows then.
 * Caller frees. */
int listing_format(struct listing *listing, char **ret_text, struct error *err);

/** Prints listing_format() to standard output. */
int listing_print(struct listing *listing, struct error *err);

/** The names of the columns' fields, for a test that walks them. */
bool listing_has_field(const struct listing_column *columns, const char *field);

#endif
