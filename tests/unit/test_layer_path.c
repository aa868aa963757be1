#include "unionfs/layer_path.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

struct row {
    const char *name;
    const char *parent; /* NULL: leads outside */
    const char *base;
};

static void names_are_cleaned_and_never_leave_the_layer(void **state)
{
    static const struct row rows[] = {
        { "a", "", "a" },          { "a/b", "a", "b" },
        { "a/b/c", "a/b", "c" },   { "./a", "", "a" },
        { "/a", "", "a" },         { "//a//b//", "a", "b" },
        { "a/./b/.", "a", "b" },   { "a/../b", "", "b" },
        { "a/b/../c", "a", "c" },  { "a/b/../../c/d", "c", "d" },
        { "...", "", "..." },      { "..a/b..", "..a", "b.." },
        { "a/..", "", "" },        { ".", "", "" },
        { "./", "", "" },          { "/", "", "" },
        { "a b/\n", "a b", "\n" }, { "..", NULL, NULL },
        { "/..", NULL, NULL },     { "../a", NULL, NULL },
        { "a/../..", NULL, NULL }, { "a/../../a", NULL, NULL },
        { "./../a", NULL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct layer_path path;
        struct error err = { 0 };
        int r = layer_path_parse(rows[i].name, &path, &err);

        if (rows[i].parent == NULL) {
            if (r != -EINVAL)
                fail_msg("'%s' gives %d", rows[i].name, r);
            assert_string_equal(err.message, "leads outside of the layer");
            continue;
        }
        if (r < 0)
            fail_msg("'%s': %s", rows[i].name, err.message);
        assert_string_equal(path.parent, rows[i].parent);
        assert_string_equal(path.base, rows[i].base);
    }
}

static void an_empty_name_is_refused(void **state)
{
    struct layer_path path;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(layer_path_parse("", &path, &err), -EINVAL);
    assert_string_equal(err.message, "has no name");
}

static char *repeat(const char *text, size_t count)
{
    struct text all = { 0 };

    for (size_t i = 0; i < count; i++)
        text_add(&all, text);
    return text_take(&all);
}

static void each_limit_is_exact_and_named(void **state)
{
    auto_free char *longest = repeat("a", LAYER_COMPONENT_MAX);
    auto_free char *longer = repeat("a", LAYER_COMPONENT_MAX + 1);
    auto_free char *deepest = repeat("a/", LAYER_DEPTH_MAX);
    auto_free char *deeper = repeat("a/", LAYER_DEPTH_MAX + 1);
    auto_free char *component = xasprintf("%s/", longest);
    auto_free char *full = repeat(component, 16); /* 16 * 256 - 1 = 4095 bytes */
    auto_free char *over = xasprintf("%sa", full);
    struct layer_path path;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(layer_path_parse(longest, &path, NULL), 0);
    assert_int_equal(layer_path_parse(deepest, &path, NULL), 0);
    assert_int_equal(layer_path_parse(full, &path, NULL), 0);
    assert_int_equal(layer_path_parse(longer, &path, &err), -ENAMETOOLONG);
    assert_string_equal(err.message, "has a component of more than 255 bytes");
    assert_int_equal(layer_path_parse(deeper, &path, &err), -ENAMETOOLONG);
    assert_string_equal(err.message, "is deeper than 512 directories");
    assert_int_equal(layer_path_parse(over, &path, &err), -ENAMETOOLONG);
    assert_string_equal(err.message, "is longer than 4095 bytes");
}

static void parent_and_base_become_one_path_again(void **state)
{
    static const char *const names[] = { "a", "a/b", "a/b/c", "" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char buffer[LAYER_PATH_MAX];
        struct layer_path path;

        assert_int_equal(layer_path_parse(names[i][0] == '\0' ? "." : names[i], &path, NULL), 0);
        assert_string_equal(layer_path_format(&path, buffer), names[i]);
    }
}

static void escaped_paths_are_ascii_and_come_back(void **state)
{
    static const char *const paths[] = { "a/b", "100%", "%41", "\xc3\xbc/\xff\xfe", "%", "a%2" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        auto_free char *text = layer_path_escape(paths[i]);
        auto_free char *path = layer_path_unescape(text);

        for (const char *at = text; *at != '\0'; at++)
            assert_true((unsigned char)*at < 0x80);
        assert_string_equal(path, paths[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_cleaned_and_never_leave_the_layer),
        cmocka_unit_test(an_empty_name_is_refused),
        cmocka_unit_test(each_limit_is_exact_and_named),
        cmocka_unit_test(parent_and_base_become_one_path_again),
        cmocka_unit_test(escaped_paths_are_ascii_and_come_back),
    };

    return cmocka_run_group_tests_name("layer_path", tests, NULL, NULL);
}
