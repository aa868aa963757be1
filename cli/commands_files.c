#include "cli/berth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "cli/show.h"

/* diff. What reads or writes file contents (commit, export, cp) is the program berth-image. */

struct diff_lines {
    char **items; /* the kind's letter, then the path */
    size_t count, capacity;
};

static void diff_lines_clear(struct diff_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->items[i]);
    free(lines->items);
}

static int add_line(const struct change *change, void *context, struct error *err)
{
    static const char letters[] = {
        [CHANGE_MODIFIED] = 'C', [CHANGE_ADDED] = 'A', [CHANGE_DELETED] = 'D'
    };
    struct diff_lines *lines = context;

    (void)err;
    if (change->path[0] == '\0')
        return 0; /* docker leaves the root out */
    if (lines->count == lines->capacity) {
        lines->capacity = lines->capacity == 0 ? 64 : lines->capacity * 2;
        lines->items = xrealloc(lines->items, lines->capacity, sizeof(*lines->items));
    }
    lines->items[lines->count++] = xasprintf("%c /%s", letters[change->kind], change->path);
    return 0;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a + 2, *(char *const *)b + 2);
}

/* The names are the container's: as with ls(1) a terminal gets none of their control characters,
 * and a program that reads the lines gets them as they are. */
static void print_line(const char *line, bool is_terminal)
{
    auto_free char *shown = is_terminal ? show_printable(line) : xstrdup(line);

    puts(shown);
}

int command_diff(const struct arguments *arguments, void *context)
{
    AUTO_CLEAR(diff_lines) struct diff_lines lines = { 0 };
    struct berth *berth = context;
    auto_free char *id = NULL;
    struct error err = { 0 };

    if (berth_find(berth, arguments->words[0], &id, &err) < 0 ||
        engine_changes(berth->engine, id, add_line, &lines, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    if (lines.count > 1)
        qsort(lines.items, lines.count, sizeof(*lines.items), compare_paths);
    for (size_t i = 0; i < lines.count; i++)
        print_line(lines.items[i], isatty(STDOUT_FILENO));
    return 0;
}
