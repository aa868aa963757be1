#include "base_test.h"

#include "engine/engine.h"

#define TITLES                                                                                     \
    "Inter-|   Receive                                                |  Transmit\n"               \
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "     \
    "drop fifo colls carrier compressed\n"
#define ZEROS " 0 0 0 0 0 0 0 "

static void check(const char *text, uint64_t received, uint64_t sent)
{
    struct traffic traffic = { 42, 42 };

    traffic_parse(text, &traffic);
    assert_int_equal(traffic.received_bytes, received);
    assert_int_equal(traffic.sent_bytes, sent);
}

static void all_interfaces_but_loopback_are_added_up(void **state)
{
    (void)state;
    check(TITLES "    lo: 900" ZEROS "900" ZEROS "\n  eth0: 1000" ZEROS "20" ZEROS "\neth1:7" ZEROS
                 "5000000000" ZEROS,
          1007, 5000000020);
}

static void taps_of_a_microvm_are_not_counted_twice(void **state)
{
    (void)state;
    check(TITLES "  eth0: 10" ZEROS "20" ZEROS "\nberth-tap0: 20" ZEROS "10" ZEROS "\n", 10, 20);
    check(TITLES "  tap0: 10" ZEROS "20" ZEROS "\n", 10, 20); /* slirp4netns' */
}

static void what_is_no_table_counts_nothing(void **state)
{
    (void)state;
    check("", 0, 0);
    check(TITLES, 0, 0);
    check("eth0:", 0, 0);
    check("eth0: words\n", 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_interfaces_but_loopback_are_added_up),
        cmocka_unit_test(taps_of_a_microvm_are_not_counted_twice),
        cmocka_unit_test(what_is_no_table_counts_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
