#include "microvm/emulator_console.h"

#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "tests/unit/base_test.h"

/* What QEMU would write is written into the pipe by the test. */

static enum machine_end end_of(const char *words, int fd, struct error *err)
{
    struct emulator_console console;
    auto_close int write_fd = -1;
    enum machine_end end;

    assert_int_equal(emulator_console_open(&console, fd, &write_fd, err), 0);
    assert_int_equal(emulator_console_start(&console, true, err), 0);
    assert_int_equal(write(write_fd, words, strlen(words)), strlen(words));
    auto_close_cleanup(&write_fd);
    write_fd = -1;
    end = emulator_console_finish(&console, err);
    emulator_console_close(&console);
    return end;
}

static void the_last_words_tell_how_a_guest_ended(void **state)
{
    static const struct {
        const char *words, *message;
        enum machine_end end;
    } rows[] = {
        { "", "", MACHINE_POWER_OFF },
        { "[1.0] reboot: Power down\r\n", "", MACHINE_POWER_OFF },
        { "[1.0] reboot: Restarting system\r\n", "", MACHINE_RESET },
        { "x\n[1.0] sysrq: Resetting", "", MACHINE_RESET },
        { "[1.0] Kernel panic - not syncing: sysrq triggered crash\r\nCPU: 0\n[2.0] Rebooting\n",
          "the guest's kernel gave up: sysrq triggered crash", MACHINE_PANIC },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = { 0 };

        if (end_of(rows[i].words, -1, &err) != rows[i].end)
            fail_msg("row %zu: another end", i);
        assert_string_equal(err.message, rows[i].message);
    }
}

static void what_the_kernel_says_is_passed_on(void **state)
{
    struct error err = { 0 };
    char text[64] = "";
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(end_of("one\ntwo", fds[1], &err), MACHINE_POWER_OFF);
    assert_int_equal(read(fds[0], text, sizeof(text) - 1), 7);
    assert_string_equal(text, "one\ntwo");
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void a_line_without_end_is_cut_and_nothing_is_written_beyond_it(void **state)
{
    struct emulator_console console = { .read_fd = -1 };
    char zeros[3 * CONSOLE_LOG_LINE_MAX];

    (void)state;
    memset(zeros, 'x', sizeof(zeros));
    console_log_start(&console.log, -1);
    emulator_console_put(&console, zeros, CONSOLE_LOG_LINE_MAX - 1);
    emulator_console_put(&console, "\n", 1);
    emulator_console_put(&console, zeros, sizeof(zeros));
    emulator_console_put(&console, "\n", 1);
    assert_false(console.was_reset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_words_tell_how_a_guest_ended),
        cmocka_unit_test(what_the_kernel_says_is_passed_on),
        cmocka_unit_test(a_line_without_end_is_cut_and_nothing_is_written_beyond_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
