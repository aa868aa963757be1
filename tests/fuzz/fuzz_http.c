/* Any text as the headers that berth-fetch reads, and as the JSON of token servers and errors. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "image/http_challenge.h"
#include "image/http_headers.h"
#include "image/registry_answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *text = xstrndup((const char *)data, size);
    AUTO_CLEAR(http_challenges) struct http_challenges challenges = { 0 };
    AUTO_CLEAR(registry_token) struct registry_token token = { 0 };
    AUTO_CLEAR(strings) struct strings names = { 0 };
    auto_free char *next = http_link_next(text);
    auto_free char *type = http_media_type(text);
    auto_free char *reason = registry_error_text(text, strlen(text));
    uint64_t first, last, whole;

    http_challenges_parse(text, &challenges);
    for (size_t i = 0; i < challenges.count; i++)
        assert(challenges.items[i].scheme[0] != '\0');
    if (http_content_range_parse(text, &first, &last, &whole, NULL) == 0)
        assert(first <= last && last < whole);
    if (http_upload_range_parse(text, &last, NULL) == 0)
        assert(last != 1 || strstr(text, "0-0") == NULL);
    (void)http_retry_after_parse(text, 0, &whole, NULL);
    (void)registry_token_decode(text, strlen(text), &token, NULL);
    (void)registry_names_decode(text, strlen(text), &names, NULL);
    assert(next == NULL || next[0] != '\0');
    assert(type == NULL || strchr(type, ';') == NULL);
    return 0;
}
