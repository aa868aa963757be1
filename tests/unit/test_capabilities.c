#include "tests/unit/base_test.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "runtime/process_setup.h"

static void add(struct strings *list, const char *first, const char *second)
{
    strings_add(list, first);
    if (second != NULL)
        strings_add(list, second);
}

static void clear(struct spec_capabilities *spec)
{
    strings_clear(&spec->bounding);
    strings_clear(&spec->effective);
    strings_clear(&spec->inheritable);
    strings_clear(&spec->permitted);
    strings_clear(&spec->ambient);
}

static void names_are_taken_in_any_case_with_and_without_prefix(void **state)
{
    (void)state;
    assert_int_equal(capability_parse("CAP_CHOWN", NULL), CAP_CHOWN);
    assert_int_equal(capability_parse("NET_RAW", NULL), CAP_NET_RAW);
    assert_int_equal(capability_parse("cap_sys_admin", NULL), CAP_SYS_ADMIN);
    assert_int_equal(capability_parse("Checkpoint_Restore", NULL), CAP_CHECKPOINT_RESTORE);
}

static void every_number_has_a_name_that_leads_back_to_it(void **state)
{
    (void)state;
    for (int i = 0; i <= CAPABILITY_LAST; i++)
        assert_int_equal(capability_parse(capability_name(i), NULL), i);
    assert_null(capability_name(CAPABILITY_LAST + 1));
    assert_null(capability_name(-1));
}

static void an_unknown_name_suggests_the_nearest(void **state)
{
    struct error err = { 0 };

    (void)state;
    assert_int_equal(capability_parse("NET_ADMNI", &err), -EINVAL);
    assert_string_equal(err.message, "unknown capability 'NET_ADMNI', did you mean CAP_NET_ADMIN?");
    assert_int_equal(capability_parse("", &err), -EINVAL);
    assert_string_equal(err.message, "unknown capability ''");
}

static void names_become_bits(void **state)
{
    struct spec_capabilities spec = { 0 };
    struct capability_sets sets = { 0 };

    (void)state;
    add(&spec.bounding, "CAP_CHOWN", "CAP_BPF");
    add(&spec.permitted, "CAP_CHOWN", "CAP_KILL");
    add(&spec.effective, "CAP_KILL", NULL);
    add(&spec.inheritable, "CAP_CHOWN", NULL);
    assert_int_equal(capabilities_plan(&spec, &sets, NULL), 0);
    assert_true(sets.bounding == (1ull << CAP_CHOWN | 1ull << CAP_BPF));
    assert_true(sets.permitted == (1ull << CAP_CHOWN | 1ull << CAP_KILL));
    assert_true(sets.effective == 1ull << CAP_KILL);
    assert_true(sets.inheritable == 1ull << CAP_CHOWN);
    clear(&spec);
}

static void names_of_the_future_are_left_out(void **state)
{
    struct spec_capabilities spec = { 0 };
    struct capability_sets sets = { 0 };
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)state;
    log_configure("test", null_fd, LOG_TEXT, false);
    add(&spec.bounding, "CAP_TIME_TRAVEL", "CAP_KILL");
    assert_int_equal(capabilities_plan(&spec, &sets, NULL), 0);
    assert_true(sets.bounding == 1ull << CAP_KILL);
    clear(&spec);
    log_configure("test", -1, LOG_TEXT, false);
    close(null_fd);
}

static void an_effective_one_must_be_permitted(void **state)
{
    struct spec_capabilities spec = { 0 };
    struct capability_sets sets = { .bounding = 42 };
    struct error err = { 0 };

    (void)state;
    add(&spec.effective, "CAP_KILL", NULL);
    assert_int_equal(capabilities_plan(&spec, &sets, &err), -EINVAL);
    assert_string_equal(err.message, "effective: CAP_KILL is not in permitted");
    assert_true(sets.bounding == 42);
    clear(&spec);
}

static void an_ambient_one_must_be_permitted_and_inheritable(void **state)
{
    struct spec_capabilities spec = { 0 };
    struct capability_sets sets = { 0 };

    (void)state;
    add(&spec.permitted, "CAP_KILL", "CAP_CHOWN");
    add(&spec.inheritable, "CAP_CHOWN", "CAP_BPF");
    add(&spec.ambient, "CAP_KILL", "CAP_CHOWN");
    strings_add(&spec.ambient, "CAP_BPF");
    assert_int_equal(capabilities_plan(&spec, &sets, NULL), 0);
    assert_true(sets.ambient == 1ull << CAP_CHOWN);
    clear(&spec);
}

/* Runs in a child, because capabilities do not come back. */
static int give_all_up_then_ask_for_one(void)
{
    const struct capability_sets none = { 0 };
    const struct capability_sets one = { .permitted = 1ull << CAP_CHOWN | 1ull << CAP_KILL };
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { .permitted = 1 } };
    struct error err = { 0 };

    if (capabilities_apply(&none, &err) < 0 || syscall(SYS_capget, &header, data) < 0)
        return 1;
    for (int i = 0; i < 2; i++) {
        if (data[i].permitted != 0 || data[i].effective != 0 || data[i].inheritable != 0)
            return 2;
    }
    if (capabilities_apply(&one, &err) != -EPERM)
        return 3;
    return strcmp(err.message, "set capabilities: Operation not permitted (the runtime itself "
                               "lacks CAP_CHOWN, CAP_KILL)") == 0
               ? 0
               : 4;
}

static void what_was_given_up_cannot_be_taken_again(void **state)
{
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        _exit(give_all_up_then_ask_for_one());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_taken_in_any_case_with_and_without_prefix),
        cmocka_unit_test(every_number_has_a_name_that_leads_back_to_it),
        cmocka_unit_test(an_unknown_name_suggests_the_nearest),
        cmocka_unit_test(names_become_bits),
        cmocka_unit_test(names_of_the_future_are_left_out),
        cmocka_unit_test(an_effective_one_must_be_permitted),
        cmocka_unit_test(an_ambient_one_must_be_permitted_and_inheritable),
        cmocka_unit_test(what_was_given_up_cannot_be_taken_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
