#ifndef RUNTIME_SPEC_H
#define RUNTIME_SPEC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/decode.h"
#include "base/text.h"
#include "cgroups/cgroups.h"

/* The typed form of config.json (runtime-spec 1.3, config.md and config-linux.md). Names are the
 * specification's, in snake case. Strings are owned; NULL or count 0: absent. spec_fields.c holds
 * the tables, spec_check.c what tables cannot say. */

struct spec_user {
    uint32_t uid, gid;
    bool has_umask;
    uint32_t umask;
    struct u32_list additional_gids;
    char *username; /* Windows only in the specification; ignored */
};

struct spec_capabilities {
    struct strings bounding, effective, inheritable, permitted, ambient;
};
struct spec_rlimit {
    char *type; /* "RLIMIT_NOFILE" */
    uint64_t soft, hard;
};
struct spec_rlimits {
    struct spec_rlimit *items;
    size_t count;
};
struct spec_box {
    uint32_t height, width;
};
struct spec_scheduler {
    char *policy;
    int32_t nice, priority;
    struct strings flags;
    uint64_t runtime, deadline, period;
};
struct spec_io_priority {
    char *class_;
    int32_t priority;
};
struct spec_cpu_affinity {
    char *initial, *final;
};

struct spec_process {
    bool terminal;
    struct spec_box *console_size;
    struct spec_user user;
    struct strings args;
    struct strings env;
    char *cwd;
    struct spec_capabilities *capabilities; /* NULL: not given */
    struct spec_rlimits rlimits;
    bool no_new_privileges;
    bool has_oom_score_adj;
    int32_t oom_score_adj;
    char *apparmor_profile, *selinux_label;
    struct spec_scheduler *scheduler;
    struct spec_io_priority *io_priority;
    struct spec_cpu_affinity *exec_cpu_affinity;
};

struct spec_root {
    char *path;
    bool readonly;
};

struct spec_id_mapping {
    uint32_t container_id, host_id, size;
};
struct spec_id_mappings {
    struct spec_id_mapping *items;
    size_t count;
};

/* A mount whose destination is "/" and whose type is "overlay" is berth's own root: the init
 * performs it on root.path as the first mount, in the container's mount namespace. */
struct spec_mount {
    char *destination, *type, *source;
    struct strings options;
    struct spec_id_mappings uid_mappings, gid_mappings;
};
struct spec_mounts {
    struct spec_mount *items;
    size_t count;
};

struct spec_hook {
    char *path;
    struct strings args, env;
    bool has_env; /* without, it is not the same as an empty one */
    bool has_timeout;
    int32_t timeout;
};
struct spec_hook_list {
    struct spec_hook *items;
    size_t count;
};
struct spec_hooks {
    struct spec_hook_list prestart, create_runtime, create_container, start_container, poststart,
        poststop;
};

struct spec_namespace {
    char *type, *path;
}; /* "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time" */
struct spec_namespaces {
    struct spec_namespace *items;
    size_t count;
};

struct spec_device {
    char *type, *path; /* "c", "b", "u", "p" */
    int64_t major, minor;
    bool has_file_mode, has_uid, has_gid;
    uint32_t file_mode, uid, gid;
};
struct spec_devices {
    struct spec_device *items;
    size_t count;
};

struct spec_seccomp_arg {
    uint32_t index;
    uint64_t value, value_two;
    char *op;
};
struct spec_seccomp_args {
    struct spec_seccomp_arg *items;
    size_t count;
};
struct spec_syscall {
    struct strings names;
    char *action; /* "SCMP_ACT_ALLOW" ... */
    bool has_errno_ret;
    uint32_t errno_ret;
    struct spec_seccomp_args args;
};
struct spec_syscalls {
    struct spec_syscall *items;
    size_t count;
};
struct spec_seccomp {
    char *default_action;
    bool has_default_errno_ret;
    uint32_t default_errno_ret;
    struct strings architectures; /* "SCMP_ARCH_X86_64" ... */
    struct strings flags;         /* "SECCOMP_FILTER_FLAG_LOG" ... */
    char *listener_path, *listener_metadata;
    struct spec_syscalls syscalls;
    /* From annotations (spec_annotations_apply), not from the profile: */
    const char *raw_filter; /* a program in base64 that stands for all rules, borrowed from the
                               annotations; NULL: none */
    bool refuses_unknown_names;
};

struct spec_intel_rdt {
    char *clos_id, *l3_cache_schema, *mem_bw_schema;
    struct strings schemata;
    bool enable_monitoring;
    bool enable_cmt, enable_mbm; /* of versions before 1.3: the same */
};
struct spec_personality {
    char *domain;
    struct strings flags;
};
struct spec_time_offset {
    char *key;
    int64_t secs;
    uint32_t nanosecs;
};
struct spec_time_offsets {
    struct spec_time_offset *items;
    size_t count;
};
struct spec_net_device {
    char *key;
    char *name;
};
struct spec_net_devices {
    struct spec_net_device *items;
    size_t count;
};
struct spec_memory_policy {
    char *mode, *nodes;
    struct strings flags;
};

struct spec_linux {
    struct spec_id_mappings uid_mappings, gid_mappings;
    struct string_map sysctl;
    struct cgroup_resources *resources; /* NULL: none */
    char *cgroups_path;
    struct spec_namespaces namespaces;
    struct spec_devices devices;
    struct spec_seccomp *seccomp; /* NULL: no filter */
    char *rootfs_propagation;
    struct strings masked_paths, readonly_paths;
    char *mount_label;
    struct spec_intel_rdt *intel_rdt;
    struct spec_personality *personality;
    struct spec_time_offsets time_offsets;
    struct spec_net_devices net_devices;
    struct spec_memory_policy *memory_policy;
};

/* config-vm.md: what a virtual machine around the container is made of. */
struct spec_vm_hypervisor {
    char *path;
    struct strings parameters;
};
struct spec_vm_kernel {
    char *path;
    struct strings parameters;
    char *initrd;
};
struct spec_vm_image {
    char *path, *format;
};
struct spec_vm_hardware {
    bool has_vcpus, has_memory;
    uint32_t vcpus;
    uint64_t memory; /* bytes */
};
struct spec_vm {
    struct spec_vm_hypervisor *hypervisor;
    struct spec_vm_kernel *kernel;
    struct spec_vm_image *image;
    struct spec_vm_hardware hardware;
};

struct spec {
    char *oci_version;
    struct spec_process *process; /* NULL: allowed until start (config.md) */
    struct spec_root *root;
    char *hostname, *domainname;
    struct spec_mounts mounts;
    struct spec_hooks hooks;
    struct string_map annotations;
    struct spec_linux linux_;
    struct spec_vm *vm; /* NULL: not given */
};

extern const struct object spec_object;         /* the document */
extern const struct object spec_process_object; /* for `exec --process` */
extern const struct object spec_vm_object;
extern const struct object spec_seccomp_object; /* a profile that is given as a file */
extern const struct object spec_mount_object;
extern const struct object spec_mounts_object; /* of struct spec, mounts only */

#define SPEC_BYTES_MAX (8u << 20)

/**
 * Decodes and checks config.json: tables, then annotations, then spec_check().
 *
 * Errors are one sentence that names the member: "mounts[3].destination: must be absolute".
 */
int spec_decode(const char *json, size_t length, struct spec **ret_spec, struct error *err);
/** Reads @name below @dir_fd, at most SPEC_BYTES_MAX, and decodes it. */
int spec_read(int dir_fd, const char *name, struct spec **ret_spec, struct error *err);
/** As spec_read(), and gives the text; the caller frees it. */
int spec_read_text(int dir_fd, const char *name, struct spec **ret_spec, char **ret_json,
                   struct error *err);
/**
 * Reads a list of mounts, alone or as the member "mounts" of an object, into a spec that has
 * nothing else.
 *
 * @path  relative to the caller's directory
 */
int spec_read_mounts(const char *path, struct spec **ret_spec, struct error *err);
struct spec *spec_copy(const struct spec *spec); /* caller frees */
/** JSON text of a spec: compact for programs, which read it three times as fast. Caller frees. */
char *spec_encode(const struct spec *spec, enum encode_style style);
/** Frees a spec and all it holds; NULL is fine. */
void spec_free(struct spec *spec);
DEFINE_AUTO(spec)

/**
 * Checks what field tables cannot say: absolute paths, known words, ranges, no namespace twice, no
 * mappings without a user namespace. Pure. Mount options, propagation and sysctls are checked by
 * rootfs_plan(); what is valid but not supported is refused by container_create().
 *
 * -EINVAL names the member.
 */
int spec_check(const struct spec *spec, struct error *err);
/** The part of spec_check() that concerns mounts. */
int spec_mounts_check(const struct spec_mounts *mounts, struct error *err);
/**
 * Puts annotations of crun's that mean the same as members, or change them, into these members;
 * refuses those that are known but not done here. Unknown ones are accepted. A spec that was
 * decoded, changed so and encoded again comes out the same.
 *
 * -EINVAL names the annotation.
 */
int spec_annotations_apply(struct spec *spec, struct error *err);
/** The part of spec_check() that `exec --process` needs; members are named "process.cwd". */
int spec_process_check(const struct spec_process *process, struct error *err);
/** Frees a process and all it holds; NULL is fine. */
void spec_process_free(struct spec_process *process);
DEFINE_AUTO(spec_process)
/** Frees a vm section and all it holds; NULL is fine. */
void spec_vm_free(struct spec_vm *vm);

/* Helpers to build a spec: they append a copy, and return the new item to fill, which stays valid
 * until the next one is appended. Any text may be NULL: absent. */

/** @options  ends with NULL; NULL: none */
struct spec_mount *spec_add_mount(struct spec *spec, const char *destination, const char *type,
                                  const char *source, const char *const *options);
/** Index in spec->mounts of the mount at exactly @destination, or -1. */
ssize_t spec_find_mount(const struct spec *spec, const char *destination);
/** Removes the mount at @index, which must exist. */
void spec_remove_mount(struct spec *spec, size_t index);
/** @path  of a namespace to join; NULL: a new one */
struct spec_namespace *spec_add_namespace(struct spec *spec, const char *type, const char *path);
/** The namespace of that type, borrowed; NULL when the container has the host's. */
const struct spec_namespace *spec_find_namespace(const struct spec *spec, const char *type);
/** The container gets the host's namespace of that type; without one it has it already. */
void spec_remove_namespace(struct spec *spec, const char *type);
/** A device node to make: linux.devices. */
struct spec_device *spec_add_device(struct spec *spec, const char *type, const char *path,
                                    int64_t major, int64_t minor);
/** A rule of linux.resources.devices; @major and @minor -1: any. */
struct cgroup_device_rule *spec_add_device_rule(struct spec *spec, bool allow, const char *type,
                                                int64_t major, int64_t minor, const char *access);
/** A limit of spec->process, which must exist. */
struct spec_rlimit *spec_add_rlimit(struct spec *spec, const char *type, uint64_t soft,
                                    uint64_t hard);

/* --- defaults --------------------------------------------------------------------------------- */

/**
 * What `runc spec` writes: a shell with a terminal, three capabilities, ten masked paths.
 *
 * @is_rootless   as `runc spec --rootless`: a user namespace with the caller's own ids
 * @is_cgroup_v2  as on a machine with nothing but cgroup v2: a cgroup namespace
 */
struct spec *spec_default(bool is_rootless, bool is_cgroup_v2);

/**
 * Docker's defaults for one container: mounts, masked and read-only paths, namespaces, device
 * rules, capabilities; no process arguments and no limits yet.
 */
struct spec *spec_default_docker(void);

/** The 14 names of Docker's default capability set, "CAP_CHOWN"...; ends with NULL. */
extern const char *const spec_default_capabilities[];
/**
 * Every capability that this kernel knows and the caller's bounding set holds, "CAP_...", added to
 * @ret_names; for --privileged and --cap-add ALL. Others could be granted to nobody.
 */
void spec_all_capabilities(struct strings *ret_names);

/**
 * A default seccomp profile equal in effect to Docker's of June 2026, for a container with these
 * capabilities.
 *
 * @capabilities  effective names; decides about mount, clone, ptrace...
 */
struct spec_seccomp *spec_default_seccomp(const struct strings *capabilities);

#endif
