#include "cgroups/cgroup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void paths_are_cleaned(void **state)
{
    static const char *const rows[][2] = {
        { "berth/x", "/berth/x" },
        { "//a///b/", "/a/b" },
        { "/./a/./b/.", "/a/b" },
        { "/a..b/...", "/a..b/..." },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *path = NULL;

        assert_int_equal(cgroup_path_parse(rows[i][0], &path, NULL), 0);
        assert_string_equal(path, rows[i][1]);
    }
}

static void bad_paths_are_refused_with_the_reason(void **state)
{
    auto_free char *long_name = xasprintf("/a/%0256d", 1);
    auto_free char *long_path = xstrdup("");
    const char *const rows[][2] = {
        { "/a/../b", "a cgroup path must not contain '..'" },
        { "..", "a cgroup path must not contain '..'" },
        { "/", "cgroup path '/' names no cgroup below the root" },
        { "", "cgroup path '' names no cgroup below the root" },
        { "/a\nb", "cgroup path 'a\\x0ab' contains a control character" },
        { long_name, "a cgroup's name must not be longer than 255 bytes" },
    };
    char *path = NULL;
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(cgroup_path_parse(rows[i][0], &path, &err), -EINVAL);
        assert_string_equal(err.message, rows[i][1]);
        assert_null(path);
    }
    for (size_t i = 0; i < 10; i++) {
        char *longer = xasprintf("%s/%0250d", long_path, 1);

        auto_free_cleanup(&long_path);
        long_path = longer;
    }
    assert_int_equal(cgroup_path_parse(long_path, &path, &err), -EINVAL);
    assert_string_equal(err.message, "the cgroup path is longer than 2047 bytes");
}

static void keyed_numbers_are_found_by_their_whole_key(void **state)
{
    static const char text[] =
        "oom_kill_disable 1\nunder_oom 0\noom_kill 7\nlast 18446744073709551615";
    uint64_t value = 42;

    (void)state;
    assert_true(cgroup_text_u64(text, "oom_kill", &value));
    assert_int_equal(value, 7);
    assert_true(cgroup_text_u64(text, "last", &value));
    assert_true(value == UINT64_MAX);
    assert_false(cgroup_text_u64(text, "oom", &value));
    assert_false(cgroup_text_u64("", "oom", &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_cleaned),
        cmocka_unit_test(bad_paths_are_refused_with_the_reason),
        cmocka_unit_test(keyed_numbers_are_found_by_their_whole_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
