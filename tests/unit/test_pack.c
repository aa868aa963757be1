#include "unionfs/unionfs.h"

#include "tests/unit/base_test.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/tar_writer.h"

/* Packs a made-up upper directory and lets libarchive read the tar. Marks are user.overlay.*, so
 * that nobody has to be root. */

struct scene {
    struct test_directory top;
    int lower_fd;
    struct text tar;
    struct strings entries; /* "TYPE NAME [LINK]", in order */
    struct strings warnings;
    int64_t latest;
    bool is_layer;
    const char *prefix;
};

static void make_file(const struct scene *scene, const char *path, const char *bytes, size_t length)
{
    int fd = openat(scene->top.fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    close(fd);
}

static void make_directory(const struct scene *scene, const char *path)
{
    assert_int_equal(mkdirat(scene->top.fd, path, 0755), 0);
}

static void make_whiteout(const struct scene *scene, const char *path)
{
    if (mknodat(scene->top.fd, path, S_IFCHR, 0) < 0) /* Linux 5.8 lets anyone */
        skip();
}

static void set_attribute(const struct scene *scene, const char *path, const char *name,
                          const char *value)
{
    auto_free char *full = path_join(scene->top.path, path);

    if (setxattr(full, name, value, strlen(value), 0) < 0 && errno == ENOTSUP)
        skip();
}

static int begin(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    if (test_directory_make(&scene->top) < 0)
        return -1;
    make_directory(scene, "upper");
    make_directory(scene, "lower");
    scene->lower_fd = openat(scene->top.fd, "lower", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scene->latest = INT64_MAX;
    scene->is_layer = true;
    *state = scene;
    return 0;
}

static int end(void **state)
{
    struct scene *scene = *state;
    int r = test_directory_remove(&scene->top);

    close(scene->lower_fd);
    text_clear(&scene->tar);
    strings_clear(&scene->entries);
    strings_clear(&scene->warnings);
    free(scene);
    return r;
}

static int take(const void *bytes, size_t length, void *context, struct error *err)
{
    (void)err;
    text_add_bytes(context, bytes, length);
    return 0;
}

static void list_entries(struct scene *scene)
{
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    int r;

    strings_clear(&scene->entries);
    assert_int_equal(archive_read_support_format_tar(archive), ARCHIVE_OK);
    assert_int_equal(archive_read_open_memory(archive, scene->tar.data, scene->tar.length),
                     ARCHIVE_OK);
    while ((r = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
        const char *link = archive_entry_hardlink(entry);
        char type = '-';

        if (link != NULL)
            type = 'h';
        else if (archive_entry_filetype(entry) == AE_IFDIR)
            type = 'd';
        else if (archive_entry_filetype(entry) == AE_IFLNK)
            type = 'l';
        else if (archive_entry_filetype(entry) == AE_IFIFO)
            type = 'p';
        if (type == 'l')
            link = archive_entry_symlink(entry);
        strings_addf(&scene->entries, "%c %s%s%s", type, archive_entry_pathname(entry),
                     link != NULL ? " " : "", link != NULL ? link : "");
    }
    assert_int_equal(r, ARCHIVE_EOF);
    archive_read_free(archive);
}

static void pack(struct scene *scene)
{
    int upper_fd = openat(scene->top.fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct change_source source = { .upper_fd = upper_fd,
                                          .lower_fds = &scene->lower_fd,
                                          .lower_count = 1,
                                          .has_user_attributes = true };
    const struct pack_options options = { .sink = take,
                                          .context = &scene->tar,
                                          .is_layer = scene->is_layer,
                                          .prefix = scene->prefix,
                                          .latest = scene->latest,
                                          .warnings = &scene->warnings };
    struct error err = { 0 };

    text_clear(&scene->tar);
    if (pack_changes(&source, &options, &err) < 0)
        fail_msg("%s", err.message);
    close(upper_fd);
    list_entries(scene);
}

static void expect(struct scene *scene, const char *expected)
{
    auto_free char *entries = NULL;

    pack(scene);
    entries = strings_join(&scene->entries, ", ");
    assert_string_equal(entries, expected);
}

static void entries_are_sorted_and_directories_come_first(void **state)
{
    struct scene *scene = *state;

    make_file(scene, "upper/b", "", 0);
    make_directory(scene, "upper/a");
    make_file(scene, "upper/a/x", "", 0);
    make_file(scene, "upper/a-", "", 0);
    assert_int_equal(symlinkat("../x", scene->top.fd, "upper/c"), 0);
    assert_int_equal(mkfifoat(scene->top.fd, "upper/d", 0600), 0);
    expect(scene, "d ./, d a/, - a/x, - a-, - b, l c ../x, p d");
}

static void further_names_of_a_file_are_links_to_the_first(void **state)
{
    struct scene *scene = *state;

    make_directory(scene, "upper/d");
    make_file(scene, "upper/d/b", "x", 1);
    assert_int_equal(linkat(scene->top.fd, "upper/d/b", scene->top.fd, "upper/a", 0), 0);
    assert_int_equal(linkat(scene->top.fd, "upper/d/b", scene->top.fd, "upper/e", 0), 0);
    expect(scene, "d ./, - a, d d/, h d/b a, h e a");
}

static void whiteouts_and_opaque_marks_get_their_names_in_layers_only(void **state)
{
    struct scene *scene = *state;

    make_directory(scene, "lower/d");
    make_file(scene, "lower/d/gone", "", 0);
    make_file(scene, "lower/x", "", 0);
    make_directory(scene, "lower/e");
    make_file(scene, "lower/e/y", "", 0);
    make_directory(scene, "upper/d");
    make_directory(scene, "upper/d/sub");
    make_directory(scene, "upper/e");
    make_whiteout(scene, "upper/x");
    make_whiteout(scene, "upper/e/y");
    make_whiteout(scene, "upper/never-there");
    set_attribute(scene, "upper/d", "user.overlay.opaque", "y");
    expect(scene, "d ./, d d/, - d/.wh..wh..opq, d d/sub/, d e/, - e/.wh.y, - .wh.x");
    scene->is_layer = false;
    expect(scene, "d ./, d d/, d d/sub/, d e/");
}

static void a_name_that_no_layer_can_hold_is_left_out_with_a_warning(void **state)
{
    struct scene *scene = *state;

    make_directory(scene, "upper/.wh.d");
    make_file(scene, "upper/.wh.d/x", "", 0);
    make_file(scene, "upper/a.wh.b", "", 0);
    expect(scene, "d ./, - a.wh.b");
    assert_int_equal(scene->warnings.count, 2);
    assert_string_equal(scene->warnings.items[0],
                        "'/.wh.d/' has a name that means something else in a layer, and is left "
                        "out");
}

static void a_socket_is_left_out_with_a_warning(void **state)
{
    struct scene *scene = *state;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/upper/s", scene->top.path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    expect(scene, "d ./");
    assert_int_equal(scene->warnings.count, 1);
    assert_string_equal(scene->warnings.items[0], "'/s' is a socket and is left out");
}

static void a_prefix_stands_before_each_name(void **state)
{
    struct scene *scene = *state;

    make_file(scene, "upper/a", "x", 1);
    assert_int_equal(linkat(scene->top.fd, "upper/a", scene->top.fd, "upper/b", 0), 0);
    scene->is_layer = false;
    scene->prefix = "some/where";
    expect(scene, "d some/where/, - some/where/a, h some/where/b some/where/a");
}

static void attributes_are_kept_but_those_of_overlays(void **state)
{
    struct scene *scene = *state;
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    const char *name;
    const void *value;
    size_t length;

    make_file(scene, "upper/a", "", 0);
    set_attribute(scene, "upper/a", "user.kept", "value");
    set_attribute(scene, "upper/a", "user.overlay.origin", "x");
    pack(scene);
    assert_int_equal(archive_read_support_format_tar(archive), ARCHIVE_OK);
    assert_int_equal(archive_read_open_memory(archive, scene->tar.data, scene->tar.length),
                     ARCHIVE_OK);
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    assert_int_equal(archive_entry_xattr_reset(entry), 1);
    assert_int_equal(archive_entry_xattr_next(entry, &name, &value, &length), ARCHIVE_OK);
    assert_string_equal(name, "user.kept");
    assert_int_equal(length, 5);
    archive_read_free(archive);
}

static void contents_of_all_sizes_come_back(void **state)
{
    static const size_t sizes[] = { 1, 511, 512, 513, 262143, 262144, 262145, 700000 };
    struct scene *scene = *state;
    auto_free char *bytes = xcalloc(1, 700000);
    auto_free char *found = xcalloc(1, 700000);
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;

    for (size_t i = 0; i < 700000; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        auto_free char *path = xasprintf("upper/%zu", i);

        make_file(scene, path, bytes, sizes[i]);
    }
    pack(scene);
    assert_int_equal(archive_read_support_format_tar(archive), ARCHIVE_OK);
    assert_int_equal(archive_read_open_memory(archive, scene->tar.data, scene->tar.length),
                     ARCHIVE_OK);
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        print_message("%zu bytes\n", sizes[i]);
        assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
        assert_int_equal(archive_entry_size(entry), sizes[i]);
        assert_int_equal(archive_entry_mode(entry) & 07777, 0640);
        assert_int_equal(archive_read_data(archive, found, 700000), sizes[i]);
        assert_memory_equal(found, bytes, sizes[i]);
    }
    archive_read_free(archive);
}

static void times_are_whole_seconds_and_not_beyond_the_latest(void **state)
{
    struct scene *scene = *state;
    const struct timespec times[2] = { { 5000, 0 }, { 5000, 999999999 } };
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;

    make_file(scene, "upper/a", "", 0);
    make_file(scene, "upper/b", "", 0);
    assert_int_equal(utimensat(scene->top.fd, "upper/a", times, 0), 0);
    scene->latest = 6000;
    pack(scene);
    assert_int_equal(archive_read_support_format_tar(archive), ARCHIVE_OK);
    assert_int_equal(archive_read_open_memory(archive, scene->tar.data, scene->tar.length),
                     ARCHIVE_OK);
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    assert_int_equal(archive_entry_mtime(entry), 5000);
    assert_int_equal(archive_entry_mtime_nsec(entry), 0);
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    assert_int_equal(archive_entry_mtime(entry), 6000);
    archive_read_free(archive);
}

static void the_same_tree_gives_the_same_bytes(void **state)
{
    struct scene *scene = *state;
    struct text first;

    make_directory(scene, "upper/d");
    make_file(scene, "upper/d/\303\244", "x", 1);
    make_file(scene, "upper/d/\377", "x", 1);
    pack(scene);
    first = scene->tar;
    scene->tar = (struct text){ 0 };
    pack(scene);
    assert_int_equal(first.length, scene->tar.length);
    assert_memory_equal(first.data, scene->tar.data, first.length);
    text_clear(&first);
}

static int refuse(const void *bytes, size_t length, void *context, struct error *err)
{
    (void)bytes;
    (void)length;
    (void)context;
    return error_set(err, ENOSPC, "full");
}

static void a_sink_that_fails_ends_it(void **state)
{
    struct scene *scene = *state;
    struct change_source source = { .upper_fd = scene->top.fd };
    const struct pack_options options = { .sink = refuse, .latest = INT64_MAX };
    struct error err = { 0 };

    assert_int_equal(pack_changes(&source, &options, &err), -ENOSPC);
    assert_string_equal(err.message, "full");
}

static void one_file_is_packed_under_the_name_that_is_wanted(void **state)
{
    struct scene *scene = *state;
    const struct pack_options options = {
        .sink = take, .context = &scene->tar, .prefix = "other", .latest = INT64_MAX
    };
    struct error err = { 0 };

    make_file(scene, "upper/a", "x", 1);
    assert_int_equal(pack_file(scene->top.fd, "upper/a", &options, &err), 0);
    list_entries(scene);
    assert_int_equal(scene->entries.count, 1);
    assert_string_equal(scene->entries.items[0], "- other");
    assert_int_equal(pack_file(scene->top.fd, "upper/none", &options, &err), -ENOENT);
}

/* --- entries of another tar ------------------------------------------------------------------- */

/* Packs again what is in scene->tar. */
static int pack_again(struct scene *scene, bool is_ours, struct error *err)
{
    AUTO_CLEAR(extract_input) struct extract_input input = { 0 };
    const struct pack_options options = { .sink = take, .context = &scene->tar };
    auto_close int fd = memfd_create("tar", MFD_CLOEXEC);
    int r = 0;

    assert_int_equal(write(fd, scene->tar.data, scene->tar.length), scene->tar.length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    text_clear(&scene->tar);
    if (is_ours)
        extract_input_open_tar(fd, &input);
    else
        r = extract_input_open_archive(fd, &input, err);
    return r == 0 ? pack_entries(&input, &options, err) : r;
}

static void add_entry(struct scene *scene, const char *name, char type, const char *link)
{
    const struct tar_entry entry = { .name = name, .type = type, .link = link };

    tar_entry_format(&entry, &scene->tar);
}

static void names_of_another_tar_are_cleaned_or_refused(void **state)
{
    static const char zeros[TAR_END_BYTES];
    static const struct {
        const char *name;
        char type;
        const char *link, *expected; /* NULL: refused */
    } rows[] = {
        { "./", TAR_DIRECTORY, NULL, "d ./" },
        { "/etc//x", TAR_FILE, NULL, "- etc/x" },
        { "a/../b/./", TAR_DIRECTORY, NULL, "d b/" },
        { "./a//b", TAR_FILE, NULL, "- ./a/b" },
        { "./h", TAR_LINK, "./a", "h ./h ./a" },
        { "s", TAR_SYMLINK, "../../x", "l s ../../x" },
        { "h", TAR_LINK, "/a", "h h a" },
        { "../x", TAR_FILE, NULL, NULL },
        { "a/../../x", TAR_FILE, NULL, NULL },
        { "h", TAR_LINK, "../x", NULL },
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
        size_t row = i / 2;
        struct error err = { 0 };
        int r;

        text_clear(&scene->tar);
        add_entry(scene, rows[row].name, rows[row].type, rows[row].link);
        text_add_bytes(&scene->tar, zeros, sizeof(zeros));
        r = pack_again(scene, i % 2 == 0, &err);
        if (rows[row].expected == NULL) {
            assert_int_equal(r, -EINVAL);
            continue;
        }
        if (r < 0)
            fail_msg("row %zu: %s", row, err.message);
        list_entries(scene);
        assert_int_equal(scene->entries.count, 1);
        assert_string_equal(scene->entries.items[0], rows[row].expected);
    }
}

static void read_sparse(struct scene *scene, const char *content, size_t size)
{
    struct archive *archive = archive_read_new();
    auto_free char *found = xcalloc(1, size);
    struct archive_entry *entry;
    la_int64_t offset;
    const void *bytes;
    size_t length;
    int r;

    assert_int_equal(archive_read_support_format_tar(archive), ARCHIVE_OK);
    assert_int_equal(archive_read_open_memory(archive, scene->tar.data, scene->tar.length),
                     ARCHIVE_OK);
    assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
    assert_int_equal(archive_entry_size(entry), size);
    while ((r = archive_read_data_block(archive, &bytes, &length, &offset)) == ARCHIVE_OK)
        memcpy(found + offset, bytes, length);
    assert_int_equal(r, ARCHIVE_EOF);
    assert_memory_equal(found, content, size);
    archive_read_free(archive);
}

static void a_hole_of_another_tar_stays_one(void **state)
{
    const size_t size = 700001, at = 300000;
    auto_free char *content = xcalloc(1, size);
    auto_free char *bytes = xcalloc(1, 2 * size);
    struct archive *archive = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    struct scene *scene = *state;
    struct error err = { 0 };
    size_t used = 0;

    content[at] = 'x';
    archive_entry_set_pathname(entry, "sparse");
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_sparse_add_entry(entry, (la_int64_t)at, 1);
    assert_int_equal(archive_write_set_format_pax(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(archive, bytes, 2 * size, &used), ARCHIVE_OK);
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(archive, content, size), size);
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    archive_entry_free(entry);
    archive_write_free(archive);
    assert_true(used < 20480);
    text_add_bytes(&scene->tar, bytes, used);
    if (pack_again(scene, false, &err) < 0)
        fail_msg("%s", err.message);
    assert_true(scene->tar.length < 20480);
    read_sparse(scene, content, size);
    if (pack_again(scene, true, &err) < 0)
        fail_msg("%s", err.message);
    read_sparse(scene, content, size);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(entries_are_sorted_and_directories_come_first),
        CASE(further_names_of_a_file_are_links_to_the_first),
        CASE(whiteouts_and_opaque_marks_get_their_names_in_layers_only),
        CASE(a_name_that_no_layer_can_hold_is_left_out_with_a_warning),
        CASE(a_socket_is_left_out_with_a_warning),
        CASE(a_prefix_stands_before_each_name),
        CASE(attributes_are_kept_but_those_of_overlays),
        CASE(contents_of_all_sizes_come_back),
        CASE(times_are_whole_seconds_and_not_beyond_the_latest),
        CASE(the_same_tree_gives_the_same_bytes),
        CASE(a_sink_that_fails_ends_it),
        CASE(one_file_is_packed_under_the_name_that_is_wanted),
        CASE(names_of_another_tar_are_cleaned_or_refused),
        CASE(a_hole_of_another_tar_stays_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
