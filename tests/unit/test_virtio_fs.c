#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/fuse.h>
#include <linux/virtio_fs.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/virtio_driver.h"

#include "microvm/virtio_fs.h"

enum { PRIORITY, REQUEST };

#define IN      sizeof(struct fuse_in_header)
#define OUT     sizeof(struct fuse_out_header)
#define ASKED   DRIVER_BUFFERS
#define ANSWERS (DRIVER_BUFFERS + 0x10000)

struct share {
    struct driver driver;
    int server;
    int device_end;
};

static void open_share(struct share *share)
{
    struct virtio_device *device = NULL;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    share->server = pair[0];
    share->device_end = pair[1];
    assert_int_equal(virtio_fs_open(share->device_end, "share0", &device, NULL), 0);
    driver_open(&share->driver, device);
    driver_start(&share->driver, 0);
}

static void close_share(struct share *share)
{
    driver_close(&share->driver);
    (void)close(share->server);
    (void)close(share->device_end);
}

/* Writes a request to the driver's memory and offers it. Its answer's room is @room bytes (0: none)
 * at ANSWERS + 0x100 * @unique. */
static void add_request(struct share *share, unsigned queue, uint32_t opcode, uint64_t unique,
                        uint32_t body, uint32_t room)
{
    const struct fuse_in_header header = {
        .len = (uint32_t)IN + body, .opcode = opcode, .unique = unique, .nodeid = 42
    };
    uint32_t at = ASKED + 0x100 * (uint32_t)unique;
    const struct driver_segment segments[] = { { at, IN, false },
                                               { at + IN, body, false },
                                               { ANSWERS + 0x100 * (uint32_t)unique, room, true } };
    struct driver_segment used[3];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
        if (segments[i].length > 0)
            used[count++] = segments[i];
    }
    memcpy(driver_memory + at, &header, sizeof(header));
    memset(driver_memory + at + IN, (int)unique, body);
    (void)driver_send(&share->driver, queue, used, count);
}

/* What the server gets: a header, and a body that is dropped. */
static struct fuse_in_header serve(struct share *share)
{
    struct fuse_in_header header = { 0 };
    uint8_t body[0x10000];

    assert_int_equal(read(share->server, &header, sizeof(header)), sizeof(header));
    assert_true(header.len >= sizeof(header) && header.len - sizeof(header) <= sizeof(body));
    if (header.len > sizeof(header))
        assert_int_equal(read(share->server, body, header.len - sizeof(header)),
                         header.len - sizeof(header));
    return header;
}

static void io(struct share *share)
{
    virtio_device_io(share->driver.device, 0, EPOLLIN | EPOLLOUT);
}

static void answer(struct share *share, uint64_t unique, int error, const char *body)
{
    const struct fuse_out_header header = { .len = (uint32_t)(OUT + strlen(body)),
                                            .error = error,
                                            .unique = unique };

    assert_int_equal(write(share->server, &header, sizeof(header)), sizeof(header));
    if (body[0] != '\0')
        assert_int_equal(write(share->server, body, strlen(body)), strlen(body));
    io(share);
}

/* The answer that the guest has got to request @unique. */
static struct fuse_out_header answered(uint64_t unique)
{
    struct fuse_out_header header;

    memcpy(&header, driver_memory + ANSWERS + 0x100 * unique, sizeof(header));
    return header;
}

static const char *answered_body(uint64_t unique)
{
    return (const char *)driver_memory + ANSWERS + 0x100 * unique + OUT;
}

static void a_share_has_a_tag(void **state)
{
    struct virtio_device *device = NULL;
    struct error err = { 0 };
    struct share share;
    char tag[VIRTIO_FS_TAG_MAX];

    (void)state;
    assert_int_equal(virtio_fs_open(-1, "", &device, &err), -EINVAL);
    assert_int_equal(virtio_fs_open(-1, "0123456789012345678901234567890123456", &device, &err),
                     -EINVAL);
    assert_string_equal(err.message,
                        "share '0123456789012345678901234567890123456': a tag has 1 to 36 bytes");
    open_share(&share);
    for (uint32_t i = 0; i < sizeof(tag); i += 4)
        virtio_mmio_read(share.driver.mmio, VIRTIO_MMIO_CONFIG + i, tag + i, 4);
    assert_string_equal(tag, "share0");
    assert_int_equal(driver_read(&share.driver, VIRTIO_MMIO_CONFIG + 36), 1);
    close_share(&share);
}

static void a_request_is_served_and_keeps_its_number(void **state)
{
    struct fuse_in_header header;
    struct share share;

    (void)state;
    open_share(&share);
    add_request(&share, REQUEST, FUSE_GETATTR, 6, 16, 100);
    header = serve(&share);
    assert_int_equal(header.opcode, FUSE_GETATTR);
    assert_int_equal(header.nodeid, 42);
    assert_int_equal(header.len, IN + 16);
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), -1);
    answer(&share, header.unique, -2, "hello");
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), OUT + 5);
    assert_int_equal(answered(6).unique, 6);
    assert_int_equal(answered(6).error, -2);
    assert_int_equal(answered(6).len, OUT + 5);
    assert_memory_equal(answered_body(6), "hello", 5);
    assert_int_equal(driver_interrupts(&share.driver), VIRTIO_MMIO_INT_VRING);
    close_share(&share);
}

static void answers_may_come_in_any_order(void **state)
{
    struct fuse_in_header first, second;
    struct share share;
    uint32_t head;

    (void)state;
    open_share(&share);
    add_request(&share, REQUEST, FUSE_SETLKW, 1, 8, 100);
    add_request(&share, REQUEST, FUSE_LOOKUP, 2, 8, 100);
    first = serve(&share);
    second = serve(&share);
    answer(&share, second.unique, 0, "two");
    assert_int_equal(driver_take(&share.driver, REQUEST, &head), OUT + 3);
    assert_int_equal(head, 3);
    answer(&share, first.unique, 0, "");
    assert_int_equal(driver_take(&share.driver, REQUEST, &head), OUT);
    assert_int_equal(head, 0);
    assert_memory_equal(answered_body(2), "two", 3);
    close_share(&share);
}

static void an_answer_may_come_in_pieces(void **state)
{
    struct fuse_out_header header = { .len = OUT + 4 };
    uint8_t bytes[OUT + 4] = { 0 };
    struct share share;

    (void)state;
    open_share(&share);
    add_request(&share, REQUEST, FUSE_READ, 3, 8, 100);
    header.unique = serve(&share).unique;
    memcpy(bytes, &header, sizeof(header));
    memcpy(bytes + OUT, "data", 4);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        assert_int_equal(driver_take(&share.driver, REQUEST, NULL), -1);
        assert_int_equal(write(share.server, &bytes[i], 1), 1);
        io(&share);
    }
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), OUT + 4);
    assert_memory_equal(answered_body(3), "data", 4);
    close_share(&share);
}

static void requests_without_an_answer_are_finished_at_once(void **state)
{
    struct share share;

    (void)state;
    open_share(&share);
    add_request(&share, PRIORITY, FUSE_FORGET, 1, 8, 0);
    add_request(&share, REQUEST, FUSE_BATCH_FORGET, 2, 8, 0);
    assert_int_equal(serve(&share).opcode, FUSE_FORGET);
    assert_int_equal(serve(&share).opcode, FUSE_BATCH_FORGET);
    assert_int_equal(driver_take(&share.driver, PRIORITY, NULL), 0);
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), 0);
    /* Its body would name another request by the guest's number. */
    add_request(&share, PRIORITY, FUSE_INTERRUPT, 3, 8, 0);
    assert_int_equal(driver_take(&share.driver, PRIORITY, NULL), 0);
    assert_int_equal(read(share.server, &(char){ 0 }, 1), -1);
    close_share(&share);
}

static void a_wrong_length_is_answered_here(void **state)
{
    const uint32_t lengths[] = { 0, IN, IN + 7, IN + 9, UINT32_MAX };
    struct share share;

    (void)state;
    open_share(&share);
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        const struct driver_segment segments[] = { { ASKED, IN + 8, false },
                                                   { ANSWERS, 100, true } };
        const struct fuse_in_header header = { .len = lengths[i],
                                               .opcode = FUSE_LOOKUP,
                                               .unique = 0 };

        memcpy(driver_memory + ASKED, &header, sizeof(header));
        (void)driver_send(&share.driver, REQUEST, segments, 2);
        assert_int_equal(driver_take(&share.driver, REQUEST, NULL), OUT);
        assert_int_equal(answered(0).error, -EINVAL);
        assert_int_equal(answered(0).len, OUT);
    }
    assert_int_equal(read(share.server, &(char){ 0 }, 1), -1);
    close_share(&share);
}

static void requests_without_room_for_their_headers_break_the_device(void **state)
{
    const struct driver_segment rows[][2] = {
        { { ASKED, IN - 1, false }, { ANSWERS, 100, true } },
        { { ASKED, IN, false }, { ANSWERS, OUT - 1, true } },
        { { ASKED, IN, false }, { ASKED, IN, false } },
    };
    const struct fuse_in_header header = { .len = IN, .opcode = FUSE_LOOKUP };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct share share;

        open_share(&share);
        memcpy(driver_memory + ASKED, &header, sizeof(header));
        (void)driver_send(&share.driver, REQUEST, rows[i], 2);
        assert_true(driver_is_broken(&share.driver));
        assert_int_equal(read(share.server, &(char){ 0 }, 1), -1);
        close_share(&share);
    }
}

static void an_answer_that_does_not_fit_is_an_error(void **state)
{
    struct share share;
    uint64_t unique;

    (void)state;
    open_share(&share);
    driver_memory[ANSWERS + 0x100 + OUT + 4] = 0x5a;
    add_request(&share, REQUEST, FUSE_READ, 1, 8, OUT + 4);
    unique = serve(&share).unique;
    answer(&share, unique, 0, "12345");
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), OUT);
    assert_int_equal(answered(1).error, -EIO);
    assert_int_equal(driver_memory[ANSWERS + 0x100 + OUT + 4], 0x5a);
    /* Its body is dropped, and what follows is understood. */
    add_request(&share, REQUEST, FUSE_READ, 2, 8, OUT + 4);
    answer(&share, serve(&share).unique, 0, "1234");
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), OUT + 4);
    close_share(&share);
}

static void answers_that_nobody_waits_for_are_dropped(void **state)
{
    struct share share;
    uint64_t unique;

    (void)state;
    open_share(&share);
    add_request(&share, REQUEST, FUSE_LOOKUP, 1, 8, 100);
    unique = serve(&share).unique;
    answer(&share, 0, 0, "x");
    answer(&share, UINT64_MAX, 0, "x");
    answer(&share, 1, 0, "x"); /* the guest's number, which is not ours */
    answer(&share, unique + 2, 0, "x");
    answer(&share, unique + 0x10000, 0, "x");
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), -1);
    answer(&share, unique, 0, "right");
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), OUT + 5);
    answer(&share, unique, 0, "twice");
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), -1);
    close_share(&share);
}

static void a_reset_forgets_requests_and_their_answers(void **state)
{
    struct share share;
    uint64_t unique;

    (void)state;
    open_share(&share);
    add_request(&share, REQUEST, FUSE_LOOKUP, 1, 8, 100);
    unique = serve(&share).unique;
    driver_start(&share.driver, 0);
    memset(driver_memory + ANSWERS, 0, 0x1000);
    answer(&share, unique, 0, "late");
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), -1);
    assert_int_equal(answered(1).len, 0);
    add_request(&share, REQUEST, FUSE_LOOKUP, 1, 8, 100);
    assert_int_not_equal(unique, 0);
    answer(&share, serve(&share).unique, 0, "good");
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), OUT + 4);
    close_share(&share);
}

/* Requests with bodies of 30000 bytes, until the socket takes no more. Returns their number. */
static unsigned fill_socket(struct share *share)
{
    unsigned count = 0;

    while ((share->driver.device->streams[0].wanted & EPOLLOUT) == 0) {
        const struct fuse_in_header header = { .len = IN + 30000, .opcode = FUSE_FORGET };
        const struct driver_segment segment = { ASKED, IN + 30000, false };

        assert_true(count < 10000);
        memcpy(driver_memory + ASKED, &header, sizeof(header));
        (void)driver_send(&share->driver, REQUEST, &segment, 1);
        count++;
    }
    return count;
}

static void requests_wait_while_the_socket_is_full(void **state)
{
    struct share share;
    unsigned sent, served = 0;

    (void)state;
    open_share(&share);
    sent = fill_socket(&share);
    driver_memory[ASKED + 0x100 + IN] = 0;
    while (served < sent) {
        struct fuse_in_header header;
        uint8_t body[30000];
        size_t done = 0;

        if (read(share.server, &header, sizeof(header)) < 0) {
            io(&share);
            continue;
        }
        assert_int_equal(header.len, IN + 30000);
        while (done < sizeof(body)) {
            ssize_t got = read(share.server, body, sizeof(body) - done);

            if (got < 0)
                io(&share);
            else
                done += (size_t)got;
        }
        served++;
    }
    assert_int_equal(share.driver.device->streams[0].wanted, EPOLLIN);
    close_share(&share);
}

static void a_request_that_was_begun_is_sent_to_its_end_after_a_reset(void **state)
{
    struct fuse_in_header header = { 0 };
    struct share share;
    size_t left = 0;
    unsigned seen = 0;

    (void)state;
    open_share(&share);
    (void)fill_socket(&share);
    driver_start(&share.driver, 0);
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), -1);
    add_request(&share, REQUEST, FUSE_LOOKUP, 1, 8, 100);
    /* The server finds each message where the one before says that it ends. */
    while (header.opcode != FUSE_LOOKUP) {
        uint8_t body[30000];
        ssize_t got =
            left > 0 ? read(share.server, body, left) : read(share.server, &header, sizeof(header));

        if (got < 0) {
            assert_int_equal(share.driver.device->streams[0].wanted, EPOLLIN | EPOLLOUT);
            io(&share);
        } else if (left > 0) {
            left -= (size_t)got;
        } else {
            assert_int_equal(got, sizeof(header));
            left = header.len - sizeof(header);
            seen++;
        }
    }
    assert_true(seen > 1);
    assert_int_equal(header.len, IN + 8);
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), -1);
    close_share(&share);
}

static void the_end_of_the_server_ends_all_requests(void **state)
{
    struct share share;

    (void)state;
    open_share(&share);
    add_request(&share, REQUEST, FUSE_LOOKUP, 1, 8, 100);
    assert_int_equal(close(share.server), 0);
    io(&share);
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), OUT);
    assert_int_equal(answered(1).error, -EIO);
    assert_int_equal(answered(1).unique, 1);
    add_request(&share, REQUEST, FUSE_LOOKUP, 2, 8, 100);
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), OUT);
    assert_int_equal(answered(2).error, -EIO);
    add_request(&share, PRIORITY, FUSE_FORGET, 3, 8, 0);
    assert_int_equal(driver_take(&share.driver, PRIORITY, NULL), 0);
    assert_int_equal(share.driver.device->streams[0].wanted, 0);
    assert_false(driver_is_broken(&share.driver));
    driver_start(&share.driver, 0);
    assert_int_equal(share.driver.device->streams[0].wanted, 0);
    close_share(&share);
}

static void requests_that_wait_for_a_full_socket_end_with_the_server(void **state)
{
    struct share share;

    (void)state;
    open_share(&share);
    (void)fill_socket(&share);
    while (driver_take(&share.driver, REQUEST, NULL) >= 0)
        ;
    add_request(&share, REQUEST, FUSE_LOOKUP, 1, 8, 100);
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), -1);
    assert_int_equal(close(share.server), 0);
    io(&share);
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), 0);
    assert_int_equal(driver_take(&share.driver, REQUEST, NULL), OUT);
    assert_int_equal(answered(1).error, -EIO);
    close_share(&share);
}

static void a_server_that_sends_wrong_lengths_is_not_heard_any_more(void **state)
{
    const uint32_t lengths[] = { 0, OUT - 1, (1u << 20) + 4097, UINT32_MAX };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        struct fuse_out_header header = { .len = lengths[i] };
        struct share share;

        open_share(&share);
        add_request(&share, REQUEST, FUSE_LOOKUP, 1, 8, 100);
        header.unique = serve(&share).unique;
        assert_int_equal(write(share.server, &header, sizeof(header)), sizeof(header));
        io(&share);
        assert_int_equal(driver_take(&share.driver, REQUEST, NULL), OUT);
        assert_int_equal(answered(1).error, -EIO);
        assert_int_equal(share.driver.device->streams[0].wanted, 0);
        close_share(&share);
    }
}

/* The ring has 16 entries, but a driver can offer one of them again and again. */
static void an_entry_that_is_used_twice_breaks_only_the_device(void **state)
{
    struct share share;
    unsigned i;

    (void)state;
    open_share(&share);
    add_request(&share, REQUEST, FUSE_LOOKUP, 1, 0, 100);
    for (i = 1; i < 1000 && !driver_is_broken(&share.driver); i++) {
        (void)serve(&share);
        driver_offer(&share.driver, REQUEST, 0);
        driver_notify(&share.driver, REQUEST);
    }
    assert_int_equal(i, 2 * VIRTQUEUE_SIZE_MAX + 1);
    close_share(&share);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_has_a_tag),
        cmocka_unit_test(a_request_is_served_and_keeps_its_number),
        cmocka_unit_test(answers_may_come_in_any_order),
        cmocka_unit_test(an_answer_may_come_in_pieces),
        cmocka_unit_test(requests_without_an_answer_are_finished_at_once),
        cmocka_unit_test(a_wrong_length_is_answered_here),
        cmocka_unit_test(requests_without_room_for_their_headers_break_the_device),
        cmocka_unit_test(an_answer_that_does_not_fit_is_an_error),
        cmocka_unit_test(answers_that_nobody_waits_for_are_dropped),
        cmocka_unit_test(a_reset_forgets_requests_and_their_answers),
        cmocka_unit_test(requests_wait_while_the_socket_is_full),
        cmocka_unit_test(a_request_that_was_begun_is_sent_to_its_end_after_a_reset),
        cmocka_unit_test(the_end_of_the_server_ends_all_requests),
        cmocka_unit_test(requests_that_wait_for_a_full_socket_end_with_the_server),
        cmocka_unit_test(a_server_that_sends_wrong_lengths_is_not_heard_any_more),
        cmocka_unit_test(an_entry_that_is_used_twice_breaks_only_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
