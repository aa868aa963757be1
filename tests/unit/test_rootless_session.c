#include "engine/rootless_session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"

static void folders_follow_the_environment(void **state)
{
    static const struct {
        struct rootless_environment environment;
        const char *data, *run, *run_parent;
    } rows[] = {
        { { "/home/ann", NULL, "/run/user/7", 7, true },
          "/home/ann/.local/share/berth",
          "/run/user/7/berth",
          "/run/user/7" },
        { { "/home/ann", "/data/ann", "/var/ann", 7, true },
          "/data/ann/berth",
          "/var/ann/berth",
          "/var/ann" },
        { { NULL, "/data/ann", NULL, 7, true },
          "/data/ann/berth",
          "/run/user/7/berth",
          "/run/user/7" },
        { { "/home/ann", "", "", 7, false }, "/home/ann/.local/share/berth", "/tmp/berth-7", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(rootless_paths) struct rootless_paths paths = { 0 };
        struct error err = { 0 };

        print_message("row %zu\n", i);
        assert_int_equal(rootless_paths_plan(&rows[i].environment, &paths, &err), 0);
        assert_string_equal(paths.data, rows[i].data);
        assert_string_equal(paths.run, rows[i].run);
        if (rows[i].run_parent == NULL)
            assert_null(paths.run_parent);
        else
            assert_string_equal(paths.run_parent, rows[i].run_parent);
    }
}

static void an_environment_without_a_home_or_with_relative_paths_is_refused(void **state)
{
    static const struct {
        struct rootless_environment environment;
        const char *message;
    } rows[] = {
        { { NULL, NULL, "/run/user/7", 7, true },
          "neither HOME nor XDG_DATA_HOME is set: images of an ordinary user are kept below them" },
        { { "/home/ann", "data", NULL, 7, true }, "XDG_DATA_HOME 'data': must be absolute" },
        { { "/home/ann", NULL, "run", 7, true }, "XDG_RUNTIME_DIR 'run': must be absolute" },
        { { "home", NULL, NULL, 7, true }, "HOME 'home': must be absolute" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct rootless_paths paths = { 0 };
        struct error err = { 0 };

        print_message("row %zu\n", i);
        assert_int_equal(rootless_paths_plan(&rows[i].environment, &paths, &err), -EINVAL);
        assert_string_equal(err.message, rows[i].message);
        assert_null(paths.data);
    }
}

static void a_members_name_is_its_process(void **state)
{
    auto_free char *name = rootless_member_format(4711, 18446744073709551615u);
    uint64_t start_time = 0;
    pid_t pid = 0;

    (void)state;
    assert_string_equal(name, "4711-18446744073709551615");
    assert_true(rootless_member_parse(name, &pid, &start_time));
    assert_int_equal(pid, 4711);
    assert_true(start_time == UINT64_MAX);
}

static void other_names_are_no_members(void **state)
{
    static const char *const names[] = {
        ".", "..", "lock", "12", "12-", "-12", "0-12", "12-x", "12-13-14", "4294967296-1", "-1-5",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        uint64_t start_time = 0;
        pid_t pid = 0;

        print_message("%s\n", names[i]);
        assert_false(rootless_member_parse(names[i], &pid, &start_time));
        assert_int_equal(pid, 0);
    }
}

static void a_map_tells_which_ids_there_are(void **state)
{
    const char *map = "         0       1000          1\n         1     100000      65536";

    (void)state;
    assert_true(rootless_map_has(map, 0));
    assert_true(rootless_map_has(map, 1));
    assert_true(rootless_map_has(map, 65536));
    assert_false(rootless_map_has(map, 65537));
    assert_false(rootless_map_has("0 1000 1", 5));
    assert_true(rootless_map_has("0 0 4294967295", 4000000000u));
    assert_false(rootless_map_has("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_follow_the_environment),
        cmocka_unit_test(an_environment_without_a_home_or_with_relative_paths_is_refused),
        cmocka_unit_test(a_members_name_is_its_process),
        cmocka_unit_test(other_names_are_no_members),
        cmocka_unit_test(a_map_tells_which_ids_there_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
