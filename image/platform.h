#ifndef IMAGE_PLATFORM_H
#define IMAGE_PLATFORM_H

#include <stdbool.h>

#include "image/image.h"

/** Whether an index's entry is an attestation or another companion that is no image itself. */
bool platform_is_companion(const struct image_descriptor *descriptor);

/** Whether a descriptor names a platform that is not this machine's; one without a platform may be
 * anything. */
bool platform_is_foreign(const struct image_descriptor *descriptor);

/** "linux/arm/v7", or "unknown" without a platform. Caller frees. */
char *platform_format(const struct image_descriptor *descriptor);

#endif
