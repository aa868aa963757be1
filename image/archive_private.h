#ifndef IMAGE_ARCHIVE_PRIVATE_H
#define IMAGE_ARCHIVE_PRIVATE_H

#include "image/image.h"
#include "image/spool.h"

/* The two forms of archive, behind image_archive_read(). */

/** An OCI image layout (image-layout.md): index.json, blobs/. */
int layout_read(struct image_store *store, struct spool *spool, bool all_platforms,
                struct image_archive *ret_archive, struct error *err);

#define ANNOTATION_REF_NAME   "org.opencontainers.image.ref.name"
#define ANNOTATION_IMAGE_NAME "io.containerd.image.name" /* docker's full name */

/** "blobs/sha256/<hex>". Caller frees. */
char *layout_blob_name(const struct digest *digest);

/** What `docker save` writes: manifest.json, configs, layers. */
int docker_archive_read(struct image_store *store, struct spool *spool,
                        struct image_archive *ret_archive, struct error *err);

/** The item of a manifest, appended when it is not there yet. */
struct image_archive_item *archive_item(struct image_archive *archive,
                                        const struct digest *manifest_digest);
/** Adds a reference in its familiar form, once; what cannot be one is left out. */
void archive_item_name(struct image_archive_item *item, const char *reference);

#endif
