#include "tests/unit/base_test.h"

#include <errno.h>

#include "runtime/runtime.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "# a comment\n"
                             "\n"
                             "broken\n"
                             "big:x:4294967295:0::/:\n"
                             "text:x:abc:0::/:\n"
                             "huge:x:18446744073709551616:0::/:\n"
                             "1000:x:0:0:looks like an id:/evil:/bin/sh\n"
                             "alice:x:1000:1001:Alice:/home/alice:/bin/sh\n"
                             "bob:x:1002:1002::relative:/bin/sh\n"
                             "nohome:x:1003:1003\n"
                             "last:x:1004:1004::/last:/bin/sh";

static const char group[] = "root:x:0:\n"
                            "wheel:x:10:root,alice\n"
                            "users:x:100:bob\n"
                            "audio:x:29:alice,bob,alice\n"
                            "ali:x:30:ali\n"
                            "odd:x:-1:alice\n"
                            "77:x:78:\n"
                            "broken\n"
                            "alice:x:1001:";

static void make_image(int fd)
{
    assert_int_equal(mkdirat(fd, "etc", 0755), 0);
    put_file(fd, "etc/passwd", passwd);
    put_file(fd, "etc/group", group);
}

static void users_and_groups_are_found(void **state)
{
    int fd = directory_of(state);
    static const struct {
        const char *text;
        uint32_t uid, gid;
        const char *home;
        size_t gid_count;
        uint32_t gids[3];
    } rows[] = {
        { "", 0, 0, "/root", 1, { 10 } },
        { "root", 0, 0, "/root", 1, { 10 } },
        { "0", 0, 0, "/root", 1, { 10 } },
        { "alice", 1000, 1001, "/home/alice", 2, { 10, 29 } },
        { "1000", 1000, 1001, "/home/alice", 2, { 10, 29 } }, /* an id, never a name */
        { "alice:audio", 1000, 29, "/home/alice", 0, { 0 } },
        { "alice:7", 1000, 7, "/home/alice", 0, { 0 } },
        { "alice:77", 1000, 77, "/home/alice", 0, { 0 } },
        { "12345", 12345, 0, "/", 0, { 0 } },
        { "12345:wheel", 12345, 10, "/", 0, { 0 } },
        { "4294967294:4294967294", 4294967294, 4294967294, "/", 0, { 0 } },
        { "bob", 1002, 1002, "/", 2, { 100, 29 } },
        { "nohome", 1003, 1003, "/", 0, { 0 } },
        { "last", 1004, 1004, "/last", 0, { 0 } },
        { "007", 7, 0, "/", 0, { 0 } },
    };

    make_image(fd);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct spec_user user = { .uid = 99, .has_umask = true, .umask = 022 };
        auto_free char *home = NULL;
        struct error err = { 0 };

        if (user_resolve(fd, rows[i].text, &user, &home, &err) < 0)
            fail_msg("'%s': %s", rows[i].text, err.message);
        if (user.uid != rows[i].uid || user.gid != rows[i].gid ||
            user.additional_gids.count != rows[i].gid_count)
            fail_msg("'%s': %u:%u and %zu groups", rows[i].text, user.uid, user.gid,
                     user.additional_gids.count);
        for (size_t j = 0; j < rows[i].gid_count; j++)
            assert_int_equal(user.additional_gids.items[j], rows[i].gids[j]);
        assert_string_equal(home, rows[i].home);
        assert_int_equal(user.umask, 022);
        free(user.additional_gids.items);
    }
}

static void what_is_no_user_is_refused(void **state)
{
    int fd = directory_of(state);
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "carol", "no user 'carol' in the image's /etc/passwd" },
        { "ALICE", "no user 'ALICE' in the image's /etc/passwd" },
        { "alic", "no user 'alic' in the image's /etc/passwd" },
        { " 0", "no user ' 0' in the image's /etc/passwd" },
        { "+0", "no user '+0' in the image's /etc/passwd" },
        { "-1", "no user '-1' in the image's /etc/passwd" },
        { "0x0", "no user '0x0' in the image's /etc/passwd" },
        { "a\nb", "no user 'a\\x0ab' in the image's /etc/passwd" },
        { "4294967295", "user id: '4294967295' is not a number from 0 to 4294967294" },
        { "4294967296", "user id: '4294967296' is not a number from 0 to 4294967294" },
        { "18446744073709551616",
          "user id: '18446744073709551616' is not a number from 0 to 4294967294" },
        { "0:4294967295", "group id: '4294967295' is not a number from 0 to 4294967294" },
        { "big", "user 'big' has no proper uid in the image's /etc/passwd" },
        { "text", "user 'text' has no proper uid in the image's /etc/passwd" },
        { "huge", "user 'huge' has no proper uid in the image's /etc/passwd" },
        { "broken", "user 'broken' has no proper uid in the image's /etc/passwd" },
        { "alice:nogroup", "no group 'nogroup' in the image's /etc/group" },
        { "alice:odd", "group 'odd' has no proper gid in the image's /etc/group" },
        { "alice:wheel:x", "no group 'wheel:x' in the image's /etc/group" },
        { "alice:", "user 'alice:' is not NAME|UID[:GROUP|GID]" },
        { ":wheel", "user ':wheel' is not NAME|UID[:GROUP|GID]" },
    };

    make_image(fd);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct spec_user user = { .uid = 99 };
        char *home = NULL;
        struct error err = { 0 };

        if (user_resolve(fd, rows[i].text, &user, &home, &err) != -EINVAL ||
            strcmp(err.message, rows[i].message) != 0)
            fail_msg("'%s': %s", rows[i].text, err.message);
        assert_int_equal(user.uid, 99);
        assert_null(home);
    }
}

static void without_files_only_ids_are_known(void **state)
{
    int fd = directory_of(state);
    struct spec_user user = { 0 };
    auto_free char *home = NULL;
    struct error err = { 0 };

    assert_int_equal(user_resolve(fd, "5:6", &user, &home, &err), 0);
    assert_int_equal(user.uid, 5);
    assert_int_equal(user.gid, 6);
    assert_string_equal(home, "/");
    assert_int_equal(user_resolve(fd, NULL, &user, NULL, &err), 0);
    assert_int_equal(user.uid, 0);
    assert_int_equal(user_resolve(fd, "root", &user, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "no user 'root' in the image's /etc/passwd");
    put_file(fd, "etc", "a file where a directory should be");
    assert_int_equal(user_resolve(fd, "root", &user, NULL, &err), -EINVAL);
}

static void a_group_alone_is_resolved(void **state)
{
    int fd = directory_of(state);
    uint32_t gid = 0;
    struct error err = { 0 };

    make_image(fd);
    assert_int_equal(user_resolve_group(fd, "wheel", &gid, &err), 0);
    assert_int_equal(gid, 10);
    assert_int_equal(user_resolve_group(fd, "77", &gid, &err), 0);
    assert_int_equal(gid, 77);
    assert_int_equal(user_resolve_group(fd, "alice", &gid, &err), 0);
    assert_int_equal(gid, 1001);
    assert_int_equal(user_resolve_group(fd, "", &gid, &err), -EINVAL);
    assert_string_equal(err.message, "no group '' in the image's /etc/group");
}

static void links_lead_inside_the_image_only(void **state)
{
    int fd = directory_of(state);
    struct spec_user user = { 0 };
    struct error err = { 0 };

    assert_int_equal(mkdirat(fd, "etc", 0755), 0);
    assert_int_equal(mkdirat(fd, "usr", 0755), 0);
    /* Outside the image there surely is a root in this file. */
    assert_int_equal(symlinkat("../../../../../../etc/passwd", fd, "etc/passwd"), 0);
    assert_true(user_resolve(fd, "root", &user, NULL, &err) < 0);
    assert_int_equal(unlinkat(fd, "etc/passwd", 0), 0);
    put_file(fd, "usr/passwd", "inside:x:5:6::/:\n");
    assert_int_equal(symlinkat("/usr/passwd", fd, "etc/passwd"), 0);
    assert_int_equal(user_resolve(fd, "inside", &user, NULL, &err), 0);
    assert_int_equal(user.uid, 5);
}

static void special_files_are_not_read(void **state)
{
    int fd = directory_of(state);
    struct spec_user user = { 0 };
    struct error err = { 0 };

    assert_int_equal(mkdirat(fd, "etc", 0755), 0);
    assert_int_equal(mkfifoat(fd, "etc/passwd", 0644), 0);
    assert_int_equal(user_resolve(fd, "root", &user, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "the image's /etc/passwd is not a regular file");
    assert_int_equal(unlinkat(fd, "etc/passwd", 0), 0);
    assert_int_equal(mkdirat(fd, "etc/passwd", 0755), 0);
    assert_int_equal(user_resolve(fd, "root", &user, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "the image's /etc/passwd is not a regular file");
}

static void a_huge_file_is_refused(void **state)
{
    int fd = directory_of(state);
    struct spec_user user = { 0 };
    struct error err = { 0 };
    int file_fd;

    make_image(fd);
    file_fd = openat(fd, "etc/passwd", O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(file_fd, (1 << 20) + 1), 0);
    close(file_fd);
    assert_int_equal(user_resolve(fd, "alice", &user, NULL, &err), -EFBIG);
}

static void too_many_groups_are_refused(void **state)
{
    int fd = directory_of(state);
    struct spec_user user = { 0 };
    struct text groups = { 0 };
    struct error err = { 0 };

    make_image(fd);
    for (int i = 0; i <= 65536; i++)
        text_add(&groups, "::1:alice\n");
    put_file(fd, "etc/group", groups.data);
    assert_int_equal(user_resolve(fd, "alice", &user, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "user 'alice' is in more than 65536 groups of the image");
    text_clear(&groups);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(users_and_groups_are_found),       IN_DIRECTORY(what_is_no_user_is_refused),
        IN_DIRECTORY(without_files_only_ids_are_known), IN_DIRECTORY(a_group_alone_is_resolved),
        IN_DIRECTORY(links_lead_inside_the_image_only), IN_DIRECTORY(special_files_are_not_read),
        IN_DIRECTORY(a_huge_file_is_refused),           IN_DIRECTORY(too_many_groups_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
