#ifndef IMAGE_PARTIAL_BLOB_H
#define IMAGE_PARTIAL_BLOB_H

#include "image/image.h"

/* A blob on its way from a registry: DATA/ingest/<algorithm>-<hex>, under a lock of its digest.
 * What came is kept when the transfer or the process ends, and a later one goes on behind it; what
 * nobody went on with for a day is removed by image_sweep_blobs(). */

struct partial_blob;

/**
 * Opens what is there of a blob, and takes its lock. What an earlier transfer left is read and
 * hashed.
 *
 * @size        of the whole blob
 * @is_waiting  false: -EAGAIN when another process is fetching this blob just now. Only who holds
 * no other partial blob may wait, else two could wait for each other.
 * @ret_blob    NULL when the blob is in the store already
 */
int partial_blob_open(struct image_store *store, const struct digest *digest, uint64_t size,
                      bool is_waiting, struct partial_blob **ret_blob, struct error *err);
/** Closes it and keeps its bytes. */
void partial_blob_free(struct partial_blob *blob);
DEFINE_AUTO(partial_blob)

uint64_t partial_blob_length(const struct partial_blob *blob);
/** Its file, open for reading only; borrowed. */
int partial_blob_fd(const struct partial_blob *blob);
/** Appends; -EBADMSG when it becomes longer than it should. */
int partial_blob_add(struct partial_blob *blob, const void *bytes, size_t length,
                     struct error *err);
/**
 * Makes the whole blob visible in the store.
 *
 * -EBADMSG: it has another digest; its bytes are dropped, so it may be filled again from the start.
 */
int partial_blob_finish(struct partial_blob *blob, struct error *err);

#endif
