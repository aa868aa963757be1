#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "image/registry.h"

static void places_are_parsed(void **state)
{
    static const struct {
        const char *text;
        enum image_place_kind kind;
        const char *path, *name;
    } rows[] = {
        { "alpine", PLACE_REGISTRY, NULL, "alpine" },
        { "localhost:5000/app:1", PLACE_REGISTRY, NULL, "localhost:5000/app:1" },
        { "docker://alpine:3", PLACE_REGISTRY, NULL, "alpine:3" },
        { "oci:/tmp/layout", PLACE_OCI, "/tmp/layout", NULL },
        { "oci:layout:1.0", PLACE_OCI, "layout", "1.0" },
        { "oci:layout:", PLACE_OCI, "layout", NULL },
        { "oci-archive:a.tar:x", PLACE_OCI_ARCHIVE, "a.tar", "x" },
        { "docker-archive:a.tar", PLACE_DOCKER_ARCHIVE, "a.tar", NULL },
        { "docker-archive:a.tar:localhost:5000/app:1", PLACE_DOCKER_ARCHIVE, "a.tar",
          "localhost:5000/app:1" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(image_place) struct image_place place = { 0 };
        struct error err = { 0 };

        print_message("%s\n", rows[i].text);
        assert_int_equal(image_place_parse(rows[i].text, &place, &err), 0);
        assert_int_equal(place.kind, rows[i].kind);
        assert_true(text_equal(place.path, rows[i].path));
        assert_true(text_equal(place.name, rows[i].name));
    }
}

static void what_is_no_place_is_said(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *message;
    } rows[] = {
        { "", -EINVAL, "'' names no image" },
        { "docker://", -EINVAL, "'docker://' names no image" },
        { "oci:", -EINVAL, "'oci:' names no file" },
        { "oci-archive::tag", -EINVAL, "'oci-archive::tag' names no file" },
        { "dir:x", -ENOTSUP,
          "'dir:x': give docker://NAME, oci:DIRECTORY[:TAG], oci-archive:FILE[:TAG] or "
          "docker-archive:FILE[:NAME]" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct image_place place = { 0 };
        struct error err = { 0 };

        print_message("%s\n", rows[i].text);
        assert_int_equal(image_place_parse(rows[i].text, &place, &err), rows[i].code);
        assert_string_equal(err.message, rows[i].message);
        assert_null(place.path);
    }
}

static void names_are_told_from_places(void **state)
{
    static const char *const places[] = { "docker://a", "oci:a", "oci-archive:a.tar",
                                          "docker-archive:a.tar", "dir:a" };
    static const char *const names[] = { "a", "oci", "docker.io/a:1", "oci-tools:1", "docker:1" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        assert_true(image_place_has_kind(places[i]));
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_false(image_place_has_kind(names[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_parsed),
        cmocka_unit_test(what_is_no_place_is_said),
        cmocka_unit_test(names_are_told_from_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
