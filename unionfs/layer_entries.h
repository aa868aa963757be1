#ifndef UNIONFS_LAYER_ENTRIES_H
#define UNIONFS_LAYER_ENTRIES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "unionfs/layer_path.h"
#include "unionfs/tree.h"
#include "unionfs/unionfs.h"

/* What a layer's entries do, whoever reads them: unpack.c from a tar, layer_maker.c from what is
 * packed. How it is done is in tree.c. */

#define LAYER_ATTRIBUTES_MAX 256 /* of one entry */

struct layer_entries {
    struct tree *tree;
    bool is_bottom; /* nothing lies below: whiteouts are left out */
    bool dropped_whiteout;
    uint64_t bytes;
    uint64_t entries;
    uint64_t devices_left_out;
};

/** @root_fd  empty directory; borrowed until layer_entries_clear() */
void layer_entries_open(int root_fd, bool is_bottom, struct layer_entries *ret_entries);
void layer_entries_clear(struct layer_entries *entries);

/** Counts an entry and takes its name apart. */
int layer_entries_begin(struct layer_entries *entries, const char *name,
                        struct layer_path *ret_path, struct error *err);
/** The whiteouts that a name asks for: 1 the entry is done, 0 it is an ordinary one. */
int layer_entries_hide(struct layer_entries *entries, const struct layer_path *path,
                       struct error *err);
int layer_entries_add_link(struct layer_entries *entries, const struct layer_path *path,
                           const char *target, struct error *err);
/** @target  NULL or "": refused */
int layer_entries_add_symlink(struct layer_entries *entries, const struct layer_path *path,
                              const char *target, const struct tree_metadata *metadata,
                              struct error *err);
/** A device 0:0 is a whiteout. @type, @device_major, @device_minor: any, as they are in the tar. */
int layer_entries_add_node(struct layer_entries *entries, const struct layer_path *path,
                           mode_t type, uint64_t device_major, uint64_t device_minor,
                           const struct tree_metadata *metadata, struct error *err);
/** Opens a file that will have @size bytes; then as tree_add_file(). */
int layer_entries_add_file(struct layer_entries *entries, const struct layer_path *path,
                           int64_t size, const struct tree_metadata *metadata, int *ret_fd,
                           struct error *err);
/** The end of the layer. @ret_result: without the diff id; unpack_result_clear(). */
int layer_entries_finish(struct layer_entries *entries, struct unpack_result *ret_result,
                         struct error *err);
/** Puts the entry's name in front of an error. Returns @r. */
int layer_entries_blame(const char *name, int r, struct error *err);

#endif
