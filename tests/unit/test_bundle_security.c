#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/bundle.h"

static void split(struct strings *list, const char *text)
{
    if (text[0] != '\0')
        strings_split(list, text, ' ');
}

static size_t default_count(void)
{
    size_t count = 0;

    while (spec_default_capabilities[count] != NULL)
        count++;
    return count;
}

static void capabilities_follow_dockers_rules(void **state)
{
    static const struct {
        const char *add, *drop, *has, *lacks;
    } rows[] = {
        { "", "", "CAP_CHOWN", "CAP_SYS_ADMIN" },
        { "SYS_ADMIN", "", "CAP_SYS_ADMIN", "CAP_NET_ADMIN" },
        { "cap_sys_admin", "chown", "CAP_SYS_ADMIN", "CAP_CHOWN" },
        { "", "ALL", NULL, "CAP_CHOWN" },
        { "net_raw", "all", "CAP_NET_RAW", "CAP_CHOWN" },
        { "ALL", "CHOWN", "CAP_SYS_ADMIN", "CAP_CHOWN" },
        { "ALL", "ALL", "CAP_SYS_ADMIN", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(settings) struct settings *settings = settings_default();
        AUTO_CLEAR(strings) struct strings names = { 0 };

        print_message("row %zu\n", i);
        split(&settings->cap_add, rows[i].add);
        split(&settings->cap_drop, rows[i].drop);
        assert_int_equal(bundle_plan_capabilities(settings, &names, NULL), 0);
        if (rows[i].has != NULL)
            assert_true(strings_contains(&names, rows[i].has));
        if (rows[i].lacks != NULL)
            assert_false(strings_contains(&names, rows[i].lacks));
    }
}

static void without_a_wish_there_are_the_default_capabilities(void **state)
{
    AUTO(settings) struct settings *settings = settings_default();
    AUTO_CLEAR(strings) struct strings names = { 0 };

    (void)state;
    assert_int_equal(bundle_plan_capabilities(settings, &names, NULL), 0);
    assert_int_equal(names.count, default_count());
}

static void an_unknown_capability_is_named_with_its_option(void **state)
{
    AUTO(settings) struct settings *settings = settings_default();
    AUTO_CLEAR(strings) struct strings names = { 0 };
    struct error err = { 0 };

    (void)state;
    strings_add(&settings->cap_drop, "NET_RAWW");
    assert_int_equal(bundle_plan_capabilities(settings, &names, &err), -EINVAL);
    assert_string_equal(err.message,
                        "--cap-drop 'NET_RAWW': unknown capability; did you mean 'NET_RAW'?");
}

static void security_options_are_understood(void **state)
{
    AUTO_CLEAR(security_options) struct security_options options = { 0 };
    AUTO_CLEAR(strings) struct strings typed = { 0 };

    (void)state;
    strings_add(&typed, "no-new-privileges");
    strings_add(&typed, "seccomp=unconfined");
    strings_add(&typed, "apparmor=unconfined");
    strings_add(&typed, "label=disable");
    strings_add(&typed, "mask=/a:/b");
    strings_add(&typed, "unmask=/proc/kcore");
    assert_int_equal(security_options_parse(&typed, &options, NULL), 0);
    assert_true(options.no_new_privileges);
    assert_string_equal(options.seccomp, "unconfined");
    assert_string_equal(options.apparmor, "unconfined");
    assert_int_equal(options.masks.count, 2);
    assert_string_equal(options.unmasks.items[0], "/proc/kcore");
    assert_false(options.has_unmasked_all);
}

static void words_that_switch_off_are_understood(void **state)
{
    static const struct {
        const char *text;
        bool no_new_privileges, has_unmasked_all;
    } rows[] = {
        { "no-new-privileges=true", true, false },   { "no-new-privileges:true", true, false },
        { "no-new-privileges=false", false, false }, { "seccomp=builtin", false, false },
        { "systempaths=unconfined", false, true },   { "unmask=ALL", false, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(security_options) struct security_options options = { 0 };
        AUTO_CLEAR(strings) struct strings typed = { 0 };

        print_message("row %zu\n", i);
        strings_add(&typed, rows[i].text);
        assert_int_equal(security_options_parse(&typed, &options, NULL), 0);
        assert_int_equal(options.no_new_privileges, rows[i].no_new_privileges);
        assert_int_equal(options.has_unmasked_all, rows[i].has_unmasked_all);
        assert_null(options.seccomp);
    }
}

static void wrong_security_options_are_named(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "secomp=x", "--security-opt 'secomp=x': unknown; there are no-new-privileges, seccomp=, "
                      "apparmor=, label=, systempaths=, mask= and unmask=" },
        { "label=user:x", "--security-opt 'label=user:x': SELinux labels are not there yet; only "
                          "label=disable is" },
        { "mask=proc", "--security-opt mask: 'proc' is not an absolute path" },
        { "systempaths=x", "--security-opt 'systempaths=x': only systempaths=unconfined" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(security_options) struct security_options options = { 0 };
        AUTO_CLEAR(strings) struct strings typed = { 0 };
        struct error err = { 0 };

        print_message("row %zu\n", i);
        strings_add(&typed, rows[i].text);
        assert_true(security_options_parse(&typed, &options, &err) < 0);
        assert_string_equal(err.message, rows[i].message);
    }
}

static const char profile[] =
    "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,"
    "\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\"]},"
    "{\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":[\"SCMP_ARCH_ARM\"]}],"
    "\"syscalls\":["
    "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"},"
    "{\"name\":\"mount\",\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}}"
    ","
    "{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"caps\":[\"CAP_SYS_"
    "ADMIN\"]},"
    "\"args\":[{\"index\":0,\"value\":2114060288,\"op\":\"SCMP_CMP_MASKED_EQ\"}]},"
    "{\"names\":[\"old\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"2.6\"}},"
    "{\"names\":[\"new\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"999.0\"}},"
    "{\"names\":[\"s390\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":[\"s390x\"]}}"
    "]}";

static void decode_profile(const char *capability, struct spec_seccomp *ret_seccomp)
{
    AUTO_CLEAR(strings) struct strings capabilities = { 0 };
    struct spec_seccomp *seccomp = NULL;

    strings_add(&capabilities, capability);
    assert_int_equal(
        seccomp_profile_decode(profile, strlen(profile), &capabilities, &seccomp, NULL), 0);
    *ret_seccomp = *seccomp;
    auto_free_cleanup(&seccomp);
}

static void a_docker_profile_becomes_one_for_these_capabilities(void **state)
{
    struct spec_seccomp with, without;

    (void)state;
    decode_profile("CAP_SYS_ADMIN", &with);
    assert_int_equal(with.syscalls.count, 3);
    assert_string_equal(with.syscalls.items[0].names.items[0], "read");
    assert_string_equal(with.syscalls.items[1].names.items[0], "mount");
    assert_string_equal(with.syscalls.items[2].names.items[0], "old");
    assert_int_equal(with.architectures.count, 2);
    decode_profile("CAP_CHOWN", &without);
    assert_int_equal(without.syscalls.count, 3);
    assert_string_equal(without.syscalls.items[1].names.items[0], "clone");
    assert_int_equal(without.syscalls.items[1].args.count, 1);
    object_clear(&spec_seccomp_object, &with);
    object_clear(&spec_seccomp_object, &without);
}

static void an_unknown_condition_of_a_profile_is_refused(void **state)
{
    static const char bad[] =
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"a\"],"
        "\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"moon\":\"full\"}}]}";
    struct spec_seccomp *seccomp = NULL;
    const struct strings none = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_true(seccomp_profile_decode(bad, strlen(bad), &none, &seccomp, &err) < 0);
    assert_non_null(strstr(err.message, "syscalls[0].includes.moon"));
    assert_null(seccomp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_follow_dockers_rules),
        cmocka_unit_test(without_a_wish_there_are_the_default_capabilities),
        cmocka_unit_test(an_unknown_capability_is_named_with_its_option),
        cmocka_unit_test(security_options_are_understood),
        cmocka_unit_test(words_that_switch_off_are_understood),
        cmocka_unit_test(wrong_security_options_are_named),
        cmocka_unit_test(a_docker_profile_becomes_one_for_these_capabilities),
        cmocka_unit_test(an_unknown_condition_of_a_profile_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
