#include "tests/unit/base_test.h"

#include <sys/prctl.h>

#include "runtime/process_setup.h"
#include "runtime/spec.h"

/* What `runc spec` of version 1.1.5 writes. */
static const char runc_document[] =
    "{\"ociVersion\":\"1.0.2-dev\",\"process\":{\"terminal\":true,\"user\":{\"uid\":0,\"gid\""
    ":0},\"args\":[\"sh\"],\"env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
    "/sbin:/bin\",\"TERM=xterm\"],\"cwd\":\"/\",\"capabilities\":{\"bounding\":[\"CAP_AUDIT_W"
    "RITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],\"effective\":[\"CAP_AUDIT_WRITE\",\"CAP_K"
    "ILL\",\"CAP_NET_BIND_SERVICE\"],\"permitted\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NE"
    "T_BIND_SERVICE\"],\"ambient\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\""
    "]},\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}],\"noNewPrivile"
    "ges\":true},\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"runc\",\"mou"
    "nts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},{\"destination"
    "\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"strictatim"
    "e\",\"mode=755\",\"size=65536k\"]},{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"s"
    "ource\":\"devpts\",\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\","
    "\"mode=0620\",\"gid=5\"]},{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\""
    "shm\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]},{\"de"
    "stination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\",\"options\":[\"nos"
    "uid\",\"noexec\",\"nodev\"]},{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"s"
    "ysfs\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]},{\"destination\":\"/sys/fs/"
    "cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\",\"options\":[\"nosuid\",\"noexec\",\""
    "nodev\",\"relatime\",\"ro\"]}],\"linux\":{\"resources\":{\"devices\":[{\"allow\":false,"
    "\"access\":\"rwm\"}]},\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type"
    "\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"}],\"maskedPaths\":[\"/proc/acpi\",\"/"
    "proc/asound\",\"/proc/kcore\",\"/proc/keys\",\"/proc/latency_stats\",\"/proc/timer_list"
    "\",\"/proc/timer_stats\",\"/proc/sched_debug\",\"/sys/firmware\",\"/proc/scsi\"],\"reado"
    "nlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger"
    "\"]}}";

/* ... and `runc spec --rootless`, with the host's ids to be filled in. */
static const char runc_rootless_document[] =
    "{\"ociVersion\":\"1.0.2-dev\",\"process\":{\"terminal\":true,\"user\":{\"uid\":0,\"gid\""
    ":0},\"args\":[\"sh\"],\"env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
    "/sbin:/bin\",\"TERM=xterm\"],\"cwd\":\"/\",\"capabilities\":{\"bounding\":[\"CAP_AUDIT_W"
    "RITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],\"effective\":[\"CAP_AUDIT_WRITE\",\"CAP_K"
    "ILL\",\"CAP_NET_BIND_SERVICE\"],\"permitted\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NE"
    "T_BIND_SERVICE\"],\"ambient\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\""
    "]},\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}],\"noNewPrivile"
    "ges\":true},\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"runc\",\"mou"
    "nts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},{\"destination"
    "\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"strictatim"
    "e\",\"mode=755\",\"size=65536k\"]},{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"s"
    "ource\":\"devpts\",\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\","
    "\"mode=0620\"]},{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\",\"op"
    "tions\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]},{\"destination"
    "\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\",\"options\":[\"nosuid\",\"n"
    "oexec\",\"nodev\"]},{\"destination\":\"/sys\",\"type\":\"none\",\"source\":\"/sys\",\"op"
    "tions\":[\"rbind\",\"nosuid\",\"noexec\",\"nodev\",\"ro\"]},{\"destination\":\"/sys/fs/c"
    "group\",\"type\":\"cgroup\",\"source\":\"cgroup\",\"options\":[\"nosuid\",\"noexec\",\"n"
    "odev\",\"relatime\",\"ro\"]}],\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":"
    "%u,\"size\":1}],\"gidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":1}],\"namespa"
    "ces\":[{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"},{\""
    "type\":\"user\"}],\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\",\"/proc/kcore\",\"/pr"
    "oc/keys\",\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\",\"/proc/sch"
    "ed_debug\",\"/sys/firmware\",\"/proc/scsi\"],\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs"
    "\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]}}";

/* The document as berth writes it, so that the order of members does not matter. */
static char *in_our_order(const char *json)
{
    AUTO(spec) struct spec *spec = NULL;
    struct error err = { 0 };

    if (spec_decode(json, strlen(json), &spec, &err) < 0)
        fail_msg("%s", err.message);
    return spec_encode(spec, ENCODE_INDENTED);
}

static void the_default_is_the_one_of_runc(void **state)
{
    AUTO(spec) struct spec *spec = spec_default(false, false);
    auto_free char *ours = spec_encode(spec, ENCODE_INDENTED);
    auto_free char *theirs = in_our_order(runc_document);

    (void)state;
    assert_string_equal(ours, theirs);
}

static void on_cgroup_v2_the_default_has_a_cgroup_namespace(void **state)
{
    AUTO(spec) struct spec *spec = spec_default(false, true);
    AUTO(spec) struct spec *rootless = spec_default(true, true);

    (void)state;
    assert_non_null(spec_find_namespace(spec, "cgroup"));
    assert_int_equal(spec->linux_.namespaces.count, 6);
    assert_string_equal(rootless->linux_.namespaces.items[4].type, "cgroup");
    assert_string_equal(rootless->linux_.namespaces.items[5].type, "user");
}

static void the_rootless_default_is_the_one_of_runc(void **state)
{
    AUTO(spec) struct spec *spec = spec_default(true, false);
    auto_free char *ours = spec_encode(spec, ENCODE_INDENTED);
    auto_free char *json = xasprintf(runc_rootless_document, geteuid(), getegid());
    auto_free char *theirs = in_our_order(json);

    (void)state;
    assert_string_equal(ours, theirs);
}

static void nothing_that_runc_writes_is_lost(void **state)
{
    auto_free char *json = in_our_order(runc_document);
    size_t length = 0;

    (void)state;
    for (const char *c = json; *c != '\0'; c++)
        length += *c != ' ' && *c != '\n';
    assert_int_equal(length, strlen(runc_document));
}

static void the_container_of_docker_has_what_the_reference_lists(void **state)
{
    AUTO(spec) struct spec *spec = spec_default_docker();
    const struct cgroup_device_rules *rules = &spec->linux_.resources->devices;
    struct capability_sets sets = { 0 };

    (void)state;
    assert_int_equal(spec->mounts.count, 7);
    assert_int_equal(spec_find_mount(spec, "/proc"), 0);
    assert_int_equal(spec_find_mount(spec, "/dev"), 1);
    assert_true(spec_find_mount(spec, "/sys") < spec_find_mount(spec, "/sys/fs/cgroup"));
    assert_true(spec_find_mount(spec, "/dev/shm") > 1);
    for (size_t i = 0; i < 6; i++) {
        static const char *const types[] = { "mount", "network", "uts", "pid", "ipc", "cgroup" };

        assert_non_null(spec_find_namespace(spec, types[i]));
    }
    assert_null(spec_find_namespace(spec, "user"));
    assert_true(spec->linux_.masked_paths.count >= 12);
    assert_true(strings_contains(&spec->linux_.masked_paths, "/proc/interrupts"));
    assert_true(strings_contains(&spec->linux_.masked_paths, "/sys/devices/virtual/powercap"));
    assert_int_equal(spec->linux_.readonly_paths.count, 5);
    assert_int_equal(rules->count, 8);
    assert_false(rules->items[0].allow);
    assert_false(rules->items[0].has_major);
    assert_false(rules->items[7].allow);
    assert_int_equal(rules->items[7].minor, 229);
    assert_int_equal(capabilities_plan(spec->process->capabilities, &sets, NULL), 0);
    assert_true(sets.bounding == 0xa80425fb);
    assert_true(sets.effective == 0xa80425fb && sets.permitted == 0xa80425fb);
    assert_true(sets.inheritable == 0 && sets.ambient == 0);
    assert_false(spec->process->no_new_privileges);
}

static void with_a_program_the_container_of_docker_is_valid(void **state)
{
    AUTO(spec) struct spec *spec = spec_default_docker();
    struct error err = { 0 };

    (void)state;
    strings_add(&spec->process->args, "sh");
    spec->linux_.seccomp = spec_default_seccomp(&spec->process->capabilities->effective);
    if (spec_check(spec, &err) < 0)
        fail_msg("%s", err.message);
}

static void all_capabilities_are_those_that_can_be_granted(void **state)
{
    struct strings names = { 0 };

    (void)state;
    spec_all_capabilities(&names);
    for (int i = 0; i <= CAPABILITY_LAST; i++) {
        bool is_there = prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1;

        assert_int_equal(strings_contains(&names, capability_name(i)), is_there);
    }
    strings_clear(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_is_the_one_of_runc),
        cmocka_unit_test(on_cgroup_v2_the_default_has_a_cgroup_namespace),
        cmocka_unit_test(the_rootless_default_is_the_one_of_runc),
        cmocka_unit_test(nothing_that_runc_writes_is_lost),
        cmocka_unit_test(the_container_of_docker_has_what_the_reference_lists),
        cmocka_unit_test(with_a_program_the_container_of_docker_is_valid),
        cmocka_unit_test(all_capabilities_are_those_that_can_be_granted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
