#include "cli/volume_filter.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

#include "base/auto.h"

static int add_filter(struct volume_filters *filters, const char *key, const char *value,
                      struct error *err)
{
    const struct {
        const char *key;
        struct strings *list;
    } lists[] = {
        { "driver", &filters->drivers },
        { "label", &filters->labels },
        { "name", &filters->names },
    };

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        if (strcmp(lists[i].key, key) == 0) {
            strings_add(lists[i].list, value);
            return 0;
        }
    }
    if (strcmp(key, "dangling") != 0)
        return error_set(err, EINVAL,
                         "invalid filter '%s=%s': give dangling=, driver=, label= or name=", key,
                         value);
    filters->has_dangling = true;
    return text_parse_bool(value, "invalid filter dangling", &filters->is_dangling, err);
}

int volume_filters_parse(const struct strings *texts, struct volume_filters *ret_filters,
                         struct error *err)
{
    struct volume_filters filters = { 0 };
    int r = 0;

    for (size_t i = 0; r == 0 && i < texts->count; i++) {
        const char *text = texts->items[i];
        size_t length = strcspn(text, "=");
        auto_free char *key = xstrndup(text, length);

        if (text[length] == '\0')
            r = error_set(err, EINVAL,
                          "invalid filter '%s': give dangling=, driver=, label= or name=", text);
        else
            r = add_filter(&filters, key, text + length + 1, err);
    }
    if (r < 0) {
        volume_filters_clear(&filters);
        return r;
    }
    *ret_filters = filters;
    return 0;
}

void volume_filters_clear(struct volume_filters *filters)
{
    strings_clear(&filters->names);
    strings_clear(&filters->drivers);
    strings_clear(&filters->labels);
    *filters = (struct volume_filters){ 0 };
}

/* docker matches names as regular expressions, so a part of a name is enough. */
static bool name_matches(const char *name, const char *pattern)
{
    bool is_match;
    regex_t regex;

    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return strstr(name, pattern) != NULL;
    is_match = regexec(&regex, name, 0, NULL, 0) == 0;
    regfree(&regex);
    return is_match;
}

bool volume_filters_match(const struct volume_filters *filters, const struct volume_view *view)
{
    bool has_name = filters->names.count == 0;

    for (size_t i = 0; i < filters->names.count; i++)
        has_name = has_name || name_matches(view->name, filters->names.items[i]);
    for (size_t i = 0; i < filters->labels.count; i++) {
        if (!labels_match(&view->labels, filters->labels.items[i]))
            return false;
    }
    return has_name &&
           (filters->drivers.count == 0 || strings_contains(&filters->drivers, view->driver)) &&
           (!filters->has_dangling || filters->is_dangling == !view->is_used);
}
