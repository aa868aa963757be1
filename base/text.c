#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define NAME_LENGTH_MIN 2
#define NAME_LENGTH_MAX 128

/* Longer words are not compared by text_nearest(). */
#define NEAREST_LENGTH_MAX 63
/* A third of a long image name would be another image of the same registry. */
#define NEAREST_EDITS_MAX 3

static void reserve(struct text *text, size_t more)
{
    size_t wanted = text->length + more + 1;
    size_t capacity = text->capacity > 0 ? text->capacity : 64;

    if (wanted <= text->capacity)
        return;
    while (capacity < wanted)
        capacity *= 2;
    text->data = xrealloc(text->data, capacity, 1);
    text->capacity = capacity;
}

void text_add_bytes(struct text *text, const void *bytes, size_t length)
{
    reserve(text, length);
    if (length > 0)
        memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void text_add(struct text *text, const char *more)
{
    text_add_bytes(text, more, strlen(more));
}

void text_addf(struct text *text, const char *format, ...)
{
    auto_free char *more = NULL;
    va_list arguments;

    va_start(arguments, format);
    more = xvasprintf(format, arguments);
    va_end(arguments);
    text_add(text, more);
}

char *text_take(struct text *text)
{
    char *data = text->data != NULL ? text->data : xstrdup("");

    *text = (struct text){ 0 };
    return data;
}

void text_clear(struct text *text)
{
    free(text->data);
    *text = (struct text){ 0 };
}

bool text_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

bool text_starts(const char *text, const char *prefix)
{
    return text != NULL && strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
    size_t length = text != NULL ? strlen(text) : 0;
    size_t suffix_length = strlen(suffix);

    return text != NULL && length >= suffix_length &&
           memcmp(text + length - suffix_length, suffix, suffix_length) == 0;
}

bool text_is_empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t smaller = a < b ? a : b;

    return smaller < c ? smaller : c;
}

/* Edits (insert, delete, replace, swap of neighbours) from @a to @b, by rows of the usual table. */
static size_t count_edits(const char *a, const char *b)
{
    size_t rows[3][NEAREST_LENGTH_MAX + 1];
    size_t a_length = strlen(a);
    size_t b_length = strlen(b);

    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            row[j] = smallest(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                size_t swapped = rows[(i + 1) % 3][j - 2] + 1;

                row[j] = swapped < row[j] ? swapped : row[j];
            }
        }
    }
    return rows[a_length % 3][b_length];
}

const char *text_nearest(const char *const *words, const char *typed)
{
    size_t length = strlen(typed);
    size_t limit = length >= 6 ? length / 3 : 1;
    const char *nearest = NULL;

    if (length < 2 || length > NEAREST_LENGTH_MAX)
        return NULL;
    limit = limit > NEAREST_EDITS_MAX ? NEAREST_EDITS_MAX : limit;
    for (size_t i = 0; words[i] != NULL; i++) {
        size_t edits;

        if (strlen(words[i]) > NEAREST_LENGTH_MAX)
            continue;
        edits = count_edits(typed, words[i]);
        if (edits <= limit) {
            nearest = words[i];
            if (edits == 0)
                break;
            limit = edits - 1; /* the first of equally near words stays */
        }
    }
    return nearest;
}

uint64_t text_hash(const void *bytes, size_t length)
{
    const uint8_t *byte = bytes;
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ byte[i]) * 0x100000001b3u;
    return hash;
}

char *text_random_hex(size_t length)
{
    static const char digits[] = "0123456789abcdef";
    char *text = xcalloc(length + 1, 1);
    size_t count = (length + 1) / 2;
    size_t done = 0;

    /* Random bytes go into the second half and are spread to digits from the front. */
    unsigned char *bytes = (unsigned char *)text + length - count;

    while (done < count) {
        ssize_t n = getrandom(bytes + done, count - done, 0);

        if (n < 0 && errno != EINTR) {
            static const char sentence[] = "berth: the kernel gives no random numbers\n";
            ssize_t written = write(STDERR_FILENO, sentence, sizeof(sentence) - 1);

            (void)written; /* the status says it as well */
            _exit(125);
        }
        if (n > 0)
            done += (size_t)n;
    }
    for (size_t i = 0; i < length; i += 2) {
        unsigned char byte = bytes[i / 2];

        text[i] = digits[byte >> 4];
        if (i + 1 < length)
            text[i + 1] = digits[byte & 15];
    }
    text[length] = '\0';
    return text;
}

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

int text_check_name(const char *what, const char *name, struct error *err)
{
    size_t length = strlen(name);
    bool is_valid = length >= NAME_LENGTH_MIN && length <= NAME_LENGTH_MAX;

    for (size_t i = 0; is_valid && i < length; i++)
        is_valid = is_alphanumeric(name[i]) || (i > 0 && strchr("_.-", name[i]) != NULL);
    if (is_valid)
        return 0;
    return error_set(err, EINVAL,
                     "%s '%.200s' is not valid: %d to %d of the characters a-z, A-Z, 0-9, '_', "
                     "'.' and '-', the first a letter or digit",
                     what, name, NAME_LENGTH_MIN, NAME_LENGTH_MAX);
}
