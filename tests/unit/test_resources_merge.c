#include "cgroups/cgroups.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Merges JSON @change into JSON @before; the result as JSON. */
static char *merge(const char *before, const char *change)
{
    struct cgroup_resources into = { 0 }, from = { 0 };
    struct error err = { 0 };
    char *json;

    if (decode_text(&cgroup_resources_object, before, strlen(before), &into, "before", &err) < 0 ||
        decode_text(&cgroup_resources_object, change, strlen(change), &from, "change", &err) < 0)
        fail_msg("%s", err.message);
    cgroup_resources_merge(&into, &from);
    object_clear(&cgroup_resources_object, &from);
    json = encode_text(&cgroup_resources_object, &into, ENCODE_COMPACT);
    object_clear(&cgroup_resources_object, &into);
    return json;
}

static void assert_merged(const char *before, const char *change, const char *expected)
{
    auto_free char *json = merge(before, change);

    assert_string_equal(json, expected);
}

#define EVERYTHING                                                                                 \
    "{\"devices\":[{\"allow\":false,\"type\":\"a\",\"access\":\"rwm\"}],\"memory\":{\"limit\":1,"  \
    "\"reservation\":2,\"swap\":3,\"kernel\":4,\"kernelTCP\":5,\"swappiness\":6,"                  \
    "\"disableOOMKiller\":true,\"useHierarchy\":true,\"checkBeforeUpdate\":true},\"cpu\":{"        \
    "\"shares\":1,\"quota\":2,\"burst\":3,\"period\":4,\"realtimeRuntime\":5,\"realtimePeriod\":"  \
    "6,\"cpus\":\"0\",\"mems\":\"1\",\"idle\":1},\"pids\":{\"limit\":7},\"blockIO\":{\"weight\":"  \
    "10,\"leafWeight\":11,\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":12,"               \
    "\"leafWeight\":13}],\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1}],"        \
    "\"throttleWriteBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":2}],"                           \
    "\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":3}],"                           \
    "\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":4}]},\"hugepageLimits\":[{"    \
    "\"pageSize\":\"2MB\",\"limit\":5}],\"network\":{\"classID\":1,\"priorities\":[{\"name\":"     \
    "\"lo\",\"priority\":2}]},\"rdma\":{\"mlx\":{\"hcaHandles\":1,\"hcaObjects\":2}},"             \
    "\"unified\":{\"io.max\":\"x\"}}"

static void every_member_is_taken_over(void **state)
{
    (void)state;
    assert_merged("{}", EVERYTHING, EVERYTHING);
}

static void what_is_absent_stays(void **state)
{
    (void)state;
    assert_merged(EVERYTHING, "{}", EVERYTHING);
    assert_merged("{\"cpu\":{\"quota\":1,\"cpus\":\"0\"},\"pids\":{\"limit\":5}}",
                  "{\"cpu\":{\"period\":2,\"cpus\":\"\"}}",
                  "{\"cpu\":{\"quota\":1,\"period\":2,\"cpus\":\"0\"},\"pids\":{\"limit\":5}}");
}

static void what_has_a_name_replaces_its_namesake_and_joins_the_others(void **state)
{
    static const struct {
        const char *before, *change, *expected;
    } rows[] = {
        { "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1},"
          "{\"major\":8,\"minor\":1,\"rate\":2}]}}",
          "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":1,\"rate\":3},"
          "{\"major\":9,\"minor\":1,\"rate\":4}]}}",
          "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1},"
          "{\"major\":8,\"minor\":1,\"rate\":3},{\"major\":9,\"minor\":1,\"rate\":4}]}}" },
        { "{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":10}]}}",
          "{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"leafWeight\":20}]}}",
          "{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":10,\"leafWeight\":"
          "20}]}}" },
        { "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":5}]}",
          "{\"hugepageLimits\":[{\"pageSize\":\"1GB\",\"limit\":1},{\"pageSize\":\"2MB\","
          "\"limit\":0}]}",
          "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":0},{\"pageSize\":\"1GB\","
          "\"limit\":1}]}" },
        { "{\"network\":{\"priorities\":[{\"name\":\"lo\",\"priority\":2}]}}",
          "{\"network\":{\"priorities\":[{\"name\":\"lo\",\"priority\":3},{\"name\":\"eth0\","
          "\"priority\":4}]}}",
          "{\"network\":{\"priorities\":[{\"name\":\"lo\",\"priority\":3},{\"name\":\"eth0\","
          "\"priority\":4}]}}" },
        { "{\"rdma\":{\"a\":{\"hcaHandles\":1}}}",
          "{\"rdma\":{\"a\":{\"hcaObjects\":2},\"b\":{\"hcaObjects\":3}}}",
          "{\"rdma\":{\"a\":{\"hcaHandles\":1,\"hcaObjects\":2},\"b\":{\"hcaObjects\":3}}}" },
        { "{\"unified\":{\"a.b\":\"1\",\"c.d\":\"2\"}}", "{\"unified\":{\"c.d\":\"3\"}}",
          "{\"unified\":{\"a.b\":\"1\",\"c.d\":\"3\"}}" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_merged(rows[i].before, rows[i].change, rows[i].expected);
}

static void device_rules_are_replaced_as_a_whole(void **state)
{
    (void)state;
    assert_merged("{\"devices\":[{\"allow\":false},{\"allow\":true,\"type\":\"c\"}]}",
                  "{\"devices\":[{\"allow\":true,\"type\":\"b\"}]}",
                  "{\"devices\":[{\"allow\":true,\"type\":\"b\"}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_is_taken_over),
        cmocka_unit_test(what_is_absent_stays),
        cmocka_unit_test(what_has_a_name_replaces_its_namesake_and_joins_the_others),
        cmocka_unit_test(device_rules_are_replaced_as_a_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
