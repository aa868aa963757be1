#include "image/archive_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "image/document_tree.h"
#include "image/platform.h"
#include "image/store_private.h"

/* Nothing enters the store before all documents of an image are read and agree with each other:
 * each against its descriptor (digest, size, media type), the config against the manifest. */

#define INDEX_DEPTH_MAX     4
#define INDEX_DOCUMENTS_MAX 1000 /* read in all: an index's entries may be indexes again */

struct layout {
    struct image_store *store;
    struct spool *spool;
    size_t documents;
    bool all_platforms;
};

char *layout_blob_name(const struct digest *digest)
{
    return xasprintf("blobs/%s/%s", digest_algorithm(digest), digest_hex(digest));
}

static int read_document(struct layout *layout, const struct image_descriptor *descriptor,
                         char **ret_text, size_t *ret_length, struct error *err)
{
    auto_free char *name = layout_blob_name(&descriptor->digest);
    auto_free char *text = NULL;
    struct digest digest;
    size_t length;
    int r;

    if (++layout->documents > INDEX_DOCUMENTS_MAX)
        return error_set(err, EINVAL, "the layout has more than %d documents", INDEX_DOCUMENTS_MAX);
    if (descriptor->size > IMAGE_DOCUMENT_MAX)
        return error_set(err, EFBIG, "document %s has %llu bytes, at most %u are read",
                         descriptor->digest.text, (unsigned long long)descriptor->size,
                         IMAGE_DOCUMENT_MAX);
    r = spool_read_text(layout->spool, name, &text, &length, err);
    if (r < 0)
        return r;
    if (length != descriptor->size)
        return error_set(err, EBADMSG, "document %s has %zu bytes, its descriptor says %llu",
                         descriptor->digest.text, length, (unsigned long long)descriptor->size);
    hash_bytes(digest_algorithm(&descriptor->digest), text, length, &digest);
    if (!digest_equal(&digest, &descriptor->digest))
        return error_set(err, EBADMSG, "document %s has the content of %s", descriptor->digest.text,
                         digest.text);
    *ret_text = take_ptr(&text);
    *ret_length = length;
    return 0;
}

static int resolve(struct layout *layout, const struct image_descriptor *descriptor, int depth,
                   struct image_descriptor *ret_descriptor, struct document *ret_document,
                   struct error *err);

/* The first entry for this machine whose documents are there: `docker save --platform` keeps the
 * whole index but not the other platforms' blobs. */
static int resolve_index(struct layout *layout, const struct image_descriptors *entries, int depth,
                         struct image_descriptor *ret_descriptor, struct document *ret_document,
                         struct error *err)
{
    bool is_missing = false;

    for (size_t i = 0; i < entries->count; i++) {
        const struct image_descriptor *entry = &entries->items[i];
        int r;

        if (platform_is_companion(entry) || platform_is_foreign(entry))
            continue;
        r = resolve(layout, entry, depth + 1, ret_descriptor, ret_document, err);
        if (r != -ENOENT)
            return r;
        is_missing = true; /* its sentence stays unless another entry is found */
    }
    return is_missing ? -ENOENT : platform_none(entries, NULL, err);
}

static int resolve(struct layout *layout, const struct image_descriptor *descriptor, int depth,
                   struct image_descriptor *ret_descriptor, struct document *ret_document,
                   struct error *err)
{
    AUTO_CLEAR(document) struct document document = { 0 };
    auto_free char *text = NULL;
    size_t length;
    int r;

    if (depth > INDEX_DEPTH_MAX)
        return error_set(err, EINVAL, "indexes are nested more than %d deep", INDEX_DEPTH_MAX);
    r = read_document(layout, descriptor, &text, &length, err);
    if (r < 0)
        return r;
    r = document_decode(text, length, descriptor->media_type, &document, err);
    if (r < 0)
        return error_prefix(err, r, "document %s", descriptor->digest.text);
    if (document.kind == DOCUMENT_INDEX)
        return resolve_index(layout, &document.manifests, depth, ret_descriptor, ret_document, err);
    image_descriptor_copy(ret_descriptor, descriptor);
    *ret_document = document;
    document = (struct document){ 0 };
    return 0;
}

static int take_blob(struct layout *layout, const struct image_descriptor *descriptor,
                     struct error *err)
{
    auto_free char *name = layout_blob_name(&descriptor->digest);

    return spool_take(layout->spool, name, &descriptor->digest, descriptor->size, NULL, NULL, err);
}

static int take_layers(struct layout *layout, const struct document *document,
                       const struct strings *diff_ids, struct error *err)
{
    int r;

    for (size_t i = 0; i < document->layers.count; i++) {
        const struct image_descriptor *layer = &document->layers.items[i];

        if (text_ends(layer->media_type, "tar") &&
            text_starts(diff_ids->items[i], digest_algorithm(&layer->digest)) &&
            strcmp(layer->digest.text, diff_ids->items[i]) != 0)
            return error_set(err, EBADMSG, "layer %zu is %s, the config says %s", i + 1,
                             layer->digest.text, diff_ids->items[i]);
        r = take_blob(layout, layer, err);
        if (r < 0)
            return error_prefix(err, r, "layer %zu", i + 1);
    }
    return 0;
}

static int take_image(struct layout *layout, const struct image_descriptor *manifest,
                      const struct document *document, struct error *err)
{
    AUTO_CLEAR(image_config) struct image_config config = { 0 };
    auto_free char *text = NULL;
    size_t length;
    int r;

    r = read_document(layout, &document->config, &text, &length, err);
    if (r < 0)
        return error_prefix(err, r, "config");
    r = image_config_decode(text, length, &config, err);
    if (r == 0)
        r = image_check_layers(&document->layers, &config.diff_ids, err);
    if (r < 0)
        return error_prefix(err, r, "config %s", document->config.digest.text);
    r = take_layers(layout, document, &config.diff_ids, err);
    if (r < 0)
        return r;
    r = take_blob(layout, &document->config, err);
    if (r < 0)
        return r;
    return take_blob(layout, manifest, err);
}

/* A bare tag names nothing by itself ("latest"), but a bare word is often the image's only name
 * (skopeo copy ... oci:DIR:bookworm), and is taken for it, as podman does. */
static void name_from_annotations(struct image_archive_item *item,
                                  const struct image_descriptor *descriptor)
{
    const char *full = string_map_get(&descriptor->annotations, ANNOTATION_IMAGE_NAME);
    const char *name = string_map_get(&descriptor->annotations, ANNOTATION_REF_NAME);

    if (full != NULL)
        archive_item_name(item, full);
    else if (name != NULL && strcmp(name, "latest") != 0)
        archive_item_name(item, name);
}

/* Newer `docker save` writes both forms; the names of an image may be in the other one only. */
static void name_from_docker(struct layout *layout, struct image_archive_item *item,
                             const struct digest *config)
{
    struct docker_images images = { 0 };
    auto_free char *config_name = layout_blob_name(config);
    auto_free char *text = NULL;
    size_t length;

    if (item->names.count > 0 ||
        spool_read_text(layout->spool, "manifest.json", &text, &length, NULL) < 0 ||
        docker_images_decode(text, length, &images, NULL) < 0)
        return;
    for (size_t i = 0; i < images.count; i++) {
        if (strcmp(images.items[i].config, config_name) != 0)
            continue;
        for (size_t j = 0; j < images.items[i].repo_tags.count; j++)
            archive_item_name(item, images.items[i].repo_tags.items[j]);
    }
    docker_images_clear(&images);
}

static int layout_document(const struct image_descriptor *descriptor, void *context,
                           char **ret_json, size_t *ret_length, struct error *err)
{
    return read_document(context, descriptor, ret_json, ret_length, err);
}

/* The other platforms' images, and what else the index names. */
static int take_index(struct layout *layout, const struct image_descriptor *index,
                      struct error *err)
{
    AUTO_CLEAR(document_tree) struct document_tree tree = { 0 };
    int r;

    r = document_tree_collect(index, layout_document, layout, false, &tree, err);
    for (size_t i = 0; r == 0 && i < tree.blobs.count; i++)
        r = take_blob(layout, &tree.blobs.items[i], err);
    for (size_t i = 0; r == 0 && i < tree.documents.count; i++)
        r = take_blob(layout, &tree.documents.items[i], err);
    return r < 0 ? error_prefix(err, r, "index %s", index->digest.text) : 0;
}

static int read_entry(struct layout *layout, const struct image_descriptor *entry,
                      struct image_archive *archive, struct error *err)
{
    AUTO_CLEAR(image_descriptor) struct image_descriptor manifest = { 0 };
    AUTO_CLEAR(document) struct document document = { 0 };
    struct image_archive_item *item;
    int r;

    r = resolve(layout, entry, 1, &manifest, &document, err);
    if (r < 0)
        return r;
    r = take_image(layout, &manifest, &document, err);
    if (r < 0)
        return error_prefix(err, r, "image %s", manifest.digest.text);
    item = archive_item(archive, &manifest.digest);
    if (layout->all_platforms && !digest_equal(&entry->digest, &manifest.digest)) {
        r = take_index(layout, entry, err);
        if (r < 0)
            return r;
        item->has_index = true;
        item->index = entry->digest;
    }
    name_from_annotations(item, entry);
    name_from_docker(layout, item, &document.config.digest);
    return 0;
}

/* Entries of other platforms are left out where there is one for this machine. A lone image is
 * taken whatever it was built for: the user asked for this one. */
static bool has_own_entry(const struct image_descriptors *entries, size_t *ret_images)
{
    bool found = false;

    *ret_images = 0;
    for (size_t i = 0; i < entries->count; i++) {
        if (platform_is_companion(&entries->items[i]))
            continue;
        *ret_images += 1;
        if (!platform_is_foreign(&entries->items[i]))
            found = true;
    }
    return found;
}

int layout_read(struct image_store *store, struct spool *spool, bool all_platforms,
                struct image_archive *ret_archive, struct error *err)
{
    struct layout layout = { .store = store, .spool = spool, .all_platforms = all_platforms };
    AUTO_CLEAR(document) struct document index = { 0 };
    auto_free char *text = NULL;
    size_t length, images;
    bool has_own;
    int r;

    assert(spool != NULL);
    assert(ret_archive != NULL);

    r = spool_read_text(spool, "index.json", &text, &length, err);
    if (r < 0)
        return r;
    r = document_decode(text, length, NULL, &index, err);
    if (r < 0)
        return error_prefix(err, r, "index.json");
    if (index.kind != DOCUMENT_INDEX)
        return error_set(err, EINVAL, "index.json: is a manifest, not an index");
    has_own = has_own_entry(&index.manifests, &images);
    if (images == 0 || (!has_own && images > 1))
        return platform_none(&index.manifests, NULL, err);
    for (size_t i = 0; i < index.manifests.count; i++) {
        const struct image_descriptor *entry = &index.manifests.items[i];

        if (platform_is_companion(entry) || (has_own && platform_is_foreign(entry)))
            continue;
        r = read_entry(&layout, entry, ret_archive, err);
        if (r < 0)
            return r;
    }
    return 0;
}
