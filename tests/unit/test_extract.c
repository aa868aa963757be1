#include "unionfs/unionfs.h"

#include "tests/unit/base_test.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/file.h"
#include "base/tar_writer.h"

/* Tars are extracted into "in/to" of a temporary directory; "out" must stay as it is. */

struct scene {
    struct test_directory top;
    int root_fd; /* root_fd: "in" */
    struct text tar;
    struct strings warnings;
    const char *name; /* in place of the first part of names; NULL */
    bool follows, is_safe;
    bool is_ours; /* read by tar_reader.h, not by libarchive */
};

static int begin(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    if (test_directory_make(&scene->top) < 0)
        return -1;
    if (mkdirat(scene->top.fd, "in", 0755) < 0 || mkdirat(scene->top.fd, "in/to", 0755) < 0 ||
        mkdirat(scene->top.fd, "out", 0755) < 0)
        return -1;
    scene->root_fd = openat(scene->top.fd, "in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = scene;
    return 0;
}

/* Each test is done with both readers. */
static int begin_ours(void **state)
{
    int r = begin(state);

    if (r == 0)
        ((struct scene *)*state)->is_ours = true;
    return r;
}

static int end(void **state)
{
    struct scene *scene = *state;
    int r = test_directory_remove(&scene->top);

    close(scene->root_fd);
    text_clear(&scene->tar);
    strings_clear(&scene->warnings);
    free(scene);
    return r;
}

static void add(struct scene *scene, const char *name, char type, unsigned mode, const char *text)
{
    static const char zeros[TAR_BLOCK];
    bool is_file = type == TAR_FILE;
    const struct tar_entry entry = { .name = name,
                                     .type = type,
                                     .mode = mode,
                                     .time = 1000,
                                     .size = is_file ? strlen(text) : 0,
                                     .link = is_file ? NULL : text };

    tar_entry_format(&entry, &scene->tar);
    if (is_file) {
        text_add(&scene->tar, text);
        text_add_bytes(&scene->tar, zeros, tar_padding(strlen(text)));
    }
}

static int place(const char *name, bool is_directory, void *context, int *ret_fd, char **ret_path,
                 char **ret_name, struct error *err)
{
    const struct scene *scene = context;

    (void)name;
    (void)is_directory;
    (void)err;
    *ret_fd = openat(scene->root_fd, "to", O_PATH | O_DIRECTORY | O_CLOEXEC);
    *ret_path = xstrdup("to");
    *ret_name = xstrdup(scene->name);
    return 0;
}

static int extract(struct scene *scene, struct error *err)
{
    static const char zeros[TAR_END_BYTES];
    int fd = memfd_create("tar", MFD_CLOEXEC);
    AUTO_CLEAR(extract_input) struct extract_input input = { 0 };
    const struct extract_options options = { .input = &input,
                                             .root_fd = scene->follows ? scene->root_fd : -1,
                                             .is_safe = scene->is_safe,
                                             .has_owner = true,
                                             .uid = geteuid(),
                                             .gid = getegid(),
                                             .warnings = &scene->warnings };
    int r = 0;

    text_add_bytes(&scene->tar, zeros, sizeof(zeros));
    assert_int_equal(write(fd, scene->tar.data, scene->tar.length), scene->tar.length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    if (scene->is_ours)
        extract_input_open_tar(fd, &input);
    else
        r = extract_input_open_archive(fd, &input, err);
    if (r == 0)
        r = extract_archive(&options, place, scene, err);
    close(fd);
    text_clear(&scene->tar);
    return r;
}

static void expect_file(struct scene *scene, const char *path, const char *content)
{
    auto_free char *text = NULL;

    assert_int_equal(file_read(scene->top.fd, path, 100, &text, NULL, NULL), 0);
    assert_string_equal(text, content);
}

static void files_directories_and_links_are_made(void **state)
{
    struct scene *scene = *state;
    struct stat first, second;
    struct error err = { 0 };

    add(scene, "d/", TAR_DIRECTORY, 0500, NULL);
    add(scene, "d/f", TAR_FILE, 0640, "text");
    add(scene, "d/h", TAR_LINK, 0640, "d/f");
    add(scene, "d/s", TAR_SYMLINK, 0777, "/nowhere");
    if (extract(scene, &err) < 0)
        fail_msg("%s", err.message);
    expect_file(scene, "in/to/d/f", "text");
    assert_int_equal(fstatat(scene->root_fd, "to/d/f", &first, 0), 0);
    assert_int_equal(fstatat(scene->root_fd, "to/d/h", &second, 0), 0);
    assert_int_equal(first.st_ino, second.st_ino);
    assert_int_equal(first.st_mode & 07777, 0640);
    assert_int_equal(first.st_mtim.tv_sec, 1000);
    assert_int_equal(fstatat(scene->root_fd, "to/d", &first, 0), 0);
    assert_int_equal(first.st_mode & 07777, 0500);
    assert_int_equal(first.st_mtim.tv_sec, 1000);
    assert_int_equal(fchmodat(scene->root_fd, "to/d", 0700, 0), 0);
}

static void the_first_part_of_names_is_replaced_or_left_out(void **state)
{
    struct scene *scene = *state;
    struct error err = { 0 };

    scene->name = "new";
    add(scene, "old/", TAR_DIRECTORY, 0755, NULL);
    add(scene, "old/f", TAR_FILE, 0644, "1");
    add(scene, "old/h", TAR_LINK, 0644, "old/f");
    assert_int_equal(extract(scene, &err), 0);
    expect_file(scene, "in/to/new/h", "1");
    scene->name = "";
    add(scene, "old/", TAR_DIRECTORY, 0755, NULL);
    add(scene, "old/f", TAR_FILE, 0644, "2");
    add(scene, "old/h", TAR_LINK, 0644, "old/f");
    assert_int_equal(extract(scene, &err), 0);
    expect_file(scene, "in/to/h", "2");
}

static void names_that_lead_outside_are_refused(void **state)
{
    static const struct {
        const char *name, *link;
    } rows[] = { { "../x", NULL }, { "a/../../x", NULL }, { "h", "../../out/f" } };
    struct scene *scene = *state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = { 0 };

        print_message("row %zu\n", i);
        if (rows[i].link == NULL)
            add(scene, rows[i].name, TAR_FILE, 0644, "x");
        else
            add(scene, rows[i].name, TAR_LINK, 0644, rows[i].link);
        assert_int_equal(extract(scene, &err), -EINVAL);
        assert_non_null(strstr(err.message, "leads outside"));
    }
}

static void links_on_the_way_are_followed_within_the_root_only(void **state)
{
    struct scene *scene = *state;
    struct error err = { 0 };

    assert_int_equal(symlinkat("../../out", scene->root_fd, "to/up"), 0);
    add(scene, "up/f", TAR_FILE, 0644, "x");
    assert_int_equal(extract(scene, &err), -ELOOP);
    assert_string_equal(err.message,
                        "'up/f': open the directory 'up': Too many levels of symbolic links");
    scene->follows = true;
    add(scene, "up/f", TAR_FILE, 0644, "x");
    assert_int_equal(extract(scene, &err), 0);
    expect_file(scene, "in/out/f", "x"); /* made in the root */
    assert_int_equal(faccessat(scene->top.fd, "out/f", F_OK, 0), -1);
}

static void a_link_of_the_tar_itself_is_not_followed(void **state)
{
    struct scene *scene = *state;
    struct error err = { 0 };

    add(scene, "a", TAR_SYMLINK, 0777, "../../out");
    add(scene, "a/f", TAR_FILE, 0644, "x");
    assert_int_equal(extract(scene, &err), -ELOOP);
    assert_int_equal(faccessat(scene->top.fd, "out/f", F_OK, 0), -1);
}

static void files_and_links_are_replaced_and_directories_are_not(void **state)
{
    struct scene *scene = *state;
    struct error err = { 0 };

    assert_int_equal(symlinkat("../../out/f", scene->root_fd, "to/f"), 0);
    add(scene, "f", TAR_FILE, 0644, "new");
    assert_int_equal(extract(scene, &err), 0);
    expect_file(scene, "in/to/f", "new");
    assert_int_equal(faccessat(scene->top.fd, "out/f", F_OK, 0), -1);
    add(scene, "f/", TAR_DIRECTORY, 0755, NULL);
    assert_int_equal(extract(scene, &err), -ENOTDIR);
    assert_non_null(strstr(err.message, "a directory cannot replace what is there"));
    assert_int_equal(mkdirat(scene->root_fd, "to/d", 0755), 0);
    add(scene, "d", TAR_FILE, 0644, "x");
    assert_int_equal(extract(scene, &err), -EISDIR);
    assert_non_null(strstr(err.message, "a directory is there, which is not replaced by a file"));
}

static void what_is_not_to_be_trusted_loses_devices_and_set_id_bits(void **state)
{
    struct scene *scene = *state;
    struct error err = { 0 };
    struct stat status;

    scene->is_safe = true;
    add(scene, "d", TAR_CHARACTER, 0666, NULL);
    add(scene, "f", TAR_FILE, 06755, "x");
    assert_int_equal(extract(scene, &err), 0);
    assert_int_equal(fstatat(scene->root_fd, "to/f", &status, 0), 0);
    assert_int_equal(status.st_mode & 07777, 0755);
    assert_int_equal(faccessat(scene->root_fd, "to/d", F_OK, 0), -1);
    assert_int_equal(scene->warnings.count, 1);
    assert_string_equal(scene->warnings.items[0],
                        "'d' is a device and is left out; --archive copies it");
}

static void what_is_no_tar_is_told(void **state)
{
    struct scene *scene = *state;
    struct error err = { 0 };

    for (int i = 0; i < 100; i++)
        text_add(&scene->tar, "this is no tar");
    assert_int_equal(extract(scene, &err), -EBADMSG);
    assert_memory_equal(err.message, "not a good tar archive: ", 24);
}

#define CASE(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, begin, end),                                         \
        cmocka_unit_test_setup_teardown(function, begin_ours, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(files_directories_and_links_are_made),
        CASE(the_first_part_of_names_is_replaced_or_left_out),
        CASE(names_that_lead_outside_are_refused),
        CASE(links_on_the_way_are_followed_within_the_root_only),
        CASE(a_link_of_the_tar_itself_is_not_followed),
        CASE(files_and_links_are_replaced_and_directories_are_not),
        CASE(what_is_not_to_be_trusted_loses_devices_and_set_id_bits),
        CASE(what_is_no_tar_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
