#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/virtio_driver.h"

#include "microvm/virtio_blk.h"

#define SECTORS 64
#define FLUSH   (1ull << VIRTIO_BLK_F_FLUSH)

/* Where a request stands in the driver's memory. */
#define HEADER DRIVER_BUFFERS
#define STATUS (DRIVER_BUFFERS + 0x100)
#define DATA   (DRIVER_BUFFERS + 0x1000)

struct disk {
    int fd;
    struct driver driver;
};

static void open_disk(struct disk *disk, bool is_read_only)
{
    struct virtio_device *device = NULL;

    disk->fd = memfd_create("disk", MFD_CLOEXEC);
    assert_true(disk->fd >= 0);
    assert_int_equal(ftruncate(disk->fd, SECTORS * 512 + 100), 0);
    for (unsigned i = 0; i < SECTORS; i++)
        assert_int_equal(pwrite(disk->fd, &(uint8_t){ (uint8_t)(i + 1) }, 1, i * 512), 1);
    assert_int_equal(virtio_blk_open(disk->fd, is_read_only, "root", &device, NULL), 0);
    driver_open(&disk->driver, device);
    driver_start(&disk->driver, is_read_only ? 0 : FLUSH);
}

static void close_disk(struct disk *disk)
{
    driver_close(&disk->driver);
    assert_int_equal(close(disk->fd), 0);
}

static uint8_t disk_byte(const struct disk *disk, off_t at)
{
    uint8_t byte = 0;

    assert_int_equal(pread(disk->fd, &byte, 1, at), 1);
    return byte;
}

/* Sends a request with @length bytes of data; returns its status. @ret_length: of the used entry.
 */
static uint8_t ask(struct disk *disk, uint32_t type, uint64_t sector, uint32_t length,
                   int64_t *ret_length)
{
    const struct virtio_blk_outhdr header = { .type = type, .sector = sector };
    bool is_read = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
    struct driver_segment segments[] = { { HEADER, sizeof(header), false },
                                         { DATA, length, is_read },
                                         { STATUS, 1, true } };
    int64_t used;

    if (length == 0)
        segments[1] = segments[2];
    memcpy(driver_memory + HEADER, &header, sizeof(header));
    driver_memory[STATUS] = 0xff;
    (void)driver_send(&disk->driver, 0, segments, length == 0 ? 2 : 3);
    used = driver_take(&disk->driver, 0, NULL);
    assert_int_not_equal(used, -1);
    if (ret_length != NULL)
        *ret_length = used;
    return driver_memory[STATUS];
}

static void a_disk_has_the_size_of_its_file_in_whole_sectors(void **state)
{
    struct disk disk;

    (void)state;
    open_disk(&disk, false);
    assert_int_equal(driver_read(&disk.driver, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_BLOCK);
    assert_int_equal(driver_read(&disk.driver, VIRTIO_MMIO_CONFIG), SECTORS);
    assert_int_equal(driver_read(&disk.driver, VIRTIO_MMIO_CONFIG + 4), 0);
    close_disk(&disk);
}

static void sectors_are_read_and_written(void **state)
{
    struct disk disk;
    int64_t length;

    (void)state;
    open_disk(&disk, false);
    assert_int_equal(ask(&disk, VIRTIO_BLK_T_IN, 3, 1024, &length), VIRTIO_BLK_S_OK);
    assert_int_equal(length, 1025);
    assert_int_equal(driver_memory[DATA], 4);
    assert_int_equal(driver_memory[DATA + 512], 5);
    memset(driver_memory + DATA, 0xaa, 512);
    assert_int_equal(ask(&disk, VIRTIO_BLK_T_OUT, SECTORS - 1, 512, &length), VIRTIO_BLK_S_OK);
    assert_int_equal(length, 1);
    assert_int_equal(disk_byte(&disk, SECTORS * 512 - 1), 0xaa);
    assert_int_equal(disk_byte(&disk, SECTORS * 512), 0);
    assert_int_equal(ask(&disk, VIRTIO_BLK_T_FLUSH, 0, 0, NULL), VIRTIO_BLK_S_OK);
    close_disk(&disk);
}

/* However the driver cuts header, data and status into descriptors. */
static void a_request_may_be_cut_anywhere(void **state)
{
    const struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN, .sector = 1 };
    const struct driver_segment segments[] = { { HEADER, 3, false },
                                               { HEADER + 3, 13, false },
                                               { DATA, 100, true },
                                               { DATA + 100, 413, true } };
    struct disk disk;

    (void)state;
    open_disk(&disk, false);
    memcpy(driver_memory + HEADER, &header, sizeof(header));
    driver_memory[DATA + 512] = 0xff;
    (void)driver_send(&disk.driver, 0, segments, ARRAY_SIZE(segments));
    assert_int_equal(driver_take(&disk.driver, 0, NULL), 513);
    assert_int_equal(driver_memory[DATA], 2);
    assert_int_equal(driver_memory[DATA + 512], VIRTIO_BLK_S_OK);
    close_disk(&disk);
}

static void wrong_requests_fail_and_change_nothing(void **state)
{
    const struct {
        uint32_t type;
        uint64_t sector;
        uint32_t length;
        uint8_t status;
    } rows[] = {
        { VIRTIO_BLK_T_IN, SECTORS, 512, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_IN, SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_IN, 0, 511, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_OUT, SECTORS, 512, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_OUT, SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_OUT, UINT64_MAX, 512, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_OUT, UINT64_MAX / 512 + 1, 512, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_OUT, 0, 513, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_GET_ID, 0, 19, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_DISCARD, 0, 15, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_DISCARD, 0, 16 * 17, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_DISCARD, 0, 0, VIRTIO_BLK_S_IOERR },
        { 0x100, 0, 512, VIRTIO_BLK_S_UNSUPP },
        { UINT32_MAX, 0, 0, VIRTIO_BLK_S_UNSUPP },
    };
    struct disk disk;

    (void)state;
    open_disk(&disk, false);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        memset(driver_memory + DATA, 0xaa, 2048);
        if (ask(&disk, rows[i].type, rows[i].sector, rows[i].length, NULL) != rows[i].status)
            fail_msg("row %zu: status %u", i, driver_memory[STATUS]);
    }
    for (unsigned i = 0; i < SECTORS; i++)
        assert_int_equal(disk_byte(&disk, i * 512), i + 1);
    close_disk(&disk);
}

static void a_read_only_disk_is_never_written(void **state)
{
    struct virtio_blk_discard_write_zeroes range = { .sector = 0, .num_sectors = 8 };
    struct disk disk;

    (void)state;
    open_disk(&disk, true);
    assert_true((virtio_device_offers(disk.driver.device) & 1ull << VIRTIO_BLK_F_RO) != 0);
    assert_int_equal(ask(&disk, VIRTIO_BLK_T_OUT, 0, 512, NULL), VIRTIO_BLK_S_IOERR);
    memcpy(driver_memory + DATA, &range, sizeof(range));
    assert_int_equal(ask(&disk, VIRTIO_BLK_T_DISCARD, 0, 16, NULL), VIRTIO_BLK_S_IOERR);
    assert_int_equal(ask(&disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, NULL), VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_byte(&disk, 0), 1);
    assert_int_equal(ask(&disk, VIRTIO_BLK_T_FLUSH, 0, 0, NULL), VIRTIO_BLK_S_OK);
    assert_int_equal(ask(&disk, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
    close_disk(&disk);
}

static void what_is_discarded_becomes_a_hole(void **state)
{
    const struct virtio_blk_discard_write_zeroes ranges[] = { { .sector = 0, .num_sectors = 16 },
                                                              { .sector = 24, .num_sectors = 8 } };
    struct stat before, after;
    struct disk disk;

    (void)state;
    open_disk(&disk, false);
    assert_int_equal(fstat(disk.fd, &before), 0);
    memcpy(driver_memory + DATA, ranges, sizeof(ranges));
    assert_int_equal(ask(&disk, VIRTIO_BLK_T_DISCARD, 0, sizeof(ranges), NULL), VIRTIO_BLK_S_OK);
    assert_int_equal(fstat(disk.fd, &after), 0);
    assert_true(after.st_blocks < before.st_blocks);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(disk_byte(&disk, 15 * 512), 0);
    assert_int_equal(disk_byte(&disk, 16 * 512), 17);
    assert_int_equal(disk_byte(&disk, 24 * 512), 0);
    close_disk(&disk);
}

static void zeroes_are_written_with_and_without_a_hole(void **state)
{
    struct disk disk;

    (void)state;
    open_disk(&disk, false);
    for (uint32_t flags = 0; flags < 2; flags++) {
        const struct virtio_blk_discard_write_zeroes range = { .sector = 2 + 4 * flags,
                                                               .num_sectors = 3,
                                                               .flags = flags };

        memcpy(driver_memory + DATA, &range, sizeof(range));
        assert_int_equal(ask(&disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, NULL), VIRTIO_BLK_S_OK);
        assert_int_equal(disk_byte(&disk, (2 + 4 * flags) * 512), 0);
        assert_int_equal(disk_byte(&disk, (5 + 4 * flags) * 512), 6 + 4 * flags);
    }
    close_disk(&disk);
}

static void ranges_are_checked(void **state)
{
    const struct {
        uint32_t type;
        struct virtio_blk_discard_write_zeroes range;
        uint8_t status;
    } rows[] = {
        { VIRTIO_BLK_T_DISCARD, { .sector = 60, .num_sectors = 5 }, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_DISCARD, { .sector = UINT64_MAX, .num_sectors = 1 }, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_DISCARD, { .sector = 0, .num_sectors = 0 }, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_DISCARD, { .sector = 0, .num_sectors = UINT32_MAX }, VIRTIO_BLK_S_IOERR },
        { VIRTIO_BLK_T_DISCARD, { .num_sectors = 8, .flags = 1 }, VIRTIO_BLK_S_UNSUPP },
        { VIRTIO_BLK_T_WRITE_ZEROES, { .num_sectors = 8, .flags = 2 }, VIRTIO_BLK_S_UNSUPP },
    };
    struct disk disk;

    (void)state;
    open_disk(&disk, false);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        memcpy(driver_memory + DATA, &rows[i].range, sizeof(rows[i].range));
        if (ask(&disk, rows[i].type, 0, 16, NULL) != rows[i].status)
            fail_msg("row %zu: status %u", i, driver_memory[STATUS]);
    }
    assert_int_equal(disk_byte(&disk, 0), 1);
    close_disk(&disk);
}

static void the_serial_number_is_told(void **state)
{
    struct disk disk;

    (void)state;
    open_disk(&disk, false);
    assert_int_equal(ask(&disk, VIRTIO_BLK_T_GET_ID, 0, 20, NULL), VIRTIO_BLK_S_OK);
    assert_string_equal((char *)driver_memory + DATA, "root");
    close_disk(&disk);
}

static void a_short_header_is_an_error(void **state)
{
    const struct driver_segment segments[] = { { HEADER, 15, false }, { STATUS, 1, true } };
    struct disk disk;

    (void)state;
    open_disk(&disk, false);
    driver_memory[STATUS] = 0xff;
    (void)driver_send(&disk.driver, 0, segments, 2);
    assert_int_equal(driver_take(&disk.driver, 0, NULL), 1);
    assert_int_equal(driver_memory[STATUS], VIRTIO_BLK_S_IOERR);
    close_disk(&disk);
}

static void a_request_without_a_status_breaks_the_device(void **state)
{
    const struct driver_segment segment = { HEADER, 16, false };
    struct disk disk;

    (void)state;
    open_disk(&disk, false);
    (void)driver_send(&disk.driver, 0, &segment, 1);
    assert_true(driver_is_broken(&disk.driver));
    assert_int_equal(driver_take(&disk.driver, 0, NULL), -1);
    close_disk(&disk);
}

static void a_file_that_became_shorter_gives_an_error(void **state)
{
    struct disk disk;

    (void)state;
    open_disk(&disk, false);
    assert_int_equal(ftruncate(disk.fd, 512), 0);
    assert_int_equal(ask(&disk, VIRTIO_BLK_T_IN, 0, 1024, NULL), VIRTIO_BLK_S_IOERR);
    close_disk(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_has_the_size_of_its_file_in_whole_sectors),
        cmocka_unit_test(sectors_are_read_and_written),
        cmocka_unit_test(a_request_may_be_cut_anywhere),
        cmocka_unit_test(wrong_requests_fail_and_change_nothing),
        cmocka_unit_test(a_read_only_disk_is_never_written),
        cmocka_unit_test(what_is_discarded_becomes_a_hole),
        cmocka_unit_test(zeroes_are_written_with_and_without_a_hole),
        cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(the_serial_number_is_told),
        cmocka_unit_test(a_short_header_is_an_error),
        cmocka_unit_test(a_request_without_a_status_breaks_the_device),
        cmocka_unit_test(a_file_that_became_shorter_gives_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
