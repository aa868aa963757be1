#ifndef CLI_IMAGE_MAKE_H
#define CLI_IMAGE_MAKE_H

#include <stdint.h>

#include "cli/progress.h"
#include "engine/engine.h"

/* `berth image make`: what its kinds of image share. */

struct image_make {
    struct engine *engine;
    struct progress *progress;
    int64_t epoch; /* SOURCE_DATE_EPOCH: the newest time in the image */
    struct layer_writer *layer;
    /* debian */
    const char *suite, *variant;
    struct strings packages;
};

/** Fills the layer and says how the image is run. Each one appends its default tags to @tags if
 * that is empty. */
typedef int image_maker(struct image_make *make, struct image_config *config, struct strings *tags,
                        struct error *err);
image_maker image_make_busybox, image_make_debian;

/** Whether the bytes are an ELF program that needs no interpreter (and so no libraries of the
 * root). */
bool elf_is_static(const void *bytes, size_t length);

/** busybox's root as a tar: @applets without paths, @program its bytes. */
int busybox_root_write(struct layer_writer *layer, const void *program, size_t length,
                       const struct strings *applets, int64_t epoch, struct error *err);

#endif
