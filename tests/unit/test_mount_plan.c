#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#include "base/auto.h"
#include "runtime/mount_label.h"
#include "runtime/mount_plan.h"

/* A spec in memory: what a test gives, and a root. */
struct fixture {
    struct spec spec;
    struct spec_root root;
    struct spec_mount mounts[4];
    struct spec_namespace namespaces[4];
    struct spec_device devices[1];
    struct rootfs_plan *plan;
    struct error err;
};

static int set_up(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));

    fixture->root.path = (char *)"rootfs";
    fixture->spec.root = &fixture->root;
    fixture->spec.mounts.items = fixture->mounts;
    fixture->spec.linux_.namespaces.items = fixture->namespaces;
    fixture->spec.linux_.devices.items = fixture->devices;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    rootfs_plan_free(fixture->plan);
    for (size_t i = 0; i < ARRAY_SIZE(fixture->mounts); i++)
        strings_clear(&fixture->mounts[i].options);
    string_map_clear(&fixture->spec.linux_.sysctl);
    free(fixture);
    return 0;
}

static struct spec_mount *add_mount(struct fixture *fixture, const char *destination,
                                    const char *type, const char *source, const char *words)
{
    struct spec_mount *mount = &fixture->mounts[fixture->spec.mounts.count++];

    mount->destination = (char *)destination;
    mount->type = (char *)type;
    mount->source = (char *)source;
    if (words[0] != '\0')
        strings_split(&mount->options, words, ' ');
    return mount;
}

static void add_namespace(struct fixture *fixture, const char *type)
{
    fixture->namespaces[fixture->spec.linux_.namespaces.count++].type = (char *)type;
}

static int plan(struct fixture *fixture)
{
    return rootfs_plan(&fixture->spec, "/bundle", &fixture->plan, &fixture->err);
}

static void assert_refused(struct fixture *fixture, int code, const char *message)
{
    assert_int_equal(plan(fixture), -code);
    assert_string_equal(fixture->err.message, message);
    assert_null(fixture->plan);
}

static void a_label_becomes_the_option_that_the_annotation_says(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *word = NULL;

    assert_int_equal(mount_label_word(&fixture->spec, &word, &fixture->err), 0);
    assert_null(word);
    fixture->spec.linux_.mount_label = (char *)"u:r:t:s0:c1,c2";
    assert_int_equal(mount_label_word(&fixture->spec, &word, &fixture->err), 0);
    assert_string_equal(word, "context=u:r:t:s0:c1,c2");
    free(take_ptr(&word));
    string_map_set(&fixture->spec.annotations, "run.oci.mount_context_type", "rootcontext");
    assert_int_equal(mount_label_word(&fixture->spec, &word, &fixture->err), 0);
    assert_string_equal(word, "rootcontext=u:r:t:s0:c1,c2");
    string_map_set(&fixture->spec.annotations, "run.oci.mount_context_type", "moon");
    free(take_ptr(&word));
    assert_int_equal(mount_label_word(&fixture->spec, &word, &fixture->err), -EINVAL);
    assert_string_equal(fixture->err.message,
                        "annotation run.oci.mount_context_type: 'moon' is not one of context, "
                        "fscontext, defcontext, rootcontext");
    string_map_clear(&fixture->spec.annotations);
}

static void labels_are_for_new_file_systems_that_take_them(void **state)
{
    static const struct {
        enum mount_kind kind;
        const char *type;
        bool is_concerned;
    } cases[] = {
        { MOUNT_TMPFS, "tmpfs", true },    { MOUNT_DEVPTS, "devpts", true },
        { MOUNT_OTHER, "ext4", true },     { MOUNT_KERNEL, "hugetlbfs", true },
        { MOUNT_BIND, NULL, false },       { MOUNT_PROC, "proc", false },
        { MOUNT_SYSFS, "sysfs", false },   { MOUNT_CGROUP, "cgroup", false },
        { MOUNT_KERNEL, "mqueue", false }, { MOUNT_OVERLAY, "overlay", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct mount_step step = { .kind = cases[i].kind, .type = cases[i].type };

        if (mount_label_concerns(&step) != cases[i].is_concerned)
            fail_msg("case %zu", i);
    }
}

static void paths_are_below_the_bundle_unless_absolute(void **state)
{
    struct fixture *fixture = *state;

    add_mount(fixture, "/dev", "tmpfs", "tmpfs", "");
    add_mount(fixture, "/a", "bind", "data", "");
    add_mount(fixture, "b/./c//", "none", "/srv", "rbind");
    assert_int_equal(plan(fixture), 0);
    assert_string_equal(fixture->plan->root_path, "/bundle/rootfs");
    assert_int_equal(fixture->plan->step_count, 3);
    assert_string_equal(fixture->plan->steps[1].source, "/bundle/data");
    assert_false(fixture->plan->steps[1].options.is_bind_recursive);
    assert_string_equal(fixture->plan->steps[2].source, "/srv");
    assert_string_equal(fixture->plan->steps[2].destination, "b/c");
    assert_int_equal(fixture->plan->steps[2].kind, MOUNT_BIND);
    assert_true(fixture->plan->steps[2].options.is_bind_recursive);
}

static void an_absolute_root_is_kept(void **state)
{
    struct fixture *fixture = *state;

    fixture->root.path = (char *)"/srv/root";
    fixture->root.readonly = true;
    assert_int_equal(plan(fixture), 0);
    assert_string_equal(fixture->plan->root_path, "/srv/root");
    assert_true(fixture->plan->is_read_only);
}

static void a_destination_cannot_climb_out(void **state)
{
    struct fixture *fixture = *state;

    add_mount(fixture, "/../../etc", "bind", "/srv", "");
    assert_int_equal(plan(fixture), 0);
    assert_string_equal(fixture->plan->steps[1].destination, "etc");
}

static void without_a_dev_one_is_implied_first(void **state)
{
    struct fixture *fixture = *state;
    const struct mount_step *step;

    add_mount(fixture, "/proc", "proc", "proc", "");
    assert_int_equal(plan(fixture), 0);
    assert_int_equal(fixture->plan->step_count, 2);
    step = &fixture->plan->steps[0];
    assert_string_equal(step->destination, "dev");
    assert_int_equal(step->kind, MOUNT_TMPFS);
    assert_true(step->is_dev);
    assert_string_equal(mount_options_value(&step->options, "mode"), "755");
}

static void a_bound_dev_gets_no_nodes(void **state)
{
    struct fixture *fixture = *state;

    add_mount(fixture, "/dev/", "bind", "/dev", "rbind");
    assert_int_equal(plan(fixture), 0);
    assert_int_equal(fixture->plan->step_count, 1);
    assert_false(fixture->plan->steps[0].is_dev);
    assert_true(fixture->plan->has_dev_of_config);
}

static void read_only_waits_where_things_are_made_later(void **state)
{
    struct fixture *fixture = *state;

    add_mount(fixture, "/dev", "devtmpfs", "dev", "ro");
    add_mount(fixture, "/run", "tmpfs", "tmpfs", "ro,nosuid");
    add_mount(fixture, "/run2", "tmpfs", "tmpfs", "ro nosuid");
    add_mount(fixture, "/sys", "sysfs", "sysfs", "ro");
    assert_int_equal(plan(fixture), 0);
    assert_true(fixture->plan->steps[0].is_late_read_only);
    assert_false(fixture->plan->steps[1].is_late_read_only); /* one word, not two */
    assert_true(fixture->plan->steps[2].is_late_read_only);
    assert_int_equal(fixture->plan->steps[2].options.attr_set, MOUNT_ATTR_NOSUID);
    assert_false(fixture->plan->steps[3].is_late_read_only);
    assert_int_equal(fixture->plan->steps[3].options.attr_set, MOUNT_ATTR_RDONLY);
}

static void an_overlay_on_the_root_is_the_root(void **state)
{
    struct fixture *fixture = *state;

    add_mount(fixture, "/", "overlay", "overlay", "lowerdir+=/l/1 lowerdir+=/l/2 ro");
    assert_int_equal(plan(fixture), 0);
    assert_non_null(fixture->plan->overlay);
    assert_int_equal(fixture->plan->overlay->options.data_count, 2);
    assert_int_equal(fixture->plan->overlay->options.attr_set, 0);
    assert_true(fixture->plan->is_read_only);
    assert_int_equal(fixture->plan->step_count, 1); /* the implied /dev */
}

static void a_second_overlay_on_the_root_is_refused(void **state)
{
    struct fixture *fixture = *state;

    add_mount(fixture, "/", "overlay", "overlay", "lowerdir=/l/1");
    add_mount(fixture, "/.", "overlay", "overlay", "lowerdir=/l/1");
    assert_refused(fixture, EINVAL, "mounts[1].destination: '/' is mounted twice");
}

static void nothing_else_is_mounted_on_the_root(void **state)
{
    struct fixture *fixture = *state;

    add_mount(fixture, "/x/..", "tmpfs", "tmpfs", "");
    assert_refused(fixture, EINVAL, "mounts[0].destination: only an overlay can be mounted on '/'");
}

static void a_value_on_a_bind_has_no_effect(void **state)
{
    struct fixture *fixture = *state;

    add_mount(fixture, "/a", "bind", "/srv", "mode=755 ro size=1k");
    assert_int_equal(plan(fixture), 0);
    assert_int_equal(fixture->plan->step_count, 2);
    assert_int_equal(fixture->plan->steps[1].kind, MOUNT_BIND);
    assert_int_equal(fixture->plan->steps[1].options.data_count, 0);
    assert_int_equal(fixture->plan->steps[1].options.attr_set, MOUNT_ATTR_RDONLY);
}

static void a_word_on_a_bind_is_an_unknown_option(void **state)
{
    struct fixture *fixture = *state;

    add_mount(fixture, "/a", "bind", "/srv", "ro");
    add_mount(fixture, "/b", "bind", "/srv", "rwx");
    assert_refused(fixture, EINVAL,
                   "mounts[1].options: bind mounts cannot have any filesystem-specific options "
                   "applied: 'rwx'");
}

static void without_a_mount_namespace_nothing_is_shared(void **state)
{
    static const char *const words[] = { "rbind rslave", "bind private shared", "unbindable",
                                         NULL };
    struct fixture *fixture = *state;

    add_mount(fixture, "/a", "bind", "/srv", "rbind rprivate");
    assert_int_equal(plan(fixture), 0);
    for (size_t i = 0; words[i] != NULL; i++) {
        rootfs_plan_free(fixture->plan);
        fixture->plan = NULL;
        strings_clear(&fixture->mounts[0].options);
        strings_split(&fixture->mounts[0].options, words[i], ' ');
        assert_refused(fixture, EINVAL,
                       "mounts[0].options: propagation other than private needs a mount namespace");
    }
    fixture->spec.mounts.count = 0;
    fixture->spec.linux_.rootfs_propagation = (char *)"rslave";
    assert_refused(fixture, EINVAL, "linux.rootfsPropagation: 'rslave' needs a mount namespace");
    fixture->spec.linux_.rootfs_propagation = (char *)"rprivate";
    assert_int_equal(plan(fixture), 0);
}

static void what_is_missing_is_named(void **state)
{
    static const struct {
        const char *destination, *type, *source, *words, *message;
    } rows[] = {
        { "", "tmpfs", "x", "", "mounts[0].destination: missing" },
        { "/a", NULL, "x", "", "mounts[0].type: missing, and 'bind' is not among the options" },
        { "/a", "bind", NULL, "", "mounts[0].source: a bind mount needs one" },
        { "/a", "bind", "/s", "tmpcopyup", "mounts[0].options: 'tmpcopyup' is for tmpfs only" },
        { "/a", "proc", "/s", "tmpcopyup", "mounts[0].options: 'tmpcopyup' is for tmpfs only" },
        { "/a", "bind", "/s", "idmap", "mounts[0]: 'idmap' needs uidMappings and gidMappings" },
        { "/proc/x", "bind", "/s", "",
          "mounts[0].destination: '/proc/x' cannot be mounted because it is inside /proc" },
        { "/a", "bind", "/s", "slave shared slave shared slave",
          "mounts[0].options: more than 4 propagation options" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fixture *fixture = *state;

        strings_clear(&fixture->mounts[0].options);
        fixture->spec.mounts.count = 0;
        add_mount(fixture, rows[i].destination, rows[i].type, rows[i].source, rows[i].words);
        assert_refused(fixture, EINVAL, rows[i].message);
    }
}

static void statistics_of_proc_may_be_covered(void **state)
{
    struct fixture *fixture = *state;

    add_mount(fixture, "/proc/meminfo", "bind", "/var/lib/lxcfs/proc/meminfo", "");
    assert_int_equal(plan(fixture), 0);
}

static void an_unmapped_terminal_group_is_left_out(void **state)
{
    static struct spec_id_mapping mapping = { .container_id = 0, .host_id = 1000, .size = 1 };
    struct fixture *fixture = *state;

    add_namespace(fixture, "user");
    fixture->spec.linux_.gid_mappings = (struct spec_id_mappings){ &mapping, 1 };
    add_mount(fixture, "/dev/pts", "devpts", "devpts", "newinstance gid=5 mode=620");
    mapping.size = 1;
    assert_int_equal(plan(fixture), 0);
    assert_true(fixture->plan->steps[1].is_pts);
    assert_int_equal(fixture->plan->steps[1].options.data_count, 2);
    assert_string_equal(fixture->plan->steps[1].options.data[1], "mode=620");
    rootfs_plan_free(fixture->plan);
    mapping.size = 6;
    assert_int_equal(plan(fixture), 0);
    assert_int_equal(fixture->plan->steps[1].options.data_count, 3);
}

static void propagation_of_the_root_is_checked(void **state)
{
    struct fixture *fixture = *state;

    add_namespace(fixture, "mount");
    fixture->spec.linux_.rootfs_propagation = (char *)"rshared";
    assert_int_equal(plan(fixture), 0);
    assert_true(fixture->plan->has_propagation);
    assert_int_equal(fixture->plan->propagation.flag, MS_SHARED);
    rootfs_plan_free(take_ptr(&fixture->plan));
    fixture->spec.linux_.rootfs_propagation = (char *)"ro";
    assert_refused(fixture, EINVAL,
                   "linux.rootfsPropagation: 'ro' is not a kind of mount propagation");
}

static void a_device_needs_a_known_type(void **state)
{
    struct fixture *fixture = *state;

    fixture->spec.linux_.devices.count = 1;
    fixture->devices[0].path = (char *)"/dev/x";
    fixture->devices[0].type = (char *)"cc";
    assert_refused(fixture, EINVAL, "linux.devices[0].type: 'cc' is not one of c, u, b, p");
}

static void only_settings_of_own_namespaces_are_taken(void **state)
{
    static const struct {
        const char *key;
        const char *message; /* NULL: fine */
    } rows[] = {
        { "net.ipv4.ip_forward", NULL },
        { "net/ipv4/conf/eth0.100/forwarding", NULL },
        { "kernel.msgmax",
          "linux.sysctl: 'kernel.msgmax' needs the container's own ipc namespace" },
        { "kernel.panic",
          "linux.sysctl: 'kernel.panic' belongs to no namespace, it would change the host" },
        { "kernel.hostname", "linux.sysctl: 'kernel.hostname' is set by the member 'hostname'" },
        { "net/../kernel/panic",
          "linux.sysctl: 'net/../kernel/panic' is not the name of a setting" },
        { "net", "linux.sysctl: 'net' belongs to no namespace, it would change the host" },
    };
    struct fixture *fixture = *state;

    add_namespace(fixture, "network");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        string_map_clear(&fixture->spec.linux_.sysctl);
        string_map_set(&fixture->spec.linux_.sysctl, rows[i].key, "1");
        if (rows[i].message != NULL) {
            assert_refused(fixture, EINVAL, rows[i].message);
            continue;
        }
        assert_int_equal(plan(fixture), 0);
        rootfs_plan_free(take_ptr(&fixture->plan));
    }
}

static void a_step_is_named_for_errors(void **state)
{
    char buffer[MOUNT_STEP_NAME_MAX];
    struct mount_step step = { .index = 3, .destination = (char *)"dev/pts" };

    (void)state;
    assert_string_equal(mount_step_name(&step, buffer), "mounts[3] on '/dev/pts'");
    step.index = MOUNT_STEP_IMPLIED;
    assert_string_equal(mount_step_name(&step, buffer), "'/dev/pts'");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_label_becomes_the_option_that_the_annotation_says),
        TEST(labels_are_for_new_file_systems_that_take_them),
        TEST(paths_are_below_the_bundle_unless_absolute),
        TEST(an_absolute_root_is_kept),
        TEST(a_destination_cannot_climb_out),
        TEST(without_a_dev_one_is_implied_first),
        TEST(a_bound_dev_gets_no_nodes),
        TEST(read_only_waits_where_things_are_made_later),
        TEST(an_overlay_on_the_root_is_the_root),
        TEST(a_second_overlay_on_the_root_is_refused),
        TEST(nothing_else_is_mounted_on_the_root),
        TEST(a_value_on_a_bind_has_no_effect),
        TEST(a_word_on_a_bind_is_an_unknown_option),
        TEST(without_a_mount_namespace_nothing_is_shared),
        TEST(what_is_missing_is_named),
        TEST(statistics_of_proc_may_be_covered),
        TEST(an_unmapped_terminal_group_is_left_out),
        TEST(propagation_of_the_root_is_checked),
        TEST(a_device_needs_a_known_type),
        TEST(only_settings_of_own_namespaces_are_taken),
        TEST(a_step_is_named_for_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
