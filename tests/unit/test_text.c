#include "base/text.h"

#include <errno.h>

#include "tests/unit/base_test.h"

static void a_text_grows(void **state)
{
    AUTO_CLEAR(text) struct text text = { 0 };
    auto_free char *taken = NULL;

    (void)state;
    for (int i = 0; i < 1000; i++)
        text_addf(&text, "%d,", i);
    assert_int_equal(text.length, 10 * 2 + 90 * 3 + 900 * 4);
    assert_int_equal(strlen(text.data), text.length);
    taken = text_take(&text);
    assert_memory_equal(taken, "0,1,2,", 6);
    assert_null(text.data);
}

static void a_text_without_anything_is_the_empty_string(void **state)
{
    struct text text = { 0 };
    auto_free char *taken = text_take(&text);

    (void)state;
    assert_string_equal(taken, "");
}

static void texts_are_compared(void **state)
{
    (void)state;
    assert_true(text_equal(NULL, NULL));
    assert_false(text_equal(NULL, ""));
    assert_true(text_equal("a", "a"));
    assert_true(text_starts("abc", "ab"));
    assert_true(text_starts("abc", ""));
    assert_false(text_starts("a", "ab"));
    assert_false(text_starts(NULL, ""));
    assert_true(text_ends("abc", "bc"));
    assert_false(text_ends("c", "bc"));
    assert_true(text_is_empty(NULL));
    assert_true(text_is_empty(""));
    assert_false(text_is_empty(" "));
}

static void the_nearest_word_is_found(void **state)
{
    static const char *const words[] = { "run", "create", "start", "ps", "inspect", "rm", NULL };
    static const struct {
        const char *typed;
        const char *nearest;
    } rows[] = {
        { "rnu", "run" },      { "sp", "ps" },
        { "crate", "create" }, { "inspekt", "inspect" },
        { "strat", "start" },  { "xyz", NULL },
        { "x", NULL },         { "", NULL },
        { "configure", NULL }, { "create", "create" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *nearest = text_nearest(words, rows[i].typed);

        if (!text_equal(nearest, rows[i].nearest))
            fail_msg("%s: %s", rows[i].typed, nearest);
    }
}

static void other_images_of_a_registry_are_not_near(void **state)
{
    static const char *const words[] = { "registry.example.com/team/web:latest", NULL };

    (void)state;
    assert_null(text_nearest(words, "registry.example.com/team/redis:latest"));
    assert_string_equal(text_nearest(words, "registry.exmaple.com/taem/web:latest"), words[0]);
}

static void a_very_long_word_is_near_to_nothing(void **state)
{
    static const char *const words[] = { "run", NULL };
    char typed[300];

    (void)state;
    memset(typed, 'r', sizeof(typed));
    typed[sizeof(typed) - 1] = '\0';
    assert_null(text_nearest(words, typed));
}

static void random_digits_differ(void **state)
{
    (void)state;
    for (size_t length = 0; length < 70; length++) {
        auto_free char *a = text_random_hex(length);
        auto_free char *b = text_random_hex(length);

        assert_int_equal(strlen(a), length);
        assert_int_equal(strspn(a, "0123456789abcdef"), length);
        if (length >= 16)
            assert_string_not_equal(a, b);
    }
}

static void names_are_checked(void **state)
{
    static const char *const good[] = { "ab", "a.b_c-d", "9x", "Web" };
    static const char *const bad[] = { "", "a", ".a", "-a", "a/b", "a b", "\xc3\xa4x", "a\nb" };
    char too_long[130];
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_int_equal(text_check_name("container name", good[i], &err), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(text_check_name("container name", bad[i], &err), -EINVAL);
    memset(too_long, 'a', sizeof(too_long));
    too_long[129] = '\0';
    assert_int_equal(text_check_name("volume name", too_long, &err), -EINVAL);
    text_check_name("container name", "a/b", &err);
    assert_string_equal(err.message,
                        "container name 'a/b' is not valid: 2 to 128 of the characters a-z, A-Z, "
                        "0-9, '_', '.' and '-', the first a letter or digit");
}

static void a_hash_is_that_of_fnv(void **state)
{
    (void)state;
    assert_true(text_hash("", 0) == 0xcbf29ce484222325u);
    assert_true(text_hash("a", 1) == 0xaf63dc4c8601ec8cu);
    assert_true(text_hash("foobar", 6) == 0x85944171f73967e8u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_grows),
        cmocka_unit_test(a_hash_is_that_of_fnv),
        cmocka_unit_test(a_text_without_anything_is_the_empty_string),
        cmocka_unit_test(texts_are_compared),
        cmocka_unit_test(the_nearest_word_is_found),
        cmocka_unit_test(other_images_of_a_registry_are_not_near),
        cmocka_unit_test(a_very_long_word_is_near_to_nothing),
        cmocka_unit_test(random_digits_differ),
        cmocka_unit_test(names_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
