#include "image/document_tree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "image/store_private.h"

#define DEPTH_MAX     4
#define DOCUMENTS_MAX 1000

struct collecting {
    document_source *source;
    void *context;
    bool skips_missing;
    struct document_tree *tree;
    size_t asked;
};

void document_tree_clear(struct document_tree *tree)
{
    image_descriptors_clear(&tree->documents);
    image_descriptors_clear(&tree->blobs);
}

static bool contains(const struct image_descriptors *list, const struct digest *digest)
{
    for (size_t i = 0; i < list->count; i++) {
        if (digest_equal(&list->items[i].digest, digest))
            return true;
    }
    return false;
}

static void add_blob(struct collecting *collecting, const struct image_descriptor *blob)
{
    struct image_descriptors *blobs = &collecting->tree->blobs;

    if (!contains(blobs, &blob->digest))
        image_descriptor_copy(image_descriptors_add(blobs), blob);
}

static int visit(struct collecting *collecting, const struct image_descriptor *descriptor,
                 unsigned depth, struct error *err);

static int visit_children(struct collecting *collecting, const struct document *document,
                          unsigned depth, struct error *err)
{
    for (size_t i = 0; i < document->manifests.count; i++) {
        int r = visit(collecting, &document->manifests.items[i], depth + 1, err);

        if (r < 0 && !(r == -ENOENT && collecting->skips_missing))
            return r;
    }
    if (document->kind == DOCUMENT_INDEX)
        return 0;
    add_blob(collecting, &document->config);
    for (size_t i = 0; i < document->layers.count; i++)
        add_blob(collecting, &document->layers.items[i]);
    return 0;
}

static void add_document(struct collecting *collecting, const struct image_descriptor *descriptor,
                         const struct document *document, size_t length)
{
    struct image_descriptor *added = image_descriptors_add(&collecting->tree->documents);

    image_descriptor_copy(added, descriptor);
    added->size = length;
    if (added->media_type == NULL)
        added->media_type = xstrdup(document_media_type(document));
}

static int visit(struct collecting *collecting, const struct image_descriptor *descriptor,
                 unsigned depth, struct error *err)
{
    AUTO_CLEAR(document) struct document document = { 0 };
    auto_free char *json = NULL;
    size_t length;
    int r;

    if (contains(&collecting->tree->documents, &descriptor->digest))
        return 0;
    if (depth > DEPTH_MAX)
        return error_set(err, EINVAL, "indexes are nested more than %d deep", DEPTH_MAX);
    if (++collecting->asked > DOCUMENTS_MAX)
        return error_set(err, EINVAL, "the index has more than %d documents", DOCUMENTS_MAX);
    r = collecting->source(descriptor, collecting->context, &json, &length, err);
    if (r < 0)
        return r;
    r = document_decode_any(json, length, descriptor->media_type, &document, err);
    if (r < 0)
        return error_prefix(err, r, "document %s", descriptor->digest.text);
    r = visit_children(collecting, &document, depth, err);
    if (r < 0)
        return r;
    add_document(collecting, descriptor, &document, length);
    return 0;
}

int document_tree_collect(const struct image_descriptor *top, document_source *source,
                          void *context, bool skips_missing, struct document_tree *tree,
                          struct error *err)
{
    struct collecting collecting = {
        .source = source, .context = context, .skips_missing = skips_missing, .tree = tree
    };

    assert(top != NULL);
    assert(source != NULL);
    assert(tree != NULL);

    return visit(&collecting, top, 1, err);
}

int store_document(const struct image_descriptor *descriptor, void *context, char **ret_json,
                   size_t *ret_length, struct error *err)
{
    auto_free char *json = NULL;
    size_t length;
    int r;

    r = blob_read(context, &descriptor->digest, &json, &length, err);
    if (r < 0)
        return r;
    if (descriptor->size != UINT64_MAX && descriptor->size != length)
        return error_set(err, EBADMSG, "document %s has %zu bytes, its index says %llu",
                         descriptor->digest.text, length, (unsigned long long)descriptor->size);
    *ret_json = take_ptr(&json);
    *ret_length = length;
    return 0;
}

int store_collect(struct image_store *store, const struct digest *top, bool skips_missing,
                  struct document_tree *tree, struct error *err)
{
    const struct image_descriptor descriptor = { .digest = *top, .size = UINT64_MAX };

    return document_tree_collect(&descriptor, store_document, store, skips_missing, tree, err);
}
