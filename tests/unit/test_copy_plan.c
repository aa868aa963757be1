#include "unionfs/copy_plan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"

static void each_pair_of_source_and_target_has_one_way(void **state)
{
    static const struct {
        bool is_directory, is_contents;
        enum copy_target target;
        bool has_slash;
        int way; /* or a negative code */
        const char *message;
    } rows[] = {
        { false, false, COPY_DIRECTORY, false, COPY_INTO, NULL },
        { false, false, COPY_DIRECTORY, true, COPY_INTO, NULL },
        { false, false, COPY_FILE, false, COPY_AS, NULL },
        { false, false, COPY_FILE, true, -ENOTDIR, "'t' is no directory" },
        { false, false, COPY_NOTHING, false, COPY_AS, NULL },
        { false, false, COPY_NOTHING, true, -ENOENT,
          "there is no directory 't'; without the slash it is a file's new name" },
        { true, false, COPY_DIRECTORY, false, COPY_INTO, NULL },
        { true, true, COPY_DIRECTORY, false, COPY_OVER, NULL },
        { true, false, COPY_FILE, false, -EISDIR,
          "a directory cannot be copied over the file 't'" },
        { true, true, COPY_FILE, false, -EISDIR, "a directory cannot be copied over the file 't'" },
        { true, false, COPY_NOTHING, false, COPY_AS, NULL },
        { true, true, COPY_NOTHING, true, COPY_AS, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum copy_way way = 42;
        struct error err = { 0 };
        int r = copy_plan(rows[i].is_directory, rows[i].is_contents, rows[i].target,
                          rows[i].has_slash, "t", &way, &err);

        print_message("row %zu\n", i);
        if (rows[i].way >= 0) {
            assert_int_equal(r, 0);
            assert_int_equal(way, rows[i].way);
        } else {
            assert_int_equal(r, rows[i].way);
            assert_string_equal(err.message, rows[i].message);
            assert_int_equal(way, 42);
        }
    }
}

static void the_end_of_a_path_says_what_is_meant(void **state)
{
    static const struct {
        const char *path, *base;
        bool is_contents, needs_directory;
    } rows[] = {
        { "a", "a", false, false },     { "/a/b", "b", false, false },
        { "a/", "a", false, true },     { "a//", "a", false, true },
        { "a/.", ".", true, true },     { "a/./", ".", true, true },
        { ".", ".", true, true },       { "/", ".", true, true },
        { "..", ".", true, true },      { "a/..", ".", true, true },
        { ".a", ".a", false, false },   { "a/.b", ".b", false, false },
        { "...", "...", false, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *base = copy_base_name(rows[i].path);

        print_message("%s\n", rows[i].path);
        assert_string_equal(base, rows[i].base);
        assert_int_equal(copy_is_contents(rows[i].path), rows[i].is_contents);
        assert_int_equal(copy_needs_directory(rows[i].path), rows[i].needs_directory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pair_of_source_and_target_has_one_way),
        cmocka_unit_test(the_end_of_a_path_says_what_is_meant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
