#include "cgroups/cgroups.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char full[] =
    "{\"devices\":[{\"allow\":false,\"access\":\"rwm\"},"
    "{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":-1,\"access\":\"r\"}],"
    "\"memory\":{\"limit\":1,\"reservation\":2,\"swap\":-1,\"kernel\":3,\"kernelTCP\":4,"
    "\"swappiness\":60,\"disableOOMKiller\":false,\"useHierarchy\":true,"
    "\"checkBeforeUpdate\":true},"
    "\"cpu\":{\"shares\":1024,\"quota\":-1,\"burst\":5,\"period\":6,\"realtimeRuntime\":7,"
    "\"realtimePeriod\":8,\"cpus\":\"0-1\",\"mems\":\"0\",\"idle\":1},"
    "\"pids\":{\"limit\":0},"
    "\"blockIO\":{\"weight\":10,\"leafWeight\":20,"
    "\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":500,\"leafWeight\":300}],"
    "\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":600}],"
    "\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":16,\"rate\":0}]},"
    "\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":0}],"
    "\"network\":{\"classID\":1048577,\"priorities\":[{\"name\":\"eth0\",\"priority\":0}]},"
    "\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":10000}},"
    "\"unified\":{\"cgroup.max.depth\":\"7\"}}";

static void every_member_comes_back_as_it_went_in(void **state)
{
    struct cgroup_resources resources = { 0 };
    auto_free char *text = NULL;
    struct error err = { 0 };

    (void)state;
    if (decode_text(&cgroup_resources_object, full, strlen(full), &resources, NULL, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(resources.devices.count, 2);
    assert_false(resources.devices.items[0].has_major);
    assert_int_equal(resources.devices.items[1].minor, -1);
    assert_true(resources.memory.has_disable_oom_killer);
    assert_false(resources.memory.disable_oom_killer);
    assert_true(resources.pids.has_limit);
    assert_string_equal(resources.rdma.items[0].key, "mlx5_1");
    assert_int_equal(resources.block_io.write_iops.items[0].minor, 16);
    text = encode_text(&cgroup_resources_object, &resources, ENCODE_COMPACT);
    assert_string_equal(text, full);
    object_clear(&cgroup_resources_object, &resources);
}

static void errors_name_the_member(void **state)
{
    static const char *const rows[][2] = {
        { "{\"memory\":{\"limit\":\"1g\"}}", "memory.limit: " },
        { "{\"blockIO\":{\"weight\":70000}}", "blockIO.weight: " },
        { "{\"devices\":[{\"type\":\"c\"}]}", "devices[0].allow: " },
        { "{\"devices\":[{\"allow\":true,\"type\":\"x\"}]}", "devices[0].type: " },
        { "{\"cpu\":{\"shares\":-1}}", "cpu.shares: " },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct cgroup_resources resources = { 0 };
        struct error err = { 0 };

        assert_int_equal(decode_text(&cgroup_resources_object, rows[i][0], strlen(rows[i][0]),
                                     &resources, NULL, &err),
                         -EINVAL);
        if (!text_starts(err.message, rows[i][1]))
            fail_msg("'%s' does not begin with '%s'", err.message, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_comes_back_as_it_went_in),
        cmocka_unit_test(errors_name_the_member),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
