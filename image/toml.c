#include "image/toml.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX    10000
#define KEY_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

struct reader {
    const char *at;
    unsigned line;
    struct toml *toml;
    const char *table; /* of the present header; borrowed from its entry */
};

static int complain(const struct reader *reader, struct error *err, const char *reason)
{
    return error_set(err, EINVAL, "line %u: %s", reader->line, reason);
}

void toml_clear(struct toml *toml)
{
    for (size_t i = 0; i < toml->count; i++) {
        free(toml->entries[i].table);
        free(toml->entries[i].key);
        free(toml->entries[i].text);
        strings_clear(&toml->entries[i].items);
    }
    free(toml->entries);
    *toml = (struct toml){ 0 };
}

static void skip_blanks(struct reader *reader)
{
    reader->at += strspn(reader->at, " \t");
}

/* Blanks, comments and line ends. */
static void skip_lines(struct reader *reader)
{
    for (;;) {
        reader->at += strspn(reader->at, " \t\r");
        if (*reader->at == '#')
            reader->at += strcspn(reader->at, "\n");
        if (*reader->at != '\n')
            return;
        reader->at++;
        reader->line++;
    }
}

static int expect_line_end(struct reader *reader, struct error *err)
{
    skip_blanks(reader);
    if (*reader->at == '#')
        reader->at += strcspn(reader->at, "\n");
    if (*reader->at == '\r' && reader->at[1] == '\n')
        reader->at++;
    if (*reader->at != '\n' && *reader->at != '\0')
        return complain(reader, err, "there is something behind the value");
    return 0;
}

static int parse_escape(struct reader *reader, struct text *value, struct error *err)
{
    static const char letters[] = "btnfr\"\\";
    static const char bytes[] = "\b\t\n\f\r\"\\";
    const char *letter = *reader->at != '\0' ? strchr(letters, *reader->at) : NULL;

    if (letter == NULL)
        return complain(reader, err, "an escape in a string is not known");
    text_add_bytes(value, &bytes[letter - letters], 1);
    reader->at++;
    return 0;
}

/* "..." with escapes, or '...' without. */
static int parse_string(struct reader *reader, char **ret_text, struct error *err)
{
    AUTO_CLEAR(text) struct text value = { 0 };
    char quote = *reader->at;
    int r = 0;

    if (strncmp(reader->at, "\"\"\"", 3) == 0 || strncmp(reader->at, "'''", 3) == 0)
        return complain(reader, err, "strings of several lines are not supported");
    for (reader->at++; r == 0 && *reader->at != quote;) {
        if (*reader->at == '\0' || *reader->at == '\n')
            return complain(reader, err, "a string has no end");
        if ((unsigned char)*reader->at < ' ' && *reader->at != '\t')
            return complain(reader, err, "a string has a control character");
        if (quote == '"' && *reader->at == '\\') {
            reader->at++;
            r = parse_escape(reader, &value, err);
        } else {
            text_add_bytes(&value, reader->at++, 1);
        }
    }
    if (r < 0)
        return r;
    reader->at++;
    *ret_text = text_take(&value);
    return 0;
}

/* a."b c".d; in the result, dots join the parts. */
static int parse_key(struct reader *reader, char **ret_key, struct error *err)
{
    AUTO_CLEAR(text) struct text key = { 0 };

    for (;;) {
        size_t length = strspn(reader->at, KEY_CHARACTERS);

        if (*reader->at == '"' || *reader->at == '\'') {
            auto_free char *part = NULL;
            int r = parse_string(reader, &part, err);

            if (r < 0)
                return r;
            text_add(&key, part);
        } else if (length > 0) {
            text_add_bytes(&key, reader->at, length);
            reader->at += length;
        } else {
            return complain(reader, err, "a key is missing");
        }
        skip_blanks(reader);
        if (*reader->at != '.')
            break;
        reader->at++;
        skip_blanks(reader);
        text_add(&key, ".");
    }
    *ret_key = text_take(&key);
    return 0;
}

static int add_entry(struct reader *reader, struct toml_entry **ret_entry, struct error *err)
{
    struct toml *toml = reader->toml;

    if (toml->count == ENTRIES_MAX)
        return complain(reader, err, "it has too many entries");
    toml->entries = xrealloc(toml->entries, toml->count + 1, sizeof(*toml->entries));
    *ret_entry = &toml->entries[toml->count++];
    **ret_entry = (struct toml_entry){ .line = reader->line };
    return 0;
}

static int parse_header(struct reader *reader, struct error *err)
{
    bool is_item = reader->at[1] == '[';
    struct toml_entry *entry;
    char *name = NULL;
    int r;

    reader->at += is_item ? 2 : 1;
    skip_blanks(reader);
    r = parse_key(reader, &name, err);
    if (r == 0 && strncmp(reader->at, is_item ? "]]" : "]", is_item ? 2 : 1) != 0)
        r = complain(reader, err, "a table's name has no end");
    if (r == 0)
        r = add_entry(reader, &entry, err);
    if (r < 0) {
        free(name);
        return r;
    }
    reader->at += is_item ? 2 : 1;
    entry->type = TOML_TABLE;
    entry->table = name;
    entry->is_item = is_item;
    reader->table = name;
    return expect_line_end(reader, err);
}

static int parse_strings(struct reader *reader, struct strings *items, struct error *err)
{
    reader->at++;
    for (;;) {
        char *item;
        int r;

        skip_lines(reader);
        if (*reader->at == ']')
            break;
        if (*reader->at != '"' && *reader->at != '\'')
            return complain(reader, err, "an array may hold strings only");
        r = parse_string(reader, &item, err);
        if (r < 0)
            return r;
        strings_take(items, item);
        skip_lines(reader);
        if (*reader->at == ',')
            reader->at++;
        else if (*reader->at != ']')
            return complain(reader, err, "an array has no end");
    }
    reader->at++;
    return 0;
}

static int parse_value(struct reader *reader, struct toml_entry *entry, struct error *err)
{
    size_t length = strspn(reader->at, KEY_CHARACTERS "+.");

    if (*reader->at == '"' || *reader->at == '\'') {
        entry->type = TOML_STRING;
        return parse_string(reader, &entry->text, err);
    }
    if (*reader->at == '[') {
        entry->type = TOML_STRINGS;
        return parse_strings(reader, &entry->items, err);
    }
    if (length == 4 && strncmp(reader->at, "true", 4) == 0) {
        entry->type = TOML_BOOL;
        entry->flag = true;
    } else if (length == 5 && strncmp(reader->at, "false", 5) == 0) {
        entry->type = TOML_BOOL;
    } else if (length > 0 && strspn(reader->at, "+-0123456789_") == length) {
        entry->type = TOML_INTEGER;
    } else {
        return complain(reader, err, "a value is missing, or of a kind that is not supported");
    }
    reader->at += length;
    return 0;
}

/* Whether the present table has the key already. */
static bool is_known(const struct toml *toml, const char *key)
{
    for (size_t i = toml->count - 1; i > 0; i--) {
        const struct toml_entry *entry = &toml->entries[i - 1];

        if (entry->type == TOML_TABLE)
            return false;
        if (strcmp(entry->key, key) == 0)
            return true;
    }
    return false;
}

static int parse_pair(struct reader *reader, struct error *err)
{
    struct toml_entry *entry;
    char *key = NULL;
    int r;

    r = parse_key(reader, &key, err);
    if (r == 0 && *reader->at != '=')
        r = complain(reader, err, "a key has no '=' behind it");
    if (r == 0)
        r = add_entry(reader, &entry, err);
    if (r < 0) {
        free(key);
        return r;
    }
    entry->key = key;
    entry->table = xstrdup(reader->table);
    entry->type = TOML_INTEGER;
    if (is_known(reader->toml, key))
        return complain(reader, err, "the key was given before");
    reader->at++;
    skip_blanks(reader);
    r = parse_value(reader, entry, err);
    return r < 0 ? r : expect_line_end(reader, err);
}

int toml_parse(const char *text, struct toml *ret_toml, struct error *err)
{
    AUTO_CLEAR(toml) struct toml toml = { 0 };
    struct reader reader = { .at = text, .line = 1, .toml = &toml, .table = "" };

    assert(text != NULL);
    assert(ret_toml != NULL);

    for (;;) {
        int r;

        skip_lines(&reader);
        if (*reader.at == '\0')
            break;
        r = *reader.at == '[' ? parse_header(&reader, err) : parse_pair(&reader, err);
        if (r < 0)
            return r;
    }
    *ret_toml = toml;
    toml = (struct toml){ 0 };
    return 0;
}
