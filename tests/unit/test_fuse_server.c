/* What a hostile guest may ask for. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/fuse_guest.h"

/* --- tests ------------------------------------------------------------------------------------ */

static void nothing_is_served_before_init(void **state)
{
    (void)state;
    server_start(false, 10, 10);
    assert_int_equal(get_attributes(FUSE_ROOT_ID), -ENOTCONN);
    assert_int_equal(init_minor(7, 30), -EPROTO);
    assert_int_equal(get_attributes(FUSE_ROOT_ID), -ENOTCONN);
    /* A newer protocol gets ours, and asks again. */
    assert_int_equal(init_minor(8, 0), 0);
    assert_int_equal(((const struct fuse_init_out *)reply_body())->major, 7);
    assert_int_equal(get_attributes(FUSE_ROOT_ID), -ENOTCONN);
    assert_int_equal(init_minor(7, 31), 0);
    assert_int_equal(get_attributes(FUSE_ROOT_ID), 0);
}

static void another_init_forgets_all(void **state)
{
    uint64_t node, fh;

    (void)state;
    put_file(fixture->root_fd, "f", "text");
    assert_int_equal(look_up(FUSE_ROOT_ID, "f", &node), 0);
    assert_int_equal(open_node(FUSE_OPEN, node, O_RDONLY, &fh), 0);
    assert_int_equal(init_minor(7, 38), 0);
    assert_int_equal(get_attributes(node), -ESTALE);
    assert_int_equal(ask(FUSE_DESTROY, 0, NULL, 0, NULL, 0), 0);
    assert_int_equal(get_attributes(FUSE_ROOT_ID), -ENOTCONN);
}

static void a_made_up_number_names_no_file(void **state)
{
    const uint64_t forged[] = { 0,          2,          3,      1ull << 32,    1ull << 32 | 1,
                                UINT32_MAX, UINT64_MAX, 0x1001, 1ull << 63 | 1 };
    uint64_t fh;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
        struct fuse_rename_in rename = { .newdir = forged[i] };
        struct fuse_link_in link = { .oldnodeid = forged[i] };

        assert_int_equal(get_attributes(forged[i]), -ESTALE);
        assert_int_equal(open_node(FUSE_OPENDIR, forged[i], 0, &fh), -ESTALE);
        assert_int_equal(ask_name(FUSE_LOOKUP, forged[i], "x"), -ESTALE);
        assert_int_equal(ask(FUSE_RENAME, FUSE_ROOT_ID, &rename, sizeof(rename), "a\0b", 4),
                         -ESTALE);
        assert_int_equal(ask(FUSE_LINK, FUSE_ROOT_ID, &link, sizeof(link), "a", 2), -ESTALE);
    }
}

static void an_open_file_is_one_of_its_own_inode_until_released(void **state)
{
    struct fuse_release_in release = { 0 };
    uint64_t first, second, fh;

    (void)state;
    put_file(fixture->root_fd, "first", "one");
    put_file(fixture->root_fd, "second", "two");
    assert_int_equal(look_up(FUSE_ROOT_ID, "first", &first), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "second", &second), 0);
    assert_int_equal(open_node(FUSE_OPEN, first, O_RDONLY, &fh), 0);
    assert_int_equal(read_file(first, fh, 0, 100), 0);
    assert_memory_equal(reply_body(), "one", 3);
    assert_int_equal(read_file(second, fh, 0, 100), -EBADF);
    assert_int_equal(read_file(first, fh + 1, 0, 100), -EBADF);
    assert_int_equal(read_file(first, fh + (1ull << 32), 0, 100), -EBADF);
    assert_int_equal(read_file(first, fh, 0, FUSE_MAX_WRITE + 1), -EINVAL);
    assert_int_equal(read_file(first, fh, UINT64_MAX, 1), -EINVAL);
    release.fh = fh;
    assert_int_equal(ask(FUSE_RELEASE, first, &release, sizeof(release), NULL, 0), 0);
    assert_int_equal(ask(FUSE_RELEASE, first, &release, sizeof(release), NULL, 0), -EBADF);
    assert_int_equal(read_file(first, fh, 0, 100), -EBADF);
}

static void names_do_not_lead_out_of_the_root(void **state)
{
    static const char *const names[] = { "..", ".", "../outside", "/etc/passwd",
                                         "d/../../outside" };

    (void)state;
    assert_int_equal(mkdirat(fixture->root_fd, "d", 0755), 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(ask_name(FUSE_LOOKUP, FUSE_ROOT_ID, names[i]), -EINVAL);
        assert_int_equal(ask_name(FUSE_UNLINK, FUSE_ROOT_ID, names[i]), -EINVAL);
        assert_int_equal(create(FUSE_ROOT_ID, names[i], O_RDWR), -EINVAL);
    }
}

static void links_are_not_followed(void **state)
{
    uint64_t link, directory, node, fh;

    (void)state;
    assert_int_equal(symlinkat("../outside", fixture->root_fd, "link"), 0);
    assert_int_equal(symlinkat("..", fixture->root_fd, "up"), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "link", &link), 0);
    assert_int_equal(open_node(FUSE_OPEN, link, O_RDONLY, &fh), -EOPNOTSUPP);
    assert_int_equal(look_up(FUSE_ROOT_ID, "up", &directory), 0);
    assert_int_equal(look_up(directory, "outside", &node), -ENOTDIR);
    assert_int_equal(open_node(FUSE_OPENDIR, directory, 0, &fh), -ENOTDIR);
    assert_int_equal(create(directory, "new", O_RDWR), -ENOTDIR);
    /* Made by name, through a link that leads out: it is there already, and no file. */
    assert_int_equal(create(FUSE_ROOT_ID, "link", O_WRONLY | O_TRUNC), -EEXIST);
    assert_int_equal(create(FUSE_ROOT_ID, "link", O_WRONLY | O_EXCL), -EEXIST);
    {
        struct stat status;

        assert_int_equal(fstatat(fixture->folder_fd, "outside", &status, 0), 0);
        assert_int_equal(status.st_size, 6);
        assert_int_equal(faccessat(fixture->folder_fd, "new", F_OK, 0), -1);
    }
}

static void a_directory_that_became_a_link_is_still_the_directory(void **state)
{
    uint64_t directory, node;

    (void)state;
    assert_int_equal(mkdirat(fixture->root_fd, "d", 0755), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "d", &directory), 0);
    assert_int_equal(renameat(fixture->root_fd, "d", fixture->root_fd, "moved"), 0);
    assert_int_equal(symlinkat("..", fixture->root_fd, "d"), 0);
    assert_int_equal(look_up(directory, "outside", &node), -ENOENT);
    assert_int_equal(create(directory, "new", O_RDWR), 0);
    assert_int_equal(faccessat(fixture->root_fd, "moved/new", F_OK, 0), 0);
}

static void devices_are_not_made_and_nothing_special_is_opened(void **state)
{
    struct fuse_mknod_in in = { .mode = S_IFCHR | 0666, .rdev = 0x103 };
    uint64_t node, fh;

    (void)state;
    assert_int_equal(ask(FUSE_MKNOD, FUSE_ROOT_ID, &in, sizeof(in), "null", 5), -EPERM);
    in.mode = S_IFBLK | 0666;
    assert_int_equal(ask(FUSE_MKNOD, FUSE_ROOT_ID, &in, sizeof(in), "disk", 5), -EPERM);
    in.mode = S_IFDIR | 0777;
    assert_int_equal(ask(FUSE_MKNOD, FUSE_ROOT_ID, &in, sizeof(in), "dir", 4), -EPERM);
    in.mode = S_IFIFO | 0666;
    assert_int_equal(ask(FUSE_MKNOD, FUSE_ROOT_ID, &in, sizeof(in), "fifo", 5), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "fifo", &node), 0);
    /* None of these waits for a reader. */
    assert_int_equal(open_node(FUSE_OPEN, node, O_WRONLY, &fh), -EOPNOTSUPP);
    assert_int_equal(create(FUSE_ROOT_ID, "fifo", O_WRONLY), -EEXIST);
    {
        struct fuse_setattr_in set = { .valid = FATTR_SIZE };

        assert_int_equal(ask(FUSE_SETATTR, node, &set, sizeof(set), NULL, 0), -EOPNOTSUPP);
    }
}

static void a_read_only_directory_is_not_changed(void **state)
{
    uint64_t node, fh;
    static const uint8_t zeroes[128];

    (void)state;
    put_file(fixture->root_fd, "f", "text");
    server_start(true, 100, 100);
    assert_int_equal(init_minor(7, 38), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "f", &node), 0);
    assert_int_equal(open_node(FUSE_OPEN, node, O_RDWR, &fh), -EROFS);
    assert_int_equal(open_node(FUSE_OPEN, node, O_RDONLY | O_TRUNC, &fh), -EROFS);
    assert_int_equal(open_node(FUSE_OPEN, node, O_RDONLY, &fh), 0);
    assert_int_equal(read_file(node, fh, 0, 10), 0);
    assert_int_equal(create(FUSE_ROOT_ID, "new", O_RDWR), -EROFS);
    assert_int_equal(ask_name(FUSE_UNLINK, FUSE_ROOT_ID, "f"), -EROFS);
    assert_int_equal(ask_name(FUSE_RMDIR, FUSE_ROOT_ID, "f"), -EROFS);
    assert_int_equal(ask_name(FUSE_REMOVEXATTR, node, "user.x"), -EROFS);
    assert_int_equal(ask(FUSE_SYMLINK, FUSE_ROOT_ID, NULL, 0, "l\0t", 4), -EROFS);
    assert_int_equal(ask(FUSE_MKDIR, FUSE_ROOT_ID, zeroes, 8, "d", 2), -EROFS);
    assert_int_equal(ask(FUSE_MKNOD, FUSE_ROOT_ID, zeroes, 16, "n", 2), -EROFS);
    assert_int_equal(ask(FUSE_RENAME, FUSE_ROOT_ID, zeroes, 8, "f\0g", 4), -EROFS);
    assert_int_equal(ask(FUSE_RENAME2, FUSE_ROOT_ID, zeroes, 16, "f\0g", 4), -EROFS);
    assert_int_equal(ask(FUSE_LINK, FUSE_ROOT_ID, zeroes, 8, "g", 2), -EROFS);
    assert_int_equal(ask(FUSE_SETATTR, node, zeroes, 88, NULL, 0), -EROFS);
    assert_int_equal(ask(FUSE_WRITE, node, zeroes, 40, NULL, 0), -EROFS);
    assert_int_equal(ask(FUSE_FALLOCATE, node, zeroes, 32, NULL, 0), -EROFS);
    assert_int_equal(ask(FUSE_COPY_FILE_RANGE, node, zeroes, 56, NULL, 0), -EROFS);
    assert_int_equal(ask(FUSE_TMPFILE, FUSE_ROOT_ID, zeroes, 16, "n", 2), -EROFS);
    assert_int_equal(ask(FUSE_SETXATTR, node, zeroes, 8, "user.x", 7), -EROFS);
}

static void what_was_forgotten_is_gone_and_more_than_known_is_no_harm(void **state)
{
    struct fuse_forget_in forget = { .nlookup = 1 };
    uint64_t node, again;

    (void)state;
    put_file(fixture->root_fd, "f", "text");
    assert_int_equal(look_up(FUSE_ROOT_ID, "f", &node), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "f", &again), 0);
    assert_true(node == again);
    (void)ask(FUSE_FORGET, node, &forget, sizeof(forget), NULL, 0);
    assert_int_equal(fixture->reply_length, 0);
    assert_int_equal(get_attributes(node), 0);
    forget.nlookup = UINT64_MAX;
    (void)ask(FUSE_FORGET, node, &forget, sizeof(forget), NULL, 0);
    assert_int_equal(get_attributes(node), -ESTALE);
    (void)ask(FUSE_FORGET, node, &forget, sizeof(forget), NULL, 0);
    (void)ask(FUSE_FORGET, FUSE_ROOT_ID, &forget, sizeof(forget), NULL, 0);
    assert_int_equal(get_attributes(FUSE_ROOT_ID), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "f", &again), 0);
    assert_true(node != again);
}

static void an_open_file_outlives_being_forgotten(void **state)
{
    struct fuse_forget_in forget = { .nlookup = 1 };
    uint64_t node, fh;

    (void)state;
    put_file(fixture->root_fd, "f", "text");
    assert_int_equal(look_up(FUSE_ROOT_ID, "f", &node), 0);
    assert_int_equal(open_node(FUSE_OPEN, node, O_RDONLY, &fh), 0);
    (void)ask(FUSE_FORGET, node, &forget, sizeof(forget), NULL, 0);
    assert_int_equal(read_file(node, fh, 0, 10), 0);
}

static void more_files_than_descriptors_are_known(void **state)
{
    uint64_t nodes[60];
    uint64_t fh;
    char name[32];

    (void)state;
    server_start(false, 100, 8);
    assert_int_equal(init_minor(7, 38), 0);
    assert_int_equal(mkdirat(fixture->root_fd, "d", 0755), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "d", &nodes[0]), 0);
    for (size_t i = 1; i < ARRAY_SIZE(nodes); i++) {
        (void)snprintf(name, sizeof(name), "d/%zu", i);
        put_file(fixture->root_fd, name, name);
        assert_int_equal(look_up(nodes[0], name + 2, &nodes[i]), 0);
    }
    for (size_t i = 1; i < ARRAY_SIZE(nodes); i++) {
        struct fuse_release_in release = { 0 };

        (void)snprintf(name, sizeof(name), "d/%zu", i);
        assert_int_equal(open_node(FUSE_OPEN, nodes[i], O_RDONLY, &fh), 0);
        assert_int_equal(read_file(nodes[i], fh, 0, 100), 0);
        assert_memory_equal(reply_body(), name, strlen(name));
        release.fh = fh;
        assert_int_equal(ask(FUSE_RELEASE, nodes[i], &release, sizeof(release), NULL, 0), 0);
    }
}

static void a_file_that_was_closed_and_replaced_is_stale_until_looked_up(void **state)
{
    uint64_t replaced, moved, node;
    char name[32];

    (void)state;
    server_start(false, 100, 8);
    assert_int_equal(init_minor(7, 38), 0);
    put_file(fixture->root_fd, "replaced", "old");
    put_file(fixture->root_fd, "moved", "old");
    assert_int_equal(look_up(FUSE_ROOT_ID, "replaced", &replaced), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "moved", &moved), 0);
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        put_file(fixture->root_fd, name, "x");
        assert_int_equal(look_up(FUSE_ROOT_ID, name, &node), 0);
    }
    put_file(fixture->root_fd, "new", "new");
    assert_int_equal(renameat(fixture->root_fd, "new", fixture->root_fd, "replaced"), 0);
    assert_int_equal(renameat(fixture->root_fd, "moved", fixture->root_fd, "there"), 0);
    assert_int_equal(get_attributes(replaced), -ESTALE);
    assert_int_equal(get_attributes(moved), -ESTALE);
    assert_int_equal(look_up(FUSE_ROOT_ID, "there", &node), 0);
    assert_true(node == moved);
    assert_int_equal(get_attributes(moved), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "replaced", &node), 0);
    assert_true(node != replaced);
}

static void there_is_an_end_to_files_and_to_open_ones(void **state)
{
    uint64_t node, fh;
    unsigned opened = 0;

    (void)state;
    server_start(false, 3, 8);
    assert_int_equal(init_minor(7, 38), 0);
    put_file(fixture->root_fd, "1", "");
    put_file(fixture->root_fd, "2", "");
    put_file(fixture->root_fd, "3", "");
    assert_int_equal(look_up(FUSE_ROOT_ID, "1", &node), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "2", &node), 0);
    assert_int_equal(look_up(FUSE_ROOT_ID, "3", &node), -ENFILE);
    assert_int_equal(look_up(FUSE_ROOT_ID, "2", &node), 0);
    while (opened < 20 && open_node(FUSE_OPEN, node, O_RDONLY, &fh) == 0)
        opened++;
    assert_in_range(opened, 5, 8);
    assert_int_equal(open_node(FUSE_OPEN, node, O_RDONLY, &fh), -ENFILE);
    assert_int_equal(get_attributes(node), 0);
}

static void a_lock_is_known_by_its_owner(void **state)
{
    struct fuse_lk_in in = { .owner = 1, .lk = { .end = INT64_MAX, .type = F_WRLCK } };
    struct fuse_flush_in flush = { .lock_owner = 1 };
    uint64_t node;

    (void)state;
    put_file(fixture->root_fd, "f", "text");
    assert_int_equal(look_up(FUSE_ROOT_ID, "f", &node), 0);
    assert_int_equal(open_node(FUSE_OPEN, node, O_RDWR, &in.fh), 0);
    flush.fh = in.fh;
    assert_int_equal(ask(FUSE_SETLK, node, &in, sizeof(in), NULL, 0), 0);
    assert_int_equal(ask(FUSE_SETLK, node, &in, sizeof(in), NULL, 0), 0);
    in.owner = 2;
    assert_int_equal(ask(FUSE_SETLK, node, &in, sizeof(in), NULL, 0), -EAGAIN);
    assert_int_equal(ask(FUSE_FLUSH, node, &flush, sizeof(flush), NULL, 0), 0);
    assert_int_equal(ask(FUSE_SETLK, node, &in, sizeof(in), NULL, 0), 0);
    in.lk.start = UINT64_MAX;
    assert_int_equal(ask(FUSE_SETLK, node, &in, sizeof(in), NULL, 0), -EINVAL);
    in.lk = (struct fuse_file_lock){ .start = 5, .end = 4, .type = F_RDLCK };
    assert_int_equal(ask(FUSE_GETLK, node, &in, sizeof(in), NULL, 0), -EINVAL);
    in.lk = (struct fuse_file_lock){ .type = 77 };
    assert_int_equal(ask(FUSE_SETLK, node, &in, sizeof(in), NULL, 0), -EINVAL);
}

static void a_wait_for_a_lock_ends_with_the_server(void **state)
{
    struct fuse_lk_in in = { .owner = 1, .lk = { .end = INT64_MAX, .type = F_WRLCK } };
    uint64_t node;

    (void)state;
    put_file(fixture->root_fd, "f", "text");
    assert_int_equal(look_up(FUSE_ROOT_ID, "f", &node), 0);
    assert_int_equal(open_node(FUSE_OPEN, node, O_RDWR, &in.fh), 0);
    assert_int_equal(ask(FUSE_SETLK, node, &in, sizeof(in), NULL, 0), 0);
    in.owner = 2;
    (void)ask(FUSE_SETLKW, node, &in, sizeof(in), NULL, 0);
    assert_int_equal(fixture->reply_length, 0);
    fuse_server_free(fixture->server);
    fixture->server = NULL;
}

static void the_root_has_no_parent(void **state)
{
    struct fuse_read_in in = { .size = 4096 };
    struct stat status;
    bool is_found = false;

    (void)state;
    assert_int_equal(fstat(fixture->root_fd, &status), 0);
    assert_int_equal(open_node(FUSE_OPENDIR, FUSE_ROOT_ID, 0, &in.fh), 0);
    assert_int_equal(ask(FUSE_READDIR, FUSE_ROOT_ID, &in, sizeof(in), NULL, 0), 0);
    for (size_t offset = sizeof(struct fuse_out_header); offset < fixture->reply_length;) {
        const struct fuse_dirent *entry = (const void *)(fixture->reply + offset);

        if (entry->namelen == 2 && memcmp(entry->name, "..", 2) == 0) {
            assert_true(entry->ino == status.st_ino);
            is_found = true;
        }
        offset += FUSE_DIRENT_SIZE(entry);
    }
    assert_true(is_found);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(nothing_is_served_before_init),
        CASE(another_init_forgets_all),
        CASE(a_made_up_number_names_no_file),
        CASE(an_open_file_is_one_of_its_own_inode_until_released),
        CASE(names_do_not_lead_out_of_the_root),
        CASE(links_are_not_followed),
        CASE(a_directory_that_became_a_link_is_still_the_directory),
        CASE(devices_are_not_made_and_nothing_special_is_opened),
        CASE(a_read_only_directory_is_not_changed),
        CASE(what_was_forgotten_is_gone_and_more_than_known_is_no_harm),
        CASE(an_open_file_outlives_being_forgotten),
        CASE(more_files_than_descriptors_are_known),
        CASE(a_file_that_was_closed_and_replaced_is_stale_until_looked_up),
        CASE(there_is_an_end_to_files_and_to_open_ones),
        CASE(a_lock_is_known_by_its_owner),
        CASE(a_wait_for_a_lock_ends_with_the_server),
        CASE(the_root_has_no_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
