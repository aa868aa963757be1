#include "base/staging.h"

#include <dirent.h>
#include <errno.h>

#include "tests/unit/base_test.h"

static int count_names(int dir_fd, const char *name)
{
    struct dirent **names;
    int count = scandirat(dir_fd, name, &names, NULL, NULL);

    for (int i = 0; i < count; i++)
        free(names[i]);
    if (count >= 0)
        free(names);
    return count - 2;
}

static void a_staging_directory_goes_with_its_owner(void **state)
{
    struct staging *staging = NULL;

    assert_int_equal(staging_create(directory_of(state), &staging, NULL), 0);
    assert_int_equal(count_names(directory_of(state), "staging"), 2);
    put_file(staging->fd, "file", "x");
    staging_free(staging);
    staging_free(NULL);
    assert_int_equal(count_names(directory_of(state), "staging"), 0);
}

static void what_was_renamed_away_stays(void **state)
{
    int dir_fd = directory_of(state);
    struct staging *staging = NULL;
    struct stat status;

    assert_int_equal(staging_create(dir_fd, &staging, NULL), 0);
    put_file(staging->fd, "file", "x");
    assert_int_equal(renameat(staging->parent_fd, staging->name, dir_fd, "layer"), 0);
    staging_free(staging);
    assert_int_equal(fstatat(dir_fd, "layer/file", &status, 0), 0);
    assert_int_equal(count_names(dir_fd, "staging"), 0);
}

static void only_what_nobody_holds_is_cleaned(void **state)
{
    int dir_fd = directory_of(state);
    struct staging *alive = NULL;
    struct staging *dead = NULL;

    assert_int_equal(staging_clean(dir_fd, NULL), 0);
    assert_int_equal(staging_create(dir_fd, &alive, NULL), 0);
    assert_int_equal(staging_create(dir_fd, &dead, NULL), 0);
    put_file(dead->fd, "file", "x");
    close(dead->lock_fd);
    dead->lock_fd = -1;
    mkdirat(dir_fd, "staging/without-a-lock", 0700);
    mkdirat(dir_fd, "trash", 0700);
    mkdirat(dir_fd, "trash/left", 0700);
    assert_int_equal(staging_clean(dir_fd, NULL), 0);
    assert_int_equal(count_names(dir_fd, "staging"), 2);
    assert_int_equal(count_names(dir_fd, "trash"), 0);
    put_file(alive->fd, "file", "x");
    staging_free(alive);
    staging_free(dead);
    assert_int_equal(count_names(dir_fd, "staging"), 0);
}

static void what_is_discarded_is_gone(void **state)
{
    int dir_fd = directory_of(state);
    struct stat status;

    path_make_directories(dir_fd, "layers/a/b", 0700, NULL, NULL);
    assert_int_equal(staging_discard(dir_fd, dir_fd, "layers", NULL), 0);
    assert_int_equal(fstatat(dir_fd, "layers", &status, 0), -1);
    assert_int_equal(count_names(dir_fd, "trash"), 0);
    assert_int_equal(staging_discard(dir_fd, dir_fd, "layers", NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_staging_directory_goes_with_its_owner),
        IN_DIRECTORY(what_was_renamed_away_stays),
        IN_DIRECTORY(only_what_nobody_holds_is_cleaned),
        IN_DIRECTORY(what_is_discarded_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
