#include "tests/unit/base_test.h"

#include <errno.h>

#include "runtime/spec.h"

/* A valid document, into which each row puts one mistake. */
#define SPEC(process, namespaces, linux_, more)                                                    \
    "{\"ociVersion\":\"1.0.2-dev\",\"root\":{\"path\":\"r\"},"                                     \
    "\"process\":{\"cwd\":\"/\",\"args\":[\"sh\"]" process "},"                                    \
    "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}" namespaces "]" linux_ "}" more "}"
#define PROCESS(more)              SPEC("," more, "", "", "")
#define NAMESPACES(more)           SPEC("", "," more, "", "")
#define LINUX(more)                SPEC("", "", "," more, "")
#define LINUX_IN(namespaces, more) SPEC("", "," namespaces, "," more, "")
#define MORE(more)                 SPEC("", "", "", "," more)
#define TIME_OFFSET(value)                                                                         \
    SPEC("", ",{\"type\":\"time\"}", "",                                                           \
         ",\"annotations\":{\"run.oci.timens_offset\":\"" value "\"}")

#define NEW_USER  "{\"type\":\"user\"}"
#define MAP(name) "\"" name "\":[{\"containerID\":0,\"hostID\":0,\"size\":1}]"

static const struct {
    const char *json, *message;
} mistakes[] = {
    { "{\"ociVersion\":\"2.0.0\"}", "ociVersion: '2.0.0' is not supported, only 1.x is" },
    { "{\"ociVersion\":\"1\"}", "ociVersion: '1' is not supported, only 1.x is" },
    { "{\"ociVersion\":\"1.x\"}", "ociVersion: '1.x' is not supported, only 1.x is" },
    { "{\"ociVersion\":\"1.0.0\"}", "root: is missing" },
    { "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"\"}}", "root.path: is empty" },

    { "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"tmp\"}}",
      "process.cwd: 'tmp' must be absolute" },
    { "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\"}}",
      "process.args: is empty, there is no program to run" },
    { "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\","
      "\"args\":[\"\"]}}",
      "process.args[0]: is empty, there is no program to run" },
    { PROCESS("\"user\":{\"uid\":4294967295,\"gid\":0}"),
      "process.user.uid: 4294967295 is out of range" },
    { PROCESS("\"user\":{\"uid\":0,\"gid\":4294967295}"),
      "process.user.gid: 4294967295 is out of range" },
    { PROCESS("\"user\":{\"uid\":0,\"gid\":0,\"umask\":512}"),
      "process.user.umask: 512 is larger than 0777" },
    { PROCESS("\"user\":{\"uid\":0,\"gid\":0,\"additionalGids\":[1,4294967295]}"),
      "process.user.additionalGids[1]: 4294967295 is out of range" },
    { PROCESS("\"env\":[\"A=\",\"B\"]"), "process.env[1]: 'B' is not NAME=VALUE" },
    { PROCESS("\"env\":[\"=x\"]"), "process.env[0]: '=x' is not NAME=VALUE" },
    { PROCESS("\"oomScoreAdj\":1001"), "process.oomScoreAdj: 1001 is not from -1000 to 1000" },
    { PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_NOFILES\",\"soft\":1,\"hard\":1}]"),
      "process.rlimits[0].type: unknown limit 'RLIMIT_NOFILES', did you mean RLIMIT_NOFILE" },
    { PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":2,\"hard\":1}]"),
      "process.rlimits[0].soft: 2 is above the hard limit 1" },
    { PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":0,\"hard\":1},"
              "{\"type\":\"RLIMIT_CORE\",\"soft\":0,\"hard\":1}]"),
      "process.rlimits[1].type: 'RLIMIT_CORE' is there twice" },
    { PROCESS("\"scheduler\":{\"policy\":\"SCHED_FAIR\"}"),
      "process.scheduler.policy: unknown word 'SCHED_FAIR'" },
    { PROCESS("\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":20}"),
      "process.scheduler.nice: 20 is not from -20 to 19" },
    { PROCESS("\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"priority\":1}"),
      "process.scheduler.priority: is only for SCHED_FIFO and SCHED_RR" },
    { PROCESS("\"scheduler\":{\"policy\":\"SCHED_RR\",\"priority\":100}"),
      "process.scheduler.priority: 100 is not from 1 to 99" },
    { PROCESS("\"scheduler\":{\"policy\":\"SCHED_IDLE\",\"period\":1}"),
      "process.scheduler: runtime, deadline and period are only for SCHED_DEADLINE" },
    { PROCESS("\"scheduler\":{\"policy\":\"SCHED_IDLE\",\"flags\":[\"X\"]}"),
      "process.scheduler.flags[0]: unknown flag 'X'" },
    { PROCESS("\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":8}"),
      "process.ioPriority.priority: 8 is not from 0 to 7" },
    { PROCESS("\"ioPriority\":{\"class\":\"BE\",\"priority\":0}"),
      "process.ioPriority.class: unknown word 'BE'" },
    { PROCESS("\"execCPUAffinity\":{\"initial\":\"3-1\"}"),
      "process.execCPUAffinity.initial: a range in '3-1' runs backwards" },

    { MORE("\"mounts\":[{\"destination\":\"\"}]"), "mounts[0].destination: is empty" },
    { MORE("\"mounts\":[{\"destination\":\"/\"},{\"destination\":\"/a\"," MAP("uidMappings") "}]"),
      "mounts[1]: uidMappings and gidMappings belong together" },
    { MORE("\"mounts\":[{\"destination\":\"/a\"," MAP(
          "uidMappings") ",\"gidMappings\":["
                         "{\"containerID\":0,\"hostID\":0,\"size\":0}]}]"),
      "mounts[0].gidMappings[0].size: must not be 0" },
    { MORE("\"hooks\":{\"poststart\":[{\"path\":\"/a\"},{\"path\":\"b\"}]}"),
      "hooks.poststart[1].path: 'b' must be absolute" },
    { MORE("\"hooks\":{\"prestart\":[{\"path\":\"/a\",\"timeout\":0}]}"),
      "hooks.prestart[0].timeout: 0 is not larger than 0" },
    { MORE("\"hooks\":{\"createRuntime\":[{\"path\":\"/a\",\"env\":[\"x\"]}]}"),
      "hooks.createRuntime[0].env[0]: 'x' is not NAME=VALUE" },
    { MORE("\"annotations\":{\"a\":\"b\",\"run.oci.delegate-cgroup\":\"c\"}"),
      "annotation run.oci.delegate-cgroup: is not supported: mount /sys/fs/cgroup without 'ro', "
      "and the container's own cgroup is given to it" },
    { MORE("\"annotations\":{\"run.oci.systemd.force_cgroup_v1\":\"/sys/fs/cgroup\"}"),
      "annotation run.oci.systemd.force_cgroup_v1: is not supported: the container sees the "
      "cgroups that the host has" },
    { MORE("\"annotations\":{\"run.oci.seccomp_bpf_data\":\"AAAA\"}"),
      "annotation run.oci.seccomp_bpf_data: 3 bytes are not 1 to 4096 instructions of 8" },
    { MORE("\"annotations\":{\"run.oci.seccomp_bpf_data\":\"\"}"),
      "annotation run.oci.seccomp_bpf_data: 0 bytes are not 1 to 4096 instructions of 8" },
    { MORE("\"annotations\":{\"run.oci.seccomp_bpf_data\":\"a b=\"}"),
      "annotation run.oci.seccomp_bpf_data: is not base64: letter 2 is not of it" },
    { MORE("\"annotations\":{\"run.oci.seccomp_bpf_data\":\"BgAAAAAAwH8=\"}"),
      "annotation run.oci.seccomp_bpf_data: a filter that notifies needs annotation "
      "run.oci.seccomp.receiver or linux.seccomp.listenerPath" },
    { MORE("\"annotations\":{\"run.oci.timens_offset\":\"boottime 1 2\"}"),
      "linux.timeOffsets: needs a new time namespace" },
    { TIME_OFFSET("realtime 1 2"),
      "annotation run.oci.timens_offset: 'realtime 1 2' is not a clock (monotonic, boottime), "
      "seconds and nanoseconds" },
    { TIME_OFFSET("boottime 1"),
      "annotation run.oci.timens_offset: 'boottime 1' is not a clock (monotonic, boottime), "
      "seconds and nanoseconds" },
    { TIME_OFFSET("boottime x 1"),
      "annotation run.oci.timens_offset: seconds: 'x' is not a number from -9223372036854775808 to "
      "9223372036854775807" },
    { TIME_OFFSET("7 1 1000000000"),
      "annotation run.oci.timens_offset: nanoseconds: '1000000000' is not a number from 0 to "
      "999999999" },
    { MORE("\"hostname\":\"h\""), "hostname: needs a uts namespace" },
    { MORE("\"domainname\":\"d\""), "domainname: needs a uts namespace" },

    { NAMESPACES("{\"type\":\"net\"}"), "linux.namespaces[1].type: unknown namespace 'net'" },
    { NAMESPACES("{\"type\":\"pid\"},{\"type\":\"mount\"}"),
      "linux.namespaces[2].type: 'mount' is there twice" },
    { NAMESPACES("{\"type\":\"pid\",\"path\":\"proc/1/ns/pid\"}"),
      "linux.namespaces[1].path: 'proc/1/ns/pid' must be absolute" },
    { LINUX(MAP("uidMappings")), "linux.uidMappings: needs a user namespace" },
    { LINUX(MAP("gidMappings")), "linux.gidMappings: needs a user namespace" },
    { LINUX_IN(NEW_USER, MAP("gidMappings")),
      "linux.uidMappings: is missing, the new user namespace needs it" },
    { LINUX_IN(NEW_USER, MAP("uidMappings")),
      "linux.gidMappings: is missing, the new user namespace needs it" },
    { LINUX_IN(NEW_USER, MAP("gidMappings") ",\"uidMappings\":[{\"containerID\":0,"
                                            "\"hostID\":4294967294,\"size\":2}]"),
      "linux.uidMappings[0]: reaches beyond the largest id 4294967294" },
    { LINUX("\"timeOffsets\":{\"monotonic\":{\"secs\":1}}"),
      "linux.timeOffsets: needs a new time namespace" },
    { LINUX_IN("{\"type\":\"time\",\"path\":\"/t\"}", "\"timeOffsets\":{\"boottime\":{}}"),
      "linux.timeOffsets: needs a new time namespace" },
    { LINUX_IN("{\"type\":\"time\"}", "\"timeOffsets\":{\"realtime\":{\"secs\":1}}"),
      "linux.timeOffsets: unknown clock 'realtime'" },
    { LINUX_IN("{\"type\":\"time\"}", "\"timeOffsets\":{\"boottime\":{\"nanosecs\":1000000000}}"),
      "linux.timeOffsets.boottime.nanosecs: 1000000000 is out of range" },
    { LINUX("\"devices\":[{\"type\":\"x\",\"path\":\"/dev/x\"}]"),
      "linux.devices[0].type: 'x' is not one of c, b, u, p" },
    { LINUX("\"devices\":[{\"type\":\"c\",\"path\":\"dev/x\"}]"),
      "linux.devices[0].path: 'dev/x' must be absolute" },
    { LINUX("\"devices\":[{\"type\":\"c\",\"path\":\"/dev/x\",\"major\":4096}]"),
      "linux.devices[0].major: 4096 is out of range" },
    { LINUX("\"devices\":[{\"type\":\"b\",\"path\":\"/dev/x\",\"minor\":-1}]"),
      "linux.devices[0].minor: -1 is out of range" },
    { LINUX("\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"rx\"}]}"),
      "linux.resources.devices[0].access: 'rx' is not of r, w, m" },
    { LINUX("\"netDevices\":{\"eth0\":{}}"), "linux.netDevices: needs a network namespace" },
    { LINUX_IN("{\"type\":\"network\"}", "\"netDevices\":{\"a/b\":{}}"),
      "linux.netDevices: 'a/b' is not the name of an interface" },
    { LINUX_IN("{\"type\":\"network\"}", "\"netDevices\":{\"e\":{\"name\":\"0123456789abcdef\"}}"),
      "linux.netDevices.e.name: '0123456789abcdef' is not the name of an interface" },
    { LINUX("\"maskedPaths\":[\"/a\",\"b\"]"), "linux.maskedPaths[1]: 'b' must be absolute" },
    { LINUX("\"readonlyPaths\":[\"b\"]"), "linux.readonlyPaths[0]: 'b' must be absolute" },
    { LINUX("\"seccomp\":{\"defaultAction\":\"x\"}"),
      "linux.seccomp.defaultAction: unknown action 'x'" },
    { LINUX("\"personality\":{\"domain\":\"BSD\"}"),
      "linux.personality.domain: unknown word 'BSD'" },
    { LINUX("\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"X\"]}"),
      "linux.personality.flags[0]: unknown flag 'X'" },
    { LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_X\"}"),
      "linux.memoryPolicy.mode: unknown word 'MPOL_X'" },
    { LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0-1024\"}"),
      "linux.memoryPolicy.nodes: '1024' is not a number from 0 to 1023" },
};

static void each_mistake_is_told_in_one_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
        struct spec *spec = NULL;
        struct error err = { 0 };
        int r = spec_decode(mistakes[i].json, strlen(mistakes[i].json), &spec, &err);

        if (r != -EINVAL || strcmp(err.message, mistakes[i].message) != 0)
            print_error("%s: %d, '%s'\n", mistakes[i].json, r, err.message);
        assert_int_equal(r, -EINVAL);
        assert_string_equal(err.message, mistakes[i].message);
        assert_null(spec);
    }
}

static void what_the_specification_allows_is_accepted(void **state)
{
    static const char *const documents[] = {
        SPEC("", "", "", ""),
        "{\"ociVersion\":\"1.3.0+dev\",\"root\":{\"path\":\"r\"},"
        "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}",
        MORE("\"mounts\":[{\"destination\":\"relative/path\",\"type\":\"tmpfs\"}]"),
        SPEC("", ",{\"type\":\"uts\",\"path\":\"/u\"}", "", ",\"hostname\":\"h\""),
        NAMESPACES("{\"type\":\"user\",\"path\":\"/u\"}"),
        LINUX_IN(NEW_USER, MAP("uidMappings") "," MAP("gidMappings")),
        LINUX("\"devices\":[{\"type\":\"p\",\"path\":\"/dev/fifo\"}]"),
        LINUX("\"personality\":{\"domain\":\"LINUX32\"}"),
        LINUX("\"memoryPolicy\":{\"mode\":\"MPOL_DEFAULT\",\"nodes\":\"\"}"),
        MORE("\"annotations\":{\"run.oci.unknown\":\"1\",\"run.oci.systemd.subgroup\":\"g\","
             "\"run.oci.seccomp_fail_unknown_syscall\":\"0\"}"),
        PROCESS("\"oomScoreAdj\":-1000"),
        PROCESS("\"scheduler\":{\"policy\":\"SCHED_FIFO\",\"priority\":99}"),
        PROCESS("\"execCPUAffinity\":{\"initial\":\"0,2-5\",\"final\":\"7\"}"),
        PROCESS("\"capabilities\":{\"bounding\":[\"CAP_OF_THE_FUTURE\"]}"),
        PROCESS("\"env\":[\"EMPTY=\",\"A=b=c\"]"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
        AUTO(spec) struct spec *spec = NULL;
        struct error err = { 0 };

        if (spec_decode(documents[i], strlen(documents[i]), &spec, &err) < 0)
            fail_msg("%s: %s", documents[i], err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_told_in_one_sentence),
        cmocka_unit_test(what_the_specification_allows_is_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
