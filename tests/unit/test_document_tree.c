#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "image/document_tree.h"

/* Documents in memory, found by their digests. */
#define DOCUMENTS_MAX 16

struct scene {
    char *texts[DOCUMENTS_MAX];
    struct digest digests[DOCUMENTS_MAX];
    size_t count;
};

static void scene_clear(struct scene *scene)
{
    for (size_t i = 0; i < scene->count; i++)
        free(scene->texts[i]);
}

static int find(const struct image_descriptor *descriptor, void *context, char **ret_json,
                size_t *ret_length, struct error *err)
{
    const struct scene *scene = context;

    for (size_t i = 0; i < scene->count; i++) {
        if (digest_equal(&scene->digests[i], &descriptor->digest)) {
            *ret_json = xstrdup(scene->texts[i]);
            *ret_length = strlen(*ret_json);
            return 0;
        }
    }
    return error_set(err, ENOENT, "no %s", descriptor->digest.text);
}

static const struct digest *add(struct scene *scene, char *text)
{
    size_t i = scene->count++;

    scene->texts[i] = text;
    hash_bytes("sha256", text, strlen(text), &scene->digests[i]);
    return &scene->digests[i];
}

static char *descriptor_of(const struct digest *digest, const char *media_type)
{
    return xasprintf("{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":7}", media_type,
                     digest->text);
}

static const struct digest *add_manifest(struct scene *scene, const char *layer)
{
    struct digest digest;
    auto_free char *blob = NULL;

    hash_bytes("sha256", layer, strlen(layer), &digest);
    blob = descriptor_of(&digest, "text/x-anything");
    return add(scene, xasprintf("{\"schemaVersion\":2,\"config\":%s,\"layers\":[%s,%s]}", blob,
                                blob, blob));
}

static const struct digest *add_index(struct scene *scene, const struct digest *a,
                                      const char *type_a, const struct digest *b)
{
    auto_free char *first = descriptor_of(a, type_a);
    auto_free char *second = descriptor_of(b, MEDIA_OCI_MANIFEST);

    return add(scene, xasprintf("{\"schemaVersion\":2,\"manifests\":[%s,%s]}", first, second));
}

static int collect(struct scene *scene, const struct digest *top, bool skips_missing,
                   struct document_tree *tree, struct error *err)
{
    const struct image_descriptor descriptor = { .digest = *top, .size = UINT64_MAX };

    return document_tree_collect(&descriptor, find, scene, skips_missing, tree, err);
}

static void each_document_and_blob_comes_once_and_the_top_last(void **state)
{
    AUTO_CLEAR(scene) struct scene scene = { 0 };
    AUTO_CLEAR(document_tree) struct document_tree tree = { 0 };
    const struct digest *a = add_manifest(&scene, "a"), *b = add_manifest(&scene, "b");
    const struct digest *inner = add_index(&scene, a, MEDIA_OCI_MANIFEST, b);
    const struct digest *top = add_index(&scene, inner, MEDIA_OCI_INDEX, a);
    const struct digest *order[] = { a, b, inner, top };

    (void)state;
    assert_int_equal(collect(&scene, top, false, &tree, NULL), 0);
    assert_int_equal(tree.documents.count, 4);
    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        assert_string_equal(tree.documents.items[i].digest.text, order[i]->text);
    assert_string_equal(tree.documents.items[3].media_type, MEDIA_OCI_INDEX);
    assert_int_equal(tree.blobs.count, 2);
}

static void what_is_missing_is_an_error_or_left_out(void **state)
{
    AUTO_CLEAR(scene) struct scene scene = { 0 };
    AUTO_CLEAR(document_tree) struct document_tree whole = { 0 };
    AUTO_CLEAR(document_tree) struct document_tree part = { 0 };
    const struct digest *a = add_manifest(&scene, "a");
    const struct digest *top;
    struct digest gone;

    (void)state;
    hash_bytes("sha256", "gone", 4, &gone);
    top = add_index(&scene, a, MEDIA_OCI_MANIFEST, &gone);
    assert_int_equal(collect(&scene, top, false, &whole, NULL), -ENOENT);
    assert_int_equal(collect(&scene, top, true, &part, NULL), 0);
    assert_int_equal(part.documents.count, 2);
    assert_int_equal(collect(&scene, &gone, true, &part, NULL), -ENOENT);
}

static void indexes_are_followed_to_a_depth(void **state)
{
    AUTO_CLEAR(scene) struct scene scene = { 0 };
    AUTO_CLEAR(document_tree) struct document_tree tree = { 0 };
    const struct digest *a = add_manifest(&scene, "a");
    const struct digest *top = add_index(&scene, a, MEDIA_OCI_MANIFEST, a);
    struct error err = { 0 };

    (void)state;
    for (int depth = 2; depth < 4; depth++)
        top = add_index(&scene, top, MEDIA_OCI_INDEX, a);
    assert_int_equal(collect(&scene, top, false, &tree, NULL), 0);
    document_tree_clear(&tree);
    top = add_index(&scene, top, MEDIA_OCI_INDEX, a);
    assert_int_equal(collect(&scene, top, false, &tree, &err), -EINVAL);
    assert_string_equal(err.message, "indexes are nested more than 4 deep");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_document_and_blob_comes_once_and_the_top_last),
        cmocka_unit_test(what_is_missing_is_an_error_or_left_out),
        cmocka_unit_test(indexes_are_followed_to_a_depth),
    };

    return cmocka_run_group_tests_name("document_tree", tests, NULL, NULL);
}
