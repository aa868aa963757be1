#include <assert.h>
#include <errno.h>

#include "base/log.h"
#include "base/staging.h"
#include "engine/engine_private.h"
#include "engine/provision.h"
#include "image/registry.h"
#include "unionfs/unionfs.h"

/* Pull: blobs from a registry, then layers, one sync, the record, the names; as load does. What a
 * pull that failed has brought stays for the next one, unless the disk is full. */

static int provision_pulled(struct engine *engine, const struct reference *reference,
                            const struct pulled *pulled, engine_progress *progress, void *context,
                            struct error *err)
{
    struct image_store *store = engine_images(engine);
    AUTO(image) struct image *image = NULL;
    int r;

    r = image_open(store, &pulled->manifest_digest, &image, err);
    if (r == 0)
        r = provision_layers(engine, image, progress, context, NULL, err);
    if (r == 0)
        r = layers_sync(engine_data_fd(engine), err);
    if (r == 0)
        r = image_store_begin_change(store, err);
    if (r < 0)
        return r;
    r = provision_publish(engine, image, NULL, err);
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
    struct image_store *store = engine_images(engine);
    auto_close int lock_fd = -1;
    struct pulled pulled;
    int r;

    r = layers_lock(engine_data_fd(engine), false, UINT32_MAX, &lock_fd, err);
    if (r < 0)
        return r;
    r = image_pull(store, registries, reference, options, &pulled, err);
    if (r < 0)
        return r;
    outcome->digest = pulled.digest;
    outcome->is_new = !image_is_named(store, reference, &pulled.manifest_digest);
    return provision_pulled(engine, reference, &pulled, progress, context, err);
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
