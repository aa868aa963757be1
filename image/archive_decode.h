#ifndef IMAGE_ARCHIVE_DECODE_H
#define IMAGE_ARCHIVE_DECODE_H

#include "base/error.h"
#include "image/archive_input.h"
#include "image/archive_stream.h"

struct archive_entry; /* libarchive's */

/**
 * Parses a whole tar, plain or compressed with gzip or zstd, and sends the files that may matter.
 *
 * The work of berth-archive: here libarchive reads what anyone may have written. Opens nothing.
 * -EINVAL, -EFBIG, -ENOMEM: a sentence for the user.
 */
int archive_decode(struct archive_input *input, struct archive_sender *sender, struct error *err);

/** Sends the file at which @archive stands, as it is there. */
int archive_decode_file(struct archive *archive, struct archive_entry *entry, const char *name,
                        struct archive_sender *sender, struct error *err);

#endif
