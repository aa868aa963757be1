#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "microvm/boot.h"
#include "microvm/guest_memory.h"
#include "microvm/layout.h"

#define MIB (1ULL << 20)

static const uint8_t seed[BOOT_SEED_SIZE] = { 1, 2, 3, [31] = 32 };

static const struct kernel_image linux_image = {
    .entry = KERNEL_ENTRY_LINUX64,
    .entry_address = 0x1000000,
    .start = 0x1000000,
    .end = 0x4000000,
    .initrd_max = 0x7fffffff,
    .cmdline_max = 2047,
};

static uint8_t low[LAYOUT_HIGH_START];

static uint64_t number(uint64_t address, size_t size)
{
    uint64_t value = 0;

    memcpy(&value, low + address, size);
    return value;
}

static void write_low(const struct boot_plan *plan)
{
    const struct guest_region region = { 0, sizeof(low), low, false };
    struct guest_memory memory = { 0 };

    memset(low, 0, sizeof(low));
    assert_int_equal(guest_memory_add(&memory, &region, NULL), 0);
    boot_write(plan, seed, &memory);
}

static void memory_goes_on_above_the_hole(void **state)
{
    (void)state;
    assert_int_equal(boot_low_memory(128 * MIB), 128 * MIB);
    assert_int_equal(boot_high_memory(128 * MIB), 0);
    assert_int_equal(boot_low_memory(3072 * MIB), 3072 * MIB);
    assert_int_equal(boot_high_memory(3072 * MIB), 0);
    assert_int_equal(boot_low_memory(8192 * MIB), 3072 * MIB);
    assert_int_equal(boot_high_memory(8192 * MIB), 5120 * MIB);
}

static void the_initrd_is_at_the_top_of_what_the_kernel_reaches(void **state)
{
    const struct {
        uint64_t memory_bytes;
        uint64_t initrd_size;
        uint64_t expected;
    } rows[] = {
        { 128 * MIB, 4096, 128 * MIB - 4096 },
        { 128 * MIB, 4097, 128 * MIB - 8192 },
        { 128 * MIB, 64 * MIB, 64 * MIB },
        { 8192 * MIB, 4096, 2048 * MIB - 4096 },
        { 128 * MIB, 0, 0 },
    };
    struct boot_plan plan;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(
            boot_plan(&linux_image, rows[i].memory_bytes, "", rows[i].initrd_size, &plan, NULL), 0);
        assert_int_equal(plan.initrd_address, rows[i].expected);
    }
}

static void what_does_not_fit_is_said_with_the_sizes(void **state)
{
    struct boot_plan plan;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(boot_plan(&linux_image, 63 * MIB, "", 0, &plan, &err), -ENOSPC);
    assert_int_equal(boot_plan(&linux_image, 64 * MIB, "", 0, &plan, &err), 0);
    assert_int_equal(boot_plan(&linux_image, 64 * MIB, "", 1, &plan, &err), -ENOSPC);
    assert_int_equal(boot_plan(&linux_image, 128 * MIB, "", 200 * MIB, &plan, &err), -ENOSPC);
    assert_string_equal(err.message, "128 MiB of memory do not hold the kernel (64 MiB) and its "
                                     "initrd (200 MiB): give the microVM more");
}

static void a_command_line_that_is_too_long_is_refused(void **state)
{
    struct boot_plan plan;
    struct error err = { 0 };
    char cmdline[2049];

    (void)state;
    memset(cmdline, 'a', sizeof(cmdline));
    cmdline[2047] = '\0';
    assert_int_equal(boot_plan(&linux_image, 128 * MIB, cmdline, 0, &plan, &err), 0);
    cmdline[2047] = 'a';
    cmdline[2048] = '\0';
    assert_int_equal(boot_plan(&linux_image, 128 * MIB, cmdline, 0, &plan, &err), -EINVAL);
    assert_string_equal(err.message, "the kernel's command line is longer than 2047 bytes");
}

static void linux_gets_its_zero_page(void **state)
{
    const struct boot_plan plan = {
        .image = &linux_image,
        .memory_bytes = 8192 * MIB,
        .cmdline = "quiet",
        .initrd_address = 0x7fff0000,
        .initrd_size = 0x10000,
    };
    const uint64_t page = LAYOUT_ZERO_PAGE;

    (void)state;
    write_low(&plan);
    assert_int_equal(number(page + 0x1fe, 2), 0xaa55);
    assert_memory_equal(low + page + 0x202, "HdrS", 4);
    assert_int_not_equal(number(page + 0x230, 4), 0);
    assert_int_equal(number(page + 0x210, 1), 0xff);
    assert_int_equal(number(page + 0x070, 8), LAYOUT_ACPI);
    assert_int_equal(number(page + 0x218, 4), 0x7fff0000);
    assert_int_equal(number(page + 0x21c, 4), 0x10000);
    assert_string_equal(low + number(page + 0x228, 4), "quiet");
    assert_int_equal(number(page + 0x1e8, 1), 4);
    assert_int_equal(number(page + 0x2d0 + 3 * 20, 8), LAYOUT_HOLE_END);
    assert_int_equal(number(page + 0x2d0 + 3 * 20 + 8, 8), 5120 * MIB);
    assert_int_equal(number(page + 0x2d0 + 3 * 20 + 16, 4), 1);
    assert_int_equal(number(page + 0x2d0 + 1 * 20 + 16, 4), 2);
}

static void linux_gets_a_seed(void **state)
{
    const struct boot_plan plan = { .image = &linux_image,
                                    .memory_bytes = 128 * MIB,
                                    .cmdline = "" };
    uint64_t data;

    (void)state;
    write_low(&plan);
    data = number(LAYOUT_ZERO_PAGE + 0x250, 8);
    assert_int_equal(number(data, 8), 0);     /* no next one */
    assert_int_equal(number(data + 8, 4), 9); /* SETUP_RNG_SEED */
    assert_int_equal(number(data + 12, 4), 32);
    assert_memory_equal(low + data + 16, seed, sizeof(seed));
}

static void the_setup_header_of_a_bzimage_is_passed_on(void **state)
{
    struct kernel_image image = linux_image;
    const struct boot_plan plan = { .image = &image, .memory_bytes = 128 * MIB, .cmdline = "" };

    (void)state;
    image.setup_length = 0x7b;
    memset(image.setup, 0x5a, image.setup_length);
    write_low(&plan);
    assert_int_equal(number(LAYOUT_ZERO_PAGE + 0x1f1, 1), 0x5a);
    assert_int_equal(number(LAYOUT_ZERO_PAGE + 0x211, 1), 0x5b);
    assert_int_equal(number(LAYOUT_ZERO_PAGE + 0x1f1 + 0x7a, 1), 0x5a);
    assert_int_equal(number(LAYOUT_ZERO_PAGE + 0x1f1 + 0x7b, 1), 0);
}

static void four_gigabytes_are_mapped_to_themselves(void **state)
{
    const struct boot_plan plan = { .image = &linux_image,
                                    .memory_bytes = 128 * MIB,
                                    .cmdline = "" };
    static const uint64_t addresses[] = { 0, 0x1234567, 0x7fffffff, 0xfee00000, 0xffffffff };

    (void)state;
    write_low(&plan);
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        const uint64_t address = addresses[i];
        const uint64_t level4 = number(LAYOUT_PAGE_TABLES, 8);
        const uint64_t level3 = number((level4 & ~0xfffULL) + (address >> 30) * 8, 8);
        const uint64_t level2 = number((level3 & ~0xfffULL) + (address >> 21 & 511) * 8, 8);

        assert_int_equal(level4 & 3, 3);
        assert_int_equal(level3 & 3, 3);
        assert_int_equal(level2 & 0xfff, 0x83);
        assert_int_equal(level2 & ~0xfffULL, address & ~0x1fffffULL);
    }
}

static void pvh_gets_a_start_info(void **state)
{
    struct kernel_image image = linux_image;
    const struct boot_plan plan = {
        .image = &image,
        .memory_bytes = 128 * MIB,
        .cmdline = "word",
        .initrd_address = 0x7000000,
        .initrd_size = 0x123,
    };
    const uint64_t info = LAYOUT_START_INFO;
    uint64_t modules;
    uint64_t map;

    (void)state;
    image.entry = KERNEL_ENTRY_PVH;
    write_low(&plan);
    assert_int_equal(number(info, 4), 0x336ec578);
    assert_int_equal(number(info + 4, 4), 1);
    assert_int_equal(number(info + 12, 4), 1);
    modules = number(info + 16, 8);
    assert_int_equal(number(modules, 8), 0x7000000);
    assert_int_equal(number(modules + 8, 8), 0x123);
    assert_string_equal(low + number(info + 24, 8), "word");
    assert_int_equal(number(info + 32, 8), LAYOUT_ACPI);
    map = number(info + 40, 8);
    assert_int_equal(number(info + 48, 4), 3);
    assert_int_equal(number(map + 2 * 24, 8), MIB);
    assert_int_equal(number(map + 2 * 24 + 8, 8), 127 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_goes_on_above_the_hole),
        cmocka_unit_test(the_initrd_is_at_the_top_of_what_the_kernel_reaches),
        cmocka_unit_test(what_does_not_fit_is_said_with_the_sizes),
        cmocka_unit_test(a_command_line_that_is_too_long_is_refused),
        cmocka_unit_test(linux_gets_its_zero_page),
        cmocka_unit_test(linux_gets_a_seed),
        cmocka_unit_test(the_setup_header_of_a_bzimage_is_passed_on),
        cmocka_unit_test(four_gigabytes_are_mapped_to_themselves),
        cmocka_unit_test(pvh_gets_a_start_info),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
