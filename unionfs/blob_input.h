#ifndef UNIONFS_BLOB_INPUT_H
#define UNIONFS_BLOB_INPUT_H

#include <sys/types.h>

#include "unionfs/unionfs.h"

/**
 * Reads the next bytes of a blob; where it still grows, waits for them.
 *
 * Returns how many, at least one, or 0 at its end. -EBADMSG: the file is shorter than was said.
 */
ssize_t blob_input_read(struct blob_input *input, void *buffer, size_t length, struct error *err);

#endif
