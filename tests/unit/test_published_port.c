#include "engine/published_port.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"

static void what_is_left_out_is_every_address_and_tcp(void **state)
{
    static const struct {
        const char *text, *whole, *shown;
    } rows[] = {
        { "8080:80", "0.0.0.0:8080:80/tcp", "0.0.0.0:8080->80/tcp" },
        { "8080:80/tcp", "0.0.0.0:8080:80/tcp", "0.0.0.0:8080->80/tcp" },
        { "53:53/udp", "0.0.0.0:53:53/udp", "0.0.0.0:53->53/udp" },
        { "127.0.0.1:65535:1/udp", "127.0.0.1:65535:1/udp", "127.0.0.1:65535->1/udp" },
        { "255.255.255.255:1:2", "255.255.255.255:1:2/tcp", "255.255.255.255:1->2/tcp" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct published_port port = { 0 };
        auto_free char *whole = NULL, *shown = NULL;

        print_message("%s\n", rows[i].text);
        assert_int_equal(published_port_parse(rows[i].text, &port, NULL), 0);
        whole = published_port_format(&port);
        shown = published_port_show(&port);
        assert_string_equal(whole, rows[i].whole);
        assert_string_equal(shown, rows[i].shown);
        assert_int_equal(published_port_parse(whole, &port, NULL), 0);
    }
}

static void anything_else_is_refused_with_the_form(void **state)
{
    static const char *const texts[] = {
        "",
        "80",
        ":80",
        "80:",
        "0:80",
        "80:65536",
        "80:80/sctp",
        "80:80/",
        "80:80/tcp/udp",
        "8000-8010:80",
        "::1:80:80",
        "[::1]:80:80",
        "localhost:80:80",
        "1.2.3:80:80",
        "127.0.0.1:80:80:80",
        "127.000000000000000000001:80:80",
        "0.0.0.0\",\"x\":80:80",
        " 80:80",
        "-1:80",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct published_port port = { .port = 7 };
        struct error err = { 0 };

        print_message("%s\n", texts[i]);
        assert_int_equal(published_port_parse(texts[i], &port, &err), -EINVAL);
        assert_non_null(strstr(err.message, "give [ADDRESS:]HOST:CONTAINER[/udp]"));
        assert_int_equal(port.port, 7);
    }
}

static void ports_are_listed_all_or_those_of_one(void **state)
{
    static const struct {
        const char *wanted;
        int r;
        const char *lines; /* or the error */
    } rows[] = {
        { NULL, 0, "80/tcp -> 0.0.0.0:8080|53/udp -> 127.0.0.1:5353|80/tcp -> 127.0.0.1:81" },
        { "80", 0, "0.0.0.0:8080|127.0.0.1:81" },
        { "80/tcp", 0, "0.0.0.0:8080|127.0.0.1:81" },
        { "53/udp", 0, "127.0.0.1:5353" },
        { "53", -ENOENT, "no port of the machine leads to its port 53/tcp" },
        { "80/sctp", -EINVAL, "'80/sctp' is no port: give PORT[/tcp|/udp]" },
        { "0", -EINVAL, "'0' is no port: give PORT[/tcp|/udp]" },
        { "x", -EINVAL, "'x' is no port: give PORT[/tcp|/udp]" },
        { "", -EINVAL, "'' is no port: give PORT[/tcp|/udp]" },
    };
    AUTO_CLEAR(strings) struct strings published = { 0 };

    (void)state;
    strings_add(&published, "0.0.0.0:8080:80/tcp");
    strings_add(&published, "127.0.0.1:5353:53/udp");
    strings_add(&published, "127.0.0.1:81:80/tcp");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(strings) struct strings lines = { 0 };
        auto_free char *text = NULL;
        struct error err = { 0 };

        assert_int_equal(published_ports_list(&published, rows[i].wanted, &lines, &err), rows[i].r);
        text = strings_join(&lines, "|");
        assert_string_equal(rows[i].r < 0 ? err.message : text, rows[i].lines);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_is_every_address_and_tcp),
        cmocka_unit_test(anything_else_is_refused_with_the_form),
        cmocka_unit_test(ports_are_listed_all_or_those_of_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
