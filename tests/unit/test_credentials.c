#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "image/credentials.h"
#include "image/credentials_json.h"

static const char json[] =
    "{\"auths\": {\"quay.io\": {\"auth\": \"YTpi\"}, \"quay.io/team\": {\"auth\": \"Yzpk\"},"
    " \"https://index.docker.io/v1/\": {\"auth\": \"aHViOnB3\"},"
    " \"https://old.test/v2/\": {\"username\": \"u\", \"password\": \"p\"},"
    " \"token.test\": {\"auth\": \"eDo=\", \"identitytoken\": \"t\"},"
    " \"bad.test\": {\"auth\": \"***\"}, \"half.test\": {\"auth\": \"YWJj\"}},"
    " \"credHelpers\": {\"gcr.io\": \"gcloud\"}, \"detachKeys\": \"ctrl-x\"}";

static void the_most_specific_key_counts(void **state)
{
    static const struct {
        const char *registry, *repository, *username, *password, *token;
    } rows[] = {
        { "quay.io", "other/app", "a", "b", NULL },
        { "quay.io", "team/app", "c", "d", NULL },
        { "quay.io", "team", "c", "d", NULL },
        { "quay.io", "teams/app", "a", "b", NULL },
        { "docker.io", "library/busybox", "hub", "pw", NULL },
        { "old.test", "a", "u", "p", NULL },
        { "token.test", "a", "x", "", "t" },
        { "none.test", "quay.io", NULL, NULL, NULL },
    };
    AUTO_CLEAR(auth_file) struct auth_file file = { 0 };

    (void)state;
    assert_int_equal(auth_file_decode(json, strlen(json), false, &file, NULL), 0);
    assert_string_equal(string_map_get(&file.helpers, "gcr.io"), "gcloud");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(strings) struct strings keys = { 0 };
        AUTO_CLEAR(credential) struct credential credential = { 0 };
        const struct auth_entry *entry;

        print_message("%s/%s\n", rows[i].registry, rows[i].repository);
        credential_keys(rows[i].registry, rows[i].repository, &keys);
        entry = auth_file_find(&file, &keys);
        if (entry != NULL)
            assert_int_equal(auth_entry_read(entry, &credential, NULL), 0);
        assert_true(text_equal(credential.username, rows[i].username));
        assert_true(text_equal(credential.password, rows[i].password));
        assert_true(text_equal(credential.identity_token, rows[i].token));
    }
}

static void a_damaged_login_is_told_not_left_out(void **state)
{
    static const struct {
        const char *registry, *message;
    } rows[] = {
        { "bad.test", "its member 'auth' is no base64" },
        { "half.test", "its member 'auth' is no name and password" },
    };
    AUTO_CLEAR(auth_file) struct auth_file file = { 0 };

    (void)state;
    assert_int_equal(auth_file_decode(json, strlen(json), false, &file, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(strings) struct strings keys = { 0 };
        struct credential credential = { 0 };
        struct error err = { 0 };

        credential_keys(rows[i].registry, NULL, &keys);
        assert_int_equal(auth_entry_read(auth_file_find(&file, &keys), &credential, &err), -EINVAL);
        assert_string_equal(err.message, rows[i].message);
        assert_null(credential.username);
    }
}

static void dockers_oldest_file_is_the_entries_alone(void **state)
{
    static const char old[] = "{\"quay.io\": {\"auth\": \"YTpi\", \"email\": \"x\"}}";
    AUTO_CLEAR(auth_file) struct auth_file file = { 0 };

    (void)state;
    assert_int_equal(auth_file_decode(old, strlen(old), true, &file, NULL), 0);
    assert_int_equal(file.auths.count, 1);
    assert_string_equal(file.auths.items[0].key, "quay.io");
}

static void an_edit_leaves_other_members_alone(void **state)
{
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    AUTO_CLEAR(auth_file) struct auth_file file = { 0 };
    auto_free char *changed = NULL;
    auto_free char *again = NULL;

    (void)state;
    strings_add(&keys, "quay.io");
    strings_add(&keys, "https://old.test/v2/");
    assert_int_equal(auth_file_edit(json, strlen(json), &keys, "bmV3OnB3", NULL, &changed, NULL),
                     2);
    assert_non_null(strstr(changed, "\"detachKeys\": \"ctrl-x\""));
    assert_int_equal(auth_file_decode(changed, strlen(changed), false, &file, NULL), 0);
    assert_int_equal(file.auths.count, 6);
    assert_string_equal(auth_file_find(&file, &keys)->auth, "bmV3OnB3");
    assert_int_equal(auth_file_edit(changed, strlen(changed), &keys, NULL, NULL, &again, NULL), 1);
    assert_null(strstr(again, "bmV3OnB3"));
    assert_int_equal(auth_file_edit("[]", 2, &keys, NULL, NULL, &again, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_specific_key_counts),
        cmocka_unit_test(a_damaged_login_is_told_not_left_out),
        cmocka_unit_test(dockers_oldest_file_is_the_entries_alone),
        cmocka_unit_test(an_edit_leaves_other_members_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
