#ifndef ENGINE_ROOT_DRIVER_H
#define ENGINE_ROOT_DRIVER_H

#include "engine/engine.h"

/* How containers get their root: an overlay above the image's layers; where the file system of DATA
 * takes none, the same by fuse-overlayfs; and where that is not there either, a copy. Whether an
 * overlay can be used is tried out once after each boot, and kept in DATA/copies, which says why
 * not; most stores have no such file. Once layers were made without overlays, their marks may be
 * none of overlayfs' (unionfs/layer_mark.h), so it stays. DATA/fuse-marks says that fuse-overlayfs
 * can read the marks of all of them. A container keeps what it began with, in its record. */

/** Tries out whether an overlay can be used, and keeps the answer. */
int root_driver_probe(struct engine *engine, struct error *err);
#endif
