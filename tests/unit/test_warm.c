#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/path.h"
#include "microvm/warm_snapshot.h"
#include "microvm/warm_store.h"

/* --- the key ---------------------------------------------------------------------------------- */

static void every_thing_that_makes_a_machine_another_one_changes_its_key(void **state)
{
    static struct vm_share share = { .tag = (char *)"share0" };
    static char *file = (char *)"kernel fe00 1 2 3";
    const struct vm_config plain = { .memory_bytes = 1 << 28,
                                     .cpus = 1,
                                     .backend = (char *)"qemu",
                                     .root = { .type = (char *)"erofs" } };
    struct vm_config changed[7];
    struct warm_subject subject = { .config = &plain, .boot_id = "a" };
    auto_free char *key = warm_key(&subject);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(changed); i++)
        changed[i] = plain;
    changed[0].memory_bytes = 1 << 29;
    changed[1].cpus = 2;
    changed[2].backend = (char *)"kvm";
    changed[3].console = (char *)"log";
    changed[4].cmdline = (char *)"quiet";
    changed[5].root.upper = (char *)"disk";
    changed[6].shares = (struct vm_shares){ &share, 1 };
    for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
        auto_free char *other = NULL;

        subject.config = &changed[i];
        other = warm_key(&subject);
        if (strcmp(key, other) == 0)
            fail_msg("row %zu has the same key", i);
    }
    for (int i = 0; i < 3; i++) {
        auto_free char *other = NULL;

        subject = (struct warm_subject){ .config = &plain, .boot_id = i == 0 ? "b" : "a" };
        subject.processor = i == 1 ? "AMD" : NULL;
        if (i == 2)
            subject.identity = (struct strings){ .items = &file, .count = 1 };
        other = warm_key(&subject);
        assert_string_not_equal(key, other);
    }
}

static void the_containers_own_things_are_not_in_the_key(void **state)
{
    struct vm_config config = { .backend = (char *)"qemu", .root = { .type = (char *)"erofs" } };
    struct warm_subject subject = { .config = &config, .boot_id = "a" };
    auto_free char *key = warm_key(&subject);
    auto_free char *other = NULL;

    (void)state;
    config.guest = (char *)"{}";
    config.has_terminal = true;
    other = warm_key(&subject);
    assert_string_equal(key, other);
}

/* --- the files -------------------------------------------------------------------------------- */

static char *make_directory(void)
{
    char *path = xstrdup("/tmp/berth-test-warm-XXXXXX");

    assert_non_null(mkdtemp(path));
    return path;
}

static void remove_directory(const char *path)
{
    auto_close int fd = open("/tmp", O_RDONLY | O_DIRECTORY);

    assert_int_equal(path_remove_tree(fd, path + strlen("/tmp/"), NULL), 0);
}

static int open_snapshot(const char *path, size_t interfaces, struct warm_snapshot *snapshot)
{
    auto_close int fd = open(path, O_RDONLY | O_DIRECTORY);

    return warm_snapshot_open(fd, interfaces, snapshot, NULL);
}

static void save(const char *path, bool is_committed)
{
    AUTO_CLEAR(warm_snapshot) struct warm_snapshot snapshot = warm_snapshot_empty();

    assert_int_equal(open_snapshot(path, 1, &snapshot), 0);
    assert_int_equal(snapshot.use, WARM_SAVE);
    assert_int_equal(write(snapshot.state_fd, "state", 5), 5);
    assert_int_equal(write(snapshot.memory_fd, "memory", 6), 6);
    if (is_committed)
        assert_int_equal(warm_snapshot_commit(&snapshot, NULL), 0);
}

static enum warm_use use_of(const char *path, size_t interfaces)
{
    AUTO_CLEAR(warm_snapshot) struct warm_snapshot snapshot = warm_snapshot_empty();

    assert_int_equal(open_snapshot(path, interfaces, &snapshot), 0);
    return snapshot.use;
}

static void a_whole_snapshot_is_loaded_and_cannot_be_written_to(void **state)
{
    AUTO_CLEAR(warm_snapshot) struct warm_snapshot snapshot = warm_snapshot_empty();
    auto_free char *path = make_directory();
    char text[8] = "";

    (void)state;
    save(path, true);
    assert_int_equal(open_snapshot(path, 1, &snapshot), 0);
    assert_int_equal(snapshot.use, WARM_LOAD);
    assert_int_equal(read(snapshot.state_fd, text, sizeof(text)), 5);
    assert_string_equal(text, "state");
    assert_int_equal(write(snapshot.state_fd, "x", 1), -1);
    assert_int_equal(write(snapshot.memory_fd, "x", 1), -1);
    assert_int_equal(snapshot.whole_fd, -1);
    /* A machine with another number of interfaces is another one. */
    assert_int_equal(use_of(path, 0), WARM_SAVE);
    remove_directory(path);
}

static void what_was_interrupted_or_changed_is_begun_again(void **state)
{
    static const char *const files[] = { "state.1", "memory.1", "whole.1" };
    auto_free char *path = make_directory();

    (void)state;
    save(path, false);
    assert_int_equal(use_of(path, 1), WARM_SAVE);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        auto_free char *file = path_join(path, files[i]);

        save(path, true);
        assert_int_equal(truncate(file, 3), 0);
        if (use_of(path, 1) != WARM_SAVE)
            fail_msg("row %zu is believed", i);
    }
    remove_directory(path);
}

static void one_machine_saves_and_others_do_without(void **state)
{
    AUTO_CLEAR(warm_snapshot) struct warm_snapshot first = warm_snapshot_empty();
    auto_free char *path = make_directory();

    (void)state;
    assert_int_equal(open_snapshot(path, 1, &first), 0);
    assert_int_equal(first.use, WARM_SAVE);
    assert_int_equal(use_of(path, 1), WARM_NOT);
    warm_snapshot_clear(&first);
    assert_int_equal(use_of(path, 1), WARM_SAVE);
    remove_directory(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thing_that_makes_a_machine_another_one_changes_its_key),
        cmocka_unit_test(the_containers_own_things_are_not_in_the_key),
        cmocka_unit_test(a_whole_snapshot_is_loaded_and_cannot_be_written_to),
        cmocka_unit_test(what_was_interrupted_or_changed_is_begun_again),
        cmocka_unit_test(one_machine_saves_and_others_do_without),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
