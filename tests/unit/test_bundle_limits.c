#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "engine/bundle.h"

struct fixture {
    struct settings *settings;
    struct spec *spec;
    struct host_facts facts;
    struct strings warnings;
    struct error err;
};

static int set_up(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));

    fixture->settings = settings_default();
    fixture->spec = spec_default_docker();
    if (fixture->spec->linux_.resources == NULL)
        fixture->spec->linux_.resources = xcalloc(1, sizeof(*fixture->spec->linux_.resources));
    fixture->facts.has_swap_limit = true;
    for (size_t i = 0; i < HOST_RLIMITS; i++)
        fixture->facts.hard_rlimits[i] = UINT64_MAX;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    settings_free(fixture->settings);
    spec_free(fixture->spec);
    strings_clear(&fixture->warnings);
    free(fixture);
    return 0;
}

static int plan(struct fixture *fixture)
{
    return bundle_plan_limits(fixture->settings, &fixture->facts, fixture->spec, &fixture->warnings,
                              &fixture->err);
}

static void memory_alone_allows_as_much_swap_again(void **state)
{
    struct fixture *fixture = *state;
    const struct cgroup_memory *memory = &fixture->spec->linux_.resources->memory;

    fixture->settings->memory = 64 << 20;
    assert_int_equal(plan(fixture), 0);
    assert_true(memory->has_limit);
    assert_int_equal(memory->limit, 64 << 20);
    assert_true(memory->has_swap);
    assert_int_equal(memory->swap, 128 << 20);
    assert_int_equal(fixture->warnings.count, 0);
}

static void a_kernel_that_cannot_limit_swap_gives_a_warning(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings->memory = 64 << 20;
    fixture->facts.has_swap_limit = false;
    assert_int_equal(plan(fixture), 0);
    assert_false(fixture->spec->linux_.resources->memory.has_swap);
    assert_string_equal(fixture->warnings.items[0],
                        "your kernel cannot limit swap: memory is limited without swap");
}

static void swap_without_a_limit_is_minus_one(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings->memory = 64 << 20;
    fixture->settings->memory_swap = -1;
    assert_int_equal(plan(fixture), 0);
    assert_int_equal(fixture->spec->linux_.resources->memory.swap, -1);
}

static void wrong_limits_are_refused_by_name(void **state)
{
    static const struct {
        uint64_t memory, reservation, swappiness;
        int64_t swap;
        uint64_t cpus;
        int64_t quota;
        uint64_t rt_period;
        int64_t rt_runtime;
        uint16_t weight;
        const char *message;
    } rows[] = {
        { .memory = 1 << 20, .message = "--memory: the smallest limit allowed is 6m" },
        { .swap = 1 << 30, .message = "--memory-swap needs --memory as well" },
        { .memory = 64 << 20,
          .swap = 32 << 20,
          .message = "--memory-swap is memory and swap together: it cannot be smaller than "
                     "--memory" },
        { .memory = 64 << 20,
          .reservation = 65 << 20,
          .message = "--memory-reservation cannot be larger than --memory" },
        { .swappiness = 101, .message = "--memory-swappiness: 101 is not from 0 to 100" },
        { .cpus = 1, .message = "--cpus: the smallest share allowed is 0.01" },
        { .cpus = 1000000000,
          .quota = 5,
          .message = "--cpus cannot be used together with --cpu-quota or --cpu-period" },
        { .rt_runtime = -2, .message = "--cpu-rt-runtime: -2 is neither a time nor -1" },
        { .rt_runtime = 1000001,
          .message = "--cpu-rt-runtime: 1000001 us do not fit into a period of 1000000 us: see "
                     "--cpu-rt-period" },
        { .rt_period = 500,
          .rt_runtime = 501,
          .message = "--cpu-rt-runtime: 501 us do not fit into a period of 500 us: see "
                     "--cpu-rt-period" },
        { .weight = 5, .message = "--blkio-weight: 5 is not from 10 to 1000" },
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        print_message("row %zu\n", i);
        fixture->settings->memory = rows[i].memory;
        fixture->settings->memory_swap = rows[i].swap;
        fixture->settings->memory_reservation = rows[i].reservation;
        fixture->settings->has_swappiness = rows[i].swappiness > 0;
        fixture->settings->swappiness = rows[i].swappiness;
        fixture->settings->nano_cpus = rows[i].cpus;
        fixture->settings->cpu_quota = rows[i].quota;
        fixture->settings->cpu_rt_period = rows[i].rt_period;
        fixture->settings->cpu_rt_runtime = rows[i].rt_runtime;
        fixture->settings->blkio_weight = rows[i].weight;
        assert_int_equal(plan(fixture), -EINVAL);
        assert_string_equal(fixture->err.message, rows[i].message);
    }
}

static void cpus_become_a_quota(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings->nano_cpus = 500000000;
    assert_int_equal(plan(fixture), 0);
    assert_int_equal(fixture->spec->linux_.resources->cpu.quota, 50000);
    assert_int_equal(fixture->spec->linux_.resources->cpu.period, 100000);
}

static void realtime_may_fill_its_period(void **state)
{
    struct fixture *fixture = *state;
    const struct cgroup_cpu *cpu = &fixture->spec->linux_.resources->cpu;

    assert_int_equal(plan(fixture), 0);
    assert_false(cpu->has_realtime_period || cpu->has_realtime_runtime);
    fixture->settings->cpu_rt_period = fixture->settings->cpu_rt_runtime = 500;
    assert_int_equal(plan(fixture), 0);
    assert_true(cpu->has_realtime_period && cpu->has_realtime_runtime);
    assert_int_equal(cpu->realtime_period, 500);
    assert_int_equal(cpu->realtime_runtime, 500);
}

static void weights_are_of_the_devices_numbers(void **state)
{
    struct fixture *fixture = *state;
    const struct cgroup_weight_devices *devices =
        &fixture->spec->linux_.resources->block_io.weight_devices;
    struct settings_rates *weights = &fixture->settings->blkio_weights;
    struct host_device device = { .path = (char *)"/dev/a", .type = 'b', .major = 8, .minor = 16 };

    fixture->facts.devices.items = &device;
    fixture->facts.devices.count = 1;
    weights->items = xcalloc(1, sizeof(*weights->items));
    weights->count = 1;
    weights->items[0] = (struct settings_rate){ xstrdup("/dev/a"), 300 };
    assert_int_equal(plan(fixture), 0);
    assert_int_equal(devices->count, 1);
    assert_int_equal(devices->items[0].major, 8);
    assert_int_equal(devices->items[0].minor, 16);
    assert_true(devices->items[0].has_weight);
    assert_int_equal(devices->items[0].weight, 300);
    weights->items[0].rate = 65536 + 300;
    free(devices->items);
    assert_int_equal(plan(fixture), -EINVAL);
    assert_string_equal(fixture->err.message,
                        "--blkio-weight-device '/dev/a': 65836 is not from 10 to 1000");
}

static const struct cgroup_device_rules *plan_rules(struct fixture *fixture)
{
    strings_add(&fixture->settings->device_rules, "c 13:* rw");
    assert_int_equal(plan(fixture), 0);
    return &fixture->spec->linux_.resources->devices;
}

static void device_rules_come_after_the_default_ones(void **state)
{
    struct fixture *fixture = *state;
    size_t before = fixture->spec->linux_.resources->devices.count;
    const struct cgroup_device_rules *rules = plan_rules(fixture);
    const struct cgroup_device_rule *last = &rules->items[before];

    assert_int_equal(rules->count, before + 1);
    assert_true(last->allow && last->has_major && !last->has_minor);
    assert_string_equal(last->type, "c");
    assert_int_equal(last->major, 13);
    assert_string_equal(last->access, "rw");
    assert_int_equal(fixture->warnings.count, 0);
}

static void device_rules_do_not_narrow_what_is_privileged(void **state)
{
    struct fixture *fixture = *state;
    size_t before = fixture->spec->linux_.resources->devices.count;

    fixture->settings->is_privileged = true;
    assert_int_equal(plan_rules(fixture)->count, before);
}

static void device_rules_of_an_ordinary_user_give_a_warning(void **state)
{
    struct fixture *fixture = *state;

    fixture->facts.binds_devices = true;
    (void)plan_rules(fixture);
    assert_int_equal(fixture->warnings.count, 1);
    assert_string_equal(fixture->warnings.items[0],
                        "--device-cgroup-rule has no effect for an ordinary user, who uses "
                        "devices as their modes say, and makes none");
}

static void a_ulimit_above_what_is_allowed_is_lowered_with_a_warning(void **state)
{
    struct settings_ulimit item = { (char *)"nofile", 1024, -1 };
    struct fixture *fixture = *state;

    fixture->facts.hard_rlimits[RLIMIT_NOFILE] = 20000;
    fixture->settings->ulimits.items = xmemdup(&item, sizeof(item));
    fixture->settings->ulimits.items[0].name = xstrdup("nofile");
    fixture->settings->ulimits.count = 1;
    assert_int_equal(plan(fixture), 0);
    assert_int_equal(fixture->spec->process->rlimits.count, 1);
    assert_string_equal(fixture->spec->process->rlimits.items[0].type, "RLIMIT_NOFILE");
    assert_int_equal(fixture->spec->process->rlimits.items[0].soft, 1024);
    assert_int_equal(fixture->spec->process->rlimits.items[0].hard, 20000);
    assert_string_equal(fixture->warnings.items[0],
                        "--ulimit nofile: lowered to 20000, berth may not raise limits here");
}

static void an_unknown_ulimit_is_named(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings->ulimits.items = xcalloc(1, sizeof(*fixture->settings->ulimits.items));
    fixture->settings->ulimits.items[0].name = xstrdup("files");
    fixture->settings->ulimits.count = 1;
    assert_int_equal(plan(fixture), -EINVAL);
    assert_string_equal(fixture->err.message, "--ulimit 'files': no such limit");
}

static void a_pids_limit_of_zero_or_less_is_none(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings->has_pids_limit = true;
    fixture->settings->pids_limit = -1;
    assert_int_equal(plan(fixture), 0);
    assert_false(fixture->spec->linux_.resources->pids.has_limit);
    fixture->settings->pids_limit = 32;
    assert_int_equal(plan(fixture), 0);
    assert_int_equal(fixture->spec->linux_.resources->pids.limit, 32);
}

#define WITH_SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SPEC(memory_alone_allows_as_much_swap_again),
        WITH_SPEC(a_kernel_that_cannot_limit_swap_gives_a_warning),
        WITH_SPEC(swap_without_a_limit_is_minus_one),
        WITH_SPEC(wrong_limits_are_refused_by_name),
        WITH_SPEC(cpus_become_a_quota),
        WITH_SPEC(realtime_may_fill_its_period),
        WITH_SPEC(weights_are_of_the_devices_numbers),
        WITH_SPEC(device_rules_come_after_the_default_ones),
        WITH_SPEC(device_rules_do_not_narrow_what_is_privileged),
        WITH_SPEC(device_rules_of_an_ordinary_user_give_a_warning),
        WITH_SPEC(a_ulimit_above_what_is_allowed_is_lowered_with_a_warning),
        WITH_SPEC(an_unknown_ulimit_is_named),
        WITH_SPEC(a_pids_limit_of_zero_or_less_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
