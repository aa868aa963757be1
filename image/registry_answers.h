#ifndef IMAGE_REGISTRY_ANSWERS_H
#define IMAGE_REGISTRY_ANSWERS_H

#include <stdint.h>

#include "base/decode.h"
#include "image/registry.h"

/* The JSON that registries and token servers answer with, besides manifests. */

struct registry_token {
    char *token, *access_token; /* either */
    uint64_t expires_in;        /* seconds */
};
int registry_token_decode(const char *json, size_t length, struct registry_token *ret_token,
                          struct error *err);
void registry_token_clear(struct registry_token *token);

/** The message (else the code) of an answer's first error, or NULL when there is none. Caller
 * frees. */
char *registry_error_text(const char *json, size_t length);

/** Names from tags/list ("tags") or _catalog ("repositories"). */
int registry_names_decode(const char *json, size_t length, struct strings *ret_names,
                          struct error *err);

/** Results of the search API, version 1. */
int registry_search_decode(const char *json, size_t length, struct registry_search *ret_search,
                           struct error *err);

/* What skopeo prints of an image at a registry. */
struct registry_view {
    char *name, *digest, *created, *architecture, *os;
    struct strings tags, layers, env;
    struct string_map labels;
};
/** @name: of the repository; NULL: it has none. @tags: borrowed. Caller frees. */
char *registry_view_make(const char *name, const struct digest *digest,
                         const struct image_descriptors *layers, const struct image_config *config,
                         const struct strings *tags);
/** Caller frees. */
char *registry_view_encode(const struct registry_view *view);

#endif
