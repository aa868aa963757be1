#include "base/decode.h"

#include <errno.h>

#include "tests/unit/base_test.h"

struct limit {
    char *type;
    uint64_t hard;
};

struct limit_list {
    struct limit *items;
    size_t count;
};

struct port {
    char *key;
    uint16_t number;
};

struct port_map {
    struct port *items;
    size_t count;
};

struct user {
    uint32_t uid;
    bool has_umask;
    uint32_t umask;
    struct u32_list gids;
};

struct sample {
    char *version;
    struct user user;
    struct user *owner;
    struct strings args;
    struct string_map annotations;
    struct strings exposed;
    struct limit_list limits;
    struct port_map ports;
    bool is_terminal;
    uint8_t small;
    int32_t number;
    int64_t wide;
    double ratio;
    char *raw;
    char *mode;
};

static const char *const modes[] = { "slave", "private", NULL };

static const struct field limit_fields[] = {
    FIELD_OF(struct limit, type, "type", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct limit, hard, "hard", FIELD_U64, 0),
    { 0 },
};
static const struct object limit_object = { limit_fields, sizeof(struct limit), 0 };

static const struct field port_fields[] = {
    FIELD_OF(struct port, number, "number", FIELD_U16, 0),
    { 0 },
};
static const struct object port_object = { port_fields, sizeof(struct port), 0 };

static const struct field user_fields[] = {
    FIELD_OF(struct user, uid, "uid", FIELD_U32, FIELD_REQUIRED),
    FIELD_OPTIONAL(struct user, umask, "umask", FIELD_U32),
    FIELD_LIST(struct user, gids, "additionalGids", FIELD_U32),
    { 0 },
};
static const struct object user_object = { user_fields, sizeof(struct user),
                                           OBJECT_REFUSE_UNKNOWN };

static const struct field sample_fields[] = {
    FIELD_OF(struct sample, version, "ociVersion", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OBJECT(struct sample, user, "user", FIELD_STRUCT, &user_object, 0),
    FIELD_OBJECT(struct sample, owner, "owner", FIELD_POINTER, &user_object, 0),
    FIELD_OF(struct sample, args, "args", FIELD_STRINGS, 0),
    FIELD_OF(struct sample, annotations, "annotations", FIELD_MAP, 0),
    FIELD_OF(struct sample, exposed, "ExposedPorts", FIELD_KEYS, 0),
    FIELD_OBJECT(struct sample, limits, "limits", FIELD_STRUCT, &limit_object, FIELD_ARRAY),
    FIELD_OBJECT(struct sample, ports, "ports", FIELD_STRUCT, &port_object, FIELD_DICTIONARY),
    FIELD_OF(struct sample, is_terminal, "terminal", FIELD_BOOL, 0),
    FIELD_OF(struct sample, small, "small", FIELD_U8, 0),
    FIELD_OF(struct sample, number, "number", FIELD_I32, 0),
    FIELD_OF(struct sample, wide, "wide", FIELD_I64, 0),
    FIELD_OF(struct sample, ratio, "ratio", FIELD_DOUBLE, 0),
    FIELD_OF(struct sample, raw, "raw", FIELD_JSON, 0),
    FIELD_WORD(struct sample, mode, "mode", modes, 0),
    { .name = "vm", .flags = FIELD_REFUSED, .has_offset = SIZE_MAX },
    { 0 },
};
static const struct object sample_object = { sample_fields, sizeof(struct sample), 0 };

static int decode(const char *json, struct sample *sample, struct error *err)
{
    *sample = (struct sample){ 0 };
    return decode_text(&sample_object, json, strlen(json), sample, NULL, err);
}

static void every_type_is_decoded(void **state)
{
    static const char json[] =
        "{ \"ociVersion\": \"1.0.2\", \"user\": {\"uid\": 4294967295, \"umask\": 0,"
        "  \"additionalGids\": [5, 6]}, \"owner\": {\"uid\": 1}, \"args\": [\"sh\", \"\"],"
        "  \"annotations\": {\"b\": \"1\", \"a\": \"\\u00e4\"},"
        "  \"ExposedPorts\": {\"80/tcp\": {}, \"443/tcp\": {}},"
        "  \"limits\": [{\"type\": \"A\", \"hard\": 18446744073709551615}, {\"type\": \"B\"}],"
        "  \"ports\": {\"web\": {\"number\": 80}, \"db\": {}},"
        "  \"terminal\": true, \"small\": 255, \"number\": -2147483648,"
        "  \"wide\": -9223372036854775808, \"ratio\": 0.5,"
        "  \"raw\": { \"x\": [1, 18446744073709551615, null] }, \"mode\": \"slave\","
        "  \"unknown\": {\"deep\": [{}]}, \"vm\": null }";
    struct sample sample;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(decode(json, &sample, &err), 0);
    assert_string_equal(sample.version, "1.0.2");
    assert_true(sample.user.uid == UINT32_MAX);
    assert_true(sample.user.has_umask);
    assert_int_equal(sample.user.gids.count, 2);
    assert_int_equal(sample.user.gids.items[1], 6);
    assert_int_equal(sample.owner->uid, 1);
    assert_false(sample.owner->has_umask);
    assert_int_equal(sample.args.count, 2);
    assert_null(sample.args.items[2]);
    assert_string_equal(sample.annotations.items[0].key, "b");
    assert_string_equal(string_map_get(&sample.annotations, "a"), "\xc3\xa4");
    assert_string_equal(sample.exposed.items[0], "443/tcp");
    assert_true(sample.limits.items[0].hard == UINT64_MAX);
    assert_string_equal(sample.limits.items[1].type, "B");
    assert_string_equal(sample.ports.items[0].key, "web");
    assert_int_equal(sample.ports.items[0].number, 80);
    assert_true(sample.is_terminal);
    assert_int_equal(sample.small, 255);
    assert_true(sample.number == INT32_MIN);
    assert_true(sample.wide == INT64_MIN);
    assert_true(sample.ratio == 0.5);
    assert_string_equal(sample.raw, "{\"x\":[1,18446744073709551615,null]}");
    assert_string_equal(sample.mode, "slave");
    object_clear(&sample_object, &sample);
    assert_null(sample.version);
}

static void null_is_as_good_as_absent(void **state)
{
    struct sample sample;

    (void)state;
    assert_int_equal(decode("{\"ociVersion\":\"1\",\"args\":null,\"owner\":null,\"user\":null,"
                            "\"number\":null,\"limits\":null}",
                            &sample, NULL),
                     0);
    assert_null(sample.owner);
    object_clear(&sample_object, &sample);
}

static void errors_name_the_place(void **state)
{
    static const struct {
        const char *json;
        const char *message;
    } rows[] = {
        { "{}", "ociVersion: is missing" },
        { "{\"ociVersion\": 1}", "ociVersion: must be a string" },
        { "[]", "must be an object" },
        { "{\"ociVersion\":\"1\",\"user\":{}}", "user.uid: is missing" },
        { "{\"ociVersion\":\"1\",\"user\":{\"uid\":4294967296}}",
          "user.uid: 4294967296 is out of range" },
        { "{\"ociVersion\":\"1\",\"user\":{\"uid\":-1}}", "user.uid: -1 is out of range" },
        { "{\"ociVersion\":\"1\",\"user\":{\"uid\":\"0\"}}", "user.uid: must be a number" },
        { "{\"ociVersion\":\"1\",\"user\":{\"uid\":1.0}}", "user.uid: must be a whole number" },
        { "{\"ociVersion\":\"1\",\"user\":{\"uid\":18446744073709551616}}",
          "user.uid: 18446744073709551616 is out of range" },
        { "{\"ociVersion\":\"1\",\"user\":{\"uid\":1,\"gid\":1}}", "user.gid: is unknown" },
        { "{\"ociVersion\":\"1\",\"user\":{\"uid\":1,\"additionalGids\":[1,-2]}}",
          "user.additionalGids[1]: -2 is out of range" },
        { "{\"ociVersion\":\"1\",\"args\":[\"a\",\"b\",3]}", "args[2]: must be a string" },
        { "{\"ociVersion\":\"1\",\"args\":[null]}", "args[0]: must be a string" },
        { "{\"ociVersion\":\"1\",\"args\":\"a\"}", "args: must be a list of strings" },
        { "{\"ociVersion\":\"1\",\"annotations\":{\"a.b\":1}}",
          "annotations.a.b: must be a string" },
        { "{\"ociVersion\":\"1\",\"annotations\":[]}",
          "annotations: must be an object of strings" },
        { "{\"ociVersion\":\"1\",\"limits\":[{\"type\":\"A\"},{}]}", "limits[1].type: is missing" },
        { "{\"ociVersion\":\"1\",\"limits\":{}}", "limits: must be a list" },
        { "{\"ociVersion\":\"1\",\"limits\":[{\"type\":\"A\",\"hard\":18446744073709551616}]}",
          "limits[0].hard: 18446744073709551616 is out of range" },
        { "{\"ociVersion\":\"1\",\"ports\":{\"web\":{\"number\":65536}}}",
          "ports.web.number: 65536 is out of range" },
        { "{\"ociVersion\":\"1\",\"ports\":{\"web\":1}}", "ports.web: must be an object" },
        { "{\"ociVersion\":\"1\",\"ExposedPorts\":[]}", "ExposedPorts: must be an object" },
        { "{\"ociVersion\":\"1\",\"terminal\":1}", "terminal: must be true or false" },
        { "{\"ociVersion\":\"1\",\"small\":256}", "small: 256 is out of range" },
        { "{\"ociVersion\":\"1\",\"number\":2147483648}", "number: 2147483648 is out of range" },
        { "{\"ociVersion\":\"1\",\"wide\":9223372036854775808}",
          "wide: 9223372036854775808 is out of range" },
        { "{\"ociVersion\":\"1\",\"ratio\":\"1\"}", "ratio: must be a number" },
        { "{\"ociVersion\":\"1\",\"mode\":\"x\"}", "mode: 'x' is not one of slave, private" },
        { "{\"ociVersion\":\"1\",\"vm\":{}}", "vm: is not supported" },
        { "{\"ociVersion\":18446744073709551615}", "ociVersion: must be a string" },
    };
    static const struct sample zero;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct sample sample;
        struct error err = { 0 };

        if (decode(rows[i].json, &sample, &err) != -EINVAL)
            fail_msg("%s is taken", rows[i].json);
        assert_string_equal(err.message, rows[i].message);
        assert_memory_equal(&sample, &zero, sizeof(zero));
    }
}

static void what_is_no_document_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "{",
        "{\"ociVersion\":\"1\"} x",
        "{\"ociVersion\":\"1\"}{}",
        "{\"ociVersion\":\"1\",\"ociVersion\":\"2\"}",
        "{\"ociVersion\":\"1\\u0000\"}",
        "{\"ociVersion\":\"\xff\"}",
        "{\"ociVersion\":\"1\",}",
        "{\"ociVersion\":\"1\",18446744073709551615:1}",
        "{\"ociVersion\":\"1\",\"x\":018446744073709551615}",
        "{\"ociVersion\":\"1\",\"x\":18446744073709551615 1}",
        "{\"ociVersion\":\"1\",\"x\":18446744073709551615}}",
        "{\"ociVersion\":\"1\",\"x\":\"",
        "{\"ociVersion\":\"1\",\"x\":\"\\",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct sample sample;

        if (decode(rows[i], &sample, NULL) != -EINVAL)
            fail_msg("%s is taken", rows[i]);
    }
}

static void a_document_is_named_with_its_line(void **state)
{
    static const char json[] = "{\n\"a\": x}";
    struct sample sample = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(decode_text(&sample_object, json, strlen(json), &sample, "config.json", &err),
                     -EINVAL);
    assert_string_equal(err.message, "config.json: line 2: invalid token near 'x'");
    assert_int_equal(decode_text(&sample_object, "{}", 2, &sample, "config.json", &err), -EINVAL);
    assert_string_equal(err.message, "config.json: ociVersion: is missing");
}

static void depth_has_a_limit(void **state)
{
    AUTO_CLEAR(text) struct text json = { 0 };
    struct sample sample;
    struct error err = { 0 };

    (void)state;
    for (unsigned depth = DECODE_DEPTH_MAX - 1; depth <= DECODE_DEPTH_MAX; depth++) {
        text_clear(&json);
        text_add(&json, "{\"ociVersion\":\"[[{\\\"\",\"x\":");
        for (unsigned i = 0; i < depth; i++)
            text_add(&json, "[");
        for (unsigned i = 0; i < depth; i++)
            text_add(&json, "]");
        text_add(&json, "}");
        assert_int_equal(decode(json.data, &sample, &err), depth < DECODE_DEPTH_MAX ? 0 : -EINVAL);
        object_clear(&sample_object, &sample);
    }
    assert_string_equal(err.message, "it has more than 128 levels");
}

static void a_text_cannot_pass_for_a_large_number(void **state)
{
    struct sample sample;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(
        decode("{\"ociVersion\":\"\\uffff1\",\"wide\":18446744073709551615}", &sample, &err),
        -EINVAL);
    assert_string_equal(err.message, "it has the noncharacter U+FFFF beside a number out of range");
    assert_int_equal(decode("{\"ociVersion\":\"\\uffff1\",\"raw\":[\"\\uffff2\"]}", &sample, &err),
                     0);
    assert_string_equal(sample.version, "\xef\xbf\xbf"
                                        "1");
    assert_string_equal(sample.raw, "[\"\xef\xbf\xbf"
                                    "2\"]");
    object_clear(&sample_object, &sample);
    assert_int_equal(decode("{\"ociVersion\":\"1\",\"wide\":\"\\uffff2\"}", &sample, &err),
                     -EINVAL);
    assert_string_equal(err.message, "wide: must be a number");
    assert_int_equal(decode("{\"ociVersion\":\"1\",\"x\":\"18446744073709551615\","
                            "\"raw\":[-9223372036854775809,18446744073709551616e0]}",
                            &sample, &err),
                     0);
    assert_string_equal(sample.raw, "[-9223372036854775809,1.8446744073709552e19]");
    object_clear(&sample_object, &sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_decoded),
        cmocka_unit_test(null_is_as_good_as_absent),
        cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(what_is_no_document_is_refused),
        cmocka_unit_test(a_document_is_named_with_its_line),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(a_text_cannot_pass_for_a_large_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
