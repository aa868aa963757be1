#include "cli/listing.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/show.h"
#include "cli/table.h"

/* "\t" and "\n" typed in a format are what they mean, as docker's lists have it. Caller frees. */
static char *unescape(const char *format)
{
    struct text out = { 0 };

    for (; *format != '\0'; format++) {
        bool is_escape = format[0] == '\\' && (format[1] == 't' || format[1] == 'n');

        if (is_escape)
            text_add(&out, *++format == 't' ? "\t" : "\n");
        else
            text_add_bytes(&out, format, 1);
    }
    return text_take(&out);
}

int listing_open(const char *format, const char *default_table,
                 const struct listing_column *columns, struct listing *ret_listing,
                 struct error *err)
{
    struct listing listing = { .columns = columns };
    auto_free char *template = NULL;
    int r;

    assert(default_table != NULL);
    assert(columns != NULL);

    if (text_is_empty(format))
        format = "table";
    listing.is_table = strcmp(format, "table") == 0 || text_starts(format, "table ");
    if (strcmp(format, "table") == 0)
        template = xstrdup(default_table);
    else if (strcmp(format, "json") == 0)
        template = xstrdup("{{json .}}");
    else
        template = unescape(listing.is_table ? format + strlen("table ") : format);

    r = template_parse(template, &listing.template, err);
    if (r < 0)
        return r;
    *ret_listing = listing;
    return 0;
}

void listing_clear(struct listing *listing)
{
    template_free(listing->template);
    text_clear(&listing->rows);
    *listing = (struct listing){ 0 };
}

/* A table is for people: what an image or a container named must not reach the terminal as more
 * than text. A format of the user's gets the bytes themselves, as with docker. */
static void make_printable(const struct string_map *from, struct string_map *to)
{
    for (size_t i = 0; from != NULL && i < from->count; i++) {
        auto_free char *value = show_printable(from->items[i].value);

        string_map_set(to, from->items[i].key, value);
    }
}

int listing_add(struct listing *listing, const struct string_map *fields,
                const struct string_map *labels, struct error *err)
{
    AUTO_CLEAR(string_map) struct string_map shown = { 0 };
    AUTO_CLEAR(string_map) struct string_map shown_labels = { 0 };
    bool is_shown = listing->is_table && !listing->has_own_colors;
    int r;

    if (is_shown) {
        make_printable(fields, &shown);
        make_printable(labels, &shown_labels);
    }
    r = template_run_fields(listing->template, is_shown ? &shown : fields,
                            is_shown ? &shown_labels : labels, &listing->rows, err);
    if (r == 0)
        text_add(&listing->rows, "\n");
    return r;
}

static int add_headers(const struct listing *listing, struct text *out, struct error *err)
{
    AUTO_CLEAR(string_map) struct string_map headers = { 0 };
    int r;

    for (const struct listing_column *column = listing->columns; column->field != NULL; column++)
        string_map_set(&headers, column->field, column->header);
    r = template_run_headers(listing->template, &headers, out, err);
    if (r == 0)
        text_add(out, "\n");
    return r;
}

int listing_format(struct listing *listing, char **ret_text, struct error *err)
{
    struct text whole = { 0 };
    int r;

    if (!listing->is_table) {
        *ret_text = text_take(&listing->rows);
        return 0;
    }
    r = add_headers(listing, &whole, err);
    if (r == 0) {
        text_add(&whole, listing->rows.data != NULL ? listing->rows.data : "");
        *ret_text = table_format(whole.data);
        text_clear(&listing->rows);
    }
    text_clear(&whole);
    return r;
}

int listing_print(struct listing *listing, struct error *err)
{
    auto_free char *text = NULL;
    int r = listing_format(listing, &text, err);

    if (r < 0)
        return r;
    fputs(text, stdout);
    return 0;
}

bool listing_has_field(const struct listing_column *columns, const char *field)
{
    for (; columns->field != NULL; columns++) {
        if (strcmp(columns->field, field) == 0)
            return true;
    }
    return false;
}
