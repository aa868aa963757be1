#ifndef IMAGE_PLATFORM_H
#define IMAGE_PLATFORM_H

#include <stdbool.h>

#include "image/image.h"

/** Whether an index's entry is an attestation or another companion that is no image itself. */
bool platform_is_companion(const struct image_descriptor *descriptor);

/** Whether a descriptor names a platform that is not this machine's; one without a platform may be
 * anything. */
bool platform_is_foreign(const struct image_descriptor *descriptor);

/** Checks what a user gives: "linux/arm64/v8", "linux/amd64", or an architecture alone. */
int platform_check(const char *text, struct error *err);

/**
 * Whether a descriptor's platform is the one that is wanted.
 *
 * @wanted  checked by platform_check(); NULL: this machine's, as platform_is_foreign()
 */
bool platform_matches(const struct image_descriptor *descriptor, const char *wanted);

/** -ENOENT: "there is no image for linux/amd64, only for linux/arm64, windows/amd64". */
int platform_none(const struct image_descriptors *entries, const char *wanted, struct error *err);

/** "linux/arm/v7", or "unknown" without a platform. Caller frees. */
char *platform_format(const struct image_descriptor *descriptor);

#endif
