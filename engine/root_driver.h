#ifndef ENGINE_ROOT_DRIVER_H
#define ENGINE_ROOT_DRIVER_H

#include "engine/engine.h"

/* How containers get their root: an overlay above the image's layers, or, where the file system of
 * DATA takes none, a copy of them. What is the case is tried out once after each boot, and kept in
 * DATA/copies, which says why no overlay can be used; most stores have no such file. Once layers
 * were made for copies, their marks may be none of overlayfs' (unionfs/layer_mark.h), so it stays.
 */

/** Tries out whether an overlay can be used, and keeps the answer. */
int root_driver_probe(struct engine *engine, struct error *err);
#endif
