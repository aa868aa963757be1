#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "microvm/guest_memory.h"

static uint8_t low[4096];
static uint8_t high[4096];
static uint8_t image[4096];

/* RAM at 0x1000 and at the very end of the address space, an image in between. */
static struct guest_memory three_regions(void)
{
    const struct guest_region regions[] = {
        { 0x1000, sizeof(low), low, false },
        { UINT64_MAX - sizeof(high), sizeof(high), high, false },
        { 0x100000000, sizeof(image), image, true },
    };
    struct guest_memory memory = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(regions); i++)
        assert_int_equal(guest_memory_add(&memory, &regions[i], NULL), 0);
    return memory;
}

static void only_ranges_within_one_region_are_translated(void **state)
{
    const struct guest_memory memory = three_regions();
    const struct {
        uint64_t address;
        uint64_t length;
        const uint8_t *expected;
    } rows[] = {
        { 0x1000, 1, low },
        { 0x1000, 4096, low },
        { 0x1fff, 1, low + 4095 },
        { 0xfff, 1, NULL },
        { 0xfff, 4096, NULL },
        { 0x1000, 4097, NULL },
        { 0x2000, 1, NULL },
        { 0x1fff, 2, NULL },
        { 0x1800, UINT64_MAX, NULL },
        { 0x1800, UINT64_MAX - 0x17ff, NULL },
        { 0x1000, 0, NULL },
        { 0, 0, NULL },
        { UINT64_MAX - 4096, 4096, high },
        { UINT64_MAX - 1, 1, high + 4095 },
        { UINT64_MAX - 1, 2, NULL },
        { UINT64_MAX, 1, NULL },
        { UINT64_MAX - 1, UINT64_MAX, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (guest_memory_writable(&memory, rows[i].address, rows[i].length) != rows[i].expected ||
            guest_memory_readable(&memory, rows[i].address, rows[i].length) != rows[i].expected)
            fail_msg("row %zu", i);
    }
}

static void the_image_is_read_and_never_written(void **state)
{
    const struct guest_memory memory = three_regions();
    uint32_t value = 7;

    (void)state;
    image[8] = 42;
    assert_null(guest_memory_writable(&memory, 0x100000008, 4));
    assert_false(guest_memory_write(&memory, 0x100000008, &value, sizeof(value)));
    assert_int_equal(image[8], 42);
    assert_true(guest_memory_read(&memory, 0x100000008, &value, sizeof(value)));
    assert_int_equal(value, 42);
}

static void a_copy_out_of_range_changes_nothing(void **state)
{
    const struct guest_memory memory = three_regions();
    uint32_t value = 7;

    (void)state;
    memset(low, 1, sizeof(low));
    assert_false(guest_memory_read(&memory, 0x1ffd, &value, sizeof(value)));
    assert_int_equal(value, 7);
    assert_false(guest_memory_write(&memory, 0x1ffd, &value, sizeof(value)));
    assert_int_equal(low[4095], 1);
    assert_true(guest_memory_write(&memory, 0x1ffc, &value, sizeof(value)));
    assert_int_equal(low[4092], 7);
}

static void regions_neither_overlap_nor_wrap(void **state)
{
    struct guest_memory memory = three_regions();
    const struct guest_region wrong[] = {
        { 0x1000, 4096, low, false },  { 0x1fff, 1, low, false }, { 0, 0x1001, low, false },
        { 0, UINT64_MAX, low, false }, { 0x4000, 0, low, false }, { UINT64_MAX, 2, low, false },
    };
    const struct guest_region fourth = { 0x4000, 4096, low, false };
    const struct guest_region fifth = { 0x5000, 4096, low, false };
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(guest_memory_add(&memory, &wrong[i], &err), -EINVAL);
    assert_int_equal(memory.region_count, 3);
    assert_int_equal(guest_memory_add(&memory, &fourth, &err), 0);
    assert_int_equal(guest_memory_add(&memory, &fifth, &err), -ENOSPC);
    assert_string_equal(err.message, "guest memory at 0x5000: too many regions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_ranges_within_one_region_are_translated),
        cmocka_unit_test(the_image_is_read_and_never_written),
        cmocka_unit_test(a_copy_out_of_range_changes_nothing),
        cmocka_unit_test(regions_neither_overlap_nor_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
