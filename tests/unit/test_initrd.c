#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "microvm/initrd.h"

static int file_of(const char *text)
{
    int fd = memfd_create("part", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static void the_agent_comes_as_init_behind_the_modules(void **state)
{
    auto_close int program = file_of("agent");
    auto_close int modules = file_of("modules");
    AUTO(initrd) struct initrd *initrd = NULL;
    auto_free char *bytes = NULL;

    (void)state;
    assert_int_equal(initrd_open(program, modules, &initrd, NULL), 0);
    /* modules, header with name, agent, header with "TRAILER!!!": each a multiple of 4. */
    assert_int_equal(initrd_size(initrd), 8 + 116 + 8 + 124);
    bytes = xcalloc(1, initrd_size(initrd));
    assert_int_equal(initrd_read(initrd, (uint8_t *)bytes, NULL), 0);
    assert_memory_equal(bytes, "modules\0", 8);
    assert_memory_equal(bytes + 8,
                        "070701"
                        "00000001" /* inode */
                        "000081ed" /* S_IFREG | 0755 */
                        "0000000000000000"
                        "00000001"
                        "00000000"
                        "00000005" /* size */
                        "00000000000000000000000000000000"
                        "00000005" /* size of the name */
                        "00000000"
                        "init\0",
                        115);
    assert_memory_equal(bytes + 8 + 116, "agent\0\0\0", 8);
    assert_memory_equal(bytes + 8 + 116 + 8 + 110, "TRAILER!!!", 11);
}

static void without_parts_there_is_none(void **state)
{
    AUTO(initrd) struct initrd *initrd = NULL;

    (void)state;
    assert_int_equal(initrd_open(-1, -1, &initrd, NULL), 0);
    assert_int_equal(initrd_size(initrd), 0);
}

static void an_empty_part_is_refused(void **state)
{
    auto_close int program = file_of("");
    AUTO(initrd) struct initrd *initrd = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(initrd_open(program, -1, &initrd, &err), -EINVAL);
    assert_string_equal(err.message, "the agent of the initrd is 0 bytes long: it is no such file");
}

static void a_part_that_became_shorter_is_said(void **state)
{
    auto_close int program = file_of("agent");
    AUTO(initrd) struct initrd *initrd = NULL;
    auto_free uint8_t *bytes = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(initrd_open(program, -1, &initrd, NULL), 0);
    assert_int_equal(ftruncate(program, 2), 0);
    bytes = xcalloc(1, initrd_size(initrd));
    assert_int_equal(initrd_read(initrd, bytes, &err), -EIO);
    assert_string_equal(err.message, "read the agent of the initrd: it became shorter meanwhile");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_agent_comes_as_init_behind_the_modules),
        cmocka_unit_test(without_parts_there_is_none),
        cmocka_unit_test(an_empty_part_is_refused),
        cmocka_unit_test(a_part_that_became_shorter_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
