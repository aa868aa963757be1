#ifndef ENGINE_LAYER_QUEUE_H
#define ENGINE_LAYER_QUEUE_H

#include "base/event.h"
#include "engine/engine.h"

/* The layers of one image on their way from blobs to DATA/layers: several at once, also while their
 * blobs still arrive. Nothing becomes visible before its blob's digest, its diff id, and what its
 * tree depends on are there. */

struct layer_queue;

struct layer_queue_options {
    struct event_loop *loop;   /* borrowed; the queue goes on whenever it runs */
    struct layers_watch watch; /* only layer() is called: of what is unpacked */
    struct strings *warnings;  /* what layers were left without; borrowed; NULL */
};

/** @layers, @diff_ids  copied; lowest first */
int layer_queue_open(struct engine *engine, const struct image_descriptors *layers,
                     const struct strings *diff_ids, const struct layer_queue_options *options,
                     struct layer_queue **ret_queue, struct error *err);
/** What is not finished is stopped and leaves nothing. */
void layer_queue_free(struct layer_queue *queue);
DEFINE_AUTO(layer_queue)

/**
 * Says that so many bytes of a layer's blob are in a file; fewer than before: it had a wrong digest
 * and comes once more.
 *
 * @fd  open for reading only, and nobody else moves its offset; borrowed for the call
 */
int layer_queue_feed(struct layer_queue *queue, size_t index, int fd, uint64_t bytes,
                     struct error *err);
/** Says that a layer's blob is whole, right, and in the store. */
int layer_queue_verify(struct layer_queue *queue, size_t index, struct error *err);
/**
 * Unpacks what is left, all of whose blobs are in the store by now, and returns when every layer is
 * visible. Runs the loop.
 *
 * @ret_keys  lowest first; may be NULL
 */
int layer_queue_run(struct layer_queue *queue, struct strings *ret_keys, struct error *err);

#endif
