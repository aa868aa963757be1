#include <assert.h>
#include <errno.h>

#include "base/log.h"
#include "base/staging.h"
#include "engine/engine_private.h"
#include "engine/layer_queue.h"
#include "engine/provision.h"
#include "image/registry.h"
#include "unionfs/unionfs.h"

/* Pull: layers are unpacked while their blobs arrive; then one sync, the record, the names; as load
 * does. What a pull that failed has brought stays for the next one, unless the disk is full. */

struct pulling {
    struct engine *engine;
    const struct layers_watch *watch;
    struct strings *warnings;
    struct event_loop *loop;
    struct layer_queue *queue;
};

static void pulling_clear(struct pulling *pulling)
{
    layer_queue_free(pulling->queue);
    event_loop_free(pulling->loop);
}

static int pull_begins(void *context, const struct image_descriptors *layers,
                       const struct strings *diff_ids, struct error *err)
{
    struct pulling *pulling = context;
    const struct layers_watch *watch = pulling->watch;
    struct layer_queue_options options = { .loop = pulling->loop,
                                           .watch = *watch,
                                           .warnings = pulling->warnings };

    if (watch->begins != NULL)
        watch->begins(layers, watch->context);
    return layer_queue_open(pulling->engine, layers, diff_ids, &options, &pulling->queue, err);
}

static void tell(const struct pulling *pulling, const struct pull_layer *layer)
{
    static const enum layer_step steps[] = {
        [PULL_EXISTS] = LAYER_DOWNLOADED,
        [PULL_WAITING] = LAYER_WAITING,
        [PULL_ARRIVES] = LAYER_DOWNLOADING,
        [PULL_DONE] = LAYER_DOWNLOADED,
    };
    struct layer_progress progress = { .index = layer->index,
                                       .step = steps[layer->step],
                                       .done = layer->bytes,
                                       .total = layer->descriptor->size };

    if (pulling->watch->layer != NULL)
        pulling->watch->layer(&progress, pulling->watch->context);
}

static int pull_layer(void *context, const struct pull_layer *layer, struct error *err)
{
    struct pulling *pulling = context;

    tell(pulling, layer);
    switch (layer->step) {
    case PULL_ARRIVES:
        return layer_queue_feed(pulling->queue, layer->index, layer->fd, layer->bytes, err);
    case PULL_EXISTS:
    case PULL_DONE:
        return layer_queue_verify(pulling->queue, layer->index, err);
    case PULL_WAITING:
        return 0;
    }
    return 0;
}

static int unpack(struct pulling *pulling, const struct image *image, struct error *err)
{
    int r = layer_queue_run(pulling->queue, NULL, err);

    if (r == -EBADMSG &&
        image_drop_damaged(engine_images(pulling->engine), &image->layers, pulling->warnings))
        return error_prefix(err, -ESTALE, "what was here of the image");
    return r;
}

static int publish(struct pulling *pulling, const struct reference *reference,
                   const struct pulled *pulled, struct error *err)
{
    struct image_store *store = engine_images(pulling->engine);
    AUTO(image) struct image *image = NULL;
    int r;

    r = image_open(store, &pulled->manifest_digest, &image, err);
    if (r == 0)
        r = unpack(pulling, image, err);
    if (r == 0)
        r = layers_sync(engine_data_fd(pulling->engine), err);
    if (r == 0)
        r = image_store_begin_change(store, err);
    if (r < 0)
        return r;
    r = provision_publish(pulling->engine, image, NULL, err);
    if (r == 0)
        r = image_name_pulled(store, reference, pulled, err);
    image_store_end_change(store);
    return r;
}

static int pull(struct engine *engine, const struct registries *registries,
                const struct reference *reference, const struct pull_options *options,
                const struct layers_watch *watch, struct pull_outcome *outcome, struct error *err)
{
    auto_close int lock_fd = -1; /* given up after the queue has let go of its layers */
    AUTO_CLEAR(pulling)
    struct pulling pulling = { .engine = engine, .watch = watch, .warnings = options->warnings };
    struct image_store *store = engine_images(engine);
    struct pull_options watched = *options;
    struct pulled pulled;
    int r;

    r = event_loop_open(&pulling.loop, err);
    if (r == 0)
        r = layers_lock(engine_data_fd(engine), false, UINT32_MAX, &lock_fd, err);
    if (r < 0)
        return r;
    watched.loop = pulling.loop;
    watched.watch = (struct pull_watch){ pull_begins, pull_layer, &pulling };
    r = image_pull(store, registries, reference, &watched, &pulled, err);
    if (r < 0)
        return r;
    outcome->digest = pulled.digest;
    outcome->is_new = !image_is_named(store, reference, &pulled.manifest_digest);
    return publish(&pulling, reference, &pulled, err);
}

int engine_pull(struct engine *engine, const struct registries *registries,
                const struct reference *reference, const struct pull_options *options,
                const struct layers_watch *watch, struct pull_outcome *ret_outcome,
                struct error *err)
{
    struct pull_outcome outcome = { 0 };
    int r;

    assert(engine != NULL);
    assert(reference != NULL);
    assert(watch != NULL);
    assert(ret_outcome != NULL);

    r = engine_need_images(engine, err);
    if (r == 0)
        r = pull(engine, registries, reference, options, watch, &outcome, err);
    if (r == -ESTALE)
        r = pull(engine, registries, reference, options, watch, &outcome, err);
    if (r < 0) {
        image_store_end_write(engine_images(engine));
        if (r == -ENOSPC || r == -EDQUOT)
            provision_discard(engine, r);
        return r;
    }
    *ret_outcome = outcome;
    return 0;
}

/* What a copy brought into the store goes again; after a break it stays for the next one, unless
 * the disk is full. */
static void end_copy(struct engine *engine, int r)
{
    if (r == 0 || r == -ENOSPC || r == -EDQUOT)
        provision_discard(engine, r);
    else
        image_store_end_write(engine_images(engine));
}

int engine_copy_image(struct engine *engine, const struct registries *registries,
                      const struct reference *source, const struct reference *destination,
                      const struct push_options *options, struct copied *ret_copied,
                      struct error *err)
{
    int r;

    assert(engine != NULL);

    r = engine_need_images(engine, err);
    if (r < 0)
        return r;
    r = image_copy(engine_images(engine), registries, source, destination, options, ret_copied,
                   err);
    end_copy(engine, r);
    return r;
}

int engine_copy_archive(struct engine *engine, const struct registries *registries,
                        const struct image_copy_end *source,
                        const struct image_copy_end *destination,
                        const struct push_options *options, struct digest *ret_digest,
                        struct error *err)
{
    int r;

    assert(engine != NULL);

    r = engine_need_images(engine, err);
    if (r < 0)
        return r;
    r = image_copy_archive(engine_images(engine), registries, source, destination, options,
                           ret_digest, err);
    end_copy(engine, r);
    return r;
}

int engine_inspect_archive(struct engine *engine, const struct image_copy_end *source,
                           char **ret_json, struct error *err)
{
    int r;

    assert(engine != NULL);

    r = engine_need_images(engine, err);
    if (r < 0)
        return r;
    r = image_inspect_archive(engine_images(engine), source, ret_json, err);
    end_copy(engine, r);
    return r;
}
