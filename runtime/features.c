#include <seccomp.h>
#include <stddef.h>

#include "base/decode.h"
#include "runtime/container.h"
#include "runtime/isolation.h"
#include "runtime/process_setup.h"
#include "runtime/seccomp_profile.h"

/* What this build can do (runtime-spec, features.md and features-linux.md); not what this machine
 * can: callers ask before they choose a runtime. A feature is listed when config.json may use it.
 */

struct switch_ {
    bool enabled;
};

struct features_cgroup {
    bool v1, v2, systemd, systemd_user, rdma;
};

struct features_seccomp {
    bool enabled;
    struct strings actions, operators, archs, known_flags, supported_flags;
};

struct features_intel_rdt {
    bool enabled, schemata, monitoring;
};

struct features_memory_policy {
    struct strings modes, flags;
};

struct features_linux {
    struct strings namespaces, capabilities;
    struct features_cgroup cgroup;
    struct features_seccomp seccomp;
    struct switch_ apparmor, selinux, net_devices, idmap;
    struct features_intel_rdt intel_rdt;
    struct features_memory_policy memory_policy;
};

struct features {
    char *version_min, *version_max;
    struct strings hooks, mount_options, unsafe_annotations;
    struct features_linux linux_;
    struct string_map annotations;
};

static const struct field switch_fields[] = {
    FIELD_OF(struct switch_, enabled, "enabled", FIELD_BOOL, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object switch_object = { switch_fields, sizeof(struct switch_), 0 };

static const struct field cgroup_fields[] = {
    FIELD_OF(struct features_cgroup, v1, "v1", FIELD_BOOL, FIELD_KEEP_EMPTY),
    FIELD_OF(struct features_cgroup, v2, "v2", FIELD_BOOL, FIELD_KEEP_EMPTY),
    FIELD_OF(struct features_cgroup, systemd, "systemd", FIELD_BOOL, FIELD_KEEP_EMPTY),
    FIELD_OF(struct features_cgroup, systemd_user, "systemdUser", FIELD_BOOL, FIELD_KEEP_EMPTY),
    FIELD_OF(struct features_cgroup, rdma, "rdma", FIELD_BOOL, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object cgroup_object = { cgroup_fields, sizeof(struct features_cgroup), 0 };

static const struct field seccomp_fields[] = {
    FIELD_OF(struct features_seccomp, enabled, "enabled", FIELD_BOOL, FIELD_KEEP_EMPTY),
    FIELD_OF(struct features_seccomp, actions, "actions", FIELD_STRINGS, 0),
    FIELD_OF(struct features_seccomp, operators, "operators", FIELD_STRINGS, 0),
    FIELD_OF(struct features_seccomp, archs, "archs", FIELD_STRINGS, 0),
    FIELD_OF(struct features_seccomp, known_flags, "knownFlags", FIELD_STRINGS, 0),
    FIELD_OF(struct features_seccomp, supported_flags, "supportedFlags", FIELD_STRINGS, 0),
    { 0 },
};
static const struct object seccomp_object = { seccomp_fields, sizeof(struct features_seccomp), 0 };

static const struct field memory_policy_fields[] = {
    FIELD_OF(struct features_memory_policy, modes, "modes", FIELD_STRINGS, 0),
    FIELD_OF(struct features_memory_policy, flags, "flags", FIELD_STRINGS, 0),
    { 0 },
};
static const struct object memory_policy_object = { memory_policy_fields,
                                                    sizeof(struct features_memory_policy), 0 };

/* mountExtensions has one member, idmap, which is a switch. */
static const struct field mount_extensions_fields[] = {
    { .name = "idmap",
      .type = FIELD_STRUCT,
      .flags = FIELD_KEEP_EMPTY,
      .has_offset = SIZE_MAX,
      .object = &switch_object },
    { 0 },
};
static const struct object mount_extensions_object = { mount_extensions_fields,
                                                       sizeof(struct switch_), 0 };

static const struct field intel_rdt_fields[] = {
    FIELD_OF(struct features_intel_rdt, enabled, "enabled", FIELD_BOOL, FIELD_KEEP_EMPTY),
    FIELD_OF(struct features_intel_rdt, schemata, "schemata", FIELD_BOOL, FIELD_KEEP_EMPTY),
    FIELD_OF(struct features_intel_rdt, monitoring, "monitoring", FIELD_BOOL, FIELD_KEEP_EMPTY),
    { 0 },
};
static const struct object intel_rdt_object = { intel_rdt_fields, sizeof(struct features_intel_rdt),
                                                0 };

static const struct field linux_fields[] = {
    FIELD_OF(struct features_linux, namespaces, "namespaces", FIELD_STRINGS, 0),
    FIELD_OF(struct features_linux, capabilities, "capabilities", FIELD_STRINGS, 0),
    FIELD_OBJECT(struct features_linux, cgroup, "cgroup", FIELD_STRUCT, &cgroup_object,
                 FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct features_linux, seccomp, "seccomp", FIELD_STRUCT, &seccomp_object,
                 FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct features_linux, apparmor, "apparmor", FIELD_STRUCT, &switch_object,
                 FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct features_linux, selinux, "selinux", FIELD_STRUCT, &switch_object,
                 FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct features_linux, intel_rdt, "intelRdt", FIELD_STRUCT, &intel_rdt_object,
                 FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct features_linux, idmap, "mountExtensions", FIELD_STRUCT,
                 &mount_extensions_object, FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct features_linux, net_devices, "netDevices", FIELD_STRUCT, &switch_object,
                 FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct features_linux, memory_policy, "memoryPolicy", FIELD_STRUCT,
                 &memory_policy_object, 0),
    { 0 },
};
static const struct object linux_object = { linux_fields, sizeof(struct features_linux), 0 };

static const struct field features_fields[] = {
    FIELD_OF(struct features, version_min, "ociVersionMin", FIELD_STRING, 0),
    FIELD_OF(struct features, version_max, "ociVersionMax", FIELD_STRING, 0),
    FIELD_OF(struct features, hooks, "hooks", FIELD_STRINGS, 0),
    FIELD_OF(struct features, mount_options, "mountOptions", FIELD_STRINGS, 0),
    FIELD_OBJECT(struct features, linux_, "linux", FIELD_STRUCT, &linux_object, FIELD_KEEP_EMPTY),
    FIELD_OF(struct features, annotations, "annotations", FIELD_MAP, 0),
    FIELD_OF(struct features, unsafe_annotations, "potentiallyUnsafeConfigAnnotations",
             FIELD_STRINGS, 0),
    { 0 },
};
static const struct object features_object = { features_fields, sizeof(struct features), 0 };

static const char *const hooks[] = {
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
};

/* Annotations that change more than the container, or open files of the host: an engine must not
 * let its users set them. */
static const char *const unsafe_annotations[] = {
    ANNOTATION_KEEP_GROUPS, ANNOTATION_PIDFD_RECEIVER,  ANNOTATION_SECCOMP_AGENT,
    ANNOTATION_SECCOMP_RAW, "org.criu.config",          "org.systemd.property.",
    "run.oci.hooks.",       "run.oci.systemd.subgroup",
};

static const char *const namespaces[] = {
    "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts",
};

/* As mount_options.c knows them; the test of this file compares. */
static const char *const mount_options[] = {
    "acl",
    "async",
    "atime",
    "bind",
    "copy-symlink",
    "defaults",
    "dest-nofollow",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noacl",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "src-nofollow",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
};

static void add_words(struct strings *list, const struct seccomp_word *words)
{
    for (; words->name != NULL; words++)
        strings_add(list, words->name);
}

static void add_list(struct strings *list, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        strings_add(list, words[i]);
}

char *runtime_seccomp_version(void)
{
    const struct scmp_version *library = seccomp_version();

    return xasprintf("%u.%u.%u", library->major, library->minor, library->micro);
}

char *runtime_features_json(const struct isolation *isolation)
{
    auto_free char *library_version = runtime_seccomp_version();
    struct features features = {
        .version_min = xstrdup("1.0.0"),
        .version_max = xstrdup("1.3.0"),
        .linux_ = {
            .cgroup = { .v1 = true,
                        .v2 = true,
                        .systemd = true,
                        .systemd_user = true,
                        .rdma = true },
            .seccomp = { .enabled = true },
            .apparmor = { true },
            .selinux = { true },
            .intel_rdt = { true, true, true },
            .net_devices = { true },
            .idmap = { true },
        },
    };
    char *json = NULL;

    add_list(&features.hooks, hooks, ARRAY_SIZE(hooks));
    add_list(&features.mount_options, mount_options, ARRAY_SIZE(mount_options));
    add_list(&features.linux_.namespaces, namespaces, ARRAY_SIZE(namespaces));
    for (int i = 0; i <= CAPABILITY_LAST; i++)
        strings_add(&features.linux_.capabilities, capability_name(i));
    add_words(&features.linux_.seccomp.actions, seccomp_actions);
    add_words(&features.linux_.seccomp.operators, seccomp_operators);
    add_words(&features.linux_.seccomp.archs, seccomp_architectures);
    add_words(&features.linux_.seccomp.known_flags, seccomp_flags);
    add_words(&features.linux_.seccomp.supported_flags, seccomp_flags);
    process_memory_policy_words(&features.linux_.memory_policy.modes,
                                &features.linux_.memory_policy.flags);
    add_list(&features.unsafe_annotations, unsafe_annotations, ARRAY_SIZE(unsafe_annotations));
    string_map_set(&features.annotations, "io.github.seccomp.libseccomp.version", library_version);
    /* In runc's words, as engines look for them. */
    string_map_set(&features.annotations, "org.opencontainers.runc.checkpoint.enabled", "true");
    if (isolation != NULL)
        string_map_set(&features.annotations, ANNOTATION_ISOLATION, isolation->name);
    json = encode_text(&features_object, &features, ENCODE_INDENTED);
    object_clear(&features_object, &features);
    return json;
}
