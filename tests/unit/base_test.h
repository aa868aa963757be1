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

/* A private directory; *state is a struct test_directory. Removed by leave_directory(). */
struct test_directory {
    char path[64];
    int fd;
};

static inline int directory_of(void **state)
{
    return ((struct test_directory *)*state)->fd;
}

static inline int enter_directory(void **state)
{
    struct test_directory *directory = xcalloc(1, sizeof(*directory));

    strcpy(directory->path, "/tmp/berth-unit-XXXXXX");
    if (mkdtemp(directory->path) == NULL)
        return -1;
    directory->fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = directory;
    return directory->fd < 0 ? -1 : 0;
}

static inline int leave_directory(void **state)
{
    struct test_directory *directory = *state;
    int parent_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = path_remove_tree(parent_fd, strrchr(directory->path, '/') + 1, NULL);

    close(parent_fd);
    close(directory->fd);
    free(directory);
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
