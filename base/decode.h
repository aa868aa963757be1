#ifndef BASE_DECODE_H
#define BASE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

/* JSON stops at the door: a table of fields describes a struct once, for both directions.
 *
 *     struct spec_user {
 *         uint32_t uid;
 *         bool has_umask;
 *         uint32_t umask;
 *         struct u32_list gids;
 *     };
 *
 *     static const struct field user_fields[] = {
 *         FIELD_OF(struct spec_user, uid, "uid", FIELD_U32, FIELD_REQUIRED),
 *         FIELD_OPTIONAL(struct spec_user, umask, "umask", FIELD_U32),        sets has_umask
 *         FIELD_LIST(struct spec_user, gids, "additionalGids", FIELD_U32),
 *         { 0 },
 *     };
 *     const struct object user_object = { user_fields, sizeof(struct spec_user), 0 };
 *
 * Errors name the place: `process.user.uid: 4294967296 is out of range`. Duplicate keys, text
 * behind the document, more than DECODE_DEPTH_MAX levels and NUL in strings are refused. null is as
 * good as absent, except in lists and maps. Integers of all 64 bits are exact both ways. */

#define DECODE_DEPTH_MAX 128

enum field_type {
    FIELD_BOOL,    /* bool */
    FIELD_U8,      /* uint8_t */
    FIELD_U16,     /* uint16_t */
    FIELD_U32,     /* uint32_t */
    FIELD_U64,     /* uint64_t */
    FIELD_I32,     /* int32_t */
    FIELD_I64,     /* int64_t */
    FIELD_DOUBLE,  /* double */
    FIELD_STRING,  /* char *, owned; NULL when absent */
    FIELD_STRINGS, /* struct strings */
    FIELD_MAP,     /* struct string_map: an object of strings */
    FIELD_STRUCT,  /* the struct itself, described by .object */
    FIELD_POINTER, /* pointer to a struct described by .object, allocated; NULL when absent */
    FIELD_JSON,    /* char *, owned: the value as compact JSON text, for what is passed on unread */
    FIELD_KEYS,    /* struct strings: the names of an object's members, sorted: {"80/tcp":{}} */
};

enum field_flag {
    FIELD_REQUIRED = 1 << 0, /* absent is an error: `process.cwd: is missing` */
    /* Encode also when zero, false, NULL ("" / null) or empty ([] / {}); so does FIELD_REQUIRED. */
    FIELD_KEEP_EMPTY = 1 << 1,
    FIELD_ARRAY = 1 << 2,   /* struct { T *items; size_t count; } of .type */
    FIELD_REFUSED = 1 << 3, /* known but not supported: its presence is an error */
    /* Object of T: struct { T *items; size_t count; }; only with FIELD_STRUCT, whose struct begins
     * with `char *key`, which is not in its table. */
    FIELD_DICTIONARY = 1 << 4,
    /* With FIELD_KEEP_EMPTY: a char * that is NULL, and a FIELD_MAP that is empty, are encoded as
     * null, not as "" and {}. */
    FIELD_NULLABLE = 1 << 5,
};

struct object;

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    unsigned flags;
    size_t has_offset;           /* offset of a bool that tells presence; SIZE_MAX: none */
    const struct object *object; /* FIELD_STRUCT, FIELD_POINTER */
    const char *const *words;    /* FIELD_STRING: allowed values, ends with NULL; NULL: any */
};

enum object_flag {
    OBJECT_REFUSE_UNKNOWN = 1 << 0, /* unknown members are errors; otherwise they are ignored */
};

struct object {
    const struct field *fields; /* ends with a name of NULL */
    size_t size;
    unsigned flags;
};

#define FIELD_OF(type_, member_, name_, field_, flags_)                                            \
    {                                                                                              \
        .name = (name_), .type = (field_), .offset = offsetof(type_, member_), .flags = (flags_),  \
        .has_offset = SIZE_MAX                                                                     \
    }
#define FIELD_OPTIONAL(type_, member_, name_, field_)                                              \
    {                                                                                              \
        .name = (name_), .type = (field_), .offset = offsetof(type_, member_),                     \
        .has_offset = offsetof(type_, has_##member_)                                               \
    }
#define FIELD_LIST(type_, member_, name_, field_)                                                  \
    {                                                                                              \
        .name = (name_), .type = (field_), .offset = offsetof(type_, member_),                     \
        .flags = FIELD_ARRAY, .has_offset = SIZE_MAX                                               \
    }
#define FIELD_OBJECT(type_, member_, name_, field_, object_, flags_)                               \
    {                                                                                              \
        .name = (name_), .type = (field_), .offset = offsetof(type_, member_), .flags = (flags_),  \
        .has_offset = SIZE_MAX, .object = (object_)                                                \
    }
#define FIELD_WORD(type_, member_, name_, words_, flags_)                                          \
    {                                                                                              \
        .name = (name_), .type = FIELD_STRING, .offset = offsetof(type_, member_),                 \
        .flags = (flags_), .has_offset = SIZE_MAX, .words = (words_)                               \
    }

/* Lists of numbers, as FIELD_LIST wants them. */
struct u32_list {
    uint32_t *items;
    size_t count;
};

/**
 * Decodes one document into a struct.
 *
 * @value  zeroed by the caller; on error everything allocated is freed and it is zero again
 * @what   names the document in the error: "config.json"; NULL: only the member is named
 */
int decode_text(const struct object *object, const char *json, size_t length, void *value,
                const char *what, struct error *err);

/** Frees what decoding allocated inside @value (not @value itself) and zeroes it. */
void object_clear(const struct object *object, void *value);

/**
 * Copies a struct with all that its table describes: a sixth of the work of encoding and decoding.
 * Pointers that are not in the table stay those of @value.
 *
 * @ret_copy  is overwritten; object_clear() frees it
 */
void object_copy(const struct object *object, const void *value, void *ret_copy);

/**
 * Encodes to JSON; members in the table's order. What is empty is left out; an optional one (with a
 * has_ flag) is written when its flag is set. Bytes that are not UTF-8 become U+FFFD. The caller
 * frees the text, which has no newline at its end.
 */
enum encode_style { ENCODE_COMPACT, ENCODE_INDENTED /* 4 spaces */ };
char *encode_text(const struct object *object, const void *value, enum encode_style style);

#endif
