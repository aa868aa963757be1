#include "base/digest.h"

#include <errno.h>

#include "tests/unit/base_test.h"

#define HEX64 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void a_digest_is_taken_apart(void **state)
{
    struct digest digest;
    struct digest longer;

    (void)state;
    assert_int_equal(digest_parse("sha256:" HEX64, &digest, NULL), 0);
    assert_string_equal(digest_hex(&digest), HEX64);
    assert_string_equal(digest_algorithm(&digest), "sha256");
    assert_int_equal(digest_parse("sha512:" HEX64 HEX64, &longer, NULL), 0);
    assert_string_equal(digest_algorithm(&longer), "sha512");
    assert_true(digest_equal(&digest, &digest));
    assert_false(digest_equal(&digest, &longer));
}

static void what_is_no_digest_is_refused_and_nothing_is_written(void **state)
{
    static const char *const bad[] = {
        "",
        HEX64,
        "sha256:",
        "sha256:" HEX64 "0",
        "sha512:" HEX64,
        "md5:" HEX64,
        "sha256:../../../../../../../../../../../../../../../../../../../../../x",
        "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "SHA256:" HEX64,
    };
    struct digest digest = { .text = "untouched" };
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(digest_parse(bad[i], &digest, &err), -EINVAL);
    assert_string_equal(digest.text, "untouched");
    digest_parse("sha256:x", &digest, &err);
    assert_string_equal(err.message, "'sha256:x' is not a digest: sha256 needs 64 digits 0-9a-f");
    digest_parse("md5:x", &digest, &err);
    assert_string_equal(err.message,
                        "'md5:x' is not a digest: it begins with neither sha256: nor sha512:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digest_is_taken_apart),
        cmocka_unit_test(what_is_no_digest_is_refused_and_nothing_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
