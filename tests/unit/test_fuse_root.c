#include "engine/fuse_root.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"

static void expect(const struct snapshot *snapshot, const char *expected)
{
    AUTO_CLEAR(strings) struct strings command = { 0 };
    auto_free char *line = NULL;

    fuse_root_plan("/usr/bin/fuse-overlayfs", snapshot, &command);
    line = strings_join(&command, " ");
    assert_string_equal(line, expected);
}

static void layers_are_named_topmost_first_and_nothing_is_kept_back(void **state)
{
    struct snapshot snapshot = { 0 };

    (void)state;
    strings_add(&snapshot.lower, "/d/layers/b/fs");
    strings_add(&snapshot.lower, "/d/layers/a/fs");
    snapshot.upper = (char *)"/d/upper";
    snapshot.work = (char *)"/d/work";
    expect(&snapshot, "/usr/bin/fuse-overlayfs -f -o "
                      "lowerdir=/d/layers/b/fs:/d/layers/a/fs,upperdir=/d/upper,workdir=/d/work,"
                      "writeback=0 /dev/fd/0");
    snapshot.upper = NULL;
    expect(&snapshot, "/usr/bin/fuse-overlayfs -f -o "
                      "lowerdir=/d/layers/b/fs:/d/layers/a/fs,writeback=0 /dev/fd/0");
    strings_clear(&snapshot.lower);
}

static void a_path_that_its_options_cannot_name_is_an_obstacle(void **state)
{
    static const char *const paths[] = { "/a,b", "/a:b", "/a\\b" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        auto_free char *obstacle = fuse_root_find_obstacle(paths[i]);

        assert_non_null(obstacle);
        if (strstr(obstacle, "not installed") == NULL)
            assert_non_null(strstr(obstacle, paths[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_are_named_topmost_first_and_nothing_is_kept_back),
        cmocka_unit_test(a_path_that_its_options_cannot_name_is_an_obstacle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
