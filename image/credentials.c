#include "image/credentials.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/process.h"
#include "image/credentials_json.h"

#define FILE_MAX          (1u << 20)
#define HELPER_ANSWER_MAX (64u << 10)
#define DOCKER_HUB        "docker.io"
#define DOCKER_HUB_KEY    "https://index.docker.io/v1/"

void credential_clear(struct credential *credential)
{
    free(credential->username);
    free(credential->password);
    free(credential->identity_token);
    free(credential->registry_token);
    *credential = (struct credential){ 0 };
}

/* --- choosing --------------------------------------------------------------------------------- */

void credential_keys(const char *registry, const char *repository, struct strings *ret_keys)
{
    auto_free char *name =
        repository != NULL ? xasprintf("%s/%s", registry, repository) : xstrdup(registry);

    for (;;) {
        char *slash = strrchr(name, '/');

        strings_add(ret_keys, name);
        if (slash == NULL)
            break;
        *slash = '\0';
    }
    if (strcmp(registry, DOCKER_HUB) == 0) {
        strings_add(ret_keys, DOCKER_HUB_KEY);
        strings_add(ret_keys, "index.docker.io");
        strings_add(ret_keys, "registry-1.docker.io");
    }
}

/* Old files have URLs as keys: "https://host/v1/". */
static char *plain_key(const char *key)
{
    const char *begin = strstr(key, "://");

    if (begin == NULL)
        return xstrdup(key);
    begin += 3;
    return xstrndup(begin, strcspn(begin, "/"));
}

const struct auth_entry *auth_file_find(const struct auth_file *file, const struct strings *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        for (size_t j = 0; j < file->auths.count; j++) {
            if (strcmp(file->auths.items[j].key, keys->items[i]) == 0)
                return &file->auths.items[j];
        }
        for (size_t j = 0; j < file->auths.count; j++) {
            auto_free char *plain = plain_key(file->auths.items[j].key);

            if (strcmp(plain, keys->items[i]) == 0)
                return &file->auths.items[j];
        }
    }
    return NULL;
}

/* "user:password" out of base64; the second part is NULL-terminated by what docker pads it with. */
static int decode_auth(const char *auth, char **ret_username, char **ret_password,
                       struct error *err)
{
    size_t length = strlen(auth);
    auto_free char *text = xcalloc(1, length + 4);
    char *colon;

    if (length == 0 || length > FILE_MAX ||
        EVP_DecodeBlock((unsigned char *)text, (const unsigned char *)auth, (int)length) < 0)
        return error_set(err, EINVAL, "its member 'auth' is no base64");
    colon = strchr(text, ':');
    if (colon == NULL || colon == text)
        return error_set(err, EINVAL, "its member 'auth' is no name and password");
    *ret_username = xstrndup(text, (size_t)(colon - text));
    *ret_password = xstrdup(colon + 1);
    return 0;
}

static char *encode_auth(const char *username, const char *password)
{
    auto_free char *text = xasprintf("%s:%s", username, password);
    size_t length = strlen(text);
    char *auth = xcalloc(1, (length + 2) / 3 * 4 + 1);

    (void)EVP_EncodeBlock((unsigned char *)auth, (const unsigned char *)text, (int)length);
    return auth;
}

int auth_entry_read(const struct auth_entry *entry, struct credential *ret_credential,
                    struct error *err)
{
    AUTO_CLEAR(credential)
    struct credential credential = {
        .identity_token =
            text_is_empty(entry->identity_token) ? NULL : xstrdup(entry->identity_token),
        .registry_token =
            text_is_empty(entry->registry_token) ? NULL : xstrdup(entry->registry_token),
    };
    int r = 0;

    if (!text_is_empty(entry->username)) {
        credential.username = xstrdup(entry->username);
        credential.password = xstrdup(entry->password);
    } else if (!text_is_empty(entry->auth)) {
        r = decode_auth(entry->auth, &credential.username, &credential.password, err);
    }
    if (r < 0)
        return r;
    *ret_credential = credential;
    credential = (struct credential){ 0 };
    return 0;
}

/* --- helpers ---------------------------------------------------------------------------------- */

static int helper_finish(pid_t pid, const char *name, struct error *err)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    status = process_exit_status(status);
    return status == 0
               ? 0
               : error_set(err, EIO, "credential helper '%s' ends with status %d", name, status);
}

/* Runs docker-credential-NAME ACTION; @input goes to it, what it prints comes back. */
static int helper_run(const char *name, const char *action, const char *input, char **ret_output,
                      struct error *err)
{
    AUTO_CLEAR(strings) struct strings arguments = { 0 };
    auto_free char *program = xasprintf("docker-credential-%s", name);
    auto_free char *output = NULL;
    struct error failure = { 0 };
    int in[2], out[2];
    pid_t pid;
    int r;

    if (name[0] == '\0' || strchr(name, '/') != NULL)
        return error_set(err, EINVAL, "'%s' is no credential helper", name);
    if (pipe2(in, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    if (pipe2(out, O_CLOEXEC) < 0) {
        r = error_errno(err, "make a pipe");
        (void)close(in[0]);
        (void)close(in[1]);
        return r;
    }
    strings_add(&arguments, program);
    strings_add(&arguments, action);
    r = process_spawn(&arguments, (const int[]){ in[0], out[1], 2 }, &pid, err);
    (void)close(in[0]); /* the child's */
    (void)close(out[1]);
    if (r == 0) {
        /* It is short: a pipe takes it at once. One that reads nothing fails by itself. */
        (void)fd_write_all(in[1], input, strlen(input), program, NULL);
        (void)close(in[1]);
        r = fd_read_all(out[0], HELPER_ANSWER_MAX, program, &output, NULL, &failure);
        if (helper_finish(pid, program, err) < 0)
            r = -EIO;
        else if (r < 0)
            r = error_set(err, -r, "%s", failure.message);
    } else {
        (void)close(in[1]);
    }
    (void)close(out[0]); /* only read */
    if (r == 0 || output != NULL)
        *ret_output = take_ptr(&output);
    return r;
}

/* 1: it knows a login; 0: it has none. */
static int helper_get(const char *name, const char *server, struct credential *ret_credential,
                      struct error *err)
{
    struct helper_answer answer = { 0 };
    auto_free char *output = NULL;
    struct error failure = { 0 };
    int r;

    r = helper_run(name, "get", server, &output, &failure);
    if (r < 0 && output != NULL && strstr(output, "credentials not found") != NULL)
        return 0;
    if (r < 0)
        return error_set(err, -r, "%s", failure.message);
    r = helper_answer_decode(output, strlen(output), &answer, err);
    if (r < 0)
        return error_prefix(err, r, "credential helper '%s'", name);
    if (!text_is_empty(answer.username) && answer.secret != NULL) {
        if (strcmp(answer.username, "<token>") == 0) {
            ret_credential->identity_token = take_ptr(&answer.secret);
        } else {
            ret_credential->username = take_ptr(&answer.username);
            ret_credential->password = take_ptr(&answer.secret);
        }
        r = 1;
    }
    helper_answer_clear(&answer);
    return r;
}

/* How docker names a registry to a helper. */
static const char *helper_server(const char *registry)
{
    return strcmp(registry, DOCKER_HUB) == 0 ? DOCKER_HUB_KEY : registry;
}

/* --- the files -------------------------------------------------------------------------------- */

static char *home_path(const char *name)
{
    const char *home = getenv("HOME");

    return text_is_empty(home) ? NULL : path_join(home, name);
}

static char *runtime_path(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    return text_is_empty(runtime) ? xasprintf("/run/containers/%u/auth.json", geteuid())
                                  : path_join(runtime, "containers/auth.json");
}

static char *config_path(void)
{
    const char *config = getenv("XDG_CONFIG_HOME");

    return text_is_empty(config) ? home_path(".config/containers/auth.json")
                                 : path_join(config, "containers/auth.json");
}

static char *docker_path(void)
{
    const char *config = getenv("DOCKER_CONFIG");

    return text_is_empty(config) ? home_path(".docker/config.json")
                                 : path_join(config, "config.json");
}

/* As containers-auth.json(5) orders them; the last one is docker's oldest. */
static void list_files(struct strings *ret_paths)
{
    const char *chosen = getenv("REGISTRY_AUTH_FILE");
    char *const paths[] = { runtime_path(), config_path(), docker_path(), home_path(".dockercfg") };

    if (!text_is_empty(chosen))
        strings_add(ret_paths, chosen);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        if (paths[i] != NULL)
            strings_take(ret_paths, paths[i]);
    }
}

static bool is_legacy(const char *path)
{
    return text_ends(path, "/.dockercfg");
}

static int read_auth_file(const char *path, struct auth_file *ret_file, struct error *err)
{
    auto_free char *json = NULL;
    size_t length;
    int r;

    r = file_read(AT_FDCWD, path, FILE_MAX, &json, &length, err);
    if (r < 0)
        return r;
    r = auth_file_decode(json, length, is_legacy(path), ret_file, err);
    return r < 0 ? error_prefix(err, r, "'%s'", path) : 0;
}

/* 1: found. */
static int find_in_file(const struct auth_file *file, const char *registry,
                        const struct strings *keys, struct credential *ret_credential,
                        char **ret_helper, struct error *err)
{
    const char *helper = NULL;
    const struct auth_entry *entry;
    int r = 0;

    for (size_t i = 0; i < keys->count && helper == NULL; i++)
        helper = string_map_get(&file->helpers, keys->items[i]);
    if (helper == NULL)
        helper = file->store;
    if (!text_is_empty(helper)) {
        r = helper_get(helper, helper_server(registry), ret_credential, err);
        if (r > 0)
            *ret_helper = xasprintf("docker-credential-%s", helper);
        if (r != 0)
            return r;
    }
    entry = auth_file_find(file, keys);
    if (entry == NULL)
        return 0;
    r = auth_entry_read(entry, ret_credential, err);
    if (r < 0)
        return error_prefix(err, r, "the login for '%s'", entry->key);
    return ret_credential->username != NULL || ret_credential->identity_token != NULL ||
           ret_credential->registry_token != NULL;
}

int credential_find(const char *registry, const char *repository, struct credential *ret_credential,
                    char **ret_source, struct error *err)
{
    AUTO_CLEAR(strings) struct strings paths = { 0 };
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    struct credential credential = { 0 };

    assert(registry != NULL);
    assert(ret_credential != NULL);

    credential_keys(registry, repository, &keys);
    list_files(&paths);
    for (size_t i = 0; i < paths.count; i++) {
        AUTO_CLEAR(auth_file) struct auth_file file = { 0 };
        auto_free char *helper = NULL;
        int r;

        r = read_auth_file(paths.items[i], &file, err);
        if (r == -ENOENT || r == -ENOTDIR || r == -EACCES)
            continue;
        if (r == 0)
            r = find_in_file(&file, registry, &keys, &credential, &helper, err);
        if (r < 0)
            return error_prefix(err, r, "'%s'", paths.items[i]);
        if (r > 0) {
            log_debug("login for %s from %s", registry, helper != NULL ? helper : paths.items[i]);
            if (ret_source != NULL)
                *ret_source = helper != NULL ? take_ptr(&helper) : xstrdup(paths.items[i]);
            break;
        }
    }
    *ret_credential = credential;
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

char *credential_file(void)
{
    const char *chosen = getenv("REGISTRY_AUTH_FILE");

    return !text_is_empty(chosen) ? xstrdup(chosen) : docker_path();
}

/* The keys under which a registry's own login may be, that of a new one first. */
static void own_keys(const char *registry, struct strings *ret_keys)
{
    if (strcmp(registry, DOCKER_HUB) == 0)
        strings_add(ret_keys, DOCKER_HUB_KEY);
    credential_keys(registry, NULL, ret_keys);
    strings_addf(ret_keys, "https://%s", registry);
    strings_addf(ret_keys, "https://%s/v1/", registry);
    strings_addf(ret_keys, "https://%s/v2/", registry);
}

static const char *helper_for(const struct auth_file *file, const struct strings *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        const char *helper = string_map_get(&file->helpers, keys->items[i]);

        if (!text_is_empty(helper))
            return helper;
    }
    return text_is_empty(file->store) ? NULL : file->store;
}

static int give_to_helper(const char *helper, const char *registry,
                          const struct credential *credential, struct error *err)
{
    struct helper_answer message = { .server = (char *)helper_server(registry) };
    auto_free char *output = NULL;
    auto_free char *json = NULL;

    if (credential == NULL)
        return helper_run(helper, "erase", message.server, &output, err);
    message.username =
        credential->identity_token != NULL ? (char *)"<token>" : credential->username;
    message.secret =
        credential->identity_token != NULL ? credential->identity_token : credential->password;
    json = helper_answer_encode(&message);
    return helper_run(helper, "store", json, &output, err);
}

/* Returns how many logins were removed or replaced. */
static int edit_file(const char *path, const struct strings *keys,
                     const struct credential *credential, struct error *err)
{
    auto_free char *json = NULL;
    auto_free char *changed = NULL;
    auto_free char *auth = NULL;
    size_t length = 0;
    int count, r;

    r = file_read(AT_FDCWD, path, FILE_MAX, &json, &length, err);
    if (r < 0 && r != -ENOENT)
        return r;
    if (r == -ENOENT && credential == NULL)
        return 0;
    if (credential != NULL)
        auth = encode_auth(credential->username != NULL ? credential->username : "",
                           credential->password != NULL ? credential->password : "");
    count = auth_file_edit(json != NULL ? json : "", length, keys, auth,
                           credential != NULL ? credential->identity_token : NULL, &changed, err);
    if (count < 0)
        return error_prefix(err, count, "'%s'", path);
    if (count == 0 && credential == NULL)
        return 0;
    r = file_replace(AT_FDCWD, path, changed, strlen(changed), 0600, FILE_SYNC_DATA, err);
    return r < 0 ? r : count;
}

/* The file that has a login for the registry already, else docker's, which podman reads as well. */
static char *file_to_write(const struct strings *paths, const struct strings *keys)
{
    for (size_t i = 0; i < paths->count; i++) {
        AUTO_CLEAR(auth_file) struct auth_file file = { 0 };

        if (!is_legacy(paths->items[i]) && read_auth_file(paths->items[i], &file, NULL) == 0 &&
            auth_file_find(&file, keys) != NULL)
            return xstrdup(paths->items[i]);
    }
    return credential_file();
}

static int store_login(const char *registry, const struct strings *paths,
                       const struct strings *keys, const struct credential *credential,
                       struct error *err)
{
    AUTO_CLEAR(auth_file) struct auth_file file = { 0 };
    auto_free char *path = file_to_write(paths, keys);
    auto_free char *folder = NULL;
    const char *helper;
    int r;

    if (path == NULL || strrchr(path, '/') == NULL)
        return error_set(err, ENOENT, "HOME is not set: there is no place for a login");
    r = read_auth_file(path, &file, err);
    if (r < 0 && r != -ENOENT)
        return r;
    helper = helper_for(&file, keys);
    if (helper != NULL)
        return give_to_helper(helper, registry, credential, err);
    folder = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    if (folder[0] != '\0') {
        r = path_create_directory(folder, 0700, NULL, err);
        if (r < 0)
            return r;
    }
    r = edit_file(path, keys, credential, err);
    return r < 0 ? r : 0;
}

static int remove_login(const char *registry, const struct strings *paths,
                        const struct strings *keys, struct error *err)
{
    int removed = 0;

    for (size_t i = 0; i < paths->count; i++) {
        AUTO_CLEAR(auth_file) struct auth_file file = { 0 };
        struct credential known = { 0 };
        const char *helper;
        int r;

        r = read_auth_file(paths->items[i], &file, err);
        if (r == -ENOENT || r == -ENOTDIR)
            continue;
        if (r < 0)
            return r;
        helper = helper_for(&file, keys);
        if (helper != NULL) {
            r = helper_get(helper, helper_server(registry), &known, err);
            credential_clear(&known);
            removed += r > 0;
            if (r > 0)
                r = give_to_helper(helper, registry, NULL, err);
            if (r < 0)
                return r;
        }
        r = is_legacy(paths->items[i]) ? 0 : edit_file(paths->items[i], keys, NULL, err);
        if (r < 0)
            return r;
        removed += r;
    }
    return removed > 0;
}

int credential_store(const char *registry, const struct credential *credential, struct error *err)
{
    AUTO_CLEAR(strings) struct strings paths = { 0 };
    AUTO_CLEAR(strings) struct strings keys = { 0 };

    assert(registry != NULL);

    list_files(&paths);
    own_keys(registry, &keys);
    return credential != NULL ? store_login(registry, &paths, &keys, credential, err)
                              : remove_login(registry, &paths, &keys, err);
}
