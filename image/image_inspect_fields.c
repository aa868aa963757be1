#include "image/store_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* What `docker image inspect` prints. Scripts read it, so members, their order and null versus
 * empty follow docker: a list or map that the config does not have is null, except RepoTags and
 * RepoDigests, which are []. The config is read again here, because members that berth does not use
 * itself are shown too. */

enum member_default { DEFAULT_TEXT, DEFAULT_FALSE, DEFAULT_NULL, DEFAULT_ABSENT };

struct member {
    const char *name;
    enum member_default when_absent;
};

static const struct member config_members[] = {
    { "Hostname", DEFAULT_TEXT },
    { "Domainname", DEFAULT_TEXT },
    { "User", DEFAULT_TEXT },
    { "AttachStdin", DEFAULT_FALSE },
    { "AttachStdout", DEFAULT_FALSE },
    { "AttachStderr", DEFAULT_FALSE },
    { "ExposedPorts", DEFAULT_ABSENT },
    { "Tty", DEFAULT_FALSE },
    { "OpenStdin", DEFAULT_FALSE },
    { "StdinOnce", DEFAULT_FALSE },
    { "Env", DEFAULT_NULL },
    { "Cmd", DEFAULT_NULL },
    { "Healthcheck", DEFAULT_ABSENT },
    { "ArgsEscaped", DEFAULT_ABSENT },
    { "Image", DEFAULT_TEXT },
    { "Volumes", DEFAULT_NULL },
    { "WorkingDir", DEFAULT_TEXT },
    { "Entrypoint", DEFAULT_NULL },
    { "NetworkDisabled", DEFAULT_ABSENT },
    { "OnBuild", DEFAULT_NULL },
    { "Labels", DEFAULT_NULL },
    { "StopSignal", DEFAULT_ABSENT },
    { "StopTimeout", DEFAULT_ABSENT },
    { "Shell", DEFAULT_ABSENT },
};

static json_t *absent_value(enum member_default kind)
{
    switch (kind) {
    case DEFAULT_TEXT:
        return json_string("");
    case DEFAULT_FALSE:
        return json_false();
    case DEFAULT_NULL:
        return json_null();
    case DEFAULT_ABSENT:
        break;
    }
    return NULL;
}

/* Takes the new reference @value; NULL leaves the member out. */
static void set(json_t *object, const char *name, json_t *value)
{
    if (value != NULL && json_object_set_new(object, name, value) < 0)
        abort(); /* out of memory: nothing else fails here */
}

static json_t *text_or_empty(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return json_string(text != NULL ? text : "");
}

static json_t *config_of(const json_t *document)
{
    const json_t *config = json_object_get(document, "config");
    json_t *result = json_object();

    for (size_t i = 0; i < ARRAY_SIZE(config_members); i++) {
        json_t *value = json_object_get(config, config_members[i].name);

        if (value != NULL && !json_is_null(value))
            set(result, config_members[i].name, json_incref(value));
        else
            set(result, config_members[i].name, absent_value(config_members[i].when_absent));
    }
    return result;
}

static json_t *names_of(struct image_store *store, const struct image *image, bool with_digests)
{
    AUTO_CLEAR(names) struct names names = { 0 };
    AUTO_CLEAR(records) struct records records = { 0 };
    AUTO_CLEAR(strings) struct strings texts = { 0 };
    json_t *list = json_array();

    /* An unreadable store shows no names; the image itself was read already. */
    if (names_list(store, &names, NULL) < 0 || records_list(store, &records, NULL, NULL) < 0)
        return list;
    for (size_t i = 0; i < names.count; i++) {
        const struct name *name = &names.items[i];
        bool is_ours = digest_equal(&name->digest, &image->manifest_digest);
        auto_free char *text = NULL;

        for (size_t j = 0; j < records.count && !is_ours; j++)
            is_ours = digest_equal(&records.items[j].id, &image->id) &&
                      digest_equal(&records.items[j].manifest_digest, &name->digest);
        if (!is_ours || (name->reference->digest != NULL) != with_digests) {
            if (!is_ours || !with_digests ||
                names_find_digest(&names, name->reference, &name->digest) != NULL)
                continue; /* the digest by which it was pulled is a name of its own */
        }
        if (name->reference->digest != NULL) {
            text = xstrdup(name->familiar);
        } else if (with_digests) {
            struct reference by_digest = *name->reference;

            by_digest.tag = NULL;
            by_digest.digest = (char *)name->digest.text;
            text = reference_format_familiar(&by_digest);
        } else {
            text = xstrdup(name->familiar);
        }
        if (!strings_contains(&texts, text))
            strings_add(&texts, text);
    }
    for (size_t i = 0; i < texts.count; i++)
        (void)json_array_append_new(list, json_string(texts.items[i])); /* a reference is ASCII */
    return list;
}

static json_t *rootfs_of(const struct image *image)
{
    json_t *rootfs = json_object();
    json_t *layers = json_array();

    for (size_t i = 0; i < image->config.diff_ids.count; i++)
        (void)json_array_append_new(layers, json_string(image->config.diff_ids.items[i]));
    set(rootfs, "Type", json_string("layers"));
    set(rootfs, "Layers", layers);
    return rootfs;
}

static json_t *graph_driver(void)
{
    json_t *driver = json_object();

    set(driver, "Data", json_null());
    set(driver, "Name", json_string("overlay2"));
    return driver;
}

/* When a name was given to it last; docker's zero time when it has none. */
static json_t *metadata(struct image_store *store, const struct image *image)
{
    AUTO_CLEAR(records) struct records records = { 0 };
    auto_free char *time = xstrdup("0001-01-01T00:00:00Z");
    json_t *result = json_object();

    if (records_list(store, &records, NULL, NULL) == 0) {
        for (size_t i = 0; i < records.count; i++) {
            if (!digest_equal(&records.items[i].manifest_digest, &image->manifest_digest))
                continue;
            free(time);
            time = text_format_time(records.items[i].fields.published, 0);
        }
    }
    set(result, "LastTagTime", json_string(time));
    return result;
}

static json_t *parse_config(const struct image *image)
{
    json_t *document = NULL;

    /* It was decoded when the image was opened, so it is an object. */
    if (image->config_json != NULL)
        document = json_loads(image->config_json, JSON_REJECT_DUPLICATES, NULL);
    return document != NULL ? document : json_object();
}

char *image_inspect_json(struct image_store *store, const struct image *image)
{
    json_t *document, *result = json_object();
    const char *comment;
    char *text;

    assert(store != NULL);
    assert(image != NULL);

    document = parse_config(image);
    comment = json_string_value(json_object_get(document, "comment"));
    if (comment == NULL)
        comment = image->config.comment;
    set(result, "Id", json_string(image->id.text));
    set(result, "RepoTags", names_of(store, image, false));
    set(result, "RepoDigests", names_of(store, image, true));
    set(result, "Parent", text_or_empty(document, "parent"));
    set(result, "Comment", json_string(comment != NULL ? comment : ""));
    if (image->config.created != NULL)
        set(result, "Created", json_string(image->config.created));
    set(result, "DockerVersion", text_or_empty(document, "docker_version"));
    set(result, "Author", text_or_empty(document, "author"));
    set(result, "Config", config_of(document));
    set(result, "Architecture", text_or_empty(document, "architecture"));
    if (!text_is_empty(image->config.variant))
        set(result, "Variant", json_string(image->config.variant));
    set(result, "Os", text_or_empty(document, "os"));
    if (json_is_string(json_object_get(document, "os.version")))
        set(result, "OsVersion", text_or_empty(document, "os.version"));
    set(result, "Size", json_integer((json_int_t)image->size_bytes));
    set(result, "GraphDriver", graph_driver());
    set(result, "RootFS", rootfs_of(image));
    set(result, "Metadata", metadata(store, image));
    text = json_dumps(result, JSON_INDENT(4));
    json_decref(result);
    json_decref(document);
    if (text == NULL)
        abort(); /* out of memory */
    return text;
}
