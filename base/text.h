#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

/* Text and lists of texts: owned values, and parsing that takes whole strings only. */

/** A list of strings; owns them. Starts as { 0 }; once it holds one, items[count] is NULL. */
struct strings {
    char **items;
    size_t count;
};

void strings_add(struct strings *list, const char *text); /* copies */
void strings_addf(struct strings *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void strings_take(struct strings *list, char *text);                    /* takes ownership */
void strings_add_all(struct strings *list, const struct strings *more); /* copies each */
bool strings_contains(const struct strings *list, const char *text);
void strings_remove(struct strings *list, size_t index);
void strings_sort(struct strings *list);  /* by bytes */
void strings_clear(struct strings *list); /* frees all, leaves { 0 } */
/** Splits at each @separator; empty parts are kept. */
void strings_split(struct strings *list, const char *text, char separator);
char *strings_join(const struct strings *list, const char *separator);
/** For lists of NAME=VALUE: sets NAME, replacing an earlier value in its place. */
void strings_set_variable(struct strings *list, const char *name, const char *value);
/** For lists of NAME=VALUE: the value of @name, borrowed from the list, or NULL. */
const char *strings_variable(const struct strings *list, const char *name);

/** A list of key and value, in order of insertion; owns them. Starts as { 0 }. */
struct string_pair {
    char *key;
    char *value;
};
struct string_map {
    struct string_pair *items;
    size_t count;
};

void string_map_set(struct string_map *map, const char *key, const char *value); /* copies */
const char *string_map_get(const struct string_map *map, const char *key); /* borrowed or NULL */
void string_map_clear(struct string_map *map);

/** A text that grows. Starts as { 0 }; data is NULL or ends with a zero byte. */
struct text {
    char *data;
    size_t length;
    size_t capacity;
};

void text_add(struct text *text, const char *more);
void text_add_bytes(struct text *text, const void *bytes, size_t length);
void text_addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Gives the text away ("" when nothing was added) and leaves { 0 }. */
char *text_take(struct text *text);
void text_clear(struct text *text);

bool text_equal(const char *a, const char *b); /* two NULLs are equal */
bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);
bool text_is_empty(const char *text); /* NULL or "" */

/**
 * Parses decimal digits that fill the whole string: no sign, no spaces, no overflow.
 *
 * @what  names the value in the error: "uid"
 * @max   largest value allowed
 *
 * Returns 0 or -EINVAL with "uid: '12x' is not a number from 0 to 4294967294".
 */
int text_parse_u64(const char *text, const char *what, uint64_t max, uint64_t *ret_value,
                   struct error *err);
int text_parse_i64(const char *text, const char *what, int64_t min, int64_t max, int64_t *ret_value,
                   struct error *err);

/**
 * Parses a size as docker does: digits (a fraction is allowed), then b, k, m, g, t or p in either
 * case, optionally with "b" or "ib" behind; powers of 1024; no unit means bytes.
 */
int text_parse_bytes(const char *text, const char *what, uint64_t *ret_bytes, struct error *err);

/** Parses a decimal fraction such as "0.5" into units of 1e-9: 500000000. */
int text_parse_nano(const char *text, const char *what, uint64_t *ret_nano, struct error *err);

/** Parses docker's boolean words: 1 t T TRUE true True, 0 f F FALSE false False. */
int text_parse_bool(const char *text, const char *what, bool *ret_value, struct error *err);

/**
 * The nearest of @words to what was typed, for "did you mean": fewest edits, at most a third of
 * its length and three, but one for anything longer than a letter.
 *
 * @words  ends with NULL
 *
 * Returns one of @words, or NULL when none is near.
 */
const char *text_nearest(const char *const *words, const char *typed);

/** Bytes for people in powers of 1000 as in docker's `images`: "4.26MB". Caller frees. */
char *text_format_size(uint64_t bytes);
/** The same in powers of 1024 as in `stats`: "1.5MiB". Caller frees. */
char *text_format_size_binary(uint64_t bytes);
/** A span for people as docker has it: "5 seconds", "About a minute", "3 hours". Caller frees. */
char *text_format_age(uint64_t seconds);
/** A time in RFC 3339, in UTC; zeros at the end of the fraction are cut. Caller frees. */
char *text_format_time(int64_t seconds, uint32_t nanoseconds);
/** Parses RFC 3339 (any offset, optional fraction). */
int text_parse_time(const char *text, int64_t *ret_seconds, uint32_t *ret_nanoseconds,
                    struct error *err);

/** @length random digits 0-9a-f from getrandom(2), without which the process ends. Caller frees. */
char *text_random_hex(size_t length);

/** A number for bytes, to find them again by (FNV-1a of 64 bits). Others can make bytes with the
 * same one: what it finds is compared before it is believed. */
uint64_t text_hash(const void *bytes, size_t length);

/** Bytes of the UTF-8 sequence that @text begins with, strictly (RFC 3629); 0: there is none. */
size_t text_utf8_length(const char *text);

/** Whether @name, of a container or volume, is [a-zA-Z0-9][a-zA-Z0-9_.-]* of 2 to 128 bytes. */
int text_check_name(const char *what, const char *name, struct error *err);

#endif
