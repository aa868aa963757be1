#ifndef IMAGE_ARCHIVE_INPUT_H
#define IMAGE_ARCHIVE_INPUT_H

#include <stdint.h>

#include "base/error.h"
#include "image/archive_stream.h"

struct archive; /* libarchive's */

/** The archive as it comes, from where its descriptor stands. */
struct archive_input {
    int fd;        /* borrowed */
    uint64_t left; /* bytes that can be skipped; 0: a pipe, which has to be read */
    char *buffer;
    struct archive_sender *sender; /* borrowed; its count grows by what is read */
    char *const *wanted;           /* borrowed, as archive_child_start() has them; ends with NULL */
};

/** Looks at the descriptor, without reading from it. */
int archive_input_open(int fd, struct archive_input *ret_input, struct error *err);
void archive_input_clear(struct archive_input *input);

/** Has libarchive read the input, by functions that call nothing but read(2) and lseek(2). Both are
 * borrowed by @archive. Returns libarchive's code. */
int archive_input_connect(struct archive_input *input, struct archive_sender *sender,
                          struct archive *archive);

#endif
