#ifndef BASE_DECODE_SCAN_H
#define BASE_DECODE_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

/* Private to base/decode.c: what has to be known about a document before jansson reads it.
 *
 * jansson keeps integers in an int64_t and refuses larger ones, but limits of the OCI
 * specification are uint64_t, and 18446744073709551615 means "unlimited" in many a config.json.
 * Such a number becomes the string MARK + digits for jansson. MARK is U+FFFF, a noncharacter that
 * no text contains for good reason; a document that has both is refused. */
#define SCAN_MARK        "\xef\xbf\xbf"
#define SCAN_MARK_LENGTH 3

/**
 * Checks the depth and marks the large numbers.
 *
 * @rewritten  stays empty when the document has no large number: use the original then
 */
int scan_document(const char *json, size_t length, unsigned depth_max, struct text *rewritten,
                  struct error *err);

/** Turns the marked strings in JSON text back into numbers, in place. */
void scan_unmark(char *json);

/** The digits of a marked number, or NULL for any other string. */
const char *scan_marked_digits(const char *string);

#endif
