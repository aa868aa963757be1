#include "engine/slirp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"

static void the_program_is_told_the_namespace_and_hides_the_hosts_loopback(void **state)
{
    AUTO_CLEAR(strings) struct strings command = { 0 };
    auto_free char *line = NULL;

    (void)state;
    slirp_plan("/usr/bin/slirp4netns", 42, "/run/x/slirp", &command);
    line = strings_join(&command, " ");
    assert_string_equal(line,
                        "/usr/bin/slirp4netns --configure --mtu=65520 --enable-sandbox "
                        "--enable-seccomp --exit-fd=0 --ready-fd=3 --netns-type=path "
                        "--disable-host-loopback --api-socket=/run/x/slirp /proc/42/ns/net tap0");
}

static void a_port_is_asked_for_by_one_request(void **state)
{
    const struct published_port port = {
        .address = "127.0.0.1", .host_port = 8080, .port = 80, .is_udp = true
    };
    auto_free char *request = slirp_plan_request(&port);

    (void)state;
    assert_string_equal(request, "{\"execute\": \"add_hostfwd\", \"arguments\": {\"proto\": "
                                 "\"udp\", \"host_addr\": \"127.0.0.1\", \"host_port\": 8080, "
                                 "\"guest_port\": 80}}");
}

static void names_are_asked_of_slirp_and_searched_for_as_on_the_host(void **state)
{
    static const struct {
        const char *host, *expected;
    } rows[] = {
        { NULL, "nameserver 10.0.2.3\n" },
        { "# made by\nnameserver 127.0.0.53\nsearch example.org\noptions edns0 ndots:2\n",
          "nameserver 10.0.2.3\nsearch example.org\noptions edns0 ndots:2\n" },
        { "nameserver 9.9.9.9", "nameserver 10.0.2.3\n" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *text = slirp_plan_resolv_conf(rows[i].host);

        print_message("row %zu\n", i);
        assert_string_equal(text, rows[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_program_is_told_the_namespace_and_hides_the_hosts_loopback),
        cmocka_unit_test(a_port_is_asked_for_by_one_request),
        cmocka_unit_test(names_are_asked_of_slirp_and_searched_for_as_on_the_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
