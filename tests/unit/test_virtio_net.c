#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/virtio_driver.h"

#include "microvm/virtio_net.h"

enum { RECEIVE, TRANSMIT };

#define HEADER  12
#define BUFFERS DRIVER_BUFFERS
#define MERGE   (1ull << VIRTIO_NET_F_MRG_RXBUF)

static const uint8_t mac[6] = { 2, 0, 0, 1, 2, 3 };

static unsigned long offloads;

int __wrap_ioctl(int fd, unsigned long request, ...);

/* The tap device of these tests is a socket, which keeps packets apart as well. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;

    (void)fd;
    va_start(arguments, request);
    if (request == TUNSETOFFLOAD)
        offloads = va_arg(arguments, unsigned long);
    else
        assert_int_equal(request, TUNSETVNETHDRSZ);
    va_end(arguments);
    return 0;
}

struct card {
    struct driver driver;
    int network; /* the other end of the cable */
    int tap;
};

static void open_card(struct card *card, uint64_t features)
{
    struct virtio_device *device = NULL;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    card->network = pair[0];
    card->tap = pair[1];
    assert_int_equal(virtio_net_open(card->tap, mac, &device, NULL), 0);
    driver_open(&card->driver, device);
    driver_start(&card->driver, features);
}

static void close_card(struct card *card)
{
    driver_close(&card->driver);
    (void)close(card->network);
    (void)close(card->tap);
}

/* A packet of the network: a header, and @length bytes that are different from each other. */
static void arrive(struct card *card, size_t length)
{
    uint8_t packet[4096] = { 0 };

    for (size_t i = 0; i < length; i++)
        packet[HEADER + i] = (uint8_t)(i * 7);
    assert_int_equal(write(card->network, packet, HEADER + length), HEADER + length);
    virtio_device_io(card->driver.device, 0, EPOLLIN);
}

static void give_buffer(struct card *card, uint32_t offset, uint32_t length)
{
    const struct driver_segment segment = { BUFFERS + offset, length, true };

    (void)driver_add(&card->driver, RECEIVE, &segment, 1);
}

static uint16_t buffer_count(uint32_t offset)
{
    uint16_t count;

    memcpy(&count, driver_memory + BUFFERS + offset + 10, sizeof(count));
    return count;
}

static uint32_t wanted(const struct card *card)
{
    return card->driver.device->streams[0].wanted;
}

static void a_card_has_its_address_and_sets_offloads(void **state)
{
    const struct {
        uint64_t features;
        unsigned long offloads;
    } rows[] = {
        { 0, 0 },
        { 1ull << VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM },
        { 1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 |
              1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN,
          TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct card card;
        uint8_t config[6];

        open_card(&card, rows[i].features);
        virtio_mmio_read(card.driver.mmio, VIRTIO_MMIO_CONFIG, config, sizeof(config));
        assert_memory_equal(config, mac, sizeof(mac));
        if (offloads != rows[i].offloads)
            fail_msg("row %zu: 0x%lx", i, offloads);
        close_card(&card);
    }
}

static void a_packet_is_sent_from_its_pieces(void **state)
{
    const struct driver_segment segments[] = { { BUFFERS, HEADER, false },
                                               { BUFFERS + 100, 60, false },
                                               { BUFFERS + 300, 4, false } };
    struct card card;
    uint8_t packet[100];

    (void)state;
    open_card(&card, 0);
    memset(driver_memory + BUFFERS + 100, 0x11, 60);
    memset(driver_memory + BUFFERS + 300, 0x22, 4);
    (void)driver_send(&card.driver, TRANSMIT, segments, 3);
    assert_int_equal(driver_take(&card.driver, TRANSMIT, NULL), 0);
    assert_int_equal(read(card.network, packet, sizeof(packet)), HEADER + 64);
    assert_int_equal(packet[HEADER + 59], 0x11);
    assert_int_equal(packet[HEADER + 60], 0x22);
    close_card(&card);
}

static void packets_that_cannot_be_sent_are_lost(void **state)
{
    const struct driver_segment headers[] = { { BUFFERS, HEADER, false },
                                              { BUFFERS, HEADER - 1, false } };
    const struct driver_segment longest = { BUFFERS, 65536 + 100, false };
    const struct driver_segment readable = { BUFFERS, 100, true };
    struct card card;

    (void)state;
    open_card(&card, 0);
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
        (void)driver_add(&card.driver, TRANSMIT, &headers[i], 1);
    (void)driver_add(&card.driver, TRANSMIT, &longest, 1);
    (void)driver_add(&card.driver, TRANSMIT, &readable, 1);
    driver_notify(&card.driver, TRANSMIT);
    for (int i = 0; i < 4; i++)
        assert_int_equal(driver_take(&card.driver, TRANSMIT, NULL), 0);
    assert_int_equal(recv(card.network, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
    assert_false(driver_is_broken(&card.driver));
    close_card(&card);
}

static void a_packet_goes_into_one_buffer(void **state)
{
    struct card card;

    (void)state;
    open_card(&card, 0);
    give_buffer(&card, 0, 2000);
    arrive(&card, 100);
    assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), HEADER + 100);
    assert_int_equal(buffer_count(0), 1);
    assert_int_equal(driver_memory[BUFFERS + HEADER + 99], (uint8_t)(99 * 7));
    /* One that is too long for it is cut. */
    give_buffer(&card, 0, 50);
    arrive(&card, 100);
    assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), 50);
    arrive(&card, 100);
    assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), -1);
    close_card(&card);
}

static void a_packet_goes_into_several_buffers_when_they_may_be_merged(void **state)
{
    struct card card;

    (void)state;
    open_card(&card, MERGE);
    for (uint32_t i = 0; i < 4; i++)
        give_buffer(&card, 0x100 * i, 100);
    arrive(&card, 250);
    assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), 100);
    assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), 100);
    assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), HEADER + 250 - 200);
    assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), -1);
    assert_int_equal(buffer_count(0), 3);
    assert_int_equal(driver_memory[BUFFERS + 0x100], (uint8_t)(88 * 7));
    assert_int_equal(driver_memory[BUFFERS + 0x200 + 61], (uint8_t)(249 * 7));
    close_card(&card);
}

static void a_packet_waits_until_there_are_enough_buffers(void **state)
{
    struct card card;

    (void)state;
    open_card(&card, MERGE | DRIVER_EVENT_INDEX);
    give_buffer(&card, 0, 100);
    give_buffer(&card, 0x100, 100);
    arrive(&card, 250);
    assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), -1);
    assert_int_equal(wanted(&card), 0);
    give_buffer(&card, 0x200, 100);
    driver_notify(&card.driver, RECEIVE);
    assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), 100);
    assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), 100);
    assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), 62);
    assert_int_equal(buffer_count(0), 3);
    assert_int_equal(wanted(&card), EPOLLIN);
    close_card(&card);
}

static void wrong_buffers_break_the_device(void **state)
{
    const struct driver_segment rows[] = { { BUFFERS, 100, false }, { BUFFERS, 11, true } };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct card card;

        open_card(&card, MERGE);
        (void)driver_add(&card.driver, RECEIVE, &rows[i], 1);
        arrive(&card, 100);
        assert_true(driver_is_broken(&card.driver));
        assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), -1);
        arrive(&card, 100);
        driver_start(&card.driver, MERGE);
        give_buffer(&card, 0, 1000);
        driver_notify(&card.driver, RECEIVE);
        assert_int_equal(driver_take(&card.driver, RECEIVE, NULL), HEADER + 100);
        close_card(&card);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_card_has_its_address_and_sets_offloads),
        cmocka_unit_test(a_packet_is_sent_from_its_pieces),
        cmocka_unit_test(packets_that_cannot_be_sent_are_lost),
        cmocka_unit_test(a_packet_goes_into_one_buffer),
        cmocka_unit_test(a_packet_goes_into_several_buffers_when_they_may_be_merged),
        cmocka_unit_test(a_packet_waits_until_there_are_enough_buffers),
        cmocka_unit_test(wrong_buffers_break_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
