#include "engine/store_sweep.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/staging.h"
#include "engine/engine_private.h"
#include "engine/record.h"
#include "unionfs/unionfs.h"

/* Victims are renamed to the trash under the locks, which takes no room and hardly time; what is in
 * the trash is deleted without them. */

/* So much is deleted while the user waits; more by a process that outlives the command. */
#define FOREGROUND_ENTRIES 500
#define FOREGROUND_BYTES   (32u << 20)

/* --- marking ---------------------------------------------------------------------------------- */

/* The key of the root that microVMs have of these layers, once it is made. @layers: topmost first
 */
static void mark_root(const struct strings *layers, struct strings *keys)
{
    if (layers->count > 0)
        strings_take(keys, erofs_key(layers));
}

void store_mark_image(struct engine *engine, const struct strings *diff_ids, struct strings *keys)
{
    AUTO_CLEAR(strings) struct strings below = { 0 };
    AUTO_CLEAR(strings) struct strings layers = { 0 };
    size_t first = keys->count;

    for (size_t i = 0; i < diff_ids->count; i++) {
        auto_free char *key = NULL;
        struct digest diff_id;

        if (digest_parse(diff_ids->items[i], &diff_id, NULL) == 0 &&
            layer_find(engine_data_fd(engine), &diff_id, &below, &key, NULL) == 0)
            strings_take(keys, take_ptr(&key));
        strings_add(&below, diff_ids->items[i]);
    }
    for (size_t i = keys->count; i > first; i--) { /* each once, as a container's record has them */
        if (!strings_contains(&layers, keys->items[i - 1]))
            strings_add(&layers, keys->items[i - 1]);
    }
    mark_root(&layers, keys);
}

int store_mark_containers(struct engine *engine, struct strings *keys, struct error *err)
{
    AUTO_CLEAR(strings) struct strings ids = { 0 };
    int r;

    r = engine_container_ids(engine, &ids, err);
    for (size_t i = 0; r == 0 && i < ids.count; i++) {
        AUTO_CLEAR(strings) struct strings layers = { 0 };
        AUTO(record) struct record *record = NULL;

        r = record_read(engine, ids.items[i], &record, err);
        for (size_t j = 0; r == 0 && j < record->layers.count; j++) {
            auto_free char *key = layer_key_from_path(record->layers.items[j]);

            if (key != NULL)
                strings_take(&layers, take_ptr(&key));
        }
        strings_add_all(keys, &layers);
        mark_root(&layers, keys);
        if (r == -ENOENT)
            r = 0; /* being removed */
    }
    return r;
}

static int mark_images(struct engine *engine, struct strings *keys, struct error *err)
{
    AUTO_CLEAR(strings) struct strings chains = { 0 };
    int r;

    r = image_chains(engine_images(engine), &chains, err);
    for (size_t i = 0; r == 0 && i < chains.count; i++) {
        AUTO_CLEAR(strings) struct strings diff_ids = { 0 };

        strings_split(&diff_ids, chains.items[i], ' ');
        store_mark_image(engine, &diff_ids, keys);
    }
    return r;
}

/* --- sweeping --------------------------------------------------------------------------------- */

/* Layers, and the roots that were made of them. */
static const struct swept_kind {
    int (*list)(int data_fd, struct strings *ret_keys, struct error *err);
    int (*usage)(int data_fd, const char *key, struct disk_usage *ret_usage, struct error *err);
    int (*delete)(int data_fd, const char *key, struct error *err);
} swept_kinds[] = {
    { layer_list, layer_usage, layer_delete },
    { erofs_list, erofs_usage, erofs_delete },
};

static int sweep_kind(struct engine *engine, const struct swept_kind *kind,
                      const struct strings *used, struct disk_usage *freed, struct error *err)
{
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    int r;

    r = kind->list(engine_data_fd(engine), &keys, err);
    for (size_t i = 0; r == 0 && i < keys.count; i++) {
        struct disk_usage usage = { 0 };

        if (strings_contains(used, keys.items[i]))
            continue;
        (void)kind->usage(engine_data_fd(engine), keys.items[i], &usage, NULL); /* only told */
        r = kind->delete (engine_data_fd(engine), keys.items[i], err);
        if (r == 0) {
            freed->bytes += usage.bytes;
            freed->entries += usage.entries;
        }
    }
    return r;
}

static int sweep_marked(struct engine *engine, const struct strings *used, struct disk_usage *freed,
                        struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(swept_kinds); i++)
        r = sweep_kind(engine, &swept_kinds[i], used, freed, err);
    return r;
}

static int sweep_layers(struct engine *engine, uint32_t wait_ms, struct sweep_result *result,
                        struct error *err)
{
    AUTO_CLEAR(strings) struct strings used = { 0 };
    auto_close int lock_fd = -1;
    int r;

    r = layers_lock(engine_data_fd(engine), true, wait_ms, &lock_fd, err);
    if (r == -ETIMEDOUT || r == -EAGAIN) {
        log_debug("layers are being added: nothing is swept now");
        result->is_partial = true;
        return 0;
    }
    if (r == 0)
        r = mark_images(engine, &used, err);
    if (r == 0)
        r = store_mark_containers(engine, &used, err);
    return r == 0 ? sweep_marked(engine, &used, &result->freed, err) : r;
}

int store_sweep(struct engine *engine, const struct sweep_options *options,
                struct sweep_result *ret_result, struct error *err)
{
    struct sweep_result result = { 0 };
    struct staging_usage left = { 0 };
    int data_fd = engine_data_fd(engine);
    int r;

    assert(options != NULL);
    assert(ret_result != NULL);

    r = engine_need_images(engine, err);
    if (r == 0 && options->is_in_foreground)
        r = staging_usage(data_fd, &left, err);
    if (r == 0)
        r = sweep_layers(engine, options->wait_ms, &result, err);
    if (r == 0)
        r = image_sweep_blobs(engine_images(engine), options->drops_partial, &result.freed, err);
    if (r < 0)
        return r;
    result.is_partial = result.is_partial || r > 0;
    if (options->is_in_foreground ||
        (result.freed.entries <= FOREGROUND_ENTRIES && result.freed.bytes <= FOREGROUND_BYTES))
        r = staging_clean(data_fd, err);
    else
        r = staging_clean_behind(data_fd, err);
    result.freed.bytes += left.abandoned.bytes;
    if (r == 0)
        *ret_result = result;
    return r;
}
