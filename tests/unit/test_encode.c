#include "base/decode.h"

#include <math.h>

#include "tests/unit/base_test.h"

struct inner {
    char *key;
    uint64_t number;
};

struct inner_list {
    struct inner *items;
    size_t count;
};

struct sample {
    char *name;
    char *none;
    char *kept;
    bool has_mode;
    uint32_t mode;
    bool flag;
    uint64_t large;
    int64_t small;
    double ratio;
    struct strings args;
    struct strings ports;
    struct string_map labels;
    struct inner inner;
    struct inner *pointer;
    struct inner_list map;
    struct u32_list ids;
    char *raw;
};

static const struct field inner_fields[] = {
    FIELD_OF(struct inner, number, "number", FIELD_U64, 0),
    { 0 },
};
static const struct object inner_object = { inner_fields, sizeof(struct inner), 0 };

static const struct field sparse_fields[] = {
    FIELD_OF(struct sample, name, "name", FIELD_STRING, 0),
    FIELD_OPTIONAL(struct sample, mode, "mode", FIELD_U32),
    FIELD_OF(struct sample, flag, "flag", FIELD_BOOL, 0),
    FIELD_OF(struct sample, large, "large", FIELD_U64, 0),
    FIELD_OF(struct sample, small, "small", FIELD_I64, 0),
    FIELD_OF(struct sample, ratio, "ratio", FIELD_DOUBLE, 0),
    FIELD_OF(struct sample, args, "args", FIELD_STRINGS, 0),
    FIELD_OF(struct sample, ports, "ports", FIELD_KEYS, 0),
    FIELD_OF(struct sample, labels, "labels", FIELD_MAP, 0),
    FIELD_OBJECT(struct sample, inner, "inner", FIELD_STRUCT, &inner_object, 0),
    FIELD_OBJECT(struct sample, pointer, "pointer", FIELD_POINTER, &inner_object, 0),
    FIELD_OBJECT(struct sample, map, "map", FIELD_STRUCT, &inner_object, FIELD_DICTIONARY),
    FIELD_LIST(struct sample, ids, "ids", FIELD_U32),
    FIELD_OF(struct sample, raw, "raw", FIELD_JSON, 0),
    { 0 },
};
static const struct object sparse_object = { sparse_fields, sizeof(struct sample), 0 };

static const struct field full_fields[] = {
    FIELD_OF(struct sample, none, "none", FIELD_STRING, FIELD_KEEP_EMPTY | FIELD_NULLABLE),
    FIELD_OF(struct sample, kept, "kept", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct sample, flag, "flag", FIELD_BOOL, FIELD_REQUIRED),
    FIELD_OF(struct sample, large, "large", FIELD_U64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct sample, args, "args", FIELD_STRINGS, FIELD_KEEP_EMPTY),
    FIELD_OF(struct sample, labels, "labels", FIELD_MAP, FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct sample, inner, "inner", FIELD_STRUCT, &inner_object, FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct sample, pointer, "pointer", FIELD_POINTER, &inner_object, FIELD_KEEP_EMPTY),
    FIELD_OF(struct sample, raw, "raw", FIELD_JSON, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object full_object = { full_fields, sizeof(struct sample), 0 };

static void what_is_empty_is_left_out(void **state)
{
    struct sample sample = { 0 };
    auto_free char *compact = encode_text(&sparse_object, &sample, ENCODE_COMPACT);
    auto_free char *indented = encode_text(&sparse_object, &sample, ENCODE_INDENTED);

    (void)state;
    assert_string_equal(compact, "{}");
    assert_string_equal(indented, "{}");
}

static void what_is_to_be_kept_is_written_empty(void **state)
{
    struct sample sample = { 0 };
    auto_free char *json = encode_text(&full_object, &sample, ENCODE_COMPACT);

    (void)state;
    assert_string_equal(json, "{\"none\":null,\"kept\":\"\",\"flag\":false,\"large\":0,\"args\":[],"
                              "\"labels\":{},\"inner\":{},\"pointer\":null,\"raw\":null}");
}

static const char everything[] =
    "{\"name\":\"a\\\"b\\\\c\\n\\u001b\xc3\xa4\",\"mode\":0,\"flag\":true,"
    "\"large\":18446744073709551615,\"small\":-9223372036854775808,\"ratio\":0.1,"
    "\"args\":[\"x\",\"\"],\"ports\":{\"80/tcp\":{}},\"labels\":{\"b\":\"1\",\"a\":\"2\"},"
    "\"inner\":{\"number\":1},\"pointer\":{},\"map\":{\"k\":{\"number\":2},\"j\":{}},"
    "\"ids\":[0,4294967295],\"raw\":{\"x\":[1]}}";

static void everything_comes_back_as_it_was(void **state)
{
    struct sample sample = { 0 };
    auto_free char *again = NULL;

    (void)state;
    assert_int_equal(
        decode_text(&sparse_object, everything, strlen(everything), &sample, NULL, NULL), 0);
    again = encode_text(&sparse_object, &sample, ENCODE_COMPACT);
    assert_string_equal(again, everything);
    object_clear(&sparse_object, &sample);
}

/* The original is gone before the copy is looked at. */
static void a_copy_is_whole_and_its_own(void **state)
{
    static const char *const texts[] = { everything, "{}" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct sample sample = { 0 };
        struct sample copy;
        auto_free char *again = NULL;

        assert_int_equal(
            decode_text(&sparse_object, texts[i], strlen(texts[i]), &sample, NULL, NULL), 0);
        object_copy(&sparse_object, &sample, &copy);
        object_clear(&sparse_object, &sample);
        again = encode_text(&sparse_object, &copy, ENCODE_COMPACT);
        assert_string_equal(again, texts[i]);
        object_clear(&sparse_object, &copy);
    }
}

static void indentation_is_four_spaces(void **state)
{
    static const char json[] = "{\"name\":\"a\",\"args\":[\"x\",\"y\"],\"inner\":{\"number\":1},"
                               "\"pointer\":{}}";
    struct sample sample = { 0 };
    auto_free char *indented = NULL;

    (void)state;
    assert_int_equal(decode_text(&sparse_object, json, strlen(json), &sample, NULL, NULL), 0);
    indented = encode_text(&sparse_object, &sample, ENCODE_INDENTED);
    assert_string_equal(indented, "{\n"
                                  "    \"name\": \"a\",\n"
                                  "    \"args\": [\n"
                                  "        \"x\",\n"
                                  "        \"y\"\n"
                                  "    ],\n"
                                  "    \"inner\": {\n"
                                  "        \"number\": 1\n"
                                  "    },\n"
                                  "    \"pointer\": {}\n"
                                  "}");
    object_clear(&sparse_object, &sample);
}

static void bytes_that_are_not_utf8_are_replaced(void **state)
{
    static const struct {
        const char *name;
        const char *json;
    } rows[] = {
        { "a\xff"
          "b",
          "{\"name\":\"a\xef\xbf\xbd"
          "b\"}" },
        { "\xc3", "{\"name\":\"\xef\xbf\xbd\"}" },
        { "\xc0\x80", "{\"name\":\"\xef\xbf\xbd\xef\xbf\xbd\"}" },
        { "\xed\xa0\x80x", "{\"name\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\"}" },
        { "\xf0\x9f\x98\x80", "{\"name\":\"\xf0\x9f\x98\x80\"}" },
        { "\xe2\x82", "{\"name\":\"\xef\xbf\xbd\xef\xbf\xbd\"}" },
        { "\xf4\x90\x80\x80", "{\"name\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct sample sample = { .name = (char *)rows[i].name };
        auto_free char *json = encode_text(&sparse_object, &sample, ENCODE_COMPACT);

        assert_string_equal(json, rows[i].json);
    }
}

static void numbers_that_json_does_not_have_become_zero(void **state)
{
    struct sample sample = { .ratio = INFINITY };
    auto_free char *json = encode_text(&sparse_object, &sample, ENCODE_COMPACT);

    (void)state;
    assert_string_equal(json, "{\"ratio\":0}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_empty_is_left_out),
        cmocka_unit_test(what_is_to_be_kept_is_written_empty),
        cmocka_unit_test(everything_comes_back_as_it_was),
        cmocka_unit_test(a_copy_is_whole_and_its_own),
        cmocka_unit_test(indentation_is_four_spaces),
        cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
        cmocka_unit_test(numbers_that_json_does_not_have_become_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
