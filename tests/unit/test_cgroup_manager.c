#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "cgroups/cgroups.h"

static void every_manager_is_known_by_its_name(void **state)
{
    static const char *const words[] = { "cgroupfs", "systemd", "disabled" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        enum cgroup_manager manager = CGROUP_MANAGER_CGROUPFS;

        assert_int_equal(cgroup_manager_parse(words[i], &manager, NULL), 0);
        assert_int_equal(manager, i);
        assert_string_equal(cgroup_manager_name(manager), words[i]);
    }
}

static void an_unknown_manager_is_refused_and_nothing_is_written(void **state)
{
    enum cgroup_manager manager = CGROUP_MANAGER_DISABLED;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(cgroup_manager_parse("", &manager, &err), -EINVAL);
    assert_int_equal(cgroup_manager_parse("Systemd", &manager, &err), -EINVAL);
    assert_string_equal(err.message, "unknown cgroup manager 'Systemd': there are cgroupfs, "
                                     "systemd and disabled");
    assert_int_equal(manager, CGROUP_MANAGER_DISABLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_manager_is_known_by_its_name),
        cmocka_unit_test(an_unknown_manager_is_refused_and_nothing_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
