#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cgroups/cgroup_system.h"
#include "tests/unit/cgroup_tree.h"

static struct strings given;  /* "NAME UID GID", the directory's name is "" */
static const char *forbidden; /* name whose owner only another may change */

static int note(const char *name, uid_t uid, gid_t gid)
{
    strings_addf(&given, "%s %u %d", name, uid, (int)gid);
    errno = EPERM;
    return text_equal(name, forbidden) ? -1 : 0;
}

int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid)
{
    (void)fd;
    return note("", uid, gid);
}

int __wrap_fchownat(int fd, const char *name, uid_t uid, gid_t gid, int flags);
int __wrap_fchownat(int fd, const char *name, uid_t uid, gid_t gid, int flags)
{
    assert_int_equal(flags, AT_SYMLINK_NOFOLLOW);
    return faccessat(fd, name, F_OK, 0) < 0 ? -1 : note(name, uid, gid);
}

static void the_files_are_those_that_the_kernel_names(void **state)
{
    static const struct {
        const char *text, *names;
    } rows[] = {
        { "cgroup.procs\nmemory.reclaim", "cgroup.procs memory.reclaim" },
        { "cgroup.procs\n\n.\n..\n../x\na/b\n", "cgroup.procs" },
        { "", "" },
        { NULL, "cgroup.procs cgroup.subtree_control cgroup.threads" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(strings) struct strings names = { 0 };
        auto_free char *all = NULL;

        cgroup_list_delegable(rows[i].text, &names);
        all = strings_join(&names, " ");
        if (!text_equal(all, rows[i].names))
            fail_msg("row %zu: '%s' instead of '%s'", i, all, rows[i].names);
    }
}

/* Gives the cgroup /box of a machine away whose only hierarchy lies in @mount. */
static int give_box(const char *mount, mode_t mode, const char *own_path, struct error *err)
{
    AUTO(cgroup_system) struct cgroup_system *system = NULL;
    AUTO(cgroup) struct cgroup *cgroup = NULL;
    auto_free char *list = xasprintf("%s/box/cgroup.procs", mount);
    auto_free char *limit = xasprintf("%s/box/memory.max", mount);
    struct cgroup_tree tree;
    int r;

    strings_clear(&given);
    cgroup_tree_make(&tree);
    cgroup_tree_add_file(&tree, list, "");
    cgroup_tree_add_file(&tree, limit, "max");
    cgroup_tree_add_folder(&tree, mount, mode);
    assert_int_equal(cgroup_system_open_from(tree.root, own_path, "", &system, err), 0);
    assert_int_equal(cgroup_open(system, "/box", &cgroup, err), 0);
    r = cgroup_give(cgroup, 100000, err);
    cgroup_tree_remove(&tree);
    return r;
}

static void directory_and_files_are_given_but_no_limit_and_no_group_id(void **state)
{
    struct error err = { 0 };

    (void)state;
    forbidden = NULL;
    assert_int_equal(give_box(".", 0752, "0::/\n", &err), 0);
    assert_int_equal(given.count, 2);
    assert_string_equal(given.items[0], " 100000 -1");
    assert_string_equal(given.items[1], "cgroup.procs 100000 -1");
}

static void on_v1_nothing_is_given(void **state)
{
    struct error err = { 0 };

    (void)state;
    forbidden = NULL;
    assert_int_equal(give_box("memory", 0751, "3:memory:/\n", &err), 0);
    assert_int_equal(given.count, 0);
}

static void a_refusal_names_what_was_to_be_given_to_whom(void **state)
{
    struct error err = { 0 };

    (void)state;
    forbidden = "";
    assert_int_equal(give_box(".", 0752, "0::/\n", &err), -EPERM);
    assert_string_equal(err.message, "give cgroup /box to user 100000: Operation not permitted");
    forbidden = "cgroup.procs";
    assert_int_equal(give_box(".", 0752, "0::/\n", &err), -EPERM);
    assert_string_equal(err.message,
                        "give cgroup.procs of cgroup /box to user 100000: Operation not permitted");
    strings_clear(&given);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_files_are_those_that_the_kernel_names),
        cmocka_unit_test(directory_and_files_are_given_but_no_limit_and_no_group_id),
        cmocka_unit_test(on_v1_nothing_is_given),
        cmocka_unit_test(a_refusal_names_what_was_to_be_given_to_whom),
    };

    return cmocka_run_group_tests_name("ownership", tests, NULL, NULL);
}
