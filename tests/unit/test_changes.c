#include "unionfs/unionfs.h"

#include "tests/unit/base_test.h"

#include <errno.h>
#include <sys/xattr.h>

/* An upper directory and two layers in a temporary folder, marked with user.overlay.*, so that
 * nobody has to be root. */

struct scene {
    struct test_directory top;
    int lower_fds[2]; /* "1" is above "2" */
    struct strings mount_points;
    struct strings lines; /* "C etc", in the order in which they came */
    bool has_whiteout_names;
};

static void make_file(const struct scene *scene, const char *path, const char *content)
{
    int fd = openat(scene->top.fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
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

static void mark(const struct scene *scene, const char *path, const char *name, const char *value)
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
    make_directory(scene, "1");
    make_directory(scene, "2");
    scene->lower_fds[0] = openat(scene->top.fd, "1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scene->lower_fds[1] = openat(scene->top.fd, "2", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = scene;
    return 0;
}

static int end(void **state)
{
    struct scene *scene = *state;
    int r = test_directory_remove(&scene->top);

    close(scene->lower_fds[0]);
    close(scene->lower_fds[1]);
    strings_clear(&scene->mount_points);
    strings_clear(&scene->lines);
    free(scene);
    return r;
}

static int add_line(const struct change *change, void *context, struct error *err)
{
    struct strings *lines = context;

    (void)err;
    strings_addf(lines, "%c %s%s", "CAD"[change->kind], change -> path,
                 change -> hides_below && !change -> is_below_hidden ? " hides" : "");
    return 0;
}

static int walk(struct scene *scene, struct error *err)
{
    int upper_fd = openat(scene->top.fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct change_source source = { .upper_fd = upper_fd,
                                          .lower_fds = scene->lower_fds,
                                          .lower_count = 2,
                                          .mount_points = &scene->mount_points,
                                          .has_user_attributes = true,
                                          .has_whiteout_names = scene->has_whiteout_names };
    int r;

    strings_clear(&scene->lines);
    r = changes_walk(&source, add_line, &scene->lines, err);
    close(upper_fd);
    return r;
}

static void expect(struct scene *scene, const char *expected)
{
    struct error err = { 0 };
    auto_free char *lines = NULL;

    assert_int_equal(walk(scene, &err), 0);
    lines = strings_join(&scene->lines, ", ");
    assert_string_equal(lines, expected);
}

static void a_name_is_changed_when_a_layer_has_it_and_added_otherwise(void **state)
{
    struct scene *scene = *state;

    make_directory(scene, "1/a");
    make_file(scene, "2/b", "");
    make_directory(scene, "upper/a");
    make_file(scene, "upper/a/x", "");
    make_file(scene, "upper/b", "");
    make_file(scene, "upper/c", "");
    assert_int_equal(symlinkat("/etc", scene->top.fd, "upper/d"), 0);
    expect(scene, "C , C a, A a/x, C b, A c, A d");
}

static void a_whiteout_deletes_what_a_layer_shows_and_nothing_else(void **state)
{
    struct scene *scene = *state;

    make_file(scene, "2/a", "");
    make_file(scene, "2/b", "");
    make_whiteout(scene, "1/b");
    make_whiteout(scene, "upper/a");
    make_whiteout(scene, "upper/b"); /* gone already in the layer */
    make_whiteout(scene, "upper/c");
    expect(scene, "C , D a");
}

/* As fuse-overlayfs leaves them, beside devices 0:0. */
static void marks_by_name_are_read_of_an_upper_that_may_have_them(void **state)
{
    struct scene *scene = *state;

    make_file(scene, "2/a", "");
    make_file(scene, "2/both", "");
    make_directory(scene, "2/d");
    make_file(scene, "2/d/x", "");
    make_file(scene, "upper/.wh.a", "");
    make_file(scene, "upper/.wh.b", ""); /* nothing below */
    make_file(scene, "upper/.wh.both", "");
    make_file(scene, "upper/both", "");
    make_directory(scene, "upper/d");
    make_file(scene, "upper/d/.wh..wh..opq", "");
    make_file(scene, "upper/d/.wh..opq", "");
    make_directory(scene, "upper/proc");
    make_file(scene, "upper/proc/.wh..wh..opq", "");
    strings_add(&scene->mount_points, "proc");
    scene->has_whiteout_names = true;
    expect(scene, "C , D a, D both, C d hides, D d/x");
    scene->has_whiteout_names = false;
    expect(scene, "C , A .wh.a, A .wh.b, A .wh.both, C both, C d, A d/.wh..opq, A d/.wh..wh..opq, "
                  "A proc, A proc/.wh..wh..opq");
}

static void an_empty_file_with_a_mark_is_a_whiteout_too(void **state)
{
    struct scene *scene = *state;

    make_file(scene, "2/a", "");
    make_file(scene, "upper/a", "");
    mark(scene, "upper/a", "user.overlay.whiteout", "y");
    expect(scene, "C , D a");
}

static void an_opaque_directory_deletes_what_it_hides_at_any_depth(void **state)
{
    struct scene *scene = *state;

    make_directory(scene, "1/d");
    make_directory(scene, "2/d");
    make_file(scene, "1/d/both", "");
    make_file(scene, "2/d/both", "");
    make_file(scene, "2/d/gone", "");
    make_whiteout(scene, "1/d/gone");
    make_file(scene, "2/d/low", "");
    make_directory(scene, "2/d/sub");
    make_file(scene, "2/d/sub/x", "");
    make_directory(scene, "upper/d");
    make_directory(scene, "upper/d/sub");
    make_file(scene, "upper/d/new", "");
    mark(scene, "upper/d", "user.overlay.opaque", "y");
    expect(scene, "C , C d hides, D d/both, D d/low, A d/new, C d/sub, D d/sub/x");
}

static void a_directory_that_no_layer_has_hides_nothing(void **state)
{
    struct scene *scene = *state;

    make_file(scene, "2/file", "");
    make_directory(scene, "upper/file");
    make_directory(scene, "upper/new");
    mark(scene, "upper/file", "user.overlay.opaque", "y");
    mark(scene, "upper/new", "user.overlay.opaque", "y");
    expect(scene, "C , C file, A new");
}

static void a_layer_hides_the_layers_below_it(void **state)
{
    struct scene *scene = *state;

    make_directory(scene, "1/opaque");
    mark(scene, "1/opaque", "user.overlay.opaque", "y");
    make_directory(scene, "2/opaque");
    make_file(scene, "2/opaque/x", "");
    make_file(scene, "1/file", "");
    make_directory(scene, "2/file");
    make_file(scene, "2/file/x", "");
    make_directory(scene, "upper/opaque");
    make_file(scene, "upper/opaque/x", "");
    make_directory(scene, "upper/file");
    make_file(scene, "upper/file/x", "");
    expect(scene, "C , C file, A file/x, C opaque, A opaque/x");
}

static void an_empty_mount_point_is_no_change_and_a_used_one_is(void **state)
{
    struct scene *scene = *state;

    strings_split(&scene->mount_points, "dev,etc/hosts,etc/hostname,run/x,var/y", ',');
    make_directory(scene, "2/etc");
    make_file(scene, "2/etc/hostname", "old");
    make_directory(scene, "upper/dev");
    make_directory(scene, "upper/etc");
    make_file(scene, "upper/etc/hosts", "");
    make_directory(scene, "upper/run");
    make_file(scene, "upper/run/x", "");
    expect(scene, "C ");
    make_file(scene, "upper/etc/hostname", "");
    make_file(scene, "upper/dev/null", "");
    make_directory(scene, "upper/var"); /* nothing in it that says why it is there */
    expect(scene, "C , A dev, A dev/null, C etc, C etc/hostname, A var");
}

static void a_changed_directory_of_mount_points_is_a_change(void **state)
{
    struct scene *scene = *state;

    strings_add(&scene->mount_points, "etc/hosts");
    make_directory(scene, "2/etc");
    make_directory(scene, "upper/etc");
    make_file(scene, "upper/etc/hosts", "");
    assert_int_equal(fchmodat(scene->top.fd, "upper/etc", 0700, 0), 0);
    expect(scene, "C , C etc");
}

static void a_tree_that_is_too_deep_is_refused(void **state)
{
    struct scene *scene = *state;
    struct error err = { 0 };
    int fd = openat(scene->top.fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; i < 513; i++) {
        int next;

        assert_int_equal(mkdirat(fd, "d", 0755), 0);
        next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = next;
    }
    close(fd);
    assert_int_equal(walk(scene, &err), -ELOOP);
    assert_non_null(strstr(err.message, "more than 512 directories deep"));
}

static int refuse(const struct change *change, void *context, struct error *err)
{
    (void)context;
    return text_equal(change->path, "b") ? error_set(err, EIO, "no") : 0;
}

static void the_walk_ends_where_its_function_fails(void **state)
{
    struct scene *scene = *state;
    struct error err = { 0 };
    struct change_source source = { .lower_fds = scene->lower_fds };

    make_file(scene, "upper/a", "");
    make_file(scene, "upper/b", "");
    source.upper_fd = openat(scene->top.fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(changes_walk(&source, refuse, NULL, &err), -EIO);
    assert_string_equal(err.message, "no");
    close(source.upper_fd);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_name_is_changed_when_a_layer_has_it_and_added_otherwise),
        CASE(a_whiteout_deletes_what_a_layer_shows_and_nothing_else),
        CASE(an_empty_file_with_a_mark_is_a_whiteout_too),
        CASE(marks_by_name_are_read_of_an_upper_that_may_have_them),
        CASE(an_opaque_directory_deletes_what_it_hides_at_any_depth),
        CASE(a_directory_that_no_layer_has_hides_nothing),
        CASE(a_layer_hides_the_layers_below_it),
        CASE(an_empty_mount_point_is_no_change_and_a_used_one_is),
        CASE(a_changed_directory_of_mount_points_is_a_change),
        CASE(a_tree_that_is_too_deep_is_refused),
        CASE(the_walk_ends_where_its_function_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
