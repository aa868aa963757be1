#ifndef IMAGE_DOCUMENT_TREE_H
#define IMAGE_DOCUMENT_TREE_H

#include "image/documents.h"

/* All that an index or a manifest stands for: documents, and the blobs that they refer to. Images
 * of all platforms, and what is no image (attestations, signatures), are alike here. Private to
 * image/. */

struct document_tree {
    struct image_descriptors
        documents;                  /* each once; behind those that it refers to, the top last */
    struct image_descriptors blobs; /* configs and layers, each once, in the documents' order */
};
void document_tree_clear(struct document_tree *tree);

/** Gives a document's bytes, verified against their digest and size. -ENOENT: it has not got it. */
typedef int document_source(const struct image_descriptor *descriptor, void *context,
                            char **ret_json, size_t *ret_length, struct error *err);

/**
 * Goes down from a document, which has a digest and, where they are known, a media type (NULL) and
 * a size (UINT64_MAX).
 *
 * @skips_missing  what the source has not got is left out
 * @tree           gets what is not in it yet
 *
 * -ENOENT: the source has not got one of them.
 */
int document_tree_collect(const struct image_descriptor *top, document_source *source,
                          void *context, bool skips_missing, struct document_tree *tree,
                          struct error *err);

/** Documents of the store. @context: struct image_store */
int store_document(const struct image_descriptor *descriptor, void *context, char **ret_json,
                   size_t *ret_length, struct error *err);
/** From a digest in the store. */
int store_collect(struct image_store *store, const struct digest *top, bool skips_missing,
                  struct document_tree *tree, struct error *err);

#endif
