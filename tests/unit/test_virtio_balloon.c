#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/virtio_balloon.h>
#include <sys/mman.h>

#include "tests/unit/virtio_driver.h"

#include "microvm/virtio_balloon.h"

#define PAGE 4096u
#define MARK 0x5a

/* The queues, as Linux counts them without statistics and hints. */
enum { INFLATE, DEFLATE, REPORTING };

static bool is_page(uint32_t offset, uint8_t byte)
{
    for (uint32_t i = 0; i < PAGE; i++) {
        if (driver_memory[offset + i] != byte)
            return false;
    }
    return true;
}

/* A driver's memory is private, but of the program's data: given back, it is zero as RAM would be.
 */
static void open_balloon(struct driver *driver)
{
    driver_open(driver, virtio_balloon_open());
    driver_start(driver, 1ull << VIRTIO_BALLOON_F_REPORTING);
    memset(driver_memory + DRIVER_BUFFERS, MARK, 16 * PAGE);
}

static void inflated_pages_are_given_back(void **state)
{
    const uint32_t first = (uint32_t)(DRIVER_BASE + DRIVER_BUFFERS) / PAGE;
    /* Neighbours, one alone, nowhere, the image, the last and one behind the memory. */
    const uint32_t frames[] = {
        first + 2,
        first + 3,
        first + 6,
        0,
        UINT32_MAX,
        DRIVER_IMAGE / PAGE,
        (uint32_t)(DRIVER_BASE + DRIVER_MEMORY) / PAGE - 1,
        (uint32_t)(DRIVER_BASE + DRIVER_MEMORY) / PAGE,
    };
    const struct driver_segment segment = { DRIVER_BUFFERS, sizeof(frames) + 3, false };
    struct driver driver;

    (void)state;
    driver_image[0] = MARK;
    open_balloon(&driver);
    memset(driver_memory + DRIVER_MEMORY - PAGE, MARK, PAGE);
    memcpy(driver_memory + DRIVER_BUFFERS, frames, sizeof(frames));
    (void)driver_send(&driver, INFLATE, &segment, 1);
    assert_int_equal(driver_take(&driver, INFLATE, NULL), 0);
    for (uint32_t i = 1; i < 16; i++) {
        if (!is_page(DRIVER_BUFFERS + i * PAGE, i == 2 || i == 3 || i == 6 ? 0 : MARK))
            fail_msg("page %u", i);
    }
    assert_true(is_page(DRIVER_MEMORY - PAGE, 0));
    assert_int_equal(driver_image[0], MARK);
    (void)driver_send(&driver, DEFLATE, &segment, 1);
    assert_int_equal(driver_take(&driver, DEFLATE, NULL), 0);
    driver_close(&driver);
}

static void long_lists_are_taken_in_pieces(void **state)
{
    struct driver_segment segment = { DRIVER_BUFFERS, 4 * 1000, false };
    const uint32_t target = (uint32_t)(DRIVER_BASE + DRIVER_BUFFERS) / PAGE + 5;
    struct driver driver;

    (void)state;
    open_balloon(&driver);
    memset(driver_memory + DRIVER_BUFFERS, 0, PAGE);
    memcpy(driver_memory + DRIVER_BUFFERS + 4 * 999, &target, sizeof(target));
    (void)driver_send(&driver, INFLATE, &segment, 1);
    assert_true(is_page(DRIVER_BUFFERS + 5 * PAGE, 0));
    assert_true(is_page(DRIVER_BUFFERS + 4 * PAGE, MARK));
    driver_close(&driver);
}

static void reported_pages_are_given_back_as_far_as_they_are_whole(void **state)
{
    const struct driver_segment segments[] = {
        { DRIVER_BUFFERS + 2 * PAGE - 1, 2 * PAGE, true }, /* one byte too early */
        { DRIVER_BUFFERS + 6 * PAGE, 2 * PAGE, true },
        { DRIVER_BUFFERS + 9 * PAGE + 1, PAGE, true },
    };
    struct driver driver;

    (void)state;
    open_balloon(&driver);
    (void)driver_send(&driver, REPORTING, segments, ARRAY_SIZE(segments));
    assert_int_equal(driver_take(&driver, REPORTING, NULL), 0);
    for (uint32_t i = 0; i < 16; i++) {
        if (!is_page(DRIVER_BUFFERS + i * PAGE, i == 2 || i == 6 || i == 7 ? 0 : MARK))
            fail_msg("page %u", i);
    }
    driver_close(&driver);
}

static void a_target_is_a_change_of_the_configuration(void **state)
{
    const uint32_t actual = 7;
    struct driver driver;

    (void)state;
    open_balloon(&driver);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_CONFIG_GENERATION), 0);
    virtio_balloon_set_target(driver.device, 10 * PAGE + 5);
    assert_int_equal(driver_interrupts(&driver), VIRTIO_MMIO_INT_CONFIG);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_CONFIG), 10);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_CONFIG_GENERATION), 1);
    virtio_mmio_write(driver.mmio, VIRTIO_MMIO_CONFIG + 4, &actual, sizeof(actual));
    assert_int_equal(virtio_balloon_given(driver.device), 7 * PAGE);
    /* Without a driver there is nobody to interrupt. */
    driver_write(&driver, VIRTIO_MMIO_STATUS, 0);
    virtio_balloon_set_target(driver.device, UINT64_MAX);
    assert_int_equal(driver_interrupts(&driver), 0);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_CONFIG), UINT32_MAX);
    driver_close(&driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inflated_pages_are_given_back),
        cmocka_unit_test(long_lists_are_taken_in_pieces),
        cmocka_unit_test(reported_pages_are_given_back_as_far_as_they_are_whole),
        cmocka_unit_test(a_target_is_a_change_of_the_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
