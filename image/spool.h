#ifndef IMAGE_SPOOL_H
#define IMAGE_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"

/* The files of an archive or of a directory, by name. An archive can come through a pipe with its
 * files in any order, so those that may matter are written to staging, and hashed on the way. Names
 * are only keys: no path is ever made from one. */

struct spool;

/** Reads a whole tar, plain or compressed with gzip or zstd, by way of berth-archive. -EBADMSG: a
 * blob is not what its name says, or berth-archive is not what it should be. */
int spool_read_archive(struct image_store *store, int fd, struct spool **ret_spool,
                       struct error *err);
/** @dir_fd  borrowed until spool_free(); files are read when they are asked for */
int spool_open_directory(struct image_store *store, int dir_fd, struct spool **ret_spool,
                         struct error *err);
void spool_free(struct spool *spool);
DEFINE_AUTO(spool)

bool spool_has(struct spool *spool, const char *name);

/** Reads a document of at most IMAGE_DOCUMENT_MAX bytes. -ENOENT: "'x' is not in the archive". */
int spool_read_text(struct spool *spool, const char *name, char **ret_text, size_t *ret_length,
                    struct error *err);

/** The first bytes of a file, to tell its compression; fewer when it is short. */
int spool_read_magic(struct spool *spool, const char *name, unsigned char magic[4],
                     struct error *err);

/**
 * Puts a file into the store as a blob.
 *
 * @expected, @size  NULL, UINT64_MAX: anything; else -EBADMSG when it differs
 */
int spool_take(struct spool *spool, const char *name, const struct digest *expected, uint64_t size,
               struct digest *ret_digest, uint64_t *ret_size, struct error *err);

#endif
