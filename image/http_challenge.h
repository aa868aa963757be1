#ifndef IMAGE_HTTP_CHALLENGE_H
#define IMAGE_HTTP_CHALLENGE_H

#include "base/auto.h"
#include "base/text.h"

/* What a registry wants to see before it answers: WWW-Authenticate (RFC 9110, section 11.6.1;
 * distribution's token specification). */

struct http_challenge {
    char *scheme;                 /* lower case: "bearer", "basic" */
    struct string_map parameters; /* names in lower case; the first of a name counts */
};
struct http_challenges {
    struct http_challenge *items;
    size_t count;
};

/** Adds the challenges of one header's value; what cannot be read ends it. */
void http_challenges_parse(const char *value, struct http_challenges *list);
void http_challenges_clear(struct http_challenges *list);
/** The first of a scheme; NULL. */
const struct http_challenge *http_challenges_find(const struct http_challenges *list,
                                                  const char *scheme);

#endif
