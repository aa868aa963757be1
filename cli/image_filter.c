#include "cli/image_filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

static const char *const filter_keys[] = {
    "before", "dangling", "label", "reference", "since", NULL
};

static int add_filter(struct image_filters *filters, const char *key, const char *value,
                      struct error *err)
{
    char **place = strcmp(key, "before") == 0 ? &filters->before : &filters->since;

    if (strcmp(key, "reference") == 0) {
        strings_add(&filters->references, value);
    } else if (strcmp(key, "label") == 0) {
        strings_add(&filters->labels, value);
    } else if (strcmp(key, "dangling") == 0) {
        filters->has_dangling = true;
        return text_parse_bool(value, "invalid filter dangling", &filters->is_dangling, err);
    } else {
        free(*place);
        *place = xstrdup(value);
    }
    return 0;
}

int image_filters_parse(const struct strings *texts, const char *word,
                        struct image_filters *ret_filters, struct error *err)
{
    struct image_filters filters = { 0 };
    int r = 0;

    if (word != NULL)
        strings_add(&filters.references, word);
    for (size_t i = 0; r == 0 && i < texts->count; i++) {
        const char *text = texts->items[i];
        size_t length = strcspn(text, "=");
        auto_free char *key = xstrndup(text, length);
        bool is_known = false;

        for (size_t j = 0; filter_keys[j] != NULL; j++)
            is_known = is_known || strcmp(filter_keys[j], key) == 0;
        if (!is_known || text[length] == '\0')
            r = error_set(err, EINVAL,
                          "invalid filter '%s': give before=, dangling=, label=, "
                          "reference= or since=",
                          text);
        else
            r = add_filter(&filters, key, text + length + 1, err);
    }
    if (r < 0) {
        image_filters_clear(&filters);
        return r;
    }
    *ret_filters = filters;
    return 0;
}

void image_filters_clear(struct image_filters *filters)
{
    strings_clear(&filters->references);
    strings_clear(&filters->labels);
    free(filters->before);
    free(filters->since);
    *filters = (struct image_filters){ 0 };
}

/* The name without its tag or digest: what stands behind the last slash may hold a colon. */
static char *name_without_tag(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash != NULL ? slash : name;

    return xstrndup(name, (size_t)(last - name) + strcspn(last, ":@"));
}

bool image_filters_name(const struct image_filters *filters, const char *name)
{
    auto_free char *repository = name != NULL ? name_without_tag(name) : NULL;

    if (filters->has_dangling && filters->is_dangling != (name == NULL))
        return false;
    if (filters->references.count == 0)
        return true;
    for (size_t i = 0; name != NULL && i < filters->references.count; i++) {
        const char *pattern = filters->references.items[i];

        if (fnmatch(pattern, name, FNM_PATHNAME) == 0 ||
            fnmatch(pattern, repository, FNM_PATHNAME) == 0)
            return true;
    }
    return false;
}

static int check_labels(const struct image_filters *filters, struct image_store *store,
                        const struct image_listing_item *item, struct error *err)
{
    AUTO(image) struct image *image = NULL;
    int r;

    if (filters->labels.count == 0)
        return 1;
    r = image_open(store, &item->manifest_digest, &image, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < filters->labels.count; i++) {
        const char *label = filters->labels.items[i];
        size_t length = strcspn(label, "=");
        auto_free char *key = xstrndup(label, length);
        const char *value = string_map_get(&image->config.labels, key);

        if (value == NULL || (label[length] != '\0' && strcmp(value, label + length + 1) != 0))
            return 0;
    }
    return 1;
}

/* The place of a named image in the list, which is sorted by age. */
static int find_place(struct image_store *store, const struct image_listing *listing,
                      const char *text, size_t *ret_place, struct error *err)
{
    AUTO(image) struct image *image = NULL;
    int r;

    if (text == NULL)
        return 0;
    r = image_find(store, text, &image, err);
    if (r < 0)
        return error_prefix(err, r, "--filter");
    for (size_t i = 0; i < listing->count; i++) {
        if (digest_equal(&listing->items[i].manifest_digest, &image->manifest_digest))
            *ret_place = i;
    }
    return 0;
}

int image_filters_image(const struct image_filters *filters, struct image_store *store,
                        const struct image_listing *listing, size_t index, struct error *err)
{
    size_t before = SIZE_MAX, since = SIZE_MAX;
    int r;

    r = find_place(store, listing, filters->before, &before, err);
    if (r == 0)
        r = find_place(store, listing, filters->since, &since, err);
    if (r < 0)
        return r;
    /* Newest first: older images stand behind. */
    if ((before != SIZE_MAX && index <= before) || (since != SIZE_MAX && index >= since))
        return 0;
    return check_labels(filters, store, &listing->items[index], err);
}
