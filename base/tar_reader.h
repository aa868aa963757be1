#ifndef BASE_TAR_READER_H
#define BASE_TAR_READER_H

#include "base/auto.h"
#include "base/error.h"
#include "base/tar_writer.h"

/* Reads what tar_writer.h writes, and nothing else: for tars that another of berth's processes
 * makes, which may be in the hands of a guest or a container. What is not written so is an error.
 */

#define TAR_RECORDS_MAX    (4u << 20) /* bytes of one extended header */
#define TAR_ATTRIBUTES_MAX 1024u      /* of one entry */

struct tar_reader;

/** @fd  borrowed; read from where it stands to the end of the tar */
struct tar_reader *tar_reader_open(int fd);
void tar_reader_free(struct tar_reader *reader);
DEFINE_AUTO(tar_reader)

/**
 * Goes to the next entry; what was not read of the last one's content is skipped.
 *
 * @ret_entry  what it points to is the reader's, until the next call
 *
 * Returns 1; 0 at the end of the tar. -EBADMSG: it is damaged, or no tar of ours.
 */
int tar_reader_next(struct tar_reader *reader, struct tar_entry *ret_entry, struct error *err);

/**
 * The next bytes of an entry's content, the reader's until the next call.
 *
 * @ret_offset  where they are in the file; between one end and the next offset is a hole
 *
 * Returns 1; 0 at its end.
 */
int tar_reader_read(struct tar_reader *reader, const void **ret_bytes, size_t *ret_length,
                    uint64_t *ret_offset, struct error *err);

#endif
