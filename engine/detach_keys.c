#include "engine/detach_keys.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

static int parse_key(const char *word, unsigned char *ret_key)
{
    static const char specials[] = "@[\\]^_"; /* ctrl-@ is 0, ctrl-[ is 27... (ASCII) */

    if (strlen(word) == 1) {
        *ret_key = (unsigned char)word[0];
        return 0;
    }
    if (strncasecmp(word, "ctrl-", 5) != 0 || strlen(word) != 6)
        return -EINVAL;
    if (!isalpha((unsigned char)word[5]) && strchr(specials, word[5]) == NULL)
        return -EINVAL;
    *ret_key = (unsigned char)(toupper((unsigned char)word[5]) - '@');
    return 0;
}

int detach_keys_parse(const char *text, struct detach_keys *ret_keys, struct error *err)
{
    AUTO_CLEAR(strings) struct strings words = { 0 };
    struct detach_keys keys = { 0 };

    assert(ret_keys != NULL);

    if (text == NULL)
        text = DETACH_KEYS_DEFAULT;
    if (text[0] != '\0')
        strings_split(&words, text, ',');
    if (words.count > DETACH_KEYS_MAX)
        return error_set(err, EINVAL, "detach keys '%s': more than %d", text, DETACH_KEYS_MAX);
    for (size_t i = 0; i < words.count; i++)
        if (parse_key(words.items[i], &keys.keys[keys.count++]) < 0)
            return error_set(err, EINVAL,
                             "detach keys '%s': '%s' is neither a character nor ctrl- and one of "
                             "a-z @ [ \\ ] ^ _",
                             text, words.items[i]);
    *ret_keys = keys;
    return 0;
}

size_t detach_keys_filter(struct detach_keys *keys, const char *input, size_t length, char *output,
                          bool *ret_is_detached)
{
    size_t used = 0;

    *ret_is_detached = false;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)input[i];

        if (keys->matched > 0 && byte != keys->keys[keys->matched]) {
            memcpy(output + used, keys->keys, keys->matched);
            used += keys->matched;
            keys->matched = 0;
        }
        if (keys->count == 0 || byte != keys->keys[keys->matched]) {
            output[used++] = (char)byte;
            continue;
        }
        keys->matched++;
        if (keys->matched == keys->count) {
            keys->matched = 0;
            *ret_is_detached = true;
            return used;
        }
    }
    return used;
}
