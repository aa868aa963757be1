#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "image/image.h"

#define SHA256 "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
    const char *text, *full, *familiar;
} good[] = {
    { "busybox", "docker.io/library/busybox:latest", "busybox:latest" },
    { "busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36" },
    { "docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest" },
    { "index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest" },
    { "a/b", "docker.io/a/b:latest", "a/b:latest" },
    { "library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest" },
    { "localhost/a", "localhost/a:latest", "localhost/a:latest" },
    { "localhost:5000/a:x", "localhost:5000/a:x", "localhost:5000/a:x" },
    { "example.com/a/b__c/d--e.f:T_1.x-y", "example.com/a/b__c/d--e.f:T_1.x-y",
      "example.com/a/b__c/d--e.f:T_1.x-y" },
    { "Host/a", "Host/a:latest", "Host/a:latest" },
    { "[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest" },
    { "a@" SHA256, "docker.io/library/a@" SHA256, "a@" SHA256 },
    { "a:t@" SHA256, "docker.io/library/a:t@" SHA256, "a:t@" SHA256 },
    { "docker.io/x.y/z", "docker.io/x.y/z:latest", "docker.io/x.y/z:latest" },
};

static void names_get_dockers_defaults(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        AUTO(reference) struct reference *reference = NULL;
        AUTO(reference) struct reference *again = NULL;
        auto_free char *full = NULL;
        auto_free char *familiar = NULL;
        auto_free char *full_again = NULL;
        struct error err = { 0 };

        if (reference_parse(good[i].text, &reference, &err) < 0)
            fail_msg("%s: %s", good[i].text, err.message);
        full = reference_format(reference);
        familiar = reference_format_familiar(reference);
        assert_string_equal(full, good[i].full);
        assert_string_equal(familiar, good[i].familiar);
        /* The familiar form means the same image. */
        assert_int_equal(reference_parse(familiar, &again, &err), 0);
        full_again = reference_format(again);
        assert_string_equal(full_again, full);
    }
}

static const struct {
    const char *text, *message;
} bad[] = {
    { "", "the image name is empty" },
    { "Busybox", "image name 'Busybox': the repository must be lower case" },
    { "a:", "image name 'a:': '' is not a tag" },
    { "a:.x", "image name 'a:.x': '.x' is not a tag" },
    { "a:x y", "image name 'a:x y': 'x y' is not a tag" },
    { "a//b", "'a//b' is not an image name: expected [REGISTRY/]NAME[:TAG]" },
    { "/a", "'/a' is not an image name: expected [REGISTRY/]NAME[:TAG]" },
    { "a/", "'a/' is not an image name: expected [REGISTRY/]NAME[:TAG]" },
    { "-a", "'-a' is not an image name: expected [REGISTRY/]NAME[:TAG]" },
    { "a..b", "'a..b' is not an image name: expected [REGISTRY/]NAME[:TAG]" },
    { "a___b", "'a___b' is not an image name: expected [REGISTRY/]NAME[:TAG]" },
    { "../etc", "image name '../etc': '..' is not a registry host" },
    { "x.y:port/a", "image name 'x.y:port/a': 'x.y:port' is not a registry host" },
    { "-x.y/a", "image name '-x.y/a': '-x.y' is not a registry host" },
    { HEX64, "image name '" HEX64 "': 64 hexadecimal digits are an id, not a name" },
};

static void bad_names_are_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct reference *reference = NULL;
        struct error err = { 0 };

        if (reference_parse(bad[i].text, &reference, &err) != -EINVAL)
            fail_msg("'%s' was taken", bad[i].text);
        assert_string_equal(err.message, bad[i].message);
        assert_null(reference);
    }
}

static void a_digest_must_be_complete(void **state)
{
    struct reference *reference = NULL;

    (void)state;
    assert_int_equal(reference_parse("a@sha256:12", &reference, NULL), -EINVAL);
    assert_int_equal(reference_parse("a@sha256:../../x", &reference, NULL), -EINVAL);
    assert_int_equal(reference_parse("a@", &reference, NULL), -EINVAL);
}

static void long_names_and_tags_are_refused(void **state)
{
    char name[400], tagged[400];
    struct reference *reference = NULL;

    (void)state;
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(reference_parse(name, &reference, NULL), -EINVAL);
    (void)snprintf(tagged, sizeof(tagged), "a:%.129s", name);
    assert_int_equal(reference_parse(tagged, &reference, NULL), -EINVAL);
    (void)snprintf(tagged, sizeof(tagged), "a:%.128s", name);
    assert_int_equal(reference_parse(tagged, &reference, NULL), 0);
    reference_free(reference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_get_dockers_defaults),
        cmocka_unit_test(bad_names_are_refused_with_a_reason),
        cmocka_unit_test(a_digest_must_be_complete),
        cmocka_unit_test(long_names_and_tags_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
