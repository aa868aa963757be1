#ifndef IMAGE_ARCHIVE_DECODE_H
#define IMAGE_ARCHIVE_DECODE_H

#include <stdint.h>

#include "base/error.h"
#include "image/archive_stream.h"

/** The archive as it comes, from where its descriptor stands. */
struct archive_input {
    int fd;        /* borrowed */
    uint64_t left; /* bytes that can be skipped; 0: a pipe, which has to be read */
    char *buffer;
};

/** Looks at the descriptor, without reading from it. */
int archive_input_open(int fd, struct archive_input *ret_input, struct error *err);
void archive_input_clear(struct archive_input *input);

/**
 * Parses a whole tar, plain or compressed with gzip or zstd, and sends the files that may matter.
 *
 * The work of berth-archive: here libarchive reads what anyone may have written. Opens nothing.
 * -EINVAL, -EFBIG, -ENOMEM: a sentence for the user.
 */
int archive_decode(struct archive_input *input, struct archive_sender *sender, struct error *err);

#endif
