#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "image/document_tree.h"
#include "image/partial_blob.h"
#include "image/platform.h"
#include "image/registry_copy.h"
#include "image/registry_session.h"
#include "image/store_private.h"

/* From a name to blobs in the store: manifest (by way of indexes), config, then the layers, several
 * at once and the largest first. Each byte is hashed here as it comes. */

#define DOWNLOADS_MAX 4
#define DIGEST_TRIES  2 /* what is kept of an earlier transfer may be what is wrong */

struct download {
    struct pull *pull;
    const struct image_descriptor *layer;
    size_t index; /* SIZE_MAX: of no layer of the image */
    struct partial_blob *blob;
    size_t place; /* 0: the registry; then the layer's urls */
    unsigned tries;
    bool is_done;
};

struct pull {
    struct image_store *store;
    const struct pull_options *options;
    struct registry_session session;
    struct registry_image image;
    struct download *downloads; /* largest first */
    size_t count, running;
    size_t next; /* of the ones that were not tried yet */
    bool has_busy;
};

static void drop_downloads(struct pull *pull)
{
    for (size_t i = 0; i < pull->count; i++)
        partial_blob_free(pull->downloads[i].blob);
    free(pull->downloads);
    pull->downloads = NULL;
    pull->count = pull->next = 0;
}

static void pull_clear(struct pull *pull)
{
    registry_session_clear(&pull->session); /* first: it calls back no more then */
    drop_downloads(pull);
    registry_image_clear(&pull->image);
}

/* A killed pull leaves it missing, which the next one mends as well. */
static bool drop_damaged(struct image_store *store, const struct digest *digest,
                         struct strings *warnings)
{
    struct error damage = { 0 };
    char path[BLOB_PATH_MAX];

    if (blob_check(store, digest, &damage) != -EBADMSG ||
        unlinkat(store->data_fd, blob_path(digest, path), 0) < 0)
        return false;
    if (warnings != NULL)
        strings_addf(warnings, "%s; it is fetched anew", damage.message);
    return true;
}

bool image_drop_damaged(struct image_store *store, const struct image_descriptors *blobs,
                        struct strings *warnings)
{
    bool has_dropped = false;

    for (size_t i = 0; i < blobs->count; i++)
        has_dropped = drop_damaged(store, &blobs->items[i].digest, warnings) || has_dropped;
    return has_dropped;
}

static int keep_document(struct image_store *store, const struct digest *digest, const char *json,
                         size_t length, struct strings *warnings, struct error *err)
{
    AUTO(blob_writer) struct blob_writer *writer = NULL;
    int r;

    (void)drop_damaged(store, digest, warnings);
    r = blob_writer_open(store, digest_algorithm(digest), &writer, err);
    if (r == 0)
        r = blob_writer_add(writer, json, length, err);
    return r < 0 ? r : blob_writer_finish(writer, digest, NULL, NULL, err);
}

/* --- the config ------------------------------------------------------------------------------- */

static int get_config(struct pull *pull, char **ret_json, size_t *ret_length, struct error *err)
{
    const struct image_descriptor *config = &pull->image.document.config;
    int r;

    if (!drop_damaged(pull->store, &config->digest, pull->options->warnings) &&
        blob_is_there(pull->store, &config->digest, config->size))
        return blob_read(pull->store, &config->digest, ret_json, ret_length, err);
    r = registry_get_config(&pull->session, config, ret_json, ret_length, err);
    return r < 0 ? r
                 : keep_document(pull->store, &config->digest, *ret_json, *ret_length, NULL, err);
}

/* An image that comes without an index is taken for what it says. This machine may run others by
 * emulation, so only a platform that was asked for is insisted on. */
static int check_platform(const struct pull *pull, const struct image_config *config,
                          struct error *err)
{
    struct image_descriptor descriptor = { .platform_os = config->os,
                                           .platform_architecture = config->architecture,
                                           .platform_variant = config->variant };
    struct image_descriptors one = { .items = &descriptor, .count = 1 };

    if (pull->options->platform == NULL || platform_matches(&descriptor, pull->options->platform))
        return 0;
    return platform_none(&one, pull->options->platform, err);
}

static int check_config(struct pull *pull, struct error *err)
{
    const struct pull_watch *watch = &pull->options->watch;
    AUTO_CLEAR(image_config) struct image_config config = { 0 };
    auto_free char *json = NULL;
    size_t length;
    int r;

    r = get_config(pull, &json, &length, err);
    if (r == 0)
        r = image_config_decode(json, length, &config, err);
    if (r == 0)
        r = image_check_layers(&pull->image.document.layers, &config.diff_ids, err);
    if (r < 0)
        return error_prefix(err, r, "config %s", pull->image.document.config.digest.text);
    r = check_platform(pull, &config, err);
    if (r < 0 || watch->begins == NULL)
        return r;
    return watch->begins(watch->context, &pull->image.document.layers, &config.diff_ids, err);
}

/* --- the layers ------------------------------------------------------------------------------- */

static int tell(const struct download *download, enum pull_step step, struct error *err)
{
    const struct pull_watch *watch = &download->pull->options->watch;
    struct pull_layer layer = {
        .descriptor = download->layer,
        .index = download->index,
        .count = download->pull->image.document.layers.count,
        .step = step,
        .bytes =
            download->blob != NULL ? partial_blob_length(download->blob) : download->layer->size,
        .fd = download->blob != NULL ? partial_blob_fd(download->blob) : -1,
    };

    return watch->layer == NULL || download->index == SIZE_MAX
               ? 0
               : watch->layer(watch->context, &layer, err);
}

static int download_failed(const struct download *download, int r, struct error *err)
{
    if (download->index == SIZE_MAX)
        return error_prefix(err, r, "blob %s", download->layer->digest.text);
    return error_prefix(err, r, "layer %zu of %zu", download->index + 1,
                        download->pull->image.document.layers.count);
}

static int start_download(struct download *download, struct error *err);
static int start_downloads(struct pull *pull, struct error *err);

static int layer_data(void *context, const void *bytes, size_t length, struct error *err)
{
    struct download *download = context;
    int r = partial_blob_add(download->blob, bytes, length, err);

    return r < 0 ? r : tell(download, PULL_ARRIVES, err);
}

static int finish_download(struct download *download, struct error *err)
{
    int r = partial_blob_finish(download->blob, err);

    if (r == -EBADMSG && ++download->tries < DIGEST_TRIES) {
        log_debug("%s; once more from the start", err != NULL ? err->message : "");
        return start_download(download, err);
    }
    if (r < 0)
        return r;
    partial_blob_free(download->blob);
    download->blob = NULL;
    download->is_done = true;
    return tell(download, PULL_DONE, err);
}

static int layer_done(void *context, const struct fetch_result *result, int r,
                      const struct error *failure, struct error *err)
{
    struct download *download = context;
    struct pull *pull = download->pull;

    (void)result;
    pull->running--;
    if (r == -ENOENT && layer_is_foreign(download->layer) &&
        download->place < download->layer->urls.count) {
        log_debug("%s; its next url is asked", failure->message);
        download->place++;
        r = start_download(download, err);
        return r < 0 ? download_failed(download, r, err) : 0;
    }
    if (r < 0)
        r = error_set(err, -r, "%s", failure->message);
    else
        r = finish_download(download, err);
    return r < 0 ? download_failed(download, r, err) : start_downloads(pull, err);
}

static int start_download(struct download *download, struct error *err)
{
    static const struct fetch_handlers handlers = { .data = layer_data, .done = layer_done };
    struct pull *pull = download->pull;
    AUTO_CLEAR(fetch_request) struct fetch_request request = { 0 };
    auto_free char *path = xasprintf("blobs/%s", download->layer->digest.text);
    int r;

    r = download->place == 0
            ? registry_request(&pull->session, FETCH_GET, path, &request, err)
            : registry_request_url(&pull->session, download->layer->urls.items[download->place - 1],
                                   &request, err);
    if (r < 0)
        return r;
    request.offset = partial_blob_length(download->blob);
    request.size = download->layer->size;
    r = tell(download, PULL_ARRIVES, err);
    if (r < 0)
        return r;
    r = fetch_start(pull->session.fetch, &request, -1, &handlers, download, err);
    if (r == 0)
        pull->running++;
    return r;
}

/* Opens a layer's blob; what is whole already is finished without a request. */
static int begin_layer(struct download *download, bool is_waiting, struct error *err)
{
    struct pull *pull = download->pull;
    int r;

    r = partial_blob_open(pull->store, &download->layer->digest, download->layer->size, is_waiting,
                          &download->blob, err);
    if (r == -EAGAIN) {
        int told = tell(download, PULL_WAITING, err);

        return told < 0 ? told : r;
    }
    if (r < 0)
        return r;
    if (download->blob == NULL) {
        download->is_done = true;
        return tell(download, PULL_EXISTS, err);
    }
    if (partial_blob_length(download->blob) == download->layer->size)
        return finish_download(download, err);
    return start_download(download, err);
}

static int start_downloads(struct pull *pull, struct error *err)
{
    while (pull->next < pull->count && pull->running < DOWNLOADS_MAX) {
        struct download *download = &pull->downloads[pull->next++];
        int r = begin_layer(download, false, err);

        if (r < 0 && r != -EAGAIN)
            return download_failed(download, r, err);
    }
    return 0;
}

/* What another process was fetching: one after the other, as no lock is held while we wait. */
static int wait_for_others(struct pull *pull, struct error *err)
{
    for (size_t i = 0; i < pull->count; i++) {
        struct download *download = &pull->downloads[i];
        int r;

        if (download->is_done)
            continue;
        r = begin_layer(download, true, err);
        if (r == 0)
            r = fetch_run(pull->session.fetch, err);
        if (r < 0)
            return download_failed(download, r, err);
    }
    return 0;
}

static int compare_downloads(const void *a, const void *b)
{
    const struct download *left = a, *right = b;

    if (left->layer->size != right->layer->size)
        return left->layer->size > right->layer->size ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

static bool is_repeated(const struct image_descriptors *layers, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (digest_equal(&layers->items[i].digest, &layers->items[index].digest))
            return true;
    }
    return false;
}

/* @are_layers: of the image that is asked for */
static int get_blobs(struct pull *pull, const struct image_descriptors *blobs, bool are_layers,
                     struct error *err)
{
    int r;

    drop_downloads(pull);
    pull->downloads = xcalloc(blobs->count + 1, sizeof(*pull->downloads));
    for (size_t i = 0; i < blobs->count; i++) {
        if (!is_repeated(blobs, i))
            pull->downloads[pull->count++] = (struct download){
                .pull = pull, .layer = &blobs->items[i], .index = are_layers ? i : SIZE_MAX
            };
    }
    qsort(pull->downloads, pull->count, sizeof(*pull->downloads), compare_downloads);
    r = start_downloads(pull, err);
    if (r == 0)
        r = fetch_run(pull->session.fetch, err);
    return r < 0 ? r : wait_for_others(pull, err);
}

/* --- the other platforms ---------------------------------------------------------------------- */

int registry_document(const struct image_descriptor *descriptor, void *context, char **ret_json,
                      size_t *ret_length, struct error *err)
{
    const struct tree_source *source = context;
    AUTO_CLEAR(registry_manifest) struct registry_manifest manifest = { 0 };
    int r;

    if (!drop_damaged(source->store, &descriptor->digest, source->warnings) &&
        store_document(descriptor, source->store, ret_json, ret_length, NULL) == 0)
        return 0;
    r = registry_get_manifest(source->session, NULL, &descriptor->digest, &manifest, err);
    if (r == 0 && descriptor->size != UINT64_MAX && manifest.length != descriptor->size)
        r = error_set(err, EBADMSG, "document %s has %zu bytes, its index says %llu",
                      descriptor->digest.text, manifest.length,
                      (unsigned long long)descriptor->size);
    if (r == 0)
        r = keep_document(source->store, &descriptor->digest, manifest.json, manifest.length, NULL,
                          err);
    if (r < 0)
        return r;
    *ret_json = take_ptr(&manifest.json);
    *ret_length = manifest.length;
    return 0;
}

static int get_index(struct pull *pull, struct error *err)
{
    const struct image_descriptor top = { .digest = pull->image.digest, .size = UINT64_MAX };
    struct tree_source source = { .store = pull->store,
                                  .session = &pull->session,
                                  .warnings = pull->options->warnings };
    AUTO_CLEAR(document_tree) struct document_tree tree = { 0 };
    int r;

    r = document_tree_collect(&top, registry_document, &source, false, &tree, err);
    if (r == 0)
        r = get_blobs(pull, &tree.blobs, false, err);
    drop_downloads(pull); /* they name the tree's blobs */
    return r < 0 ? error_prefix(err, r, "index %s", pull->image.digest.text) : 0;
}

int pull_blobs(struct image_store *store, struct registry_session *session,
               const struct image_descriptors *blobs, struct error *err)
{
    static const struct pull_options options;
    struct pull pull = { .store = store, .options = &options, .session = *session };
    int r = get_blobs(&pull, blobs, false, err);

    drop_downloads(&pull);
    *session = pull.session; /* it is the caller's */
    return r;
}

static int keep_manifests(struct pull *pull, struct error *err)
{
    const struct registry_image *image = &pull->image;
    int r;

    r = keep_document(pull->store, &image->manifest.digest, image->manifest.json,
                      image->manifest.length, pull->options->warnings, err);
    for (size_t i = 0; r == 0 && i < image->index_count; i++)
        r = keep_document(pull->store, &image->indexes[i].digest, image->indexes[i].json,
                          image->indexes[i].length, pull->options->warnings, err);
    return r;
}

/* What the name stood for when it was pulled: no other digest, or a registry could learn what is
 * here, and have it take its names. */
static int find_known(struct pull *pull, const struct reference *reference, struct error *err)
{
    AUTO_CLEAR(names) struct names names = { 0 };
    const struct name *name;
    struct digest manifest;
    int r;

    if (name_read(pull->store, reference, &manifest, NULL) < 0)
        return 0;
    r = names_list(pull->store, &names, err);
    if (r < 0)
        return r;
    name = names_find_digest(&names, reference, &manifest);
    if (name != NULL && digest_parse(name->reference->digest, &pull->session.known, NULL) == 0)
        pull->session.store = pull->store;
    return 0;
}

int image_pull(struct image_store *store, const struct registries *registries,
               const struct reference *reference, const struct pull_options *options,
               struct pulled *ret_pulled, struct error *err)
{
    AUTO_CLEAR(pull) struct pull pull = { .store = store, .options = options };
    struct pulled pulled = { 0 };
    int r = 0;

    assert(store != NULL);
    assert(reference != NULL);
    assert(ret_pulled != NULL);

    if (options->platform != NULL)
        r = platform_check(options->platform, err);
    if (r == 0)
        r = registry_session_open(registries, reference, &options->registry, false, options->loop,
                                  &pull.session, err);
    if (r == 0)
        r = find_known(&pull, reference, err);
    if (r == 0)
        r = registry_resolve(&pull.session, reference, options->platform, &pull.image, err);
    if (r == 0)
        r = keep_manifests(&pull, err);
    if (r == 0)
        r = check_config(&pull, err);
    if (r < 0)
        return r;
    r = get_blobs(&pull, &pull.image.document.layers, true, err);
    if (r == -EBADMSG && /* of one that was here, or of what has come: then it is not here */
        image_drop_damaged(store, &pull.image.document.layers, options->warnings))
        return error_prefix(err, -ESTALE, "what was here of the image");
    if (r == 0 && options->all_platforms)
        r = get_index(&pull, err);
    if (r < 0)
        return r;
    pulled.digest = pull.image.digest;
    pulled.manifest_digest = pull.image.manifest.digest;
    *ret_pulled = pulled;
    return 0;
}
