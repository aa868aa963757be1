#include "image/documents.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/decode.h"

/* --- descriptors ------------------------------------------------------------------------------ */

struct platform_names {
    char *os, *architecture, *variant;
};

static const struct field platform_fields[] = {
    FIELD_OF(struct platform_names, architecture, "architecture", FIELD_STRING, 0),
    FIELD_OF(struct platform_names, os, "os", FIELD_STRING, 0),
    FIELD_OF(struct platform_names, variant, "variant", FIELD_STRING, 0),
    { 0 },
};
static const struct object platform_object = { platform_fields, sizeof(struct platform_names), 0 };

struct descriptor_text {
    char *media_type, *digest, *artifact_type;
    uint64_t size;
    struct string_map annotations;
    struct platform_names platform;
    struct strings urls;
};

static const struct field descriptor_fields[] = {
    FIELD_OF(struct descriptor_text, media_type, "mediaType", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct descriptor_text, digest, "digest", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct descriptor_text, size, "size", FIELD_U64, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct descriptor_text, artifact_type, "artifactType", FIELD_STRING, 0),
    FIELD_OF(struct descriptor_text, annotations, "annotations", FIELD_MAP, 0),
    FIELD_OBJECT(struct descriptor_text, platform, "platform", FIELD_STRUCT, &platform_object, 0),
    FIELD_OF(struct descriptor_text, urls, "urls", FIELD_STRINGS, 0),
    { 0 },
};
static const struct object descriptor_object = { descriptor_fields, sizeof(struct descriptor_text),
                                                 0 };

void image_descriptor_clear(struct image_descriptor *descriptor)
{
    free(descriptor->media_type);
    free(descriptor->digest_text);
    free(descriptor->artifact_type);
    string_map_clear(&descriptor->annotations);
    strings_clear(&descriptor->urls);
    free(descriptor->platform_os);
    free(descriptor->platform_architecture);
    free(descriptor->platform_variant);
    *descriptor = (struct image_descriptor){ 0 };
}

void image_descriptors_clear(struct image_descriptors *list)
{
    for (size_t i = 0; i < list->count; i++)
        image_descriptor_clear(&list->items[i]);
    free(list->items);
    *list = (struct image_descriptors){ 0 };
}

struct image_descriptor *image_descriptors_add(struct image_descriptors *list)
{
    list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count] = (struct image_descriptor){ 0 };
    return &list->items[list->count++];
}

void image_descriptor_copy(struct image_descriptor *to, const struct image_descriptor *from)
{
    to->media_type = xstrdup(from->media_type);
    to->digest = from->digest;
    to->digest_text = xstrdup(from->digest_text);
    to->size = from->size;
    to->artifact_type = xstrdup(from->artifact_type);
    for (size_t i = 0; i < from->annotations.count; i++)
        string_map_set(&to->annotations, from->annotations.items[i].key,
                       from->annotations.items[i].value);
    to->platform_os = xstrdup(from->platform_os);
    to->platform_architecture = xstrdup(from->platform_architecture);
    to->platform_variant = xstrdup(from->platform_variant);
    strings_add_all(&to->urls, &from->urls);
}

/* Moves the texts over; the digest becomes usable in a path only here, once it is checked. */
static int take_descriptor(struct descriptor_text *from, struct image_descriptor *to,
                           struct error *err)
{
    int r = digest_parse(from->digest, &to->digest, err);

    if (r < 0)
        return r;
    if (from->size > INT64_MAX)
        return error_set(err, EINVAL, "size %llu is out of range", (unsigned long long)from->size);
    to->digest_text = take_ptr(&from->digest);
    to->media_type = take_ptr(&from->media_type);
    to->size = from->size;
    to->artifact_type = take_ptr(&from->artifact_type);
    to->annotations = from->annotations;
    from->annotations = (struct string_map){ 0 };
    to->platform_os = take_ptr(&from->platform.os);
    to->platform_architecture = take_ptr(&from->platform.architecture);
    to->platform_variant = take_ptr(&from->platform.variant);
    to->urls = from->urls;
    from->urls = (struct strings){ 0 };
    return 0;
}

bool layer_is_foreign(const struct image_descriptor *layer)
{
    return layer->urls.count > 0 && (text_starts(layer->media_type, MEDIA_OCI_FOREIGN_LAYER) ||
                                     text_starts(layer->media_type, MEDIA_DOCKER_FOREIGN_LAYER));
}

/* --- index and manifest ----------------------------------------------------------------------- */

struct descriptor_texts {
    struct descriptor_text *items;
    size_t count;
};

struct document_text {
    uint32_t schema_version;
    char *media_type, *artifact_type;
    struct descriptor_text *config;
    struct descriptor_texts layers, manifests;
    bool has_layers, has_manifests, has_fs_layers;
    char *fs_layers;
};

static const struct field document_fields[] = {
    FIELD_OF(struct document_text, schema_version, "schemaVersion", FIELD_U32, FIELD_REQUIRED),
    FIELD_OF(struct document_text, media_type, "mediaType", FIELD_STRING, 0),
    FIELD_OF(struct document_text, artifact_type, "artifactType", FIELD_STRING, 0),
    FIELD_OBJECT(struct document_text, config, "config", FIELD_POINTER, &descriptor_object, 0),
    { .name = "layers",
      .type = FIELD_STRUCT,
      .offset = offsetof(struct document_text, layers),
      .flags = FIELD_ARRAY,
      .has_offset = offsetof(struct document_text, has_layers),
      .object = &descriptor_object },
    { .name = "manifests",
      .type = FIELD_STRUCT,
      .offset = offsetof(struct document_text, manifests),
      .flags = FIELD_ARRAY,
      .has_offset = offsetof(struct document_text, has_manifests),
      .object = &descriptor_object },
    { .name = "fsLayers",
      .type = FIELD_JSON,
      .offset = offsetof(struct document_text, fs_layers),
      .has_offset = offsetof(struct document_text, has_fs_layers) },
    { 0 },
};
static const struct object document_object = { document_fields, sizeof(struct document_text), 0 };

static void document_text_clear(struct document_text *text)
{
    object_clear(&document_object, text);
}

static bool word_is_one_of(const char *word, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(word, *words) == 0)
            return true;
    }
    return false;
}

static const char *const index_types[] = { MEDIA_OCI_INDEX, MEDIA_DOCKER_LIST, NULL };
static const char *const manifest_types[] = { MEDIA_OCI_MANIFEST, MEDIA_DOCKER_MANIFEST, NULL };
static const char *const config_types[] = { MEDIA_OCI_CONFIG, MEDIA_DOCKER_CONFIG, NULL };
static const char *const layer_types[] = {
    MEDIA_OCI_LAYER,
    MEDIA_OCI_LAYER_GZIP,
    MEDIA_OCI_LAYER_ZSTD,
    MEDIA_OCI_FOREIGN_LAYER,
    MEDIA_OCI_FOREIGN_LAYER "+gzip",
    MEDIA_OCI_FOREIGN_LAYER "+zstd",
    MEDIA_DOCKER_LAYER,
    MEDIA_DOCKER_LAYER ".gzip",
    MEDIA_DOCKER_LAYER ".zstd",
    MEDIA_DOCKER_FOREIGN_LAYER,
    MEDIA_DOCKER_FOREIGN_LAYER ".gzip",
    NULL,
};

/* Its own mediaType, the one in its descriptor and its members must tell the same story: a document
 * that two readers take for different things can hide an image from one of them. */
static int choose_kind(const struct document_text *text, const char *media_type,
                       enum document_kind *ret_kind, struct error *err)
{
    bool is_index = text->has_manifests;

    if (text->schema_version == 1 || text->has_fs_layers)
        return error_set(err, ENOTSUP,
                         "is an image manifest of the old docker schema 1, which "
                         "cannot be verified; build or push the image again");
    if (text->schema_version != 2)
        return error_set(err, EINVAL, "schemaVersion: is %u, not 2", text->schema_version);
    if (text->has_manifests && (text->has_layers || text->config != NULL))
        return error_set(err, EINVAL, "is both an index and a manifest");
    if (!text->has_manifests && text->config == NULL)
        return error_set(err, EINVAL, "is neither an index nor a manifest");
    if (text->media_type != NULL &&
        !word_is_one_of(text->media_type, is_index ? index_types : manifest_types))
        return error_set(err, EINVAL, "mediaType: '%s' is not that of an image %s",
                         text->media_type, is_index ? "index" : "manifest");
    if (media_type != NULL && !word_is_one_of(media_type, is_index ? index_types : manifest_types))
        return error_set(err, EINVAL, "is an image %s, but its descriptor says '%s'",
                         is_index ? "index" : "manifest", media_type);
    if (media_type != NULL && text->media_type != NULL && strcmp(media_type, text->media_type) != 0)
        return error_set(err, EINVAL, "mediaType: is '%s', but its descriptor says '%s'",
                         text->media_type, media_type);
    *ret_kind = is_index ? DOCUMENT_INDEX : DOCUMENT_MANIFEST;
    return 0;
}

static int take_descriptors(struct descriptor_texts *from, const char *name, size_t max,
                            struct image_descriptors *to, struct error *err)
{
    int r;

    if (from->count > max)
        return error_set(err, EINVAL, "%s: has %zu entries, at most %zu are supported", name,
                         from->count, max);
    for (size_t i = 0; i < from->count; i++) {
        r = take_descriptor(&from->items[i], image_descriptors_add(to), err);
        if (r < 0)
            return error_prefix(err, r, "%s[%zu]", name, i);
    }
    return 0;
}

static int check_layer_types(const struct image_descriptors *layers, struct error *err)
{
    for (size_t i = 0; i < layers->count; i++) {
        const char *type = layers->items[i].media_type;

        if (text_ends(type, "+encrypted"))
            return error_set(err, ENOTSUP, "layers[%zu]: is encrypted, which is not supported", i);
        if (!word_is_one_of(type, layer_types))
            return error_set(err, ENOTSUP, "layers[%zu]: '%s' is not a file system layer", i, type);
    }
    return 0;
}

static int take_manifest(struct document_text *text, bool is_image, struct document *document,
                         struct error *err)
{
    int r = take_descriptor(text->config, &document->config, err);

    if (r < 0)
        return error_prefix(err, r, "config");
    if (is_image && !word_is_one_of(document->config.media_type, config_types))
        return error_set(err, ENOTSUP, "is an artifact of type '%s', not an image",
                         text->artifact_type != NULL ? text->artifact_type
                                                     : document->config.media_type);
    r = take_descriptors(&text->layers, "layers", IMAGE_LAYERS_MAX, &document->layers, err);
    return r < 0 || !is_image ? r : check_layer_types(&document->layers, err);
}

static int decode_document(const char *json, size_t length, const char *media_type, bool is_image,
                           struct document *ret_document, struct error *err)
{
    AUTO_CLEAR(document_text) struct document_text text = { 0 };
    AUTO_CLEAR(document) struct document document = { 0 };
    int r;

    assert(json != NULL);
    assert(ret_document != NULL);

    if (length > IMAGE_DOCUMENT_MAX)
        return error_set(err, EFBIG, "has %zu bytes, at most %u are read", length,
                         IMAGE_DOCUMENT_MAX);
    r = decode_text(&document_object, json, length, &text, NULL, err);
    if (r < 0)
        return r;
    r = choose_kind(&text, media_type, &document.kind, err);
    if (r < 0)
        return r;
    if (document.kind == DOCUMENT_INDEX)
        r = take_descriptors(&text.manifests, "manifests", IMAGE_INDEX_ENTRIES_MAX,
                             &document.manifests, err);
    else
        r = take_manifest(&text, is_image, &document, err);
    if (r < 0)
        return r;
    document.media_type = take_ptr(&text.media_type);
    *ret_document = document;
    document = (struct document){ 0 };
    return 0;
}

int document_decode(const char *json, size_t length, const char *media_type,
                    struct document *ret_document, struct error *err)
{
    return decode_document(json, length, media_type, true, ret_document, err);
}

int document_decode_any(const char *json, size_t length, const char *media_type,
                        struct document *ret_document, struct error *err)
{
    return decode_document(json, length, media_type, false, ret_document, err);
}

const char *document_media_type(const struct document *document)
{
    if (document->media_type != NULL)
        return document->media_type;
    return document->kind == DOCUMENT_INDEX ? MEDIA_OCI_INDEX : MEDIA_OCI_MANIFEST;
}

void document_clear(struct document *document)
{
    free(take_ptr(&document->media_type));
    image_descriptor_clear(&document->config);
    image_descriptors_clear(&document->layers);
    image_descriptors_clear(&document->manifests);
}

/* A borrowed view for encoding: nothing of it is freed. */
static struct descriptor_text view_descriptor(const struct image_descriptor *descriptor)
{
    return (struct descriptor_text){
        .media_type = descriptor->media_type,
        .digest = (char *)descriptor->digest.text,
        .size = descriptor->size,
        .artifact_type = descriptor->artifact_type,
        .annotations = descriptor->annotations,
    };
}

static const struct field plain_descriptor_fields[] = {
    FIELD_OF(struct descriptor_text, media_type, "mediaType", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct descriptor_text, digest, "digest", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct descriptor_text, size, "size", FIELD_U64, FIELD_REQUIRED | FIELD_KEEP_EMPTY),
    FIELD_OF(struct descriptor_text, artifact_type, "artifactType", FIELD_STRING, 0),
    FIELD_OF(struct descriptor_text, annotations, "annotations", FIELD_MAP, 0),
    { 0 },
};
static const struct object plain_descriptor_object = { plain_descriptor_fields,
                                                       sizeof(struct descriptor_text), 0 };
static const struct field manifest_fields[] = {
    FIELD_OF(struct document_text, schema_version, "schemaVersion", FIELD_U32, 0),
    FIELD_OF(struct document_text, media_type, "mediaType", FIELD_STRING, 0),
    FIELD_OBJECT(struct document_text, config, "config", FIELD_POINTER, &plain_descriptor_object,
                 0),
    FIELD_OBJECT(struct document_text, layers, "layers", FIELD_STRUCT, &plain_descriptor_object,
                 FIELD_ARRAY | FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object manifest_object = { manifest_fields, sizeof(struct document_text), 0 };

char *manifest_encode(const struct image_descriptor *config, const struct image_descriptors *layers)
{
    struct descriptor_text config_text = view_descriptor(config);
    auto_free struct descriptor_text *layer_texts =
        xcalloc(layers->count + 1, sizeof(*layer_texts));
    struct document_text text = { .schema_version = 2, .config = &config_text };
    auto_free char *media_type = xstrdup(MEDIA_OCI_MANIFEST);

    for (size_t i = 0; i < layers->count; i++)
        layer_texts[i] = view_descriptor(&layers->items[i]);
    text.media_type = media_type;
    text.layers.items = layer_texts;
    text.layers.count = layers->count;
    return encode_text(&manifest_object, &text, ENCODE_COMPACT);
}

static const struct field index_fields[] = {
    FIELD_OF(struct document_text, schema_version, "schemaVersion", FIELD_U32, 0),
    FIELD_OF(struct document_text, media_type, "mediaType", FIELD_STRING, 0),
    FIELD_OBJECT(struct document_text, manifests, "manifests", FIELD_STRUCT,
                 &plain_descriptor_object, FIELD_ARRAY | FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object index_object = { index_fields, sizeof(struct document_text), 0 };

char *index_encode(const struct image_descriptors *manifests)
{
    auto_free struct descriptor_text *texts = xcalloc(manifests->count + 1, sizeof(*texts));
    struct document_text text = { .schema_version = 2 };
    auto_free char *media_type = xstrdup(MEDIA_OCI_INDEX);

    for (size_t i = 0; i < manifests->count; i++)
        texts[i] = view_descriptor(&manifests->items[i]);
    text.media_type = media_type;
    text.manifests.items = texts;
    text.manifests.count = manifests->count;
    return encode_text(&index_object, &text, ENCODE_COMPACT);
}

/* --- config ----------------------------------------------------------------------------------- */

static const struct field healthcheck_fields[] = {
    FIELD_OF(struct image_healthcheck, test, "Test", FIELD_STRINGS, 0),
    FIELD_OF(struct image_healthcheck, interval, "Interval", FIELD_I64, 0),
    FIELD_OF(struct image_healthcheck, timeout, "Timeout", FIELD_I64, 0),
    FIELD_OF(struct image_healthcheck, start_period, "StartPeriod", FIELD_I64, 0),
    FIELD_OF(struct image_healthcheck, retries, "Retries", FIELD_I64, 0),
    { 0 },
};
static const struct object healthcheck_object = { healthcheck_fields,
                                                  sizeof(struct image_healthcheck), 0 };

/* The member "config": how to run it. */
struct run_text {
    char *user, *working_dir, *stop_signal;
    struct strings env, entrypoint, cmd, shell, on_build;
    struct strings volumes, exposed_ports;
    struct string_map labels;
    struct image_healthcheck *healthcheck;
};

static const struct field run_fields[] = {
    FIELD_OF(struct run_text, user, "User", FIELD_STRING, 0),
    FIELD_OF(struct run_text, exposed_ports, "ExposedPorts", FIELD_KEYS, 0),
    FIELD_OF(struct run_text, env, "Env", FIELD_STRINGS, 0),
    FIELD_OF(struct run_text, entrypoint, "Entrypoint", FIELD_STRINGS, 0),
    FIELD_OF(struct run_text, cmd, "Cmd", FIELD_STRINGS, 0),
    FIELD_OBJECT(struct run_text, healthcheck, "Healthcheck", FIELD_POINTER, &healthcheck_object,
                 0),
    FIELD_OF(struct run_text, volumes, "Volumes", FIELD_KEYS, 0),
    FIELD_OF(struct run_text, working_dir, "WorkingDir", FIELD_STRING, 0),
    FIELD_OF(struct run_text, on_build, "OnBuild", FIELD_STRINGS, 0),
    FIELD_OF(struct run_text, labels, "Labels", FIELD_MAP, 0),
    FIELD_OF(struct run_text, stop_signal, "StopSignal", FIELD_STRING, 0),
    FIELD_OF(struct run_text, shell, "Shell", FIELD_STRINGS, 0),
    { 0 },
};
static const struct object run_object = { run_fields, sizeof(struct run_text), 0 };

struct rootfs_text {
    char *type;
    struct strings diff_ids;
};
static const char *const rootfs_words[] = { "layers", NULL };
static const struct field rootfs_fields[] = {
    FIELD_WORD(struct rootfs_text, type, "type", rootfs_words, FIELD_REQUIRED),
    FIELD_OF(struct rootfs_text, diff_ids, "diff_ids", FIELD_STRINGS, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object rootfs_object = { rootfs_fields, sizeof(struct rootfs_text), 0 };

static const struct field history_fields[] = {
    FIELD_OF(struct image_history_item, created, "created", FIELD_STRING, 0),
    FIELD_OF(struct image_history_item, created_by, "created_by", FIELD_STRING, 0),
    FIELD_OF(struct image_history_item, author, "author", FIELD_STRING, 0),
    FIELD_OF(struct image_history_item, comment, "comment", FIELD_STRING, 0),
    FIELD_OF(struct image_history_item, is_empty_layer, "empty_layer", FIELD_BOOL, 0),
    { 0 },
};
static const struct object history_object = { history_fields, sizeof(struct image_history_item),
                                              0 };

struct config_text {
    char *created, *author, *architecture, *variant, *os;
    struct run_text run;
    struct rootfs_text rootfs;
    struct image_history history;
};

static const struct field config_fields[] = {
    FIELD_OF(struct config_text, created, "created", FIELD_STRING, 0),
    FIELD_OF(struct config_text, author, "author", FIELD_STRING, 0),
    FIELD_OF(struct config_text, architecture, "architecture", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct config_text, variant, "variant", FIELD_STRING, 0),
    FIELD_OF(struct config_text, os, "os", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OBJECT(struct config_text, run, "config", FIELD_STRUCT, &run_object, FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct config_text, rootfs, "rootfs", FIELD_STRUCT, &rootfs_object,
                 FIELD_REQUIRED),
    FIELD_OBJECT(struct config_text, history, "history", FIELD_STRUCT, &history_object,
                 FIELD_ARRAY),
    { 0 },
};
static const struct object config_object = { config_fields, sizeof(struct config_text), 0 };

static void config_text_clear(struct config_text *text)
{
    object_clear(&config_object, text);
}

/* Each text either way: moved when decoding, borrowed when encoding. */
static void copy_run(struct image_config *config, const struct run_text *run)
{
    config->user = run->user;
    config->working_dir = run->working_dir;
    config->stop_signal = run->stop_signal;
    config->env = run->env;
    config->entrypoint = run->entrypoint;
    config->cmd = run->cmd;
    config->shell = run->shell;
    config->on_build = run->on_build;
    config->volumes = run->volumes;
    config->exposed_ports = run->exposed_ports;
    config->labels = run->labels;
    config->healthcheck = run->healthcheck;
}

static void copy_to_run(struct run_text *run, const struct image_config *config)
{
    run->user = config->user;
    run->working_dir = config->working_dir;
    run->stop_signal = config->stop_signal;
    run->env = config->env;
    run->entrypoint = config->entrypoint;
    run->cmd = config->cmd;
    run->shell = config->shell;
    run->on_build = config->on_build;
    run->volumes = config->volumes;
    run->exposed_ports = config->exposed_ports;
    run->labels = config->labels;
    run->healthcheck = config->healthcheck;
}

static int check_diff_ids(const struct strings *diff_ids, struct error *err)
{
    struct digest digest;
    int r;

    for (size_t i = 0; i < diff_ids->count; i++) {
        r = digest_parse(diff_ids->items[i], &digest, err);
        if (r < 0)
            return error_prefix(err, r, "rootfs.diff_ids[%zu]", i);
    }
    return 0;
}

int image_config_decode(const char *json, size_t length, struct image_config *ret_config,
                        struct error *err)
{
    AUTO_CLEAR(config_text) struct config_text text = { 0 };
    struct image_config config = { 0 };
    int r;

    assert(json != NULL);
    assert(ret_config != NULL);

    if (length > IMAGE_DOCUMENT_MAX)
        return error_set(err, EFBIG, "has %zu bytes, at most %u are read", length,
                         IMAGE_DOCUMENT_MAX);
    r = decode_text(&config_object, json, length, &text, NULL, err);
    if (r < 0)
        return r;
    r = check_diff_ids(&text.rootfs.diff_ids, err);
    if (r < 0)
        return r;
    config.created = take_ptr(&text.created);
    config.author = take_ptr(&text.author);
    config.architecture = take_ptr(&text.architecture);
    config.variant = take_ptr(&text.variant);
    config.os = take_ptr(&text.os);
    copy_run(&config, &text.run);
    text.run = (struct run_text){ 0 };
    config.diff_ids = text.rootfs.diff_ids;
    text.rootfs.diff_ids = (struct strings){ 0 };
    config.history = text.history;
    text.history = (struct image_history){ 0 };
    if (config.history.count > 0) {
        const struct image_history_item *last = &config.history.items[config.history.count - 1];

        config.comment = xstrdup(last->comment);
        config.created_by = xstrdup(last->created_by);
    }
    *ret_config = config;
    return 0;
}

char *image_config_encode(const struct image_config *config)
{
    struct config_text text = { 0 };
    auto_free struct image_history_item *history = NULL;
    auto_free char *type = xstrdup("layers");

    assert(config != NULL);

    text.created = config->created;
    text.author = config->author;
    text.architecture = config->architecture;
    text.variant = config->variant;
    text.os = config->os;
    copy_to_run(&text.run, config);
    text.rootfs.type = type;
    text.rootfs.diff_ids = config->diff_ids;
    text.history = config->history;
    if (config->history.count == 0) {
        history = xcalloc(config->diff_ids.count + 1, sizeof(*history));
        for (size_t i = 0; i < config->diff_ids.count; i++)
            history[i] = (struct image_history_item){ .created = config->created,
                                                      .created_by = config->created_by,
                                                      .comment = config->comment };
        text.history.items = history;
        text.history.count = config->diff_ids.count;
    }
    return encode_text(&config_object, &text, ENCODE_COMPACT);
}

void image_history_add(struct image_history *history, const struct image_history_item *item)
{
    history->items = xrealloc(history->items, history->count + 1, sizeof(*history->items));
    history->items[history->count++] =
        (struct image_history_item){ .created = xstrdup(item->created),
                                     .created_by = xstrdup(item->created_by),
                                     .author = xstrdup(item->author),
                                     .comment = xstrdup(item->comment),
                                     .is_empty_layer = item->is_empty_layer };
}

void image_config_clear(struct image_config *config)
{
    struct run_text run = { 0 };

    for (size_t i = 0; i < config->history.count; i++)
        object_clear(&history_object, &config->history.items[i]);
    free(config->history.items);

    free(config->architecture);
    free(config->os);
    free(config->variant);
    free(config->created);
    free(config->author);
    free(config->comment);
    free(config->created_by);
    strings_clear(&config->diff_ids);
    copy_to_run(&run, config);
    object_clear(&run_object, &run);
    *config = (struct image_config){ 0 };
}

/* --- docker's manifest.json ------------------------------------------------------------------- */

static const struct field docker_image_fields[] = {
    FIELD_OF(struct docker_image, config, "Config", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct docker_image, repo_tags, "RepoTags", FIELD_STRINGS, 0),
    FIELD_OF(struct docker_image, layers, "Layers", FIELD_STRINGS, 0),
    { 0 },
};
static const struct object docker_image_object = { docker_image_fields, sizeof(struct docker_image),
                                                   0 };
struct docker_wrapper {
    struct docker_images images;
};
static const struct field docker_wrapper_fields[] = {
    FIELD_OBJECT(struct docker_wrapper, images, "images", FIELD_STRUCT, &docker_image_object,
                 FIELD_ARRAY),
    { 0 },
};
static const struct object docker_wrapper_object = { docker_wrapper_fields,
                                                     sizeof(struct docker_wrapper),
                                                     OBJECT_REFUSE_UNKNOWN };

/* The document is a list, decoding wants an object: a member name is put around it. Whatever comes
 * behind the list makes the whole no JSON, or a second, unknown member, which is refused. */
int docker_images_decode(const char *json, size_t length, struct docker_images *ret_images,
                         struct error *err)
{
    struct docker_wrapper wrapper = { 0 };
    AUTO_CLEAR(text) struct text text = { 0 };
    size_t start = 0;
    int r;

    assert(json != NULL);
    assert(ret_images != NULL);

    if (length > IMAGE_DOCUMENT_MAX)
        return error_set(err, EFBIG, "has %zu bytes, at most %u are read", length,
                         IMAGE_DOCUMENT_MAX);
    while (start < length && strchr(" \t\r\n", json[start]) != NULL && json[start] != '\0')
        start++;
    if (start == length || json[start] != '[')
        return error_set(err, EINVAL, "is not a list");
    text_add(&text, "{\"images\":");
    text_add_bytes(&text, json, length);
    text_add(&text, "}");
    r = decode_text(&docker_wrapper_object, text.data, text.length, &wrapper, NULL, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < wrapper.images.count; i++) {
        if (wrapper.images.items[i].layers.count > IMAGE_LAYERS_MAX) {
            r = error_set(err, EINVAL, "images[%zu]: has %zu layers, at most %d can be mounted", i,
                          wrapper.images.items[i].layers.count, IMAGE_LAYERS_MAX);
            object_clear(&docker_wrapper_object, &wrapper);
            return r;
        }
    }
    *ret_images = wrapper.images;
    return 0;
}

char *docker_images_encode(const struct docker_images *images)
{
    const struct docker_wrapper wrapper = { *images };
    auto_free char *json = encode_text(&docker_wrapper_object, &wrapper, ENCODE_COMPACT);
    const char *list = strchr(json, '[');

    return list == NULL ? xstrdup("[]") : xstrndup(list, strlen(list) - 1);
}

void docker_images_clear(struct docker_images *images)
{
    struct docker_wrapper wrapper = { *images };

    object_clear(&docker_wrapper_object, &wrapper);
    *images = (struct docker_images){ 0 };
}

/* --- records ---------------------------------------------------------------------------------- */

static const struct field record_fields[] = {
    FIELD_OF(struct image_record, id, "id", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct image_record, size, "size", FIELD_U64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct image_record, created, "created", FIELD_I64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct image_record, published, "published", FIELD_I64, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object record_object = { record_fields, sizeof(struct image_record), 0 };

char *image_record_encode(const struct image_record *record)
{
    return encode_text(&record_object, record, ENCODE_COMPACT);
}

int image_record_decode(const char *json, size_t length, struct image_record *ret_record,
                        struct error *err)
{
    return decode_text(&record_object, json, length, ret_record, NULL, err);
}

void image_record_clear(struct image_record *record)
{
    object_clear(&record_object, record);
}
