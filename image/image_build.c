#include "image/store_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int image_build(struct image_store *store, const struct image_config *config,
                const struct image_descriptors *layers, struct digest *ret_manifest_digest,
                struct error *err)
{
    AUTO_CLEAR(image_descriptor) struct image_descriptor descriptor = { 0 };
    auto_free char *config_json = NULL;
    auto_free char *manifest_json = NULL;
    int r;

    assert(store != NULL);
    assert(config != NULL);
    assert(config->os != NULL);
    assert(config->architecture != NULL);
    assert(layers != NULL);
    assert(ret_manifest_digest != NULL);

    r = image_check_layers(layers, &config->diff_ids, err);
    if (r < 0)
        return error_prefix(err, r, "build an image");
    config_json = image_config_encode(config);
    r = blob_write(store, config_json, strlen(config_json), &descriptor.digest, err);
    if (r < 0)
        return r;
    descriptor.media_type = xstrdup(MEDIA_OCI_CONFIG);
    descriptor.size = strlen(config_json);
    manifest_json = manifest_encode(&descriptor, layers);
    return blob_write(store, manifest_json, strlen(manifest_json), ret_manifest_digest, err);
}

/* A manifest of OCI's lists its layers in OCI's types; docker's mean the same. */
static const char *oci_layer_type(const char *media_type)
{
    static const struct {
        const char *docker, *oci;
    } types[] = {
        { MEDIA_DOCKER_LAYER, MEDIA_OCI_LAYER },
        { MEDIA_DOCKER_LAYER ".gzip", MEDIA_OCI_LAYER_GZIP },
        { MEDIA_DOCKER_LAYER ".zstd", MEDIA_OCI_LAYER_ZSTD },
        { MEDIA_DOCKER_FOREIGN_LAYER, MEDIA_OCI_FOREIGN_LAYER },
        { MEDIA_DOCKER_FOREIGN_LAYER ".gzip", MEDIA_OCI_FOREIGN_LAYER "+gzip" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (text_equal(media_type, types[i].docker))
            return types[i].oci;
    }
    return media_type;
}

int image_build_on(const struct image *image, struct image_config *ret_config,
                   struct image_descriptors *ret_layers, struct error *err)
{
    int r;

    assert(image != NULL);
    assert(ret_config != NULL);
    assert(ret_layers != NULL);

    r = image_config_decode(image->config_json, strlen(image->config_json), ret_config, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < image->layers.count; i++) {
        struct image_descriptor *layer = image_descriptors_add(ret_layers);

        image_descriptor_copy(layer, &image->layers.items[i]);
        free(layer->media_type);
        layer->media_type = xstrdup(oci_layer_type(image->layers.items[i].media_type));
    }
    return 0;
}
