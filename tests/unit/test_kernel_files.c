#include "image/kernel_private.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <limits.h>

#include "base/fd.h"
#include "image/archive_stream.h"
#include "image/kernel_decode.h"
#include "tests/unit/base_test.h"

/* With the berth-archive of the build tree, or with one that says what a test has written down. */

static int add_visit(const char *path, struct kernel_bytes *bytes, void *context, struct error *err)
{
    (void)err;
    text_addf(context, "%s=%.*s ", path, (int)bytes->length, bytes->data);
    return 0;
}

/* --- names ------------------------------------------------------------------------------------ */

static void names_of_files_are_told_without_their_compression(void **state)
{
    static const char *const rows[][2] = {
        { "boot/vmlinuz-6.1", "boot/vmlinuz-6.1" },
        { "lib/a.ko", "lib/a.ko" },
        { "lib/a.ko.xz", "lib/a.ko" },
        { "lib/a.ko.zst", "lib/a.ko" },
        { "lib/a.ko.gz", NULL },
        { "lib/a.xz", NULL },
        { "boot/config-6.1", NULL },
        { "x/boot/vmlinuz-6.1", NULL },
        { "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *name = kernel_file_name(rows[i][0]);

        if (!text_equal(name, rows[i][1]))
            fail_msg("%s: %s", rows[i][0], name);
        assert_int_equal(kernel_file_matters(rows[i][0]), text_equal(rows[i][0], rows[i][1]));
    }
    assert_int_equal(kernel_file_max("a.ko"), KERNEL_MODULE_MAX);
    assert_int_equal(kernel_file_max("boot/vmlinuz-6.1"), KERNEL_IMAGE_MAX);
}

/* --- packages --------------------------------------------------------------------------------- */

struct buffer {
    char bytes[65536];
    size_t length;
};

static void add_entry(struct archive *archive, const char *name, const void *bytes, size_t length)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, name);
    archive_entry_set_mode(entry, S_IFREG | 0644);
    archive_entry_set_size(entry, (la_int64_t)length);
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(archive, bytes, length), length);
    archive_entry_free(entry);
}

static struct archive *begin(struct buffer *buffer, bool is_raw, int filter)
{
    struct archive *archive = archive_write_new();

    assert_int_equal(is_raw ? archive_write_set_format_raw(archive)
                            : archive_write_set_format_gnutar(archive),
                     ARCHIVE_OK);
    assert_int_equal(archive_write_add_filter(archive, filter), ARCHIVE_OK);
    assert_int_equal(archive_write_set_bytes_per_block(archive, 0), ARCHIVE_OK);
    assert_int_equal(
        archive_write_open_memory(archive, buffer->bytes, sizeof(buffer->bytes), &buffer->length),
        ARCHIVE_OK);
    return archive;
}

static void end(struct archive *archive)
{
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
}

static void pack(const char *text, int filter, struct buffer *ret_buffer)
{
    struct archive *archive = begin(ret_buffer, true, filter);

    add_entry(archive, "data", text, strlen(text));
    end(archive);
}

static void add_packed(struct archive *archive, const char *name, const char *text, int filter)
{
    struct buffer packed;

    pack(text, filter, &packed);
    add_entry(archive, name, packed.bytes, packed.length);
}

static void add_member(int fd, const char *name, const void *bytes, size_t length)
{
    char header[61];

    assert_int_equal(snprintf(header, sizeof(header), "%-16s%-12d%-6d%-6d%-8s%-10zu`\n", name, 0, 0,
                              0, "100644", length),
                     60);
    assert_int_equal(fd_write_all(fd, header, 60, name, NULL), 0);
    assert_int_equal(fd_write_all(fd, bytes, length, name, NULL), 0);
    if (length % 2 != 0)
        assert_int_equal(fd_write_all(fd, "\n", 1, name, NULL), 0);
}

static int make_file(void **state, const char *name)
{
    return openat(directory_of(state), name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static int make_package(void **state, const char *name, int filter)
{
    struct buffer data;
    struct archive *tar = begin(&data, false, filter);
    int fd = make_file(state, "x.deb");

    add_entry(tar, "./boot/config-6.1", "no", 2);
    add_entry(tar, "./boot/vmlinuz-6.1", "kernel", 6);
    add_entry(tar, "./lib/modules/6.1/a.ko", "plain", 5);
    add_packed(tar, "./lib/modules/6.1/b.ko.xz", "by xz", ARCHIVE_FILTER_XZ);
    add_packed(tar, "./lib/modules/6.1/c.ko.zst", "by zstd", ARCHIVE_FILTER_ZSTD);
    add_entry(tar, "/usr/../d.ko", "", 0);
    end(tar);
    assert_int_equal(fd_write_all(fd, "!<arch>\n", 8, "package", NULL), 0);
    add_member(fd, "debian-binary", "2.0\n", 4);
    add_member(fd, name, data.bytes, data.length);
    return fd;
}

/* What is visited, "path=content" each, or the sentence. Caller frees. */
static char *visit_package(int fd, int expected)
{
    AUTO_CLEAR(text) struct text visited = { 0 };
    struct error err = { 0 };
    int r = kernel_visit_package(fd, NULL, add_visit, &visited, &err);

    if (r != expected)
        fail_msg("%d '%s'", r, err.message);
    return r < 0 ? xstrdup(err.message) : text_take(&visited);
}

static void a_package_is_visited_whatever_it_is_packed_with(void **state)
{
    static const int filters[] = { ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ,
                                   ARCHIVE_FILTER_ZSTD };

    for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
        auto_close int fd = make_package(state, "data.tar.any", filters[i]);
        auto_free char *visited = visit_package(fd, 0);
        auto_free char *again = visit_package(fd, 0);

        assert_string_equal(visited, "boot/vmlinuz-6.1=kernel lib/modules/6.1/a.ko=plain "
                                     "lib/modules/6.1/b.ko=by xz lib/modules/6.1/c.ko=by zstd "
                                     "d.ko= ");
        assert_string_equal(again, visited);
    }
}

static void of_a_package_only_wanted_modules_are_visited(void **state)
{
    auto_close int fd = make_package(state, "data.tar", ARCHIVE_FILTER_NONE);
    AUTO_CLEAR(strings) struct strings wanted = { 0 };
    AUTO_CLEAR(text) struct text visited = { 0 };

    strings_add(&wanted, "c");
    strings_add(&wanted, "missing");
    assert_int_equal(kernel_visit_package(fd, &wanted, add_visit, &visited, NULL), 0);
    assert_string_equal(visited.data, "lib/modules/6.1/c.ko=by zstd ");
}

static void what_is_no_package_is_explained(void **state)
{
    auto_close int empty_fd = make_package(state, "control.tar", ARCHIVE_FILTER_NONE);
    auto_free char *empty = visit_package(empty_fd, -EINVAL);
    auto_close int cut_fd = make_package(state, "data.tar", ARCHIVE_FILTER_NONE);
    auto_free char *cut = NULL;

    assert_string_equal(empty, "is no Debian package: it has no data.tar");
    assert_int_equal(ftruncate(cut_fd, 2200), 0);
    cut = visit_package(cut_fd, -EINVAL);
    assert_non_null(strstr(cut, "runcated"));
}

/* --- compressed bytes ------------------------------------------------------------------------- */

static void what_is_in_compressed_bytes_has_a_maximum(void **state)
{
    static const int filters[] = { ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_BZIP2, ARCHIVE_FILTER_LZMA,
                                   ARCHIVE_FILTER_XZ,   ARCHIVE_FILTER_LZ4,   ARCHIVE_FILTER_ZSTD };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
        struct buffer packed;
        struct kernel_bytes bytes = { packed.bytes, 0 };
        AUTO_CLEAR(kernel_bytes) struct kernel_bytes unpacked = { 0 };
        struct error err = { 0 };

        pack("vmlinux", filters[i], &packed);
        bytes.length = packed.length;
        if (kernel_unpack(&bytes, 7, &unpacked, &err) < 0)
            fail_msg("%zu: '%s'", i, err.message);
        assert_int_equal(unpacked.length, 7);
        assert_memory_equal(unpacked.data, "vmlinux", 7);
        kernel_bytes_clear(&unpacked);
        assert_int_equal(kernel_unpack(&bytes, 6, &unpacked, &err), -EFBIG);
        assert_string_equal(err.message, "compressed bytes has more than 6 bytes");
        bytes.length -= 3;
        if (kernel_unpack(&bytes, 7, &unpacked, &err) != -EINVAL ||
            !text_starts(err.message, "read compressed bytes: "))
            fail_msg("%zu: '%s'", i, err.message);
    }
}

/* --- folders ---------------------------------------------------------------------------------- */

static void put_packed(void **state, const char *name, const char *text, int filter)
{
    auto_close int fd = make_file(state, name);
    struct buffer packed;

    pack(text, filter, &packed);
    assert_int_equal(fd_write_all(fd, packed.bytes, packed.length, name, NULL), 0);
}

static int truncate_file(void **state, const char *name, off_t length)
{
    auto_close int fd = openat(directory_of(state), name, O_WRONLY | O_CLOEXEC);

    return ftruncate(fd, length);
}

static void modules_of_a_folder_are_unpacked_if_they_are_wanted(void **state)
{
    const struct test_directory *directory = *state;
    AUTO_CLEAR(strings) struct strings wanted = { 0 };
    AUTO_CLEAR(text) struct text all = { 0 };
    AUTO_CLEAR(text) struct text some = { 0 };
    struct error err = { 0 };

    put_packed(state, "b.ko.xz", "by xz", ARCHIVE_FILTER_XZ);
    put_packed(state, "c-c.ko.zst", "by zstd", ARCHIVE_FILTER_ZSTD);
    put_file(directory->fd, "a.ko", "plain");
    put_file(directory->fd, "modules.dep", "no");
    assert_int_equal(kernel_visit_modules(directory->path, NULL, add_visit, &all, NULL), 0);
    assert_non_null(strstr(all.data, "/a.ko=plain "));
    assert_non_null(strstr(all.data, "/b.ko=by xz "));
    assert_non_null(strstr(all.data, "/c-c.ko=by zstd "));
    assert_null(strstr(all.data, "modules.dep"));

    assert_int_equal(truncate_file(state, "b.ko.xz", 30), 0);
    strings_add(&wanted, "c_c");
    assert_int_equal(kernel_visit_modules(directory->path, &wanted, add_visit, &some, NULL), 0);
    assert_non_null(strstr(some.data, "/c-c.ko=by zstd "));
    assert_null(strstr(some.data, "/a.ko"));
    assert_int_equal(kernel_visit_modules(directory->path, NULL, add_visit, &all, &err), -EINVAL);
    assert_non_null(strstr(err.message, "/b.ko.xz: read compressed bytes: "));
}

/* --- a berth-archive that somebody has taken over --------------------------------------------- */

/* Has the next berth-archive say what is sent by the result, whatever it is asked: by a request, of
 * which it does not leave the writer alone, of REQUEST bytes. */
#define PACKED  "packed"
#define REQUEST (sizeof(struct kernel_request) + strlen(PACKED))
static struct archive_sender take_over(void **state)
{
    const struct test_directory *directory = *state;
    auto_free char *script = xasprintf("#!/bin/sh\nhead -c %zu > /dev/null\nexec cat %s/stream\n",
                                       REQUEST, directory->path);

    put_file(directory->fd, "berth-archive", script);
    assert_int_equal(fchmodat(directory->fd, "berth-archive", 0755, 0), 0);
    assert_int_equal(setenv("BERTH_LIBEXEC", directory->path, 1), 0);
    return (struct archive_sender){ .fd = make_file(state, "stream") };
}

static int restore_program(void **state)
{
    char path[PATH_MAX] = "";
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    (void)state;
    /* It is in the build directory, two above this program's. */
    for (int i = 0; length > 0 && i < 3; i++)
        *strrchr(path, '/') = '\0';
    return setenv("BERTH_LIBEXEC", path, 1);
}

static int leave_taken_over(void **state)
{
    return leave_directory(state) == 0 ? restore_program(state) : -1;
}

static void a_file_that_no_kernel_has_is_refused(void **state)
{
    static const struct {
        const char *name;
        uint64_t size;
        int code;
        const char *message;
    } rows[] = {
        { "../a.ko", 1, -EBADMSG, "a name that is not clean" },
        { "/a.ko", 1, -EBADMSG, "a name that is not clean" },
        { "etc/passwd", 1, -EBADMSG, "a file that does not matter" },
        { "a.ko.xz", 1, -EBADMSG, "a file that does not matter" },
        { "a.ko", KERNEL_MODULE_MAX + 1, -EFBIG, "a.ko has more than 67108864 bytes" },
        { "boot/vmlinuz-1", KERNEL_IMAGE_MAX + 1, -EFBIG,
          "boot/vmlinuz-1 has more than 268435456 bytes" },
        { "a.ko", KERNEL_MODULE_MAX, -EPIPE, "berth-archive ended early, with status" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct archive_sender sender = take_over(state);
        auto_close int fd = sender.fd;
        AUTO_CLEAR(text) struct text visited = { 0 };
        struct error err = { 0 };

        assert_int_equal(archive_send_file(&sender, rows[i].name, rows[i].size, NULL), 0);
        assert_int_equal(archive_send_data(&sender, "x", 1, NULL), 0);
        if (kernel_visit_package(fd, NULL, add_visit, &visited, &err) != rows[i].code ||
            strstr(err.message, rows[i].message) == NULL)
            fail_msg("%zu: '%s'", i, err.message);
        assert_int_equal(visited.length, 0);
    }
}

static void a_link_is_refused(void **state)
{
    struct archive_sender sender = take_over(state);
    auto_close int fd = sender.fd;
    struct error err = { 0 };

    assert_int_equal(archive_send_link(&sender, "a.ko", "b.ko", NULL), 0);
    assert_int_equal(kernel_visit_package(fd, NULL, add_visit, NULL, &err), -EBADMSG);
    assert_string_equal(err.message, "read the package: berth-archive sends a link");
}

static int count_visit(const char *path, struct kernel_bytes *bytes, void *context,
                       struct error *err)
{
    (void)path;
    (void)bytes;
    (void)err;
    ++*(size_t *)context;
    return 0;
}

static void files_have_a_maximum(void **state)
{
    struct archive_sender sender = take_over(state);
    auto_close int fd = sender.fd;
    struct error err = { 0 };
    size_t count = 0;

    for (size_t i = 0; i <= KERNEL_MODULES_MAX; i++)
        assert_int_equal(archive_send_file(&sender, "a.ko", 0, NULL), 0);
    assert_int_equal(kernel_visit_package(fd, NULL, count_visit, &count, &err), -EFBIG);
    assert_string_equal(err.message, "has more than 16384 modules");
    assert_int_equal(count, KERNEL_MODULES_MAX);
}

static void unpacked_bytes_are_what_was_asked_for(void **state)
{
    static const struct {
        const char *name;
        uint64_t size;
        int code;
        const char *message;
    } rows[] = {
        { KERNEL_STREAM, 8, -EFBIG, "compressed bytes has more than 7 bytes" },
        { "a.ko", 7, -EBADMSG, "a file that does not matter" },
        { NULL, 0, -EBADMSG, "something else than what is in compressed bytes" },
        { KERNEL_STREAM, 7, -EPIPE, "berth-archive ended early, with status" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct archive_sender sender = take_over(state);
        auto_close int fd = sender.fd;
        AUTO_CLEAR(kernel_bytes) struct kernel_bytes unpacked = { 0 };
        const struct kernel_bytes packed = { PACKED, strlen(PACKED) };
        struct error err = { 0 };
        int r;

        if (rows[i].name == NULL)
            assert_int_equal(archive_send_end(&sender, NULL), 0);
        else
            assert_int_equal(archive_send_file(&sender, rows[i].name, rows[i].size, NULL), 0);
        r = kernel_unpack(&packed, 7, &unpacked, &err);
        if (r != rows[i].code || strstr(err.message, rows[i].message) == NULL)
            fail_msg("%zu: %d '%s'", i, r, err.message);
        assert_null(unpacked.data);
    }
}

#define TAKEN_OVER(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_taken_over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_files_are_told_without_their_compression),
        IN_DIRECTORY(a_package_is_visited_whatever_it_is_packed_with),
        IN_DIRECTORY(of_a_package_only_wanted_modules_are_visited),
        IN_DIRECTORY(what_is_no_package_is_explained),
        cmocka_unit_test(what_is_in_compressed_bytes_has_a_maximum),
        IN_DIRECTORY(modules_of_a_folder_are_unpacked_if_they_are_wanted),
        TAKEN_OVER(a_file_that_no_kernel_has_is_refused),
        TAKEN_OVER(a_link_is_refused),
        TAKEN_OVER(files_have_a_maximum),
        TAKEN_OVER(unpacked_bytes_are_what_was_asked_for),
    };

    return cmocka_run_group_tests(tests, restore_program, NULL);
}
