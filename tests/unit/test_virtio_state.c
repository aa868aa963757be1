#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/if_tun.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_console.h>
#include <linux/virtio_net.h>
#include <linux/virtio_pmem.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/virtio_driver.h"

#include "microvm/fuse_message.h"
#include "microvm/virtio_balloon.h"
#include "microvm/virtio_blk.h"
#include "microvm/virtio_console.h"
#include "microvm/virtio_fs.h"
#include "microvm/virtio_net.h"
#include "microvm/virtio_pmem.h"
#include "microvm/virtio_rng.h"

/* Each device is saved and goes on as another one behind other registers, with the memory that its
 * driver has, as in another process. */

#define BUFFER DRIVER_BUFFERS

static unsigned long offloads;
static bool waits_at_once; /* nobody answers, and the time is over soon */

/* What a share's server says, an answer each time that it is waited for. */
struct answer {
    int error;
    uint64_t unique;
    const char *body; /* NULL: the end */
};
static const struct answer *answers;
static int answering_fd;

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_now);
int __real_clock_gettime(clockid_t clock, struct timespec *ret_now);

static void answer(int server, int error, uint64_t unique, const char *body)
{
    const struct fuse_out_header header = { .len = (uint32_t)(sizeof(header) + strlen(body)),
                                            .error = error,
                                            .unique = unique };

    assert_int_equal(write(server, &header, sizeof(header)), sizeof(header));
    assert_int_equal(write(server, body, strlen(body)), strlen(body));
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (answers != NULL && answers->body != NULL) {
        answer(answering_fd, answers->error, answers->unique, answers->body);
        answers++;
    }
    return __real_poll(fds, count, waits_at_once ? 0 : timeout);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    static time_t seconds;

    if (!waits_at_once)
        return __real_clock_gettime(clock, ret_now);
    *ret_now = (struct timespec){ .tv_sec = ++seconds };
    return 0;
}

/* The tap devices are sockets. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;

    (void)fd;
    va_start(arguments, request);
    if (request == TUNSETOFFLOAD)
        offloads = va_arg(arguments, unsigned long);
    va_end(arguments);
    return 0;
}

static int save(struct driver *driver, struct state_writer *writer, struct error *err)
{
    int r;

    virtio_mmio_lock(driver->mmio);
    r = virtio_mmio_save(driver->mmio, writer, err);
    virtio_mmio_unlock(driver->mmio);
    return r;
}

/* Puts @device in place of the driver's, as it was saved. */
static int restore(struct driver *driver, const struct state_writer *saved,
                   struct virtio_device *device, struct error *err)
{
    struct state_reader reader = { saved->bytes, saved->length };
    int r;

    virtio_mmio_free(driver->mmio);
    driver->device = device;
    assert_int_equal(virtio_mmio_open(device, &driver->memory, NULL, -1, &driver->mmio, err), 0);
    r = virtio_mmio_restore(driver->mmio, &reader, err);
    if (r == 0)
        assert_int_equal(reader.left, 0);
    return r;
}

static void move(struct driver *driver, struct virtio_device *device)
{
    AUTO_CLEAR(state_writer) struct state_writer saved = { 0 };
    struct error err = { 0 };

    assert_int_equal(save(driver, &saved, &err), 0);
    if (restore(driver, &saved, device, &err) < 0)
        fail_msg("%s", err.message);
    virtio_mmio_resume(driver->mmio);
}

static int make_disk(uint64_t bytes)
{
    const int fd = memfd_create("disk", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    return fd;
}

static struct virtio_device *open_disk(int fd)
{
    struct virtio_device *device = NULL;

    assert_int_equal(virtio_blk_open(fd, false, "disk", &device, NULL), 0);
    return device;
}

static struct virtio_device *open_console(int agent_fd)
{
    const struct virtio_console_port ports[VIRTIO_CONSOLE_PORTS_MAX] = {
        { -1, "console", true }, { agent_fd, "berth.agent", false }
    };

    return virtio_console_open(ports);
}

static struct virtio_device *open_card(int tap_fd, uint8_t last)
{
    const uint8_t mac[6] = { 2, 0, 0, 0, 0, last };
    struct virtio_device *device = NULL;

    assert_int_equal(virtio_net_open(tap_fd, mac, &device, NULL), 0);
    return device;
}

static struct virtio_device *open_share(int fd, const char *tag)
{
    struct virtio_device *device = NULL;

    assert_int_equal(virtio_fs_open(fd, tag, &device, NULL), 0);
    return device;
}

static void make_pair(int type, int ret_pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_pair), 0);
}

static void close_pair(const int pair[2])
{
    (void)close(pair[0]);
    (void)close(pair[1]);
}

/* --- registers and queues --------------------------------------------------------------------- */

static void registers_are_found_as_they_were(void **state)
{
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    (void)driver_negotiate(&driver, 1ull << VIRTIO_F_VERSION_1);
    driver_write(&driver, VIRTIO_MMIO_QUEUE_SEL, 0);
    driver_write(&driver, VIRTIO_MMIO_QUEUE_NUM, 8);
    driver_write(&driver, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    move(&driver, virtio_rng_open());
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_STATUS), VIRTIO_CONFIG_S_ACKNOWLEDGE |
                                                                   VIRTIO_CONFIG_S_DRIVER |
                                                                   VIRTIO_CONFIG_S_FEATURES_OK);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_DEVICE_FEATURES), 1); /* VERSION_1 */
    assert_false(driver.device->is_active);
    driver_close(&driver);
}

/* The queue's indices have gone around, and one chain was finished without the driver's seeing it.
 */
static void a_queue_goes_on_where_it_stood(void **state)
{
    const struct driver_segment segment = { BUFFER, 32, true };
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    driver_start(&driver, DRIVER_EVENT_INDEX);
    for (int i = 0; i < 3 * DRIVER_QUEUE_SIZE; i++) {
        (void)driver_send(&driver, 0, &segment, 1);
        assert_int_equal(driver_take(&driver, 0, NULL), 32);
    }
    (void)driver_interrupts(&driver);
    driver.queues[0].available[2 + DRIVER_QUEUE_SIZE] = driver.queues[0].used[1];
    (void)driver_send(&driver, 0, &segment, 1);
    memset(driver_memory + BUFFER, 0, 32);
    move(&driver, virtio_rng_open());
    assert_int_equal(driver_take(&driver, 0, NULL), 32);
    assert_int_equal(driver_take(&driver, 0, NULL), -1); /* served once */
    assert_int_equal(driver_interrupts(&driver), VIRTIO_MMIO_INT_VRING);
    (void)driver_send(&driver, 0, &segment, 1);
    assert_int_equal(driver_take(&driver, 0, NULL), 32);
    driver_close(&driver);
}

/* Its notification is in no file. */
static void a_chain_that_nobody_looked_at_is_served_after_the_restore(void **state)
{
    const struct driver_segment segment = { BUFFER, 32, true };
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    driver_start(&driver, 0);
    (void)driver_add(&driver, 0, &segment, 1);
    move(&driver, virtio_rng_open());
    assert_int_equal(driver_take(&driver, 0, NULL), 32);
    driver_close(&driver);
}

static void a_broken_device_stays_broken_until_its_reset(void **state)
{
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_rng_open());
    driver_start(&driver, 0);
    driver_offer(&driver, 0, DRIVER_QUEUE_SIZE); /* no such descriptor */
    driver_notify(&driver, 0);
    assert_true(driver_is_broken(&driver));
    move(&driver, virtio_rng_open());
    assert_true(driver_is_broken(&driver));
    assert_int_equal(driver_interrupts(&driver), VIRTIO_MMIO_INT_CONFIG);
    driver_start(&driver, 0);
    assert_false(driver_is_broken(&driver));
    driver_close(&driver);
}

/* --- each device ------------------------------------------------------------------------------ */

static int64_t ask_disk(struct driver *driver, uint32_t type, uint64_t sector, bool reads)
{
    const struct virtio_blk_outhdr header = { .type = type, .sector = sector };
    const struct driver_segment segments[] = { { BUFFER, sizeof(header), false },
                                               { BUFFER + 0x100, 512, reads },
                                               { BUFFER + 0x400, 1, true } };

    memcpy(driver_memory + BUFFER, &header, sizeof(header));
    (void)driver_send(driver, 0, segments, ARRAY_SIZE(segments));
    assert_true(driver_take(driver, 0, NULL) >= 0);
    return driver_memory[BUFFER + 0x400];
}

static void a_disk_serves_its_driver_as_before(void **state)
{
    auto_close int fd = make_disk(1 << 20);
    struct driver driver;

    (void)state;
    driver_open(&driver, open_disk(fd));
    driver_start(&driver, DRIVER_EVENT_INDEX | 1ull << VIRTIO_BLK_F_FLUSH);
    memset(driver_memory + BUFFER + 0x100, 0x5a, 512);
    assert_int_equal(ask_disk(&driver, VIRTIO_BLK_T_OUT, 3, false), VIRTIO_BLK_S_OK);
    move(&driver, open_disk(fd));
    assert_true(virtio_device_has(driver.device, VIRTIO_BLK_F_FLUSH));
    memset(driver_memory + BUFFER + 0x100, 0, 512);
    assert_int_equal(ask_disk(&driver, VIRTIO_BLK_T_IN, 3, true), VIRTIO_BLK_S_OK);
    assert_int_equal(driver_memory[BUFFER + 0x100 + 511], 0x5a);
    driver_close(&driver);
}

static void a_disk_of_another_size_is_refused(void **state)
{
    AUTO_CLEAR(state_writer) struct state_writer saved = { 0 };
    auto_close int fd = make_disk(1 << 20);
    auto_close int other_fd = make_disk(2 << 20);
    struct driver driver;
    struct error err = { 0 };

    (void)state;
    driver_open(&driver, open_disk(fd));
    driver_start(&driver, 0);
    assert_int_equal(save(&driver, &saved, &err), 0);
    assert_int_equal(restore(&driver, &saved, open_disk(other_fd), &err), -EXDEV);
    assert_string_equal(err.message, "the saved machine had another device in place of virtio blk");
    assert_int_equal(restore(&driver, &saved, virtio_rng_open(), &err), -EXDEV);
    driver_close(&driver);
}

static void an_image_answers_to_flushes_as_before(void **state)
{
    const struct virtio_pmem_req request = { .type = VIRTIO_PMEM_REQ_TYPE_FLUSH };
    const struct driver_segment segments[] = { { BUFFER, sizeof(request), false },
                                               { BUFFER + 64, 4, true } };
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_pmem_open(DRIVER_IMAGE, sizeof(driver_image)));
    driver_start(&driver, 0);
    move(&driver, virtio_pmem_open(DRIVER_IMAGE, sizeof(driver_image)));
    memcpy(driver_memory + BUFFER, &request, sizeof(request));
    driver_memory[BUFFER + 64] = 0xff;
    (void)driver_send(&driver, 0, segments, ARRAY_SIZE(segments));
    assert_int_equal(driver_take(&driver, 0, NULL), 4);
    assert_int_equal(driver_memory[BUFFER + 64], 0);
    driver_close(&driver);
}

static void a_balloon_knows_what_it_asked_for_and_got(void **state)
{
    const uint32_t given = 77;
    struct driver driver;

    (void)state;
    driver_open(&driver, virtio_balloon_open());
    driver_start(&driver, 1ull << VIRTIO_BALLOON_F_REPORTING);
    virtio_balloon_set_target(driver.device, 100 * 4096);
    virtio_mmio_write(driver.mmio, VIRTIO_MMIO_CONFIG + 4, &given, sizeof(given));
    move(&driver, virtio_balloon_open());
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_CONFIG), 100);
    assert_int_equal(virtio_balloon_given(driver.device), 77 * 4096);
    assert_int_equal(driver_read(&driver, VIRTIO_MMIO_CONFIG_GENERATION), 1);
    assert_int_equal(driver_interrupts(&driver), VIRTIO_MMIO_INT_CONFIG);
    driver_close(&driver);
}

static void a_card_takes_packets_of_another_cable(void **state)
{
    const struct driver_segment buffer = { BUFFER, 2048, true };
    const uint8_t packet[12 + 60] = { [12] = 0xaa };
    uint8_t last = 0;
    struct driver driver;
    int first[2], second[2];

    (void)state;
    make_pair(SOCK_DGRAM, first);
    make_pair(SOCK_DGRAM, second);
    driver_open(&driver, open_card(first[1], 1));
    driver_start(&driver, 1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_NET_F_GUEST_CSUM);
    (void)driver_send(&driver, 0, &buffer, 1);
    offloads = 0;
    move(&driver, open_card(second[1], 2)); /* with another address */
    assert_int_equal(offloads, TUN_F_CSUM);
    virtio_mmio_read(driver.mmio, VIRTIO_MMIO_CONFIG + 5, &last, sizeof(last));
    assert_int_equal(last, 2);
    assert_int_equal(driver.device->streams[0].wanted, EPOLLIN);
    assert_int_equal(write(second[0], packet, sizeof(packet)), sizeof(packet));
    virtio_device_io(driver.device, 0, EPOLLIN);
    assert_int_equal(driver_take(&driver, 0, NULL), sizeof(packet));
    assert_int_equal(driver_memory[BUFFER + 12], 0xaa);
    driver_close(&driver);
    close_pair(first);
    close_pair(second);
}

/* --- the console ------------------------------------------------------------------------------ */

enum { CONTROL_RECEIVE = 2, CONTROL_TRANSMIT, RECEIVE, TRANSMIT };
#define AGENT 1

static void say(struct driver *driver, uint32_t id, uint16_t event, uint16_t value)
{
    const struct virtio_console_control message = { id, event, value };
    const struct driver_segment segment = { BUFFER, sizeof(message), false };

    memcpy(driver_memory + BUFFER, &message, sizeof(message));
    (void)driver_send(driver, CONTROL_TRANSMIT, &segment, 1);
}

/* Somebody in the guest has opened the agent's port. */
static void start_console(struct driver *driver, int agent_fd, unsigned control_buffers)
{
    driver_open(driver, open_console(agent_fd));
    driver_start(driver, 1ull << VIRTIO_CONSOLE_F_MULTIPORT);
    for (uint32_t i = 0; i < control_buffers; i++) {
        const struct driver_segment segment = { BUFFER + 0x1000 + 64 * i, 64, true };

        (void)driver_send(driver, CONTROL_RECEIVE, &segment, 1);
    }
    say(driver, UINT32_MAX, VIRTIO_CONSOLE_DEVICE_READY, 1);
    say(driver, AGENT, VIRTIO_CONSOLE_PORT_READY, 1);
    say(driver, AGENT, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

static void a_port_carries_bytes_of_another_socket(void **state)
{
    const struct driver_segment in = { BUFFER + 0x2000, 16, true };
    const struct driver_segment out = { BUFFER + 0x3000, 3, false };
    struct driver driver;
    int first[2], second[2];
    char text[4] = "";

    (void)state;
    make_pair(SOCK_STREAM, first);
    make_pair(SOCK_STREAM, second);
    start_console(&driver, first[1], 8);
    (void)driver_send(&driver, RECEIVE, &in, 1);
    move(&driver, open_console(second[1]));
    assert_int_equal(driver.device->streams[0].wanted, EPOLLIN);
    assert_int_equal(write(second[0], "abc", 3), 3);
    virtio_device_io(driver.device, 0, EPOLLIN);
    assert_int_equal(driver_take(&driver, RECEIVE, NULL), 3);
    assert_memory_equal(driver_memory + BUFFER + 0x2000, "abc", 3);
    memcpy(driver_memory + BUFFER + 0x3000, "xyz", 3);
    (void)driver_send(&driver, TRANSMIT, &out, 1);
    assert_int_equal(read(second[0], text, sizeof(text)), 3);
    assert_string_equal(text, "xyz");
    driver_close(&driver);
    close_pair(first);
    close_pair(second);
}

/* One control buffer was there for what is to be told. */
static void what_a_driver_was_not_told_it_is_told_later(void **state)
{
    const struct driver_segment segment = { BUFFER + 0x1000, 64, true };
    const struct virtio_console_control *message = (const void *)(driver_memory + BUFFER + 0x1000);
    struct driver driver;
    int first[2], second[2];

    (void)state;
    make_pair(SOCK_STREAM, first);
    make_pair(SOCK_STREAM, second);
    start_console(&driver, first[1], 1);
    assert_int_equal(message->event, VIRTIO_CONSOLE_PORT_ADD);
    assert_true(driver_take(&driver, CONTROL_RECEIVE, NULL) > 0);
    move(&driver, open_console(second[1]));
    (void)driver_send(&driver, CONTROL_RECEIVE, &segment, 1);
    assert_true(driver_take(&driver, CONTROL_RECEIVE, NULL) > 0);
    assert_int_equal(message->event, VIRTIO_CONSOLE_PORT_NAME);
    driver_close(&driver);
    close_pair(first);
    close_pair(second);
}

static void a_port_that_was_closed_is_open_again(void **state)
{
    const struct driver_segment in = { BUFFER + 0x2000, 16, true };
    const struct virtio_console_control *message =
        (const void *)(driver_memory + BUFFER + 0x1000 + 64 * 4);
    struct driver driver;
    int first[2], second[2];

    (void)state;
    make_pair(SOCK_STREAM, first);
    make_pair(SOCK_STREAM, second);
    start_console(&driver, first[1], 8);
    (void)driver_send(&driver, RECEIVE, &in, 1);
    (void)shutdown(first[0], SHUT_RDWR);
    virtio_device_io(driver.device, 0, EPOLLIN);
    move(&driver, open_console(second[1]));
    assert_int_equal(message->event, VIRTIO_CONSOLE_PORT_OPEN);
    assert_int_equal(message->value, 1);
    driver_close(&driver);
    close_pair(first);
    close_pair(second);
}

static void bytes_that_nobody_has_read_cannot_be_saved(void **state)
{
    AUTO_CLEAR(state_writer) struct state_writer saved = { 0 };
    const struct driver_segment out = { BUFFER + 0x3000, 60000, false };
    struct driver driver;
    struct error err = { 0 };
    char bytes[60000];
    int pair[2];

    (void)state;
    make_pair(SOCK_STREAM, pair);
    start_console(&driver, pair[1], 8);
    while (driver_take(&driver, TRANSMIT, NULL) >= 0 || driver.queues[TRANSMIT].used[1] == 0 ||
           driver.queues[TRANSMIT].used[1] == driver.queues[TRANSMIT].available[1])
        (void)driver_send(&driver, TRANSMIT, &out, 1);
    assert_int_equal(save(&driver, &saved, &err), -EBUSY);
    assert_string_equal(err.message, "the guest's bytes for port 'berth.agent' are not read yet");
    while (read(pair[0], bytes, sizeof(bytes)) > 0)
        virtio_device_io(driver.device, 0, EPOLLOUT);
    assert_int_equal(save(&driver, &saved, &err), 0);
    driver_close(&driver);
    close_pair(pair);
}

/* --- shares ----------------------------------------------------------------------------------- */

/* What the server gets next; its body, which has to be short, is in @ret_body. */
static struct fuse_in_header asked(int server, char ret_body[64])
{
    struct fuse_in_header header = { 0 };

    assert_int_equal(read(server, &header, sizeof(header)), sizeof(header));
    assert_true(header.len - sizeof(header) < 64);
    memset(ret_body, 0, 64);
    if (header.len > sizeof(header))
        assert_int_equal(read(server, ret_body, header.len - sizeof(header)),
                         header.len - sizeof(header));
    return header;
}

/* Returns the number that the server sees. */
static uint64_t ask_share(struct driver *driver, int server, uint32_t opcode)
{
    const struct fuse_in_header header = { .len = sizeof(header), .opcode = opcode, .unique = 6 };
    const struct driver_segment segments[] = { { BUFFER, sizeof(header), false },
                                               { BUFFER + 0x100, 64, true } };
    char body[64];

    memset(driver_memory + BUFFER + 0x100, 0, 64);
    memcpy(driver_memory + BUFFER, &header, sizeof(header));
    (void)driver_send(driver, 1, segments, ARRAY_SIZE(segments));
    return asked(server, body).unique;
}

static void answer_later(int server, const struct answer *first)
{
    answering_fd = server;
    answers = first;
}

static void a_share_that_was_never_used_has_no_state(void **state)
{
    struct driver driver;
    int pair[2], other[2];
    char byte;

    (void)state;
    make_pair(SOCK_STREAM, pair);
    make_pair(SOCK_STREAM, other);
    driver_open(&driver, open_share(pair[1], "share0"));
    driver_start(&driver, 0);
    move(&driver, open_share(other[1], "share0"));
    assert_int_equal(driver.device->streams[0].wanted, EPOLLIN);
    assert_int_equal(read(pair[0], &byte, 1), -1);
    assert_int_equal(read(other[0], &byte, 1), -1);
    driver_close(&driver);
    close_pair(pair);
    close_pair(other);
}

static void a_share_s_state_goes_from_one_server_to_the_other(void **state)
{
    AUTO_CLEAR(state_writer) struct state_writer saved = { 0 };
    struct driver driver;
    struct error err = { 0 };
    int pair[2], other[2];
    char body[64];
    struct answer said[] = { { .body = "done" },  { .body = "" }, { .body = "what it " },
                             { .body = "knows" }, { .body = "" }, { 0 } };
    static const struct answer taken[] = { { .body = "" }, { .body = "" }, { 0 } };
    static const struct answer locked[] = { { -EBUSY, 0, "a file is \x1b locked" }, { 0 } };
    static const struct answer older[] = { { -ENOSYS, 0, "" }, { 0 } };

    (void)state;
    make_pair(SOCK_STREAM, pair);
    make_pair(SOCK_STREAM, other);
    driver_open(&driver, open_share(pair[1], "share0"));
    driver_start(&driver, 0);
    said[0].unique = ask_share(&driver, pair[0], FUSE_INIT);
    answer_later(pair[0], said);
    assert_int_equal(save(&driver, &saved, &err), 0);
    assert_int_equal(driver_take(&driver, 1, NULL), sizeof(struct fuse_out_header) + 4);
    assert_int_equal(asked(pair[0], body).opcode, FUSE_STATE_SAVE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(asked(pair[0], body).opcode, FUSE_STATE_READ);

    answer_later(other[0], taken);
    if (restore(&driver, &saved, open_share(other[1], "share0"), &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(asked(other[0], body).opcode, FUSE_STATE_WRITE);
    assert_string_equal(body, "what it knows");
    assert_int_equal(asked(other[0], body).opcode, FUSE_STATE_RESTORE);
    virtio_mmio_resume(driver.mmio);
    answer(other[0], 0, ask_share(&driver, other[0], FUSE_GETATTR), "on");
    virtio_device_io(driver.device, 0, EPOLLIN);
    assert_int_equal(driver_take(&driver, 1, NULL), sizeof(struct fuse_out_header) + 2);
    /* It is in use, so it has a state again. */
    answer_later(other[0], locked);
    assert_int_equal(save(&driver, &saved, &err), -EBUSY);
    assert_string_equal(err.message, "share 'share0': a file is \\x1b locked");
    answer_later(other[0], older);
    assert_int_equal(save(&driver, &saved, &err), -ENOSYS);
    assert_string_equal(err.message, "share 'share0': the share's server moves no state: "
                                     "Function not implemented");
    driver_close(&driver);
    close_pair(pair);
    close_pair(other);
}

static void a_server_that_cannot_go_on_is_a_reason_not_to(void **state)
{
    AUTO_CLEAR(state_writer) struct state_writer saved = { 0 };
    struct driver driver;
    struct error err = { 0 };
    int pair[2], other[2];
    struct answer said[] = {
        { .body = "" }, { .body = "" }, { .body = "x" }, { .body = "" }, { 0 }
    };
    static const struct answer refused[] = { { .body = "" },
                                             { -ESTALE, 0, "file 'x' is not there" },
                                             { 0 } };

    (void)state;
    make_pair(SOCK_STREAM, pair);
    make_pair(SOCK_STREAM, other);
    driver_open(&driver, open_share(pair[1], "share0"));
    driver_start(&driver, 0);
    said[0].unique = ask_share(&driver, pair[0], FUSE_INIT);
    answer_later(pair[0], said);
    assert_int_equal(save(&driver, &saved, &err), 0);
    answer_later(other[0], refused);
    assert_int_equal(restore(&driver, &saved, open_share(other[1], "share0"), &err), -ESTALE);
    assert_string_equal(err.message, "share 'share0': file 'x' is not there");
    driver_close(&driver);
    close_pair(pair);
    close_pair(other);
}

static void a_server_that_does_not_answer_is_not_waited_for_for_ever(void **state)
{
    AUTO_CLEAR(state_writer) struct state_writer saved = { 0 };
    struct driver driver;
    struct error err = { 0 };
    int pair[2];

    (void)state;
    make_pair(SOCK_STREAM, pair);
    driver_open(&driver, open_share(pair[1], "share0"));
    driver_start(&driver, 0);
    (void)ask_share(&driver, pair[0], FUSE_SETLKW);
    waits_at_once = true;
    assert_int_equal(save(&driver, &saved, &err), -EBUSY);
    assert_string_equal(err.message, "share 'share0': requests of the guest are not answered (1); "
                                     "one for a lock waits until it is free");
    waits_at_once = false;
    assert_int_equal(driver_take(&driver, 1, NULL), -1);
    assert_int_equal(close(pair[0]), 0);
    assert_int_equal(save(&driver, &saved, &err), -EPIPE);
    assert_string_equal(err.message, "share 'share0': its server is gone");
    driver_close(&driver);
    (void)close(pair[1]);
}

static void a_server_s_wrong_answers_are_not_believed(void **state)
{
    static const struct {
        uint32_t length;
        int32_t error;
        uint64_t unique;
    } rows[] = {
        { 0, 0, 0 },
        { sizeof(struct fuse_out_header) - 1, 0, 0 },
        { sizeof(struct fuse_out_header) + 1, 0, 0 }, /* the answer of SAVE has no body */
        { sizeof(struct fuse_out_header) + ERROR_MESSAGE_MAX, -EBUSY, 0 },
        { UINT32_MAX, -EBUSY, 0 },
        { sizeof(struct fuse_out_header), 1, 0 },
        { sizeof(struct fuse_out_header), INT32_MIN, 0 },
        { sizeof(struct fuse_out_header), 0, 2 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct fuse_out_header header = { .len = rows[i].length,
                                                .error = rows[i].error,
                                                .unique = rows[i].unique };
        AUTO_CLEAR(state_writer) struct state_writer saved = { 0 };
        struct driver driver;
        struct error err = { 0 };
        int pair[2];

        make_pair(SOCK_STREAM, pair);
        driver_open(&driver, open_share(pair[1], "share0"));
        driver_start(&driver, 0);
        answer(pair[0], 0, ask_share(&driver, pair[0], FUSE_INIT), "");
        virtio_device_io(driver.device, 0, EPOLLIN);
        assert_int_equal(write(pair[0], &header, sizeof(header)), sizeof(header));
        assert_int_equal(save(&driver, &saved, &err), -EBADMSG);
        assert_string_equal(err.message, "share 'share0': the share's server sent a wrong answer");
        driver_close(&driver);
        close_pair(pair);
    }
}

/* It would speak to the server in berth-vmm's place. */
static void a_guest_asks_for_no_state(void **state)
{
    static const uint32_t opcodes[] = { FUSE_STATE_SAVE, FUSE_STATE_READ, FUSE_STATE_WRITE,
                                        FUSE_STATE_RESTORE, FUSE_STATE_LAST };
    struct driver driver;
    int pair[2];
    char byte;

    (void)state;
    make_pair(SOCK_STREAM, pair);
    driver_open(&driver, open_share(pair[1], "share0"));
    driver_start(&driver, 0);
    for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
        const struct fuse_in_header header = { .len = sizeof(header), .opcode = opcodes[i] };
        const struct driver_segment segments[] = { { BUFFER, sizeof(header), false },
                                                   { BUFFER + 0x100, 64, true } };
        struct fuse_out_header answered;

        memcpy(driver_memory + BUFFER, &header, sizeof(header));
        (void)driver_send(&driver, 1, segments, ARRAY_SIZE(segments));
        assert_int_equal(driver_take(&driver, 1, NULL), sizeof(answered));
        memcpy(&answered, driver_memory + BUFFER + 0x100, sizeof(answered));
        assert_int_equal(answered.error, -ENOSYS);
        assert_int_equal(read(pair[0], &byte, 1), -1);
    }
    driver_close(&driver);
    close_pair(pair);
}

static void a_share_with_another_tag_is_refused(void **state)
{
    AUTO_CLEAR(state_writer) struct state_writer saved = { 0 };
    struct driver driver;
    struct error err = { 0 };
    int pair[2];

    (void)state;
    make_pair(SOCK_STREAM, pair);
    driver_open(&driver, open_share(pair[1], "share0"));
    driver_start(&driver, 0);
    assert_int_equal(save(&driver, &saved, &err), 0);
    assert_int_equal(restore(&driver, &saved, open_share(pair[1], "share1"), &err), -EXDEV);
    driver_close(&driver);
    close_pair(pair);
}

/* --- what is wrong ---------------------------------------------------------------------------- */

/* Each byte of a device's state, wrong in two ways: it is refused, or what it says is possible. */
static void no_wrong_byte_does_more_than_its_device_could(void **state)
{
    AUTO_CLEAR(state_writer) struct state_writer saved = { 0 };
    auto_close int fd = make_disk(1 << 20);
    struct driver driver;
    struct error err = { 0 };
    unsigned refused = 0;

    (void)state;
    driver_open(&driver, open_disk(fd));
    driver_start(&driver, 0);
    assert_int_equal(ask_disk(&driver, VIRTIO_BLK_T_IN, 0, true), VIRTIO_BLK_S_OK);
    assert_int_equal(save(&driver, &saved, &err), 0);
    for (size_t i = 0; i < saved.length; i++) {
        for (unsigned bit = 0x01; bit <= 0x80; bit <<= 7) {
            saved.bytes[i] ^= (uint8_t)bit;
            if (restore(&driver, &saved, open_disk(fd), &err) < 0)
                refused++;
            else
                virtio_mmio_resume(driver.mmio);
            saved.bytes[i] ^= (uint8_t)bit;
        }
    }
    assert_true(refused > 150);
    for (size_t length = 0; length < saved.length; length++) {
        const struct state_writer cut = { .bytes = saved.bytes, .length = length };

        assert_int_equal(restore(&driver, &cut, open_disk(fd), &err), -EBADMSG);
    }
    driver_close(&driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_are_found_as_they_were),
        cmocka_unit_test(a_queue_goes_on_where_it_stood),
        cmocka_unit_test(a_chain_that_nobody_looked_at_is_served_after_the_restore),
        cmocka_unit_test(a_broken_device_stays_broken_until_its_reset),
        cmocka_unit_test(a_disk_serves_its_driver_as_before),
        cmocka_unit_test(a_disk_of_another_size_is_refused),
        cmocka_unit_test(an_image_answers_to_flushes_as_before),
        cmocka_unit_test(a_balloon_knows_what_it_asked_for_and_got),
        cmocka_unit_test(a_card_takes_packets_of_another_cable),
        cmocka_unit_test(a_port_carries_bytes_of_another_socket),
        cmocka_unit_test(what_a_driver_was_not_told_it_is_told_later),
        cmocka_unit_test(a_port_that_was_closed_is_open_again),
        cmocka_unit_test(bytes_that_nobody_has_read_cannot_be_saved),
        cmocka_unit_test(a_share_that_was_never_used_has_no_state),
        cmocka_unit_test(a_share_s_state_goes_from_one_server_to_the_other),
        cmocka_unit_test(a_server_that_cannot_go_on_is_a_reason_not_to),
        cmocka_unit_test(a_server_that_does_not_answer_is_not_waited_for_for_ever),
        cmocka_unit_test(a_server_s_wrong_answers_are_not_believed),
        cmocka_unit_test(a_guest_asks_for_no_state),
        cmocka_unit_test(a_share_with_another_tag_is_refused),
        cmocka_unit_test(no_wrong_byte_does_more_than_its_device_could),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
