#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "network/netlink.h"
#include "network/network.h"

static void an_address_comes_out_as_it_went_in(void **state)
{
    static const char *const texts[] = { "10.1.2.3/24", "0.0.0.0/0", "fd00::1/64", "::1/128" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct network_address address = { 0 };
        auto_free char *text = NULL;

        assert_int_equal(network_address_parse(texts[i], &address, NULL), 0);
        text = network_address_format(&address);
        assert_string_equal(text, texts[i]);
        assert_memory_equal(address.local, address.address, sizeof(address.local));
    }
}

static void a_host_alone_has_the_longest_prefix(void **state)
{
    struct network_address address = { 0 };

    (void)state;
    assert_int_equal(network_address_parse("10.0.0.1", &address, NULL), 0);
    assert_int_equal(address.prefix_length, 32);
    assert_int_equal(network_address_parse("fd00::2", &address, NULL), 0);
    assert_int_equal(address.prefix_length, 128);
}

static void what_is_no_address_is_refused(void **state)
{
    static const struct {
        const char *text, *sentence;
    } rows[] = {
        { "10.0.0/8", "'10.0.0/8' is not an IP address" },
        { "eth0", "'eth0' is not an IP address" },
        { "", "'' is not an IP address" },
        { "10.0.0.1/33", "'10.0.0.1/33': prefix: '33' is not a number from 0 to 32" },
        { "fd00::1/129", "'fd00::1/129': prefix: '129' is not a number from 0 to 128" },
        { "10.0.0.1/", "'10.0.0.1/': prefix: '' is not a number from 0 to 32" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct network_address address = { .size = 9 };
        struct error err = { 0 };

        assert_int_equal(network_address_parse(rows[i].text, &address, &err), -EINVAL);
        assert_string_equal(err.message, rows[i].sentence);
        assert_int_equal(address.size, 9);
    }
}

static void attributes_can_hold_others(void **state)
{
    const struct ifinfomsg info = { 0 };
    const uint32_t number = 7;
    struct netlink_request request;
    struct rtattr outer, inner;
    size_t first, second;

    (void)state;
    netlink_begin(&request, RTM_NEWLINK, 0, &info, sizeof(info));
    first = netlink_nest_begin(&request, 5);
    second = netlink_nest_begin(&request, 6);
    netlink_add(&request, 7, &number, sizeof(number));
    netlink_nest_end(&request, second);
    netlink_nest_end(&request, first);
    memcpy(&outer, request.bytes + first, sizeof(outer));
    memcpy(&inner, request.bytes + second, sizeof(inner));
    assert_int_equal(outer.rta_type, 5);
    assert_int_equal(outer.rta_len, 4 + 4 + 8);
    assert_int_equal(inner.rta_type, 6);
    assert_int_equal(inner.rta_len, 4 + 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_comes_out_as_it_went_in),
        cmocka_unit_test(a_host_alone_has_the_longest_prefix),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(attributes_can_hold_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
