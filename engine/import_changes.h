#ifndef ENGINE_IMPORT_CHANGES_H
#define ENGINE_IMPORT_CHANGES_H

#include "base/decode.h"
#include "base/error.h"
#include "base/text.h"
#include "image/image.h"

/* What `berth import --change` understands: one Dockerfile instruction that only changes an image's
 * config. Pure. */

/**
 * Applies "CMD [\"sh\"]", "ENV A=1 B=2", "EXPOSE 80/tcp"...
 *
 * -EINVAL: unknown, or not written as the instruction wants it.
 */
int import_change_apply(struct image_config *config, const char *instruction, struct error *err);

/* A JSON array of strings, as a member of an object (import_fields.c). */
struct import_words {
    struct strings words;
};
extern const struct object import_words_object;

#endif
