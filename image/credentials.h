#ifndef IMAGE_CREDENTIALS_H
#define IMAGE_CREDENTIALS_H

#include "image/image.h"

/* Logins, in the files that docker and podman share (containers-auth.json(5), docker's
 * config.json): read by berth, and written by `berth login`. */

struct credential {
    char *username, *password;
    char *identity_token; /* an OAuth2 refresh token, in place of a password */
    char *registry_token;
};
void credential_clear(struct credential *credential);

/* What one file says. */
struct auth_entry {
    char *key;  /* "quay.io/team", "https://index.docker.io/v1/" */
    char *auth; /* base64 of "user:password" */
    char *username, *password, *identity_token, *registry_token;
};
struct auth_entries {
    struct auth_entry *items;
    size_t count;
};
struct auth_file {
    struct auth_entries auths;
    struct string_map helpers; /* registry to credential helper */
    char *store;               /* helper of all others */
};
/** @is_legacy  .dockercfg, which is the object "auths" alone */
int auth_file_decode(const char *json, size_t length, bool is_legacy, struct auth_file *ret_file,
                     struct error *err);
void auth_file_clear(struct auth_file *file);

/**
 * The keys under which a login may be found, the most specific first: "h/a/b", "h/a", "h", and what
 * docker writes for its Hub.
 *
 * @registry    as references name it: "docker.io"
 * @repository  NULL: of the registry as a whole
 */
void credential_keys(const char *registry, const char *repository, struct strings *ret_keys);
/** The entry that fits best, or NULL. Keys that are URLs are read as their hosts. */
const struct auth_entry *auth_file_find(const struct auth_file *file, const struct strings *keys);
/** What an entry says; -EINVAL: its "auth" is no base64 of two words. */
int auth_entry_read(const struct auth_entry *entry, struct credential *ret_credential,
                    struct error *err);

/**
 * Finds the login for a repository in this user's files and helpers; none is an empty one.
 *
 * @ret_source  file or helper it is from; NULL when there is none; caller frees; may be NULL
 */
int credential_find(const char *registry, const char *repository, struct credential *ret_credential,
                    char **ret_source, struct error *err);

/** Path of the file that a login is written to. Caller frees. */
char *credential_file(void);
/** Writes a login, or removes it (@credential NULL; 0 when there was none, else 1). */
int credential_store(const char *registry, const struct credential *credential, struct error *err);

#endif
