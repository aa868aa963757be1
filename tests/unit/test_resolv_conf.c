#include "engine/resolv_conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"

static const char host[] =
    "# made by\nnameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch example.org\n"
    "options edns0\n";

static void only_what_is_given_is_replaced(void **state)
{
    static const struct {
        const char *base, *server, *search, *option, *expected;
    } rows[] = {
        { host, NULL, NULL, NULL, host },
        { NULL, NULL, NULL, NULL, "" },
        { "nameserver 9.9.9.9", NULL, NULL, NULL, "nameserver 9.9.9.9\n" },
        { host, "1.1.1.1", NULL, NULL,
          "# made by\nsearch example.org\noptions edns0\nnameserver 1.1.1.1\n" },
        { host, NULL, "a.example", NULL,
          "# made by\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions edns0\nsearch "
          "a.example\n" },
        { "domain a\nnameserver ::1\nnameservers x\n", "fe80::1", ".", "ndots:2",
          "nameservers x\nnameserver fe80::1\noptions ndots:2\n" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(settings) struct settings *settings = settings_default();
        auto_free char *text = NULL;

        if (rows[i].server != NULL)
            strings_add(&settings->dns, rows[i].server);
        if (rows[i].search != NULL)
            strings_add(&settings->dns_search, rows[i].search);
        if (rows[i].option != NULL)
            strings_add(&settings->dns_options, rows[i].option);
        print_message("row %zu\n", i);
        assert_int_equal(resolv_conf_plan(settings, rows[i].base, &text, NULL), 0);
        assert_string_equal(text, rows[i].expected);
    }
}

static void what_is_no_address_or_no_word_is_named(void **state)
{
    AUTO(settings) struct settings *servers = settings_default();
    AUTO(settings) struct settings *words = settings_default();
    struct error err = { 0 };
    char *text = NULL;

    (void)state;
    strings_add(&servers->dns, "one.example");
    assert_int_equal(resolv_conf_plan(servers, host, &text, &err), -EINVAL);
    assert_string_equal(err.message, "--dns 'one.example': give an IPv4 or IPv6 address");
    strings_add(&words->dns_options, "ndots:2 rotate");
    assert_int_equal(resolv_conf_plan(words, host, &text, &err), -EINVAL);
    assert_string_equal(err.message, "--dns-option 'ndots:2 rotate': give one word");
    assert_null(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_given_is_replaced),
        cmocka_unit_test(what_is_no_address_or_no_word_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
