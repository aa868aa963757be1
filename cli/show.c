#include "cli/show.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/auto.h"

char *show_cut(const char *text, size_t width)
{
    size_t characters = 0, cut = 0;

    if (text == NULL)
        return xstrdup("");
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (((unsigned char)text[i] & 0xc0) == 0x80)
            continue;
        if (characters + 1 == width)
            cut = i; /* "…" would stand here */
        characters++;
    }
    if (characters <= width)
        return xstrdup(text);
    return xasprintf("%.*s…", (int)cut, text);
}

/* U+0080 to U+009F, of which one alone begins a terminal's sequence, too. */
static bool is_upper_control(const char *text)
{
    return (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] >= 0x80 &&
           (unsigned char)text[1] <= 0x9f;
}

/* Returns how many bytes it took. */
static size_t add_visible(struct text *out, const char *text)
{
    size_t length;

    if (is_upper_control(text)) {
        text_addf(out, "\\u%04x", (unsigned char)text[1]);
        return 2;
    }
    length = text_utf8_length(text);
    if ((unsigned char)*text < 0x20 || *text == 0x7f || length == 0) {
        text_addf(out, "\\x%02x", (unsigned char)*text);
        return 1;
    }
    text_add_bytes(out, text, length);
    return length;
}

char *show_printable(const char *text)
{
    struct text out = { 0 };

    text_add(&out, "");
    while (text != NULL && *text != '\0') {
        if (*text == '\t' || *text == '\n' || *text == '\r') {
            text_add(&out, " ");
            text++;
        } else {
            text += add_visible(&out, text);
        }
    }
    return text_take(&out);
}

char *show_quoted(const char *text)
{
    static const char letters[] = "\a\b\f\n\r\t\v\\\"";
    static const char escapes[] = "abfnrtv\\\"";
    struct text out = { 0 };

    text_add(&out, "\"");
    while (*text != '\0') {
        const char *known = strchr(letters, *text);

        if (known != NULL) {
            text_addf(&out, "\\%c", escapes[known - letters]);
            text++;
        } else {
            text += add_visible(&out, text);
        }
    }
    text_add(&out, "\"");
    return text_take(&out);
}

char *show_date(int64_t seconds)
{
    char date[64] = "";
    struct tm parts;
    time_t when = (time_t)seconds;

    if (gmtime_r(&when, &parts) == NULL)
        return xstrdup("");
    (void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S +0000 UTC", &parts);
    return xstrdup(date);
}

char *show_ago(int64_t now, int64_t then)
{
    auto_free char *age = NULL;

    if (then == 0)
        return xstrdup("N/A");
    age = text_format_age(now > then ? (uint64_t)(now - then) : 0);
    return xasprintf("%s ago", age);
}

void show_image_name(struct string_map *fields, const char *name)
{
    const char *slash = name != NULL ? strrchr(name, '/') : NULL;
    const char *last = slash != NULL ? slash : name;
    const char *end = name != NULL ? last + strcspn(last, ":@") : NULL;
    auto_free char *repository =
        name != NULL ? xstrndup(name, (size_t)(end - name)) : xstrdup("<none>");

    string_map_set(fields, "Repository", repository);
    string_map_set(fields, "Tag", end != NULL && *end == ':' ? end + 1 : "<none>");
}

char *show_labels(const struct string_map *labels)
{
    AUTO_CLEAR(strings) struct strings sorted = { 0 };

    for (size_t i = 0; i < labels->count; i++)
        strings_addf(&sorted, "%s=%s", labels->items[i].key, labels->items[i].value);
    if (sorted.count == 0)
        return xstrdup("");
    strings_sort(&sorted);
    return strings_join(&sorted, ",");
}

char *show_status(const struct container_view *view, int64_t now)
{
    auto_free char *up = text_format_age(now > view->started ? (uint64_t)(now - view->started) : 0);
    auto_free char *ended = show_ago(now, view->finished);

    if (strcmp(view->status, "running") == 0)
        return xasprintf("Up %s", up);
    if (strcmp(view->status, "paused") == 0)
        return xasprintf("Up %s (Paused)", up);
    if (strcmp(view->status, "restarting") == 0)
        return xasprintf("Restarting (%d) %s", view->exit_status, ended);
    if (strcmp(view->status, "removing") == 0)
        return xstrdup("Removal In Progress");
    if (strcmp(view->status, "dead") == 0)
        return xstrdup("Dead");
    if (strcmp(view->status, "created") == 0)
        return xstrdup("Created");
    return xasprintf("Exited (%d) %s", view->exit_status, ended);
}
