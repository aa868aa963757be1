#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/guest_files.h"

/* What a guest sends, and what is believed of it. */

static int add_line(const struct change *change, void *context, struct error *err)
{
    (void)err;
    strings_addf(context, "%d %s %s", (int)change->kind, change->path, change->name);
    return 0;
}

static int read_list(const char *bytes, size_t length, struct strings *lines, struct error *err)
{
    auto_close int fd = memfd_create("list", MFD_CLOEXEC);

    assert_int_equal(write(fd, bytes, length), length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return guest_changes_read(fd, add_line, lines, err);
}

static void changes_are_told_as_the_guest_lists_them(void **state)
{
    static const char list[] = "Cetc\0Aetc/a b\nc\0D\x1b[2J/\xff";
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(read_list(list, sizeof(list), &lines, &err), 0);
    assert_int_equal(lines.count, 3);
    assert_string_equal(lines.items[0], "0 etc etc");
    assert_string_equal(lines.items[1], "1 etc/a b\nc a b\nc");
    assert_string_equal(lines.items[2], "2 \x1b[2J/\xff \xff");
}

static void what_is_no_list_of_paths_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *message;
    } rows[] = {
        { "X/etc\0", 6, "the guest lists a change of an unknown kind" },
        { "\0", 1, "the guest lists a change of an unknown kind" },
        { "C\0", 2, "the guest lists a path that no file can have" },
        { "A/etc\0", 6, "the guest lists a path that no file can have" },
        { "Aetc/\0", 6, "the guest lists a path that no file can have" },
        { "Aa//b\0", 6, "the guest lists a path that no file can have" },
        { "Aa/./b\0", 7, "the guest lists a path that no file can have" },
        { "A../b\0", 6, "the guest lists a path that no file can have" },
        { "Aa/..\0", 6, "the guest lists a path that no file can have" },
        { "Aetc", 4, "the guest's list ends early" },
        { "Aetc\0C", 6, "the guest's list ends early" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(strings) struct strings lines = { 0 };
        struct error err = { 0 };

        if (read_list(rows[i].bytes, rows[i].length, &lines, &err) != -EBADMSG ||
            strcmp(err.message, rows[i].message) != 0)
            fail_msg("row %zu: %s", i, err.message);
    }
}

static void a_path_without_an_end_is_not_waited_for(void **state)
{
    auto_free char *bytes = xcalloc(1, 200000);
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    struct error err = { 0 };

    (void)state;
    memset(bytes, 'A', 200000);
    assert_int_equal(read_list(bytes, 200000, &lines, &err), -EBADMSG);
    assert_string_equal(err.message, "the guest lists a path that is too long");
    assert_int_equal(lines.count, 0);
}

static void lists_longer_than_a_buffer_come_whole(void **state)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    AUTO_CLEAR(text) struct text list = { 0 };
    struct error err = { 0 };

    (void)state;
    for (int i = 0; i < 30000; i++) {
        text_addf(&list, "Adir/file-%d", i);
        text_add_bytes(&list, "", 1);
    }
    assert_int_equal(read_list(list.data, list.length, &lines, &err), 0);
    assert_int_equal(lines.count, 30000);
    assert_string_equal(lines.items[29999], "1 dir/file-29999 file-29999");
}

static void a_report_is_one_line_for_each_text(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        int r;
        const char *message, *warning;
    } rows[] = {
        { "", 0, 0, "", NULL },
        { "W'/a' is a socket\0", 18, 0, "", "'/a' is a socket" },
        { "W\x1b]0;x\x07\nb\x7f\0", 11, 0, "", "?]0;x??b?" },
        { "E2 there is no 'x'\0", 19, -2, "there is no 'x'", NULL },
        { "Wa\0E28 no space\nleft\0", 21, -28, "no space?left", "a" },
        { "E0 zero\0", 8, -EIO, "zero", NULL },
        { "E-5 minus\0", 10, -EIO, "minus", NULL },
        { "E99999999999999999999 much\0", 27, -EIO, "much", NULL },
        { "E\0", 2, -EIO, "the guest does not say why", NULL },
        { "E5 without an end", 17, 0, "", NULL },
        { "Qwhat\0", 6, 0, "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(strings) struct strings warnings = { 0 };
        struct error err = { 0 };
        int r = guest_report_parse(rows[i].bytes, rows[i].length, &warnings, &err);

        if (r != rows[i].r || strcmp(err.message, rows[i].message) != 0)
            fail_msg("row %zu: %d %s", i, r, err.message);
        assert_int_equal(warnings.count, rows[i].warning != NULL ? 1 : 0);
        if (rows[i].warning != NULL)
            assert_string_equal(warnings.items[0], rows[i].warning);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_told_as_the_guest_lists_them),
        cmocka_unit_test(what_is_no_list_of_paths_is_refused),
        cmocka_unit_test(a_path_without_an_end_is_not_waited_for),
        cmocka_unit_test(lists_longer_than_a_buffer_come_whole),
        cmocka_unit_test(a_report_is_one_line_for_each_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
