#include "cgroups/cgroup_system.h"

#include <errno.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cgroup_tree.h"

static int set_up(void **state)
{
    struct cgroup_tree *tree = xcalloc(1, sizeof(*tree));

    cgroup_tree_make(tree);
    *state = tree;
    return 0;
}

static int tear_down(void **state)
{
    cgroup_tree_remove(*state);
    free(*state);
    return 0;
}

static struct cgroup_system *open_tree(const struct cgroup_tree *tree, const char *self_cgroup)
{
    struct cgroup_system *system = NULL;
    struct error err = { 0 };

    if (cgroup_system_open_from(tree->root, self_cgroup, NULL, &system, &err) < 0)
        fail_msg("%s", err.message);
    return system;
}

static void assert_layout(const struct cgroup_system *system, const char *name)
{
    assert_string_equal(cgroup_layout_name(cgroup_system_layout(system)), name);
}

static void a_hybrid_has_v1_controllers_and_a_v2_hierarchy(void **state)
{
    struct cgroup_tree *tree = *state;
    AUTO(cgroup_system) struct cgroup_system *system = NULL;
    const struct cgroup_hierarchy *hierarchies;
    size_t count;

    cgroup_tree_add_folder(tree, "memory", 0751);
    cgroup_tree_add_folder(tree, "cpu,cpuacct", 0751);
    cgroup_tree_add_folder(tree, "systemd", 0751);
    cgroup_tree_add_folder(tree, "unified", 0752);
    system = open_tree(tree, "4:memory:/a:b\n3:cpu,cpuacct:/\n2:pids:/\n1:name=systemd:/\n0::/x\n");
    assert_layout(system, "hybrid");
    hierarchies = cgroup_system_hierarchies(system, &count);
    assert_int_equal(count, 5);
    assert_string_equal(hierarchies[0].own_path, "/a:b");
    assert_string_equal(hierarchies[1].mount_name, "cpu,cpuacct");
    assert_int_equal(hierarchies[2].fd, -1);
    assert_string_equal(hierarchies[3].mount_name, "systemd");
    assert_true(hierarchies[4].is_v2);
    assert_ptr_equal(cgroup_system_find(system, CGROUP_CPUACCT), &hierarchies[1]);
    assert_ptr_equal(cgroup_system_find(system, CGROUP_MEMORY), &hierarchies[0]);
    assert_null(cgroup_system_find(system, CGROUP_PIDS));
    assert_ptr_equal(cgroup_system_find(system, CGROUP_FREEZER), &hierarchies[4]);
    assert_ptr_equal(cgroup_system_main(system), &hierarchies[0]);
    assert_true(cgroup_system_is_extra(system, &hierarchies[3]));
    assert_true(cgroup_system_is_extra(system, &hierarchies[4]));
    assert_false(cgroup_system_is_extra(system, &hierarchies[0]));
    assert_int_equal(cgroup_system_v1_mask(system),
                     1U << CGROUP_MEMORY | 1U << CGROUP_CPU | 1U << CGROUP_CPUACCT);
}

static void ordinary_folders_of_other_runtimes_are_no_hierarchies(void **state)
{
    struct cgroup_tree *tree = *state;
    AUTO(cgroup_system) struct cgroup_system *system = NULL;

    cgroup_tree_add_folder(tree, "memory", 0751);
    cgroup_tree_add_folder(tree, "pids", 0755);
    cgroup_tree_add_folder(tree, "unified", 0755);
    system = open_tree(tree, "2:memory:/\n1:pids:/\n0::/\n");
    assert_layout(system, "v1");
    assert_null(cgroup_system_find(system, CGROUP_PIDS));
    assert_int_equal(cgroup_system_v1_mask(system), ~0U);
}

static void a_v2_root_hides_what_is_said_of_v1(void **state)
{
    struct cgroup_tree *tree = *state;
    AUTO(cgroup_system) struct cgroup_system *system = NULL;
    size_t count;

    cgroup_tree_add_folder(tree, "", 0752);
    cgroup_tree_add_folder(tree, "memory", 0751);
    system = open_tree(tree, "2:memory:/\n0::/user.slice\n");
    assert_layout(system, "v2");
    (void)cgroup_system_hierarchies(system, &count);
    assert_int_equal(count, 1);
    assert_int_equal(cgroup_system_v1_mask(system), 0);
    assert_string_equal(cgroup_system_v2(system)->own_path, "/user.slice");
    assert_false(cgroup_system_is_extra(system, cgroup_system_v2(system)));
    assert_null(cgroup_system_find(system, CGROUP_MEMORY));
}

static void nothing_mounted_is_none(void **state)
{
    struct cgroup_tree *tree = *state;
    AUTO(cgroup_system) struct cgroup_system *system = NULL;
    struct cgroup *cgroup = NULL;
    struct error err = { 0 };

    system = open_tree(tree, "1:memory:/\ngarbage\n0::/\n");
    assert_layout(system, "none");
    assert_int_equal(cgroup_create(system, "/x", &cgroup, &err), -EOPNOTSUPP);
    assert_string_equal(err.message, "no cgroup hierarchy is mounted below /sys/fs/cgroup");
}

static void an_odd_mount_name_is_found_by_its_options(void **state)
{
    static const char mountinfo[] =
        "20 1 0:1 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        "21 20 0:2 / /sys/fs/cgroup/deep/mem rw - cgroup cgroup rw,memory\n"
        "22 20 0:2 / /sys/fs/cgroup/mem rw,nosuid shared:9 - cgroup cgroup rw,memory\n"
        "23 20 0:3 / /sys/fs/cgroup/both rw - cgroup cgroup rw,cpuacct,cpu\n"
        "24 20 0:4 / /other/pids rw - cgroup cgroup rw,pids\n";
    auto_free char *memory = cgroup_mount_find(mountinfo, "/sys/fs/cgroup", "memory");
    auto_free char *cpu = cgroup_mount_find(mountinfo, "/sys/fs/cgroup", "cpu,cpuacct");

    (void)state;
    assert_string_equal(memory, "mem");
    assert_string_equal(cpu, "both");
    assert_null(cgroup_mount_find(mountinfo, "/sys/fs/cgroup", "pids"));
    assert_null(cgroup_mount_find(mountinfo, "/sys/fs/cgroup", "mem"));
    assert_null(cgroup_mount_find("1 - cgroup\n- \n", "/sys/fs/cgroup", "mem"));
}

static void lists_contain_whole_words_only(void **state)
{
    (void)state;
    assert_true(cgroup_list_contains("cpu,cpuacct", ',', "cpu"));
    assert_true(cgroup_list_contains("cpuset cpu io", ' ', "io"));
    assert_false(cgroup_list_contains("cpuset,cpuacct", ',', "cpu"));
    assert_false(cgroup_list_contains("", ',', "cpu"));
}

/* --- sub_cgroup.c --------------------------------------------------------------------------- */

/* Of the hierarchies memory; cpu,cpuacct; the v2 one. */
static void places_below_a_cgroup_are_named_by_controller(void **state)
{
    static const struct {
        const char *arguments[3];
        const char *paths[3];
        const char *message;
    } rows[] = {
        { { "sub" }, { "b/c/sub", "b/c/sub", "b/c/sub" }, NULL },
        { { "/" }, { "b/c", "b/c", "b/c" }, NULL },
        { { "x/../y" }, { "b/c/y", "b/c/y", "b/c/y" }, NULL },
        { { "cpu:sub" }, { "b/c", "b/c/sub", "b/c" }, NULL },
        { { "cpuacct,memory:/sub/" }, { "b/c/sub", "b/c/sub", "b/c" }, NULL },
        { { "cpu:one", "memory:two" }, { "b/c/two", "b/c/one", "b/c" }, NULL },
        { { ".." }, { NULL }, ".. is not a sub cgroup path" },
        { { "cpu:../cc" }, { NULL }, "../cc is not a sub cgroup path" },
        { { "moon:/" }, { NULL }, "unknown controller moon: no v1 hierarchy has it" },
        { { "cpu:a", "b" }, { NULL }, "'b' lacks CONTROLLER:, as there are several" },
        { { "cpu:a", "memory,cpu:b" }, { NULL }, "controller cpu is specified multiple times" },
        { { "a:b:c" }, { NULL }, "'a:b:c' is neither PATH nor CONTROLLER[,CONTROLLER]:PATH" },
    };
    struct cgroup_tree *tree = *state;
    AUTO(cgroup_system) struct cgroup_system *system = NULL;
    AUTO(cgroup) struct cgroup *cgroup = NULL;

    cgroup_tree_add_folder(tree, "memory", 0751);
    cgroup_tree_add_folder(tree, "memory/b", 0755);
    cgroup_tree_add_folder(tree, "memory/b/c", 0755);
    cgroup_tree_add_folder(tree, "cpu,cpuacct", 0751);
    cgroup_tree_add_folder(tree, "unified", 0752);
    system = open_tree(tree, "4:memory:/\n3:cpu,cpuacct:/\n0::/\n");
    assert_int_equal(cgroup_open(system, "/b/c", &cgroup, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(cgroup_places) struct cgroup_places *places = NULL;
        struct strings arguments = { 0 };
        struct error err = { 0 };
        int r;

        for (size_t j = 0; j < 3 && rows[i].arguments[j] != NULL; j++)
            strings_add(&arguments, rows[i].arguments[j]);
        r = cgroup_places_plan(cgroup, &arguments, &places, &err);
        strings_clear(&arguments);
        assert_int_equal(r, rows[i].message == NULL ? 0 : -EINVAL);
        assert_string_equal(err.message, rows[i].message == NULL ? "" : rows[i].message);
        for (size_t j = 0; r == 0 && j < 3; j++)
            assert_string_equal(cgroup_places_path(places, j), rows[i].paths[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_hybrid_has_v1_controllers_and_a_v2_hierarchy, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(ordinary_folders_of_other_runtimes_are_no_hierarchies,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_v2_root_hides_what_is_said_of_v1, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_mounted_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places_below_a_cgroup_are_named_by_controller, set_up,
                                        tear_down),
        cmocka_unit_test(an_odd_mount_name_is_found_by_its_options),
        cmocka_unit_test(lists_contain_whole_words_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
