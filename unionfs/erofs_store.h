#ifndef UNIONFS_EROFS_STORE_H
#define UNIONFS_EROFS_STORE_H

#include "unionfs/unionfs.h"

/* What erofs_store.c and erofs_make.c share about DATA/erofs. */

#define EROFS_FOLDER "erofs"
#define EROFS_NAME   "root.erofs"
#define EROFS_FORMAT "1" /* changes with what berth makes of the same layers */

/** The content of `layers`. Caller frees. */
char *erofs_layers_format(const struct strings *layers);
/** The layers' keys, topmost first. -ENOENT: also when another berth made it. */
int erofs_read_layers(int data_fd, const char *key, struct strings *ret_layers, struct error *err);

#endif
