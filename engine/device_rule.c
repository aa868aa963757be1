#include "engine/device_rule.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* "13", or "*" for any. */
static int parse_number(const char *text, int64_t *ret_number)
{
    uint64_t number = 0;

    if (strcmp(text, "*") == 0) {
        *ret_number = -1;
        return 0;
    }
    if (text_parse_u64(text, "", UINT32_MAX, &number, NULL) < 0)
        return -EINVAL;
    *ret_number = (int64_t)number;
    return 0;
}

static bool is_type(const char *text)
{
    return text[0] != '\0' && text[1] == '\0' && strchr("abc", text[0]) != NULL;
}

static bool is_access(const char *text)
{
    size_t length = strlen(text);

    return length > 0 && length <= strlen("rwm") && strspn(text, "rwm") == length;
}

int device_rule_parse(const char *text, struct device_rule *ret_rule, struct error *err)
{
    AUTO_CLEAR(strings) struct strings words = { 0 };
    AUTO_CLEAR(strings) struct strings numbers = { 0 };
    struct device_rule rule = { 0 };

    assert(text != NULL);
    assert(ret_rule != NULL);

    strings_split(&words, text, ' ');
    if (words.count == 3)
        strings_split(&numbers, words.items[1], ':');
    if (numbers.count != 2 || !is_type(words.items[0]) || !is_access(words.items[2]) ||
        parse_number(numbers.items[0], &rule.major) < 0 ||
        parse_number(numbers.items[1], &rule.minor) < 0)
        return error_set(err, EINVAL,
                         "--device-cgroup-rule '%s': give TYPE MAJOR:MINOR ACCESS, as 'c 13:* "
                         "rwm': type a, b or c, numbers or *, access of rwm",
                         text);
    (void)snprintf(rule.type, sizeof(rule.type), "%s", words.items[0]);
    (void)snprintf(rule.access, sizeof(rule.access), "%s", words.items[2]);
    *ret_rule = rule;
    return 0;
}
