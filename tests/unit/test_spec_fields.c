#include "tests/unit/base_test.h"

#include <errno.h>

#include "runtime/spec.h"

/* Every member of the specification that berth knows, in the order in which it is written. */
static const char full_document[] =
    "{\"ociVersion\":\"1.3.0\","
    "\"process\":{\"terminal\":true,\"consoleSize\":{\"height\":24,\"width\":80},"
    "\"user\":{\"uid\":1,\"gid\":2,\"umask\":18,\"additionalGids\":[5,4294967294],\"username\":"
    "\"u\"},"
    "\"args\":[\"sh\",\"-c\",\"\"],\"env\":[\"A=b\"],\"cwd\":\"/\","
    "\"capabilities\":{\"bounding\":[\"CAP_KILL\"],\"effective\":[\"CAP_KILL\"],"
    "\"inheritable\":[\"CAP_KILL\"],\"permitted\":[\"CAP_KILL\"],\"ambient\":[\"CAP_KILL\"]},"
    "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"hard\":18446744073709551615,\"soft\":0}],"
    "\"noNewPrivileges\":true,\"oomScoreAdj\":-5,\"apparmorProfile\":\"a\",\"selinuxLabel\":\"s\","
    "\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"nice\":-3,"
    "\"flags\":[\"SCHED_FLAG_RESET_ON_FORK\"]},"
    "\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":0},"
    "\"execCPUAffinity\":{\"initial\":\"0-1\",\"final\":\"0,1\"}},"
    "\"root\":{\"path\":\"rootfs\",\"readonly\":true},"
    "\"hostname\":\"h\",\"domainname\":\"d\","
    "\"mounts\":[{\"destination\":\"/m\",\"type\":\"bind\",\"source\":\"/"
    "s\",\"options\":[\"rbind\"],"
    "\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":1}],"
    "\"gidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":1}]}],"
    "\"hooks\":{\"prestart\":[{\"path\":\"/h1\",\"args\":[\"a\"],\"env\":[\"K=v\"],\"timeout\":1}],"
    "\"createRuntime\":[{\"path\":\"/h2\"}],\"createContainer\":[{\"path\":\"/h3\"}],"
    "\"startContainer\":[{\"path\":\"/h4\"}],\"poststart\":[{\"path\":\"/h5\"}],"
    "\"poststop\":[{\"path\":\"/h6\"}]},"
    "\"annotations\":{\"k\":\"v\",\"empty\":\"\"},"
    "\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],"
    "\"gidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],"
    "\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"},"
    "\"resources\":{\"pids\":{\"limit\":7}},"
    "\"cgroupsPath\":\"/c\","
    "\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"},{\"type\":\"uts\"},{\"type\":"
    "\"time\"},"
    "{\"type\":\"network\",\"path\":\"/n\"}],"
    "\"devices\":[{\"path\":\"/dev/x\",\"type\":\"c\",\"major\":1,\"minor\":3,\"fileMode\":438,"
    "\"uid\":0,\"gid\":0},{\"path\":\"/dev/p\",\"type\":\"p\",\"major\":0,\"minor\":0}],"
    "\"netDevices\":{\"eth0\":{\"name\":\"eth1\"},\"eth2\":{}},"
    "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
    "\"architectures\":[\"SCMP_ARCH_X86\"],\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],"
    "\"listenerPath\":\"/l\",\"listenerMetadata\":\"m\","
    "\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":0,\"args\":["
    "{\"index\":0,\"value\":18446744073709551615,\"valueTwo\":1,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}]},"
    "\"rootfsPropagation\":\"slave\",\"maskedPaths\":[\"/a\"],\"readonlyPaths\":[\"/b\"],"
    "\"mountLabel\":\"l\","
    "\"intelRdt\":{\"closID\":\"i\",\"schemata\":[\"L3:0=f\"],\"l3CacheSchema\":\"L3:0=f\","
    "\"memBwSchema\":\"MB:0=1\",\"enableMonitoring\":true,\"enableCMT\":true,"
    "\"enableMBM\":true},"
    "\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0\",\"flags\":[\"MPOL_F_STATIC_NODES\"]},"
    "\"personality\":{\"domain\":\"LINUX32\"},"
    "\"timeOffsets\":{\"monotonic\":{\"secs\":-1,\"nanosecs\":5}}}}";

static struct spec *decode(const char *json)
{
    struct spec *spec = NULL;
    struct error err = { 0 };

    if (spec_decode(json, strlen(json), &spec, &err) < 0)
        fail_msg("%s", err.message);
    return spec;
}

static void a_full_document_comes_back_as_it_was(void **state)
{
    AUTO(spec) struct spec *spec = decode(full_document);
    auto_free char *json = encode_text(&spec_object, spec, ENCODE_COMPACT);

    (void)state;
    assert_string_equal(json, full_document);
}

static void members_reach_their_places(void **state)
{
    AUTO(spec) struct spec *spec = decode(full_document);
    const struct spec_linux *linux_ = &spec->linux_;

    (void)state;
    assert_int_equal(spec->process->console_size->width, 80);
    assert_true(spec->process->user.has_umask);
    assert_int_equal(spec->process->user.additional_gids.items[1], 4294967294u);
    assert_true(spec->process->rlimits.items[0].hard == UINT64_MAX);
    assert_true(spec->process->has_oom_score_adj);
    assert_int_equal(spec->process->oom_score_adj, -5);
    assert_int_equal(spec->mounts.items[0].uid_mappings.items[0].host_id, 1000);
    assert_true(spec->hooks.prestart.items[0].has_timeout);
    assert_false(spec->hooks.poststop.items[0].has_timeout);
    assert_int_equal(linux_->resources->pids.limit, 7);
    assert_true(linux_->devices.items[0].has_file_mode);
    assert_false(linux_->devices.items[1].has_file_mode);
    assert_string_equal(linux_->net_devices.items[0].key, "eth0");
    assert_true(linux_->seccomp->syscalls.items[0].has_errno_ret);
    assert_true(linux_->seccomp->syscalls.items[0].args.items[0].value == UINT64_MAX);
    assert_string_equal(linux_->time_offsets.items[0].key, "monotonic");
    assert_true(linux_->time_offsets.items[0].secs == -1);
}

#define SMALL(more)                                                                                \
    "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},"                                         \
    "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}" more "}"

static void a_small_document_is_enough(void **state)
{
    AUTO(spec) struct spec *spec = decode(SMALL(""));
    auto_free char *json = encode_text(&spec_object, spec, ENCODE_COMPACT);

    (void)state;
    assert_null(spec->process);
    assert_null(spec->linux_.seccomp);
    assert_null(spec->linux_.resources);
    assert_string_equal(json, "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},"
                              "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}");
}

static void unknown_and_null_members_are_ignored(void **state)
{
    AUTO(spec)
    struct spec *spec = decode(
        SMALL(",\"solaris\":{\"x\":[1]},\"hooks\":null,\"mounts\":null,"
              "\"process\":{\"cwd\":\"/\",\"args\":[\"a\"],\"capabilities\":null,\"new\":1}"));

    (void)state;
    assert_null(spec->process->capabilities);
    assert_int_equal(spec->mounts.count, 0);
}

static void wrong_types_and_missing_members_are_named(void **state)
{
    static const struct {
        const char *json, *message;
    } rows[] = {
        { "{\"root\":{\"path\":\"r\"}}", "ociVersion: is missing" },
        { SMALL(",\"process\":{\"args\":[\"a\"]}"), "process.cwd: is missing" },
        { SMALL(",\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":4294967296,\"gid\":0}}"),
          "process.user.uid: 4294967296 is out of range" },
        { SMALL(",\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":-1,\"gid\":0}}"),
          "process.user.uid: -1 is out of range" },
        { SMALL(",\"mounts\":[{\"destination\":\"/a\"},{\"source\":\"/b\"}]"),
          "mounts[1].destination: is missing" },
        { SMALL(",\"hooks\":{\"poststop\":[{\"args\":[]}]}"),
          "hooks.poststop[0].path: is missing" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct spec *spec = NULL;
        struct error err = { 0 };

        assert_int_equal(spec_decode(rows[i].json, strlen(rows[i].json), &spec, &err), -EINVAL);
        assert_string_equal(err.message, rows[i].message);
        assert_null(spec);
    }
}

static void no_member_accepts_a_value_of_another_kind(void **state)
{
    static const char *const names[] = { "ociVersion", "process", "root",        "hostname",
                                         "mounts",     "hooks",   "annotations", "linux" };
    /* A number is the wrong kind for each of them. */
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        auto_free char *json = xasprintf("{\"%s\":7}", names[i]);
        struct spec *spec = NULL;
        struct error err = { 0 };

        assert_true(spec_decode(json, strlen(json), &spec, &err) < 0);
        if (i > 0 && strstr(err.message, names[i]) == NULL &&
            strcmp(err.message, "ociVersion: is missing") != 0)
            fail_msg("%s: %s", names[i], err.message);
    }
}

static void a_document_of_exaggerated_size_is_refused(void **state)
{
    auto_free char *json = xcalloc(SPEC_BYTES_MAX + 2, 1);
    struct spec *spec = NULL;
    struct error err = { 0 };

    (void)state;
    memset(json, ' ', SPEC_BYTES_MAX + 1);
    assert_int_equal(spec_decode(json, SPEC_BYTES_MAX + 1, &spec, &err), -EFBIG);
    assert_string_equal(err.message, "has 8388609 bytes, more than the 8388608 that are allowed");
}

static void reading_a_file_names_it_in_the_error(void **state)
{
    int fd = directory_of(state);
    AUTO(spec) struct spec *spec = NULL;
    struct error err = { 0 };

    assert_int_equal(spec_read(fd, "config.json", &spec, &err), -ENOENT);
    put_file(fd, "config.json", "{\"ociVersion\":\"2.0.0\"}");
    assert_int_equal(spec_read(fd, "config.json", &spec, &err), -EINVAL);
    assert_string_equal(err.message,
                        "config.json: ociVersion: '2.0.0' is not supported, only 1.x is");
    put_file(fd, "config.json", full_document);
    assert_int_equal(spec_read(fd, "config.json", &spec, &err), 0);
    assert_string_equal(spec->hostname, "h");
}

static void lists_grow_and_shrink(void **state)
{
    AUTO(spec) struct spec *spec = xcalloc(1, sizeof(*spec));
    static const char *const options[] = { "ro", "nosuid", NULL };

    (void)state;
    (void)spec_add_mount(spec, "/a", "tmpfs", "tmpfs", options);
    (void)spec_add_mount(spec, "/b", "bind", "/x", NULL);
    (void)spec_add_mount(spec, "/c", NULL, NULL, NULL);
    assert_int_equal(spec_find_mount(spec, "/b"), 1);
    assert_int_equal(spec_find_mount(spec, "/d"), -1);
    assert_string_equal(spec->mounts.items[0].options.items[1], "nosuid");
    spec_remove_mount(spec, 0);
    assert_int_equal(spec->mounts.count, 2);
    assert_int_equal(spec_find_mount(spec, "/c"), 1);

    (void)spec_add_namespace(spec, "pid", NULL);
    (void)spec_add_namespace(spec, "network", "/run/netns/n");
    assert_string_equal(spec_find_namespace(spec, "network")->path, "/run/netns/n");
    assert_null(spec_find_namespace(spec, "uts"));

    (void)spec_add_device(spec, "c", "/dev/fuse", 10, 229);
    assert_int_equal(spec->linux_.devices.items[0].minor, 229);
    (void)spec_add_device_rule(spec, true, "c", 10, -1, "rw");
    assert_true(spec->linux_.resources->devices.items[0].has_major);
    assert_false(spec->linux_.resources->devices.items[0].has_minor);
    spec->process = xcalloc(1, sizeof(*spec->process));
    spec_add_rlimit(spec, "RLIMIT_CORE", 0, 1)->soft = 1;
    assert_int_equal(spec->process->rlimits.items[0].soft, 1);
}

static void freeing_nothing_is_fine(void **state)
{
    (void)state;
    spec_free(NULL);
    spec_process_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_document_comes_back_as_it_was),
        cmocka_unit_test(members_reach_their_places),
        cmocka_unit_test(a_small_document_is_enough),
        cmocka_unit_test(unknown_and_null_members_are_ignored),
        cmocka_unit_test(wrong_types_and_missing_members_are_named),
        cmocka_unit_test(no_member_accepts_a_value_of_another_kind),
        cmocka_unit_test(a_document_of_exaggerated_size_is_refused),
        IN_DIRECTORY(reading_a_file_names_it_in_the_error),
        cmocka_unit_test(lists_grow_and_shrink),
        cmocka_unit_test(freeing_nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
