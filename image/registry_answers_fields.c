#include "image/registry_answers.h"

#include <stdlib.h>

static const struct field token_fields[] = {
    FIELD_OF(struct registry_token, token, "token", FIELD_STRING, 0),
    FIELD_OF(struct registry_token, access_token, "access_token", FIELD_STRING, 0),
    FIELD_OF(struct registry_token, expires_in, "expires_in", FIELD_U64, 0),
    { 0 },
};
static const struct object token_object = { token_fields, sizeof(struct registry_token), 0 };

int registry_token_decode(const char *json, size_t length, struct registry_token *ret_token,
                          struct error *err)
{
    return decode_text(&token_object, json, length, ret_token, NULL, err);
}

void registry_token_clear(struct registry_token *token)
{
    object_clear(&token_object, token);
}

struct answer_error {
    char *code, *message;
};
struct answer_errors {
    struct answer_error *items;
    size_t count;
};
struct answer {
    struct answer_errors errors;
    char *details; /* some token servers: {"details": "..."} */
};

static const struct field error_fields[] = {
    FIELD_OF(struct answer_error, code, "code", FIELD_STRING, 0),
    FIELD_OF(struct answer_error, message, "message", FIELD_STRING, 0),
    { 0 },
};
static const struct object error_object = { error_fields, sizeof(struct answer_error), 0 };
static const struct field answer_fields[] = {
    FIELD_OBJECT(struct answer, errors, "errors", FIELD_STRUCT, &error_object, FIELD_ARRAY),
    FIELD_OF(struct answer, details, "details", FIELD_STRING, 0),
    { 0 },
};
static const struct object answer_object = { answer_fields, sizeof(struct answer), 0 };

char *registry_error_text(const char *json, size_t length)
{
    struct answer answer = { 0 };
    char *text = NULL;

    if (decode_text(&answer_object, json, length, &answer, NULL, NULL) < 0)
        return NULL;
    if (answer.errors.count > 0) {
        const struct answer_error *error = &answer.errors.items[0];

        if (!text_is_empty(error->message))
            text = xstrdup(error->message);
        else
            text = xstrdup(error->code);
    } else if (answer.details != NULL) {
        text = xstrdup(answer.details);
    }
    object_clear(&answer_object, &answer);
    return text;
}

struct names_answer {
    struct strings tags, repositories;
};
static const struct field names_fields[] = {
    FIELD_OF(struct names_answer, tags, "tags", FIELD_STRINGS, 0),
    FIELD_OF(struct names_answer, repositories, "repositories", FIELD_STRINGS, 0),
    { 0 },
};
static const struct object names_object = { names_fields, sizeof(struct names_answer), 0 };

int registry_names_decode(const char *json, size_t length, struct strings *ret_names,
                          struct error *err)
{
    struct names_answer answer = { 0 };
    int r = decode_text(&names_object, json, length, &answer, NULL, err);

    if (r < 0)
        return r;
    strings_add_all(ret_names, answer.tags.count > 0 ? &answer.tags : &answer.repositories);
    object_clear(&names_object, &answer);
    return 0;
}

/* --- search ----------------------------------------------------------------------------------- */

static const struct field found_fields[] = {
    FIELD_OF(struct registry_found, name, "name", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct registry_found, description, "description", FIELD_STRING, 0),
    FIELD_OF(struct registry_found, stars, "star_count", FIELD_U64, 0),
    FIELD_OF(struct registry_found, is_official, "is_official", FIELD_BOOL, 0),
    FIELD_OF(struct registry_found, is_automated, "is_automated", FIELD_BOOL, 0),
    { 0 },
};
static const struct object found_object = { found_fields, sizeof(struct registry_found), 0 };
static const struct field search_fields[] = {
    { .name = "results",
      .type = FIELD_STRUCT,
      .offset = 0,
      .flags = FIELD_ARRAY,
      .has_offset = SIZE_MAX,
      .object = &found_object },
    { 0 },
};
static const struct object search_object = { search_fields, sizeof(struct registry_search), 0 };

int registry_search_decode(const char *json, size_t length, struct registry_search *ret_search,
                           struct error *err)
{
    return decode_text(&search_object, json, length, ret_search, NULL, err);
}

void registry_search_clear(struct registry_search *search)
{
    object_clear(&search_object, search);
}

/* --- inspect ---------------------------------------------------------------------------------- */

static const struct field view_fields[] = {
    FIELD_OF(struct registry_view, name, "Name", FIELD_STRING, 0),
    FIELD_OF(struct registry_view, digest, "Digest", FIELD_STRING, 0),
    FIELD_OF(struct registry_view, tags, "RepoTags", FIELD_STRINGS, FIELD_KEEP_EMPTY),
    FIELD_OF(struct registry_view, created, "Created", FIELD_STRING, 0),
    FIELD_OF(struct registry_view, labels, "Labels", FIELD_MAP, FIELD_KEEP_EMPTY),
    FIELD_OF(struct registry_view, architecture, "Architecture", FIELD_STRING, 0),
    FIELD_OF(struct registry_view, os, "Os", FIELD_STRING, 0),
    FIELD_OF(struct registry_view, layers, "Layers", FIELD_STRINGS, FIELD_KEEP_EMPTY),
    FIELD_OF(struct registry_view, env, "Env", FIELD_STRINGS, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object view_object = { view_fields, sizeof(struct registry_view), 0 };

char *registry_view_encode(const struct registry_view *view)
{
    return encode_text(&view_object, view, ENCODE_INDENTED);
}
