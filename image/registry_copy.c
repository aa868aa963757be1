#include "image/registry_copy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "image/store_private.h"

/* From registry to registry: documents and blobs come into the store, where each is verified, and
 * go out of it; no image and no name is made of them. */

#define PAGES_MAX 100
/* Of one image, and of all that are copied with it; what refers to a signature may be referred to,
 * too, but not without end. */
#define REFERRERS_MAX       2000
#define REFERRERS_DEPTH_MAX 8

/* --- referrers -------------------------------------------------------------------------------- */

/* "sha256-<hex>": where referrers are without the API (distribution-spec, "Referrers Tag
 * Schema"). Caller frees. */
static char *fallback_tag(const struct digest *subject)
{
    return xasprintf("%s-%.64s", digest_algorithm(subject), digest_hex(subject));
}

static int too_many(struct error *err)
{
    return error_set(err, E2BIG, "more than %d documents refer to it", REFERRERS_MAX);
}

static int add_referrer(struct image_descriptors *list, const struct image_descriptor *referrer,
                        struct error *err)
{
    for (size_t i = 0; i < list->count; i++) {
        if (digest_equal(&list->items[i].digest, &referrer->digest))
            return 0;
    }
    if (list->count == REFERRERS_MAX)
        return too_many(err);
    image_descriptor_copy(image_descriptors_add(list), referrer);
    return 0;
}

static int add_entries(const char *json, size_t length, struct image_descriptors *list,
                       struct error *err)
{
    AUTO_CLEAR(document) struct document document = { 0 };
    int r = document_decode_any(json, length, NULL, &document, err);

    if (r < 0)
        return error_prefix(err, r, "list of referrers");
    for (size_t i = 0; i < document.manifests.count && r == 0; i++)
        r = add_referrer(list, &document.manifests.items[i], err);
    return r;
}

/* -ENOENT: the registry has no such API. */
static int ask_api(struct registry_session *session, const struct digest *subject,
                   struct image_descriptors *list, struct error *err)
{
    auto_free char *path = xasprintf("referrers/%s", subject->text);
    auto_free char *next = NULL;

    for (unsigned page = 0; page < PAGES_MAX; page++) {
        AUTO_CLEAR(fetch_request) struct fetch_request request = { 0 };
        AUTO_CLEAR(fetch_result) struct fetch_result result = { 0 };
        auto_free char *json = NULL;
        size_t length;
        int r;

        r = registry_request(session, FETCH_GET, path, &request, err);
        if (r < 0)
            return r;
        if (next != NULL) {
            free(request.path);
            request.path = take_ptr(&next);
        }
        strings_add(&request.accept, MEDIA_OCI_INDEX);
        r = fetch_document(session->fetch, &request, &json, &length, &result, err);
        if (r == 0)
            r = add_entries(json, length, list, err);
        if (r < 0 || result.next == NULL)
            return r;
        next = take_ptr(&result.next);
    }
    return error_set(err, E2BIG, "the list of referrers has no end");
}

static int ask_fallback(struct registry_session *session, const struct digest *subject,
                        struct image_descriptors *list, struct error *err)
{
    AUTO_CLEAR(registry_manifest) struct registry_manifest manifest = { 0 };
    auto_free char *tag = fallback_tag(subject);
    int r;

    r = registry_get_manifest(session, tag, NULL, &manifest, err);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : add_entries(manifest.json, manifest.length, list, err);
}

/* cosign's older way: manifests with tags of their own, of whatever type the registry takes. */
static int ask_cosign(struct registry_session *session, const struct digest *subject,
                      struct image_descriptors *list, struct string_map *tags, struct error *err)
{
    static const char *const ends[] = { "sig", "att", "sbom" };

    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        AUTO_CLEAR(registry_manifest) struct registry_manifest manifest = { 0 };
        AUTO_CLEAR(image_descriptor) struct image_descriptor descriptor = { 0 };
        AUTO_CLEAR(document) struct document document = { 0 };
        auto_free char *begin = fallback_tag(subject);
        auto_free char *tag = xasprintf("%s.%s", begin, ends[i]);
        int r;

        r = registry_get_manifest(session, tag, NULL, &manifest, err);
        if (r == -ENOENT)
            continue;
        if (r < 0)
            return r;
        r = document_decode_any(manifest.json, manifest.length, NULL, &document, err);
        if (r < 0)
            return error_prefix(err, r, "tag %s", tag);
        descriptor.media_type = xstrdup(document_media_type(&document));
        descriptor.digest = manifest.digest;
        descriptor.digest_text = xstrdup(manifest.digest.text);
        descriptor.size = manifest.length;
        descriptor.artifact_type = xasprintf("cosign %s", ends[i]);
        r = add_referrer(list, &descriptor, err);
        if (r < 0)
            return r;
        string_map_set(tags, manifest.digest.text, tag);
    }
    return 0;
}

int registry_list_referrers(struct registry_session *session, const struct digest *subject,
                            struct image_descriptors *ret_referrers, struct string_map *tags,
                            struct error *err)
{
    AUTO_CLEAR(image_descriptors) struct image_descriptors list = { 0 };
    int r;

    r = ask_api(session, subject, &list, err);
    if (r == -ENOENT)
        r = ask_fallback(session, subject, &list, err);
    if (r == 0)
        r = ask_cosign(session, subject, &list, tags, err);
    if (r < 0)
        return r;
    *ret_referrers = list;
    list = (struct image_descriptors){ 0 };
    return 0;
}

int registry_add_referrers(struct image_store *store, struct registry_session *session,
                           const struct digest *subject, const struct image_descriptors *referrers,
                           struct error *err)
{
    AUTO_CLEAR(image_descriptors) struct image_descriptors list = { 0 };
    AUTO_CLEAR(fetch_request) struct fetch_request request = { 0 };
    auto_free char *tag = fallback_tag(subject);
    auto_free char *path = xasprintf("manifests/%s", tag);
    auto_free char *json = NULL;
    auto_close int fd = -1;
    struct digest digest;
    int r;

    r = ask_fallback(session, subject, &list, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < referrers->count && r == 0; i++)
        r = add_referrer(&list, &referrers->items[i], err);
    if (r < 0)
        return r;
    json = index_encode(&list);
    r = blob_write(store, json, strlen(json), &digest, err);
    if (r == 0)
        r = blob_open(store, &digest, &fd, err);
    if (r == 0)
        r = registry_request(session, FETCH_PUT, path, &request, err);
    if (r < 0)
        return r;
    request.content_type = xstrdup(MEDIA_OCI_INDEX);
    r = fetch_call(session->fetch, &request, fd, NULL, err);
    return r < 0 ? error_prefix(err, r, "tag %s", tag) : 0;
}

int registry_referrers(const struct registries *registries, const struct reference *reference,
                       const struct registry_options *options, struct digest *ret_digest,
                       struct image_descriptors *ret_referrers, struct error *err)
{
    AUTO_CLEAR(registry_session) struct registry_session session = { 0 };
    AUTO_CLEAR(registry_manifest) struct registry_manifest manifest = { 0 };
    AUTO_CLEAR(string_map) struct string_map tags = { 0 };
    struct digest wanted;
    int r = 0;

    assert(reference != NULL);
    assert(ret_referrers != NULL);

    if (reference->digest != NULL)
        r = digest_parse(reference->digest, &wanted, err);
    if (r == 0)
        r = registry_session_open(registries, reference, options, false, NULL, &session, err);
    if (r == 0)
        r = registry_get_manifest(&session, reference->tag,
                                  reference->digest != NULL ? &wanted : NULL, &manifest, err);
    if (r == 0)
        r = registry_list_referrers(&session, &manifest.digest, ret_referrers, &tags, err);
    if (r == 0)
        *ret_digest = manifest.digest;
    return r;
}

/* --- copying ---------------------------------------------------------------------------------- */

struct subject {
    struct digest digest;
    struct image_descriptors referrers; /* by API or by the tag that stands in for it */
};

struct copying {
    struct image_store *store;
    struct registry_session from, to;
    struct document_tree tree;
    struct string_map tags; /* by digest */
    struct subject *subjects;
    size_t subject_count;
};

static void copying_clear(struct copying *copying)
{
    registry_session_clear(&copying->from);
    registry_session_clear(&copying->to);
    document_tree_clear(&copying->tree);
    string_map_clear(&copying->tags);
    for (size_t i = 0; i < copying->subject_count; i++)
        image_descriptors_clear(&copying->subjects[i].referrers);
    free(copying->subjects);
}

static int collect_document(struct copying *copying, const struct image_descriptor *top,
                            struct error *err)
{
    struct tree_source source = { .store = copying->store, .session = &copying->from };

    return document_tree_collect(top, registry_document, &source, false, &copying->tree, err);
}

/* Referrers may be referred to as well: the list of documents grows meanwhile. */
static int collect_referrers(struct copying *copying, struct error *err)
{
    const size_t first_count = copying->tree.documents.count;
    size_t level_end = first_count;
    unsigned depth = 0;

    for (size_t i = 0; i < copying->tree.documents.count; i++) {
        const struct digest digest = copying->tree.documents.items[i].digest;
        struct subject *subject;
        int r;

        copying->subjects =
            xrealloc(copying->subjects, copying->subject_count + 1, sizeof(*copying->subjects));
        subject = &copying->subjects[copying->subject_count++];
        *subject = (struct subject){ .digest = digest };
        r = registry_list_referrers(&copying->from, &digest, &subject->referrers, &copying->tags,
                                    err);
        for (size_t j = 0; r == 0 && j < subject->referrers.count; j++)
            r = collect_document(copying, &subject->referrers.items[j], err);
        if (r == 0 && copying->tree.documents.count - first_count > REFERRERS_MAX)
            r = too_many(err);
        if (r == 0 && i + 1 == level_end && copying->tree.documents.count > level_end) {
            level_end = copying->tree.documents.count;
            if (++depth > REFERRERS_DEPTH_MAX)
                r = error_set(err, E2BIG, "documents refer to others more than %d deep",
                              REFERRERS_DEPTH_MAX);
        }
        if (r < 0)
            return error_prefix(err, r, "what refers to %s", digest.text);
    }
    return 0;
}

static bool is_at_destination(struct copying *copying, const struct digest *digest)
{
    AUTO_CLEAR(fetch_request) struct fetch_request request = { 0 };
    auto_free char *path = xasprintf("blobs/%s", digest->text);

    return registry_request(&copying->to, FETCH_HEAD, path, &request, NULL) == 0 &&
           fetch_call(copying->to.fetch, &request, -1, NULL, NULL) == 0;
}

/* Only what the destination has not got is fetched. */
static int fetch_blobs(struct copying *copying, struct error *err)
{
    AUTO_CLEAR(image_descriptors) struct image_descriptors missing = { 0 };

    for (size_t i = 0; i < copying->tree.blobs.count; i++) {
        const struct image_descriptor *blob = &copying->tree.blobs.items[i];

        if (!layer_is_foreign(blob) && !is_at_destination(copying, &blob->digest))
            image_descriptor_copy(image_descriptors_add(&missing), blob);
    }
    return pull_blobs(copying->store, &copying->from, &missing, err);
}

static int add_referrers(struct copying *copying, struct error *err)
{
    for (size_t i = 0; i < copying->subject_count; i++) {
        const struct subject *subject = &copying->subjects[i];
        AUTO_CLEAR(image_descriptors) struct image_descriptors untagged = { 0 };
        int r = 0;

        for (size_t j = 0; j < subject->referrers.count && r == 0; j++) {
            if (string_map_get(&copying->tags, subject->referrers.items[j].digest.text) == NULL)
                r = add_referrer(&untagged, &subject->referrers.items[j], err);
        }
        if (r < 0)
            return r;
        if (untagged.count == 0)
            continue;
        r = registry_add_referrers(copying->store, &copying->to, &subject->digest, &untagged, err);
        if (r < 0)
            return error_prefix(err, r, "tell what refers to %s", subject->digest.text);
    }
    return 0;
}

static int get_top(struct copying *copying, const struct reference *source,
                   struct digest *ret_digest, struct error *err)
{
    AUTO_CLEAR(registry_manifest) struct registry_manifest manifest = { 0 };
    struct image_descriptor top = { .size = UINT64_MAX };
    AUTO(blob_writer) struct blob_writer *writer = NULL;
    struct digest wanted;
    int r = 0;

    if (source->digest != NULL)
        r = digest_parse(source->digest, &wanted, err);
    if (r == 0)
        r = registry_get_manifest(&copying->from, source->tag,
                                  source->digest != NULL ? &wanted : NULL, &manifest, err);
    if (r == 0)
        r = blob_writer_open(copying->store, digest_algorithm(&manifest.digest), &writer, err);
    if (r == 0)
        r = blob_writer_add(writer, manifest.json, manifest.length, err);
    if (r == 0)
        r = blob_writer_finish(writer, &manifest.digest, NULL, NULL, err);
    if (r < 0)
        return r;
    top.digest = *ret_digest = manifest.digest;
    return collect_document(copying, &top, err);
}

int image_copy(struct image_store *store, const struct registries *registries,
               const struct reference *source, const struct reference *destination,
               const struct push_options *options, struct copied *ret_copied, struct error *err)
{
    AUTO_CLEAR(copying) struct copying copying = { .store = store };
    struct push_job job = {
        .tree = &copying.tree, .tags = &copying.tags, .options = options, .destination = destination
    };
    struct copied copied = { 0 };
    bool keeps_referrers = false;
    uint64_t documents = 0;
    int r;

    assert(store != NULL);
    assert(source != NULL);
    assert(destination != NULL);
    assert(ret_copied != NULL);

    r = registry_session_open(registries, source, &options->registry, false, NULL, &copying.from,
                              err);
    if (r == 0)
        r = registry_session_open(registries, destination, &options->registry, true, NULL,
                                  &copying.to, err);
    if (r == 0)
        r = get_top(&copying, source, &copied.digest, err);
    documents = copying.tree.documents.count;
    if (r == 0)
        r = collect_referrers(&copying, err);
    if (r == 0)
        r = fetch_blobs(&copying, err);
    if (r < 0)
        return r;
    if (destination->tag != NULL)
        string_map_set(&copying.tags, copied.digest.text, destination->tag);
    if (strcmp(source->registry, destination->registry) == 0 &&
        strcmp(source->repository, destination->repository) != 0)
        job.mount_from = source->repository;
    r = push_tree(store, &copying.to, &job, &keeps_referrers, err);
    if (r == 0 && !keeps_referrers)
        r = add_referrers(&copying, err);
    if (r < 0)
        return r;
    copied.documents = copying.tree.documents.count;
    copied.referrers = copied.documents - documents;
    copied.blobs = copying.tree.blobs.count;
    *ret_copied = copied;
    return 0;
}
