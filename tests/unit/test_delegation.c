#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/path.h"
#include "cgroups/cgroup_system.h"

/* Folders stand for hierarchies: mode 0751 is a v1 cgroup file system, 0752 a v2 one. What the
 * caller may write is told by the table `writable`, so that the tests mean the same for root. */

struct tree {
    char root[32];
    int fd;
};

static const char *const *writable; /* names as given to faccessat(2) */

int __real_faccessat(int fd, const char *path, int mode, int flags);
int __wrap_faccessat(int fd, const char *path, int mode, int flags);
int __wrap_fstatfs(int fd, struct statfs *info);

int __wrap_faccessat(int fd, const char *path, int mode, int flags)
{
    if (mode != W_OK)
        return __real_faccessat(fd, path, mode, flags);
    for (size_t i = 0; writable[i] != NULL; i++) {
        auto_free char *link = xasprintf("/proc/self/fd/%d", fd);
        char hierarchy[256] = "";
        auto_free char *name = NULL;

        assert_true(readlink(link, hierarchy, sizeof(hierarchy) - 1) > 0);
        name = xasprintf("%s/%s", strrchr(hierarchy, '/') + 1, path);
        if (strcmp(name, writable[i]) == 0)
            return 0;
    }
    errno = EACCES;
    return -1;
}

int __wrap_fstatfs(int fd, struct statfs *info)
{
    struct stat status;

    assert_int_equal(fstat(fd, &status), 0);
    *info = (struct statfs){ 0 };
    if ((status.st_mode & 0777) == 0751)
        info->f_type = CGROUP_SUPER_MAGIC;
    if ((status.st_mode & 0777) == 0752)
        info->f_type = CGROUP2_SUPER_MAGIC;
    return 0;
}

static void add_folder(const struct tree *tree, const char *name, mode_t mode)
{
    assert_int_equal(path_make_directories(tree->fd, name, 0755, NULL, NULL), 0);
    assert_int_equal(fchmodat(tree->fd, name, mode, 0), 0);
}

static int set_up(void **state)
{
    struct tree *tree = xcalloc(1, sizeof(*tree));

    (void)strcpy(tree->root, "/tmp/berth-unit-XXXXXX");
    if (mkdtemp(tree->root) == NULL)
        return -1;
    tree->fd = open(tree->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    add_folder(tree, "memory/user/x", 0755);
    add_folder(tree, "memory", 0751);
    add_folder(tree, "pids/user", 0755);
    add_folder(tree, "pids", 0751);
    add_folder(tree, "unified/user", 0755);
    add_folder(tree, "unified", 0752);
    *state = tree;
    return 0;
}

static int tear_down(void **state)
{
    struct tree *tree = *state;
    auto_close int tmp_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = path_remove_tree(tmp_fd, tree->root + strlen("/tmp/"), NULL);

    (void)close(tree->fd);
    free(tree);
    return r;
}

static struct cgroup_system *open_tree(const struct tree *tree, const char *self_cgroup)
{
    struct cgroup_system *system = NULL;
    struct error err = { 0 };

    if (cgroup_system_open_from(tree->root, self_cgroup, NULL, &system, &err) < 0)
        fail_msg("%s", err.message);
    return system;
}

#define SELF "3:memory:/user\n2:pids:/\n0::/user\n"

static void hierarchies_that_are_not_the_users_are_left_out(void **state)
{
    static const char *const names[] = { "memory/user", "unified/user", "unified/user/cgroup.procs",
                                         NULL };
    AUTO(cgroup_system) struct cgroup_system *system = open_tree(*state, SELF);

    writable = names;
    assert_int_equal(cgroup_system_keep_delegated(system, "/user/new", false), 2);
    assert_non_null(cgroup_system_find(system, CGROUP_MEMORY));
    assert_true(cgroup_system_has_left_out(system, CGROUP_PIDS));
    assert_false(cgroup_system_has_left_out(system, CGROUP_CPU));
    assert_ptr_equal(cgroup_system_find(system, CGROUP_FREEZER), cgroup_system_v2(system));
    assert_string_equal(cgroup_layout_name(cgroup_system_layout(system)), "hybrid");
}

static void a_v2_cgroup_into_which_nobody_can_be_moved_is_not_delegated(void **state)
{
    static const char *const names[] = { "unified/user", "unified/user/cgroup.procs", NULL };
    AUTO(cgroup_system) struct cgroup_system *system = open_tree(*state, "0::/elsewhere\n");

    writable = names;
    assert_int_equal(cgroup_system_keep_delegated(system, "/user/new", false), 0);
    assert_null(cgroup_system_v2(system));
}

static void a_cgroup_that_is_there_is_used_when_its_processes_may_be_changed(void **state)
{
    static const char *const names[] = { "memory/user/x/cgroup.procs", "pids/user", NULL };
    AUTO(cgroup_system) struct cgroup_system *system = open_tree(*state, SELF);
    AUTO(cgroup_system) struct cgroup_system *later = open_tree(*state, SELF);

    writable = names;
    assert_int_equal(cgroup_system_keep_delegated(system, "/user/x", false), 2);
    assert_int_equal(cgroup_system_keep_delegated(later, "/user/x", true), 1);
    assert_null(cgroup_system_find(later, CGROUP_PIDS));
}

static void the_place_that_most_hierarchies_give_is_found(void **state)
{
    static const char *const names[] = { "memory/user", "unified/user", "unified/user/cgroup.procs",
                                         "pids/.", NULL };
    static const char *const none[] = { NULL };
    AUTO(cgroup_system) struct cgroup_system *system = open_tree(*state, SELF);
    auto_free char *path = NULL;

    writable = names;
    path = cgroup_system_find_delegated(system, "c1");
    assert_string_equal(path, "/user/c1");
    writable = none;
    assert_null(cgroup_system_find_delegated(system, "c1"));
}

static void on_v2_a_place_beside_the_callers_is_better_than_one_below(void **state)
{
    static const char *const above[] = { "unified/user", "unified/user/cgroup.procs",
                                         "unified/user/session", NULL };
    static const char *const own[] = { "unified/user/session", "unified/user/session/cgroup.procs",
                                       NULL };
    AUTO(cgroup_system) struct cgroup_system *system = NULL;
    auto_free char *beside = NULL;
    auto_free char *below = NULL;

    add_folder(*state, "unified/user/session", 0755);
    system = open_tree(*state, "0::/user/session\n");
    writable = above;
    beside = cgroup_system_find_delegated(system, "c1");
    assert_string_equal(beside, "/user/c1");
    writable = own;
    below = cgroup_system_find_delegated(system, "c1");
    assert_string_equal(below, "/user/session/c1");
}

static void a_place_outside_of_the_cgroup_namespace_is_none(void **state)
{
    static const char *const names[] = { "unified/.", "unified/./cgroup.procs", NULL };
    AUTO(cgroup_system) struct cgroup_system *system = open_tree(*state, "0::/../other\n");

    writable = names;
    assert_null(cgroup_system_find_delegated(system, "c1"));
}

/* Each member that limits something is named, or else its loss would go unsaid. */
static void every_limit_is_named(void **state)
{
    static const char json[] =
        "{\"memory\":{\"limit\":1,\"reservation\":1,\"swap\":1,\"kernel\":1,\"kernelTCP\":1,"
        "\"swappiness\":0,\"disableOOMKiller\":true},"
        "\"cpu\":{\"shares\":1,\"quota\":1,\"burst\":1,\"period\":1,\"realtimeRuntime\":1,"
        "\"realtimePeriod\":1,\"idle\":0,\"cpus\":\"0\",\"mems\":\"0\"},"
        "\"pids\":{\"limit\":1},"
        "\"blockIO\":{\"weight\":10,\"leafWeight\":10,"
        "\"weightDevice\":[{\"major\":1,\"minor\":1}],"
        "\"throttleReadBpsDevice\":[{\"major\":1,\"minor\":1,\"rate\":1}],"
        "\"throttleWriteBpsDevice\":[{\"major\":1,\"minor\":1,\"rate\":1}],"
        "\"throttleReadIOPSDevice\":[{\"major\":1,\"minor\":1,\"rate\":1}],"
        "\"throttleWriteIOPSDevice\":[{\"major\":1,\"minor\":1,\"rate\":1}]},"
        "\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":1}],"
        "\"network\":{\"classID\":1,\"priorities\":[{\"name\":\"lo\",\"priority\":1}]},"
        "\"rdma\":{\"mlx\":{\"hcaHandles\":1}},"
        "\"unified\":{\"memory.high\":\"1\"}}";
    struct cgroup_resources resources = { 0 };
    struct error err = { 0 };
    AUTO_CLEAR(strings) struct strings names = { 0 };
    auto_free char *all = NULL;

    (void)state;
    if (decode_text(&cgroup_resources_object, json, strlen(json), &resources, NULL, &err) < 0)
        fail_msg("%s", err.message);
    cgroup_limits_list(&resources, &names);
    all = strings_join(&names, " ");
    assert_string_equal(all, "memory.limit memory.reservation memory.swap memory.kernel "
                             "memory.kernelTCP memory.swappiness memory.disableOOMKiller "
                             "cpu.shares cpu.quota cpu.burst cpu.period cpu.realtimeRuntime "
                             "cpu.realtimePeriod cpu.idle cpu.cpus cpu.mems pids.limit "
                             "blockIO.weight blockIO.leafWeight blockIO.weightDevice "
                             "blockIO.throttleReadBpsDevice blockIO.throttleWriteBpsDevice "
                             "blockIO.throttleReadIOPSDevice blockIO.throttleWriteIOPSDevice "
                             "hugepageLimits network.classID network.priorities rdma "
                             "unified.memory.high");
    object_clear(&cgroup_resources_object, &resources);
}

static void what_limits_nothing_is_not_named(void **state)
{
    static const struct cgroup_resources resources = {
        .memory = { .has_limit = true, .limit = -1, .has_swap = true },
        .cpu = { .has_quota = true, .quota = -1, .has_shares = true },
        .pids = { .has_limit = true, .limit = -1 },
    };
    AUTO_CLEAR(strings) struct strings names = { 0 };

    (void)state;
    cgroup_limits_list(&resources, &names);
    assert_int_equal(names.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hierarchies_that_are_not_the_users_are_left_out, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_v2_cgroup_into_which_nobody_can_be_moved_is_not_delegated,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_cgroup_that_is_there_is_used_when_its_processes_may_be_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_place_that_most_hierarchies_give_is_found, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(on_v2_a_place_beside_the_callers_is_better_than_one_below,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_place_outside_of_the_cgroup_namespace_is_none, set_up,
                                        tear_down),
        cmocka_unit_test(every_limit_is_named),
        cmocka_unit_test(what_limits_nothing_is_not_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
