#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cgroups/scope.h"

/* "name signature value value", one line for each property. */
static char *format(const struct scope_properties *properties)
{
    struct text text = { 0 };

    for (size_t i = 0; i < properties->count; i++) {
        const struct scope_property *property = &properties->items[i];

        text_addf(&text, "%s %s", property->name, property->signature);
        for (size_t j = 0; j < property->values.count; j++)
            text_addf(&text, " %s", property->values.items[j]);
        text_add(&text, "\n");
    }
    return text_take(&text);
}

static void a_path_of_three_parts_names_slice_and_unit(void **state)
{
    static const struct {
        const char *path;
        bool is_user;
        const char *slice, *unit;
    } rows[] = {
        { NULL, false, "system.slice", "runc-id.scope" },
        { "", true, "user.slice", "runc-id.scope" },
        { "machine.slice:libpod:abc", false, "machine.slice", "libpod-abc.scope" },
        { ":docker:abc", false, "system.slice", "docker-abc.scope" },
        { ":docker:abc", true, "user.slice", "docker-abc.scope" },
        { "a-b.slice:cri:", false, "a-b.slice", "cri-id.scope" },
        { "-.slice::abc", false, "-.slice", "abc.scope" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *slice = NULL;
        auto_free char *unit = NULL;
        struct error err = { 0 };

        if (scope_name_parse(rows[i].path, "id", rows[i].is_user, &slice, &unit, &err) != 0)
            fail_msg("row %zu: %s", i, err.message);
        assert_string_equal(slice, rows[i].slice);
        assert_string_equal(unit, rows[i].unit);
    }
}

static void a_path_that_names_no_scope_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *path, *message;
    } rows[] = {
        { "/docker/x",
          "'/docker/x' is not slice:prefix:name, as the systemd cgroup manager needs it" },
        { "a.slice:b",
          "'a.slice:b' is not slice:prefix:name, as the systemd cgroup manager needs it" },
        { "a.slice:b:c:d",
          "'a.slice:b:c:d' is not slice:prefix:name, as the systemd cgroup manager needs it" },
        { "a:b:c", "'a' is no name of a slice, such as a-b.slice" },
        { "a.slice/b.slice:b:c", "'a.slice/b.slice' is no name of a slice, such as a-b.slice" },
        { "a.slice:b:c.slice", "'c.slice' names a slice, and a slice takes no processes" },
        { "a.slice:b:c/d", "'b-c/d.scope' is no name of a systemd unit: letters, digits and "
                           ":-_.\\@ are allowed, not "
                           "beginning with a dot or a minus" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char *slice = NULL, *unit = NULL;
        struct error err = { 0 };

        assert_int_equal(scope_name_parse(rows[i].path, "id", false, &slice, &unit, &err), -EINVAL);
        assert_string_equal(err.message, rows[i].message);
        assert_null(slice);
        assert_null(unit);
    }
}

static void an_id_that_is_no_unit_name_is_refused(void **state)
{
    char *slice = NULL, *unit = NULL;
    char id[300] = "";
    struct error err = { 0 };

    (void)state;
    assert_int_equal(scope_name_parse(NULL, "a+b", false, &slice, &unit, &err), -EINVAL);
    assert_non_null(strstr(err.message, "'runc-a+b.scope' is no name of a systemd unit"));
    memset(id, 'a', sizeof(id) - 1);
    assert_int_equal(scope_name_parse(NULL, id, false, &slice, &unit, &err), -EINVAL);
    assert_string_equal(err.message, "the unit name is longer than 255 bytes");
}

static void a_slice_lies_in_those_that_its_name_begins_with(void **state)
{
    static const struct {
        const char *slice, *path;
    } rows[] = {
        { "system.slice", "/system.slice" },
        { "a-b.slice", "/a.slice/a-b.slice" },
        { "a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice" },
        { "-.slice", "/" },
    };
    static const char *const bad[] = { "",         ".slice",   "a",         "a--b.slice",
                                       "-a.slice", "a-.slice", "a/b.slice", "../a.slice" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *path = NULL;

        assert_int_equal(scope_slice_path(rows[i].slice, &path, NULL), 0);
        assert_string_equal(path, rows[i].path);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *path = NULL;

        if (scope_slice_path(bad[i], &path, NULL) != -EINVAL)
            fail_msg("'%s' was accepted", bad[i]);
    }
}

static void limits_become_properties_of_v2(void **state)
{
    struct cgroup_resources resources = {
        .memory = { .has_limit = true,
                    .limit = 1000,
                    .has_swap = true,
                    .swap = 3000,
                    .has_reservation = true,
                    .reservation = 500 },
        .cpu = { .has_shares = true,
                 .shares = 1024,
                 .has_quota = true,
                 .quota = 12345,
                 .has_period = true,
                 .period = 100000,
                 .cpus = (char *)"0-2,7,8",
                 .mems = (char *)"0" },
        .pids = { .has_limit = true, .limit = -1 },
        .block_io = { .has_weight = true, .weight = 10 },
    };
    AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };
    auto_free char *text = NULL;

    (void)state;
    assert_int_equal(scope_resources_plan(&resources, true, &properties, NULL), 0);
    text = format(&properties);
    assert_string_equal(text, "MemoryMax t 1000\n"
                              "MemoryLow t 500\n"
                              "MemorySwapMax t 2000\n"
                              "CPUWeight t 100\n"
                              "CPUQuotaPeriodUSec t 100000\n"
                              "CPUQuotaPerSecUSec t 130000\n"
                              "AllowedCPUs ay 135 1\n"
                              "AllowedMemoryNodes ay 1\n"
                              "IOWeight t 1\n"
                              "TasksMax t 18446744073709551615\n");
    for (size_t i = 0; i < properties.count; i++)
        assert_true(properties.items[i].is_optional);
}

static void limits_become_properties_of_v1(void **state)
{
    struct cgroup_resources resources = {
        .memory = { .has_limit = true, .limit = -1, .has_swap = true, .swap = -1 },
        .cpu = { .has_shares = true,
                 .shares = 512,
                 .has_quota = true,
                 .quota = -1,
                 .cpus = (char *)"0" },
        .pids = { .has_limit = true, .limit = 10 },
        .block_io = { .has_weight = true, .weight = 300 },
    };
    AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };
    auto_free char *text = NULL;

    (void)state;
    assert_int_equal(scope_resources_plan(&resources, false, &properties, NULL), 0);
    text = format(&properties);
    assert_string_equal(text, "MemoryLimit t 18446744073709551615\n"
                              "CPUShares t 512\n"
                              "CPUQuotaPerSecUSec t 18446744073709551615\n"
                              "BlockIOWeight t 300\n"
                              "TasksMax t 10\n");
}

static void a_weight_that_is_taken_back_is_systemds_default(void **state)
{
    const struct cgroup_resources resources = { .block_io = { .has_weight = true,
                                                              .is_weight_released = true } };
    static const char *const expected[] = { "BlockIOWeight t 500\n", "IOWeight t 100\n" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };
        auto_free char *text = NULL;

        assert_int_equal(scope_resources_plan(&resources, i == 1, &properties, NULL), 0);
        text = format(&properties);
        assert_string_equal(text, expected[i]);
    }
}

static void what_is_absent_or_zero_becomes_no_property(void **state)
{
    struct cgroup_resources resources = {
        .memory = { .has_limit = true, .has_swap = true, .has_reservation = true },
        .cpu = { .has_shares = true, .has_quota = true, .has_period = true },
        .block_io = { .has_weight = true },
    };
    AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };

    (void)state;
    assert_int_equal(scope_resources_plan(&resources, true, &properties, NULL), 0);
    assert_int_equal(properties.count, 0);
}

static void v2_files_that_systemd_has_words_for_become_properties(void **state)
{
    struct cgroup_resources resources = { 0 };
    AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };
    auto_free char *text = NULL;

    (void)state;
    string_map_set(&resources.unified, "memory.high", "max");
    string_map_set(&resources.unified, "memory.min", "4096");
    string_map_set(&resources.unified, "pids.max", "soon");
    string_map_set(&resources.unified, "cpuset.cpus", "1");
    string_map_set(&resources.unified, "hugetlb.2MB.max", "1");
    assert_int_equal(scope_resources_plan(&resources, true, &properties, NULL), 0);
    text = format(&properties);
    assert_string_equal(text, "MemoryHigh t 18446744073709551615\n"
                              "MemoryMin t 4096\n"
                              "AllowedCPUs ay 2\n");
    string_map_clear(&resources.unified);
}

static void a_cpu_list_that_is_none_is_refused(void **state)
{
    static const char *const bad[] = { "a", "3-1", "0-", "8192", "0-99999999999", "1,,2" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct cgroup_resources resources = { .cpu = { .cpus = (char *)bad[i] } };
        AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };

        if (scope_resources_plan(&resources, true, &properties, NULL) != -EINVAL)
            fail_msg("'%s' was accepted", bad[i]);
    }
}

static void a_device_list_that_begins_with_deny_all_becomes_an_allow_list(void **state)
{
    struct cgroup_device_rule rules[] = {
        { .allow = true, .type = (char *)"c", .has_major = true, .major = 9 },
        { .allow = false },
        { .allow = true,
          .type = (char *)"c",
          .has_major = true,
          .major = 1,
          .has_minor = true,
          .minor = 3,
          .access = (char *)"rw" },
        { .allow = true,
          .type = (char *)"b",
          .has_major = true,
          .major = 8,
          .has_minor = true,
          .minor = -1 },
        { .allow = true, .access = (char *)"m" },
    };
    struct cgroup_resources resources = { .devices = { rules, ARRAY_SIZE(rules) } };
    AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };
    auto_free char *text = NULL;

    (void)state;
    assert_int_equal(scope_resources_plan(&resources, true, &properties, NULL), 0);
    text = format(&properties);
    assert_string_equal(text,
                        "DevicePolicy s strict\n"
                        "DeviceAllow a(ss)\n"
                        "DeviceAllow a(ss) /dev/char/1:3 rw block-8 rwm block-* m char-* m\n");
}

static void device_rules_that_systemd_cannot_have_are_left_to_our_filter(void **state)
{
    struct cgroup_device_rule deny_all = { .allow = false };
    struct cgroup_device_rule later[] = {
        { .allow = false, .type = (char *)"c", .has_major = true, .major = 1 },
        { .allow = true, .type = (char *)"c", .has_minor = true, .minor = 3 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
        struct cgroup_device_rule rules[] = { deny_all, later[i] };
        struct cgroup_resources resources = { .devices = { rules, ARRAY_SIZE(rules) } };
        AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };
        auto_free char *text = NULL;

        assert_int_equal(scope_resources_plan(&resources, true, &properties, NULL), 0);
        text = format(&properties);
        assert_string_equal(text, "DevicePolicy s auto\nDeviceAllow a(ss)\n");
    }
}

static void annotations_become_properties(void **state)
{
    static const struct {
        const char *name, *value, *property;
    } rows[] = {
        { "KillMode", "'mixed'", "KillMode s mixed\n" },
        { "Description", "\"it's \\\"so\\\"\\n\"", "Description s it's \"so\"\n\n" },
        { "Delegate", " true ", "Delegate b true\n" },
        { "TasksMax", "uint64 42", "TasksMax t 42\n" },
        { "Any", "-5", "Any i -5\n" },
        { "Any", "1.5", "Any d 1.5\n" },
        { "Any", "byte 255", "Any y 255\n" },
        { "Any", "@t 7", "Any t 7\n" },
        { "Any", "objectpath '/a'", "Any o /a\n" },
        { "After", "['a.service', \"b\"]", "After as a.service b\n" },
        { "After", "@as []", "After as\n" },
        { "Any", "[uint32 1, 2]", "Any au 1 2\n" },
        { "TimeoutStopSec", "30", "TimeoutStopUSec t 30000000\n" },
        { "TimeoutStopSec", "uint64 2", "TimeoutStopUSec t 2000000\n" },
        { "TimeoutStopSec", "0.25", "TimeoutStopUSec t 250000\n" },
        { "TimeoutStopUSec", "uint64 5", "TimeoutStopUSec t 5\n" },
        { "SEC", "1", "SEC i 1\n" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };
        AUTO_CLEAR(string_map) struct string_map annotations = { 0 };
        auto_free char *key = xasprintf("org.systemd.property.%s", rows[i].name);
        auto_free char *text = NULL;
        struct error err = { 0 };

        string_map_set(&annotations, "org.systemd.other", "not parsed");
        string_map_set(&annotations, key, rows[i].value);
        if (scope_annotations_plan(&annotations, &properties, &err) != 0)
            fail_msg("row %zu: %s", i, err.message);
        text = format(&properties);
        if (!text_equal(text, rows[i].property))
            fail_msg("row %zu: %s", i, text);
        assert_false(properties.items[0].is_optional);
    }
}

static void annotations_that_are_no_property_are_named(void **state)
{
    static const struct {
        const char *name, *value, *message;
    } rows[] = {
        { "", "1", "'org.systemd.property.' names no property" },
        { "Ab", "1", "'org.systemd.property.Ab' names no property" },
        { "Kill Mode", "1", "names no property" },
        { "Killm\xc3\xb6"
          "de",
          "1", "names no property" },
        { "KillMode", "", "the value of 'org.systemd.property.KillMode' is none that D-Bus has" },
        { "KillMode", "mixed", "is none" },
        { "KillMode", "'mixed", "is none" },
        { "KillMode", "'mixed\\", "is none" },
        { "KillMode", "'mixed' 'x'", "is none" },
        { "Any", "byte 256", "is none" },
        { "Any", "uint64 -1", "is none" },
        { "Any", "3000000000", "is none" },
        { "Any", "string 5", "is none" },
        { "Any", "[]", "is none" },
        { "Any", "[1, 'a']", "is none" },
        { "Any", "[1", "is none" },
        { "Any", "[[1]]", "is none" },
        { "Any", "@a(ss) []", "is none" },
        { "Any", "@", "is none" },
        { "TimeoutStopSec", "'x'", "is no number of seconds" },
        { "TimeoutStopSec", "-1", "is no number of seconds" },
        { "TimeoutStopSec", "[1]", "is no number of seconds" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };
        AUTO_CLEAR(string_map) struct string_map annotations = { 0 };
        auto_free char *key = xasprintf("org.systemd.property.%s", rows[i].name);
        struct error err = { 0 };

        string_map_set(&annotations, key, rows[i].value);
        if (scope_annotations_plan(&annotations, &properties, &err) != -EINVAL)
            fail_msg("row %zu was accepted", i);
        if (strstr(err.message, rows[i].message) == NULL)
            fail_msg("row %zu: %s", i, err.message);
    }
}

static void a_request_comes_back_as_it_was_sent(void **state)
{
    struct scope_request sent = {
        .action = SCOPE_SET, .unit = (char *)"a.scope", .description = (char *)"d", .is_user = true
    };
    struct scope_request got = { 0 };
    auto_free char *json = NULL;
    struct error err = { 0 };

    (void)state;
    strings_add(&scope_properties_add(&sent.properties, "After", "as")->values, "x");
    sent.properties.items[0].is_optional = true;
    scope_properties_add(&sent.properties, "DeviceAllow", "a(ss)");
    json = encode_text(&scope_request_object, &sent, ENCODE_COMPACT);
    assert_int_equal(decode_text(&scope_request_object, json, strlen(json), &got, "request", &err),
                     0);
    assert_int_equal(got.action, SCOPE_SET);
    assert_string_equal(got.unit, "a.scope");
    assert_true(got.is_user);
    assert_int_equal(got.properties.count, 2);
    assert_string_equal(got.properties.items[0].values.items[0], "x");
    assert_true(got.properties.items[0].is_optional);
    assert_int_equal(got.properties.items[1].values.count, 0);
    scope_properties_clear(&sent.properties);
    object_clear(&scope_request_object, &got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_of_three_parts_names_slice_and_unit),
        cmocka_unit_test(a_path_that_names_no_scope_is_refused_with_the_reason),
        cmocka_unit_test(an_id_that_is_no_unit_name_is_refused),
        cmocka_unit_test(a_slice_lies_in_those_that_its_name_begins_with),
        cmocka_unit_test(limits_become_properties_of_v2),
        cmocka_unit_test(limits_become_properties_of_v1),
        cmocka_unit_test(a_weight_that_is_taken_back_is_systemds_default),
        cmocka_unit_test(what_is_absent_or_zero_becomes_no_property),
        cmocka_unit_test(v2_files_that_systemd_has_words_for_become_properties),
        cmocka_unit_test(a_cpu_list_that_is_none_is_refused),
        cmocka_unit_test(a_device_list_that_begins_with_deny_all_becomes_an_allow_list),
        cmocka_unit_test(device_rules_that_systemd_cannot_have_are_left_to_our_filter),
        cmocka_unit_test(annotations_become_properties),
        cmocka_unit_test(annotations_that_are_no_property_are_named),
        cmocka_unit_test(a_request_comes_back_as_it_was_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
