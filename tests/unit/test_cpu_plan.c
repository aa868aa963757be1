#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "microvm/cpu_plan.h"
#include "microvm/layout.h"

static void each_cpu_knows_its_number_and_the_others(void **state)
{
    struct kvm_cpuid_entry2 entries[] = {
        { .function = 1, .ebx = 0x12345678, .ecx = 1, .edx = 1U << 28 | 2 },
        { .function = 0xb, .index = 0 },
        { .function = 0xb, .index = 1 },
        { .function = 0xb, .index = 2, .eax = 7 },
        { .function = 0x80000008, .eax = 0x3030, .ecx = 0x7fff },
        { .function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b },
    };

    (void)state;
    cpu_cpuid_plan(entries, ARRAY_SIZE(entries), 2, 3);
    assert_int_equal(entries[0].ebx, 0x02035678);
    assert_int_equal(entries[0].ecx, 1U << 31 | 1U << 24 | 1);
    assert_int_equal(entries[0].edx, 1U << 28 | 2);
    assert_int_equal(entries[1].ebx, 1);
    assert_int_equal(entries[1].ecx, 0x100);
    assert_int_equal(entries[2].eax, 2); /* bits of the number in the package */
    assert_int_equal(entries[2].ebx, 3);
    assert_int_equal(entries[2].ecx, 0x201);
    assert_int_equal(entries[3].eax, 0);
    assert_int_equal(entries[3].ebx, 0);
    assert_int_equal(entries[3].ecx, 2);
    for (size_t i = 1; i <= 3; i++)
        assert_int_equal(entries[i].edx, 2);
    assert_int_equal(entries[4].eax, 0x3030);
    assert_int_equal(entries[4].ecx, 2 << 12 | 2);
    assert_int_equal(entries[5].ebx, 0x4b4d564b);
}

static void one_cpu_alone_has_no_siblings(void **state)
{
    struct kvm_cpuid_entry2 entries[] = {
        { .function = 1, .edx = 1U << 28 },
        { .function = 4, .index = 0, .eax = 0x7c004121 },
        { .function = 4, .index = 3, .eax = 0x7c07c163 },
        { .function = 4, .index = 4, .eax = 0 },
    };

    (void)state;
    cpu_cpuid_plan(entries, ARRAY_SIZE(entries), 0, 1);
    assert_int_equal(entries[0].ebx, 0x00010000);
    assert_int_equal(entries[0].edx, 0);
    assert_int_equal(entries[1].eax, 0x121);
    assert_int_equal(entries[2].eax, 0x163);
    assert_int_equal(entries[3].eax, 0);
}

static void the_last_cache_is_shared_by_all_cores(void **state)
{
    struct kvm_cpuid_entry2 entries[] = {
        { .function = 4, .index = 0, .eax = 0x121 },
        { .function = 4, .index = 3, .eax = 0x163 },
    };

    (void)state;
    cpu_cpuid_plan(entries, ARRAY_SIZE(entries), 0, 4);
    assert_int_equal(entries[0].eax, 3U << 26 | 0x121);
    assert_int_equal(entries[1].eax, 3U << 26 | 3U << 14 | 0x163);
}

static void linux_begins_in_long_mode(void **state)
{
    struct kvm_sregs sregs = { .apic_base = 0xfee00900 };
    struct kvm_regs regs;

    (void)state;
    cpu_sregs_plan(KERNEL_ENTRY_LINUX64, &sregs);
    cpu_regs_plan(KERNEL_ENTRY_LINUX64, 0x1000000, &regs);
    assert_int_equal(sregs.efer, 0x500);
    assert_int_equal(sregs.cr0 & 0x80000001, 0x80000001);
    assert_int_equal(sregs.cr4, 0x20);
    assert_int_equal(sregs.cr3, LAYOUT_PAGE_TABLES);
    assert_int_equal(sregs.cs.l, 1);
    assert_int_equal(sregs.cs.selector, 0x10);
    assert_int_equal(sregs.ds.selector, 0x18);
    assert_int_equal(sregs.apic_base, 0xfee00900); /* untouched */
    assert_int_equal(regs.rsi, LAYOUT_ZERO_PAGE);
    assert_int_equal(regs.rip, 0x1000000);
    assert_int_equal(regs.rflags, 2); /* interrupts are off */
}

static void pvh_begins_in_protected_mode(void **state)
{
    struct kvm_sregs sregs = { 0 };
    struct kvm_regs regs;

    (void)state;
    cpu_sregs_plan(KERNEL_ENTRY_PVH, &sregs);
    cpu_regs_plan(KERNEL_ENTRY_PVH, 0x1000020, &regs);
    assert_int_equal(sregs.cr0, 0x11);
    assert_int_equal(sregs.efer, 0);
    assert_int_equal(sregs.cs.db, 1);
    assert_int_equal(sregs.cs.l, 0);
    assert_int_equal(sregs.tr.limit, 0x67);
    assert_int_equal(regs.rbx, LAYOUT_START_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cpu_knows_its_number_and_the_others),
        cmocka_unit_test(one_cpu_alone_has_no_siblings),
        cmocka_unit_test(the_last_cache_is_shared_by_all_cores),
        cmocka_unit_test(linux_begins_in_long_mode),
        cmocka_unit_test(pvh_begins_in_protected_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
