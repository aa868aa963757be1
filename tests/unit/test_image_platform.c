#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "image/image.h"

/* What `run --platform` allows of an image that is here. */

/* @own: os, architecture, variant of the image's config. NULL as @complaint: it is for that one. */
static const struct {
    const char *own[3];
    const char *wanted;
    const char *complaint;
} cases[] = {
    { { "linux", "amd64" }, "linux/amd64", NULL },
    { { "linux", "amd64" }, "amd64", NULL },
    { { "linux", "amd64" }, "linux/x86_64", NULL },
    { { "linux", "amd64" }, "linux/amd64/v1", NULL },
    { { "linux", "amd64" }, "linux/amd64/v3", "it is for linux/amd64, not for linux/amd64/v3" },
    { { "linux", "amd64", "v3" }, "linux/amd64/v3", NULL },
    { { "linux", "amd64", "v3" }, "linux/amd64", NULL },
    { { "linux", "amd64" }, "linux/arm64", "it is for linux/amd64, not for linux/arm64" },
    { { "linux", "amd64" }, "arm64", "it is for linux/amd64, not for arm64" },
    { { "linux", "amd64" }, "windows/amd64", "it is for linux/amd64, not for windows/amd64" },
    { { "windows", "amd64" }, "amd64", "it is for windows/amd64, not for amd64" },
    { { "linux", "arm64" }, "aarch64", NULL },
    { { "linux", "arm64" }, "linux/arm64/v8", NULL },
    { { "linux", "arm64", "v8" }, "linux/arm64", NULL },
    { { "linux", "arm" }, "linux/arm/v7", NULL },
    { { "linux", "arm", "v6" }, "linux/arm/v7", "it is for linux/arm/v6, not for linux/arm/v7" },
    { { "linux", "arm", "v6" }, "armhf", NULL },
    { { "linux", "s390x" }, "linux/s390x/z15", "it is for linux/s390x, not for linux/s390x/z15" },
    { { "linux", NULL }, "linux/amd64", "it is for unknown, not for linux/amd64" },
    { { NULL, NULL }, "linux/amd64", NULL }, /* it does not say */
};

static void the_image_is_for_a_platform_as_far_as_that_is_given(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct image image = { .config = { .os = (char *)cases[i].own[0],
                                                 .architecture = (char *)cases[i].own[1],
                                                 .variant = (char *)cases[i].own[2] } };
        struct error err = { 0 };
        int r = image_check_platform(&image, cases[i].wanted, &err);

        if (r != (cases[i].complaint == NULL ? 0 : -ENOEXEC) ||
            (cases[i].complaint != NULL && strcmp(err.message, cases[i].complaint) != 0))
            fail_msg("case %zu, '%s': %d, '%s'", i, cases[i].wanted, r, err.message);
    }
}

static void what_is_no_platform_is_refused_for_any_image(void **state)
{
    static const char *const wrong[] = {
        "",       "/",         "linux/",   "linux//v8",      "linux/amd64/",
        "/amd64", "linux/a b", "linux/\"", "linux/arm/v7/x", "linux,amd64",
    };
    const struct image silent = { 0 };
    char expected[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct error err = { 0 };

        if (image_check_platform(&silent, wrong[i], &err) != -EINVAL)
            fail_msg("'%s' is taken", wrong[i]);
        (void)snprintf(expected, sizeof(expected), "platform '%s': give OS/ARCHITECTURE[/VARIANT]",
                       wrong[i]);
        assert_string_equal(err.message, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_image_is_for_a_platform_as_far_as_that_is_given),
        cmocka_unit_test(what_is_no_platform_is_refused_for_any_image),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
