#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/unit/virtio_driver.h"

#include "microvm/virtio_balloon.h"
#include "microvm/virtio_rng.h"

#define VERSION_1 (1ull << VIRTIO_F_VERSION_1)

/* A buffer of random numbers: 64 bytes that may be written. */
static const struct driver_segment buffer = { DRIVER_BUFFERS, 64, true };

static void a_device_says_what_it_is(void **state)
{
    struct driver driver;
    uint8_t byte = 0xff;
    uint32_t word = 7;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_VERSION), 2);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_RNG);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_QUEUE_NUM_MAX), VIRTQUEUE_SIZE_MAX);
    driver_write(&driver, VIRTIO_MMIO_QUEUE_SEL, 1);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
    /* There is no shared memory. */
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
    /* Other widths than 32 bits are for the configuration only. */
    virtio_mmio_read(driver.mmio, VIRTIO_MMIO_MAGIC_VALUE, &byte, 1);
    assert_int_equal(byte, 0);
    virtio_mmio_read(driver.mmio, VIRTIO_MMIO_CONFIG, &word, sizeof(word));
    assert_int_equal(word, 0);
    virtio_mmio_read(driver.mmio, UINT64_MAX, &word, sizeof(word));
    assert_int_equal(word, 0);
    virtio_mmio_write(driver.mmio, UINT64_MAX - 3, &word, sizeof(word));
    driver_close(&driver);
}

static void features_that_are_not_offered_are_refused(void **state)
{
    const struct {
        uint64_t features;
        bool is_accepted;
    } rows[] = {
        { VERSION_1, true },
        { VERSION_1 | DRIVER_EVENT_INDEX | DRIVER_INDIRECT, true },
        { 0, false },
        { DRIVER_INDIRECT, false },
        { VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM, false },
        { VERSION_1 | 1, false },
        { UINT64_MAX, false },
    };
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t status = driver_negotiate(&driver, rows[i].features);

        if (((status & VIRTIO_CONFIG_S_FEATURES_OK) != 0) != rows[i].is_accepted)
            fail_msg("row %zu", i);
    }
    /* Without FEATURES_OK there is no DRIVER_OK. */
    driver_write(&driver, VIRTIO_MMIO_STATUS, 0xff);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_DRIVER_OK, 0);
    driver_close(&driver);
}

static void accepted_features_stay_as_they_are(void **state)
{
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    driver_start(&driver, DRIVER_INDIRECT);
    driver_write(&driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    driver_write(&driver, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
    driver_write(&driver, VIRTIO_MMIO_STATUS, 0xf);
    assert_int_equal(driver.device->features, VERSION_1 | DRIVER_INDIRECT);
    driver_close(&driver);
}

static void a_request_is_served_and_interrupts(void **state)
{
    static const uint8_t zeroes[64];
    struct driver driver;
    uint32_t head;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    driver_start(&driver, 0);
    assert_int_equal(driver_send(&driver, 0, &buffer, 1), 0);
    assert_int_equal(driver_take(&driver, 0, &head), 64);
    assert_int_equal(head, 0);
    assert_memory_not_equal(driver_memory + DRIVER_BUFFERS, zeroes, sizeof(zeroes));
    assert_int_equal(driver_interrupts(&driver), VIRTIO_MMIO_INT_VRING);
    assert_int_equal(driver_interrupts(&driver), 0);
    driver_close(&driver);
}

static void registers_of_a_running_queue_are_ignored(void **state)
{
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    driver_start(&driver, 0);
    driver_write(&driver, VIRTIO_MMIO_QUEUE_SEL, 0);
    driver_write(&driver, VIRTIO_MMIO_QUEUE_READY, 0);
    driver_write(&driver, VIRTIO_MMIO_QUEUE_NUM, 1u << 15);
    driver_write_pair(&driver, VIRTIO_MMIO_QUEUE_DESC_LOW, UINT64_MAX);
    driver_write_pair(&driver, VIRTIO_MMIO_QUEUE_USED_LOW, UINT64_MAX);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_QUEUE_READY), 1);
    (void)driver_send(&driver, 0, &buffer, 1);
    assert_int_equal(driver_take(&driver, 0, NULL), 64);
    driver_close(&driver);
}

static void registers_of_a_ready_queue_are_ignored(void **state)
{
    struct driver driver;
    uint32_t status;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    status = driver_negotiate(&driver, VERSION_1);
    driver_set_queue(&driver, 0);
    driver_write(&driver, VIRTIO_MMIO_QUEUE_NUM, 3);
    driver_write_pair(&driver, VIRTIO_MMIO_QUEUE_AVAIL_LOW, UINT64_MAX);
    driver_write(&driver, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
    (void)driver_send(&driver, 0, &buffer, 1);
    assert_int_equal(driver_take(&driver, 0, NULL), 64);
    driver_close(&driver);
}

static void a_queue_that_is_set_up_wrongly_breaks_only_the_device(void **state)
{
    struct driver driver;
    uint32_t status;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    status = driver_negotiate(&driver, VERSION_1);
    driver_write(&driver, VIRTIO_MMIO_QUEUE_NUM, 5);
    driver_write(&driver, VIRTIO_MMIO_QUEUE_READY, 1);
    driver_write(&driver, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
    assert_true(driver_is_broken(&driver));
    assert_int_equal(driver_interrupts(&driver), VIRTIO_MMIO_INT_CONFIG);
    driver_start(&driver, 0);
    assert_false(driver_is_broken(&driver));
    driver_close(&driver);
}

static void a_broken_ring_stops_the_device_until_its_reset(void **state)
{
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    driver_start(&driver, 0);
    driver_offer(&driver, 0, DRIVER_QUEUE_SIZE);
    driver_notify(&driver, 0);
    assert_true(driver_is_broken(&driver));
    assert_int_equal(driver_interrupts(&driver), VIRTIO_MMIO_INT_CONFIG);
    (void)driver_send(&driver, 0, &buffer, 1);
    assert_int_equal(driver_take(&driver, 0, NULL), -1);
    assert_int_equal(driver_interrupts(&driver), 0);

    driver_start(&driver, 0);
    (void)driver_send(&driver, 0, &buffer, 1);
    assert_int_equal(driver_take(&driver, 0, NULL), 64);
    driver_close(&driver);
}

static void a_reset_forgets_everything_of_the_driver(void **state)
{
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    driver_start(&driver, DRIVER_EVENT_INDEX);
    (void)driver_send(&driver, 0, &buffer, 1);
    driver_write(&driver, VIRTIO_MMIO_STATUS, 0);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_STATUS), 0);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_QUEUE_READY), 0);
    assert_int_equal(driver_interrupts(&driver), 0);
    memset(driver_memory, 0, sizeof(driver_memory));
    driver_offer(&driver, 0, 0);
    driver_notify(&driver, 0);
    assert_int_equal(driver.queues[0].used[1], 0);
    driver_close(&driver);
}

static void notifications_before_the_driver_is_ready_are_kept(void **state)
{
    struct driver driver;
    uint32_t status;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    status = driver_negotiate(&driver, VERSION_1);
    driver_set_queue(&driver, 0);
    (void)driver_send(&driver, 0, &buffer, 1);
    driver_notify(&driver, 99);
    assert_int_equal(driver_take(&driver, 0, NULL), -1);
    driver_write(&driver, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
    assert_int_equal(driver_take(&driver, 0, NULL), 64);
    driver_close(&driver);
}

static void a_driver_may_leave_a_queue_out(void **state)
{
    struct driver driver;
    uint32_t status;

    (void)state;
    driver_open(&driver, virtio_balloon_open());
    status = driver_negotiate(&driver, VERSION_1);
    driver_set_queue(&driver, 0);
    driver_write(&driver, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
    driver_notify(&driver, 2);
    assert_false(driver_is_broken(&driver));
    driver_close(&driver);
}

static void only_the_writable_part_of_the_configuration_is_written(void **state)
{
    const uint64_t ones = UINT64_MAX;
    const uint32_t pages = 3;
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_balloon_open());
    virtio_mmio_write(driver.mmio, VIRTIO_MMIO_CONFIG, &ones, 4);
    virtio_mmio_write(driver.mmio, VIRTIO_MMIO_CONFIG + 4, &ones, 8);
    virtio_mmio_write(driver.mmio, VIRTIO_MMIO_CONFIG + 6, &ones, 4);
    virtio_mmio_write(driver.mmio, VIRTIO_MMIO_CONFIG + 8, &ones, 4);
    for (unsigned i = 0; i < 16; i += 4)
        assert_int_equal(driver_read(&driver, VIRTIO_MMIO_CONFIG + i), 0);
    virtio_mmio_write(driver.mmio, VIRTIO_MMIO_CONFIG + 4, &pages, 4);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_CONFIG + 4), 3);
    driver_close(&driver);
}

/* --- with a loop -------------------------------------------------------------------------- */

static int stop_loop(struct event_source *source, uint32_t events, void *context, struct error *err)
{
    (void)source;
    (void)events;
    (void)err;
    event_loop_stop(context, 0);
    return 0;
}

/* Runs the loop until the device has interrupted. */
static void *run_loop(void *loop)
{
    assert_int_equal(event_loop_run(loop, NULL), 0);
    return NULL;
}

static void the_io_thread_serves_notifications(void **state)
{
    const uint64_t one = 1;
    AUTO(event_loop) struct event_loop *loop = NULL;
    auto_close int irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct driver driver;
    pthread_t thread;
    uint64_t count;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    driver_close(&driver);
    assert_int_equal(event_loop_open(&loop, NULL), 0);
    driver.device = virtio_rng_open();
    assert_int_equal(
        virtio_mmio_open(driver.device, &driver.memory, loop, irq_fd, &driver.mmio, NULL), 0);
    assert_int_equal(event_loop_add(loop, irq_fd, EPOLLIN, stop_loop, loop, NULL, NULL), 0);
    driver_start(&driver, DRIVER_EVENT_INDEX);
    (void)driver_add(&driver, 0, &buffer, 1);
    assert_int_equal(write(virtio_mmio_notify_fd(driver.mmio, 0), &one, sizeof(one)), sizeof(one));
    assert_int_equal(pthread_create(&thread, NULL, run_loop, loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(read(irq_fd, &count, sizeof(count)), sizeof(count));
    assert_int_equal(driver_take(&driver, 0, NULL), 64);
    assert_int_equal(driver_interrupts(&driver), VIRTIO_MMIO_INT_VRING);
    driver_close(&driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_says_what_it_is),
        cmocka_unit_test(features_that_are_not_offered_are_refused),
        cmocka_unit_test(accepted_features_stay_as_they_are),
        cmocka_unit_test(a_request_is_served_and_interrupts),
        cmocka_unit_test(registers_of_a_running_queue_are_ignored),
        cmocka_unit_test(registers_of_a_ready_queue_are_ignored),
        cmocka_unit_test(a_queue_that_is_set_up_wrongly_breaks_only_the_device),
        cmocka_unit_test(a_broken_ring_stops_the_device_until_its_reset),
        cmocka_unit_test(a_reset_forgets_everything_of_the_driver),
        cmocka_unit_test(notifications_before_the_driver_is_ready_are_kept),
        cmocka_unit_test(a_driver_may_leave_a_queue_out),
        cmocka_unit_test(only_the_writable_part_of_the_configuration_is_written),
        cmocka_unit_test(the_io_thread_serves_notifications),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
