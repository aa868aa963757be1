#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "microvm/layout.h"
#include "microvm/platform.h"

#define SECOND_NS 1000000000ULL

static enum platform_request out(struct platform *platform, uint16_t port, uint8_t value)
{
    return platform_write(platform, port, &value, 1);
}

static uint8_t in(struct platform *platform, uint16_t port)
{
    uint8_t value;

    platform_read(platform, port, &value, 1);
    return value;
}

static void say(struct platform *platform, const char *text)
{
    for (; *text != '\0'; text++)
        (void)out(platform, LAYOUT_PORT_SERIAL, (uint8_t)*text);
}

static void only_the_right_value_at_the_right_port_ends_the_machine(void **state)
{
    struct platform platform;

    (void)state;
    platform_start(&platform, -1, -1);
    for (unsigned port = 0; port <= UINT16_MAX; port += port < 0x700 ? 1 : 0x1000) {
        for (unsigned value = 0; value < 256; value++) {
            const enum platform_request expected =
                port == LAYOUT_PORT_SLEEP && value == 0x34      ? PLATFORM_POWER_OFF
                : port == LAYOUT_PORT_KEYBOARD && value == 0xfe ? PLATFORM_RESET
                : port == LAYOUT_PORT_RESET && value == 1       ? PLATFORM_RESET
                                                                : PLATFORM_GO_ON;

            assert_int_equal(out(&platform, (uint16_t)port, (uint8_t)value), expected);
        }
    }
    assert_int_equal(platform_write(&platform, LAYOUT_PORT_SLEEP, (const uint8_t *)"\x34\0\0\0", 4),
                     PLATFORM_GO_ON);
}

static void ports_without_a_device_read_as_ones(void **state)
{
    struct platform platform;
    uint8_t bytes[4];

    (void)state;
    platform_start(&platform, -1, -1);
    assert_int_equal(in(&platform, 0x60), 0xff);
    platform_read(&platform, LAYOUT_PORT_SERIAL, bytes, 4);
    assert_memory_equal(bytes, "\xff\xff\xff\xff", 4);
    assert_int_equal(in(&platform, LAYOUT_PORT_KEYBOARD), 0);
}

static void the_transmitter_interrupts_once_until_it_is_looked_at(void **state)
{
    struct platform platform;
    auto_close int irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    uint64_t count;

    (void)state;
    platform_start(&platform, -1, irq);
    say(&platform, "a");
    assert_int_equal(read(irq, &count, sizeof(count)), -1);
    (void)out(&platform, LAYOUT_PORT_SERIAL + 1, 2);
    say(&platform, "abc");
    assert_int_equal(read(irq, &count, sizeof(count)), sizeof(count));
    assert_int_equal(count, 1);
    assert_int_equal(in(&platform, LAYOUT_PORT_SERIAL + 2), 0x02);
    assert_int_equal(in(&platform, LAYOUT_PORT_SERIAL + 2), 0x01);
    say(&platform, "d");
    assert_int_equal(read(irq, &count, sizeof(count)), sizeof(count));
    (void)out(&platform, LAYOUT_PORT_SERIAL + 1, 0);
    assert_int_equal(in(&platform, LAYOUT_PORT_SERIAL + 2), 0x01);
}

static void registers_keep_what_drivers_look_for(void **state)
{
    struct platform platform;

    (void)state;
    platform_start(&platform, -1, -1);
    assert_int_equal(in(&platform, LAYOUT_PORT_SERIAL + 5), 0x60);
    assert_int_equal(in(&platform, LAYOUT_PORT_SERIAL + 6), 0xb0);
    (void)out(&platform, LAYOUT_PORT_SERIAL + 4, 0x1a);
    assert_int_equal(in(&platform, LAYOUT_PORT_SERIAL + 6), 0x90);
    (void)out(&platform, LAYOUT_PORT_SERIAL + 7, 0x5a);
    assert_int_equal(in(&platform, LAYOUT_PORT_SERIAL + 7), 0x5a);
    (void)out(&platform, LAYOUT_PORT_SERIAL + 2, 1);
    assert_int_equal(in(&platform, LAYOUT_PORT_SERIAL + 2), 0xc1);
    (void)out(&platform, LAYOUT_PORT_SERIAL + 3, 0x83);
    (void)out(&platform, LAYOUT_PORT_SERIAL, 0x34);
    (void)out(&platform, LAYOUT_PORT_SERIAL + 1, 0x12);
    assert_int_equal(in(&platform, LAYOUT_PORT_SERIAL), 0x34);
    assert_int_equal(in(&platform, LAYOUT_PORT_SERIAL + 1), 0x12);
    (void)out(&platform, LAYOUT_PORT_SERIAL + 3, 0x03);
    assert_int_equal(in(&platform, LAYOUT_PORT_SERIAL + 1), 0);
}

static void lines_are_written_whole_and_the_last_one_at_the_end(void **state)
{
    struct platform platform;
    int ends[2];
    char text[64] = "";

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    platform_start(&platform, ends[1], -1);
    say(&platform, "hello");
    assert_int_equal(read(ends[0], text, sizeof(text)), -1);
    say(&platform, "\nand");
    assert_int_equal(read(ends[0], text, sizeof(text)), 6);
    console_log_flush(&platform.console);
    assert_int_equal(read(ends[0], text, sizeof(text)), 3);
    close(ends[0]);
    close(ends[1]);
}

static void a_reader_that_does_not_read_stops_nobody(void **state)
{
    struct platform platform;
    int ends[2];
    char text[8192] = "";
    ssize_t count;

    (void)state;
    /* The writer's end blocks, as that of a log does. */
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, 8192) >= 8192);
    platform_start(&platform, ends[1], -1);
    for (int i = 0; i < 1000; i++)
        say(&platform, "0123456789abcde\n");
    assert_true(platform.console.dropped > 0);
    assert_true(read(ends[0], text, sizeof(text)) > 0);
    say(&platform, "again\n");
    count = read(ends[0], text, sizeof(text) - 1);
    assert_true(count > 0);
    text[count] = '\0';
    assert_non_null(strstr(text, " bytes dropped]\nagain\n"));
    close(ends[0]);
    close(ends[1]);
}

static void a_flood_gets_what_is_allowed_and_no_more(void **state)
{
    struct console_log log;
    uint64_t written = 0;

    (void)state;
    console_log_start(&log, -1);
    /* 100 bytes each millisecond, for a minute. */
    for (uint64_t ms = 1; ms <= 60000; ms++)
        if (console_log_allow(&log, 100, 42 * SECOND_NS + ms * 1000000))
            written += 100;
    assert_in_range(written, CONSOLE_LOG_BURST + 59 * CONSOLE_LOG_PER_SECOND,
                    CONSOLE_LOG_BURST + 61 * CONSOLE_LOG_PER_SECOND);
}

static void the_reason_of_a_panic_is_remembered(void **state)
{
    struct platform platform;

    (void)state;
    platform_start(&platform, -1, -1);
    say(&platform, "[    0.5] Kernel panic - not syncing: No working init found.  Try\r\n");
    say(&platform, "[    0.5] Kernel panic - not syncing: another\r\n");
    assert_string_equal(platform.console.panic, "No working init found.  Try");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_right_value_at_the_right_port_ends_the_machine),
        cmocka_unit_test(ports_without_a_device_read_as_ones),
        cmocka_unit_test(the_transmitter_interrupts_once_until_it_is_looked_at),
        cmocka_unit_test(registers_keep_what_drivers_look_for),
        cmocka_unit_test(lines_are_written_whole_and_the_last_one_at_the_end),
        cmocka_unit_test(a_reader_that_does_not_read_stops_nobody),
        cmocka_unit_test(a_flood_gets_what_is_allowed_and_no_more),
        cmocka_unit_test(the_reason_of_a_panic_is_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
