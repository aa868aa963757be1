#ifndef UNIONFS_EROFS_IMAGE_H
#define UNIONFS_EROFS_IMAGE_H

#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "unionfs/erofs_tree.h"
#include "unionfs/unionfs.h"

/* The bytes of an EROFS file:
 *
 *     0      nothing
 *     1024   superblock
 *     1152   inodes in the order of the tree, the root first; behind each its extended attributes,
 *            and of directories and links what does not fill a block
 *     ...    whole blocks of directories and of long links
 *     ...    contents of files, each from the beginning of a block
 *     ...    nothing, up to a multiple of 16 MiB, since persistent memory comes in such pieces
 *
 * All inodes are of the extended kind, which has 32 bits for owners and nanoseconds for times. No
 * content of a file stands behind its inode: only whole pages can be mapped (DAX).
 *
 * See: kernel, filesystems/erofs.rst, "On-disk details"; fs/erofs/erofs_fs.h. */

#define EROFS_BLOCK_BYTES 4096u
#define EROFS_LENGTH_UNIT (16u << 20)

struct erofs_plan {
    uint64_t inode_blocks; /* superblock and inodes, from block 0 */
    uint64_t name_blocks;  /* directories and links, behind them */
    uint64_t blocks;       /* with the files' */
    uint64_t file_bytes;   /* sum of the files' lengths */
    uint64_t length;       /* of the whole file, with what fills it up */
};

/**
 * Decides where everything lies, and writes it into the nodes. Pure.
 *
 * -EFBIG: more than EROFS can address.  -E2BIG: attributes that it has no room for.
 */
int erofs_plan(struct erofs_tree *tree, struct erofs_plan *ret_plan, struct error *err);

/** How much stands before the contents of files. */
uint64_t erofs_plan_head_bytes(const struct erofs_plan *plan);
/** All that stands before the contents of files. Pure. Caller frees. */
uint8_t *erofs_encode(const struct erofs_tree *tree, const struct erofs_plan *plan);

#endif
