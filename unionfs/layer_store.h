#ifndef UNIONFS_LAYER_STORE_H
#define UNIONFS_LAYER_STORE_H

#include "unionfs/unionfs.h"

/* What layer.c and layer_store.c share about DATA/layers. */

#define LAYERS   "layers"
#define UNSYNCED ".unsynced" /* within LAYERS; see layer.c */

/** Opens DATA/layers, made when missing. */
int layers_open(int data_fd, int *ret_fd, struct error *err);
/** Names in a directory, sorted, without those that begin with a dot; a missing one has none. */
int layer_store_list_names(int dir_fd, const char *name, struct strings *ret_names,
                           struct error *err);

#endif
