#ifndef IMAGE_KERNEL_FIELDS_H
#define IMAGE_KERNEL_FIELDS_H

#include "base/decode.h"
#include "image/kernel.h"

extern const struct object kernel_object; /* kernel.json */

#endif
