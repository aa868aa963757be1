#ifndef CLI_IMAGE_FILTER_H
#define CLI_IMAGE_FILTER_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"
#include "image/image.h"

/* `images --filter` and its one word. */

struct image_filters {
    struct strings references; /* patterns: any must match */
    struct strings labels;     /* all must hold */
    bool has_dangling, is_dangling;
    char *before, *since;
};

/** @word: `images busybox`, also a pattern; NULL. */
int image_filters_parse(const struct strings *texts, const char *word,
                        struct image_filters *ret_filters, struct error *err);
void image_filters_clear(struct image_filters *filters);

/** Whether a familiar name ("busybox:latest") is wanted; NULL: an image without names. */
bool image_filters_name(const struct image_filters *filters, const char *name);

/** Whether all that is not about names lets an image of the list through: 1, 0 or negative. */
int image_filters_image(const struct image_filters *filters, struct image_store *store,
                        const struct image_listing *listing, size_t index, struct error *err);

#endif
