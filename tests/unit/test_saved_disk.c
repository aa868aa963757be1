#include "microvm/saved_disk.h"

#include <errno.h>

#include "base/file.h"
#include "tests/unit/base_test.h"

static char *in_directory(void **state, const char *name)
{
    return xasprintf("%s/%s", ((struct test_directory *)*state)->path, name);
}

static void a_disk_becomes_the_saved_one(void **state)
{
    auto_free char *from = in_directory(state, "saved");
    auto_free char *to = in_directory(state, "disk");
    auto_free char *text = NULL;
    struct error err = { 0 };

    put_file(directory_of(state), "saved", "saved");
    put_file(directory_of(state), "disk", "what came after");
    assert_int_equal(saved_disk_restore(from, to, &err), 0);
    assert_int_equal(file_read(AT_FDCWD, to, 100, &text, NULL, NULL), 0);
    assert_string_equal(text, "saved");
}

static void what_is_no_file_is_not_opened_as_a_disk(void **state)
{
    auto_free char *fifo = in_directory(state, "fifo");
    auto_free char *link = in_directory(state, "link");
    auto_free char *to = in_directory(state, "disk");
    struct error err = { 0 };

    put_file(directory_of(state), "disk", "old");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink(to, link), 0);
    assert_int_equal(saved_disk_restore(fifo, to, &err), -EINVAL);
    assert_non_null(strstr(err.message, "is not a regular file"));
    assert_int_equal(saved_disk_restore("/dev/zero", to, &err), -EINVAL);
    assert_int_equal(saved_disk_restore(link, to, &err), -ELOOP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_disk_becomes_the_saved_one),
        IN_DIRECTORY(what_is_no_file_is_not_opened_as_a_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
