#include "engine/provision.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/staging.h"
#include "engine/engine_private.h"
#include "engine/layer_queue.h"
#include "image/registry.h"
#include "unionfs/unionfs.h"

/* From archive to image, in an order that leaves nothing half-visible: blobs, layers, one sync for
 * all of them, the image's record, its names. What a crash leaves before the record is garbage,
 * which the next rmi sweeps. */

void provision_report(uint64_t bytes_done, void *context)
{
    const struct provision_progress *progress = context;

    if (progress->function != NULL)
        progress->function(progress->step, bytes_done, progress->total, progress->context);
}

/* --- layers ----------------------------------------------------------------------------------- */

/* All layers of an image as one amount. */
struct unpacking {
    engine_progress *progress;
    void *context;
    uint64_t *layers; /* bytes done of each */
    uint64_t done, total;
};

static void unpacking_clear(struct unpacking *unpacking)
{
    free(unpacking->layers);
}

static void add_up(const struct layer_progress *layer, void *context)
{
    struct unpacking *unpacking = context;

    unpacking->done += layer->done - unpacking->layers[layer->index];
    unpacking->layers[layer->index] = layer->done;
    unpacking->progress("Unpacking", unpacking->done, unpacking->total, unpacking->context);
}

int provision_layers(struct engine *engine, const struct image *image, engine_progress *progress,
                     void *context, struct strings *ret_keys, struct strings *ret_warnings,
                     struct error *err)
{
    AUTO_CLEAR(unpacking) struct unpacking unpacking = { .progress = progress, .context = context };
    AUTO(event_loop) struct event_loop *loop = NULL;
    AUTO(layer_queue) struct layer_queue *queue = NULL; /* freed before its loop */
    struct layer_queue_options options = { 0 };
    int r;

    assert(engine != NULL);
    assert(image != NULL);

    r = event_loop_open(&loop, err);
    if (r < 0)
        return r;
    options.loop = loop;
    options.warnings = ret_warnings;
    unpacking.layers = xcalloc(image->layers.count + 1, sizeof(*unpacking.layers));
    for (size_t i = 0; i < image->layers.count; i++)
        unpacking.total += image->layers.items[i].size;
    if (progress != NULL)
        options.watch = (struct layers_watch){ .layer = add_up, .context = &unpacking };
    r = layer_queue_open(engine, &image->layers, &image->config.diff_ids, &options, &queue, err);
    if (r < 0)
        return error_prefix(err, r, "image %s", image->id.text);
    return layer_queue_run(queue, ret_keys, err);
}

int engine_image_layers(struct engine *engine, const struct image *image, struct strings *ret_paths,
                        struct error *err)
{
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    int r;

    assert(engine != NULL);
    assert(ret_paths != NULL);

    r = engine_need_images(engine, err);
    if (r == 0)
        r = provision_layers(engine, image, NULL, NULL, &keys, NULL, err);
    if (r < 0)
        return r;
    for (size_t i = keys.count; i > 0; i--)
        strings_addf(ret_paths, "%s/layers/%s/fs", engine_data_path(engine), keys.items[i - 1]);
    return 0;
}

/* --- publishing ------------------------------------------------------------------------------- */

static int image_bytes(struct engine *engine, const struct image *image, uint64_t *ret_bytes,
                       struct error *err)
{
    AUTO_CLEAR(strings) struct strings below = { 0 };
    uint64_t total = 0;

    for (size_t i = 0; i < image->config.diff_ids.count; i++) {
        auto_free char *key = NULL;
        struct digest diff_id;
        uint64_t bytes;
        int r;

        r = digest_parse(image->config.diff_ids.items[i], &diff_id, err);
        if (r == 0)
            r = layer_find(engine_data_fd(engine), &diff_id, &below, &key, err);
        if (r == 0)
            r = layer_size(engine_data_fd(engine), key, &bytes, err);
        if (r < 0)
            return r;
        total += bytes;
        strings_add(&below, diff_id.text);
    }
    *ret_bytes = total;
    return 0;
}

int provision_publish(struct engine *engine, const struct image *image,
                      const struct reference *reference, struct error *err)
{
    struct image_store *store = engine_images(engine);
    uint64_t bytes;
    int r;

    r = image_bytes(engine, image, &bytes, err);
    if (r == 0)
        r = image_store_begin_change(store, err);
    if (r < 0)
        return r;
    r = image_publish(store, &image->manifest_digest, bytes, err);
    if (r == 0 && reference != NULL)
        r = image_tag(store, &image->manifest_digest, reference, err);
    image_store_end_change(store);
    return r;
}

/* --- load ------------------------------------------------------------------------------------- */

static int unpack_item(struct engine *engine, const struct image_archive_item *item,
                       engine_progress *progress, void *context, struct strings *ret_warnings,
                       struct error *err)
{
    AUTO(image) struct image *image = NULL;
    int r;

    r = image_open(engine_images(engine), &item->manifest_digest, &image, err);
    if (r < 0)
        return r;
    return provision_layers(engine, image, progress, context, NULL, ret_warnings, err);
}

static int publish_item(struct engine *engine, const struct image_archive_item *item,
                        struct strings *ret_lines, struct error *err)
{
    struct image_store *store = engine_images(engine);
    AUTO(image) struct image *image = NULL;
    int r;

    r = image_open(store, &item->manifest_digest, &image, err);
    if (r == 0)
        r = provision_publish(engine, image, NULL, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < item->names.count; i++) {
        AUTO(reference) struct reference *reference = NULL;
        auto_free char *familiar = NULL;

        r = reference_parse(item->names.items[i], &reference, err);
        if (r == 0 && item->has_index)
            r = image_name_pulled(
                store, reference,
                &(struct pulled){ .digest = item->index, .manifest_digest = item->manifest_digest },
                err);
        else if (r == 0)
            r = image_tag(store, &item->manifest_digest, reference, err);
        if (r < 0)
            return error_prefix(err, r, "name '%s' in the archive", item->names.items[i]);
        familiar = reference_format_familiar(reference);
        strings_addf(ret_lines, "Loaded image: %s", familiar);
    }
    if (item->names.count == 0)
        strings_addf(ret_lines, "Loaded image ID: %s", image->id.text);
    return 0;
}

static int load_archive(struct engine *engine, const struct image_archive *archive,
                        engine_progress *progress, void *context, struct strings *ret_lines,
                        struct strings *ret_warnings, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < archive->count; i++)
        r = unpack_item(engine, &archive->items[i], progress, context, ret_warnings, err);
    if (r == 0)
        r = layers_sync(engine_data_fd(engine), err);
    if (r == 0)
        r = image_store_begin_change(engine_images(engine), err);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < archive->count; i++)
        r = publish_item(engine, &archive->items[i], ret_lines, err);
    image_store_end_change(engine_images(engine));
    return r;
}

static int load(struct engine *engine, int fd, bool is_directory, bool all_platforms,
                engine_progress *progress, void *context, struct strings *ret_lines,
                struct strings *ret_warnings, struct error *err)
{
    AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
    struct provision_progress reading = { .function = progress,
                                          .context = context,
                                          .step = "Reading the archive" };
    auto_close int lock_fd = -1;
    int r;

    r = layers_lock(engine_data_fd(engine), false, UINT32_MAX, &lock_fd, err);
    if (r < 0)
        return r;
    (void)staging_clean(engine_data_fd(engine),
                        NULL); /* of dead ones; the next one does it otherwise */
    image_store_watch(engine_images(engine), provision_report, &reading);
    r = image_archive_read(engine_images(engine), fd, is_directory, all_platforms, &archive, err);
    image_store_watch(engine_images(engine), NULL, NULL);
    for (size_t i = 0; r == 0 && i < archive.count; i++) {
        if (archive.items[i].has_index && archive.items[i].names.count == 0)
            r = error_set(err, EINVAL,
                          "index %s has no name in it, by which all platforms could be kept; load "
                          "this machine's without --all-platforms",
                          archive.items[i].index.text);
    }
    if (r == 0)
        r = load_archive(engine, &archive, progress, context, ret_lines, ret_warnings, err);
    return r;
}

int engine_load(struct engine *engine, int fd, bool is_directory, bool all_platforms,
                engine_progress *progress, void *context, struct strings *ret_lines,
                struct strings *ret_warnings, struct error *err)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    int r;

    assert(engine != NULL);
    assert(ret_lines != NULL);

    r = engine_need_images(engine, err);
    if (r < 0)
        return r;
    r = load(engine, fd, is_directory, all_platforms, progress, context, &lines, ret_warnings, err);
    if (r < 0) {
        provision_discard(engine, r);
        return r;
    }
    strings_add_all(ret_lines, &lines);
    return 0;
}

/* --- an image that was built ------------------------------------------------------------------ */

int engine_publish(struct engine *engine, const struct digest *manifest_digest,
                   const struct strings *names, engine_progress *progress, void *context,
                   struct strings *ret_warnings, struct error *err)
{
    struct image_archive_item item = { .manifest_digest = *manifest_digest, .names = *names };
    struct image_archive archive = { .items = &item, .count = 1 };
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    int lock_fd = -1;
    int r;

    assert(engine != NULL);

    r = engine_need_images(engine, err);
    if (r == 0)
        r = layers_lock(engine_data_fd(engine), false, UINT32_MAX, &lock_fd, err);
    if (r < 0)
        return r;
    r = load_archive(engine, &archive, progress, context, &lines, ret_warnings, err);
    (void)close(lock_fd); /* releases the lock */
    if (r < 0)
        provision_discard(engine, r);
    return r;
}
