#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/idmap.h"

static enum idmap_way plan(struct spec_id_mapping mapping, size_t count, bool is_privileged)
{
    struct spec_id_mapping items[2] = { mapping,
                                        { .container_id = 1, .host_id = 100000, .size = 9 } };
    struct spec_id_mappings mappings = { .items = items, .count = count };

    return idmap_plan(&mappings, 1000, is_privileged);
}

static void only_the_own_id_alone_is_mapped_without_a_helper(void **state)
{
    static const struct spec_id_mapping own = { .host_id = 1000, .size = 1 };

    (void)state;
    assert_int_equal(plan(own, 1, false), IDMAP_DIRECT_SINGLE);
    assert_int_equal(plan(own, 2, false), IDMAP_HELPER);
    assert_int_equal(plan((struct spec_id_mapping){ .host_id = 1001, .size = 1 }, 1, false),
                     IDMAP_HELPER);
    assert_int_equal(plan((struct spec_id_mapping){ .host_id = 1000, .size = 2 }, 1, false),
                     IDMAP_HELPER);
}

static void root_of_a_namespace_maps_its_ids_itself(void **state)
{
    (void)state;
    assert_int_equal(plan((struct spec_id_mapping){ .host_id = 5, .size = 10 }, 2, true),
                     IDMAP_DIRECT);
}

static void subordinate_ids_are_found_by_name_and_by_number(void **state)
{
    static const struct {
        const char *text, *name;
        uint32_t uid, start, count; /* count 0: none */
    } rows[] = {
        { "anna:100000:65536\nbob:165536:65536\n", "bob", 1001, 165536, 65536 },
        { "anna:100000:65536\n1001:300000:10\n", "bob", 1001, 300000, 10 },
        { "anna:100000:65536\n1001:300000:10", NULL, 1001, 300000, 10 },
        { "bob:1:0\nbob:7:3\n", "bob", 1001, 7, 3 },
        { "bobby:1:5\n", "bob", 1001, 0, 0 },
        { "bob:x:5\nbob:1\n# bob:1:5\nbob:1:5:6\n", "bob", 1001, 0, 0 },
        { "bob:4294967295:2\n", "bob", 1001, 0, 0 },
        { "bob:-1:2\n", "bob", 1001, 0, 0 },
        { "", "bob", 1001, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t start = 0, count = 0;
        bool is_found =
            idmap_find_subordinate(rows[i].text, rows[i].name, rows[i].uid, &start, &count);

        if (is_found != (rows[i].count > 0) || start != rows[i].start || count != rows[i].count)
            fail_msg("row %zu: found %d, %u + %u", i, is_found, start, count);
    }
}

static void the_name_of_a_user_is_the_first_with_the_number(void **state)
{
    static const char passwd[] = "root:x:0:0::/root:/bin/sh\nbad\na:x:7:7::/:/\nb:x:7:7::/:/\n";
    auto_free char *name = idmap_find_user_name(passwd, 7);

    (void)state;
    assert_string_equal(name, "a");
    assert_null(idmap_find_user_name(passwd, 77));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_own_id_alone_is_mapped_without_a_helper),
        cmocka_unit_test(root_of_a_namespace_maps_its_ids_itself),
        cmocka_unit_test(subordinate_ids_are_found_by_name_and_by_number),
        cmocka_unit_test(the_name_of_a_user_is_the_first_with_the_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
