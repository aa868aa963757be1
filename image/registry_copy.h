#ifndef IMAGE_REGISTRY_COPY_H
#define IMAGE_REGISTRY_COPY_H

#include "image/document_tree.h"
#include "image/registry.h"
#include "image/registry_session.h"

/* The halves of pull and push that copying from registry to registry puts together. */

/** Gives a document from the store, else from the registry, and keeps it. */
struct tree_source {
    struct image_store *store;
    struct registry_session *session;
    struct strings *warnings; /* as of struct pull_options */
};
/** @context: struct tree_source */
int registry_document(const struct image_descriptor *descriptor, void *context, char **ret_json,
                      size_t *ret_length, struct error *err);
/** Fetches those of these blobs that are not in the store, several at once. */
int pull_blobs(struct image_store *store, struct registry_session *session,
               const struct image_descriptors *blobs, struct error *err);

struct push_job {
    const struct document_tree *tree;
    const struct string_map *tags; /* by digest, of documents that get one */
    const struct push_options *options;
    const struct reference *destination;
    const char *mount_from; /* another repository of this registry that has all of it; NULL */
};
/** Sends blobs where they are missing, then documents. @ret_keeps_referrers: the registry does */
int push_tree(struct image_store *store, struct registry_session *session,
              const struct push_job *job, bool *ret_keeps_referrers, struct error *err);

/** image_push() of a manifest or an index that needs no record. @ret_size: its own */
int image_push_tree(struct image_store *store, const struct registries *registries,
                    const struct digest *top, const struct reference *destination,
                    const struct push_options *options, uint64_t *ret_size, struct error *err);

/**
 * What refers to a manifest at a registry: by its referrers API, else by the tag that stands in for
 * it; and by the tags of cosign.
 *
 * @tags  of those that have one, by their digests
 */
int registry_list_referrers(struct registry_session *session, const struct digest *subject,
                            struct image_descriptors *ret_referrers, struct string_map *tags,
                            struct error *err);

/** Adds to the tag that stands in for the referrers API. */
int registry_add_referrers(struct image_store *store, struct registry_session *session,
                           const struct digest *subject, const struct image_descriptors *referrers,
                           struct error *err);

#endif
