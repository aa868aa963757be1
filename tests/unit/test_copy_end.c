#include "unionfs/unionfs.h"

#include "tests/unit/base_test.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/tar_writer.h"

/* The host's end of a copy, when the other one lies about what it sends. */

static struct test_directory top;

static int begin(void **state)
{
    (void)state;
    return test_directory_make(&top);
}

static int end(void **state)
{
    (void)state;
    return test_directory_remove(&top);
}

struct lie {
    const char *name;
    char type;
    const char *link; /* or content */
};

static void add(struct text *tar, const struct lie *lie)
{
    static const char zeros[TAR_BLOCK];
    bool is_file = lie->type == TAR_FILE;
    const struct tar_entry entry = { .name = lie->name,
                                     .type = lie->type,
                                     .mode = 0755,
                                     .link = is_file ? NULL : lie->link,
                                     .size = is_file ? strlen(lie->link) : 0 };

    tar_entry_format(&entry, tar);
    if (is_file) {
        text_add(tar, lie->link);
        text_add_bytes(tar, zeros, tar_padding(entry.size));
    }
}

/* Receives these entries below the directory, as if they were what was asked for. */
static int receive(const char *wanted, const struct lie *lies, size_t count, struct error *err)
{
    static const char zeros[TAR_END_BYTES];
    const struct copy_end end = { .path = top.path, .other = wanted, .is_host = true };
    AUTO_CLEAR(extract_input) struct extract_input input = { 0 };
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    AUTO_CLEAR(text) struct text tar = { 0 };
    auto_close int fd = memfd_create("tar", MFD_CLOEXEC);

    for (size_t i = 0; i < count; i++)
        add(&tar, &lies[i]);
    text_add_bytes(&tar, zeros, sizeof(zeros));
    assert_int_equal(write(fd, tar.data, tar.length), tar.length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    extract_input_open_tar(fd, &input);
    return copy_receive(-1, &end, &input, &warnings, err);
}

static bool exists(const char *name)
{
    auto_free char *path = path_join(top.path, name);
    struct stat status;

    return lstat(path, &status) == 0;
}

static void a_file_gets_the_name_that_was_asked_for(void **state)
{
    const struct lie lies[] = { { ".bashrc", TAR_FILE, "evil" } };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(receive("/etc/passwd", lies, 1, &err), 0);
    assert_true(exists("passwd"));
    assert_false(exists(".bashrc"));
}

static void a_second_thing_gets_no_name_of_its_own(void **state)
{
    const struct lie lies[] = { { "passwd", TAR_FILE, "x" }, { ".bashrc", TAR_FILE, "evil" } };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(receive("/etc/passwd", lies, 2, &err), 0);
    assert_false(exists(".bashrc"));
}

static void nothing_leads_out_of_the_directory(void **state)
{
    static const struct {
        struct lie lies[2];
        int r;
    } rows[] = {
        { { { "../out", TAR_FILE, "x" }, { "x", TAR_FILE, "x" } }, -EINVAL },
        { { { "d", TAR_SYMLINK, "/tmp" }, { "d/x", TAR_FILE, "x" } }, -ELOOP },
        { { { "d", TAR_SYMLINK, ".." }, { "d/x", TAR_FILE, "x" } }, -ELOOP },
        { { { "d", TAR_FILE, "x" }, { "d/l", TAR_LINK, "../../etc/passwd" } }, -ENOTDIR },
        { { { "d/", TAR_DIRECTORY, NULL }, { "d/l", TAR_LINK, "d/../../x" } }, -EINVAL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *wanted = xasprintf("/some/d%zu", i);
        struct error err = { 0 };
        int r = receive(wanted, rows[i].lies, 2, &err);

        if (r != rows[i].r)
            fail_msg("row %zu: %d %s", i, r, err.message);
    }
}

static void a_file_instead_of_a_directorys_contents_is_told(void **state)
{
    const struct lie lies[] = { { "x", TAR_FILE, "x" } };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(receive("/etc/.", lies, 1, &err), -EBADMSG);
    assert_string_equal(err.message, "the other end has no directory '/etc/.'");
    assert_false(exists("x"));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_file_gets_the_name_that_was_asked_for),
        CASE(a_second_thing_gets_no_name_of_its_own),
        CASE(nothing_leads_out_of_the_directory),
        CASE(a_file_instead_of_a_directorys_contents_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
