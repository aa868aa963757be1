#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/virtio_console.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/virtio_driver.h"

#include "microvm/virtio_console.h"

#define AGENT 1 /* the port's number */

enum { CONTROL_RECEIVE = 2, CONTROL_TRANSMIT, RECEIVE, TRANSMIT };

#define CONTROL_BUFFERS DRIVER_BUFFERS
#define MESSAGE         (DRIVER_BUFFERS + 0x1000)
#define BYTES           (DRIVER_BUFFERS + 0x2000)

struct console {
    struct driver driver;
    int ours;   /* the host's end of the agent's port */
    int theirs; /* the device's */
};

static void open_console(struct console *console)
{
    struct virtio_console_port ports[VIRTIO_CONSOLE_PORTS_MAX] = {
        { -1, "console", true },
        { -1, "berth.agent", false },
    };
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    console->ours = pair[0];
    console->theirs = pair[1];
    ports[AGENT].fd = console->theirs;
    driver_open(&console->driver, virtio_console_open(ports));
    driver_start(&console->driver, 1ull << VIRTIO_CONSOLE_F_MULTIPORT);
}

static void close_console(struct console *console)
{
    driver_close(&console->driver);
    (void)close(console->ours);
    (void)close(console->theirs);
}

static void say(struct console *console, uint32_t id, uint16_t event, uint16_t value)
{
    const struct virtio_console_control message = { id, event, value };
    const struct driver_segment segment = { MESSAGE, sizeof(message), false };

    memcpy(driver_memory + MESSAGE, &message, sizeof(message));
    (void)driver_send(&console->driver, CONTROL_TRANSMIT, &segment, 1);
    assert_int_equal(driver_take(&console->driver, CONTROL_TRANSMIT, NULL), 0);
}

/* Gives @count buffers for control messages, of which number i is at CONTROL_BUFFERS + 64 * i. */
static void give_control_buffers(struct console *console, unsigned count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct driver_segment segment = { CONTROL_BUFFERS + 64 * i, 64, true };

        (void)driver_add(&console->driver, CONTROL_RECEIVE, &segment, 1);
    }
    driver_notify(&console->driver, CONTROL_RECEIVE);
}

static void assert_told(struct console *console, unsigned buffer, uint32_t id, uint16_t event,
                        uint16_t value)
{
    struct virtio_console_control message;

    assert_true(driver_take(&console->driver, CONTROL_RECEIVE, NULL) >= (int64_t)sizeof(message));
    memcpy(&message, driver_memory + CONTROL_BUFFERS + 64 * buffer, sizeof(message));
    assert_int_equal(message.id, id);
    assert_int_equal(message.event, event);
    assert_int_equal(message.value, value);
}

/* As Linux does it, until somebody in the guest has opened the port. */
static void connect_port(struct console *console)
{
    give_control_buffers(console, 8);
    say(console, UINT32_MAX, VIRTIO_CONSOLE_DEVICE_READY, 1);
    assert_told(console, 0, AGENT, VIRTIO_CONSOLE_PORT_ADD, 1);
    say(console, AGENT, VIRTIO_CONSOLE_PORT_READY, 1);
    assert_told(console, 1, AGENT, VIRTIO_CONSOLE_PORT_NAME, 1);
    assert_told(console, 2, AGENT, VIRTIO_CONSOLE_PORT_OPEN, 1);
    say(console, AGENT, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

static uint32_t wanted(const struct console *console)
{
    return console->driver.device->streams[0].wanted;
}

static void io(struct console *console, uint32_t events)
{
    virtio_device_io(console->driver.device, 0, events);
}

static void a_port_is_added_named_and_opened(void **state)
{
    struct console console;

    (void)state;
    open_console(&console);
    assert_int_equal(driver_read(&console.driver, VIRTIO_MMIO_CONFIG + 4), 2);
    connect_port(&console);
    assert_string_equal((char *)driver_memory + CONTROL_BUFFERS + 64 + 8, "berth.agent");
    assert_int_equal(driver_take(&console.driver, CONTROL_RECEIVE, NULL), -1);
    close_console(&console);
}

static void messages_wait_for_buffers(void **state)
{
    struct console console;

    (void)state;
    open_console(&console);
    for (int i = 0; i < 1000; i++) {
        say(&console, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
        say(&console, AGENT, VIRTIO_CONSOLE_PORT_READY, 1);
    }
    give_control_buffers(&console, 1);
    assert_told(&console, 0, AGENT, VIRTIO_CONSOLE_PORT_ADD, 1);
    give_control_buffers(&console, 1);
    assert_told(&console, 0, AGENT, VIRTIO_CONSOLE_PORT_NAME, 1);
    give_control_buffers(&console, 4);
    assert_told(&console, 0, AGENT, VIRTIO_CONSOLE_PORT_OPEN, 1);
    assert_int_equal(driver_take(&console.driver, CONTROL_RECEIVE, NULL), -1);
    close_console(&console);
}

static void ports_that_are_not_there_are_not_talked_about(void **state)
{
    const uint16_t events[] = { VIRTIO_CONSOLE_PORT_READY, VIRTIO_CONSOLE_PORT_OPEN,
                                VIRTIO_CONSOLE_PORT_REMOVE, 99 };
    const struct driver_segment segment = { BYTES, 100, false };
    const struct driver_segment short_message = { MESSAGE, 7, false };
    struct console console;

    (void)state;
    open_console(&console);
    give_control_buffers(&console, 8);
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        say(&console, 0, events[i], 1);
        say(&console, AGENT, events[i], 1); /* not added yet */
        say(&console, 2, events[i], 1);
        say(&console, UINT32_MAX, events[i], 1);
    }
    (void)driver_send(&console.driver, CONTROL_TRANSMIT, &short_message, 1);
    assert_int_equal(driver_take(&console.driver, CONTROL_TRANSMIT, NULL), 0);
    assert_int_equal(driver_take(&console.driver, CONTROL_RECEIVE, NULL), -1);
    /* What the guest writes to a port that is not there is dropped. */
    (void)driver_send(&console.driver, 1, &segment, 1);
    assert_int_equal(driver_take(&console.driver, 1, NULL), 0);
    close_console(&console);
}

static void a_control_buffer_that_is_too_small_breaks_the_device(void **state)
{
    const struct driver_segment segment = { CONTROL_BUFFERS, 7, true };
    struct console console;

    (void)state;
    open_console(&console);
    (void)driver_send(&console.driver, CONTROL_RECEIVE, &segment, 1);
    say(&console, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
    assert_true(driver_is_broken(&console.driver));
    close_console(&console);
}

static void bytes_go_both_ways(void **state)
{
    const struct driver_segment out[] = { { BYTES, 3, false }, { BYTES + 100, 2, false } };
    const struct driver_segment in[] = { { BYTES + 200, 4, true }, { BYTES + 300, 100, true } };
    struct console console;
    char bytes[16];

    (void)state;
    open_console(&console);
    connect_port(&console);
    memcpy(driver_memory + BYTES, "hel", 3);
    memcpy(driver_memory + BYTES + 100, "lo", 2);
    (void)driver_send(&console.driver, TRANSMIT, out, 2);
    assert_int_equal(driver_take(&console.driver, TRANSMIT, NULL), 0);
    assert_int_equal(read(console.ours, bytes, sizeof(bytes)), 5);
    assert_memory_equal(bytes, "hello", 5);

    assert_int_equal(write(console.ours, "good bye", 8), 8);
    (void)driver_send(&console.driver, RECEIVE, in, 2);
    assert_int_equal(driver_take(&console.driver, RECEIVE, NULL), 8);
    assert_memory_equal(driver_memory + BYTES + 200, "good", 4);
    assert_memory_equal(driver_memory + BYTES + 300, " bye", 4);
    close_console(&console);
}

static void bytes_wait_in_the_socket_while_the_guest_gives_no_buffer(void **state)
{
    const struct driver_segment in = { BYTES, 4, true };
    struct console console;

    (void)state;
    open_console(&console);
    assert_int_equal(write(console.ours, "abcdef", 6), 6);
    assert_int_equal(wanted(&console), 0); /* nobody in the guest has opened the port */
    connect_port(&console);
    assert_int_equal(wanted(&console), 0);
    (void)driver_send(&console.driver, RECEIVE, &in, 1);
    assert_int_equal(driver_take(&console.driver, RECEIVE, NULL), 4);
    assert_int_equal(wanted(&console), 0);
    (void)driver_send(&console.driver, RECEIVE, &in, 1);
    assert_int_equal(driver_take(&console.driver, RECEIVE, NULL), 2);
    (void)driver_send(&console.driver, RECEIVE, &in, 1);
    assert_int_equal(driver_take(&console.driver, RECEIVE, NULL), -1);
    assert_int_equal(wanted(&console), EPOLLIN);
    assert_int_equal(write(console.ours, "g", 1), 1);
    io(&console, EPOLLIN);
    assert_int_equal(driver_take(&console.driver, RECEIVE, NULL), 1);
    say(&console, AGENT, VIRTIO_CONSOLE_PORT_OPEN, 0);
    assert_int_equal(wanted(&console), 0);
    close_console(&console);
}

static void bytes_wait_in_the_guest_while_the_socket_is_full(void **state)
{
    const struct driver_segment out = { BYTES, 0x8000, false };
    struct console console;
    size_t sent = 0, received = 0;
    char bytes[0x1000];
    ssize_t count;

    (void)state;
    open_console(&console);
    connect_port(&console);
    do {
        (void)driver_send(&console.driver, TRANSMIT, &out, 1);
        sent += out.length;
    } while (driver_take(&console.driver, TRANSMIT, NULL) >= 0 && sent < 64u << 20);
    assert_int_equal(wanted(&console) & EPOLLOUT, EPOLLOUT);
    driver_notify(&console.driver, TRANSMIT); /* changes nothing */
    assert_int_equal(driver_take(&console.driver, TRANSMIT, NULL), -1);
    while (received < sent) {
        count = read(console.ours, bytes, sizeof(bytes));
        if (count < 0)
            io(&console, EPOLLOUT);
        else
            received += (size_t)count;
    }
    assert_int_equal(received, sent);
    assert_int_equal(driver_take(&console.driver, TRANSMIT, NULL), 0);
    assert_int_equal(wanted(&console) & EPOLLOUT, 0);
    close_console(&console);
}

static void a_closed_socket_is_told_and_its_bytes_are_dropped(void **state)
{
    const struct driver_segment out = { BYTES, 100, false };
    const struct driver_segment in = { BYTES, 4, true };
    struct console console;

    (void)state;
    open_console(&console);
    connect_port(&console);
    assert_int_equal(write(console.ours, "last", 4), 4);
    assert_int_equal(shutdown(console.ours, SHUT_RDWR), 0);
    (void)driver_send(&console.driver, RECEIVE, &in, 1);
    assert_int_equal(driver_take(&console.driver, RECEIVE, NULL), 4);
    (void)driver_send(&console.driver, RECEIVE, &in, 1);
    assert_int_equal(driver_take(&console.driver, RECEIVE, NULL), -1);
    assert_told(&console, 3, AGENT, VIRTIO_CONSOLE_PORT_OPEN, 0);
    assert_int_equal(wanted(&console), 0);
    (void)driver_send(&console.driver, TRANSMIT, &out, 1);
    assert_int_equal(driver_take(&console.driver, TRANSMIT, NULL), 0);
    close_console(&console);
}

static void a_reset_forgets_a_chain_that_is_being_sent(void **state)
{
    const struct driver_segment out = { BYTES, 0x8000, false };
    struct console console;

    (void)state;
    open_console(&console);
    connect_port(&console);
    do
        (void)driver_send(&console.driver, TRANSMIT, &out, 1);
    while (driver_take(&console.driver, TRANSMIT, NULL) >= 0);
    driver_start(&console.driver, 1ull << VIRTIO_CONSOLE_F_MULTIPORT);
    assert_int_equal(wanted(&console), 0);
    io(&console, EPOLLOUT);
    assert_int_equal(driver_take(&console.driver, TRANSMIT, NULL), -1);
    connect_port(&console);
    close_console(&console);
}

static void a_buffer_that_cannot_be_written_breaks_the_device(void **state)
{
    const struct driver_segment in = { BYTES, 4, false };
    struct console console;

    (void)state;
    open_console(&console);
    connect_port(&console);
    (void)driver_send(&console.driver, RECEIVE, &in, 1);
    assert_true(driver_is_broken(&console.driver));
    assert_int_equal(write(console.ours, "x", 1), 1);
    io(&console, EPOLLIN);
    close_console(&console);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_is_added_named_and_opened),
        cmocka_unit_test(messages_wait_for_buffers),
        cmocka_unit_test(ports_that_are_not_there_are_not_talked_about),
        cmocka_unit_test(a_control_buffer_that_is_too_small_breaks_the_device),
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(bytes_wait_in_the_socket_while_the_guest_gives_no_buffer),
        cmocka_unit_test(bytes_wait_in_the_guest_while_the_socket_is_full),
        cmocka_unit_test(a_closed_socket_is_told_and_its_bytes_are_dropped),
        cmocka_unit_test(a_reset_forgets_a_chain_that_is_being_sent),
        cmocka_unit_test(a_buffer_that_cannot_be_written_breaks_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
