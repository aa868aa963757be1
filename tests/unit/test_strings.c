#include "base/text.h"

#include "tests/unit/base_test.h"

static void a_list_keeps_order_and_ends_with_null(void **state)
{
    AUTO_CLEAR(strings) struct strings list = { 0 };

    (void)state;
    for (int i = 0; i < 100; i++) {
        strings_addf(&list, "%d", i);
        assert_null(list.items[list.count]);
    }
    assert_int_equal(list.count, 100);
    assert_string_equal(list.items[42], "42");
    strings_remove(&list, 0);
    strings_remove(&list, 98);
    assert_int_equal(list.count, 98);
    assert_string_equal(list.items[0], "1");
    assert_string_equal(list.items[97], "98");
    assert_null(list.items[98]);
}

static void a_list_can_be_emptied_and_used_again(void **state)
{
    AUTO_CLEAR(strings) struct strings list = { 0 };

    (void)state;
    strings_add(&list, "a");
    strings_remove(&list, 0);
    assert_int_equal(list.count, 0);
    strings_add(&list, "b");
    assert_string_equal(list.items[0], "b");
    strings_clear(&list);
    assert_null(list.items);
}

static void splitting_keeps_empty_parts_and_joining_undoes_it(void **state)
{
    static const char *const rows[] = { "", "a", "a,b", ",a,,b,", ",,," };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(strings) struct strings list = { 0 };
        auto_free char *joined = NULL;

        strings_split(&list, rows[i], ',');
        joined = strings_join(&list, ",");
        assert_string_equal(joined, rows[i]);
    }
}

static void sorting_is_by_bytes(void **state)
{
    AUTO_CLEAR(strings) struct strings list = { 0 };
    auto_free char *joined = NULL;

    (void)state;
    strings_split(&list, "b a B \xc3\xa4 aa", ' ');
    strings_sort(&list);
    joined = strings_join(&list, " ");
    assert_string_equal(joined, "B a aa b \xc3\xa4");
    assert_true(strings_contains(&list, "aa"));
    assert_false(strings_contains(&list, "c"));
}

static void a_variable_is_replaced_in_its_place(void **state)
{
    AUTO_CLEAR(strings) struct strings list = { 0 };

    (void)state;
    strings_add(&list, "PATH=/bin");
    strings_add(&list, "PATHS=x");
    strings_set_variable(&list, "PATH", "/usr/bin");
    strings_set_variable(&list, "HOME", "/");
    assert_string_equal(list.items[0], "PATH=/usr/bin");
    assert_string_equal(list.items[2], "HOME=/");
    assert_string_equal(strings_variable(&list, "PATHS"), "x");
    assert_null(strings_variable(&list, "PAT"));
}

static void a_list_is_added_to_another(void **state)
{
    AUTO_CLEAR(strings) struct strings a = { 0 };
    AUTO_CLEAR(strings) struct strings b = { 0 };

    (void)state;
    strings_add_all(&a, &b);
    assert_int_equal(a.count, 0);
    strings_add(&b, "x");
    strings_add_all(&a, &b);
    assert_string_equal(a.items[0], "x");
    assert_ptr_not_equal(a.items[0], b.items[0]);
}

static void a_map_keeps_order_and_replaces(void **state)
{
    AUTO_CLEAR(string_map) struct string_map map = { 0 };

    (void)state;
    string_map_set(&map, "b", "1");
    string_map_set(&map, "a", "2");
    string_map_set(&map, "b", string_map_get(&map, "b"));
    string_map_set(&map, "b", "3");
    assert_int_equal(map.count, 2);
    assert_string_equal(map.items[0].key, "b");
    assert_string_equal(string_map_get(&map, "b"), "3");
    assert_null(string_map_get(&map, "c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_keeps_order_and_ends_with_null),
        cmocka_unit_test(a_list_can_be_emptied_and_used_again),
        cmocka_unit_test(splitting_keeps_empty_parts_and_joining_undoes_it),
        cmocka_unit_test(sorting_is_by_bytes),
        cmocka_unit_test(a_variable_is_replaced_in_its_place),
        cmocka_unit_test(a_list_is_added_to_another),
        cmocka_unit_test(a_map_keeps_order_and_replaces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
