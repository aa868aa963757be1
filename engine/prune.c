#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "base/staging.h"
#include "engine/engine_private.h"
#include "engine/record.h"
#include "engine/store_sweep.h"
#include "engine/volumes.h"

/* prune: what nobody uses. Freed is what was measured before it went, not what was hoped for. */

/* A pull or load that is at work holds up prune for so long; then its layers stay. */
#define SWEEP_WAIT_MS 5000

void prune_filter_clear(struct prune_filter *filter)
{
    strings_clear(&filter->labels);
    strings_clear(&filter->other_labels);
    *filter = (struct prune_filter){ 0 };
}

void prune_result_clear(struct prune_result *result)
{
    strings_clear(&result->lines);
    strings_clear(&result->warnings);
    *result = (struct prune_result){ 0 };
}

bool labels_match(const struct string_map *labels, const char *text)
{
    size_t length = strcspn(text, "=");
    auto_free char *key = xstrndup(text, length);
    const char *value = string_map_get(labels, key);

    return value != NULL && (text[length] == '\0' || strcmp(value, text + length + 1) == 0);
}

bool prune_filter_matches(const struct prune_filter *filter, int64_t created,
                          const struct string_map *labels)
{
    if (filter->has_until && created >= filter->until)
        return false;
    for (size_t i = 0; i < filter->labels.count; i++) {
        if (!labels_match(labels, filter->labels.items[i]))
            return false;
    }
    for (size_t i = 0; i < filter->other_labels.count; i++) {
        if (labels_match(labels, filter->other_labels.items[i]))
            return false;
    }
    return true;
}

/* --- containers ------------------------------------------------------------------------------- */

static bool is_stopped(const struct container_view *view)
{
    return strcmp(view->status, "created") == 0 || strcmp(view->status, "exited") == 0;
}

static void prune_container(struct engine *engine, const char *id, struct prune_result *result)
{
    auto_free char *path = path_join("containers", id);
    struct disk_usage usage = { 0 };
    struct error why = { 0 };
    int r;

    r = disk_usage_add(engine->data_fd, path, &usage, &why);
    if (r == 0)
        r = engine_remove(engine, id, false, false, &why);
    if (r == -EBUSY) /* started meanwhile */
        return;
    if (r < 0) {
        strings_addf(&result->warnings, "container %.12s stays: %s", id, why.message);
        return;
    }
    strings_add(&result->lines, id);
    result->freed_bytes += usage.bytes;
}

int engine_prune_containers(struct engine *engine, const struct prune_filter *filter,
                            struct prune_result *result, struct error *err)
{
    AUTO_CLEAR(container_views) struct container_views views = { 0 };
    int r;

    assert(filter != NULL);
    assert(result != NULL);

    r = engine_list(engine, false, &views, err);
    for (size_t i = 0; r == 0 && i < views.count; i++) {
        const struct container_view *view = &views.items[i];

        if (is_stopped(view) && prune_filter_matches(filter, view->created, &view->labels))
            prune_container(engine, view->id, result);
    }
    return r;
}

/* --- images ----------------------------------------------------------------------------------- */

/* Ids of the images that containers were made of. */
static int list_used(struct engine *engine, struct strings *ids, struct error *err)
{
    AUTO_CLEAR(strings) struct strings containers = { 0 };
    int r;

    r = engine_container_ids(engine, &containers, err);
    for (size_t i = 0; r == 0 && i < containers.count; i++) {
        AUTO(record) struct record *record = NULL;

        r = record_read(engine, containers.items[i], &record, err);
        if (r == 0 && record->image_id != NULL)
            strings_add(ids, record->image_id);
        if (r == -ENOENT)
            r = 0; /* being removed */
    }
    return r;
}

/* 1: the filter lets it through; a damaged image only when there is nothing to look for in it. */
static int is_wanted(struct engine *engine, const struct prune_filter *filter,
                     const struct image_listing_item *item, struct error *err)
{
    AUTO(image) struct image *image = NULL;
    int r;

    if (filter->labels.count == 0 && filter->other_labels.count == 0)
        return prune_filter_matches(filter, item->created, &(struct string_map){ 0 });
    r = image_open(engine_images(engine), &item->manifest_digest, &image, err);
    return r < 0 ? r : prune_filter_matches(filter, item->created, &image->config.labels);
}

/* "Untagged: x" and "Deleted: x", in small letters as docker's prune has them. */
static void add_lines(const struct strings *removed, struct prune_result *result)
{
    for (size_t i = 0; i < removed->count; i++) {
        const char *line = removed->items[i];

        strings_addf(&result->lines, "%c%s", line[0] == 'U' ? 'u' : 'd', line + 1);
    }
}

/* What a container is being made of just now may go: its layers stay, by its record. */
static int prune_listed(struct engine *engine, const struct prune_filter *filter, bool is_all,
                        struct prune_result *result, struct error *err)
{
    AUTO_CLEAR(image_listing) struct image_listing listing = { 0 };
    AUTO_CLEAR(strings) struct strings used = { 0 };
    int r;

    r = image_list(engine_images(engine), &listing, err);
    if (r == 0)
        r = list_used(engine, &used, err);
    for (size_t i = 0; r == 0 && i < listing.count; i++) {
        const struct image_listing_item *item = &listing.items[i];
        AUTO_CLEAR(strings) struct strings removed = { 0 };
        struct error why = { 0 };

        if ((!is_all && item->names.count > 0) || strings_contains(&used, item->id.text))
            continue;
        r = is_wanted(engine, filter, item, &why);
        if (r > 0)
            r = image_remove(engine_images(engine), item->id.text, true, &removed, &why);
        if (r < 0)
            strings_addf(&result->warnings, "image %.12s stays: %s", digest_hex(&item->id),
                         why.message);
        add_lines(&removed, result);
        r = 0;
    }
    return r;
}

int engine_prune_images(struct engine *engine, const struct prune_filter *filter, bool is_all,
                        struct prune_result *result, struct error *err)
{
    struct sweep_options options = {
        .wait_ms = SWEEP_WAIT_MS,
        .drops_partial = true,
        .is_in_foreground = true,
    };
    struct sweep_result swept = { 0 };
    int r;

    assert(filter != NULL);
    assert(result != NULL);

    r = engine_need_images(engine, err);
    if (r == 0) /* nobody is between an image's record and its names */
        r = image_store_begin_change(engine_images(engine), err);
    if (r < 0)
        return r;
    r = prune_listed(engine, filter, is_all, result, err);
    image_store_end_change(engine_images(engine));
    if (r == 0)
        r = store_sweep(engine, &options, &swept, err);
    if (r < 0)
        return r;
    result->freed_bytes += swept.freed.bytes;
    if (swept.is_partial)
        strings_add(&result->warnings,
                    "another command is adding images: files that none needs may stay until the "
                    "next prune or rmi");
    return 0;
}

/* --- volumes ---------------------------------------------------------------------------------- */

/* 1: no container uses it, and the filter lets it through. */
static int is_prunable(struct engine *engine, const struct prune_filter *filter, const char *name,
                       struct error *err)
{
    AUTO_CLEAR(volume_view) struct volume_view view = { 0 };
    AUTO_CLEAR(strings) struct strings users = { 0 };
    int r;

    r = volume_list_users(engine, name, &users, err);
    if (r < 0 || users.count > 0)
        return r;
    if (filter->labels.count == 0 && filter->other_labels.count == 0)
        return 1;
    r = volume_view_read(engine, name, &view, err);
    return r < 0 ? r : prune_filter_matches(filter, 0, &view.labels);
}

static int prune_volume(struct engine *engine, const char *name, struct prune_result *result,
                        struct error *err)
{
    auto_free char *path = path_join("volumes", name);
    struct disk_usage usage = { 0 };
    int r;

    r = disk_usage_add(engine->data_fd, path, &usage, err);
    if (r == 0)
        r = staging_trash(engine->data_fd, engine->data_fd, path, err);
    if (r < 0)
        return error_prefix(err, r, "remove volume '%s'", name);
    strings_add(&result->lines, name);
    result->freed_bytes += usage.bytes;
    return 0;
}

int engine_prune_volumes(struct engine *engine, const struct prune_filter *filter, bool is_all,
                         struct prune_result *result, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    int lock_fd = -1;
    int r;

    assert(filter != NULL && !filter->has_until);
    assert(result != NULL);

    r = volumes_lock(engine, true, &lock_fd, err);
    if (r < 0)
        return r;
    r = volumes_list(engine, &names, err);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        struct error why = { 0 };

        if (!is_all && !volume_name_is_anonymous(names.items[i]))
            continue;
        r = is_prunable(engine, filter, names.items[i], &why);
        if (r < 0)
            strings_addf(&result->warnings, "volume '%s' stays: %s", names.items[i], why.message);
        r = r > 0 ? prune_volume(engine, names.items[i], result, err) : 0;
    }
    (void)close(lock_fd); /* releases the lock */
    return r < 0 ? r : staging_clean(engine->data_fd, err);
}

/* --- saved machines --------------------------------------------------------------------------- */

/* All by one rename: whoever was just going to save one begins with an empty folder. */
int engine_prune_warm(struct engine *engine, struct prune_result *result, struct error *err)
{
    struct disk_usage usage = { 0 };
    int r;

    assert(engine != NULL);
    assert(result != NULL);

    r = disk_usage_add(engine->data_fd, WARM_FOLDER, &usage, err);
    if (r < 0 || usage.bytes == 0)
        return r;
    r = staging_discard(engine->data_fd, engine->data_fd, WARM_FOLDER, err);
    if (r == 0)
        result->freed_bytes += usage.bytes;
    return r;
}
