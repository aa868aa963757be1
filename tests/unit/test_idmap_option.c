#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/idmap_option.h"

static struct spec_id_mapping known[] = { { 0, 100000, 1 }, { 1, 200000, 1000 } };
static const struct spec_linux linux_ = { .uid_mappings = { known, 2 },
                                          .gid_mappings = { known, 2 } };

static void assert_mapping(const struct spec_id_mappings *mappings, size_t index, uint32_t disk,
                           uint32_t host, uint32_t size)
{
    assert_true(index < mappings->count);
    assert_int_equal(mappings->items[index].container_id, disk);
    assert_int_equal(mappings->items[index].host_id, host);
    assert_int_equal(mappings->items[index].size, size);
}

static void mappings_are_taken_as_they_stand(void **state)
{
    struct spec_id_mappings uids = { 0 }, gids = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(
        idmap_option_parse("uids=0-1-10#10-11-20;gids=5-100-1", &linux_, &uids, &gids, &err), 0);
    assert_int_equal(uids.count, 2);
    assert_mapping(&uids, 0, 0, 1, 10);
    assert_mapping(&uids, 1, 10, 11, 20);
    assert_int_equal(gids.count, 1);
    assert_mapping(&gids, 0, 5, 100, 1);
    free(uids.items);
    free(gids.items);
}

static void relative_ones_go_through_the_user_namespace(void **state)
{
    struct spec_id_mappings uids = { 0 }, gids = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(idmap_option_parse("uids=@1-3-10#7-8-1", &linux_, &uids, &gids, &err), 0);
    assert_mapping(&uids, 0, 1, 200002, 10);
    assert_mapping(&uids, 1, 7, 8, 1);
    assert_int_equal(gids.count, 2);
    assert_mapping(&gids, 1, 1, 200000, 1000);
    free(uids.items);
    free(gids.items);
}

static void malformed_ones_are_named(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "uids=1-2", "mapping '1-2': is not three numbers with '-' between" },
        { "uids=1-2-3-4", "mapping '1-2-3-4': is not three numbers with '-' between" },
        { "uids=1-x-3", "mapping '1-x-3': id: 'x' is not a number from 0 to 4294967294" },
        { "uids=1-2-0", "mapping '1-2-0': its size is 0 or too large" },
        { "uids=4294967294-0-2", "mapping '4294967294-0-2': its size is 0 or too large" },
        { "gids=@0-0-2", "mapping '@0-0-2': no mapping of the user namespace has the ids 0 to 1" },
        { "uids=", "mapping '': is not three numbers with '-' between" },
        { "pids=1-1-1", "'pids=1-1-1' is neither uids= nor gids=" },
        { "", "'' is neither uids= nor gids=" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct spec_id_mappings uids = { 0 }, gids = { 0 };
        struct error err = { 0 };

        assert_int_equal(idmap_option_parse(cases[i].text, &linux_, &uids, &gids, &err), -EINVAL);
        assert_string_equal(err.message, cases[i].message);
        assert_null(uids.items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mappings_are_taken_as_they_stand),
        cmocka_unit_test(relative_ones_go_through_the_user_namespace),
        cmocka_unit_test(malformed_ones_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
