#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/auto.h"
#include "base/error.h"

/* Digests as text, "sha256:<64 hex>" or "sha512:<128 hex>" (image-spec, descriptor.md, "Digests").
 * Computing them is in base/hash.h, so that programs that only name blobs do not link libcrypto. */

#define DIGEST_TEXT_MAX (7 + 128 + 1)

struct digest {
    char text[DIGEST_TEXT_MAX]; /* "sha256:..." */
};

/** Checks strictly, before any path is built from it: known algorithm, exact length, lower case. */
int digest_parse(const char *text, struct digest *ret_digest, struct error *err);
bool digest_equal(const struct digest *a, const struct digest *b);
const char *digest_hex(const struct digest *digest);       /* behind the colon; borrowed */
const char *digest_algorithm(const struct digest *digest); /* "sha256" or "sha512"; static */

#endif
