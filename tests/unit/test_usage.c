#include "cgroups/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void io_of_all_devices_is_summed_on_v2(void **state)
{
    struct cgroup_io io;

    (void)state;
    usage_parse_io_v2("8:0 rbytes=1 wbytes=10 rios=100 wios=1000 dbytes=5 dios=5\n"
                      "8:16 rbytes=2 wbytes=20 rios=200 wios=2000 dbytes=5 dios=5\n254:0 \n",
                      &io);
    assert_int_equal(io.read_bytes, 3);
    assert_int_equal(io.write_bytes, 30);
    assert_int_equal(io.read_operations, 300);
    assert_int_equal(io.write_operations, 3000);
}

static void io_of_all_devices_is_summed_on_v1_without_the_totals(void **state)
{
    uint64_t read_bytes = 42, written = 42;

    (void)state;
    usage_parse_io_v1(
        "8:0 Read 1\n8:0 Write 10\n8:0 Sync 7\n8:0 Total 11\n8:16 Read 2\n8:16 Write 20\n"
        "Total 33",
        &read_bytes, &written);
    assert_int_equal(read_bytes, 3);
    assert_int_equal(written, 30);
    usage_parse_io_v1("Total 0", &read_bytes, &written);
    assert_int_equal(read_bytes, 0);
    assert_int_equal(written, 0);
}

static void no_limit_is_the_largest_number(void **state)
{
    (void)state;
    assert_true(usage_parse_limit("max") == UINT64_MAX);
    assert_true(usage_parse_limit("9223372036854771712") == UINT64_MAX);
    assert_true(usage_parse_limit("9223372036854710272") == UINT64_MAX);
    assert_int_equal(usage_parse_limit("67108864"), 67108864);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(io_of_all_devices_is_summed_on_v2),
        cmocka_unit_test(io_of_all_devices_is_summed_on_v1_without_the_totals),
        cmocka_unit_test(no_limit_is_the_largest_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
