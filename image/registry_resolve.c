#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "image/platform.h"
#include "image/registry_session.h"

void registry_image_clear(struct registry_image *image)
{
    for (size_t i = 0; i < image->index_count; i++)
        registry_manifest_clear(&image->indexes[i]);
    image->index_count = 0;
    registry_manifest_clear(&image->manifest);
    document_clear(&image->document);
}

static int choose_entry(const struct document *index, const char *platform,
                        const struct image_descriptor **ret_entry, struct error *err)
{
    for (size_t i = 0; i < index->manifests.count; i++) {
        const struct image_descriptor *entry = &index->manifests.items[i];

        if (!platform_is_companion(entry) && platform_matches(entry, platform)) {
            *ret_entry = entry;
            return 0;
        }
    }
    return platform_none(&index->manifests, platform, err);
}

/* One step down. @entry: its descriptor in an index, or NULL for what the name stands for. */
static int get_step(struct registry_session *session, const struct reference *reference,
                    const struct image_descriptor *entry, struct registry_image *image,
                    struct error *err)
{
    struct digest wanted;
    bool has_digest = entry != NULL || reference->digest != NULL;
    int r = 0;

    if (entry != NULL)
        wanted = entry->digest;
    else if (has_digest)
        r = digest_parse(reference->digest, &wanted, err);
    if (r == 0 && (entry == NULL || !registry_read_kept(session, &wanted, &image->manifest)))
        r = registry_get_manifest(session, reference->tag, has_digest ? &wanted : NULL,
                                  &image->manifest, err);
    if (r < 0)
        return r;
    if (entry != NULL && image->manifest.length != entry->size)
        return error_set(err, EBADMSG, "manifest %s has %zu bytes, its index says %llu",
                         wanted.text, image->manifest.length, (unsigned long long)entry->size);
    r = document_decode(image->manifest.json, image->manifest.length,
                        entry != NULL ? entry->media_type : NULL, &image->document, err);
    return r < 0 ? error_prefix(err, r, "manifest %s", image->manifest.digest.text) : 0;
}

int registry_resolve(struct registry_session *session, const struct reference *reference,
                     const char *platform, struct registry_image *ret_image, struct error *err)
{
    AUTO_CLEAR(registry_image) struct registry_image image = { 0 };
    int r;

    assert(session != NULL);
    assert(ret_image != NULL);

    r = get_step(session, reference, NULL, &image, err);
    if (r < 0)
        return r;
    image.digest = image.manifest.digest;
    for (int depth = 1; image.document.kind == DOCUMENT_INDEX; depth++) {
        AUTO_CLEAR(registry_image) struct registry_image next = { .digest = image.digest };
        const struct image_descriptor *entry = NULL;

        if (depth == REGISTRY_INDEX_DEPTH_MAX)
            return error_set(err, EINVAL, "its indexes are nested more than %d deep",
                             REGISTRY_INDEX_DEPTH_MAX);
        r = choose_entry(&image.document, platform, &entry, err);
        if (r == 0)
            r = get_step(session, reference, entry, &next, err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < image.index_count; i++)
            next.indexes[next.index_count++] = image.indexes[i];
        image.index_count = 0;
        next.indexes[next.index_count++] = image.manifest;
        image.manifest = (struct registry_manifest){ 0 };
        registry_image_clear(&image);
        image = next;
        next = (struct registry_image){ 0 };
    }
    *ret_image = image;
    image = (struct registry_image){ 0 };
    return 0;
}

int registry_get_config(struct registry_session *session, const struct image_descriptor *config,
                        char **ret_json, size_t *ret_length, struct error *err)
{
    AUTO_CLEAR(fetch_request) struct fetch_request request = { 0 };
    auto_free char *path = xasprintf("blobs/%s", config->digest.text);
    auto_free char *json = NULL;
    struct digest digest;
    size_t length;
    int r;

    if (config->size > IMAGE_DOCUMENT_MAX)
        return error_set(err, EFBIG, "it has %llu bytes, at most %u are read",
                         (unsigned long long)config->size, IMAGE_DOCUMENT_MAX);
    r = registry_request(session, FETCH_GET, path, &request, err);
    if (r < 0)
        return r;
    request.size = config->size;
    r = fetch_document(session->fetch, &request, &json, &length, NULL, err);
    if (r < 0)
        return r;
    hash_bytes(digest_algorithm(&config->digest), json, length, &digest);
    if (!digest_equal(&digest, &config->digest))
        return error_set(err, EBADMSG, "content of %s has the digest %s", config->digest.text,
                         digest.text);
    *ret_json = take_ptr(&json);
    *ret_length = length;
    return 0;
}
