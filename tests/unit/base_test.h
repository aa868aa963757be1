#ifndef TESTS_UNIT_BASE_TEST_H
#define TESTS_UNIT_BASE_TEST_H

/* What the tests of base/ share: cmocka with what it needs before it, and a directory to work in.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/path.h"

/* A private directory. IN_DIRECTORY() makes one for a test, whose *state it is. */
struct test_directory {
    char path[64];
    int fd;
};

static inline int directory_of(void **state)
{
    return ((struct test_directory *)*state)->fd;
}

static inline int test_directory_make(struct test_directory *directory)
{
    strcpy(directory->path, "/tmp/berth-unit-XXXXXX");
    if (mkdtemp(directory->path) == NULL)
        return -1;
    directory->fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return directory->fd < 0 ? -1 : 0;
}

/* With all that is in it. */
static inline int test_directory_remove(const struct test_directory *directory)
{
    auto_close int parent_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

    close(directory->fd);
    return path_remove_tree(parent_fd, strrchr(directory->path, '/') + 1, NULL);
}

static inline int enter_directory(void **state)
{
    *state = xcalloc(1, sizeof(struct test_directory));
    return test_directory_make(*state);
}

static inline int leave_directory(void **state)
{
    int r = test_directory_remove(*state);

    free(*state);
    return r;
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

static inline void put_file(int dir_fd, const char *name, const char *content)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

#endif
