#include "base/digest.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const struct {
    const char *name;
    size_t hex_length;
} algorithms[] = { { "sha256", 64 }, { "sha512", 128 } };

static bool is_lower_hex(const char *text)
{
    return text[strspn(text, "0123456789abcdef")] == '\0';
}

int digest_parse(const char *text, struct digest *ret_digest, struct error *err)
{
    assert(text != NULL);
    assert(ret_digest != NULL);

    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        size_t length = strlen(algorithms[i].name);

        if (strncmp(text, algorithms[i].name, length) != 0 || text[length] != ':')
            continue;
        if (strlen(text + length + 1) != algorithms[i].hex_length ||
            !is_lower_hex(text + length + 1))
            return error_set(err, EINVAL, "'%.200s' is not a digest: %s needs %zu digits 0-9a-f",
                             text, algorithms[i].name, algorithms[i].hex_length);
        *ret_digest = (struct digest){ 0 };
        memcpy(ret_digest->text, text, length + 1 + algorithms[i].hex_length);
        return 0;
    }
    return error_set(err, EINVAL,
                     "'%.200s' is not a digest: it begins with neither sha256: nor sha512:", text);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return strcmp(a->text, b->text) == 0;
}

const char *digest_hex(const struct digest *digest)
{
    const char *colon = strchr(digest->text, ':');

    return colon != NULL ? colon + 1 : digest->text;
}

const char *digest_algorithm(const struct digest *digest)
{
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        if (strncmp(digest->text, algorithms[i].name, strlen(algorithms[i].name)) == 0)
            return algorithms[i].name;
    }
    return "";
}
