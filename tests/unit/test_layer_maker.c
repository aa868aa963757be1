#include "unionfs/unionfs.h"

#include "tests/unit/base_test.h"

#include <dirent.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/tar_writer.h"
#include "unionfs/tree_compare.h"

/* Packs a made-up upper directory and makes a layer of it at the same time, and compares with what
 * comes out when the tar is unpacked. */

static int take(const void *bytes, size_t length, void *context, struct error *err)
{
    (void)err;
    text_add_bytes(context, bytes, length);
    return 0;
}

static int add(void *maker, const struct tar_entry *entry, struct error *err)
{
    return layer_maker_add(maker, entry, err);
}

static int write_bytes(void *maker, const void *bytes, size_t length, struct error *err)
{
    return layer_maker_write(maker, bytes, length, err);
}

static int end_file(void *maker, struct error *err)
{
    return layer_maker_end_file(maker, err);
}

static int open_directory(int at_fd, const char *path)
{
    int fd = openat(at_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* The layer's directory. */
static int make_layer(int top_fd, const char *name, const struct strings *below, int lower_fd,
                      struct text *tar, struct digest *ret_diff_id)
{
    auto_close int data_fd = open_directory(top_fd, "data");
    auto_close int upper_fd = open_directory(top_fd, name);
    AUTO(layer_maker) struct layer_maker *maker = NULL;
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    auto_free char *key = NULL;
    auto_free char *path = NULL;
    const struct change_source source = { .upper_fd = upper_fd,
                                          .lower_fds = &lower_fd,
                                          .lower_count = lower_fd >= 0,
                                          .has_user_attributes = true };
    struct pack_entry_sink entries = { add, write_bytes, end_file, NULL };
    const struct pack_options options = { .sink = take,
                                          .context = tar,
                                          .entries = &entries,
                                          .is_layer = true,
                                          .latest = 1000000,
                                          .warnings = &warnings };
    struct error err = { 0 };

    assert_int_equal(layer_maker_open(data_fd, below, &warnings, &maker, &err), 0);
    entries.context = maker;
    if (pack_changes(&source, &options, &err) < 0)
        fail_msg("%s", err.message);
    hash_bytes("sha256", tar->data, tar->length, ret_diff_id);
    if (layer_maker_finish(maker, ret_diff_id, &key, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(warnings.count, 0);
    path = xasprintf("layers/%s/fs", key);
    return open_directory(data_fd, path);
}

static int unpack(int top_fd, const struct text *tar, const struct digest *diff_id)
{
    auto_close int tar_fd = memfd_create("tar", MFD_CLOEXEC);
    struct blob_input input = blob_input_whole(tar_fd);
    struct unpack_result result;
    struct error err = { 0 };
    mode_t mask = umask(0);
    int fd;

    assert_int_equal(fd_write_all(tar_fd, tar->data, tar->length, "tar", NULL), 0);
    assert_int_equal(lseek(tar_fd, 0, SEEK_SET), 0);
    assert_int_equal(mkdirat(top_fd, "unpacked", 0755), 0);
    fd = open_directory(top_fd, "unpacked");
    if (unpack_layer(&input, fd, "sha256", false, &result, &err) < 0)
        fail_msg("%s", err.message);
    (void)umask(mask);
    assert_string_equal(result.diff_id.text, diff_id->text);
    unpack_result_clear(&result);
    return fd;
}

/* --- a directory with a bit of everything ------------------------------------------------------
 */

static void put_bytes(int dir_fd, const char *name, size_t length, mode_t mode)
{
    auto_free char *bytes = xcalloc(1, length + 1);
    auto_close int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)(i * 7 + i / 300);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    assert_int_equal(fchmod(fd, mode), 0);
}

static void fill_lower(int fd)
{
    assert_int_equal(mkdirat(fd, "d", 0755), 0);
    put_file(fd, "d/gone", "1");
    assert_int_equal(mkdirat(fd, "hidden", 0755), 0);
    put_file(fd, "hidden/below", "1");
}

static void fill_upper(int fd)
{
    static const struct timespec times[2] = { { -5, 3 }, { -5, 999999999 } };
    auto_free char *long_name = xcalloc(1, 251);
    auto_free char *deep = NULL;
    auto_close int hidden_fd = -1;

    memset(long_name, 'n', 250);
    deep = xasprintf("d/%s/%s", long_name, long_name);
    assert_int_equal(mkdirat(fd, "d", 0755), 0);
    assert_int_equal(fchmodat(fd, "d", 03751, 0), 0);
    assert_int_equal(mkdirat(fd, "hidden", 0700), 0);
    hidden_fd = open_directory(fd, "hidden");
    assert_int_equal(fsetxattr(hidden_fd, "user.overlay.opaque", "y", 1, 0), 0);
    put_bytes(fd, "hidden/new", 10, 0600);
    put_bytes(fd, "empty", 0, 04755);
    put_bytes(fd, "large", 700000, 0640);
    put_bytes(fd, "d/block", 512, 0666);
    assert_int_equal(utimensat(fd, "large", times, 0), 0);
    assert_int_equal(linkat(fd, "large", fd, "d/large", 0), 0);
    assert_int_equal(symlinkat("/no \xff\n", fd, "d/odd \xe4\n"), 0);
    put_bytes(fd, "d/bytes \xe4", 3, 0444);
    assert_int_equal(mkfifoat(fd, "d/fifo", 0622), 0);
    deep[252] = '\0';
    assert_int_equal(mkdirat(fd, deep, 0755), 0);
    deep[252] = '/';
    put_bytes(fd, deep, 1, 0644);
    if (mknodat(fd, "d/gone", S_IFCHR, 0) < 0) /* Linux 5.8 lets anyone */
        skip();
    assert_int_equal(utimensat(fd, "d", times, 0), 0);
}

static void set_attribute(int dir_fd, const char *name)
{
    auto_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

    if (fsetxattr(fd, "user.kept", "1", 1, 0) < 0 && errno == ENOTSUP)
        skip();
    assert_int_equal(fsetxattr(fd, "user.b", "", 0, 0), 0);
}

static void it_makes_what_unpacking_the_tar_makes(void **state)
{
    int top_fd = directory_of(state);
    AUTO_CLEAR(text) struct text lower_tar = { 0 }, tar = { 0 };
    AUTO_CLEAR(strings) struct strings below = { 0 };
    auto_close int made_fd = -1, lower_fd = -1, unpacked_fd = -1;
    struct digest diff_id;
    struct error err = { 0 };
    mode_t mask;
    int fd;

    assert_int_equal(mkdirat(top_fd, "data", 0700), 0);
    assert_int_equal(mkdirat(top_fd, "lower", 0755), 0);
    assert_int_equal(mkdirat(top_fd, "upper", 0755), 0);
    fd = open_directory(top_fd, "lower");
    fill_lower(fd);
    close(fd);
    fd = open_directory(top_fd, "upper");
    set_attribute(fd, ".");
    fill_upper(fd);
    set_attribute(fd, "large");
    close(fd);

    mask = umask(027); /* which no file of the layer may show */
    lower_fd = make_layer(top_fd, "lower", NULL, -1, &lower_tar, &diff_id);
    strings_add(&below, diff_id.text);
    made_fd = make_layer(top_fd, "upper", &below, lower_fd, &tar, &diff_id);
    assert_int_equal(umask(mask), 027);
    unpacked_fd = unpack(top_fd, &tar, &diff_id);
    if (tree_compare(unpacked_fd, made_fd, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(faccessat(made_fd, "d/large", F_OK, 0), 0);
    assert_int_equal(faccessat(made_fd, "hidden/new", F_OK, 0), 0);
}

static bool is_empty(int at_fd, const char *path)
{
    DIR *directory = fdopendir(open_directory(at_fd, path));
    size_t count = 0;

    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count == 2; /* "." and ".." */
}

static void what_is_not_finished_leaves_nothing(void **state)
{
    const struct tar_entry entry = { .name = "d/f", .type = TAR_FILE, .mode = 0644, .size = 9 };
    AUTO(layer_maker) struct layer_maker *maker = NULL;
    auto_close int data_fd = -1;

    assert_int_equal(mkdirat(directory_of(state), "data", 0700), 0);
    data_fd = open_directory(directory_of(state), "data");
    assert_int_equal(layer_maker_open(data_fd, NULL, NULL, &maker, NULL), 0);
    assert_int_equal(layer_maker_add(maker, &entry, NULL), 0);
    assert_int_equal(layer_maker_write(maker, "1234", 4, NULL), 0);
    layer_maker_free(take_ptr(&maker));
    assert_true(is_empty(data_fd, "staging"));
    assert_true(is_empty(data_fd, "layers"));
}

static void an_entry_that_no_layer_may_have_is_named(void **state)
{
    struct tar_entry entry = { .name = "a/../../b", .type = TAR_FILE, .mode = 0644 };
    AUTO(layer_maker) struct layer_maker *maker = NULL;
    auto_close int data_fd = -1;
    struct error err = { 0 };

    assert_int_equal(mkdirat(directory_of(state), "data", 0700), 0);
    data_fd = open_directory(directory_of(state), "data");
    assert_int_equal(layer_maker_open(data_fd, NULL, NULL, &maker, NULL), 0);
    assert_int_equal(layer_maker_add(maker, &entry, &err), -EINVAL);
    assert_string_equal(err.message, "layer entry 'a/../../b': leads outside of the layer");
    entry.name = "huge";
    entry.size = UNPACK_BYTES_MAX + 1;
    assert_int_equal(layer_maker_add(maker, &entry, &err), -EFBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(it_makes_what_unpacking_the_tar_makes),
        IN_DIRECTORY(what_is_not_finished_leaves_nothing),
        IN_DIRECTORY(an_entry_that_no_layer_may_have_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
