#include "unionfs/unionfs.h"

#include "tests/unit/base_test.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "base/hash.h"

/* Layers are unpacked into a temporary directory as whoever runs the test: so no owners but 0:0,
 * which are left alone, no devices and no opaque marks. Those are in tests/integration. */

/* --- making tars ------------------------------------------------------------------------------ */

struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == 512, "a tar header has 512 bytes");

static void sum_up(struct header *header)
{
    unsigned sum = 0;

    memset(header->sum, ' ', sizeof(header->sum));
    for (size_t i = 0; i < sizeof(*header); i++)
        sum += ((unsigned char *)header)[i];
    (void)snprintf(header->sum, sizeof(header->sum), "%06o", sum);
}

static struct header *add_header(struct text *tar, const char *name, char type, unsigned mode,
                                 size_t size, const char *link)
{
    struct header header = { .type = type, .magic = "ustar", .version = { '0', '0' } };

    memcpy(header.name, name, strlen(name));
    memcpy(header.link, link, strlen(link));
    (void)snprintf(header.mode, sizeof(header.mode), "%07o", mode);
    (void)snprintf(header.uid, sizeof(header.uid), "%07o", 0);
    (void)snprintf(header.gid, sizeof(header.gid), "%07o", 0);
    (void)snprintf(header.size, sizeof(header.size), "%011o", (unsigned)size & 077777777);
    (void)snprintf(header.mtime, sizeof(header.mtime), "%011o", 1000);
    sum_up(&header);
    text_add_bytes(tar, &header, sizeof(header));
    return (struct header *)(void *)(tar->data + tar->length - sizeof(header));
}

static void add_content(struct text *tar, const char *bytes, size_t length)
{
    static const char zeros[512];

    text_add_bytes(tar, bytes, length);
    text_add_bytes(tar, zeros, (512 - length % 512) % 512);
}

static void add_file(struct text *tar, const char *name, unsigned mode, const char *content)
{
    (void)add_header(tar, name, '0', mode, strlen(content), "");
    add_content(tar, content, strlen(content));
}

static void add_directory(struct text *tar, const char *name, unsigned mode)
{
    (void)add_header(tar, name, '5', mode, 0, "");
}

static void add_symlink(struct text *tar, const char *name, const char *target)
{
    (void)add_header(tar, name, '2', 0777, 0, target);
}

static void add_link(struct text *tar, const char *name, const char *target)
{
    (void)add_header(tar, name, '1', 0644, 0, target);
}

static void add_pax_lines(struct text *tar, const char *lines)
{
    (void)add_header(tar, "pax", 'x', 0644, strlen(lines), "");
    add_content(tar, lines, strlen(lines));
}

/* An extended header for the next entry; @record: "key=value". */
static void add_pax(struct text *tar, const char *record)
{
    size_t length = strlen(record) + 3;
    auto_free char *line = NULL;

    /* The number counts itself. */
    while ((size_t)snprintf(NULL, 0, "%zu", length) + strlen(record) + 2 != length)
        length++;
    line = xasprintf("%zu %s\n", length, record);
    add_pax_lines(tar, line);
}

static void add_end(struct text *tar)
{
    static const char zeros[1024];

    text_add_bytes(tar, zeros, sizeof(zeros));
}

/* --- unpacking them --------------------------------------------------------------------------- */

struct scene {
    struct test_directory top; /* the layer is in "layer" below it */
    int fd;
    struct text tar;
    struct unpack_result result;
    struct error err;
};

static int scene_open(void **state)
{
    struct scene *scene = xcalloc(1, sizeof(*scene));

    umask(0);
    if (test_directory_make(&scene->top) < 0)
        return -1;
    if (mkdirat(scene->top.fd, "layer", 0755) < 0)
        return -1;
    scene->fd = openat(scene->top.fd, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = scene;
    return scene->fd < 0 ? -1 : 0;
}

static int scene_free(void **state)
{
    struct scene *scene = *state;
    int r = test_directory_remove(&scene->top);

    close(scene->fd);
    text_clear(&scene->tar);
    unpack_result_clear(&scene->result);
    free(scene);
    return r;
}

static int unpack(struct scene *scene, bool is_bottom)
{
    auto_close int fd = memfd_create("layer", MFD_CLOEXEC);
    struct blob_input input = blob_input_whole(fd);

    assert_int_equal(fd_write_all(fd, scene->tar.data, scene->tar.length, "layer", NULL), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return unpack_layer(&input, scene->fd, "sha256", is_bottom, &scene->result, &scene->err);
}

static void check_unpacks(struct scene *scene)
{
    add_end(&scene->tar);
    if (unpack(scene, false) < 0)
        fail_msg("%s", scene->err.message);
}

static void check_refused(struct scene *scene, const char *message)
{
    add_end(&scene->tar);
    assert_true(unpack(scene, false) < 0);
    assert_string_equal(scene->err.message, message);
}

static struct stat look(const struct scene *scene, const char *path)
{
    struct stat st = { 0 };

    if (fstatat(scene->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        fail_msg("'%s' is missing", path);
    return st;
}

static void check_content(const struct scene *scene, const char *path, const char *expected)
{
    char text[64] = "";
    auto_close int fd = openat(scene->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        fail_msg("'%s' is missing", path);
    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    assert_string_equal(text, expected);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void a_stream_without_its_last_padding_is_read_whole(void **state)
{
    struct scene *scene = *state;

    add_file(&scene->tar, "first", 0644, "one");
    (void)add_header(&scene->tar, "last", '0', 0644, 3, "");
    text_add(&scene->tar, "two");
    if (unpack(scene, true) < 0)
        fail_msg("%s", scene->err.message);
    check_content(scene, "first", "one");
    check_content(scene, "last", "two");
}

static void a_file_whose_content_ends_early_is_refused(void **state)
{
    struct scene *scene = *state;

    (void)add_header(&scene->tar, "last", '0', 0644, 5, "");
    text_add(&scene->tar, "two");
    assert_int_equal(unpack(scene, true), -EBADMSG);
    assert_non_null(strstr(scene->err.message, "layer entry 'last': not a good tar archive"));
}

static void modes_times_and_content_survive(void **state)
{
    struct scene *scene = *state;
    struct digest digest;

    add_directory(&scene->tar, "./", 0711);
    add_directory(&scene->tar, "d/", 0750);
    add_pax(&scene->tar, "mtime=1234567890.123456789");
    add_file(&scene->tar, "d/f", 04755, "content");
    add_symlink(&scene->tar, "s", "../../anywhere");
    (void)add_header(&scene->tar, "fifo", '6', 0640, 0, "");
    check_unpacks(scene);
    check_content(scene, "d/f", "content");
    assert_int_equal(look(scene, "d/f").st_mode, S_IFREG | 04755);
    assert_int_equal(look(scene, "d/f").st_mtim.tv_sec, 1234567890);
    assert_int_equal(look(scene, "d/f").st_mtim.tv_nsec, 123456789);
    assert_int_equal(look(scene, "d").st_mode, S_IFDIR | 0750);
    assert_int_equal(look(scene, "d").st_mtim.tv_sec, 1000);
    assert_int_equal(look(scene, ".").st_mode, S_IFDIR | 0711);
    assert_int_equal(look(scene, ".").st_mtim.tv_sec, 1000);
    assert_int_equal(look(scene, "fifo").st_mode, S_IFIFO | 0640);
    assert_int_equal(look(scene, "s").st_mode & S_IFMT, S_IFLNK);
    assert_int_equal(look(scene, "s").st_mtim.tv_sec, 1000);
    assert_int_equal(scene->result.bytes, 7);
    assert_int_equal(scene->result.entries, 5);
    assert_false(scene->result.needs_chain);
    hash_bytes("sha256", scene->tar.data, scene->tar.length, &digest);
    assert_string_equal(scene->result.diff_id.text, digest.text);
}

static void bytes_behind_the_end_count_for_the_digest(void **state)
{
    struct scene *scene = *state;
    struct digest digest;

    add_file(&scene->tar, "f", 0644, "1");
    add_end(&scene->tar);
    text_add(&scene->tar, "garbage behind the end of the archive");
    assert_int_equal(unpack(scene, false), 0);
    hash_bytes("sha256", scene->tar.data, scene->tar.length, &digest);
    assert_string_equal(scene->result.diff_id.text, digest.text);
}

static void a_tar_needs_no_end(void **state)
{
    struct scene *scene = *state;

    add_file(&scene->tar, "f", 0644, "1");
    assert_int_equal(unpack(scene, false), 0);
    check_content(scene, "f", "1");
}

static void nothing_at_all_is_an_empty_layer(void **state)
{
    struct scene *scene = *state;

    text_add(&scene->tar, "");
    assert_int_equal(unpack(scene, false), 0);
    assert_int_equal(scene->result.entries, 0);
    /* What snapshot.c knows a root without an entry by. */
    assert_int_equal(look(scene, ".").st_mtim.tv_sec, 0);
    assert_int_equal(look(scene, ".").st_mode, S_IFDIR | 0755);
}

static void hard_links_are_one_file(void **state)
{
    struct scene *scene = *state;

    add_file(&scene->tar, "d/a", 0644, "1");
    add_link(&scene->tar, "b", "/d/a");
    add_link(&scene->tar, "e/c", "./d/../d/a");
    check_unpacks(scene);
    assert_int_equal(look(scene, "d/a").st_nlink, 3);
    assert_int_equal(look(scene, "b").st_ino, look(scene, "e/c").st_ino);
}

static void links_that_lead_nowhere_in_the_layer_are_refused(void **state)
{
    static const char *const rows[][2] = {
        { "missing", "layer entry 'l': is a hard link to 'missing', which is not in this layer" },
        { "/etc/passwd",
          "layer entry 'l': is a hard link to 'etc/passwd', which is not in this layer" },
        { "../layer", "layer entry 'l': hard link to '../layer': leads outside of the layer" },
        { "d", "layer entry 'l': is a hard link to the directory 'd'" },
        { ".", "layer entry 'l': is a hard link to '', which is not in this layer" },
        { "s/passwd", "layer entry 'l': is a hard link to 's/passwd', which is not in this layer" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        void *one = NULL;

        assert_int_equal(scene_open(&one), 0);
        struct scene *scene = one;

        add_directory(&scene->tar, "d/", 0755);
        add_symlink(&scene->tar, "s", "/etc");
        add_link(&scene->tar, "l", rows[i][0]);
        check_refused(scene, rows[i][1]);
        scene_free(&one);
    }
}

static void names_that_lead_outside_are_refused(void **state)
{
    static const char *const names[] = { "../x", "a/../../x", "/../x", "..", "./.." };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        auto_free char *message =
            xasprintf("layer entry '%s': leads outside of the layer", names[i]);
        void *one = NULL;

        assert_int_equal(scene_open(&one), 0);
        struct scene *scene = one;

        add_file(&scene->tar, names[i], 0644, "x");
        check_refused(scene, message);
        assert_int_equal(faccessat(scene->top.fd, "x", F_OK, 0), -1);
        scene_free(&one);
    }
}

static void a_symbolic_link_as_parent_stays_inside(void **state)
{
    struct scene *scene = *state;

    add_symlink(&scene->tar, "up", "../../..");
    add_file(&scene->tar, "up/a", 0644, "1");
    add_symlink(&scene->tar, "away", "/far/from/here");
    add_file(&scene->tar, "away/b", 0644, "2");
    add_directory(&scene->tar, "real/", 0755);
    add_symlink(&scene->tar, "near", "real");
    add_file(&scene->tar, "near/c", 0644, "3");
    check_unpacks(scene);
    check_content(scene, "a", "1");
    check_content(scene, "far/from/here/b", "2");
    check_content(scene, "real/c", "3");
}

static void a_loop_of_links_is_refused(void **state)
{
    struct scene *scene = *state;

    add_symlink(&scene->tar, "a", "b");
    add_symlink(&scene->tar, "b", "a");
    add_file(&scene->tar, "a/f", 0644, "x");
    check_refused(scene, "layer entry 'a/f': open 'a': Too many levels of symbolic links");
}

/* Each link leads twenty directories down, by way of the link before it. */
static void links_lead_no_deeper_than_names(void **state)
{
    struct scene *scene = *state;

    add_symlink(&scene->tar, "a0", "x");
    for (int i = 1; i < 30; i++) {
        AUTO_CLEAR(text) struct text target = { 0 };
        char name[8];

        for (int k = 0; k < 20; k++)
            text_addf(&target, "%sa%d", k == 0 ? "" : "/", i - 1);
        (void)snprintf(name, sizeof(name), "a%d", i);
        add_symlink(&scene->tar, name, target.data);
    }
    add_file(&scene->tar, "a29/f", 0644, "f");
    check_refused(scene, "layer entry 'a29/f': is deeper than 512 directories");
}

static void the_root_can_only_be_a_directory(void **state)
{
    struct scene *scene = *state;

    add_symlink(&scene->tar, "./", "/tmp");
    check_refused(scene, "layer entry './': is the layer's root, which can only be a directory");
}

static void nothing_can_be_below_a_file(void **state)
{
    struct scene *scene = *state;

    add_file(&scene->tar, "a", 0644, "x");
    add_file(&scene->tar, "a/b", 0644, "x");
    check_refused(scene, "layer entry 'a/b': is below 'a', which is not a directory");
}

static void the_last_entry_of_a_name_wins(void **state)
{
    struct scene *scene = *state;

    add_file(&scene->tar, "f", 0600, "first");
    add_file(&scene->tar, "f", 0644, "second");
    add_directory(&scene->tar, "d/", 0700);
    add_file(&scene->tar, "d/x", 0644, "x");
    add_directory(&scene->tar, "d/", 0755);
    add_directory(&scene->tar, "e/sub/sub", 0755);
    add_file(&scene->tar, "e/sub/sub/x", 0644, "x");
    add_file(&scene->tar, "e", 0644, "e");
    add_symlink(&scene->tar, "l", "/tmp");
    add_file(&scene->tar, "l", 0644, "l");
    check_unpacks(scene);
    check_content(scene, "f", "second");
    assert_int_equal(look(scene, "f").st_mode & 0777, 0644);
    assert_int_equal(look(scene, "d").st_mode & 0777, 0755);
    check_content(scene, "d/x", "x");
    check_content(scene, "e", "e");
    check_content(scene, "l", "l");
    assert_int_equal(scene->result.orphans.count, 0);
}

static void a_replaced_file_keeps_its_other_names(void **state)
{
    struct scene *scene = *state;

    add_file(&scene->tar, "a", 0644, "old");
    add_link(&scene->tar, "b", "a");
    add_file(&scene->tar, "a", 0644, "new");
    check_unpacks(scene);
    check_content(scene, "a", "new");
    check_content(scene, "b", "old");
}

static void parents_without_an_entry_are_listed(void **state)
{
    struct scene *scene = *state;

    add_file(&scene->tar, "z/y/f", 0644, "x");
    add_file(&scene->tar, "a/f", 0644, "x");
    add_directory(&scene->tar, "a/", 0700); /* late, but it is its entry */
    check_unpacks(scene);
    assert_int_equal(scene->result.orphans.count, 2);
    assert_string_equal(scene->result.orphans.items[0], "z");
    assert_string_equal(scene->result.orphans.items[1], "z/y");
    assert_true(scene->result.needs_chain);
    assert_int_equal(look(scene, "z/y").st_mode & 07777, 0755);
    assert_int_equal(look(scene, "a").st_mode & 07777, 0700);
}

static void whiteouts_become_devices(void **state)
{
    struct scene *scene = *state;
    struct stat st;

    add_directory(&scene->tar, "d/", 0755);
    add_file(&scene->tar, "d/.wh.gone", 0644, "");
    add_file(&scene->tar, ".wh.kept", 0644, "");
    add_file(&scene->tar, "kept", 0644, "kept");
    add_file(&scene->tar, "also", 0644, "also");
    add_file(&scene->tar, ".wh.also", 0644, "");
    add_file(&scene->tar, ".wh..wh.aufs", 0644, "");
    check_unpacks(scene);
    st = look(scene, "d/gone");
    assert_int_equal(st.st_mode & S_IFMT, S_IFCHR);
    assert_int_equal(st.st_rdev, 0);
    check_content(scene, "kept", "kept");
    check_content(scene, "also", "also");
    assert_int_equal(faccessat(scene->fd, ".wh..wh.aufs", F_OK, 0), -1);
    assert_int_equal(scene->result.whiteouts.count, 1);
    assert_string_equal(scene->result.whiteouts.items[0], "d");
}

static void the_bottom_layer_has_no_whiteouts(void **state)
{
    struct scene *scene = *state;

    add_file(&scene->tar, "d/.wh.gone", 0644, "");
    add_file(&scene->tar, ".wh..wh..opq", 0644, "");
    add_end(&scene->tar);
    assert_int_equal(unpack(scene, true), 0);
    assert_int_equal(faccessat(scene->fd, "d", F_OK, 0), -1);
    assert_true(scene->result.needs_chain);
    assert_false(scene->result.hides_all);
}

static void an_opaque_root_is_told(void **state)
{
    struct scene *scene = *state;

    add_file(&scene->tar, "./.wh..wh..opq", 0644, "");
    check_unpacks(scene);
    assert_true(scene->result.hides_all);
    assert_true(scene->result.needs_chain);
}

static void a_whiteout_of_nothing_is_refused(void **state)
{
    struct scene *scene = *state;

    add_file(&scene->tar, "d/.wh..", 0644, "");
    check_refused(scene, "layer entry 'd/.wh..': a whiteout of '.' is not possible");
}

/* The number in base 256, as GNU tar writes large ones. */
static void set_uid(struct header *header, uint64_t uid)
{
    for (int i = 7; i >= 0; i--, uid >>= 8)
        header->uid[i] = (char)uid;
    header->uid[0] |= (char)0x80;
    sum_up(header);
}

static void ids_that_would_wrap_are_refused(void **state)
{
    static const uint64_t ids[] = { UINT32_MAX, 1ull << 32, 1ull << 33 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        auto_free char *message =
            xasprintf("layer entry 'f': has the user id %llu, which is out of range",
                      (unsigned long long)ids[i]);
        void *one = NULL;

        assert_int_equal(scene_open(&one), 0);
        struct scene *scene = one;

        set_uid(add_header(&scene->tar, "f", '0', 04755, 0, ""), ids[i]);
        check_refused(scene, message);
        scene_free(&one);
    }
}

static void attributes_of_overlayfs_and_of_the_host_are_left_out(void **state)
{
    static const struct {
        const char *name;
        bool is_kept;
    } rows[] = {
        { "user.comment", true },
        { "user.overlay", true },
        { "security.capability", true },
        { "system.posix_acl_access", true },
        { "user.overlay.opaque", false },
        { "user.fuseoverlayfs.opaque", false },
        { "user.containers.override_stat", false },
        { "trusted.overlay.opaque", false },
        { "trusted.md5", false },
        { "security.selinux", false },
        { "security.ima", false },
        { "system.nfs4_acl", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (unpack_keeps_attribute(rows[i].name) != rows[i].is_kept)
            fail_msg("'%s'", rows[i].name);
    }
}

static void attributes_survive_where_the_file_system_has_them(void **state)
{
    struct scene *scene = *state;
    auto_free char *path = xasprintf("%s/layer/f", scene->top.path);
    char value[16] = "";

    add_pax(&scene->tar, "SCHILY.xattr.user.comment=hello");
    add_file(&scene->tar, "f", 0644, "x");
    check_unpacks(scene);
    if (getxattr(path, "user.comment", value, sizeof(value)) < 0 && errno == ENOTSUP)
        skip();
    assert_string_equal(value, "hello");
}

static void a_sparse_file_gets_its_holes(void **state)
{
    struct scene *scene = *state;
    struct stat st;

    /* GNU's PAX format 1.0: a map of one part at 1 MiB, then its bytes. */
    add_pax_lines(&scene->tar, "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
                               "33 GNU.sparse.name=a-sparse-file\n"
                               "31 GNU.sparse.realsize=2097152\n");
    (void)add_header(&scene->tar, "GNUSparseFile.0/f", '0', 0644, 1024, "");
    add_content(&scene->tar, "1\n1048576\n512\n", 14);
    add_content(&scene->tar, "middle", 6);
    add_end(&scene->tar);
    if (unpack(scene, false) < 0)
        fail_msg("%s", scene->err.message);
    st = look(scene, "a-sparse-file");
    assert_int_equal(st.st_size, 2097152);
    assert_true(st.st_blocks < 1000);
}

static void damage_is_noticed(void **state)
{
    struct scene *scene = *state;

    add_file(&scene->tar, "f", 0644, "some content");
    scene->tar.length -= 505; /* into the content, which 500 bytes of padding follow */
    assert_int_equal(unpack(scene, false), -EBADMSG);
    assert_non_null(strstr(scene->err.message, "layer entry 'f': not a good tar archive: Trunc"));
}

static void what_is_no_tar_is_refused(void **state)
{
    struct scene *scene = *state;

    for (int i = 0; i < 100; i++)
        text_add(&scene->tar, "this is no tar archive\n");
    assert_int_equal(unpack(scene, false), -EBADMSG);
    assert_string_equal(scene->err.message, "not a good tar archive: Unrecognized archive format");
}

int main(void)
{
#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_free)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(modes_times_and_content_survive),
        SCENE_TEST(bytes_behind_the_end_count_for_the_digest),
        SCENE_TEST(a_tar_needs_no_end),
        SCENE_TEST(a_stream_without_its_last_padding_is_read_whole),
        SCENE_TEST(a_file_whose_content_ends_early_is_refused),
        SCENE_TEST(nothing_at_all_is_an_empty_layer),
        SCENE_TEST(hard_links_are_one_file),
        cmocka_unit_test(links_that_lead_nowhere_in_the_layer_are_refused),
        cmocka_unit_test(names_that_lead_outside_are_refused),
        SCENE_TEST(a_symbolic_link_as_parent_stays_inside),
        SCENE_TEST(a_loop_of_links_is_refused),
        SCENE_TEST(links_lead_no_deeper_than_names),
        SCENE_TEST(the_root_can_only_be_a_directory),
        SCENE_TEST(nothing_can_be_below_a_file),
        SCENE_TEST(the_last_entry_of_a_name_wins),
        SCENE_TEST(a_replaced_file_keeps_its_other_names),
        SCENE_TEST(parents_without_an_entry_are_listed),
        SCENE_TEST(whiteouts_become_devices),
        SCENE_TEST(the_bottom_layer_has_no_whiteouts),
        SCENE_TEST(an_opaque_root_is_told),
        SCENE_TEST(a_whiteout_of_nothing_is_refused),
        cmocka_unit_test(ids_that_would_wrap_are_refused),
        cmocka_unit_test(attributes_of_overlayfs_and_of_the_host_are_left_out),
        SCENE_TEST(attributes_survive_where_the_file_system_has_them),
        SCENE_TEST(a_sparse_file_gets_its_holes),
        SCENE_TEST(damage_is_noticed),
        SCENE_TEST(what_is_no_tar_is_refused),
    };

    return cmocka_run_group_tests_name("unpack", tests, NULL, NULL);
}
