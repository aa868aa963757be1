#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

#include "base/error.h"

/**
 * Decodes text of RFC 4648, section 4, whole: with its padding, and nothing else between.
 *
 * @what       names the value in the error
 * @ret_bytes  the caller's to free; never NULL on success
 *
 * Returns 0 or -EINVAL.
 */
int base64_decode(const char *text, const char *what, char **ret_bytes, size_t *ret_length,
                  struct error *err);

#endif
