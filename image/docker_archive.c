#include "image/archive_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "image/documents.h"
#include "image/store_private.h"

/* manifest.json is a list of { Config, RepoTags, Layers }, each a path in the archive. It has no
 * digests: the config's diff ids are the only promise about the layers. A plain layer is checked
 * against its diff id here, a compressed one when it is unpacked. */

/* "<hex>.json", "blobs/sha256/<hex>" and "sha256:<hex>" promise a digest; other names do not. */
static int check_config_name(const char *name, const struct digest *digest, struct error *err)
{
    const char *base = strrchr(name, '/');

    base = base != NULL ? base + 1 : name;
    if (text_starts(base, "sha256:"))
        base += strlen("sha256:");
    if (strspn(base, "0123456789abcdef") != 64 || (base[64] != '\0' && base[64] != '.'))
        return 0;
    if (strncmp(base, digest_hex(digest), 64) != 0)
        return error_set(err, EBADMSG, "config '%s' has the digest %s", name, digest->text);
    return 0;
}

static const char *media_type_of(const unsigned char magic[4])
{
    static const unsigned char gzip[] = { 0x1f, 0x8b };
    static const unsigned char zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };

    if (memcmp(magic, gzip, sizeof(gzip)) == 0)
        return MEDIA_OCI_LAYER_GZIP;
    if (memcmp(magic, zstd, sizeof(zstd)) == 0)
        return MEDIA_OCI_LAYER_ZSTD;
    return MEDIA_OCI_LAYER;
}

static int take_layer(struct spool *spool, const char *name, const char *diff_id,
                      struct image_descriptors *layers, struct error *err)
{
    struct image_descriptor *layer;
    unsigned char magic[4];
    struct digest expected, digest;
    const char *media_type;
    uint64_t size;
    bool is_plain;
    int r;

    r = spool_read_magic(spool, name, magic, err);
    if (r < 0)
        return r;
    media_type = media_type_of(magic);
    r = digest_parse(diff_id, &expected, err);
    if (r < 0)
        return r;
    is_plain = strcmp(media_type, MEDIA_OCI_LAYER) == 0 &&
               strcmp(digest_algorithm(&expected), "sha256") == 0;
    r = spool_take(spool, name, is_plain ? &expected : NULL, UINT64_MAX, &digest, &size, err);
    if (r < 0)
        return r;
    layer = image_descriptors_add(layers);
    layer->media_type = xstrdup(media_type);
    layer->digest = digest;
    layer->digest_text = xstrdup(digest.text);
    layer->size = size;
    return 0;
}

static int read_config(struct spool *spool, const char *name, struct image_config *ret_config,
                       struct error *err)
{
    auto_free char *text = NULL;
    struct digest digest;
    size_t length;
    int r;

    r = spool_read_text(spool, name, &text, &length, err);
    if (r < 0)
        return r;
    hash_bytes("sha256", text, length, &digest);
    r = check_config_name(name, &digest, err);
    if (r < 0)
        return r;
    r = image_config_decode(text, length, ret_config, err);
    if (r < 0)
        return error_prefix(err, r, "config '%s'", name);
    return 0;
}

static int read_image(struct image_store *store, struct spool *spool,
                      const struct docker_image *image, struct digest *ret_manifest_digest,
                      struct error *err)
{
    AUTO_CLEAR(image_config) struct image_config config = { 0 };
    AUTO_CLEAR(image_descriptor) struct image_descriptor descriptor = { 0 };
    AUTO_CLEAR(image_descriptors) struct image_descriptors layers = { 0 };
    auto_free char *manifest = NULL;
    int r;

    r = read_config(spool, image->config, &config, err);
    if (r < 0)
        return r;
    if (image->layers.count != config.diff_ids.count)
        return error_set(err, EBADMSG, "manifest.json lists %zu layers, config '%s' %zu diff ids",
                         image->layers.count, image->config, config.diff_ids.count);
    for (size_t i = 0; i < image->layers.count; i++) {
        r = take_layer(spool, image->layers.items[i], config.diff_ids.items[i], &layers, err);
        if (r < 0)
            return error_prefix(err, r, "layer %zu", i + 1);
    }
    r = image_check_layers(&layers, &config.diff_ids, err);
    if (r < 0)
        return r;
    r = spool_take(spool, image->config, NULL, UINT64_MAX, &descriptor.digest, &descriptor.size,
                   err);
    if (r < 0)
        return r;
    descriptor.media_type = xstrdup(MEDIA_OCI_CONFIG);
    manifest = manifest_encode(&descriptor, &layers);
    return blob_write(store, manifest, strlen(manifest), ret_manifest_digest, err);
}

int docker_archive_read(struct image_store *store, struct spool *spool,
                        struct image_archive *ret_archive, struct error *err)
{
    AUTO_CLEAR(docker_images) struct docker_images images = { 0 };
    auto_free char *text = NULL;
    size_t length;
    int r;

    assert(spool != NULL);
    assert(ret_archive != NULL);

    r = spool_read_text(spool, "manifest.json", &text, &length, err);
    if (r < 0)
        return r;
    r = docker_images_decode(text, length, &images, err);
    if (r < 0)
        return error_prefix(err, r, "manifest.json");
    if (images.count == 0)
        return error_set(err, EINVAL, "manifest.json: lists no image");
    for (size_t i = 0; i < images.count; i++) {
        struct image_archive_item *item;
        struct digest digest;

        r = read_image(store, spool, &images.items[i], &digest, err);
        if (r < 0)
            return error_prefix(err, r, "image %zu", i + 1);
        item = archive_item(ret_archive, &digest);
        for (size_t j = 0; j < images.items[i].repo_tags.count; j++)
            archive_item_name(item, images.items[i].repo_tags.items[j]);
    }
    return 0;
}
