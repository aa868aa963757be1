#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "image/documents.h"

#define HEX      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define D        "\"sha256:" HEX "\""
#define CONFIG   "\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":" D ",\"size\":7}"
#define LAYER    "{\"mediaType\":\"" MEDIA_OCI_LAYER_GZIP "\",\"digest\":" D ",\"size\":9}"
#define MANIFEST "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER "]}"
#define INDEX                                                                                      \
    "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":" D  \
    ",\"size\":5,\"annotations\":{\"a\":\"b\"},\"platform\":{\"architecture\":\"arm\",\"os\":"     \
    "\"linux\",\"variant\":\"v7\"}}]}"

static int decode(const char *json, const char *media_type, struct document *document,
                  struct error *err)
{
    return document_decode(json, strlen(json), media_type, document, err);
}

static void a_manifest_gives_its_config_and_layers(void **state)
{
    AUTO_CLEAR(document) struct document document = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(decode(MANIFEST, MEDIA_OCI_MANIFEST, &document, &err), 0);
    assert_int_equal(document.kind, DOCUMENT_MANIFEST);
    assert_int_equal(document.config.size, 7);
    assert_int_equal(document.layers.count, 1);
    assert_string_equal(document.layers.items[0].digest.text, "sha256:" HEX);
    assert_string_equal(document.layers.items[0].media_type, MEDIA_OCI_LAYER_GZIP);
}

static void an_index_gives_platforms_and_annotations(void **state)
{
    AUTO_CLEAR(document) struct document document = { 0 };

    (void)state;
    assert_int_equal(decode(INDEX, MEDIA_OCI_INDEX, &document, NULL), 0);
    assert_int_equal(document.kind, DOCUMENT_INDEX);
    assert_string_equal(document.manifests.items[0].platform_variant, "v7");
    assert_string_equal(string_map_get(&document.manifests.items[0].annotations, "a"), "b");
}

static void docker_schema_2_is_the_same(void **state)
{
    static const char json[] =
        "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_DOCKER_MANIFEST
        "\",\"config\":{\"mediaType\":\"" MEDIA_DOCKER_CONFIG "\",\"size\":1,\"digest\":" D
        "},\"layers\":[{\"mediaType\":\"application/vnd.docker.image.rootfs.diff.tar.gzip\","
        "\"size\":2,\"digest\":" D "}]}";
    AUTO_CLEAR(document) struct document document = { 0 };

    (void)state;
    assert_int_equal(decode(json, MEDIA_DOCKER_MANIFEST, &document, NULL), 0);
    assert_int_equal(document.layers.items[0].size, 2);
}

static const struct {
    const char *json, *media_type;
    int code;
    const char *message;
} bad[] = {
    { "{\"schemaVersion\":2," CONFIG ",\"layers\":[],\"manifests\":[]}", NULL, -EINVAL,
      "is both an index and a manifest" },
    { "{\"schemaVersion\":2,\"layers\":[],\"manifests\":[]}", NULL, -EINVAL,
      "is both an index and a manifest" },
    { "{\"schemaVersion\":2}", NULL, -EINVAL, "is neither an index nor a manifest" },
    { "{\"schemaVersion\":1,\"fsLayers\":[],\"history\":[]}", NULL, -ENOTSUP,
      "is an image manifest of the old docker schema 1, which cannot be verified; build or push "
      "the "
      "image again" },
    { "{\"schemaVersion\":3}", NULL, -EINVAL, "schemaVersion: is 3, not 2" },
    { "{}", NULL, -EINVAL, "schemaVersion: is missing" },
    { MANIFEST, MEDIA_OCI_INDEX, -EINVAL,
      "is an image manifest, but its descriptor says '" MEDIA_OCI_INDEX "'" },
    { "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\"," CONFIG ",\"layers\":[]}", NULL,
      -EINVAL, "mediaType: '" MEDIA_OCI_INDEX "' is not that of an image manifest" },
    { "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/vnd.oci.empty.v1+json\","
      "\"digest\":" D ",\"size\":2},\"artifactType\":\"x/y\",\"layers\":[]}",
      NULL, -ENOTSUP, "is an artifact of type 'x/y', not an image" },
    { "{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"" MEDIA_OCI_LAYER
      "+encrypted\",\"digest\":" D ",\"size\":1}]}",
      NULL, -ENOTSUP, "layers[0]: is encrypted, which is not supported" },
    { "{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"text/plain\",\"digest\":" D
      ",\"size\":1}]}",
      NULL, -ENOTSUP, "layers[0]: 'text/plain' is not a file system layer" },
};

static void contradictions_are_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct document document = { 0 };
        struct error err = { 0 };
        int r = decode(bad[i].json, bad[i].media_type, &document, &err);

        if (r != bad[i].code)
            fail_msg("%s: %d %s", bad[i].json, r, err.message);
        assert_string_equal(err.message, bad[i].message);
    }
}

static void digests_and_sizes_are_checked_before_use(void **state)
{
    static const char *const configs[] = {
        "\"digest\":\"sha256:../../../etc/passwd\",\"size\":1",
        "\"digest\":\"sha256:" HEX "0\",\"size\":1",
        "\"digest\":\"md5:0123456789abcdef0123456789abcdef\",\"size\":1",
        "\"digest\":" D ",\"size\":-1",
        "\"digest\":" D ",\"size\":9223372036854775808",
        "\"digest\":" D ",\"size\":99999999999999999999",
        "\"digest\":" D ",\"size\":1.5",
        "\"digest\":" D,
        "\"size\":1",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
        auto_free char *json =
            xasprintf("{\"schemaVersion\":2,\"config\":{\"mediaType\":\"%s\",%s},"
                      "\"layers\":[]}",
                      MEDIA_OCI_CONFIG, configs[i]);
        struct document document = { 0 };
        struct error err = { 0 };

        if (decode(json, NULL, &document, &err) != -EINVAL)
            fail_msg("taken: %s", json);
        assert_memory_equal(err.message, "config", 6);
    }
}

static void more_layers_than_can_be_mounted_are_refused(void **state)
{
    AUTO_CLEAR(text) struct text json = { 0 };
    struct document document = { 0 };
    struct error err = { 0 };

    (void)state;
    text_add(&json, "{\"schemaVersion\":2," CONFIG ",\"layers\":[");
    for (int i = 0; i < IMAGE_LAYERS_MAX + 1; i++)
        text_addf(&json, "%s" LAYER, i > 0 ? "," : "");
    text_add(&json, "]}");
    assert_int_equal(decode(json.data, NULL, &document, &err), -EINVAL);
    assert_string_equal(err.message, "layers: has 501 entries, at most 500 are supported");
}

static void an_encoded_manifest_decodes_to_itself(void **state)
{
    AUTO_CLEAR(document) struct document document = { 0 };
    AUTO_CLEAR(document) struct document again = { 0 };
    auto_free char *json = NULL;

    (void)state;
    assert_int_equal(decode(MANIFEST, NULL, &document, NULL), 0);
    json = manifest_encode(&document.config, &document.layers);
    assert_int_equal(decode(json, MEDIA_OCI_MANIFEST, &again, NULL), 0);
    assert_int_equal(again.layers.items[0].size, 9);
    assert_string_equal(again.config.digest.text, document.config.digest.text);
}

#define FULL_CONFIG                                                                                \
    "{\"created\":\"2024-01-02T03:04:05Z\",\"author\":\"me\",\"architecture\":\"amd64\",\"os\":"   \
    "\"linux\",\"config\":{\"User\":\"1:2\",\"ExposedPorts\":{\"80/tcp\":{}},\"Env\":[\"A=b\"],"   \
    "\"Entrypoint\":[\"/e\"],\"Cmd\":[\"c\"],\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"],"           \
    "\"Interval\":5},\"Volumes\":{\"/v\":{}},\"WorkingDir\":\"/w\",\"OnBuild\":[\"RUN x\"],"       \
    "\"Labels\":{\"k\":\"v\"},\"StopSignal\":\"SIGINT\",\"Shell\":[\"/bin/sh\"]},\"rootfs\":"      \
    "{\"type\":\"layers\",\"diff_ids\":[" D "]},\"history\":[{\"created_by\":\"by\",\"comment\":"  \
    "\"why\"}]}"

static void check_full(const struct image_config *config)
{
    assert_string_equal(config->user, "1:2");
    assert_string_equal(config->exposed_ports.items[0], "80/tcp");
    assert_string_equal(config->env.items[0], "A=b");
    assert_string_equal(config->entrypoint.items[0], "/e");
    assert_string_equal(config->healthcheck->test.items[1], "x");
    assert_int_equal(config->healthcheck->interval, 5);
    assert_string_equal(config->volumes.items[0], "/v");
    assert_string_equal(string_map_get(&config->labels, "k"), "v");
    assert_string_equal(config->stop_signal, "SIGINT");
    assert_string_equal(config->diff_ids.items[0], "sha256:" HEX);
    assert_string_equal(config->comment, "why");
    assert_string_equal(config->created_by, "by");
}

static void a_config_survives_decoding_and_encoding(void **state)
{
    AUTO_CLEAR(image_config) struct image_config config = { 0 };
    AUTO_CLEAR(image_config) struct image_config again = { 0 };
    auto_free char *json = NULL;
    struct error err = { 0 };

    (void)state;
    if (image_config_decode(FULL_CONFIG, strlen(FULL_CONFIG), &config, &err) < 0)
        fail_msg("%s", err.message);
    check_full(&config);
    json = image_config_encode(&config);
    assert_int_equal(image_config_decode(json, strlen(json), &again, &err), 0);
    check_full(&again);
}

static void nulls_in_a_config_are_like_absent_members(void **state)
{
    static const char json[] =
        "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Env\":null,"
        "\"Entrypoint\":null,\"Labels\":null,\"Volumes\":null},\"rootfs\":"
        "{\"type\":\"layers\",\"diff_ids\":null},\"container\":\"x\"}";
    AUTO_CLEAR(image_config) struct image_config config = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(image_config_decode(json, strlen(json), &config, &err), 0);
    assert_int_equal(config.env.count, 0);
}

static void a_bad_diff_id_is_named(void **state)
{
    static const char json[] = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":"
                               "\"layers\",\"diff_ids\":[\"sha256:../x\"]}}";
    struct image_config config = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(image_config_decode(json, strlen(json), &config, &err), -EINVAL);
    assert_memory_equal(err.message, "rootfs.diff_ids[0]: ", 20);
}

static void dockers_manifest_list_is_decoded(void **state)
{
    static const char json[] = " [{\"Config\":\"c.json\",\"RepoTags\":[\"a:1\",\"b:2\"],\"Layers\":"
                               "[\"x/layer.tar\"],\"LayerSources\":{}},{\"Config\":\"d\","
                               "\"RepoTags\":null,\"Layers\":[]}] ";
    AUTO_CLEAR(docker_images) struct docker_images images = { 0 };

    (void)state;
    assert_int_equal(docker_images_decode(json, strlen(json), &images, NULL), 0);
    assert_int_equal(images.count, 2);
    assert_string_equal(images.items[0].repo_tags.items[1], "b:2");
    assert_string_equal(images.items[1].config, "d");
}

static void text_around_dockers_manifest_list_is_refused(void **state)
{
    static const char *const texts[] = { "",           "{}",  "[",    "[]]",
                                         "[],\"x\":1", "[]}", "[{}]", "[],\"images\":[]" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct docker_images images = { 0 };

        if (docker_images_decode(texts[i], strlen(texts[i]), &images, NULL) != -EINVAL)
            fail_msg("taken: %s", texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manifest_gives_its_config_and_layers),
        cmocka_unit_test(an_index_gives_platforms_and_annotations),
        cmocka_unit_test(docker_schema_2_is_the_same),
        cmocka_unit_test(contradictions_are_refused_with_a_reason),
        cmocka_unit_test(digests_and_sizes_are_checked_before_use),
        cmocka_unit_test(more_layers_than_can_be_mounted_are_refused),
        cmocka_unit_test(an_encoded_manifest_decodes_to_itself),
        cmocka_unit_test(a_config_survives_decoding_and_encoding),
        cmocka_unit_test(nulls_in_a_config_are_like_absent_members),
        cmocka_unit_test(a_bad_diff_id_is_named),
        cmocka_unit_test(dockers_manifest_list_is_decoded),
        cmocka_unit_test(text_around_dockers_manifest_list_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
