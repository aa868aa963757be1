#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/path.h"
#include "runtime/rdt.h"

/* A resctrl file system of plain files. In the real one a new directory has its files at once, so
 * mkdirat(2) makes them here. */
static char tree[] = "/tmp/berth-rdt-XXXXXX";
static int root_fd = -1;

int __real_mkdirat(int dir_fd, const char *path, mode_t mode);
int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode);

static void put_file(int dir_fd, const char *name, const char *text)
{
    auto_close int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text), name, NULL), 0);
}

int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode)
{
    auto_close int fd = -1;

    if (__real_mkdirat(dir_fd, path, mode) < 0)
        return -1;
    fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put_file(fd, "tasks", "");
    if (strstr(path, "mon_groups") == NULL) {
        put_file(fd, "schemata", "");
        assert_int_equal(__real_mkdirat(fd, "mon_groups", mode), 0);
    }
    return 0;
}

static int make_tree(void **state)
{
    (void)state;
    (void)strcpy(tree, "/tmp/berth-rdt-XXXXXX");
    assert_non_null(mkdtemp(tree));
    root_fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put_file(root_fd, "tasks", "");
    put_file(root_fd, "schemata", "    MB:0=100\n    L3:0=fffff;1=fffff\n");
    assert_int_equal(__wrap_mkdirat(root_fd, "gold", 0755), 0);
    put_file(root_fd, "gold/schemata", "    MB:0= 20;1= 70\n    L3:0=00ff;1=c0\n");
    return 0;
}

static int remove_tree(void **state)
{
    auto_close int tmp_fd = -1;

    (void)state;
    auto_close_cleanup(&root_fd);
    tmp_fd = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return path_remove_tree(tmp_fd, tree + strlen("/tmp/"), NULL);
}

static void assert_content(const char *path, const char *text)
{
    auto_close int fd = openat(root_fd, path, O_RDONLY | O_CLOEXEC);
    auto_free char *content = NULL;

    assert_true(fd >= 0);
    assert_int_equal(fd_read_all(fd, 4096, path, &content, NULL, NULL), 0);
    assert_string_equal(content, text);
}

static int apply(const struct spec_intel_rdt *rdt, char **ret_group, char **ret_monitor,
                 struct error *err)
{
    AUTO(rdt_plan) struct rdt_plan *plan = rdt_plan(rdt, "web");
    int r = rdt_find_missing(plan, root_fd, ret_group, ret_monitor, err);

    return r < 0 ? r : rdt_apply(plan, root_fd, *ret_group != NULL, 77, err);
}

static void names_and_lines_that_cannot_be_are_refused(void **state)
{
    static const struct {
        struct spec_intel_rdt rdt;
        const char *message;
    } cases[] = {
        { { .clos_id = (char *)"a/b" }, "linux.intelRdt.closID: 'a/b' is not the name of a class" },
        { { .clos_id = (char *)".." }, "linux.intelRdt.closID: '..' is not the name of a class" },
        { { .clos_id = (char *)"info" },
          "linux.intelRdt.closID: 'info' is not the name of a class" },
        { { .l3_cache_schema = (char *)"x" },
          "linux.intelRdt.l3CacheSchema: 'x' is not RESOURCE:ID=VALUE;..." },
        { { .l3_cache_schema = (char *)"L3:0=f\nrest" },
          "linux.intelRdt.l3CacheSchema: 'rest' is not RESOURCE:ID=VALUE;..." },
        { { .mem_bw_schema = (char *)":1" },
          "linux.intelRdt.memBwSchema: ':1' is not RESOURCE:ID=VALUE;..." },
    };
    const struct spec_intel_rdt fine = { .clos_id = (char *)"/" };
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(rdt_check(&cases[i].rdt, &err), -EINVAL);
        assert_string_equal(err.message, cases[i].message);
    }
    assert_int_equal(rdt_check(&fine, &err), 0);
}

static void without_a_name_the_container_gets_a_class_of_its_own(void **state)
{
    char *lines[] = { (char *)"L2:0=f", (char *)"SMBA:0=2048" };
    const struct spec_intel_rdt rdt = {
        .l3_cache_schema = (char *)"MB:0=1\nL3:0=f;1=f0",
        .mem_bw_schema = (char *)"MB:0=20;1=70",
        .schemata = { lines, 2 },
        .enable_monitoring = true,
    };
    auto_free char *group = NULL;
    auto_free char *monitor = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(apply(&rdt, &group, &monitor, &err), 0);
    assert_string_equal(group, "web");
    assert_null(monitor);
    assert_content("web/schemata", "L3:0=f;1=f0\nMB:0=20;1=70\nL2:0=f\nSMBA:0=2048\n");
    assert_content("web/tasks", "77");
    assert_content("web/mon_groups/web/tasks", "77");
}

static void a_class_that_is_there_is_joined_and_not_changed(void **state)
{
    const struct spec_intel_rdt same = { .clos_id = (char *)"gold",
                                         .l3_cache_schema = (char *)"L3:0=0ff;1=c0",
                                         .mem_bw_schema = (char *)"MB:1=70" };
    const struct spec_intel_rdt other = { .clos_id = (char *)"gold",
                                          .l3_cache_schema = (char *)"L3:0=f" };
    const struct spec_intel_rdt silent = { .clos_id = (char *)"gold", .enable_monitoring = true };
    auto_free char *group = NULL;
    auto_free char *monitor = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(apply(&same, &group, &monitor, &err), 0);
    assert_null(group);
    assert_content("gold/tasks", "77");
    assert_content("gold/schemata", "    MB:0= 20;1= 70\n    L3:0=00ff;1=c0\n");
    assert_int_equal(apply(&other, &group, &monitor, &err), -EEXIST);
    assert_string_equal(err.message, "linux.intelRdt: the class 'gold' is there already with other "
                                     "schemata");
    assert_int_equal(apply(&silent, &group, &monitor, &err), 0);
    assert_string_equal(monitor, "gold/mon_groups/web");
    assert_content("gold/mon_groups/web/tasks", "77");
}

static void a_class_that_nobody_described_has_to_be_there(void **state)
{
    const struct spec_intel_rdt missing = { .clos_id = (char *)"silver" };
    const struct spec_intel_rdt root = { .clos_id = (char *)"/" };
    char *group = NULL, *monitor = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(apply(&missing, &group, &monitor, &err), -ENOENT);
    assert_string_equal(err.message, "linux.intelRdt.closID: there is no class 'silver', and no "
                                     "schemata are given to make it with");
    assert_int_equal(apply(&root, &group, &monitor, &err), 0);
    assert_null(group);
    assert_content("tasks", "77");
}

static void what_was_made_is_removed_and_may_be_gone(void **state)
{
    struct error err = { 0 };

    (void)state;
    assert_int_equal(__real_mkdirat(root_fd, "web", 0755), 0);
    assert_int_equal(rdt_remove(root_fd, "web", &err), 0);
    assert_int_equal(rdt_remove(root_fd, "web", &err), 0);
    assert_int_equal(faccessat(root_fd, "web", F_OK, 0), -1);
}

static void lines_match_by_value(void **state)
{
    static const struct {
        const char *line, *schemata;
        bool do_match;
    } cases[] = {
        { "L3:0=ff", "L3:0=ff;1=f", true },     { "L3:0=00ff", "    L3:0=ff", true },
        { "L3:0=0", "L3:0=000", true },         { "L3:0=ff", "L3DATA:0=ff", false },
        { "L3:0=ff;2=1", "L3:0=ff", false },    { "MB:0=20", "MB:0= 20", true },
        { "MB:0=20", "MB:0=200", false },       { "L3:0=ff", "", false },
        { "L3:0=ff", "MB:0=1\nL3:0=ff", true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *items[] = { (char *)cases[i].line };
        const struct strings lines = { items, 1 };

        if (rdt_lines_match(&lines, cases[i].schemata) != cases[i].do_match)
            fail_msg("'%s' against '%s'", cases[i].line, cases[i].schemata);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_lines_that_cannot_be_are_refused),
        cmocka_unit_test_setup_teardown(without_a_name_the_container_gets_a_class_of_its_own,
                                        make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(a_class_that_is_there_is_joined_and_not_changed, make_tree,
                                        remove_tree),
        cmocka_unit_test_setup_teardown(a_class_that_nobody_described_has_to_be_there, make_tree,
                                        remove_tree),
        cmocka_unit_test_setup_teardown(what_was_made_is_removed_and_may_be_gone, make_tree,
                                        remove_tree),
        cmocka_unit_test(lines_match_by_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
