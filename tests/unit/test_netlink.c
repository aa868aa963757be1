#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "network/netlink.h"
#include "network/network.h"

static struct network_link three[] = { { .name = "lo" }, { .name = "eth0" }, { .name = "eth2" } };
static const struct network_links links = { three, ARRAY_SIZE(three) };

static void a_name_is_taken_as_it_is_or_refused(void **state)
{
    char name[IFNAMSIZ] = "";
    struct error err = { 0 };

    (void)state;
    assert_int_equal(network_links_name(&links, "eth1", name, &err), 0);
    assert_string_equal(name, "eth1");
    assert_int_equal(network_links_name(&links, "eth0", name, &err), -EEXIST);
    assert_string_equal(err.message, "there is an interface 'eth0' already");
    assert_int_equal(network_links_name(&links, "0123456789abcdef", name, &err), -ENAMETOOLONG);
}

static void a_template_gets_the_lowest_free_number(void **state)
{
    char name[IFNAMSIZ] = "";
    struct error err = { 0 };

    (void)state;
    assert_int_equal(network_links_name(&links, "eth%d", name, &err), 0);
    assert_string_equal(name, "eth1");
    assert_int_equal(network_links_name(&links, "net%dx", name, &err), 0);
    assert_string_equal(name, "net0x");
    assert_int_equal(network_links_name(&links, "0123456789abcde%d", name, &err), -ENAMETOOLONG);
    assert_string_equal(err.message, "'0123456789abcde%d' is too long with its number");
}

static void attributes_are_found_behind_the_fixed_part(void **state)
{
    const struct ifinfomsg info = { .ifi_index = 7 };
    const uint32_t number = 0x01020304;
    struct netlink_request request;
    const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)request.bytes;
    uint32_t length;

    (void)state;
    netlink_begin(&request, RTM_NEWLINK, NLM_F_ACK, &info, sizeof(info));
    netlink_add(&request, IFLA_IFNAME, "abc", 4);
    netlink_add(&request, IFLA_MTU, &number, sizeof(number));
    length = (uint32_t)request.length;
    memcpy(request.bytes, &length, sizeof(length));

    assert_int_equal(((const struct ifinfomsg *)netlink_fixed(message, sizeof(info)))->ifi_index,
                     7);
    assert_string_equal(netlink_text(message, sizeof(info), IFLA_IFNAME), "abc");
    assert_memory_equal(netlink_attribute(message, sizeof(info), IFLA_MTU, 4), &number, 4);
    assert_null(netlink_attribute(message, sizeof(info), IFLA_MTU, 8));
    assert_null(netlink_text(message, sizeof(info), IFLA_MTU));
    assert_null(netlink_attribute(message, sizeof(info), IFLA_LINK, 0));
    assert_null(netlink_fixed(message, 4096));
}

static void an_attribute_that_lies_about_its_length_ends_the_search(void **state)
{
    const struct ifinfomsg info = { 0 };
    const struct rtattr wrong[] = { { .rta_len = 200, .rta_type = IFLA_IFNAME },
                                    { .rta_len = 1, .rta_type = IFLA_IFNAME } };
    const size_t at = NLMSG_SPACE(sizeof(info));
    struct netlink_request request;
    const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)request.bytes;
    uint32_t length;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        netlink_begin(&request, RTM_NEWLINK, 0, &info, sizeof(info));
        netlink_add(&request, IFLA_IFNAME, "abc", 4);
        length = (uint32_t)request.length;
        memcpy(request.bytes, &length, sizeof(length));
        memcpy(request.bytes + at, &wrong[i], sizeof(wrong[i]));
        assert_null(netlink_text(message, sizeof(info), IFLA_IFNAME));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_taken_as_it_is_or_refused),
        cmocka_unit_test(a_template_gets_the_lowest_free_number),
        cmocka_unit_test(attributes_are_found_behind_the_fixed_part),
        cmocka_unit_test(an_attribute_that_lies_about_its_length_ends_the_search),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
