#ifndef IMAGE_TOML_H
#define IMAGE_TOML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

/* As much TOML as registries.conf is written in: tables, arrays of tables, keys (bare, quoted,
 * dotted), one-line strings, booleans, integers, arrays of strings. Everything else of TOML is an
 * error that names the line, never something that is read in another way. */

enum toml_type { TOML_TABLE, TOML_STRING, TOML_BOOL, TOML_INTEGER, TOML_STRINGS };

/* One line's worth, in the order of the file. */
struct toml_entry {
    enum toml_type type;
    unsigned line;
    char *table;          /* "registry.mirror"; "" before the first header */
    char *key;            /* of a value; NULL for a table's header */
    bool is_item;         /* of a header: [[registry]], one of several */
    char *text;           /* STRING */
    bool flag;            /* BOOL */
    struct strings items; /* STRINGS */
};
struct toml {
    struct toml_entry *entries;
    size_t count;
};

/** -EINVAL: "line 3: a value is missing" and the like. A key may be given once in a table. */
int toml_parse(const char *text, struct toml *ret_toml, struct error *err);
void toml_clear(struct toml *toml);

#endif
