/* Any bytes as each of the documents of an image. A manifest or a config that was taken comes back
 * from its encoded form. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "image/documents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_document(const char *json, size_t length)
{
    AUTO_CLEAR(document) struct document document = { 0 };
    AUTO_CLEAR(document) struct document again = { 0 };
    auto_free char *encoded = NULL;

    if (document_decode(json, length, NULL, &document, NULL) < 0 ||
        document.kind != DOCUMENT_MANIFEST)
        return;
    assert(document.layers.count <= IMAGE_LAYERS_MAX);
    encoded = manifest_encode(&document.config, &document.layers);
    assert(document_decode(encoded, strlen(encoded), MEDIA_OCI_MANIFEST, &again, NULL) == 0);
    assert(again.layers.count == document.layers.count);
}

/* What is copied without being understood: lists of referrers come back from their encoded form. */
static void try_any(const char *json, size_t length)
{
    AUTO_CLEAR(document) struct document document = { 0 };
    AUTO_CLEAR(document) struct document again = { 0 };
    auto_free char *encoded = NULL;

    if (document_decode_any(json, length, NULL, &document, NULL) < 0 ||
        document.kind != DOCUMENT_INDEX)
        return;
    encoded = index_encode(&document.manifests);
    assert(document_decode_any(encoded, strlen(encoded), MEDIA_OCI_INDEX, &again, NULL) == 0);
    assert(again.manifests.count == document.manifests.count);
}

static void try_config(const char *json, size_t length)
{
    AUTO_CLEAR(image_config) struct image_config config = { 0 };
    AUTO_CLEAR(image_config) struct image_config again = { 0 };
    auto_free char *encoded = NULL;

    if (image_config_decode(json, length, &config, NULL) < 0)
        return;
    encoded = image_config_encode(&config);
    assert(image_config_decode(encoded, strlen(encoded), &again, NULL) == 0);
    assert(again.diff_ids.count == config.diff_ids.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_CLEAR(docker_images) struct docker_images images = { 0 };
    AUTO_CLEAR(image_record) struct image_record record = { 0 };
    auto_free char *json = xcalloc(1, size > 0 ? size : 1); /* exact size: overreads show */

    if (size > 0)
        memcpy(json, data, size);

    try_document(json, size);
    try_any(json, size);
    try_config(json, size);
    (void)docker_images_decode(json, size, &images, NULL);
    (void)image_record_decode(json, size, &record, NULL);
    return 0;
}
