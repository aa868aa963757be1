/* Any bytes as a JSON document: decoded into every type of field there is, encoded, decoded again.
 * What was accepted once has to come back as the same text. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/decode.h"

struct part {
    char *key;
    uint64_t number;
    struct part *inner;
};

struct part_list {
    struct part *items;
    size_t count;
};

struct document {
    char *text;
    char *raw;
    char *word;
    bool flag;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    bool has_u64;
    uint64_t u64;
    int32_t i32;
    int64_t i64;
    double ratio;
    struct strings strings;
    struct strings keys;
    struct string_map map;
    struct part part;
    struct part *pointer;
    struct part_list list;
    struct part_list dictionary;
    struct u32_list numbers;
};

static const struct object part_object;

static const struct field part_fields[] = {
    FIELD_OF(struct part, number, "number", FIELD_U64, FIELD_REQUIRED),
    FIELD_OBJECT(struct part, inner, "inner", FIELD_POINTER, &part_object, 0),
    { 0 },
};
static const struct object part_object = { part_fields, sizeof(struct part),
                                           OBJECT_REFUSE_UNKNOWN };

static const char *const words[] = { "one", "two", NULL };

static const struct field document_fields[] = {
    FIELD_OF(struct document, text, "text", FIELD_STRING, FIELD_KEEP_EMPTY | FIELD_NULLABLE),
    FIELD_OF(struct document, raw, "raw", FIELD_JSON, 0),
    FIELD_WORD(struct document, word, "word", words, 0),
    FIELD_OF(struct document, flag, "flag", FIELD_BOOL, 0),
    FIELD_OF(struct document, u8, "u8", FIELD_U8, 0),
    FIELD_OF(struct document, u16, "u16", FIELD_U16, 0),
    FIELD_OF(struct document, u32, "u32", FIELD_U32, 0),
    FIELD_OPTIONAL(struct document, u64, "u64", FIELD_U64),
    FIELD_OF(struct document, i32, "i32", FIELD_I32, 0),
    FIELD_OF(struct document, i64, "i64", FIELD_I64, 0),
    FIELD_OF(struct document, ratio, "ratio", FIELD_DOUBLE, 0),
    FIELD_OF(struct document, strings, "strings", FIELD_STRINGS, 0),
    FIELD_OF(struct document, keys, "keys", FIELD_KEYS, 0),
    FIELD_OF(struct document, map, "map", FIELD_MAP, FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct document, part, "part", FIELD_STRUCT, &part_object, 0),
    FIELD_OBJECT(struct document, pointer, "pointer", FIELD_POINTER, &part_object, 0),
    FIELD_OBJECT(struct document, list, "list", FIELD_STRUCT, &part_object, FIELD_ARRAY),
    FIELD_OBJECT(struct document, dictionary, "dictionary", FIELD_STRUCT, &part_object,
                 FIELD_DICTIONARY),
    FIELD_LIST(struct document, numbers, "numbers", FIELD_U32),
    { 0 },
};
static const struct object document_object = { document_fields, sizeof(struct document), 0 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct document zero;
    struct document document = { 0 };
    auto_free char *first = NULL;
    auto_free char *second = NULL;
    struct error err = { 0 };

    if (decode_text(&document_object, (const char *)data, size, &document, "fuzz", &err) < 0) {
        assert(err.message[0] != '\0');
        assert(memcmp(&document, &zero, sizeof(zero)) == 0);
        return 0;
    }
    /* The part is required to have a number only where there is a part. */
    first = encode_text(&document_object, &document, ENCODE_INDENTED);
    object_clear(&document_object, &document);
    assert(decode_text(&document_object, first, strlen(first), &document, NULL, &err) == 0);
    second = encode_text(&document_object, &document, ENCODE_INDENTED);
    assert(strcmp(first, second) == 0);
    object_clear(&document_object, &document);
    return 0;
}
