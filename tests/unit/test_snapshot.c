#include "unionfs/unionfs.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void layers_come_topmost_first(void **state)
{
    AUTO_CLEAR(snapshot) struct snapshot snapshot = { 0 };
    AUTO_CLEAR(strings) struct strings options = { 0 };
    auto_free char *joined = NULL;

    (void)state;
    strings_add(&snapshot.lower, "/top");
    strings_add(&snapshot.lower, "/bottom,with:odd\\bytes");
    snapshot_mount_options(&snapshot, &options);
    joined = strings_join(&options, " ");
    assert_string_equal(joined, "lowerdir+=/top lowerdir+=/bottom,with:odd\\bytes index=off "
                                "metacopy=off redirect_dir=nofollow");
}

static void a_writable_one_has_upper_and_work(void **state)
{
    AUTO_CLEAR(snapshot) struct snapshot snapshot = { 0 };
    AUTO_CLEAR(strings) struct strings options = { 0 };

    (void)state;
    strings_add(&snapshot.lower, "/layer");
    snapshot.upper = xstrdup("/c/upper");
    snapshot.work = xstrdup("/c/work");
    snapshot_mount_options(&snapshot, &options);
    assert_true(strings_contains(&options, "upperdir=/c/upper"));
    assert_true(strings_contains(&options, "workdir=/c/work"));
    assert_false(strings_contains(&options, "volatile"));
    strings_clear(&options);
    snapshot.is_volatile = true;
    snapshot_mount_options(&snapshot, &options);
    assert_true(strings_contains(&options, "volatile"));
}

static void a_user_namespace_has_marks_of_its_own(void **state)
{
    AUTO_CLEAR(snapshot) struct snapshot snapshot = { .has_user_attributes = true };
    AUTO_CLEAR(strings) struct strings options = { 0 };

    (void)state;
    strings_add(&snapshot.lower, "/layer");
    snapshot_mount_options(&snapshot, &options);
    assert_true(strings_contains(&options, "userxattr"));
}

static void the_root_is_the_topmost_one_that_a_layer_described(void **state)
{
    char path[] = "/tmp/berth-test-snapshot-XXXXXX";
    const struct timespec never[2] = { { 0, 0 }, { 0, 0 } };
    const struct timespec then[2] = { { 5, 0 }, { 42, 7 } };
    AUTO_CLEAR(snapshot) struct snapshot snapshot = { 0 };
    struct error err = { 0 };
    struct stat st;

    (void)state;
    assert_non_null(mkdtemp(path));
    auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(
        mkdirat(fd, "top", 0755) | mkdirat(fd, "middle", 0755) | mkdirat(fd, "bottom", 0755), 0);
    assert_int_equal(fchmodat(fd, "top", 0755, 0), 0);
    assert_int_equal(fchmodat(fd, "middle", 0711, 0), 0);
    assert_int_equal(utimensat(fd, "top", never, 0), 0);
    assert_int_equal(utimensat(fd, "middle", then, 0), 0);
    strings_addf(&snapshot.lower, "%s/top", path);
    strings_addf(&snapshot.lower, "%s/middle", path);
    strings_addf(&snapshot.lower, "%s/bottom", path);
    if (snapshot_create_upper(fd, &snapshot, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(fstatat(fd, "upper", &st, 0), 0);
    /* Whoever runs the test owns the layers: with another owner than root the top counts. */
    if (geteuid() == 0) {
        assert_int_equal(st.st_mode & 07777, 0711);
        assert_int_equal(st.st_mtim.tv_sec, 42);
        assert_int_equal(st.st_mtim.tv_nsec, 7);
    }
    assert_int_equal(fstatat(fd, "work", &st, 0), 0);
    assert_int_equal(snapshot_create_upper(fd, &snapshot, &err), -EEXIST);
    assert_string_equal(err.message, "make the writable directory: File exists");
    for (size_t i = 0; i < snapshot.lower.count; i++)
        assert_int_equal(rmdir(snapshot.lower.items[i]), 0);
    assert_int_equal(unlinkat(fd, "upper", AT_REMOVEDIR) | unlinkat(fd, "work", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_come_topmost_first),
        cmocka_unit_test(a_writable_one_has_upper_and_work),
        cmocka_unit_test(a_user_namespace_has_marks_of_its_own),
        cmocka_unit_test(the_root_is_the_topmost_one_that_a_layer_described),
    };

    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
