#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>

#include <cmocka.h>

#include "base/text.h"
#include "image/http_headers.h"

static void a_content_range_says_where_a_part_begins(void **state)
{
    static const struct {
        const char *value;
        bool is_good;
        uint64_t first, last, size;
    } rows[] = {
        { "bytes 100-199/1234", true, 100, 199, 1234 },
        { "Bytes 0-0/1", true, 0, 0, 1 },
        { "bytes 5-9/*", true, 5, 9, UINT64_MAX },
        { "bytes 9-5/100", false, 0, 0, 0 },
        { "bytes 5-100/100", false, 0, 0, 0 },
        { "bytes */100", false, 0, 0, 0 },
        { "bytes 5-9", false, 0, 0, 0 },
        { "bytes 5-9/100x", false, 0, 0, 0 },
        { "bytes -9/100", false, 0, 0, 0 },
        { "bytes 99999999999999999999-9/1", false, 0, 0, 0 },
        { "items 1-2/3", false, 0, 0, 0 },
        { "", false, 0, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t first = 7, last = 7, size = 7;
        struct error err = { 0 };
        int r = http_content_range_parse(rows[i].value, &first, &last, &size, &err);

        print_message("%s\n", rows[i].value);
        assert_int_equal(r, rows[i].is_good ? 0 : -EINVAL);
        assert_int_equal(first, rows[i].is_good ? rows[i].first : 7);
        assert_int_equal(last, rows[i].is_good ? rows[i].last : 7);
        assert_int_equal(size, rows[i].is_good ? rows[i].size : 7);
    }
}

static void an_uploads_range_says_how_much_is_there(void **state)
{
    static const struct {
        const char *value;
        int r;
        uint64_t bytes;
    } rows[] = {
        { "0-1023", 0, 1024 },
        { "bytes=0-9", 0, 10 },
        { "0-0", 0, 0 },
        { "1-9", -EINVAL, 0 },
        { "0-", -EINVAL, 0 },
        { "x", -EINVAL, 0 },
        { "0-18446744073709551615", -EINVAL, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t bytes = 0;

        print_message("%s\n", rows[i].value);
        assert_int_equal(http_upload_range_parse(rows[i].value, &bytes, NULL), rows[i].r);
        assert_int_equal(bytes, rows[i].bytes);
    }
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    static const struct {
        const char *value;
        int r;
        uint64_t seconds;
    } rows[] = {
        { "120", 0, 120 },
        { " 3 ", 0, 3 },
        { "Fri, 31 Dec 1999 23:59:59 GMT", 0, 59 },
        { "Fri, 31 Dec 1999 23:00:00 GMT", 0, 0 },
        { "soon", -EINVAL, 0 },
        { "-1", -EINVAL, 0 },
        { "Fri, 31 Dec 1999", -EINVAL, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t seconds = 0;
        struct error err = { 0 };

        print_message("%s\n", rows[i].value);
        assert_int_equal(http_retry_after_parse(rows[i].value, 946684740, &seconds, &err),
                         rows[i].r);
        assert_int_equal(seconds, rows[i].seconds);
    }
}

static void the_next_page_is_the_link_that_says_so(void **state)
{
    static const struct {
        const char *value, *next;
    } rows[] = {
        { "</v2/a/tags/list?n=2&last=b>; rel=\"next\"", "/v2/a/tags/list?n=2&last=b" },
        { "<x>; rel=prev, <y>; title=\"a,;b\"; rel=next", "y" },
        { "<x>; rel=\"nextish\"", NULL },
        { "<x>", NULL },
        { "<x; rel=next", NULL },
        { "<>; rel=next", NULL },
        { "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *next = http_link_next(rows[i].value);

        print_message("%s\n", rows[i].value);
        assert_true(text_equal(next, rows[i].next));
    }
}

static void a_media_type_comes_without_its_parameters(void **state)
{
    static const struct {
        const char *value, *type;
    } rows[] = {
        { "application/json; charset=utf-8", "application/json" },
        { "application/vnd.oci.image.layer.v1.tar+gzip",
          "application/vnd.oci.image.layer.v1.tar+gzip" },
        { "", NULL },
        { "a\"b", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *type = http_media_type(rows[i].value);

        print_message("%s\n", rows[i].value);
        assert_true(text_equal(type, rows[i].type));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_content_range_says_where_a_part_begins),
        cmocka_unit_test(an_uploads_range_says_how_much_is_there),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(the_next_page_is_the_link_that_says_so),
        cmocka_unit_test(a_media_type_comes_without_its_parameters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
