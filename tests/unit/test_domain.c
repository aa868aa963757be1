#include "cgroups/domain.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/cgroup_tree.h"

#define CONTROLLERS "cpu memory pids"

/* "work" has processes, "calm" has none, "threads" has threaded groups below it. */
static const struct {
    const char *name, *content;
} files[] = {
    { "./cgroup.controllers", CONTROLLERS },
    { "./cgroup.subtree_control", CONTROLLERS },
    { "./cgroup.procs", "1\n2" },
    { "work/cgroup.type", "domain" },
    { "work/cgroup.procs", "77" },
    { "work/cgroup.controllers", CONTROLLERS },
    { "work/cgroup.subtree_control", "" },
    { "work/box/cgroup.type", "domain" },
    { "work/box/cgroup.controllers", "" },
    { "calm/cgroup.type", "domain" },
    { "calm/cgroup.procs", "" },
    { "calm/cgroup.controllers", CONTROLLERS },
    { "calm/cgroup.subtree_control", "memory" },
    { "calm/box/cgroup.type", "domain" },
    { "calm/box/cgroup.controllers", "memory" },
    { "calm/box/cgroup.subtree_control", "" },
    { "threads/cgroup.type", "domain threaded" },
    { "threads/cgroup.procs", "78" },
    { "threads/cgroup.controllers", CONTROLLERS },
    { "threads/cgroup.subtree_control", "cpu pids" },
    { "threads/box/cgroup.type", "domain invalid" },
    { "threads/box/cgroup.controllers", "cpu pids" },
    { "threads/box/deep/cgroup.type", "domain invalid" },
    { "threads/box/deep/cgroup.controllers", "" },
    { "threads/fibre/cgroup.type", "threaded" },
    { "threads/fibre/cgroup.controllers", "cpu pids" },
    { "threads/fibre/box/cgroup.type", "domain invalid" },
};

struct fixture {
    struct cgroup_tree tree;
    struct cgroup_hierarchy v2;
};

static int set_up(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));

    cgroup_tree_make(&fixture->tree);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        cgroup_tree_add_file(&fixture->tree, files[i].name, files[i].content);
    fixture->v2 = (struct cgroup_hierarchy){
        .is_v2 = true,
        .fd = open(fixture->tree.root, O_PATH | O_DIRECTORY | O_CLOEXEC),
    };
    *state = fixture;
    return fixture->v2.fd < 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    (void)close(fixture->v2.fd);
    cgroup_tree_remove(&fixture->tree);
    free(fixture);
    return 0;
}

static void only_a_domain_without_processes_passes_controllers_on(void **state)
{
    static const struct {
        const char *path;
        bool expected;
    } rows[] = {
        { "", true }, /* the machine's root has processes, and may */
        { "calm", true },
        { "work", false },
        { "threads", false },
        { "threads/box", false },
        { "threads/fibre", false },
    };
    const struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (domain_may_pass_on(&fixture->v2, rows[i].path) != rows[i].expected)
            fail_msg("'%s'", rows[i].path);
}

static void the_root_of_a_namespace_is_a_group_like_others(void **state)
{
    const struct fixture *fixture = *state;
    auto_close int fd = openat(fixture->v2.fd, "work", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct cgroup_hierarchy v2 = { .is_v2 = true, .fd = fd };
    auto_free char *reason = domain_held_back(&v2, "box", "memory");

    assert_false(domain_may_pass_on(&v2, ""));
    assert_string_equal(reason,
                        "/ above it does not pass the controller on, as it has processes of "
                        "its own: move them into a cgroup below it, or choose another "
                        "parent");
}

static void a_controller_that_is_lacking_is_traced_to_the_group_that_keeps_it(void **state)
{
    static const struct {
        const char *path, *controller, *expected;
    } rows[] = {
        { "calm/box", "memory", NULL },
        { "calm/box", "io", NULL }, /* the machine has none: another sentence */
        { "calm/box", "cpu",
          "/calm above it does not pass the controller on: write '+cpu' into its "
          "cgroup.subtree_control" },
        { "work/box", "memory",
          "/work above it does not pass the controller on, as it has processes of its own: move "
          "them into a cgroup below it, or choose another parent" },
        { "threads/box/deep", "memory",
          "/threads above it does not pass the controller on, as it is a place of threads (its "
          "cgroup.type is 'domain threaded'): choose another parent" },
        { "threads/box/deep", "pids",
          "/threads/box above it does not pass the controller on, as it is a place of threads (its "
          "cgroup.type is 'domain invalid'): choose another parent" },
    };
    const struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *reason = domain_held_back(&fixture->v2, rows[i].path, rows[i].controller);

        if (!text_equal(reason, rows[i].expected))
            fail_msg("row %zu: %s", i, reason != NULL ? reason : "(none)");
    }
}

static void a_group_that_takes_no_process_says_why(void **state)
{
    static const struct {
        const char *path, *expected;
    } rows[] = {
        { "work", NULL },
        { "calm/box", NULL },
        { "calm", "it takes no process, because it passes controllers on (memory) to the cgroups "
                  "below it: choose one of these" },
        { "threads/fibre", "it takes single threads only (its cgroup.type is 'threaded'): choose a "
                           "cgroup that is not among threads" },
        { "threads/box/deep",
          "it takes no process (its cgroup.type is 'domain invalid'), because /threads above it is "
          "'domain threaded': move the processes of that one into a cgroup below it and empty its "
          "cgroup.subtree_control, or choose another parent" },
        { "threads/fibre/box",
          "it takes no process (its cgroup.type is 'domain invalid'), because /threads/fibre above "
          "it is 'threaded': choose another parent" },
    };
    const struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        auto_free char *reason = domain_refusal(&fixture->v2, rows[i].path);

        if (!text_equal(reason, rows[i].expected))
            fail_msg("row %zu: %s", i, reason != NULL ? reason : "(none)");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_domain_without_processes_passes_controllers_on),
        cmocka_unit_test(the_root_of_a_namespace_is_a_group_like_others),
        cmocka_unit_test(a_controller_that_is_lacking_is_traced_to_the_group_that_keeps_it),
        cmocka_unit_test(a_group_that_takes_no_process_says_why),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
