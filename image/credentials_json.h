#ifndef IMAGE_CREDENTIALS_JSON_H
#define IMAGE_CREDENTIALS_JSON_H

#include "image/credentials.h"

/* Between credentials.c and credentials_fields.c. */

/* What a credential helper says, and is told (docker-credential-helpers). */
struct helper_answer {
    char *username, *secret, *server;
};
int helper_answer_decode(const char *json, size_t length, struct helper_answer *ret_answer,
                         struct error *err);
char *helper_answer_encode(const struct helper_answer *answer);
void helper_answer_clear(struct helper_answer *answer);

/**
 * Changes a file's text: removes the entries of @keys, and adds one under the first key.
 *
 * @length  0: there is no file yet
 * @auth    NULL: none is added
 *
 * Returns how many were removed.
 */
int auth_file_edit(const char *json, size_t length, const struct strings *keys, const char *auth,
                   const char *identity_token, char **ret_json, struct error *err);

#endif
