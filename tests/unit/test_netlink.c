#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/pkt_cls.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* Sends a frame from there through the program; returns what arrives of it. The kernel takes the
 * program's result for a length. */
static ssize_t pass_frame(const uint8_t sender[6], const uint8_t mac[6])
{
    struct sock_filter program[NETWORK_SENDER_LENGTH];
    const struct sock_fprog filter = { NETWORK_SENDER_LENGTH, program };
    uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    uint8_t arrived[sizeof(frame)];
    ssize_t length;
    int pair[2];

    network_sender_plan(mac, program);
    memcpy(frame + 6, sender, 6);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)), 0);
    assert_int_equal(send(pair[0], frame, sizeof(frame), 0), sizeof(frame));
    length = recv(pair[1], arrived, sizeof(arrived), MSG_DONTWAIT);
    (void)close(pair[0]);
    (void)close(pair[1]);
    return length;
}

static void only_the_own_hardware_address_sends(void **state)
{
    const uint8_t mac[6] = { 0xfe, 0x80, 0x10, 0x20, 0x30, 0xff };

    (void)state;
    assert_int_equal(pass_frame(mac, mac), 60);
    for (size_t i = 0; i < sizeof(mac); i++) {
        uint8_t other[6];

        memcpy(other, mac, sizeof(mac));
        other[i] ^= 1;
        assert_int_equal(pass_frame(other, mac), TC_ACT_SHOT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_taken_as_it_is_or_refused),
        cmocka_unit_test(a_template_gets_the_lowest_free_number),
        cmocka_unit_test(attributes_are_found_behind_the_fixed_part),
        cmocka_unit_test(an_attribute_that_lies_about_its_length_ends_the_search),
        cmocka_unit_test(only_the_own_hardware_address_sends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
