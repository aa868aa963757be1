#include "tests/unit/base_test.h"

#include "runtime/notify.h"

static void only_what_speaks_for_the_program_itself_passes(void **state)
{
    static const struct {
        const char *datagram, *passed;
        bool is_ready;
    } rows[] = {
        { "READY=1", "READY=1\n", true },
        { "STATUS=up\nREADY=1\nMAINPID=1\n", "STATUS=up\nREADY=1\n", true },
        { "READY=10", "", false },
        { "XREADY=1", "", false },
        { "WATCHDOG=1\nWATCHDOG_USEC=1", "WATCHDOG=1\n", false },
        { "FDSTORE=1\nFDNAME=x", "", false },
        { "NOTIFYACCESS=all\nSTOPPING=1", "STOPPING=1\n", false },
        { "", "", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct text text = { 0 };
        auto_free char *passed = NULL;
        bool is_ready = !rows[i].is_ready;

        notify_plan_filter(rows[i].datagram, &text, &is_ready);
        passed = text_take(&text);
        assert_string_equal(passed, rows[i].passed);
        assert_int_equal(is_ready, rows[i].is_ready);
    }
}

static void a_spec_gets_the_mount_and_the_variable(void **state)
{
    static const struct spec empty;
    struct spec *spec = xcalloc(1, sizeof(*spec));

    (void)state;
    *spec = empty;
    spec->process = xcalloc(1, sizeof(*spec->process));
    notify_change_spec("/no/such/run", "box", spec);
    assert_string_equal(spec->mounts.items[0].source, "/no/such/run/box/notify");
    assert_string_equal(spec->mounts.items[0].destination, "/run/notify");
    assert_true(strings_contains(&spec->mounts.items[0].options, "ro"));
    assert_string_equal(strings_variable(&spec->process->env, "NOTIFY_SOCKET"),
                        "/run/notify/notify.sock");
    spec_free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_speaks_for_the_program_itself_passes),
        cmocka_unit_test(a_spec_gets_the_mount_and_the_variable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
