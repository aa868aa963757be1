#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/virtio_pmem.h>

#include "tests/unit/virtio_driver.h"

#include "microvm/virtio_pmem.h"

static void the_region_is_told(void **state)
{
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_pmem_open(0x123000000, 0x2000000));
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_CONFIG), 0x23000000);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_CONFIG + 4), 1);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_CONFIG + 8), 0x2000000);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_CONFIG + 12), 0);
    driver_close(&driver);
}

static void each_request_is_answered(void **state)
{
    const struct {
        uint32_t type;
        uint32_t request_bytes;
        uint32_t answer_bytes;
        int64_t used;
        uint32_t answer;
    } rows[] = {
        { VIRTIO_PMEM_REQ_TYPE_FLUSH, 4, 4, 4, 0 },
        { VIRTIO_PMEM_REQ_TYPE_FLUSH, 64, 8, 4, 0 },
        { 1, 4, 4, 4, UINT32_MAX },
        { VIRTIO_PMEM_REQ_TYPE_FLUSH, 3, 4, 4, UINT32_MAX },
        { VIRTIO_PMEM_REQ_TYPE_FLUSH, 4, 3, 0, 42 },
    };
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_pmem_open(0, 0));
    driver_start(&driver, 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct driver_segment segments[] = { { DRIVER_BUFFERS, rows[i].request_bytes, false },
                                                   { DRIVER_BUFFERS + 0x100, rows[i].answer_bytes,
                                                     true } };
        uint32_t answer = 42;

        memcpy(driver_memory + DRIVER_BUFFERS, &rows[i].type, 4);
        memcpy(driver_memory + DRIVER_BUFFERS + 0x100, &answer, 4);
        (void)driver_send(&driver, 0, segments, 2);
        if (driver_take(&driver, 0, NULL) != rows[i].used)
            fail_msg("row %zu", i);
        memcpy(&answer, driver_memory + DRIVER_BUFFERS + 0x100, 4);
        if (answer != rows[i].answer)
            fail_msg("row %zu: %u", i, answer);
    }
    driver_close(&driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_region_is_told),
        cmocka_unit_test(each_request_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
