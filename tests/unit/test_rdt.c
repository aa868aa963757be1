#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/path.h"
#include "runtime/container.h"
#include "runtime/rdt.h"

/* A resctrl file system of plain files. In the real one a new directory has its files at once, so
 * mkdirat(2) makes them here. */
static char tree[] = "/tmp/berth-rdt-XXXXXX";
static int root_fd = -1;
static const char *class_made_by_another; /* its schemata; it comes just before the next of ours */
static bool is_schemata_refused;
static int mkdir_failure; /* errno; 0: none */

int __real_mkdirat(int dir_fd, const char *path, mode_t mode);
int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode);

static void put_file(int dir_fd, const char *name, const char *text)
{
    auto_close int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text), name, NULL), 0);
}

static void fill_directory(int dir_fd, const char *path)
{
    auto_close int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (is_schemata_refused) /* with a file that cannot be written the directory can be removed */
        return;
    put_file(fd, "tasks", "");
    if (strstr(path, "mon_groups") == NULL) {
        put_file(fd, "schemata", "");
        assert_int_equal(__real_mkdirat(fd, "mon_groups", 0755), 0);
    }
}

int __wrap_mkdirat(int dir_fd, const char *path, mode_t mode)
{
    const char *made_by_another = class_made_by_another;

    if (mkdir_failure != 0) {
        errno = mkdir_failure;
        return -1;
    }
    class_made_by_another = NULL;
    if (made_by_another != NULL) {
        auto_free char *schemata = path_join(path, "schemata");

        assert_int_equal(__wrap_mkdirat(dir_fd, path, mode), 0);
        put_file(dir_fd, schemata, made_by_another);
    }
    if (__real_mkdirat(dir_fd, path, mode) < 0)
        return -1;
    fill_directory(dir_fd, path);
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

    return r < 0 ? r : rdt_apply(plan, root_fd, 77, ret_group, ret_monitor, err);
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

static void monitoring_has_three_names(void **state)
{
    const struct spec_intel_rdt names[] = {
        { .enable_monitoring = true },
        { .enable_cmt = true },
        { .enable_mbm = true },
    };
    const struct spec_intel_rdt none = { 0 };
    AUTO(rdt_plan) struct rdt_plan *without = rdt_plan(&none, "web");

    (void)state;
    assert_null(without->monitor);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        AUTO(rdt_plan) struct rdt_plan *plan = rdt_plan(&names[i], "web");

        assert_string_equal(plan->monitor, "web/mon_groups/web");
    }
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

/* Two creates have looked for their class before one of them makes it. */
static void race(const struct spec_intel_rdt *first_rdt, const struct spec_intel_rdt *second_rdt,
                 char *made[4], int *ret_second, struct error *err)
{
    AUTO(rdt_plan) struct rdt_plan *first = rdt_plan(first_rdt, "one");
    AUTO(rdt_plan) struct rdt_plan *second = rdt_plan(second_rdt, "two");

    assert_int_equal(rdt_find_missing(first, root_fd, &made[0], &made[1], NULL), 0);
    assert_int_equal(rdt_find_missing(second, root_fd, &made[2], &made[3], NULL), 0);
    assert_string_equal(made[0], "web");
    assert_string_equal(made[2], "web");
    assert_int_equal(rdt_apply(first, root_fd, 1, &made[0], &made[1], NULL), 0);
    assert_int_equal(flock(root_fd, LOCK_UN), 0); /* as closing it does */
    *ret_second = rdt_apply(second, root_fd, 2, &made[2], &made[3], err);
}

static void free_made(char *made[4])
{
    for (size_t i = 0; i < 4; i++)
        free(made[i]);
}

static void of_two_creates_only_the_one_that_made_the_class_removes_it(void **state)
{
    const struct spec_intel_rdt rdt = { .clos_id = (char *)"web",
                                        .l3_cache_schema = (char *)"L3:0=f",
                                        .enable_monitoring = true };
    char *made[4] = { NULL };
    struct error err = { 0 };
    int r;

    (void)state;
    race(&rdt, &rdt, made, &r, &err);
    assert_int_equal(r, 0);
    assert_string_equal(made[0], "web");
    assert_null(made[1]);
    assert_null(made[2]);
    assert_string_equal(made[3], "web/mon_groups/two");
    assert_content("web/tasks", "2"); /* a file of resctrl takes one after the other */
    assert_content("web/mon_groups/one/tasks", "1");
    assert_content("web/mon_groups/two/tasks", "2");
    free_made(made);
}

static void a_create_that_comes_second_with_other_schemata_fails_and_owns_nothing(void **state)
{
    const struct spec_intel_rdt rdt = { .clos_id = (char *)"web",
                                        .l3_cache_schema = (char *)"L3:0=f" };
    const struct spec_intel_rdt other = { .clos_id = (char *)"web",
                                          .l3_cache_schema = (char *)"L3:0=1",
                                          .enable_monitoring = true };
    char *made[4] = { NULL };
    struct error err = { 0 };
    int r;

    (void)state;
    race(&rdt, &other, made, &r, &err);
    assert_int_equal(r, -EEXIST);
    assert_string_equal(err.message,
                        "linux.intelRdt: the class 'web' is there already with other schemata");
    assert_null(made[2]);
    assert_null(made[3]);
    assert_content("web/schemata", "L3:0=f\n");
    assert_content("web/tasks", "1");
    free_made(made);
}

static void a_class_that_cannot_be_made_is_not_ours(void **state)
{
    const struct spec_intel_rdt rdt = { .clos_id = (char *)"web",
                                        .l3_cache_schema = (char *)"L3:0=f" };
    auto_free char *group = NULL;
    auto_free char *monitor = NULL;
    struct error err = { 0 };

    (void)state;
    mkdir_failure = ENOSPC; /* the processor has no further class */
    assert_int_equal(apply(&rdt, &group, &monitor, &err), -ENOSPC);
    mkdir_failure = 0;
    assert_string_equal(err.message, "linux.intelRdt: make 'web': No space left on device");
    assert_null(group);
}

static void the_tree_is_locked_until_it_is_closed(void **state)
{
    const struct spec_intel_rdt rdt = { .clos_id = (char *)"web",
                                        .l3_cache_schema = (char *)"L3:0=f" };
    auto_close int other_fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_free char *group = NULL;
    auto_free char *monitor = NULL;

    (void)state;
    assert_int_equal(apply(&rdt, &group, &monitor, NULL), 0);
    assert_int_equal(flock(other_fd, LOCK_EX | LOCK_NB), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    auto_close_cleanup(&root_fd);
    assert_int_equal(flock(other_fd, LOCK_EX | LOCK_NB), 0);
}

/* A running container "web", process 77, whose state is written beside the classes. */
static struct container *make_container(const struct spec_intel_rdt *rdt)
{
    struct container *container = xcalloc(1, sizeof(*container));

    container->state.id = xstrdup("web");
    container->state.pid = 77;
    container->dir_fd = root_fd;
    container->spec = xcalloc(1, sizeof(*container->spec));
    container->spec->linux_.intel_rdt = (struct spec_intel_rdt *)rdt;
    return container;
}

static void free_container(struct container *container)
{
    free(container->state.id);
    free(container->state.rdt_group);
    free(container->state.rdt_monitor);
    free(container->spec);
    free(container);
}

static void assert_in_state(const char *text, bool is_there)
{
    auto_close int fd = openat(root_fd, "state.json", O_RDONLY | O_CLOEXEC);
    auto_free char *content = NULL;

    assert_true(fd >= 0);
    assert_int_equal(fd_read_all(fd, 4096, "state.json", &content, NULL, NULL), 0);
    assert_int_equal(strstr(content, text) != NULL, is_there);
}

static void an_update_makes_a_class_for_a_container_without_one_and_changes_it_later(void **state)
{
    struct container *container = make_container(NULL);
    struct error err = { 0 };

    (void)state;
    assert_int_equal(rdt_change(container, root_fd, "L3:0=f", NULL, &err), 0);
    assert_string_equal(container->state.rdt_group, "web");
    assert_content("web/schemata", "L3:0=f\n");
    assert_content("web/tasks", "77");
    assert_in_state("\"rdtGroup\":\"web\"", true);
    assert_int_equal(rdt_change(container, root_fd, "L3:0=3", "MB:0=50", &err), 0);
    assert_content("web/schemata", "L3:0=3\nMB:0=50\n");
    free_container(container);
}

static void an_update_changes_the_class_that_the_configuration_names(void **state)
{
    const struct spec_intel_rdt gold = { .clos_id = (char *)"gold" };
    const struct spec_intel_rdt missing = { .clos_id = (char *)"silver" };
    struct container *container = make_container(&gold);
    struct error err = { 0 };

    (void)state;
    put_file(root_fd, "gold/schemata", "");
    assert_int_equal(rdt_change(container, root_fd, NULL, "MB:0=50", &err), 0);
    assert_null(container->state.rdt_group);
    assert_content("gold/schemata", "MB:0=50\n");
    container->spec->linux_.intel_rdt = (struct spec_intel_rdt *)&missing;
    assert_int_equal(rdt_change(container, root_fd, NULL, "MB:0=50", &err), -ENOENT);
    assert_string_equal(err.message,
                        "linux.intelRdt: open class 'silver': No such file or directory");
    assert_int_equal(rdt_change(container, root_fd, "nonsense", NULL, &err), -EINVAL);
    assert_string_equal(err.message, "linux.intelRdt.l3CacheSchema: 'nonsense' is not "
                                     "RESOURCE:ID=VALUE;...");
    free_container(container);
}

static void an_update_joins_a_class_of_its_name_but_does_not_own_it(void **state)
{
    struct container *container = make_container(NULL);
    struct error err = { 0 };

    (void)state;
    assert_int_equal(__wrap_mkdirat(root_fd, "web", 0755), 0);
    put_file(root_fd, "web/schemata", "L3:0=f\n");
    assert_int_equal(rdt_change(container, root_fd, "L3:0=1", NULL, &err), -EEXIST);
    assert_content("web/tasks", "");
    assert_int_equal(rdt_change(container, root_fd, "L3:0=f", NULL, &err), 0);
    assert_content("web/tasks", "77");
    assert_null(container->state.rdt_group);
    assert_in_state("rdtGroup", false);
    free_container(container);
}

static void an_update_that_loses_the_race_does_not_own_the_class(void **state)
{
    struct container *container = make_container(NULL);
    struct error err = { 0 };

    (void)state;
    class_made_by_another = "L3:0=f\n";
    assert_int_equal(rdt_change(container, root_fd, "L3:0=f", NULL, &err), 0);
    assert_null(class_made_by_another);
    assert_null(container->state.rdt_group);
    assert_in_state("rdtGroup", false);
    assert_content("web/tasks", "77");
    free_container(container);
}

static void an_update_that_fails_leaves_no_class(void **state)
{
    struct container *container = make_container(NULL);
    struct error err = { 0 };

    (void)state;
    is_schemata_refused = true;
    assert_int_equal(rdt_change(container, root_fd, "L3:0=f", NULL, &err), -ENOENT);
    is_schemata_refused = false;
    assert_null(container->state.rdt_group);
    assert_in_state("rdtGroup", false);
    assert_int_equal(faccessat(root_fd, "web", F_OK, 0), -1);
    assert_int_equal(rdt_change(container, root_fd, "L3:0=f", NULL, &err), 0);
    assert_content("web/tasks", "77");
    free_container(container);
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
        cmocka_unit_test(monitoring_has_three_names),
        cmocka_unit_test_setup_teardown(without_a_name_the_container_gets_a_class_of_its_own,
                                        make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(a_class_that_is_there_is_joined_and_not_changed, make_tree,
                                        remove_tree),
        cmocka_unit_test_setup_teardown(a_class_that_nobody_described_has_to_be_there, make_tree,
                                        remove_tree),
        cmocka_unit_test_setup_teardown(of_two_creates_only_the_one_that_made_the_class_removes_it,
                                        make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(
            a_create_that_comes_second_with_other_schemata_fails_and_owns_nothing, make_tree,
            remove_tree),
        cmocka_unit_test_setup_teardown(a_class_that_cannot_be_made_is_not_ours, make_tree,
                                        remove_tree),
        cmocka_unit_test_setup_teardown(the_tree_is_locked_until_it_is_closed, make_tree,
                                        remove_tree),
        cmocka_unit_test_setup_teardown(
            an_update_makes_a_class_for_a_container_without_one_and_changes_it_later, make_tree,
            remove_tree),
        cmocka_unit_test_setup_teardown(an_update_changes_the_class_that_the_configuration_names,
                                        make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(an_update_joins_a_class_of_its_name_but_does_not_own_it,
                                        make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(an_update_that_loses_the_race_does_not_own_the_class,
                                        make_tree, remove_tree),
        cmocka_unit_test_setup_teardown(an_update_that_fails_leaves_no_class, make_tree,
                                        remove_tree),
        cmocka_unit_test_setup_teardown(what_was_made_is_removed_and_may_be_gone, make_tree,
                                        remove_tree),
        cmocka_unit_test(lines_match_by_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
