#include "unionfs/whiteout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/auto.h"

struct row {
    const char *component;
    int result;
    const char *name;
};

static void each_name_means_what_the_specification_says(void **state)
{
    static const struct row rows[] = {
        { "a", WHITEOUT_NONE, NULL },
        { "wh.a", WHITEOUT_NONE, NULL },
        { "a.wh.b", WHITEOUT_NONE, NULL },
        { ".wha", WHITEOUT_NONE, NULL },
        { ".wh", WHITEOUT_NONE, NULL },
        { ".wh.a", WHITEOUT_NAME, "a" },
        { ".wh..a", WHITEOUT_NAME, ".a" },
        { ".wh.a b", WHITEOUT_NAME, "a b" },
        { ".wh....", WHITEOUT_NAME, "..." },
        { ".wh..wh", WHITEOUT_NAME, ".wh" },
        { ".wh..wh..opq", WHITEOUT_OPAQUE, NULL },
        { ".wh..wh..opqx", WHITEOUT_IGNORED, NULL },
        { ".wh..wh.plnk", WHITEOUT_IGNORED, NULL },
        { ".wh..wh.aufs", WHITEOUT_IGNORED, NULL },
        { ".wh..wh.", WHITEOUT_IGNORED, NULL },
        { ".wh.", -EINVAL, NULL },
        { ".wh..", -EINVAL, NULL },
        { ".wh...", -EINVAL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *name = NULL;
        int r = whiteout_parse(rows[i].component, &name, NULL);

        if (r != rows[i].result)
            fail_msg("'%s' gives %d", rows[i].component, r);
        if (rows[i].name == NULL)
            assert_null(name);
        else
            assert_string_equal(name, rows[i].name);
    }
}

static void a_whiteout_of_the_directory_itself_is_named(void **state)
{
    const char *name = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(whiteout_parse(".wh...", &name, &err), -EINVAL);
    assert_string_equal(err.message, "a whiteout of '..' is not possible");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_name_means_what_the_specification_says),
        cmocka_unit_test(a_whiteout_of_the_directory_itself_is_named),
    };

    return cmocka_run_group_tests_name("whiteout", tests, NULL, NULL);
}
