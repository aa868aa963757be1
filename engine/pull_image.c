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
    const struct pull_options *options; /* the caller's, whose watch is told, too */
    engine_progress *progress;
    void *context;
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
    const struct pull_watch *watch = &pulling->options->watch;
    struct layer_queue_options options = { .loop = pulling->loop,
                                           .progress = pulling->progress,
                                           .context = pulling->context };
    int r;

    r = layer_queue_open(pulling->engine, layers, diff_ids, &options, &pulling->queue, err);
    if (r == 0 && watch->begins != NULL)
        r = watch->begins(watch->context, layers, diff_ids, err);
    return r;
}

static int pull_layer(void *context, const struct pull_layer *layer, struct error *err)
{
    struct pulling *pulling = context;
    const struct pull_watch *watch = &pulling->options->watch;
    int r = 0;

    switch (layer->step) {
    case PULL_ARRIVES:
        r = layer_queue_feed(pulling->queue, layer->index, layer->fd, layer->bytes, err);
        break;
    case PULL_EXISTS:
    case PULL_DONE:
        r = layer_queue_verify(pulling->queue, layer->index, err);
        break;
    case PULL_WAITING:
        break;
    }
    return r < 0 || watch->layer == NULL ? r : watch->layer(watch->context, layer, err);
}

static int publish(struct pulling *pulling, const struct reference *reference,
                   const struct pulled *pulled, struct error *err)
{
    struct image_store *store = engine_images(pulling->engine);
    AUTO(image) struct image *image = NULL;
    int r;

    r = layer_queue_run(pulling->queue, NULL, err);
    if (r == 0)
        r = image_open(store, &pulled->manifest_digest, &image, err);
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
                engine_progress *progress, void *context, struct pull_outcome *outcome,
                struct error *err)
{
    auto_close int lock_fd = -1; /* given up after the queue has let go of its layers */
    AUTO_CLEAR(pulling)
    struct pulling pulling = {
        .engine = engine, .options = options, .progress = progress, .context = context
    };
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
                engine_progress *progress, void *context, struct pull_outcome *ret_outcome,
                struct error *err)
{
    struct pull_outcome outcome = { 0 };
    int r;

    assert(engine != NULL);
    assert(reference != NULL);
    assert(ret_outcome != NULL);

    r = engine_need_images(engine, err);
    if (r == 0)
        r = pull(engine, registries, reference, options, progress, context, &outcome, err);
    if (r < 0) {
        image_store_end_write(engine_images(engine));
        if (r == -ENOSPC || r == -EDQUOT)
            provision_discard(engine, r);
        return r;
    }
    *ret_outcome = outcome;
    return 0;
}
