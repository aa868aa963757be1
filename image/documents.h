#ifndef IMAGE_DOCUMENTS_H
#define IMAGE_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "image/image.h"

/* The JSON documents of image-spec 1.1 and of docker's formats, as structs. Private to image/. */

#define IMAGE_LAYERS_MAX        500 /* what overlayfs mounts */
#define IMAGE_INDEX_ENTRIES_MAX 1024

#define MEDIA_OCI_INDEX            "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST         "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_CONFIG           "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_LAYER            "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_OCI_LAYER_GZIP       "application/vnd.oci.image.layer.v1.tar+gzip"
#define MEDIA_OCI_LAYER_ZSTD       "application/vnd.oci.image.layer.v1.tar+zstd"
#define MEDIA_OCI_FOREIGN_LAYER    "application/vnd.oci.image.layer.nondistributable.v1.tar"
#define MEDIA_DOCKER_LAYER         "application/vnd.docker.image.rootfs.diff.tar"
#define MEDIA_DOCKER_FOREIGN_LAYER "application/vnd.docker.image.rootfs.foreign.diff.tar"
#define MEDIA_DOCKER_LIST          "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_MANIFEST      "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_CONFIG        "application/vnd.docker.container.image.v1+json"

enum document_kind { DOCUMENT_INDEX, DOCUMENT_MANIFEST };

/* An index (manifest list) or a manifest, whichever the bytes are. */
struct document {
    enum document_kind kind;
    char *media_type;                   /* as it says itself; NULL */
    struct image_descriptor config;     /* of a manifest */
    struct image_descriptors layers;    /* of a manifest, lowest first */
    struct image_descriptors manifests; /* of an index */
};

/**
 * Decodes an index or a manifest and checks all that it says by itself: its version, that it is
 * not both (CVE-2021-41190), digests, sizes, media types of a manifest's config and layers.
 *
 * @media_type  what the descriptor of these bytes says; NULL: unknown
 * @ret         cleared by document_clear()
 */
int document_decode(const char *json, size_t length, const char *media_type,
                    struct document *ret_document, struct error *err);
/** The same of what need not be an image: an artifact's config and layers may be of any type. */
int document_decode_any(const char *json, size_t length, const char *media_type,
                        struct document *ret_document, struct error *err);
/** What it is: as it says itself, else OCI's form of its kind. Borrowed. */
const char *document_media_type(const struct document *document);
void document_clear(struct document *document);

/** A manifest in its OCI form. Caller frees. */
char *manifest_encode(const struct image_descriptor *config,
                      const struct image_descriptors *layers);

/** An index of manifests. Caller frees. */
char *index_encode(const struct image_descriptors *manifests);

/** Decodes an image's config. */
int image_config_decode(const char *json, size_t length, struct image_config *ret_config,
                        struct error *err);
/** The other direction, for images that berth builds. Caller frees. */
char *image_config_encode(const struct image_config *config);
void image_config_clear(struct image_config *config);

/** Whether it is of a type that no registry distributes, and says where else it is. */
bool layer_is_foreign(const struct image_descriptor *layer);
void image_descriptor_clear(struct image_descriptor *descriptor);
void image_descriptors_clear(struct image_descriptors *list);
/** Appends a zeroed one and returns it. */
struct image_descriptor *image_descriptors_add(struct image_descriptors *list);
/** Deep copy into a zeroed one. */
void image_descriptor_copy(struct image_descriptor *to, const struct image_descriptor *from);

/* docker's manifest.json: what `docker save` puts beside the blobs. */
struct docker_image {
    char *config;
    struct strings repo_tags, layers;
};
struct docker_images {
    struct docker_image *items;
    size_t count;
};
int docker_images_decode(const char *json, size_t length, struct docker_images *ret_images,
                         struct error *err);
/** The other direction. Caller frees. */
char *docker_images_encode(const struct docker_images *images);
void docker_images_clear(struct docker_images *images);

/* images/<digest>: what listing needs without reading manifests. */
struct image_record {
    char *id;
    uint64_t size;
    int64_t created;   /* seconds since 1970, from the config */
    int64_t published; /* when it came into the store */
};
char *image_record_encode(const struct image_record *record);
int image_record_decode(const char *json, size_t length, struct image_record *ret_record,
                        struct error *err);
void image_record_clear(struct image_record *record);

#endif
