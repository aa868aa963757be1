#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/document_tree.h"
#include "image/registry_copy.h"
#include "image/registry_session.h"
#include "image/store_private.h"

/* From blobs in the store to a tag at a registry: layers and config, several at once, and only when
 * all of them are there the manifest that refers to them. */

#define UPLOADS_MAX 4

struct upload {
    struct push *push;
    const struct image_descriptor *blob;
    size_t index; /* of the layer; SIZE_MAX: a config */
    char *mount_from;
    int fd;
    bool is_asking; /* HEAD: whether it is there */
};

struct push {
    struct image_store *store;
    const struct push_options *options;
    struct registry_session *session; /* borrowed, as what follows */
    const struct document_tree *tree;
    const struct string_map *tags;
    const char *mount_from;
    struct upload *uploads;
    size_t count, layer_count, next, running;
    const struct reference *destination;
    bool keeps_referrers; /* the registry */
    struct names names;   /* of the store: where else a layer may be */
};

static void push_clear(struct push *push)
{
    for (size_t i = 0; i < push->count; i++) {
        if (push->uploads[i].fd >= 0)
            (void)close(push->uploads[i].fd); /* only read */
        free(push->uploads[i].mount_from);
    }
    free(push->uploads);
    names_clear(&push->names);
}

static void tell(const struct upload *upload, enum push_step step, uint64_t bytes)
{
    const struct push_options *options = upload->push->options;
    struct push_layer layer = {
        .descriptor = upload->blob,
        .index = upload->index,
        .count = upload->push->layer_count,
        .step = step,
        .bytes = bytes,
        .mount_from = upload->mount_from,
    };

    if (options->layer != NULL && upload->index != SIZE_MAX)
        options->layer(options->context, &layer);
}

static bool has_layer(struct push *push, const struct digest *manifest, const struct digest *blob)
{
    AUTO_CLEAR(document) struct document document = { 0 };

    if (store_read_manifest(push->store, manifest, &document, NULL) < 0)
        return false;
    for (size_t i = 0; i < document.layers.count; i++) {
        if (digest_equal(&document.layers.items[i].digest, blob))
            return true;
    }
    return false;
}

/* Another repository of this registry that has the layer, as far as our names tell: what was pulled
 * from there, or pushed to it. A wrong guess costs nothing, the registry then says where to send.
 */
static char *find_mount(struct push *push, const struct image_descriptor *blob)
{
    if (push->mount_from != NULL)
        return xstrdup(push->mount_from);
    for (size_t i = 0; i < push->names.count; i++) {
        const struct name *name = &push->names.items[i];

        if (strcmp(name->reference->registry, push->destination->registry) == 0 &&
            strcmp(name->reference->repository, push->destination->repository) != 0 &&
            name->reference->digest != NULL && has_layer(push, &name->digest, &blob->digest))
            return xstrdup(name->reference->repository);
    }
    return NULL;
}

static int upload_start(struct upload *upload, struct error *err);
static int start_uploads(struct push *push, struct error *err);

static void upload_sent(void *context, uint64_t bytes)
{
    const struct upload *upload = context;

    if (bytes <= upload->blob->size)
        tell(upload, PUSH_SENDS, bytes);
}

static int upload_done(void *context, const struct fetch_result *result, int r,
                       const struct error *failure, struct error *err)
{
    struct upload *upload = context;
    struct push *push = upload->push;

    push->running--;
    if (upload->is_asking && r == -ENOENT) {
        upload->is_asking = false;
        return upload_start(upload, err);
    }
    if (r < 0) {
        r = error_set(err, -r, "%s", failure->message);
        return upload->index == SIZE_MAX
                   ? error_prefix(err, r, "config")
                   : error_prefix(err, r, "layer %zu of %zu", upload->index + 1, push->layer_count);
    }
    tell(upload,
         upload->is_asking     ? PUSH_EXISTED
         : result->was_mounted ? PUSH_MOUNTED
                               : PUSH_DONE,
         upload->blob->size);
    return start_uploads(push, err);
}

static const struct fetch_handlers upload_handlers = { .sent = upload_sent, .done = upload_done };

static int upload_ask(struct upload *upload, struct error *err)
{
    struct push *push = upload->push;
    AUTO_CLEAR(fetch_request) struct fetch_request request = { 0 };
    auto_free char *path = xasprintf("blobs/%s", upload->blob->digest.text);
    int r;

    r = registry_request(push->session, FETCH_HEAD, path, &request, err);
    if (r < 0)
        return r;
    upload->is_asking = true;
    r = fetch_start(push->session->fetch, &request, -1, &upload_handlers, upload, err);
    if (r == 0)
        push->running++;
    return r;
}

static int upload_start(struct upload *upload, struct error *err)
{
    struct push *push = upload->push;
    AUTO_CLEAR(fetch_request) struct fetch_request request = { 0 };
    int r;

    r = blob_open(push->store, &upload->blob->digest, &upload->fd, err);
    if (r == 0)
        r = registry_request(push->session, FETCH_UPLOAD, "blobs/uploads/", &request, err);
    if (r < 0)
        return r;
    request.digest = xstrdup(upload->blob->digest.text);
    upload->mount_from = find_mount(push, upload->blob);
    request.mount_from = xstrdup(upload->mount_from);
    if (upload->mount_from != NULL)
        strings_addf(&request.scopes, "repository:%s:pull", upload->mount_from);
    tell(upload, PUSH_SENDS, 0);
    r = fetch_start(push->session->fetch, &request, upload->fd, &upload_handlers, upload, err);
    if (r == 0)
        push->running++;
    return r;
}

static int start_uploads(struct push *push, struct error *err)
{
    int r = 0;

    while (r == 0 && push->next < push->count && push->running < UPLOADS_MAX)
        r = upload_ask(&push->uploads[push->next++], err);
    return r;
}

static bool is_config(const struct image_descriptor *blob)
{
    return text_equal(blob->media_type, MEDIA_OCI_CONFIG) ||
           text_equal(blob->media_type, MEDIA_DOCKER_CONFIG);
}

static int send_blobs(struct push *push, struct error *err)
{
    const struct image_descriptors *blobs = &push->tree->blobs;
    int r;

    push->uploads = xcalloc(blobs->count + 1, sizeof(*push->uploads));
    for (size_t i = 0; i < blobs->count; i++) {
        if (layer_is_foreign(&blobs->items[i]))
            continue; /* its licence forbids it, mostly; the manifest says where it is */
        push->uploads[push->count++] = (struct upload){
            .push = push,
            .blob = &blobs->items[i],
            .index = is_config(&blobs->items[i]) ? SIZE_MAX : push->layer_count++,
            .fd = -1,
        };
    }
    r = start_uploads(push, err);
    return r < 0 ? r : fetch_run(push->session->fetch, err);
}

/* @tag: NULL: it is only known by its digest */
static int send_document(struct push *push, const struct image_descriptor *document,
                         const char *tag, struct error *err)
{
    AUTO_CLEAR(fetch_request) struct fetch_request request = { 0 };
    AUTO_CLEAR(fetch_result) struct fetch_result result = { 0 };
    const struct digest *digest = &document->digest;
    auto_free char *path = xasprintf("manifests/%s", tag != NULL ? tag : digest->text);
    auto_close int fd = -1;
    int r;

    r = blob_open(push->store, digest, &fd, err);
    if (r == 0)
        r = registry_request(push->session, FETCH_PUT, path, &request, err);
    if (r < 0)
        return r;
    request.content_type = xstrdup(document->media_type);
    r = fetch_call(push->session->fetch, &request, fd, &result, err);
    if (r < 0)
        return error_prefix(err, r, "manifest %s", digest->text);
    if (result.digest != NULL && strcmp(result.digest, digest->text) != 0 &&
        text_starts(result.digest, digest_algorithm(digest)))
        return error_set(err, EBADMSG, "%s has taken the manifest as %.200s, not as %s",
                         registry_session_endpoint(push->session)->host, result.digest,
                         digest->text);
    push->keeps_referrers = push->keeps_referrers || result.subject != NULL;
    return 0;
}

/* What is referred to goes before what refers to it. */
static int send_documents(struct push *push, struct error *err)
{
    const struct image_descriptors *documents = &push->tree->documents;
    int r = 0;

    for (size_t i = 0; r == 0 && i < documents->count; i++)
        r = send_document(push, &documents->items[i],
                          string_map_get(push->tags, documents->items[i].digest.text), err);
    return r;
}

int push_tree(struct image_store *store, struct registry_session *session,
              const struct push_job *job, bool *ret_keeps_referrers, struct error *err)
{
    AUTO_CLEAR(push)
    struct push push = {
        .store = store,
        .options = job->options,
        .destination = job->destination,
        .session = session,
        .tree = job->tree,
        .tags = job->tags,
        .mount_from = job->mount_from,
    };
    int r;

    r = names_list(store, &push.names, err);
    if (r == 0)
        r = send_blobs(&push, err);
    if (r == 0)
        r = send_documents(&push, err);
    if (r == 0)
        *ret_keeps_referrers = push.keeps_referrers;
    return r;
}

static int find_top(struct image_store *store, const struct digest *manifest_digest,
                    bool all_platforms, struct digest *ret_top, struct error *err)
{
    *ret_top = *manifest_digest;
    return all_platforms ? image_find_index(store, manifest_digest, ret_top, err) : 0;
}

int image_push_tree(struct image_store *store, const struct registries *registries,
                    const struct digest *top, const struct reference *destination,
                    const struct push_options *options, uint64_t *ret_size, struct error *err)
{
    AUTO_CLEAR(registry_session) struct registry_session session = { 0 };
    AUTO_CLEAR(document_tree) struct document_tree tree = { 0 };
    AUTO_CLEAR(string_map) struct string_map tags = { 0 };
    struct push_job job = {
        .tree = &tree, .tags = &tags, .options = options, .destination = destination
    };
    bool keeps_referrers;
    int r;

    r = store_collect(store, top, false, &tree, err);
    if (r == 0)
        r = registry_session_open(registries, destination, &options->registry, true, NULL, &session,
                                  err);
    if (r < 0)
        return r;
    if (destination->tag != NULL)
        string_map_set(&tags, top->text, destination->tag);
    r = push_tree(store, &session, &job, &keeps_referrers, err);
    if (r == 0)
        *ret_size = tree.documents.items[tree.documents.count - 1].size;
    return r;
}

int image_push(struct image_store *store, const struct registries *registries,
               const struct digest *manifest_digest, const struct reference *destination,
               const struct push_options *options, struct digest *ret_digest, uint64_t *ret_size,
               struct error *err)
{
    struct digest top;
    int r;

    assert(store != NULL);
    assert(destination != NULL);
    assert(ret_size != NULL);

    r = find_top(store, manifest_digest, options->all_platforms, &top, err);
    if (r < 0)
        return r;
    r = image_push_tree(store, registries, &top, destination, options, ret_size, err);
    if (r == -ENOENT && !digest_equal(&top, manifest_digest))
        return error_set(err, ENOENT,
                         "not all that index %s names is here; pull it with --all-platforms",
                         top.text);
    if (r == 0)
        *ret_digest = top;
    return r;
}
