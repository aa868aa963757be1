#include "runtime/root_move.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void procfs_and_sysfs_outside_of_the_root_are_listed_last_first(void **state)
{
    static const char mountinfo[] = "21 1 8:1 / / rw - ext4 /dev/sda rw\n"
                                    "22 21 0:20 / /proc rw,nosuid shared:5 - proc proc rw\n"
                                    "23 22 0:21 / /proc/sys ro - proc proc rw\n"
                                    "24 21 0:22 / /sys rw shared:6 master:1 - sysfs sysfs rw\n"
                                    "25 24 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
                                    "26 21 0:24 / /srv/with\\040blank/proc rw - proc proc rw\n"
                                    "27 21 8:1 /b /srv/root rw - ext4 /dev/sda rw\n"
                                    "28 27 0:25 / /srv/root/proc rw - proc proc rw\n"
                                    "29 21 0:26 / /srv/rooted rw - proc proc rw";
    static const char *const wanted[] = { "/srv/rooted", "/srv/with blank/proc", "/sys",
                                          "/proc/sys", "/proc" };
    struct strings paths = { 0 };

    (void)state;
    root_move_plan(mountinfo, "/srv/root", &paths);
    assert_int_equal(paths.count, ARRAY_SIZE(wanted));
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        assert_string_equal(paths.items[i], wanted[i]);
    strings_clear(&paths);
}

static void lines_that_are_none_are_passed_over(void **state)
{
    struct strings paths = { 0 };

    (void)state;
    root_move_plan("\n22 21\n - proc proc rw\n1 2 3 - proc x\nx", "/r", &paths);
    assert_int_equal(paths.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(procfs_and_sysfs_outside_of_the_root_are_listed_last_first),
        cmocka_unit_test(lines_that_are_none_are_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
