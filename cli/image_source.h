#ifndef CLI_IMAGE_SOURCE_H
#define CLI_IMAGE_SOURCE_H

#include "image/registry.h"

/* An image that is elsewhere: at a registry, in a layout or in an archive. */

struct image_source {
    struct image_place place;
    struct reference *reference;
    int fd;                    /* of the archive or the directory; -1 */
    struct image_copy_end end; /* the same as image_copy_archive() takes it; borrowed from these */
};

/** @text: as of image_place_parse(). @ret_source: with a descriptor of -1 */
int image_source_open(const struct registries *registries, const char *text,
                      struct image_source *ret_source, struct error *err);
void image_source_clear(struct image_source *source);

/** A name at a registry, with or without "docker://", as skopeo has it; of a short name what pull
 * takes first. */
int image_source_name(const struct registries *registries, const char *text,
                      struct reference **ret_reference, struct error *err);

#endif
