#include "cli/ps_filter.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

static const char *const filter_keys[] = { "ancestor",  "before", "exited", "id",
                                           "isolation", "label",  "name",   "network",
                                           "since",     "status", "volume", NULL };

static const char *const status_words[] = { "created", "restarting", "running", "removing",
                                            "paused",  "exited",     "dead",    NULL };

static bool words_have(const char *const *words, const char *word)
{
    for (; *words != NULL; words++) {
        if (strcmp(*words, word) == 0)
            return true;
    }
    return false;
}

static int check_value(const char *key, const char *value, struct error *err)
{
    uint64_t status = 0;

    if (strcmp(key, "status") == 0 && !words_have(status_words, value))
        return error_set(err, EINVAL,
                         "invalid filter 'status=%s': give created, restarting, running, "
                         "removing, paused, exited or dead",
                         value);
    if (strcmp(key, "isolation") == 0 && strcmp(value, "none") != 0 &&
        strcmp(value, "microvm") != 0)
        return error_set(err, EINVAL, "invalid filter 'isolation=%s': give none or microvm", value);
    if (strcmp(key, "exited") == 0)
        return text_parse_u64(value, "invalid filter exited", 255, &status, err);
    return 0;
}

static void add_filter(struct ps_filters *filters, const char *key, const char *value)
{
    const struct {
        const char *key;
        struct strings *list;
    } lists[] = {
        { "name", &filters->names },           { "id", &filters->ids },
        { "status", &filters->statuses },      { "exited", &filters->exited },
        { "ancestor", &filters->ancestors },   { "label", &filters->labels },
        { "volume", &filters->volumes },       { "network", &filters->networks },
        { "isolation", &filters->isolations },
    };

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        if (strcmp(lists[i].key, key) == 0) {
            strings_add(lists[i].list, value);
            return;
        }
    }
    if (strcmp(key, "before") == 0) {
        free(filters->before);
        filters->before = xstrdup(value);
    } else {
        free(filters->since);
        filters->since = xstrdup(value);
    }
}

static int unknown_filter(const char *text, const char *key, struct error *err)
{
    static const struct {
        const char *key, *reason;
    } refused[] = {
        { "expose", "exposed ports are not there yet" },
        { "health", "health checks are not there yet" },
        { "is-task", "there are no clusters" },
        { "publish", "published ports are not looked through yet; 'berth port' lists them" },
    };
    const char *nearest = text_nearest(filter_keys, key);

    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        if (strcmp(key, refused[i].key) == 0)
            return error_set(err, EINVAL, "filter '%s': %s; see 'berth ps --help'", text,
                             refused[i].reason);
    }
    if (nearest != NULL)
        return error_set(err, EINVAL, "invalid filter '%s', did you mean '%s'?", text, nearest);
    return error_set(err, EINVAL, "invalid filter '%s'; see 'berth ps --help'", text);
}

int ps_filters_parse(const struct strings *texts, struct ps_filters *ret_filters, struct error *err)
{
    struct ps_filters filters = { 0 };
    int r = 0;

    for (size_t i = 0; r == 0 && i < texts->count; i++) {
        const char *text = texts->items[i];
        size_t length = strcspn(text, "=");
        auto_free char *key = xstrndup(text, length);

        if (!words_have(filter_keys, key))
            r = unknown_filter(text, key, err);
        else if (text[length] == '\0')
            r = error_set(err, EINVAL, "invalid filter '%s': give %s=VALUE", text, key);
        else
            r = check_value(key, text + length + 1, err);
        if (r == 0)
            add_filter(&filters, key, text + length + 1);
    }
    if (r < 0) {
        ps_filters_clear(&filters);
        return r;
    }
    *ret_filters = filters;
    return 0;
}

void ps_filters_clear(struct ps_filters *filters)
{
    struct strings *const lists[] = {
        &filters->names,   &filters->ids,       &filters->statuses,
        &filters->exited,  &filters->ancestors, &filters->labels,
        &filters->volumes, &filters->networks,  &filters->isolations,
    };

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        strings_clear(lists[i]);
    free(filters->before);
    free(filters->since);
    *filters = (struct ps_filters){ 0 };
}

/* --- one container ---------------------------------------------------------------------------- */

/* docker matches names as regular expressions, with and without the slash before them. */
static bool name_matches(const struct container_view *view, const char *pattern)
{
    auto_free char *with_slash = xasprintf("/%s", view->name);
    bool is_match;
    regex_t regex;

    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return strstr(view->name, pattern) != NULL;
    is_match = regexec(&regex, view->name, 0, NULL, 0) == 0 ||
               regexec(&regex, with_slash, 0, NULL, 0) == 0;
    regfree(&regex);
    return is_match;
}

static bool id_matches(const struct container_view *view, const char *prefix)
{
    return text_starts(view->id, prefix[0] == '^' ? prefix + 1 : prefix);
}

static bool status_matches(const struct container_view *view, const char *status)
{
    return strcmp(view->status, status) == 0;
}

static bool exit_matches(const struct container_view *view, const char *status)
{
    return strcmp(view->status, "exited") == 0 && atoi(status) == view->exit_status;
}

static bool volume_matches(const struct container_view *view, const char *volume)
{
    return strings_contains(&view->volumes, volume) || strings_contains(&view->mounts, volume);
}

static bool network_matches(const struct container_view *view, const char *network)
{
    return text_equal(view->network, network);
}

static bool isolation_matches(const struct container_view *view, const char *isolation)
{
    return text_equal(view->isolation, isolation);
}

/* Ancestors are image ids by now, or what nothing is called. */
static bool ancestor_matches(const struct container_view *view, const char *image)
{
    return text_equal(view->image_id, image) || text_equal(view->image, image);
}

static bool any_matches(const struct strings *values, const struct container_view *view,
                        bool (*matches)(const struct container_view *view, const char *value))
{
    for (size_t i = 0; i < values->count; i++) {
        if (matches(view, values->items[i]))
            return true;
    }
    return values->count == 0;
}

static bool all_labels_match(const struct strings *labels, const struct container_view *view)
{
    for (size_t i = 0; i < labels->count; i++) {
        if (!labels_match(&view->labels, labels->items[i]))
            return false;
    }
    return true;
}

static bool view_matches(const struct ps_filters *filters, const struct strings *ancestors,
                         const struct container_view *view)
{
    return any_matches(&filters->names, view, name_matches) &&
           any_matches(&filters->ids, view, id_matches) &&
           any_matches(&filters->statuses, view, status_matches) &&
           any_matches(&filters->exited, view, exit_matches) &&
           any_matches(&filters->volumes, view, volume_matches) &&
           any_matches(&filters->isolations, view, isolation_matches) &&
           any_matches(&filters->networks, view, network_matches) &&
           any_matches(ancestors, view, ancestor_matches) &&
           all_labels_match(&filters->labels, view);
}

/* --- all containers --------------------------------------------------------------------------- */

/* The place of a container in the list, which is sorted by age; the list's end when @text is NULL.
 */
static int find_place(struct engine *engine, const struct container_views *views, const char *text,
                      size_t *ret_place, struct error *err)
{
    auto_free char *id = NULL;
    int r;

    if (text == NULL)
        return 0;
    r = engine_find(engine, text, &id, err);
    if (r < 0)
        return error_prefix(err, r, "--filter");
    for (size_t i = 0; i < views->count; i++) {
        if (strcmp(views->items[i].id, id) == 0)
            *ret_place = i;
    }
    return 0;
}

/* Each name of an image, and its id in place of names that are known. */
static void resolve_ancestors(struct engine *engine, const struct strings *names,
                              struct strings *ancestors)
{
    for (size_t i = 0; i < names->count; i++) {
        AUTO(image) struct image *image = NULL;

        strings_add(ancestors, names->items[i]);
        if (image_find(engine_images(engine), names->items[i], &image, NULL) == 0)
            strings_add(ancestors, image->id.text);
    }
}

int ps_filters_apply(const struct ps_filters *filters, struct engine *engine,
                     struct container_views *views, struct error *err)
{
    AUTO_CLEAR(strings) struct strings ancestors = { 0 };
    size_t first = SIZE_MAX, end = views->count; /* newest first: before means further down */
    size_t kept = 0;
    int r;

    r = find_place(engine, views, filters->before, &first, err);
    if (r == 0)
        r = find_place(engine, views, filters->since, &end, err);
    if (r < 0)
        return r;
    resolve_ancestors(engine, &filters->ancestors, &ancestors);
    for (size_t i = 0; i < views->count; i++) {
        bool is_kept = (first == SIZE_MAX || i > first) && i < end &&
                       view_matches(filters, &ancestors, &views->items[i]);

        if (is_kept && kept != i) {
            views->items[kept] = views->items[i];
            views->items[i] = (struct container_view){ 0 };
        } else if (!is_kept) {
            container_view_clear(&views->items[i]);
        }
        kept += is_kept;
    }
    views->count = kept;
    return 0;
}
