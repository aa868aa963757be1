#include "cgroups/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ALL_V1 (~0U)
#define ALL_V2 0U

/* The plan as text: "file=value\n", "?" behind an optional file, "|" before an alternative. */
static char *plan_text(const struct cgroup_resources *resources, unsigned v1_controllers)
{
    AUTO_CLEAR(cgroup_writes) struct cgroup_writes writes = { 0 };
    struct text text = { 0 };
    struct error err = { 0 };

    if (cgroup_limits_plan(resources, v1_controllers, &writes, &err) < 0)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < writes.count; i++)
        text_addf(&text, "%s%s%s=%s\n", writes.items[i].is_alternative ? "|" : "",
                  writes.items[i].file, writes.items[i].is_optional ? "?" : "",
                  writes.items[i].value);
    return text_take(&text);
}

static void assert_plan(const struct cgroup_resources *resources, unsigned v1_controllers,
                        const char *expected)
{
    auto_free char *text = plan_text(resources, v1_controllers);

    assert_string_equal(text, expected);
}

static void assert_refused(const struct cgroup_resources *resources, unsigned v1_controllers,
                           int code, const char *message)
{
    struct cgroup_writes writes = { .count = 42 };
    struct error err = { 0 };

    assert_int_equal(cgroup_limits_plan(resources, v1_controllers, &writes, &err), -code);
    assert_string_equal(err.message, message);
    assert_int_equal(writes.count, 42);
}

static void nothing_asked_is_nothing_written(void **state)
{
    struct cgroup_resources resources = { 0 };

    (void)state;
    assert_plan(&resources, ALL_V1, "");
    assert_plan(&resources, ALL_V2, "");
}

static void memory_and_swap_are_together_on_v1_and_apart_on_v2(void **state)
{
    struct cgroup_resources resources = { 0 };

    (void)state;
    resources.memory = (struct cgroup_memory){ .has_limit = true,
                                               .limit = 100,
                                               .has_swap = true,
                                               .swap = 300,
                                               .has_reservation = true,
                                               .reservation = 50 };
    assert_plan(&resources, ALL_V1,
                "memory.limit_in_bytes=100\nmemory.memsw.limit_in_bytes=300\n"
                "memory.soft_limit_in_bytes=50\n");
    assert_plan(&resources, ALL_V2, "memory.swap.max=200\nmemory.max=100\nmemory.low=50\n");
}

static void no_swap_may_go_without_swap_accounting(void **state)
{
    struct cgroup_resources resources = { 0 };

    (void)state;
    resources.memory =
        (struct cgroup_memory){ .has_limit = true, .limit = 100, .has_swap = true, .swap = 100 };
    assert_plan(&resources, ALL_V1,
                "memory.limit_in_bytes=100\nmemory.memsw.limit_in_bytes?=100\n");
    assert_plan(&resources, ALL_V2, "memory.swap.max?=0\nmemory.max=100\n");
}

static void unlimited_memory_is_unlimited_swap_too(void **state)
{
    struct cgroup_resources resources = { 0 };

    (void)state;
    resources.memory = (struct cgroup_memory){ .has_limit = true, .limit = -1 };
    assert_plan(&resources, ALL_V1, "memory.limit_in_bytes=-1\nmemory.memsw.limit_in_bytes?=-1\n");
    assert_plan(&resources, ALL_V2, "memory.swap.max?=max\nmemory.max=max\n");
}

static void a_limit_of_zero_is_unset(void **state)
{
    struct cgroup_resources resources = { 0 };

    (void)state;
    resources.memory =
        (struct cgroup_memory){ .has_limit = true, .has_swap = true, .has_reservation = true };
    resources.cpu =
        (struct cgroup_cpu){ .has_shares = true, .has_quota = true, .has_period = true };
    resources.block_io.has_weight = true;
    assert_plan(&resources, ALL_V1, "");
    assert_plan(&resources, ALL_V2, "");
}

static void no_realtime_is_written_where_the_kernel_has_a_file_for_it(void **state)
{
    const struct cgroup_resources resources = {
        .cpu = { .has_realtime_runtime = true, .has_realtime_period = true },
    };

    (void)state;
    assert_plan(&resources, ALL_V1, "cpu.rt_runtime_us?=0\n");
    assert_plan(&resources, ALL_V2, "");
}

static void swap_below_memory_is_refused_with_both_numbers(void **state)
{
    struct cgroup_resources resources = { 0 };

    (void)state;
    resources.memory =
        (struct cgroup_memory){ .has_limit = true, .limit = 20, .has_swap = true, .swap = 10 };
    assert_refused(&resources, ALL_V1, EINVAL, "memory.swap: 10 is smaller than the limit 20");
    assert_refused(&resources, ALL_V2, EINVAL, "memory.swap: 10 is smaller than the limit 20");
    resources.memory.has_limit = false;
    assert_refused(&resources, ALL_V2, EINVAL, "memory.swap: needs memory.limit on cgroup v2");
    resources.memory = (struct cgroup_memory){ .has_limit = true, .limit = -5 };
    assert_refused(&resources, ALL_V1, EINVAL, "memory.limit: -5 is neither a size nor -1");
}

static void what_v2_lacks_is_refused_by_name(void **state)
{
    struct cgroup_resources resources = { 0 };

    (void)state;
    resources.memory = (struct cgroup_memory){ .has_swappiness = true, .swappiness = 60 };
    assert_plan(&resources, ALL_V1, "memory.swappiness=60\n");
    assert_refused(&resources, ALL_V2, EOPNOTSUPP, "memory.swappiness: exists on cgroup v1 only");
    resources.memory =
        (struct cgroup_memory){ .has_disable_oom_killer = true, .disable_oom_killer = true };
    assert_plan(&resources, ALL_V1, "memory.oom_control=1\n");
    assert_refused(&resources, ALL_V2, EOPNOTSUPP,
                   "memory.disableOOMKiller: exists on cgroup v1 only");
    resources = (struct cgroup_resources){ 0 };
    resources.cpu = (struct cgroup_cpu){ .has_realtime_runtime = true, .realtime_runtime = 5 };
    assert_plan(&resources, ALL_V1, "cpu.rt_runtime_us=5\n");
    assert_refused(&resources, ALL_V2, EOPNOTSUPP, "cpu.realtimeRuntime: exists on cgroup v1 only");
    resources = (struct cgroup_resources){ 0 };
    resources.network = (struct cgroup_network){ .has_class_id = true, .class_id = 7 };
    assert_plan(&resources, ALL_V1, "net_cls.classid=7\n");
    assert_refused(&resources, ALL_V2, EOPNOTSUPP,
                   "network.classID: needs the controller net_cls of cgroup v1, which is not "
                   "mounted");
}

static void a_limit_of_kernel_memory_that_the_limit_of_all_implies_may_be_missing(void **state)
{
    struct cgroup_resources resources = { .memory = {
                                              .has_limit = true,
                                              .limit = 4096,
                                              .has_kernel = true,
                                              .kernel = 4096,
                                          } };

    (void)state;
    assert_plan(&resources, ALL_V1,
                "memory.limit_in_bytes=4096\nmemory.kmem.limit_in_bytes?=4096\n");
    assert_plan(&resources, ALL_V2, "memory.max=4096\n");
    resources.memory.kernel = 4095;
    assert_plan(&resources, ALL_V1,
                "memory.limit_in_bytes=4096\nmemory.kmem.limit_in_bytes=4095\n");
    assert_refused(&resources, ALL_V2, EOPNOTSUPP, "memory.kernel: exists on cgroup v1 only");
    resources.memory.kernel = 4097;
    resources.memory.has_kernel_tcp = true;
    resources.memory.kernel_tcp = 4097;
    assert_plan(&resources, ALL_V1,
                "memory.limit_in_bytes=4096\nmemory.kmem.limit_in_bytes?=4097\n"
                "memory.kmem.tcp.limit_in_bytes=4097\n");
    assert_plan(&resources, ALL_V2, "memory.max=4096\n");
    resources.memory.has_limit = false;
    assert_refused(&resources, ALL_V2, EOPNOTSUPP, "memory.kernel: exists on cgroup v1 only");
}

static void each_interface_gets_its_priority_by_a_line(void **state)
{
    struct cgroup_priority priorities[] = { { (char *)"eth0", 5 }, { (char *)"lo", 0 } };
    struct cgroup_resources resources = { .network = { .priorities = { priorities, 2 } } };

    (void)state;
    assert_plan(&resources, ALL_V1, "net_prio.ifpriomap=eth0 5\nnet_prio.ifpriomap=lo 0\n");
    assert_refused(&resources, ALL_V2, EOPNOTSUPP,
                   "network.priorities: needs the controller net_prio of cgroup v1, which is not "
                   "mounted");
    priorities[1].name = (char *)"a b";
    assert_refused(&resources, ALL_V1, EINVAL, "network.priorities[1].name: is no interface name");
}

static void other_controllers_are_reached_by_unified(void **state)
{
    struct string_pair pairs[] = { { (char *)"misc.max", (char *)"sev 1\nsev_es 2" } };
    struct cgroup_resources resources = { .unified = { pairs, 1 } };

    (void)state;
    assert_plan(&resources, ALL_V2, "misc.max=sev 1\nmisc.max=sev_es 2\n");
    assert_plan(&resources, ALL_V1, "misc.max=sev 1\nmisc.max=sev_es 2\n");
    pairs[0] = (struct string_pair){ (char *)"io.prio.class", (char *)"idle" };
    assert_plan(&resources, ALL_V2, "io.prio.class=idle\n");
    assert_plan(&resources, ALL_V1, "blkio.prio.class=idle\n");
    pairs[0] = (struct string_pair){ (char *)"io.latency", (char *)"8:0 target=5000" };
    assert_plan(&resources, ALL_V2, "io.latency=8:0 target=5000\n");
    pairs[0] = (struct string_pair){ (char *)"memory.high", (char *)"4096" };
    assert_plan(&resources, ALL_V2, "memory.high=4096\n");
    pairs[0] = (struct string_pair){ (char *)"io.cost.qos", (char *)"8:0 enable=1" };
    assert_refused(&resources, ALL_V2, EINVAL,
                   "unified: io.cost.qos is about a device of the whole machine: write it into the "
                   "root cgroup, which alone has it");
}

static void a_refused_value_of_misc_is_explained_by_the_capacity(void **state)
{
    static const struct {
        const char *value, *capacity, *reason;
    } rows[] = {
        { "tdx 5", "sev 509\nsev_es 0",
          "'tdx' is no resource of this machine: misc.capacity of the root cgroup offers sev, "
          "sev_es" },
        { "tdx 5", "",
          "'tdx' is no resource of this machine: misc.capacity of the root cgroup offers nothing" },
        { "sev many", "sev 509", "what follows 'sev' is neither a number nor max" },
        { "sev", "sev 509", "what follows 'sev' is neither a number nor max" },
        { "sev 5", NULL,
          "it is not a resource of this machine and a number; misc.capacity of the root cgroup, "
          "which is out of sight here, names the resources" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *reason = limits_explain_misc(rows[i].value, rows[i].capacity);

        assert_string_equal(reason, rows[i].reason);
    }
}

static void shares_become_a_weight_that_keeps_their_ratios(void **state)
{
    static const struct {
        uint64_t shares;
        unsigned weight;
    } rows[] = { { 0, 1 },          { 2, 1 },          { 300, 29 },
                 { 512, 50 },       { 1024, 100 },     { 2048, 200 },
                 { 102400, 10000 }, { 262144, 10000 }, { UINT64_MAX, 10000 } };
    unsigned last = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (limits_cpu_weight(rows[i].shares) != rows[i].weight)
            fail_msg("%llu shares: %u", (unsigned long long)rows[i].shares,
                     limits_cpu_weight(rows[i].shares));
    for (uint64_t shares = 2; shares <= 262144; shares += 97) {
        unsigned weight = limits_cpu_weight(shares);

        assert_true(weight >= last);
        last = weight;
    }
}

static void cpu_time_is_two_files_on_v1_and_one_on_v2(void **state)
{
    struct cgroup_resources resources = { 0 };

    (void)state;
    resources.cpu = (struct cgroup_cpu){ .has_shares = true,
                                         .shares = 1024,
                                         .has_quota = true,
                                         .quota = 50000,
                                         .has_period = true,
                                         .period = 100000,
                                         .has_burst = true,
                                         .burst = 1000 };
    assert_plan(&resources, ALL_V1,
                "cpu.shares=1024\ncpu.cfs_period_us=100000\ncpu.cfs_quota_us=50000\n"
                "cpu.cfs_burst_us=1000\n");
    assert_plan(&resources, ALL_V2, "cpu.weight=100\ncpu.max=50000 100000\ncpu.max.burst=1000\n");
    resources.cpu = (struct cgroup_cpu){ .has_quota = true, .quota = -1 };
    assert_plan(&resources, ALL_V1, "cpu.cfs_quota_us=-1\n");
    assert_plan(&resources, ALL_V2, "cpu.max=max\n");
}

static void an_idle_group_gets_no_shares(void **state)
{
    struct cgroup_resources resources = { 0 };

    (void)state;
    resources.cpu =
        (struct cgroup_cpu){ .has_shares = true, .shares = 1024, .has_idle = true, .idle = 1 };
    assert_plan(&resources, ALL_V1, "cpu.idle=1\n");
    resources.cpu.idle = 0;
    assert_plan(&resources, ALL_V1, "cpu.idle?=0\ncpu.shares=1024\n");
    resources.cpu.idle = 2;
    assert_refused(&resources, ALL_V2, EINVAL, "cpu.idle: 2 is neither 0 nor 1");
}

static void cpusets_are_lists_of_numbers(void **state)
{
    struct cgroup_resources resources = { 0 };

    (void)state;
    resources.cpu.cpus = (char *)"0-2,7";
    resources.cpu.mems = (char *)"0";
    assert_plan(&resources, ALL_V1, "cpuset.cpus=0-2,7\ncpuset.mems=0\n");
    resources.cpu.cpus = (char *)"all";
    assert_refused(&resources, ALL_V2, EINVAL, "cpu.cpus: 'all' is not a list such as 0-2,7");
}

static void pids_zero_is_a_limit_and_minus_one_is_none(void **state)
{
    struct cgroup_resources resources = { .pids = { .has_limit = true } };

    (void)state;
    assert_plan(&resources, ALL_V1, "pids.max=1\n"); /* as 0, but one can be born into it */
    resources.pids.limit = -1;
    assert_plan(&resources, ALL_V2, "pids.max=max\n");
    resources.pids.limit = -2;
    assert_refused(&resources, ALL_V2, EINVAL, "pids.limit: -2 is neither a number nor -1");
}

static void block_io_weights_go_to_both_policies_and_throttles_get_a_line_each(void **state)
{
    struct cgroup_weight_device weight = { .major = 8, .has_weight = true, .weight = 1000 };
    struct cgroup_throttle_device throttles[] = { { 8, 0, 1024 }, { 8, 16, 0 } };
    struct cgroup_resources resources = { 0 };

    (void)state;
    resources.block_io.has_weight = true;
    resources.block_io.weight = 10;
    resources.block_io.weight_devices = (struct cgroup_weight_devices){ &weight, 1 };
    resources.block_io.write_iops = (struct cgroup_throttle_devices){ throttles, 2 };
    assert_plan(&resources, ALL_V1,
                "blkio.bfq.weight=10\n|blkio.weight=10\n"
                "blkio.bfq.weight_device=8:0 1000\n|blkio.weight_device=8:0 1000\n"
                "blkio.throttle.write_iops_device=8:0 1024\n"
                "blkio.throttle.write_iops_device=8:16 0\n");
    assert_plan(&resources, ALL_V2,
                "io.bfq.weight=10\n|io.weight=1\nio.bfq.weight=8:0 1000\n|io.weight=8:0 10000\n"
                "io.max=8:0 wiops=1024\nio.max=8:16 wiops=max\n");
    /* Taken back: each policy has a default of its own. */
    resources.block_io = (struct cgroup_block_io){ .has_weight = true,
                                                   .is_weight_released = true,
                                                   .weight_devices = { &weight, 1 } };
    weight =
        (struct cgroup_weight_device){ .major = 8, .has_weight = true, .released_weight = 100 };
    assert_plan(&resources, ALL_V1,
                "blkio.bfq.weight=100\n|blkio.weight=500\n"
                "blkio.bfq.weight_device=8:0 100\n|blkio.weight_device=8:0 default\n");
    assert_plan(&resources, ALL_V2,
                "io.bfq.weight=100\n|io.weight=100\n"
                "io.bfq.weight=8:0 100\n|io.weight=8:0 default\n");
    weight.released_weight = 0;
    resources.block_io.write_iops = (struct cgroup_throttle_devices){ throttles, 2 };
    resources.block_io.weight = 9;
    assert_refused(&resources, ALL_V1, EINVAL, "blockIO.weight: 9 is not from 10 to 1000");
    resources.block_io.weight = 10;
    throttles[0].major = -1;
    assert_refused(&resources, ALL_V1, EINVAL,
                   "blockIO.throttleWriteIOPSDevice: -1:0 is no device number");
}

static void a_hybrid_mixes_files_by_controller(void **state)
{
    struct cgroup_hugepage page = { (char *)"2MB", 4096 };
    struct cgroup_resources resources = { .pids = { true, 5 } };

    (void)state;
    resources.hugepage_limits = (struct cgroup_hugepages){ &page, 1 };
    resources.memory = (struct cgroup_memory){ .has_limit = true, .limit = 1 };
    assert_plan(&resources, 1U << CGROUP_MEMORY | 1U << CGROUP_PIDS,
                "memory.limit_in_bytes=1\npids.max=5\nhugetlb.2MB.max=4096\n"
                "hugetlb.2MB.rsvd.max?=4096\n");
    assert_plan(&resources, ALL_V1,
                "memory.limit_in_bytes=1\npids.max=5\nhugetlb.2MB.limit_in_bytes=4096\n"
                "hugetlb.2MB.rsvd.limit_in_bytes?=4096\n");
    page.page_size = (char *)"../2MB";
    assert_refused(&resources, ALL_V1, EINVAL,
                   "hugepageLimits[0].pageSize: '../2MB' is not a size such as 2MB");
}

static void unified_files_go_line_by_line_to_v2_only(void **state)
{
    AUTO_CLEAR(string_map) struct string_map unified = { 0 };
    struct cgroup_resources resources = { 0 };

    (void)state;
    string_map_set(&unified, "io.max", "8:0 rbps=1\n8:16 rbps=2\n");
    resources.unified = unified;
    assert_plan(&resources, ALL_V2, "io.max=8:0 rbps=1\nio.max=8:16 rbps=2\n");
    assert_plan(&resources, 1U << CGROUP_MEMORY, "io.max=8:0 rbps=1\nio.max=8:16 rbps=2\n");
    unified.items[0].key[2] = '/';
    assert_refused(&resources, ALL_V2, EINVAL, "unified: 'io/max' is no file of a cgroup");
}

static void on_v1_a_unified_file_is_refused_by_what_stands_for_it(void **state)
{
    static const struct {
        const char *file, *message;
    } rows[] = {
        { "memory.max",
          "unified: memory.max is a file of cgroup v2, but the controller memory is on "
          "v1 here: set memory.limit instead, which is memory.limit_in_bytes there" },
        { "memory.high",
          "unified: memory.high is a file of cgroup v2, but the controller memory is "
          "on v1 here, which has nothing like it" },
        { "io.max",
          "unified: io.max is a file of cgroup v2, but the controller blkio is on v1 here: "
          "set blockIO.throttleReadBpsDevice and its like instead, which is "
          "blkio.throttle.read_bps_device there" },
        { "hugetlb.2MB.max", "unified: hugetlb.2MB.max is a file of cgroup v2, but the controller "
                             "hugetlb is on v1 here: set hugepageLimits instead, which is "
                             "hugetlb.SIZE.limit_in_bytes there" },
        { "cpu.max",
          "unified: cpu.max is a file of cgroup v2, but the controller cpu is on v1 here: "
          "set cpu.quota and cpu.period instead, which is cpu.cfs_quota_us there" },
        { "io.latency",
          "unified: io.latency is a file of cgroup v2, but the controller blkio is on "
          "v1 here, which has nothing like it" },
        { "memory.swap.high",
          "unified: memory.swap.high is a file of cgroup v2, but the controller "
          "memory is on v1 here, which has nothing like it" },
        { "cpuset.cpus.partition",
          "unified: cpuset.cpus.partition is a file of cgroup v2, but the controller cpuset is on "
          "v1 here, which has nothing like it" },
        { "cgroup.max.depth",
          "unified: cgroup.max.depth is a file of cgroup v2, which is not mounted" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct string_pair pair = { (char *)rows[i].file, (char *)"1" };
        struct cgroup_resources resources = { .unified = { &pair, 1 } };

        assert_refused(&resources, ALL_V1, EOPNOTSUPP, rows[i].message);
    }
}

static void on_v1_unified_writes_files_of_v1(void **state)
{
    static const struct {
        const char *file, *written;
    } rows[] = {
        { "memory.swappiness", "memory.swappiness=1\n" },
        { "memory.limit_in_bytes", "memory.limit_in_bytes=1\n" },
        { "cpu.rt_runtime_us", "cpu.rt_runtime_us=1\n" },
        { "cpuset.memory_migrate", "cpuset.memory_migrate=1\n" },
        { "blkio.throttle.read_bps_device", "blkio.throttle.read_bps_device=1\n" },
        { "net_cls.classid", "net_cls.classid=1\n" },
        /* of both versions */
        { "cpuset.cpus", "cpuset.cpus=1\n" },
        { "pids.max", "pids.max=1\n" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct string_pair pair = { (char *)rows[i].file, (char *)"1" };
        struct cgroup_resources resources = { .unified = { &pair, 1 } };

        assert_plan(&resources, ALL_V1, rows[i].written);
    }
}

static void where_a_controller_is_on_v2_its_files_of_v1_are_refused(void **state)
{
    static const struct {
        const char *file, *message;
    } rows[] = {
        { "memory.limit_in_bytes",
          "unified: memory.limit_in_bytes is a file of cgroup v1, but the controller memory is not "
          "on v1 here: write memory.max instead" },
        { "cpu.shares", "unified: cpu.shares is a file of cgroup v1, but the controller cpu is not "
                        "on v1 here: write cpu.weight instead" },
        { "blkio.throttle.io_serviced", "unified: blkio.throttle.io_serviced is a file of cgroup "
                                        "v1, but the controller blkio is not on v1 here" },
        { "net_cls.classid", "unified: net_cls.classid is a file of cgroup v1, but the controller "
                             "net_cls is not on v1 here" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct string_pair pair = { (char *)rows[i].file, (char *)"1" };
        struct cgroup_resources resources = { .unified = { &pair, 1 } };

        assert_refused(&resources, ALL_V2, EOPNOTSUPP, rows[i].message);
    }
}

static void what_is_no_limit_is_not_written_by_unified(void **state)
{
    static const struct {
        const char *file, *message;
    } rows[] = {
        { "cgroup.freeze",
          "unified: cgroup.freeze freezes processes: pause the container instead" },
        { "cgroup.kill", "unified: cgroup.kill kills processes: kill the container instead" },
        { "cgroup.procs", "unified: cgroup.procs moves processes, and limits nothing" },
        { "cgroup.threads", "unified: cgroup.threads moves threads, and limits nothing" },
        { "devices.allow", "unified: devices.allow is for device rules: set devices instead" },
        { "freezer.state",
          "unified: freezer.state freezes processes: pause the container instead" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct string_pair pair = { (char *)rows[i].file, (char *)"1" };
        struct cgroup_resources resources = { .unified = { &pair, 1 } };

        assert_refused(&resources, ALL_V1, EINVAL, rows[i].message);
        assert_refused(&resources, ALL_V2, EINVAL, rows[i].message);
    }
}

static void rdma_devices_are_one_line_each(void **state)
{
    struct cgroup_rdma device = { (char *)"mlx5_1", true, true, 3, 10000 };
    struct cgroup_resources resources = { .rdma = { &device, 1 } };

    (void)state;
    assert_plan(&resources, ALL_V1, "rdma.max=mlx5_1 hca_handle=3 hca_object=10000\n");
    device.key = (char *)"a b";
    assert_refused(&resources, ALL_V1, EINVAL, "rdma: 'a b' is no device name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_asked_is_nothing_written),
        cmocka_unit_test(memory_and_swap_are_together_on_v1_and_apart_on_v2),
        cmocka_unit_test(no_swap_may_go_without_swap_accounting),
        cmocka_unit_test(unlimited_memory_is_unlimited_swap_too),
        cmocka_unit_test(a_limit_of_zero_is_unset),
        cmocka_unit_test(no_realtime_is_written_where_the_kernel_has_a_file_for_it),
        cmocka_unit_test(swap_below_memory_is_refused_with_both_numbers),
        cmocka_unit_test(what_v2_lacks_is_refused_by_name),
        cmocka_unit_test(a_limit_of_kernel_memory_that_the_limit_of_all_implies_may_be_missing),
        cmocka_unit_test(each_interface_gets_its_priority_by_a_line),
        cmocka_unit_test(other_controllers_are_reached_by_unified),
        cmocka_unit_test(shares_become_a_weight_that_keeps_their_ratios),
        cmocka_unit_test(cpu_time_is_two_files_on_v1_and_one_on_v2),
        cmocka_unit_test(an_idle_group_gets_no_shares),
        cmocka_unit_test(cpusets_are_lists_of_numbers),
        cmocka_unit_test(pids_zero_is_a_limit_and_minus_one_is_none),
        cmocka_unit_test(block_io_weights_go_to_both_policies_and_throttles_get_a_line_each),
        cmocka_unit_test(a_hybrid_mixes_files_by_controller),
        cmocka_unit_test(unified_files_go_line_by_line_to_v2_only),
        cmocka_unit_test(on_v1_a_unified_file_is_refused_by_what_stands_for_it),
        cmocka_unit_test(on_v1_unified_writes_files_of_v1),
        cmocka_unit_test(where_a_controller_is_on_v2_its_files_of_v1_are_refused),
        cmocka_unit_test(what_is_no_limit_is_not_written_by_unified),
        cmocka_unit_test(a_refused_value_of_misc_is_explained_by_the_capacity),
        cmocka_unit_test(rdma_devices_are_one_line_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
