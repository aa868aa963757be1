#include "image/credentials.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/decode.h"
#include "image/credentials_json.h"

static const struct field entry_fields[] = {
    FIELD_OF(struct auth_entry, auth, "auth", FIELD_STRING, 0),
    FIELD_OF(struct auth_entry, username, "username", FIELD_STRING, 0),
    FIELD_OF(struct auth_entry, password, "password", FIELD_STRING, 0),
    FIELD_OF(struct auth_entry, identity_token, "identitytoken", FIELD_STRING, 0),
    FIELD_OF(struct auth_entry, registry_token, "registrytoken", FIELD_STRING, 0),
    { 0 },
};
static const struct object entry_object = { entry_fields, sizeof(struct auth_entry), 0 };
static const struct field file_fields[] = {
    FIELD_OBJECT(struct auth_file, auths, "auths", FIELD_STRUCT, &entry_object, FIELD_DICTIONARY),
    FIELD_OF(struct auth_file, helpers, "credHelpers", FIELD_MAP, 0),
    FIELD_OF(struct auth_file, store, "credsStore", FIELD_STRING, 0),
    { 0 },
};
static const struct object file_object = { file_fields, sizeof(struct auth_file), 0 };

int auth_file_decode(const char *json, size_t length, bool is_legacy, struct auth_file *ret_file,
                     struct error *err)
{
    auto_free char *whole = NULL;

    if (is_legacy) {
        whole = xasprintf("{\"auths\":%.*s}", (int)length, json);
        json = whole;
        length = strlen(whole);
    }
    return decode_text(&file_object, json, length, ret_file, NULL, err);
}

void auth_file_clear(struct auth_file *file)
{
    object_clear(&file_object, file);
}

/* --- helpers ---------------------------------------------------------------------------------- */

static const struct field helper_fields[] = {
    FIELD_OF(struct helper_answer, username, "Username", FIELD_STRING, 0),
    FIELD_OF(struct helper_answer, secret, "Secret", FIELD_STRING, 0),
    FIELD_OF(struct helper_answer, server, "ServerURL", FIELD_STRING, 0),
    { 0 },
};
static const struct object helper_object = { helper_fields, sizeof(struct helper_answer), 0 };

int helper_answer_decode(const char *json, size_t length, struct helper_answer *ret_answer,
                         struct error *err)
{
    return decode_text(&helper_object, json, length, ret_answer, NULL, err);
}

char *helper_answer_encode(const struct helper_answer *answer)
{
    return encode_text(&helper_object, answer, ENCODE_COMPACT);
}

void helper_answer_clear(struct helper_answer *answer)
{
    object_clear(&helper_object, answer);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Other members of the file are other programs': they stay as they are. */
int auth_file_edit(const char *json, size_t length, const struct strings *keys, const char *auth,
                   const char *identity_token, char **ret_json, struct error *err)
{
    json_error_t reason;
    json_t *file =
        length == 0 ? json_object() : json_loadb(json, length, JSON_REJECT_DUPLICATES, &reason);
    json_t *auths;
    int removed = 0;
    char *text;

    if (!json_is_object(file)) {
        json_decref(file);
        return error_set(err, EINVAL, "it is no JSON object");
    }
    auths = json_object_get(file, "auths");
    if (!json_is_object(auths)) {
        auths = json_object();
        (void)json_object_set_new(file, "auths", auths); /* fails only without memory */
    }
    for (size_t i = 0; i < keys->count; i++)
        removed += json_object_del(auths, keys->items[i]) == 0;
    if (auth != NULL) {
        json_t *entry = json_object();

        (void)json_object_set_new(entry, "auth", json_string(auth));
        if (identity_token != NULL)
            (void)json_object_set_new(entry, "identitytoken", json_string(identity_token));
        (void)json_object_set_new(auths, keys->items[0], entry);
    }
    text = json_dumps(file, JSON_INDENT(4) | JSON_PRESERVE_ORDER);
    json_decref(file);
    if (text == NULL)
        return error_set(err, EINVAL, "it cannot be written again");
    *ret_json = text;
    return removed;
}
