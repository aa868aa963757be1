#include "tests/unit/base_test.h"

#include "base/decode.h"
#include "runtime/mount_options.h"
#include "runtime/runtime.h"

/* What the test reads of the document. */
struct summary {
    char *version_max;
    struct strings mount_options, capabilities, namespaces, actions;
};

static const struct field seccomp_fields[] = {
    { .name = "actions",
      .type = FIELD_STRINGS,
      .offset = offsetof(struct summary, actions),
      .has_offset = SIZE_MAX },
    { 0 },
};
static const struct object seccomp_object = { seccomp_fields, sizeof(struct summary), 0 };

static const struct field linux_fields[] = {
    FIELD_OF(struct summary, capabilities, "capabilities", FIELD_STRINGS, FIELD_REQUIRED),
    FIELD_OF(struct summary, namespaces, "namespaces", FIELD_STRINGS, FIELD_REQUIRED),
    { .name = "seccomp",
      .type = FIELD_STRUCT,
      .flags = FIELD_REQUIRED,
      .has_offset = SIZE_MAX,
      .object = &seccomp_object },
    { 0 },
};
static const struct object linux_object = { linux_fields, sizeof(struct summary), 0 };

static const struct field summary_fields[] = {
    FIELD_OF(struct summary, version_max, "ociVersionMax", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct summary, mount_options, "mountOptions", FIELD_STRINGS, FIELD_REQUIRED),
    { .name = "linux",
      .type = FIELD_STRUCT,
      .flags = FIELD_REQUIRED,
      .has_offset = SIZE_MAX,
      .object = &linux_object },
    { 0 },
};
static const struct object summary_object = { summary_fields, sizeof(struct summary), 0 };

static struct summary read_summary(void)
{
    auto_free char *json = runtime_features_json(NULL);
    struct summary summary = { 0 };
    struct error err = { 0 };

    if (decode_text(&summary_object, json, strlen(json), &summary, NULL, &err) < 0)
        fail_msg("%s", err.message);
    return summary;
}

static void the_document_tells_what_there_is(void **state)
{
    struct summary summary = read_summary();

    (void)state;
    assert_string_equal(summary.version_max, "1.3.0");
    assert_int_equal(summary.capabilities.count, 41);
    assert_true(strings_contains(&summary.namespaces, "time"));
    assert_true(strings_contains(&summary.actions, "SCMP_ACT_KILL_PROCESS"));
    object_clear(&summary_object, &summary);
}

static void no_mount_option_is_promised_that_is_not_known(void **state)
{
    struct summary summary = read_summary();

    (void)state;
    assert_true(summary.mount_options.count > 60);
    for (size_t i = 0; i < summary.mount_options.count; i++) {
        struct strings word = { 0 };
        struct mount_options options = { 0 };

        strings_add(&word, summary.mount_options.items[i]);
        assert_int_equal(mount_options_parse(&word, &options, NULL), 0);
        if (options.data_count != 0) /* an unknown word is for the file system */
            fail_msg("%s", word.items[0]);
        mount_options_clear(&options);
        strings_clear(&word);
    }
    object_clear(&summary_object, &summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_tells_what_there_is),
        cmocka_unit_test(no_mount_option_is_promised_that_is_not_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
