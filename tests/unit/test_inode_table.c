#include "base/inode_table.h"

#include "tests/unit/base_test.h"

#define FILES 1000

static struct stat file(unsigned device, unsigned number)
{
    struct stat status = { 0 };

    status.st_dev = device;
    status.st_ino = number;
    return status;
}

static void an_empty_table_knows_nothing(void **state)
{
    AUTO_CLEAR(inode_table) struct inode_table table = { 0 };
    struct stat status = file(1, 1);
    size_t value;

    (void)state;
    assert_false(inode_table_find(&table, &status, &value));
}

static void the_first_value_stays(void **state)
{
    AUTO_CLEAR(inode_table) struct inode_table table = { 0 };
    struct stat status = file(1, 7);
    size_t value = 0;

    (void)state;
    assert_true(inode_table_add(&table, &status, 3));
    assert_false(inode_table_add(&table, &status, 4));
    assert_true(inode_table_find(&table, &status, &value));
    assert_int_equal(value, 3);
}

/* More than it begins with has room for; the same numbers on two devices. */
static void many_files_keep_their_values(void **state)
{
    AUTO_CLEAR(inode_table) struct inode_table table = { 0 };
    size_t value = 0;

    (void)state;
    for (unsigned i = 1; i <= FILES; i++) {
        struct stat one = file(1, i), other = file(2, i);

        assert_true(inode_table_add(&table, &one, i));
        assert_true(inode_table_add(&table, &other, FILES + i));
    }
    for (unsigned i = 1; i <= FILES; i++) {
        struct stat one = file(1, i), other = file(2, i), none = file(3, i);

        assert_true(inode_table_find(&table, &one, &value));
        assert_int_equal(value, i);
        assert_true(inode_table_find(&table, &other, &value));
        assert_int_equal(value, FILES + i);
        assert_false(inode_table_find(&table, &none, &value));
    }
}

static void files_without_a_number_are_all_new(void **state)
{
    AUTO_CLEAR(inode_table) struct inode_table table = { 0 };
    struct stat status = file(1, 0);
    size_t value;

    (void)state;
    assert_true(inode_table_add(&table, &status, 3));
    assert_true(inode_table_add(&table, &status, 3));
    assert_false(inode_table_find(&table, &status, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_knows_nothing),
        cmocka_unit_test(the_first_value_stays),
        cmocka_unit_test(many_files_keep_their_values),
        cmocka_unit_test(files_without_a_number_are_all_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
