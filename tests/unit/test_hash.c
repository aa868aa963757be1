#include "base/hash.h"

#include "tests/unit/base_test.h"

static void digests_are_those_of_the_standard(void **state)
{
    struct digest digest;

    (void)state;
    hash_bytes("sha256", "", 0, &digest);
    assert_string_equal(digest.text,
                        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_bytes("sha512", "abc", 3, &digest);
    assert_string_equal(digest.text,
                        "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void pieces_give_the_digest_of_the_whole(void **state)
{
    AUTO(hash) struct hash *hash = hash_open("sha256");
    struct digest whole;
    struct digest pieces;

    (void)state;
    hash_bytes("sha256", "hello world", 11, &whole);
    hash_add(hash, "hello", 5);
    hash_add(hash, "", 0);
    hash_add(hash, " world", 6);
    hash_finish(hash, &pieces);
    assert_true(digest_equal(&whole, &pieces));
    hash_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_the_standard),
        cmocka_unit_test(pieces_give_the_digest_of_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
