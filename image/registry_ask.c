#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image/registry_answers.h"
#include "image/registry_session.h"

/* What is asked of registries besides images: logins, tags, searches. */

#define PAGES_MAX       1000
#define NAMES_MAX       100000
#define DOCKER_HUB      "docker.io"
#define DOCKER_HUB_FIND "index.docker.io" /* only this one searches */

/* A session with a registry as a whole. @repository: whose settings count where they differ. */
static int open_session(const struct registries *registries, const char *registry,
                        const struct registry_options *options,
                        struct registry_session *ret_session, struct error *err)
{
    auto_free char *text = xasprintf("%s/berth", registry);
    AUTO(reference) struct reference *reference = NULL;
    int r;

    if (!reference_names_registry(text) || strchr(registry, '/') != NULL)
        return error_set(err, EINVAL, "'%s' is no registry; give HOST or HOST:PORT", registry);
    r = reference_parse(text, &reference, err);
    return r < 0 ? r
                 : registry_session_open(registries, reference, options, true, NULL, ret_session,
                                         err);
}

/* A request that is about no repository. */
static int ask_whole(struct registry_session *session, const char *path, const char *scope,
                     char **ret_json, size_t *ret_length, struct fetch_result *ret_result,
                     struct error *err)
{
    AUTO_CLEAR(fetch_request) struct fetch_request request = { 0 };
    int r;

    r = registry_request(session, FETCH_GET, "", &request, err);
    if (r < 0)
        return r;
    free(request.path);
    request.path = xstrdup(path);
    strings_clear(&request.scopes);
    if (scope != NULL)
        strings_add(&request.scopes, scope);
    return fetch_document(session->fetch, &request, ret_json, ret_length, ret_result, err);
}

/* --- logins ----------------------------------------------------------------------------------- */

int registry_login(const struct registries *registries, const char *registry,
                   const struct registry_options *options, const char *username,
                   const char *password, struct error *err)
{
    AUTO_CLEAR(registry_session) struct registry_session session = { 0 };
    struct credential credential = { .username = (char *)username, .password = (char *)password };
    auto_free char *json = NULL;
    size_t length;
    int r;

    assert(registry != NULL);
    assert(username != NULL);
    assert(password != NULL);

    if (username[0] == '\0' || strchr(username, ':') != NULL)
        return error_set(err, EINVAL, "'%s' cannot be a user's name", username);
    r = open_session(registries, registry, options, &session, err);
    if (r < 0)
        return r;
    session.credential = &credential;
    r = ask_whole(&session, "v2/", NULL, &json, &length, NULL, err);
    if (r < 0)
        return r;
    return credential_store(registry, &credential, err);
}

int registry_logout(const char *registry, struct error *err)
{
    return credential_store(registry, NULL, err);
}

/* --- lists ------------------------------------------------------------------------------------ */

/* All pages of a list; each says where the next one is. */
static int get_names(struct registry_session *session, const char *path, const char *scope,
                     struct strings *names, struct error *err)
{
    auto_free char *next = xstrdup(path);

    for (unsigned page = 0; next != NULL; page++) {
        AUTO_CLEAR(fetch_result) struct fetch_result result = { 0 };
        auto_free char *json = NULL;
        size_t length;
        int r;

        r = ask_whole(session, next, scope, &json, &length, &result, err);
        if (r == 0)
            r = registry_names_decode(json, length, names, err);
        if (r < 0)
            return r;
        if (page == PAGES_MAX || names->count > NAMES_MAX)
            return error_set(err, E2BIG, "the list has no end");
        free(next);
        next = take_ptr(&result.next);
    }
    return 0;
}

static int get_tags(struct registry_session *session, struct strings *ret_tags, struct error *err)
{
    const char *repository = registry_session_endpoint(session)->repository;
    auto_free char *path = xasprintf("v2/%s/tags/list", repository);
    auto_free char *scope = xasprintf("repository:%s:pull", repository);

    return get_names(session, path, scope, ret_tags, err);
}

int registry_list_tags(const struct registries *registries, const struct reference *reference,
                       const struct registry_options *options, struct strings *ret_tags,
                       struct error *err)
{
    AUTO_CLEAR(registry_session) struct registry_session session = { 0 };
    AUTO_CLEAR(strings) struct strings tags = { 0 };
    int r;

    /* Mirrors need not have them all. */
    r = registry_session_open(registries, reference, options, true, NULL, &session, err);
    if (r == 0)
        r = get_tags(&session, &tags, err);
    if (r < 0)
        return r;
    strings_add_all(ret_tags, &tags);
    return 0;
}

/* --- inspect ---------------------------------------------------------------------------------- */

char *registry_view_make(const char *name, const struct digest *digest,
                         const struct image_descriptors *layers, const struct image_config *config,
                         const struct strings *tags)
{
    AUTO_CLEAR(strings) struct strings digests = { 0 };
    struct registry_view view = {
        .name = (char *)name,
        .digest = (char *)digest->text,
        .created = config->created,
        .architecture = config->architecture,
        .os = config->os,
        .tags = *tags,
        .env = config->env,
        .labels = config->labels,
    };

    for (size_t i = 0; i < layers->count; i++)
        strings_add(&digests, layers->items[i].digest.text);
    view.layers = digests;
    return registry_view_encode(&view);
}

int registry_inspect(const struct registries *registries, const struct reference *reference,
                     const struct registry_options *options, const char *platform, char **ret_json,
                     struct error *err)
{
    AUTO_CLEAR(registry_session) struct registry_session session = { 0 };
    AUTO_CLEAR(registry_image) struct registry_image image = { 0 };
    AUTO_CLEAR(image_config) struct image_config config = { 0 };
    AUTO_CLEAR(strings) struct strings tags = { 0 };
    struct reference repository = { 0 };
    auto_free char *json = NULL;
    auto_free char *name = NULL;
    size_t length;
    int r;

    assert(reference != NULL);
    assert(ret_json != NULL);

    r = registry_session_open(registries, reference, options, false, NULL, &session, err);
    if (r == 0)
        r = registry_resolve(&session, reference, platform, &image, err);
    if (r == 0)
        r = registry_get_config(&session, &image.document.config, &json, &length, err);
    if (r == 0)
        r = image_config_decode(json, length, &config, err);
    if (r == 0)
        r = get_tags(&session, &tags, err);
    if (r < 0)
        return r;
    repository.registry = reference->registry;
    repository.repository = reference->repository;
    name = reference_format(&repository);
    *ret_json = registry_view_make(name, &image.digest, &image.document.layers, &config, &tags);
    return 0;
}

/* --- search ----------------------------------------------------------------------------------- */

static char *search_path(const char *term, size_t limit)
{
    AUTO_CLEAR(text) struct text path = { 0 };

    text_add(&path, "v1/search?q=");
    for (const char *c = term; *c != '\0'; c++) {
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~", *c) !=
            NULL)
            text_add_bytes(&path, c, 1);
        else
            text_addf(&path, "%%%02X", (unsigned char)*c);
    }
    text_addf(&path, "&n=%zu", limit);
    return text_take(&path);
}

static int search_catalog(struct registry_session *session, const char *term, size_t limit,
                          struct registry_search *ret_search, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    int r;

    r = get_names(session, "v2/_catalog?n=1000", "registry:catalog:*", &names, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < names.count && ret_search->count < limit; i++) {
        if (strstr(names.items[i], term) == NULL)
            continue;
        ret_search->items =
            xrealloc(ret_search->items, ret_search->count + 1, sizeof(*ret_search->items));
        ret_search->items[ret_search->count++] =
            (struct registry_found){ .name = xstrdup(names.items[i]) };
    }
    return 0;
}

int registry_search(const struct registries *registries, const char *text,
                    const struct registry_options *options, size_t limit,
                    struct registry_search *ret_search, struct error *err)
{
    AUTO_CLEAR(registry_session) struct registry_session session = { 0 };
    bool has_registry = reference_names_registry(text);
    const char *term = has_registry ? strchr(text, '/') + 1 : text;
    auto_free char *registry = has_registry ? xstrndup(text, (size_t)(term - text) - 1) : NULL;
    auto_free char *path = search_path(term, limit);
    auto_free char *json = NULL;
    struct error reason = { 0 };
    size_t length;
    bool is_hub = registry == NULL || strcmp(registry, DOCKER_HUB) == 0;
    int r;

    assert(ret_search != NULL);

    r = open_session(registries, is_hub ? DOCKER_HUB_FIND : registry, options, &session, err);
    if (r < 0)
        return r;
    r = ask_whole(&session, path, NULL, &json, &length, NULL, &reason);
    if (r == 0)
        r = registry_search_decode(json, length, ret_search, &reason);
    /* Few registries but docker's have this search; a list of names most have. */
    if (r < 0 && !is_hub && r != -EPIPE)
        return search_catalog(&session, term, limit, ret_search, err);
    return r < 0 ? error_set(err, -r, "%s", reason.message) : 0;
}
