#include "tests/unit/base_test.h"

#include <errno.h>

#include "runtime/spec.h"

static struct spec *decode(const char *annotations, const char *linux_)
{
    auto_free char *json =
        xasprintf("{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\"},\"annotations\":{%s},"
                  "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"time\"}]%s}}",
                  annotations, linux_);
    struct spec *spec = NULL;
    struct error err = { 0 };

    if (spec_decode(json, strlen(json), &spec, &err) < 0)
        fail_msg("%s", err.message);
    return spec;
}

/* What is written for later commands must mean the same when it is read. */
static void assert_comes_back(const struct spec *spec)
{
    auto_free char *first = spec_encode(spec, ENCODE_COMPACT);
    auto_free char *second = NULL;
    AUTO(spec) struct spec *again = NULL;

    assert_int_equal(spec_decode(first, strlen(first), &again, NULL), 0);
    second = spec_encode(again, ENCODE_COMPACT);
    assert_string_equal(second, first);
}

#define OFFSET(value) "\"run.oci.timens_offset\":\"" value "\""

static void a_time_offset_is_that_of_the_member(void **state)
{
    static const struct {
        const char *value, *key;
        int64_t secs;
        uint32_t nanosecs;
    } rows[] = {
        { OFFSET("boottime 100 5"), "boottime", 100, 5 },
        { OFFSET("monotonic -3 0"), "monotonic", -3, 0 },
        { OFFSET("7 1 0"), "boottime", 1, 0 },
        { OFFSET("1 0 999999999"), "monotonic", 0, 999999999 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(spec) struct spec *spec = decode(rows[i].value, "");
        const struct spec_time_offset *offset = spec->linux_.time_offsets.items;

        assert_int_equal(spec->linux_.time_offsets.count, 1);
        assert_string_equal(offset->key, rows[i].key);
        assert_int_equal(offset->secs, rows[i].secs);
        assert_int_equal(offset->nanosecs, rows[i].nanosecs);
        assert_comes_back(spec);
    }
}

static void two_sayings_about_a_clock_must_agree(void **state)
{
    static const char monotonic[] = ",\"timeOffsets\":{\"monotonic\":{\"secs\":1}}";
    static const char json[] =
        "{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\"},"
        "\"annotations\":{\"run.oci.timens_offset\":\"boottime 1 2\"},"
        "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"time\"}],"
        "\"timeOffsets\":{\"boottime\":{\"secs\":1}}}}";
    AUTO(spec) struct spec *other = decode(OFFSET("boottime 1 2"), monotonic);
    struct spec *spec = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(other->linux_.time_offsets.count, 2);
    assert_int_equal(spec_decode(json, sizeof(json) - 1, &spec, &err), -EINVAL);
    assert_string_equal(err.message, "annotation run.oci.timens_offset: "
                                     "linux.timeOffsets.boottime is something else");
}

#define RAW "\"run.oci.seccomp_bpf_data\":\"BgAAAAAA/38=\""

static void a_filter_in_base64_needs_no_profile(void **state)
{
    static const char profile[] = ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_KILL\","
                                  "\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"]}";
    AUTO(spec) struct spec *spec = decode(RAW, "");
    AUTO(spec) struct spec *beside = decode(RAW, profile);

    (void)state;
    assert_string_equal(spec->linux_.seccomp->raw_filter, "BgAAAAAA/38=");
    assert_comes_back(spec);
    assert_string_equal(beside->linux_.seccomp->raw_filter, "BgAAAAAA/38=");
    assert_int_equal(beside->linux_.seccomp->flags.count, 1);
    assert_comes_back(beside);
}

#define RECEIVER "\"run.oci.seccomp.receiver\":\"/agent\""

static void a_receiver_is_the_agent_where_the_profile_has_none(void **state)
{
    static const char notifying[] =
        ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],"
        "\"action\":\"SCMP_ACT_NOTIFY\"}]}";
    static const char with_agent[] =
        ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/mine\"}";
    AUTO(spec) struct spec *none = decode(RECEIVER, "");
    AUTO(spec) struct spec *spec = decode(RECEIVER, notifying);
    AUTO(spec) struct spec *own = decode(RECEIVER, with_agent);

    (void)state;
    assert_null(none->linux_.seccomp);
    assert_string_equal(spec->linux_.seccomp->listener_path, "/agent");
    assert_comes_back(spec);
    assert_string_equal(own->linux_.seccomp->listener_path, "/mine");
}

#define UNKNOWN(value) "\"run.oci.seccomp_fail_unknown_syscall\":\"" value "\""

static void zero_asks_for_nothing(void **state)
{
    static const char profile[] = ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\"}";
    AUTO(spec) struct spec *on = decode(UNKNOWN("1"), profile);
    AUTO(spec) struct spec *off = decode(UNKNOWN("0") ",\"run.oci.handler\":\"0\"", profile);

    (void)state;
    assert_false(off->linux_.seccomp->refuses_unknown_names);
    assert_true(on->linux_.seccomp->refuses_unknown_names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_offset_is_that_of_the_member),
        cmocka_unit_test(two_sayings_about_a_clock_must_agree),
        cmocka_unit_test(a_filter_in_base64_needs_no_profile),
        cmocka_unit_test(a_receiver_is_the_agent_where_the_profile_has_none),
        cmocka_unit_test(zero_asks_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
