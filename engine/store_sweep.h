#ifndef ENGINE_STORE_SWEEP_H
#define ENGINE_STORE_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

/* Mark and sweep of layers, roots made of them for microVMs, and blobs. Layers are marked from two
 * sides: the images that are there, and the records of containers, which name their layers by path.
 * Nothing is counted in a file. */

struct sweep_options {
    uint32_t wait_ms;      /* for those who are adding layers */
    bool drops_partial;    /* also what came of blobs of late and nobody is fetching */
    bool is_in_foreground; /* return when the disk has its room back */
};
struct sweep_result {
    struct disk_usage freed; /* layers, roots, blobs and what was left half-made */
    bool is_partial;         /* others are adding images, so something stayed for the next sweep */
};

/** Removes what no image and no container refers to. The caller holds no layers_lock(). */
int store_sweep(struct engine *engine, const struct sweep_options *options,
                struct sweep_result *ret_result, struct error *err);

/** Adds the keys of one image's layers that are there, and of the root made of them, if it was:
 * erofs_key(). @diff_ids: lowest first */
void store_mark_image(struct engine *engine, const struct strings *diff_ids, struct strings *keys);
/** The same of layers that containers use. An unreadable record is an error: its layers are
 * not known. */
int store_mark_containers(struct engine *engine, struct strings *keys, struct error *err);

#endif
