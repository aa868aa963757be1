#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "engine/detach_keys.h"

static void without_a_wish_they_are_ctrl_p_and_ctrl_q(void **state)
{
    struct detach_keys keys;

    (void)state;
    assert_int_equal(detach_keys_parse(NULL, &keys, NULL), 0);
    assert_int_equal(keys.count, 2);
    assert_int_equal(keys.keys[0], 16);
    assert_int_equal(keys.keys[1], 17);
}

static void every_form_of_a_key_is_understood(void **state)
{
    static const struct {
        const char *text;
        size_t count;
        unsigned char first;
    } rows[] = {
        { "a", 1, 'a' },        { "ctrl-a", 1, 1 },  { "CTRL-Z", 1, 26 }, { "ctrl-@", 1, 0 },
        { "ctrl-[", 1, 27 },    { "ctrl-]", 1, 29 }, { "ctrl-^", 1, 30 }, { "ctrl-_", 1, 31 },
        { "ctrl-\\,q", 2, 28 }, { "", 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct detach_keys keys;

        print_message("row %zu: %s\n", i, rows[i].text);
        assert_int_equal(detach_keys_parse(rows[i].text, &keys, NULL), 0);
        assert_int_equal(keys.count, rows[i].count);
        assert_int_equal(keys.keys[0], rows[i].first);
    }
}

static void a_wrong_key_is_named_and_nothing_is_written(void **state)
{
    struct detach_keys keys = { .count = 42 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(detach_keys_parse("ctrl-p,ctrl-1", &keys, &err), -EINVAL);
    assert_string_equal(err.message,
                        "detach keys 'ctrl-p,ctrl-1': 'ctrl-1' is neither a character nor ctrl- "
                        "and one of a-z @ [ \\ ] ^ _");
    assert_int_equal(keys.count, 42);
    assert_int_equal(detach_keys_parse("a,,b", &keys, &err), -EINVAL);
    assert_int_equal(detach_keys_parse("shift-a", &keys, &err), -EINVAL);
    assert_int_equal(detach_keys_parse("1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7", &keys, &err), -EINVAL);
}

static size_t type(struct detach_keys *keys, const char *typed, size_t length, char *output,
                   bool *ret_is_detached)
{
    memset(output, 0, 64);
    return detach_keys_filter(keys, typed, length, output, ret_is_detached);
}

static void the_sequence_detaches_also_when_it_comes_in_pieces(void **state)
{
    struct detach_keys keys;
    bool is_detached;
    char output[64];

    (void)state;
    assert_int_equal(detach_keys_parse(NULL, &keys, NULL), 0);
    assert_int_equal(type(&keys, "ab\x10", 3, output, &is_detached), 2);
    assert_string_equal(output, "ab");
    assert_false(is_detached);
    assert_int_equal(type(&keys, "\x11rest", 5, output, &is_detached), 0);
    assert_true(is_detached);
}

static void a_beginning_that_is_none_reaches_the_container(void **state)
{
    struct detach_keys keys;
    bool is_detached;
    char output[64];

    (void)state;
    assert_int_equal(detach_keys_parse(NULL, &keys, NULL), 0);
    assert_int_equal(type(&keys, "\x10", 1, output, &is_detached), 0);
    assert_int_equal(type(&keys, "x\x10\x10y", 4, output, &is_detached), 5);
    assert_memory_equal(output, "\x10x\x10\x10y", 5);
    assert_false(is_detached);
    assert_int_equal(type(&keys, "\x10\x10\x11", 3, output, &is_detached), 1);
    assert_true(is_detached);
}

static void without_keys_everything_passes(void **state)
{
    struct detach_keys keys;
    bool is_detached;
    char output[64];

    (void)state;
    assert_int_equal(detach_keys_parse("", &keys, NULL), 0);
    assert_int_equal(type(&keys, "\0\x10\x11", 3, output, &is_detached), 3);
    assert_memory_equal(output, "\0\x10\x11", 3);
    assert_false(is_detached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_wish_they_are_ctrl_p_and_ctrl_q),
        cmocka_unit_test(every_form_of_a_key_is_understood),
        cmocka_unit_test(a_wrong_key_is_named_and_nothing_is_written),
        cmocka_unit_test(the_sequence_detaches_also_when_it_comes_in_pieces),
        cmocka_unit_test(a_beginning_that_is_none_reaches_the_container),
        cmocka_unit_test(without_keys_everything_passes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
