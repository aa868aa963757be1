#include "tests/unit/base_test.h"

#include <errno.h>

#include "runtime/lsm.h"

static void confinement_is_planned_only_where_the_machine_has_it(void **state)
{
    auto_free char *long_label = xasprintf("%05000d", 1);
    const struct {
        const char *profile, *label;
        bool has_apparmor, has_selinux;
        const char *command, *planned_label, *message;
    } rows[] = {
        { NULL, NULL, false, false, NULL, NULL, NULL },
        { "", "", false, false, NULL, NULL, NULL },
        { "docker-default", NULL, true, false, "exec docker-default", NULL, NULL },
        { NULL, "u:r:t:s0:c1,c2", false, true, NULL, "u:r:t:s0:c1,c2", NULL },
        { "p", "l", true, true, "exec p", "l", NULL },
        { "p", NULL, false, true, NULL, NULL,
          "process.apparmorProfile: this kernel has no AppArmor" },
        { NULL, "l", true, false, NULL, NULL,
          "process.selinuxLabel: SELinux is not enabled on this machine" },
        { "p\nq", NULL, true, false, NULL, NULL,
          "process.apparmorProfile: contains a control character" },
        { NULL, long_label, true, true, NULL, NULL,
          "process.selinuxLabel: is longer than the kernel takes" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct spec_process process = { .apparmor_profile = (char *)rows[i].profile,
                                              .selinux_label = (char *)rows[i].label };
        const struct lsm_host host = { rows[i].has_apparmor, rows[i].has_selinux };
        struct lsm_plan plan = { 0 };
        struct error err = { 0 };
        int r = lsm_plan(&process, &host, &plan, &err);

        assert_int_equal(r < 0, rows[i].message != NULL);
        assert_string_equal(err.message, rows[i].message != NULL ? rows[i].message : "");
        assert_true(text_equal(plan.apparmor_command, rows[i].command));
        assert_true(text_equal(plan.selinux_label, rows[i].planned_label));
        lsm_plan_clear(&plan);
    }
}

static void nothing_planned_writes_nothing(void **state)
{
    const struct lsm_plan plan = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(lsm_apply_child(&plan, &err), 0);
    assert_int_equal(lsm_label_keys_child(&plan, true, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(confinement_is_planned_only_where_the_machine_has_it),
        cmocka_unit_test(nothing_planned_writes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
