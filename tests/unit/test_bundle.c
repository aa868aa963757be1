#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/bundle.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct fixture {
    struct record record;
    struct image_config image;
    struct snapshot snapshot;
    struct host_facts facts;
    struct spec_user user;
    struct strings warnings;
    struct spec *spec;
    struct error err;
};

static int set_up(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof(*fixture));
    struct settings *settings = settings_default();

    fixture->record.settings = *settings;
    free(settings);
    fixture->record.id = xstrdup(ID);
    fixture->record.name = xstrdup("web");
    fixture->record.image = xstrdup("img");
    fixture->record.cgroup_path = xstrdup("/berth/" ID);
    strings_add(&fixture->snapshot.lower, "/layers/a/fs");
    fixture->snapshot.upper = xstrdup("/c/upper");
    fixture->snapshot.work = xstrdup("/c/work");
    fixture->facts.init_path = (char *)"/libexec/berth-init";
    strings_add(&fixture->image.cmd, "sh");
    *state = fixture;
    return 0;
}

static void clear_image(struct image_config *image)
{
    strings_clear(&image->env);
    strings_clear(&image->entrypoint);
    strings_clear(&image->cmd);
    strings_clear(&image->volumes);
    string_map_clear(&image->labels);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    object_clear(&record_object, &fixture->record);
    clear_image(&fixture->image);
    snapshot_clear(&fixture->snapshot);
    strings_clear(&fixture->warnings);
    spec_free(fixture->spec);
    free(fixture);
    return 0;
}

static int merge(struct fixture *fixture)
{
    return bundle_merge(&fixture->record, &fixture->image, "hosty", &fixture->err);
}

static int plan(struct fixture *fixture)
{
    struct bundle_input input = {
        .record = &fixture->record,
        .snapshot = &fixture->snapshot,
        .facts = &fixture->facts,
        .container_path = "/data/containers/" ID,
        .user = &fixture->user,
        .home = "/root",
        .erofs_path = "/data/erofs/x/root.erofs",
        .disk_path = "/data/disk.img",
    };
    int r = merge(fixture);

    return r < 0 ? r : bundle_plan(&input, &fixture->spec, &fixture->warnings, &fixture->err);
}

static struct settings_mount *add_mount(struct fixture *fixture, const char *type,
                                        const char *source, const char *target)
{
    struct settings_mounts *mounts = &fixture->record.settings.mounts;
    struct settings_mount *mount;

    mounts->items = xrealloc(mounts->items, mounts->count + 1, sizeof(*mounts->items));
    mount = &mounts->items[mounts->count++];
    *mount = (struct settings_mount){ .type = xstrdup(type),
                                      .source = xstrdup(source),
                                      .target = xstrdup(target) };
    return mount;
}

static const struct spec_mount *mount_at(const struct fixture *fixture, const char *path)
{
    ssize_t index = spec_find_mount(fixture->spec, path);

    assert_true(index >= 0);
    return &fixture->spec->mounts.items[index];
}

static void entrypoint_and_command_merge_as_docker_does(void **state)
{
    static const struct {
        const char *image_entrypoint, *image_cmd, *entrypoint, *command, *args;
    } rows[] = {
        { "", "sh", NULL, "", "sh" },
        { "", "sh", NULL, "ls -l", "ls -l" },
        { "/entry", "arg", NULL, "", "/entry arg" },
        { "/entry", "arg", NULL, "other", "/entry other" },
        { "/entry", "arg", "/mine", "", "/mine" },
        { "/entry", "arg", "/mine", "x", "/mine x" },
        { "/entry", "arg", "", "x y", "x y" },
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct record *record = &fixture->record;
        auto_free char *args = NULL;

        print_message("row %zu\n", i);
        strings_clear(&fixture->image.entrypoint);
        strings_clear(&fixture->image.cmd);
        strings_clear(&record->settings.command);
        strings_clear(&record->settings.entrypoint);
        strings_clear(&record->args);
        strings_clear(&record->command);
        strings_clear(&record->entrypoint);
        free(record->hostname);
        record->hostname = NULL;
        strings_clear(&record->env);
        if (rows[i].image_entrypoint[0] != '\0')
            strings_add(&fixture->image.entrypoint, rows[i].image_entrypoint);
        strings_add(&fixture->image.cmd, rows[i].image_cmd);
        record->settings.has_entrypoint = rows[i].entrypoint != NULL;
        if (rows[i].entrypoint != NULL)
            strings_add(&record->settings.entrypoint, rows[i].entrypoint);
        if (rows[i].command[0] != '\0')
            strings_split(&record->settings.command, rows[i].command, ' ');
        assert_int_equal(merge(fixture), 0);
        args = strings_join(&record->args, " ");
        assert_string_equal(args, rows[i].args);
    }
}

static void an_image_without_a_program_needs_one(void **state)
{
    struct fixture *fixture = *state;

    strings_clear(&fixture->image.cmd);
    assert_int_equal(merge(fixture), -EINVAL);
    assert_string_equal(fixture->err.message,
                        "image 'img' names no program to run: give one behind the image");
}

static void the_environment_is_built_from_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct strings *env;

    strings_add(&fixture->image.env, "PATH=/image");
    strings_add(&fixture->image.env, "GONE=1");
    strings_add(&fixture->record.settings.env, "A=b=c");
    strings_add(&fixture->record.settings.env, "GONE");
    fixture->record.settings.has_terminal = true;
    assert_int_equal(plan(fixture), 0);
    env = &fixture->spec->process->env;
    assert_string_equal(strings_variable(env, "PATH"), "/image");
    assert_string_equal(strings_variable(env, "A"), "b=c");
    assert_null(strings_variable(env, "GONE"));
    assert_string_equal(strings_variable(env, "HOSTNAME"), "0123456789ab");
    assert_string_equal(strings_variable(env, "TERM"), "xterm");
    assert_string_equal(strings_variable(env, "HOME"), "/root");
    assert_null(strings_variable(&fixture->record.env, "HOME"));
    assert_int_equal(env->count, 5);
}

static void the_overlay_is_the_first_mount(void **state)
{
    struct fixture *fixture = *state;
    const struct spec_mount *root;

    assert_int_equal(plan(fixture), 0);
    root = &fixture->spec->mounts.items[0];
    assert_string_equal(root->destination, "/");
    assert_string_equal(root->type, "overlay");
    assert_true(strings_contains(&root->options, "lowerdir+=/layers/a/fs"));
    assert_string_equal(fixture->spec->root->path, "rootfs");
    assert_string_equal(mount_at(fixture, "/etc/hosts")->source, "/data/containers/" ID "/hosts");
}

static void users_mounts_come_parents_first_and_replace_defaults(void **state)
{
    struct fixture *fixture = *state;
    struct settings_mount *mount;

    add_mount(fixture, "bind", "/host/deep", "/a/b/c");
    mount = add_mount(fixture, "bind", "/host/top", "/a/");
    mount->is_readonly = true;
    add_mount(fixture, "bind", "/host/hosts", "/etc/hosts");
    mount = add_mount(fixture, "tmpfs", NULL, "/dev/shm");
    strings_add(&mount->options, "size=1m");
    assert_int_equal(plan(fixture), 0);
    assert_true(spec_find_mount(fixture->spec, "/a") < spec_find_mount(fixture->spec, "/a/b/c"));
    assert_true(strings_contains(&mount_at(fixture, "/a")->options, "rro"));
    assert_string_equal(mount_at(fixture, "/etc/hosts")->source, "/host/hosts");
    assert_string_equal(mount_at(fixture, "/dev/shm")->source, "tmpfs");
    assert_true(strings_contains(&mount_at(fixture, "/dev/shm")->options, "size=1m"));
}

static void volumes_of_the_image_become_anonymous_unless_mounted(void **state)
{
    struct fixture *fixture = *state;
    const struct settings_mounts *mounts = &fixture->record.settings.mounts;

    add_mount(fixture, "bind", "/host", "/one");
    strings_add(&fixture->image.volumes, "/one");
    strings_add(&fixture->image.volumes, "/two/");
    assert_int_equal(merge(fixture), 0);
    assert_int_equal(mounts->count, 2);
    assert_string_equal(mounts->items[1].target, "/two");
    assert_true(mounts->items[1].is_anonymous);
    assert_int_equal(strlen(mounts->items[1].source), 64);
}

static void two_mounts_at_one_place_are_refused(void **state)
{
    struct fixture *fixture = *state;

    add_mount(fixture, "bind", "/x", "/a");
    add_mount(fixture, "tmpfs", NULL, "//a/");
    assert_int_equal(merge(fixture), -EINVAL);
    assert_string_equal(fixture->err.message, "two mounts at '/a'");
}

static void networks_that_are_not_there_are_refused(void **state)
{
    struct fixture *fixture = *state;

    fixture->record.settings.network = xstrdup("bridge");
    assert_int_equal(plan(fixture), -EOPNOTSUPP);
    assert_string_equal(
        fixture->err.message,
        "network 'bridge' is not there yet: use --network none, host, slirp4netns or "
        "container:NAME");
}

static void a_joined_network_keeps_its_namespace_and_the_others_name(void **state)
{
    struct fixture *fixture = *state;

    fixture->record.settings.network = xstrdup("container:0123");
    assert_int_equal(plan(fixture), 0);
    assert_non_null(spec_find_namespace(fixture->spec, "network"));
    assert_string_equal(fixture->record.hostname, "hosty"); /* as the caller gave it */
}

static void the_hosts_namespaces_are_left_out(void **state)
{
    struct fixture *fixture = *state;

    fixture->record.settings.network = xstrdup("host");
    fixture->record.settings.pid_mode = xstrdup("host");
    fixture->record.settings.ipc_mode = xstrdup("host");
    fixture->record.settings.uts_mode = xstrdup("host");
    assert_int_equal(plan(fixture), 0);
    assert_null(spec_find_namespace(fixture->spec, "network"));
    assert_null(spec_find_namespace(fixture->spec, "pid"));
    assert_null(spec_find_namespace(fixture->spec, "ipc"));
    assert_null(spec_find_namespace(fixture->spec, "uts"));
    assert_non_null(spec_find_namespace(fixture->spec, "mount"));
    assert_null(fixture->spec->hostname);
    assert_string_equal(fixture->record.hostname, "hosty");
    assert_string_equal(mount_at(fixture, "/dev/shm")->source, "/dev/shm");
}

static void privileged_is_without_masks_filter_and_read_only_sys(void **state)
{
    struct fixture *fixture = *state;

    fixture->record.settings.is_privileged = true;
    assert_int_equal(plan(fixture), 0);
    assert_int_equal(fixture->spec->linux_.masked_paths.count, 0);
    assert_int_equal(fixture->spec->linux_.readonly_paths.count, 0);
    assert_null(fixture->spec->linux_.seccomp);
    assert_false(strings_contains(&mount_at(fixture, "/sys")->options, "ro"));
    assert_true(
        strings_contains(&fixture->spec->process->capabilities->effective, "CAP_SYS_ADMIN"));
}

static void another_user_has_no_effective_capabilities(void **state)
{
    struct fixture *fixture = *state;

    fixture->user.uid = 1000;
    assert_int_equal(plan(fixture), 0);
    assert_int_equal(fixture->spec->process->capabilities->effective.count, 0);
    assert_true(fixture->spec->process->capabilities->bounding.count > 0);
    assert_int_equal(fixture->spec->process->user.uid, 1000);
}

static void init_comes_before_the_program(void **state)
{
    struct fixture *fixture = *state;

    fixture->record.settings.has_init = true;
    assert_int_equal(plan(fixture), 0);
    assert_string_equal(fixture->spec->process->args.items[0], "/sbin/docker-init");
    assert_string_equal(fixture->spec->process->args.items[2], "sh");
    assert_string_equal(mount_at(fixture, "/sbin/docker-init")->source, "/libexec/berth-init");
}

static void sysctls_that_are_the_hosts_are_refused(void **state)
{
    struct fixture *fixture = *state;

    string_map_set(&fixture->record.settings.sysctls, "kernel.panic", "1");
    assert_int_equal(plan(fixture), -EINVAL);
    assert_string_equal(fixture->err.message,
                        "--sysctl 'kernel.panic' is not one that a container has for itself");
}

static void hosts_have_the_added_names(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *text = NULL;

    strings_add(&fixture->record.settings.add_hosts, "db:10.0.0.5");
    strings_add(&fixture->record.settings.add_hosts, "six:fe80::1");
    assert_int_equal(bundle_plan_hosts(&fixture->record, "127.0.0.1 h", &text, NULL), 0);
    assert_string_equal(text, "127.0.0.1 h\n10.0.0.5\tdb\nfe80::1\tsix\n");
    strings_add(&fixture->record.settings.add_hosts, "bad");
    assert_int_equal(bundle_plan_hosts(&fixture->record, NULL, &text, &fixture->err), -EINVAL);
    assert_string_equal(fixture->err.message, "--add-host 'bad': give NAME:ADDRESS");
}

static void an_ordinary_user_binds_a_device_that_gets_another_name(void **state)
{
    struct fixture *fixture = *state;
    struct settings *settings = &fixture->record.settings;
    struct settings_device wanted[] = { { .host_path = (char *)"/dev/fuse",
                                          .container_path = (char *)"/dev/other" },
                                        { .host_path = (char *)"/dev/fuse" } };
    struct host_device device = {
        .path = (char *)"/dev/fuse", .type = 'c', .major = 10, .minor = 229
    };
    const struct spec_mount *last;
    int r;

    settings->devices.items = wanted;
    settings->devices.count = 2;
    fixture->facts.devices.items = &device;
    fixture->facts.devices.count = 1;
    fixture->facts.binds_devices = true;
    fixture->facts.least_oom_score = 100;
    r = plan(fixture);
    settings->devices.items = NULL; /* they are not the fixture's */
    settings->devices.count = 0;
    assert_int_equal(r, 0);
    last = &fixture->spec->mounts.items[fixture->spec->mounts.count - 1];
    assert_string_equal(last->destination, "/dev/other");
    assert_string_equal(last->source, "/dev/fuse");
    assert_int_equal(fixture->spec->linux_.devices.count, 1);
    assert_string_equal(fixture->spec->linux_.devices.items[0].path, "/dev/fuse");
    assert_int_equal(fixture->spec->process->oom_score_adj, 100);
}

static void a_microvm_has_an_image_as_its_root_and_says_so_by_annotations(void **state)
{
    struct fixture *fixture = *state;
    struct settings *settings = &fixture->record.settings;
    const struct spec_mount *root;

    settings->isolation = xstrdup("microvm");
    settings->vm_kernel = xstrdup("new");
    settings->vm_memory = 256 << 20;
    settings->vm_cpus = 2;
    settings->is_privileged = true;
    assert_int_equal(plan(fixture), 0);
    root = &fixture->spec->mounts.items[0];
    assert_string_equal(root->destination, "/");
    assert_string_equal(root->type, "erofs");
    assert_string_equal(root->source, "/data/erofs/x/root.erofs");
    assert_string_equal(root->options.items[0], "disk=/data/disk.img");
    assert_string_equal(string_map_get(&fixture->spec->annotations, "run.berth.isolation"),
                        "microvm");
    assert_int_equal(fixture->spec->vm->hardware.memory, 268435456);
    assert_int_equal(fixture->spec->vm->hardware.vcpus, 2);
    assert_string_equal(string_map_get(&fixture->spec->annotations, "run.berth.vm.kernel"), "new");
    assert_null(string_map_get(&fixture->spec->annotations, "run.berth.vm.console"));
    assert_int_equal(fixture->spec->linux_.devices.count, 0);
}

static void an_image_has_no_say_about_the_microvm(void **state)
{
    struct fixture *fixture = *state;

    string_map_set(&fixture->image.labels, "run.berth.isolation", "microvm");
    string_map_set(&fixture->image.labels, "run.berth.vm.kernel", "evil");
    strings_add(&fixture->image.env, "run.berth.isolation=microvm");
    assert_int_equal(plan(fixture), 0);
    assert_int_equal(fixture->spec->annotations.count, 0);
    assert_string_equal(fixture->spec->mounts.items[0].type, "overlay");
}

static void what_a_microvm_cannot_have_is_refused_by_the_options_name(void **state)
{
    static const struct {
        const char *isolation, *network, *pid, *userns, *kernel, *message;
    } rows[] = {
        { "vm", NULL, NULL, NULL, NULL, "--isolation 'vm': give none or microvm" },
        { NULL, NULL, NULL, NULL, "k",
          "--kernel, --vm-memory, --vm-cpus, --vm-console and --warm are for" },
        { "microvm", "host", NULL, NULL, NULL, "--network host cannot be used together" },
        { "microvm", "container:x", NULL, NULL, NULL, "--network container:x cannot be used" },
        { "microvm", NULL, "container:x", NULL, NULL, "--pid container:x cannot be used" },
        { "microvm", NULL, NULL, "auto", NULL, "--userns auto is of no use" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct settings settings = {
            .isolation = (char *)rows[i].isolation,
            .network = (char *)rows[i].network,
            .pid_mode = (char *)rows[i].pid,
            .userns_mode = (char *)rows[i].userns,
            .vm_kernel = (char *)rows[i].kernel,
        };
        struct error err = { 0 };

        if (bundle_check_isolation(&settings, &err) >= 0)
            fail_msg("row %zu is not refused", i);
        if (strstr(err.message, rows[i].message) == NULL)
            fail_msg("row %zu: %s", i, err.message);
    }
}

static void a_rule_about_devices_is_refused_for_a_microvm(void **state)
{
    char *rule = (char *)"c 13:* rwm";
    const struct settings settings = { .isolation = (char *)"microvm",
                                       .device_rules = { &rule, 1 } };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(bundle_check_isolation(&settings, &err), -EOPNOTSUPP);
    assert_string_equal(err.message, "--device-cgroup-rule 'c 13:* rwm': a microVM cannot use "
                                     "devices of this machine");
}

static void annotations_are_the_users_and_not_the_images(void **state)
{
    struct fixture *fixture = *state;
    struct string_map *wanted = &fixture->record.settings.annotations;
    const struct string_map *annotations;

    string_map_set(wanted, "org.example.a", "1");
    string_map_set(wanted, "run.oci.keep_original_groups", "");
    string_map_set(&fixture->image.labels, "org.example.a", "2");
    string_map_set(&fixture->image.labels, "run.oci.hooks.stdout", "/etc/passwd");
    string_map_set(&fixture->image.labels, "org.systemd.property.TasksMax", "1");
    assert_int_equal(plan(fixture), 0);
    annotations = &fixture->spec->annotations;
    assert_int_equal(annotations->count, 2);
    assert_string_equal(string_map_get(annotations, "org.example.a"), "1");
    assert_string_equal(string_map_get(annotations, "run.oci.keep_original_groups"), "");
}

static void annotations_that_berth_sets_are_refused(void **state)
{
    static const struct {
        const char *key;
        bool is_good;
    } rows[] = {
        { "run.berth.isolation", false }, { "run.berth.vm.kernel", false },
        { "run.berth.", false },          { "run.berth", true },
        { "run.berthold.x", true },       { "org.systemd.property.TasksMax", true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct string_pair pair = { (char *)rows[i].key, (char *)"x" };
        const struct settings settings = { .annotations = { &pair, 1 } };
        auto_free char *message =
            xasprintf("--annotation '%s': those that begin with run.berth. are set by options: "
                      "see --isolation, --kernel and --vm-memory",
                      rows[i].key);
        struct error err = { 0 };
        int r = bundle_check_annotations(&settings, &err);

        print_message("%s\n", rows[i].key);
        assert_int_equal(r, rows[i].is_good ? 0 : -EINVAL);
        assert_string_equal(err.message, rows[i].is_good ? "" : message);
    }
}

static void namespace_modes_are_understood(void **state)
{
    enum namespace_mode mode;
    const char *container;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(namespace_mode_parse("--pid", "container:x", &mode, &container, NULL), 0);
    assert_int_equal(mode, NAMESPACE_CONTAINER);
    assert_string_equal(container, "x");
    assert_int_equal(namespace_mode_parse("--ipc", "shareable", &mode, NULL, NULL), 0);
    assert_int_equal(mode, NAMESPACE_PRIVATE);
    assert_int_equal(namespace_mode_parse("--uts", "container:x", &mode, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "--uts 'container:x': give host, private");
    assert_int_equal(namespace_mode_parse("--pid", "container:", &mode, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "--pid 'container:': give host, private or container:NAME");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(entrypoint_and_command_merge_as_docker_does),
        TEST(an_image_without_a_program_needs_one),
        TEST(the_environment_is_built_from_nothing),
        TEST(the_overlay_is_the_first_mount),
        TEST(an_ordinary_user_binds_a_device_that_gets_another_name),
        TEST(a_microvm_has_an_image_as_its_root_and_says_so_by_annotations),
        TEST(an_image_has_no_say_about_the_microvm),
        TEST(annotations_are_the_users_and_not_the_images),
        TEST(annotations_that_berth_sets_are_refused),
        TEST(a_rule_about_devices_is_refused_for_a_microvm),
        TEST(what_a_microvm_cannot_have_is_refused_by_the_options_name),
        TEST(users_mounts_come_parents_first_and_replace_defaults),
        TEST(volumes_of_the_image_become_anonymous_unless_mounted),
        TEST(two_mounts_at_one_place_are_refused),
        TEST(networks_that_are_not_there_are_refused),
        TEST(a_joined_network_keeps_its_namespace_and_the_others_name),
        TEST(the_hosts_namespaces_are_left_out),
        TEST(privileged_is_without_masks_filter_and_read_only_sys),
        TEST(another_user_has_no_effective_capabilities),
        TEST(init_comes_before_the_program),
        TEST(sysctls_that_are_the_hosts_are_refused),
        TEST(hosts_have_the_added_names),
        TEST(namespace_modes_are_understood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
