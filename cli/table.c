#include "cli/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/text.h"

#define CELL_PADDING 3
#define CELL_MIN     10

struct widths {
    size_t *items;
    size_t count;
};

/* Bytes of the sequence that sets colours at @at, "\033[1m"; 0: there is none. */
static size_t color_length(const char *at, size_t length)
{
    size_t end = 2;

    if (length < 3 || at[0] != '\033' || at[1] != '[')
        return 0;
    while (end < length && strchr("0123456789;", at[end]) != NULL && at[end] != '\0')
        end++;
    return end < length && at[end] == 'm' ? end + 1 : 0;
}

/* Characters, not bytes: what follows the first byte of a UTF-8 character has no width, nor have
 * colours. */
static size_t cell_width(const char *cell, size_t length)
{
    size_t width = 0;

    for (size_t i = 0; i < length; i++) {
        size_t color = color_length(cell + i, length - i);

        if (color > 0)
            i += color - 1;
        else
            width += ((unsigned char)cell[i] & 0xc0) != 0x80;
    }
    return width;
}

static void widths_note(struct widths *widths, size_t column, size_t width)
{
    if (column >= widths->count) {
        widths->items = xrealloc(widths->items, column + 1, sizeof(*widths->items));
        widths->items[column] = 0;
        widths->count = column + 1;
    }
    if (width > widths->items[column])
        widths->items[column] = width;
}

static void widths_measure(struct widths *widths, const char *text)
{
    size_t column = 0;

    while (*text != '\0') {
        size_t length = strcspn(text, "\t\n");

        if (text[length] == '\t')
            widths_note(widths, column++, cell_width(text, length));
        else
            column = 0;
        text += length + (text[length] != '\0');
    }
}

static void add_cell(struct text *out, const char *cell, size_t length, size_t column_width)
{
    size_t width = column_width + CELL_PADDING;

    if (width < CELL_MIN)
        width = CELL_MIN;
    text_add_bytes(out, cell, length);
    for (size_t own = cell_width(cell, length); own < width; own++)
        text_add_bytes(out, " ", 1);
}

char *table_format(const char *text)
{
    struct widths widths = { 0 };
    struct text out = { 0 };
    size_t column = 0;

    assert(text != NULL);
    widths_measure(&widths, text);
    while (*text != '\0') {
        size_t length = strcspn(text, "\t\n");

        if (text[length] == '\t') {
            add_cell(&out, text, length, widths.items[column++]);
        } else {
            text_add_bytes(&out, text, length + (text[length] == '\n'));
            column = 0;
        }
        text += length + (text[length] != '\0');
    }
    free(widths.items);
    return text_take(&out);
}
