#include "tests/unit/base_test.h"

#include <errno.h>

#include "runtime/process_setup.h"

static void a_list_of_cpus_is_checked_by_name(void **state)
{
    const struct {
        const char *initial, *final, *message;
    } rows[] = {
        { "0-3,7", "8191", NULL },
        { NULL, NULL, NULL },
        { "8192", NULL, "process.execCPUAffinity.initial: '8192' is not a number from 0 to 8191" },
        { "0", "3-1", "process.execCPUAffinity.final: a range in '3-1' runs backwards" },
        { "0", "1,", "process.execCPUAffinity.final: '' is not a number from 0 to 8191" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct spec_cpu_affinity affinity = { (char *)rows[i].initial, (char *)rows[i].final };
        struct spec_process process = { .exec_cpu_affinity = &affinity };
        struct error err = { 0 };
        int r = process_scheduling_check(&process, &err);

        assert_int_equal(r, rows[i].message == NULL ? 0 : -EINVAL);
        assert_string_equal(err.message, rows[i].message == NULL ? "" : rows[i].message);
    }
}

static void a_memory_policy_is_checked_by_name(void **state)
{
    char *unknown_flag[] = { "MPOL_F_STATIC_NODES", "MPOL_F_MOON", NULL };
    const struct {
        struct spec_memory_policy policy;
        const char *message;
    } rows[] = {
        { { .mode = "MPOL_BIND", .nodes = "0-1" }, NULL },
        { { .mode = "MPOL_DEFAULT", .nodes = "" }, NULL },
        { { .mode = "MPOL_MOON" }, "linux.memoryPolicy.mode: unknown word 'MPOL_MOON'" },
        { { .mode = "MPOL_BIND", .nodes = "1024" },
          "linux.memoryPolicy.nodes: '1024' is not a number from 0 to 1023" },
        { { .mode = "MPOL_BIND", .flags = { unknown_flag, 2 } },
          "linux.memoryPolicy.flags[1]: unknown flag 'MPOL_F_MOON'" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = { 0 };
        int r = process_memory_policy_check(&rows[i].policy, &err);

        assert_int_equal(r, rows[i].message == NULL ? 0 : -EINVAL);
        assert_string_equal(err.message, rows[i].message == NULL ? "" : rows[i].message);
    }
}

static void an_affinity_that_was_changed_can_be_put_back(void **state)
{
    struct cpu_mask before, narrowed, after;

    (void)state;
    assert_int_equal(process_affinity_save(&before, NULL), 0);
    assert_int_equal(process_affinity_apply("0-8191", "all", NULL), 0);
    assert_int_equal(process_affinity_apply("", "none", NULL), 0);
    process_affinity_restore(&before);
    assert_int_equal(process_affinity_save(&narrowed, NULL), 0);
    assert_memory_equal(&before, &narrowed, sizeof(before));
    process_affinity_reset();
    assert_int_equal(process_affinity_save(&after, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(after.bits); i++)
        assert_int_equal(before.bits[i] & ~after.bits[i], 0);
    process_affinity_restore(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_of_cpus_is_checked_by_name),
        cmocka_unit_test(a_memory_policy_is_checked_by_name),
        cmocka_unit_test(an_affinity_that_was_changed_can_be_put_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
