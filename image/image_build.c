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
