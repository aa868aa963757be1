#include "cgroups/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

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

static void pressure_is_read_and_what_is_none_is_none(void **state)
{
    auto_free struct cgroup_pressure *pressure =
        usage_parse_pressure("some avg10=1.50 avg60=0.25 avg300=0.00 total=12\n"
                             "full avg10=0.50 avg60=0.00 avg300=0.00 total=3");
    auto_free struct cgroup_pressure *half =
        usage_parse_pressure("some avg10=1.00 avg60=0.00 avg300=0.00 total=7");

    (void)state;
    assert_non_null(pressure);
    assert_true(pressure->some.avg10 == 1.5 && pressure->some.avg60 == 0.25);
    assert_int_equal(pressure->some.total_us, 12);
    assert_true(pressure->full.avg10 == 0.5);
    assert_int_equal(pressure->full.total_us, 3);
    assert_non_null(half); /* kernels before 5.13 have no full line for the CPU */
    assert_int_equal(half->full.total_us, 0);
    assert_null(usage_parse_pressure(""));
    assert_null(usage_parse_pressure("some avg10=x"));
}

static void numbers_keep_their_names_and_order(void **state)
{
    struct cgroup_numbers numbers = { 0 };
    auto_free char *json = NULL;

    (void)state;
    usage_parse_numbers("cache 5\nrss 18446744073709551615\nodd\nbad x\n\"quoted 1\nlast 0",
                        &numbers);
    json = usage_format_numbers(&numbers);
    for (size_t i = 0; i < numbers.count; i++)
        free(numbers.items[i].name);
    free(numbers.items);
    assert_string_equal(json, "{\"cache\":5,\"rss\":18446744073709551615,\"last\":0}");
}

static void lists_of_cpus_are_unrolled(void **state)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        { "", "" },          { "0", "0 " }, { "0-2,7", "0 1 2 7 " },
        { "3,1-1", "3 1 " }, { "1-x", "" }, { "a", "" },
        { "5-3", "" },       { "0,", "" },  { "0-99999999", "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(text) struct text found = { 0 };
        struct cgroup_u64s list = { 0 };

        usage_parse_list(rows[i].text, &list);
        for (size_t j = 0; j < list.count; j++)
            text_addf(&found, "%llu ", (unsigned long long)list.items[j]);
        free(list.items);
        if (!text_equal(found.data != NULL ? found.data : "", rows[i].expected))
            fail_msg("row %zu: '%s'", i, found.data);
    }
}

static void what_two_lists_have_in_common_is_counted(void **state)
{
    static const struct {
        const char *one, *other;
        size_t common, count;
    } rows[] = {
        { "0-3", "2-7", 2, 4 }, { "0-3", "0-3", 4, 4 }, { "1", "0", 0, 1 },
        { "", "0-3", 0, 0 },    { "0,2,5", "2", 1, 3 }, { "0-1", "", 0, 2 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t count = 42;

        if (usage_lists_common(rows[i].one, rows[i].other, &count) != rows[i].common ||
            count != rows[i].count)
            fail_msg("row %zu", i);
    }
}

/* "8:0 Read 1; " for each entry; frees them. */
static char *entries_text(struct cgroup_io_entries *entries)
{
    struct text text = { 0 };

    for (size_t i = 0; i < entries->count; i++) {
        const struct cgroup_io_entry *entry = &entries->items[i];

        text_addf(&text, "%llu:%llu %s %llu; ", (unsigned long long)entry->major,
                  (unsigned long long)entry->minor,
                  entry->operation != NULL ? entry->operation : "-",
                  (unsigned long long)entry->value);
        free(entries->items[i].operation);
    }
    free(entries->items);
    return text_take(&text);
}

static void io_is_told_by_device(void **state)
{
    struct cgroup_io_entries entries = { 0 };
    auto_free char *v1 = NULL;
    auto_free char *v2 = NULL;

    (void)state;
    usage_parse_devices_v1("8:0 Read 1\n8:0 Write 10\n8:0 Total 11\n8:16 7\nTotal 11\n8:0 odd\n"
                           "8:0 Read 1 2",
                           &entries);
    v1 = entries_text(&entries);
    assert_string_equal(v1, "8:0 Read 1; 8:0 Write 10; 8:0 Total 11; 8:16 - 7; ");
    usage_parse_devices_v2("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n254:0 \n"
                           "8:16 rbytes=7 wbytes=8",
                           "rbytes", "wbytes", &entries);
    v2 = entries_text(&entries);
    assert_string_equal(v2, "8:0 Read 1; 8:0 Write 2; 8:16 Read 7; 8:16 Write 8; ");
}

static void io_of_one_device_is_one_item(void **state)
{
    struct cgroup_io_entry byte_items[] = { { 8, 0, (char *)"Read", 1 },
                                            { 8, 0, (char *)"Write", 2 },
                                            { 8, 0, (char *)"Total", 3 },
                                            { 8, 16, (char *)"Read", 4 } };
    struct cgroup_io_entry operation_items[] = { { 8, 16, (char *)"Write", 5 },
                                                 { 7, 0, (char *)"Read", 6 } };
    struct cgroup_io_entries bytes = { byte_items, ARRAY_SIZE(byte_items) };
    struct cgroup_io_entries operations = { operation_items, ARRAY_SIZE(operation_items) };
    static const struct cgroup_io_device expected[] = { { 8, 0, { 1, 2, 0, 0 } },
                                                        { 8, 16, { 4, 0, 0, 5 } },
                                                        { 7, 0, { 0, 0, 6, 0 } } };
    struct cgroup_io_devices devices = { 0 };

    (void)state;
    usage_collect_devices(&bytes, &operations, &devices);
    assert_int_equal(devices.count, ARRAY_SIZE(expected));
    assert_memory_equal(devices.items, expected, sizeof(expected));
    free(devices.items);
}

static void page_sizes_are_named_as_the_files_are(void **state)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        { "2048kB", "2MB" },      { "1048576kB", "1GB" }, { "64kB", "64KB" }, { "32768kB", "32MB" },
        { "16777216kB", "16GB" }, { "x", NULL },          { "2048", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *name = usage_page_size_name(rows[i].text);

        if (!text_equal(name, rows[i].expected))
            fail_msg("row %zu: %s", i, name);
    }
}

/* What callers of runc parse: names and order of types/events.go, zeros kept or left out as there.
 */
static void details_have_the_form_of_runc(void **state)
{
    uint64_t per_cpu[] = { 3, 4 }, cpus[] = { 0, 1 }, mems[] = { 0 };
    struct cgroup_pressure pressure = { .some = { 0.5, 0, 0, 9 } };
    struct cgroup_io_entry read_entry = { 8, 0, (char *)"Read", 5 };
    struct cgroup_hugepage_usage page = { (char *)"2MB", 1, 2, 0 };
    struct cgroup_details empty = { 0 };
    struct cgroup_details full = {
        .usage = { .cpu_ns = 7,
                   .cpu_system_ns = 2,
                   .periods = 6,
                   .throttled_periods = 5,
                   .throttled_ns = 4,
                   .pids = 3 },
        .per_cpu_ns = { per_cpu, 2 },
        .cpu_pressure = &pressure,
        .cpuset = { .cpus = { cpus, 2 }, .mems = { mems, 1 }, .sched_relax_domain_level = -1 },
        .pids_limit = 10,
        .cache_bytes = 11,
        .memory = { 100, 50, 60, 1 },
        .memory_raw = (char *)"{\"cache\":11}",
        .memory_events = { .oom_kill = 2 },
        .io_bytes = { &read_entry, 1 },
        .hugepages = { &page, 1 },
    };
    auto_free char *empty_json = encode_text(&cgroup_details_object, &empty, ENCODE_COMPACT);
    auto_free char *full_json = encode_text(&cgroup_details_object, &full, ENCODE_COMPACT);

    (void)state;
#define CPUSET_REST                                                                                \
    "\"mem_hardwall\":0,\"mem_exclusive\":0,\"memory_migrate\":0,\"memory_spread_page\":0,"        \
    "\"memory_spread_slab\":0,\"memory_pressure\":0,\"sched_load_balance\":0,"
    assert_string_equal(
        empty_json,
        "{\"cpu\":{\"usage\":{\"kernel\":0,\"user\":0},\"throttling\":{}},\"cpuset\":{"
        "\"cpu_exclusive\":0," CPUSET_REST "\"sched_relax_domain_level\":0},\"memory\":{\"usage\":{"
        "\"limit\":0,\"failcnt\":0},\"swap\":{\"limit\":0,\"failcnt\":0},\"kernel\":{\"limit\":0,"
        "\"failcnt\":0},\"kernelTCP\":{\"limit\":0,\"failcnt\":0},\"event_count\":{}},\"pids\":{},"
        "\"blkio\":{},\"hugetlb\":{},\"intel_rdt\":{},\"network_interfaces\":null}");
    assert_string_equal(
        full_json,
        "{\"cpu\":{\"usage\":{\"total\":7,\"percpu\":[3,4],\"kernel\":2,\"user\":0},\"throttling\":"
        "{"
        "\"periods\":6,\"throttledPeriods\":5,\"throttledTime\":4},\"psi\":{\"some\":{\"avg10\":0."
        "5,"
        "\"avg60\":0,\"avg300\":0,\"total\":9},\"full\":{\"avg10\":0,\"avg60\":0,\"avg300\":0,"
        "\"total\":0}}},\"cpuset\":{\"cpus\":[0,1],\"cpu_exclusive\":0,\"mems\":[0]," CPUSET_REST
        "\"sched_relax_domain_level\":-1},\"memory\":{\"cache\":11,\"usage\":{\"limit\":100,"
        "\"usage\":50,\"max\":60,\"failcnt\":1},\"swap\":{\"limit\":0,\"failcnt\":0},\"kernel\":{"
        "\"limit\":0,\"failcnt\":0},\"kernelTCP\":{\"limit\":0,\"failcnt\":0},\"raw\":{\"cache\":"
        "11},"
        "\"event_count\":{\"oom_kill\":2}},\"pids\":{\"current\":3,\"limit\":10},\"blkio\":{"
        "\"ioServiceBytesRecursive\":[{\"major\":8,\"op\":\"Read\",\"value\":5}]},\"hugetlb\":{"
        "\"2MB\":{\"usage\":1,\"max\":2,\"failcnt\":0}},\"intel_rdt\":{},\"network_interfaces\":"
        "null}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(io_of_all_devices_is_summed_on_v2),
        cmocka_unit_test(io_of_all_devices_is_summed_on_v1_without_the_totals),
        cmocka_unit_test(no_limit_is_the_largest_number),
        cmocka_unit_test(pressure_is_read_and_what_is_none_is_none),
        cmocka_unit_test(numbers_keep_their_names_and_order),
        cmocka_unit_test(lists_of_cpus_are_unrolled),
        cmocka_unit_test(what_two_lists_have_in_common_is_counted),
        cmocka_unit_test(io_is_told_by_device),
        cmocka_unit_test(io_of_one_device_is_one_item),
        cmocka_unit_test(page_sizes_are_named_as_the_files_are),
        cmocka_unit_test(details_have_the_form_of_runc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
