#include "base/base64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "tests/unit/base_test.h"

/* RFC 4648, section 10, and every letter. */
static void what_was_encoded_comes_back(void **state)
{
    static const struct {
        const char *text, *bytes;
        size_t length;
    } rows[] = {
        { "", "", 0 },
        { "Zg==", "f", 1 },
        { "Zm8=", "fo", 2 },
        { "Zm9v", "foo", 3 },
        { "Zm9vYg==", "foob", 4 },
        { "Zm9vYmFy", "foobar", 6 },
        { "AAD/", "\0\0\xff", 3 },
        { "+/+/", "\xfb\xff\xbf", 3 },
        { "AP8=", "\0\xff", 2 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *bytes = NULL;
        struct error err = { 0 };
        size_t length = 99;

        if (base64_decode(rows[i].text, "x", &bytes, &length, &err) < 0)
            fail_msg("%s: %s", rows[i].text, err.message);
        assert_int_equal(length, rows[i].length);
        assert_memory_equal(bytes, rows[i].bytes, length);
    }
}

static void other_text_is_refused(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "Zg=", "x: is not base64: 3 letters are no multiple of 4" },
        { "=", "x: is not base64: 1 letters are no multiple of 4" },
        { "Zm9v\n", "x: is not base64: 5 letters are no multiple of 4" },
        { "Zm 9", "x: is not base64: letter 3 is not of it" },
        { "Z===", "x: is not base64: letter 2 is not of it" },
        { "====", "x: is not base64: letter 1 is not of it" },
        { "Zg==Zg==", "x: is not base64: letter 3 is not of it" },
        { "Zm-_", "x: is not base64: letter 3 is not of it" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char *bytes = NULL;
        struct error err = { 0 };
        size_t length = 99;

        assert_int_equal(base64_decode(rows[i].text, "x", &bytes, &length, &err), -EINVAL);
        assert_string_equal(err.message, rows[i].message);
        assert_null(bytes);
        assert_int_equal(length, 99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_encoded_comes_back),
        cmocka_unit_test(other_text_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
