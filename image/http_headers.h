#ifndef IMAGE_HTTP_HEADERS_H
#define IMAGE_HTTP_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Values of headers that registries send. Nothing here trusts them: what does not fit is -EINVAL
 * or NULL. */

/** "bytes 100-199/1234" or with "*" for the whole size, which is UINT64_MAX then. */
int http_content_range_parse(const char *value, uint64_t *ret_first, uint64_t *ret_last,
                             uint64_t *ret_size, struct error *err);

/** Range of an upload, "0-1023": how many bytes the registry has (distribution-spec, "Pushing a
 * blob in chunks"). "0-0" is taken for none, as docker's registry means it. */
int http_upload_range_parse(const char *value, uint64_t *ret_bytes, struct error *err);

/** Retry-After: seconds, or a date. @now: seconds since 1970. */
int http_retry_after_parse(const char *value, int64_t now, uint64_t *ret_seconds,
                           struct error *err);

/** Of Link, the target of rel="next" (RFC 8288), or NULL. Caller frees. */
char *http_link_next(const char *value);

/** Content-Type without parameters, or NULL. Caller frees. */
char *http_media_type(const char *value);

#endif
