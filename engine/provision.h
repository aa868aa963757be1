#ifndef ENGINE_PROVISION_H
#define ENGINE_PROVISION_H

#include "engine/engine.h"

/* What provision.c, import.c and image_removal.c share. */

/** How an image's store and layers tell their progress on. */
struct provision_progress {
    engine_progress *function; /* may be NULL */
    void *context;
    char step[64];
    uint64_t total;
};

/** Fits image_store_watch() and struct layer_source. @context: struct provision_progress */
void provision_report(uint64_t bytes_done, void *context);

/** Unpacks what is missing of an image's layers, several at once. @ret_keys (may be NULL): lowest
 * first. @ret_warnings: what layers were left without; may be NULL */
int provision_layers(struct engine *engine, const struct image *image, engine_progress *progress,
                     void *context, struct strings *ret_keys, struct strings *ret_warnings,
                     struct error *err);

/** Publishes an image whose layers are there and synced. @reference: gets this name too; NULL */
int provision_publish(struct engine *engine, const struct image *image,
                      const struct reference *reference, struct error *err);

/**
 * Removes the blobs and layers that no image refers to, such as those of a load that failed, unless
 * others are adding some just now. The caller holds no layers_lock().
 *
 * @reason  negative; when the disk is full, parts of downloads go too, and all is gone at return
 */
void provision_discard(struct engine *engine, int reason);

#endif
