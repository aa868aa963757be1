#include "engine/publish_option.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"

static void docker_s_forms_are_understood(void **state)
{
    static const struct {
        const char *text, *ports;
    } rows[] = {
        { "8080:80", "0.0.0.0:8080:80/tcp" },
        { "127.0.0.1:53:53/udp", "127.0.0.1:53:53/udp" },
        { "80", "0.0.0.0:0:80/tcp" },
        { "80-81/udp", "0.0.0.0:0:80/udp 0.0.0.0:0:81/udp" },
        { ":80", "0.0.0.0:0:80/tcp" },
        { "0:80", "0.0.0.0:0:80/tcp" },
        { "127.0.0.1::80/tcp", "127.0.0.1:0:80/tcp" },
        { "8000-8002:80-82", "0.0.0.0:8000:80/tcp 0.0.0.0:8001:81/tcp 0.0.0.0:8002:82/tcp" },
        { "65534-65535:1-2", "0.0.0.0:65534:1/tcp 0.0.0.0:65535:2/tcp" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(publish_option) struct publish_option option = { 0 };
        AUTO_CLEAR(strings) struct strings ports = { 0 };
        auto_free char *joined = NULL;

        print_message("%s\n", rows[i].text);
        assert_int_equal(publish_option_parse(rows[i].text, &option, NULL), 0);
        for (size_t k = 0; k < option.count; k++) {
            auto_free char *text = published_port_format(&option.ports[k]);

            strings_add(&ports, text);
        }
        joined = strings_join(&ports, " ");
        assert_string_equal(joined, rows[i].ports);
    }
}

static void no_more_are_published_than_there_may_be(void **state)
{
    AUTO_CLEAR(publish_option) struct publish_option option = { 0 };
    AUTO_CLEAR(publish_option) struct publish_option last = { 0 };
    AUTO_CLEAR(strings) struct strings published = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(publish_option_parse("1-1024", &option, NULL), 0);
    assert_int_equal(publish_option_apply(&option, &published, NULL), 0);
    assert_int_equal(published.count, PUBLISHED_MAX);
    assert_int_equal(publish_option_parse("2000", &last, NULL), 0);
    assert_int_equal(publish_option_apply(&last, &published, &err), -E2BIG);
    assert_string_equal(err.message, "--publish: a container publishes at most 1024 ports");
}

static void anything_else_is_refused_with_the_form(void **state)
{
    static const char *const texts[] = {
        "",
        "0",
        ":",
        "80:",
        "80:0",
        "80:65536",
        "80:80/sctp",
        "80:80/",
        "80/tcp/udp",
        "8000-8010:80",
        "8000:80-90",
        "0-1:80-81",
        "81-80",
        "80-",
        "-80",
        "::1:80:80",
        "[::1]:80:80",
        "localhost:80:80",
        "1.2.3:80:80",
        "::80",
        "1.1.1.1:1:1:1",
        " 80:80",
        "80 ",
        "http",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct publish_option option = { 0 };
        struct error err = { 0 };

        print_message("%s\n", texts[i]);
        assert_int_equal(publish_option_parse(texts[i], &option, &err), -EINVAL);
        assert_non_null(strstr(err.message, "give [[ADDRESS:]HOST:]PORT[/udp]"));
        assert_null(option.ports);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(docker_s_forms_are_understood),
        cmocka_unit_test(no_more_are_published_than_there_may_be),
        cmocka_unit_test(anything_else_is_refused_with_the_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
