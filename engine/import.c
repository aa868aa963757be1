#include "engine/provision.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/staging.h"
#include "engine/engine_private.h"
#include "engine/import_changes.h"
#include "unionfs/unionfs.h"

#define MEDIA_LAYER "application/vnd.oci.image.layer.v1.tar"
#define COPY_BYTES  (256u << 10)

/* How a tar came, by its first bytes. Layers may be plain, gzip or zstd (image-spec, layer.md);
 * the others are written anew. */
struct form {
    const char *magic;
    size_t length;
    const char *media_type; /* NULL: no layer can be so */
};

static const struct form forms[] = {
    { "\x1f\x8b", 2, MEDIA_LAYER "+gzip" },
    { "\x28\xb5\x2f\xfd", 4, MEDIA_LAYER "+zstd" },
    { "\xfd"
      "7zXZ",
      6, NULL },
    { "BZh", 3, NULL },
};

static int find_form(int fd, const char **ret_media_type, struct error *err)
{
    char bytes[8] = { 0 };
    ssize_t length = pread(fd, bytes, sizeof(bytes), 0);

    if (length < 0)
        return error_errno(err, "read the tar");
    *ret_media_type = MEDIA_LAYER;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        if ((size_t)length >= forms[i].length &&
            memcmp(bytes, forms[i].magic, forms[i].length) == 0)
            *ret_media_type = forms[i].media_type;
    }
    return 0;
}

static int copy_to_writer(int fd, struct layer_writer *writer, struct error *err)
{
    auto_free char *buffer = xcalloc(1, COPY_BYTES);

    for (;;) {
        ssize_t length = read(fd, buffer, COPY_BYTES);
        int r;

        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return error_errno(err, "read the decompressed tar");
        if (length == 0)
            return 0;
        r = layer_writer_add(writer, buffer, (size_t)length, err);
        if (r < 0)
            return r;
    }
}

/* From xz or bzip2 to a zstd layer; what was read becomes garbage. */
static int write_anew(struct engine *engine, int fd, struct image_descriptors *layers,
                      struct error *err)
{
    AUTO(layer_writer) struct layer_writer *writer = NULL;
    AUTO_CLEAR(unpack_child) struct unpack_child child = UNPACK_CHILD_NONE;
    struct digest diff_id;
    int r;

    r = layer_writer_open(engine_images(engine), &writer, err);
    if (r == 0)
        r = unpack_child_start("decompress", fd, &child, err);
    if (r == 0)
        r = copy_to_writer(child.fd, writer, err);
    if (r < 0)
        return r;
    r = unpack_child_finish(&child, 0, NULL, err);
    if (r < 0)
        return error_prefix(err, r, "the tar cannot be decompressed");
    return layer_writer_finish(writer, layers, &diff_id, err);
}

/* The tar as a layer blob in the store. */
static int store_layer(struct engine *engine, int fd, struct image_descriptors *layers,
                       struct error *err)
{
    struct image_store *store = engine_images(engine);
    auto_close int blob_fd = -1;
    const char *media_type = NULL;
    struct digest digest;
    uint64_t size;
    int r;

    r = blob_copy(store, fd, UINT64_MAX, NULL, &digest, &size, err);
    if (r == 0)
        r = blob_open(store, &digest, &blob_fd, err);
    if (r == 0)
        r = find_form(blob_fd, &media_type, err);
    if (r < 0)
        return r;
    if (media_type == NULL)
        return write_anew(engine, blob_fd, layers, err);

    layers->items = xcalloc(1, sizeof(*layers->items));
    layers->count = 1;
    layers->items[0] = (struct image_descriptor){
        .media_type = xstrdup(media_type),
        .digest = digest,
        .digest_text = xstrdup(digest.text),
        .size = size,
    };
    return 0;
}

static int unpack_imported(struct engine *engine, const struct image_descriptor *layer,
                           engine_progress *progress, void *context, struct digest *ret_diff_id,
                           struct strings *ret_warnings, struct error *err)
{
    struct provision_progress unpacking = { .function = progress,
                                            .context = context,
                                            .step = "Unpacking the layer",
                                            .total = layer->size };
    struct layer_source source = { .media_type = layer->media_type,
                                   .size_bytes = layer->size,
                                   .progress = progress == NULL ? NULL : provision_report,
                                   .context = &unpacking,
                                   .warnings = ret_warnings };
    auto_close int blob_fd = -1;
    int r;

    r = blob_open(engine_images(engine), &layer->digest, &blob_fd, err);
    if (r < 0)
        return r;
    source.blob_fd = blob_fd;
    return layer_ensure(engine_data_fd(engine), &source, NULL, ret_diff_id, NULL, err);
}

static int describe(struct image_config *config, const struct strings *changes, const char *message,
                    struct error *err)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
    config->architecture = xstrdup(platform_architecture());
    config->os = xstrdup("linux");
    config->created = text_format_time(now.tv_sec, (uint32_t)now.tv_nsec);
    config->comment = xstrdup(text_is_empty(message) ? "Imported from -" : message);
    for (size_t i = 0; changes != NULL && i < changes->count; i++) {
        int r = import_change_apply(config, changes->items[i], err);

        if (r < 0)
            return error_prefix(err, r, "--change '%s'", changes->items[i]);
    }
    return 0;
}

/* Layer, config, manifest, record, name. */
static int build(struct engine *engine, const struct image_descriptors *layers,
                 struct image_config *config, const struct reference *reference,
                 engine_progress *progress, void *context, struct strings *ret_warnings,
                 char **ret_image_id, struct error *err)
{
    struct image_store *store = engine_images(engine);
    AUTO(image) struct image *image = NULL;
    struct digest diff_id, manifest;
    int r;

    r = unpack_imported(engine, &layers->items[0], progress, context, &diff_id, ret_warnings, err);
    if (r < 0)
        return r;
    strings_add(&config->diff_ids, diff_id.text);
    r = image_build(store, config, layers, &manifest, err);
    if (r == 0)
        r = image_open(store, &manifest, &image, err);
    if (r == 0)
        r = layers_sync(engine_data_fd(engine), err);
    if (r == 0)
        r = provision_publish(engine, image, reference, err);
    if (r < 0)
        return r;
    *ret_image_id = xstrdup(image->id.text);
    return 0;
}

static int import(struct engine *engine, int fd, struct image_config *config,
                  const struct reference *reference, engine_progress *progress, void *context,
                  struct strings *ret_warnings, char **ret_image_id, struct error *err)
{
    AUTO_CLEAR(image_descriptors) struct image_descriptors layers = { 0 };
    struct provision_progress reading = { .function = progress,
                                          .context = context,
                                          .step = "Reading the tar" };
    auto_close int lock_fd = -1;
    int r;

    r = layers_lock(engine_data_fd(engine), false, UINT32_MAX, &lock_fd, err);
    if (r < 0)
        return r;
    (void)staging_clean(engine_data_fd(engine),
                        NULL); /* of dead ones; the next one does it otherwise */
    image_store_watch(engine_images(engine), provision_report, &reading);
    r = store_layer(engine, fd, &layers, err);
    image_store_watch(engine_images(engine), NULL, NULL);
    if (r == 0)
        r = build(engine, &layers, config, reference, progress, context, ret_warnings, ret_image_id,
                  err);
    return r;
}

int engine_import(struct engine *engine, int fd, const char *reference_text,
                  const struct strings *changes, const char *message, engine_progress *progress,
                  void *context, struct strings *ret_warnings, char **ret_image_id,
                  struct error *err)
{
    AUTO_CLEAR(image_config) struct image_config config = { 0 };
    AUTO(reference) struct reference *reference = NULL;
    int r;

    assert(engine != NULL);
    assert(ret_image_id != NULL);

    /* What can be refused is refused before anything is read. */
    r = describe(&config, changes, message, err);
    if (r == 0 && !text_is_empty(reference_text))
        r = reference_parse(reference_text, &reference, err);
    if (r == 0)
        r = engine_need_images(engine, err);
    if (r < 0)
        return r;
    r = import(engine, fd, &config, reference, progress, context, ret_warnings, ret_image_id, err);
    if (r < 0)
        provision_discard(engine, r);
    return r < 0 ? error_prefix(err, r, "import") : 0;
}
