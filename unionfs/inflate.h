#ifndef UNIONFS_INFLATE_H
#define UNIONFS_INFLATE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/hash.h"
#include "unionfs/unionfs.h"

/* Reads what is behind gzip (RFC 1952, several members, zero padding), zstd (RFC 8878, several and
 * skippable frames) or nothing, a block at a time in constant memory. Which one it is, the first
 * bytes say. */

struct inflate_limits {
    uint64_t bytes_max;        /* of uncompressed bytes */
    uint64_t ratio_max;        /* uncompressed to compressed... */
    uint64_t ratio_from_bytes; /* ...once there are so many uncompressed bytes */
};

struct inflate;

/**
 * Reads the first block of @input and finds the compression.
 *
 * @input  copied; its descriptors are borrowed; a pipe is fine
 * @hash   borrowed, gets every uncompressed byte; may be NULL
 *
 * -EPROTONOSUPPORT: a known compression that is none of ours (xz, bzip2), named in the sentence.
 */
int inflate_open(const struct blob_input *input, const struct inflate_limits *limits,
                 struct hash *hash, struct inflate **ret_inflate, struct error *err);
void inflate_free(struct inflate *inflate);
DEFINE_AUTO(inflate)

/**
 * Gives the next block.
 *
 * @ret_bytes  valid until the next call
 *
 * Returns the number of bytes, 0 at the end of the input. -EFBIG: a limit was reached. -EBADMSG:
 * damaged, or it ends too early.
 */
ssize_t inflate_read(struct inflate *inflate, const void **ret_bytes, struct error *err);

/** Reads and hashes what is left, to the end of the input. */
int inflate_drain(struct inflate *inflate, struct error *err);

#endif
