#include "image/registry_session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "image/documents.h"
#include "image/registry_files.h"

static const char *const manifest_types[] = {
    MEDIA_OCI_INDEX,
    MEDIA_DOCKER_LIST,
    MEDIA_OCI_MANIFEST,
    MEDIA_DOCKER_MANIFEST,
    /* So that a registry which has only this says so, and we can. */
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
};

void registry_session_clear(struct registry_session *session)
{
    fetch_free(session->fetch);
    registry_plan_clear(&session->plan);
    free(session->numbers);
    *session = (struct registry_session){ 0 };
}

int registry_session_open(const struct registries *registries, const struct reference *reference,
                          const struct registry_options *options, bool is_pushing,
                          struct event_loop *loop, struct registry_session *ret_session,
                          struct error *err)
{
    AUTO_CLEAR(registry_session) struct registry_session session = { .is_pushing = is_pushing };
    int r;

    assert(reference != NULL);
    assert(ret_session != NULL);

    r = registry_plan_make(registries, reference, options, !is_pushing, &session.plan, err);
    if (r == 0)
        r = fetch_open(loop, &session.fetch, err);
    if (r < 0)
        return r;
    session.numbers = xcalloc(session.plan.count, sizeof(*session.numbers));
    for (size_t i = 0; i < session.plan.count; i++)
        session.numbers[i] = UINT32_MAX;
    *ret_session = session;
    session = (struct registry_session){ 0 };
    return 0;
}

const struct registry_endpoint *registry_session_endpoint(const struct registry_session *session)
{
    return &session->plan.items[session->current];
}

static void copy_credential(const struct credential *from, struct fetch_endpoint *to)
{
    to->username = xstrdup(from->username);
    to->password = xstrdup(from->password);
    to->identity_token = xstrdup(from->identity_token);
    to->registry_token = xstrdup(from->registry_token);
}

/* A host is made known when it is first needed: most mirrors never are, and of the logins only this
 * host's leaves the process. */
static int know_endpoint(struct registry_session *session, struct error *err)
{
    const struct registry_endpoint *planned = registry_session_endpoint(session);
    AUTO_CLEAR(fetch_endpoint)
    struct fetch_endpoint endpoint = {
        .host = xstrdup(planned->host),
        .allows_http = planned->allows_http,
        .is_unverified = planned->is_unverified,
    };
    AUTO_CLEAR(credential) struct credential credential = { 0 };
    int r = 0;

    if (session->numbers[session->current] != UINT32_MAX)
        return 0;
    if (session->credential == NULL)
        r = credential_find(planned->key, planned->repository, &credential, NULL, err);
    if (r == 0)
        r = registry_read_certificates(planned->host, &endpoint, err);
    if (r < 0)
        return r;
    copy_credential(session->credential != NULL ? session->credential : &credential, &endpoint);
    return fetch_add_endpoint(session->fetch, &endpoint, &session->numbers[session->current], err);
}

int registry_request(struct registry_session *session, enum fetch_kind kind, const char *path,
                     struct fetch_request *ret_request, struct error *err)
{
    const struct registry_endpoint *endpoint = registry_session_endpoint(session);
    int r;

    r = know_endpoint(session, err);
    if (r < 0)
        return r;
    *ret_request = (struct fetch_request){
        .kind = kind,
        .endpoint = session->numbers[session->current],
        .path = xasprintf("v2/%s/%s", endpoint->repository, path),
        .size = UINT64_MAX,
        .max = IMAGE_DOCUMENT_MAX,
    };
    strings_addf(&ret_request->scopes, "repository:%s:pull%s", endpoint->repository,
                 session->is_pushing ? ",push" : "");
    return 0;
}

/* Nobody vouches for the document that names it, so only what cannot be misread is taken. */
static bool split_url(const char *url, char **ret_host, const char **ret_path)
{
    static const char scheme[] = "https://";
    const char *host = url + strlen(scheme);
    size_t length;

    if (!text_starts(url, scheme))
        return false;
    length = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]");
    if (length == 0 || host[length] != '/')
        return false;
    for (const char *c = host + length; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 127 || *c == '#' || *c == '\\')
            return false;
    }
    *ret_host = xasprintf("%.*s", (int)length, host);
    *ret_path = host + length + 1;
    return true;
}

int registry_request_url(struct registry_session *session, const char *url,
                         struct fetch_request *ret_request, struct error *err)
{
    AUTO_CLEAR(fetch_endpoint) struct fetch_endpoint endpoint = { 0 };
    const char *path = NULL;
    uint32_t number;
    int r;

    if (!split_url(url, &endpoint.host, &path))
        return error_set(err, EINVAL, "its url '%.200s' is not of the form https://HOST/PATH", url);
    r = registry_read_certificates(endpoint.host, &endpoint, err);
    free(take_ptr(&endpoint.certificate));
    free(take_ptr(&endpoint.key));
    if (r == 0)
        r = fetch_add_endpoint(session->fetch, &endpoint, &number, err);
    if (r < 0)
        return r;
    *ret_request = (struct fetch_request){
        .kind = FETCH_GET,
        .endpoint = number,
        .path = xstrdup(path),
        .size = UINT64_MAX,
        .max = IMAGE_DOCUMENT_MAX,
    };
    return 0;
}

void registry_manifest_clear(struct registry_manifest *manifest)
{
    free(manifest->json);
    free(manifest->media_type);
    *manifest = (struct registry_manifest){ 0 };
}

/* The bytes decide; what the registry says of them must agree. */
static int check_digest(const struct registry_manifest *manifest, const struct digest *expected,
                        const char *said, const char *host, struct digest *ret_digest,
                        struct error *err)
{
    struct digest claimed;
    int r;

    if (expected == NULL && said != NULL) {
        r = digest_parse(said, &claimed, err);
        if (r < 0)
            return error_prefix(err, r, "what %s says of the manifest", host);
        expected = &claimed;
    }
    hash_bytes(expected != NULL ? digest_algorithm(expected) : "sha256", manifest->json,
               manifest->length, ret_digest);
    if (expected != NULL && !digest_equal(expected, ret_digest))
        return error_set(err, EBADMSG, "%s sends a manifest with the digest %s in place of %s",
                         host, ret_digest->text, expected->text);
    return 0;
}

bool registry_read_kept(struct registry_session *session, const struct digest *digest,
                        struct registry_manifest *ret_manifest)
{
    AUTO_CLEAR(registry_manifest) struct registry_manifest manifest = { .digest = *digest };
    struct digest found;

    if (session->store == NULL ||
        blob_read(session->store, digest, &manifest.json, &manifest.length, NULL) < 0)
        return false;
    hash_bytes(digest_algorithm(digest), manifest.json, manifest.length, &found);
    if (!digest_equal(&found, digest))
        return false;
    *ret_manifest = manifest;
    manifest = (struct registry_manifest){ 0 };
    return true;
}

static int request_manifest(struct registry_session *session, enum fetch_kind kind,
                            const char *path, struct fetch_request *ret_request, struct error *err)
{
    int r = registry_request(session, kind, path, ret_request, err);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(manifest_types); i++)
        strings_add(&ret_request->accept, manifest_types[i]);
    return r;
}

/* Returns 1 when the registry names what is known; 0 when it has to be got. A registry that does
 * not know HEAD, or no digest, is asked as usual; one that cannot be reached is not asked twice. */
static int ask_known(struct registry_session *session, const char *path,
                     const struct digest *expected, struct registry_manifest *ret_manifest,
                     struct error *err)
{
    AUTO_CLEAR(fetch_request) struct fetch_request request = { 0 };
    AUTO_CLEAR(fetch_result) struct fetch_result result = { 0 };
    struct error reason = { 0 };
    int r;

    if (session->store == NULL || (expected != NULL && !digest_equal(expected, &session->known)))
        return 0;
    r = request_manifest(session, FETCH_HEAD, path, &request, err);
    if (r < 0)
        return r;
    r = fetch_call(session->fetch, &request, -1, &result, &reason);
    if (r == -ENOENT || r == -EACCES || r == -EOPNOTSUPP)
        return 0;
    if (r < 0)
        return error_set(err, -r, "%s", reason.message);
    return text_equal(result.digest, session->known.text) &&
           registry_read_kept(session, &session->known, ret_manifest);
}

static int get_from_current(struct registry_session *session, const char *tag,
                            const struct digest *expected, struct registry_manifest *ret_manifest,
                            struct error *err)
{
    const char *host = registry_session_endpoint(session)->host;
    AUTO_CLEAR(registry_manifest) struct registry_manifest manifest = { 0 };
    AUTO_CLEAR(fetch_request) struct fetch_request request = { 0 };
    AUTO_CLEAR(fetch_result) struct fetch_result result = { 0 };
    auto_free char *path = xasprintf("manifests/%s", expected != NULL ? expected->text : tag);
    int r;

    r = ask_known(session, path, expected, ret_manifest, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = request_manifest(session, FETCH_GET, path, &request, err);
    if (r < 0)
        return r;
    r = fetch_document(session->fetch, &request, &manifest.json, &manifest.length, &result, err);
    if (r == 0)
        r = check_digest(&manifest, expected, result.digest, host, &manifest.digest, err);
    if (r < 0)
        return r;
    manifest.media_type = take_ptr(&result.media_type);
    *ret_manifest = manifest;
    manifest = (struct registry_manifest){ 0 };
    return 0;
}

int registry_get_manifest(struct registry_session *session, const char *tag,
                          const struct digest *expected, struct registry_manifest *ret_manifest,
                          struct error *err)
{
    int r;

    assert(tag != NULL || expected != NULL);
    assert(ret_manifest != NULL);

    for (;;) {
        struct error reason = { 0 };

        r = get_from_current(session, tag, expected, ret_manifest, &reason);
        if (r == 0)
            return 0;
        if (session->current + 1 == session->plan.count || r == -EPIPE)
            return error_set(err, -r, "%s", reason.message);
        log_debug("mirror %s: %s; the next one is asked", registry_session_endpoint(session)->host,
                  reason.message);
        session->current++;
    }
}
