#ifndef ENGINE_BUNDLE_H
#define ENGINE_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/text.h"
#include "engine/engine.h"
#include "engine/record.h"
#include "image/image.h"
#include "runtime/spec.h"
#include "unionfs/unionfs.h"

/* From settings and an image to a spec. bundle_plan() and its parts compute; what they need to know
 * of the machine was collected before (host_facts.h) and is in struct host_facts. */

struct host_device {
    char *path; /* on the host */
    char type;  /* 'c', 'b' */
    int64_t major, minor;
    uint32_t mode, uid, gid;
};
struct host_devices {
    struct host_device *items;
    size_t count;
};

#define HOST_RLIMITS 16

/* What the plan needs to know of this machine; only what the settings ask for is filled in. */
struct host_facts {
    char *hostname;
    char *init_path; /* berth-init, with --init */
    struct host_devices
        devices;         /* of --device and --device-read-bps..., or all with --privileged */
    bool binds_devices;  /* of the host: an ordinary user can make none */
    int least_oom_score; /* that a program gets for which none was asked */
    bool has_swap_limit;
    bool may_raise_rlimits;              /* CAP_SYS_RESOURCE */
    uint64_t hard_rlimits[HOST_RLIMITS]; /* by RLIMIT_ number, of the calling process */
    char *seccomp_profile; /* text of the file that --security-opt seccomp=FILE names */
};

/* Everything that bundle_plan() looks at; borrowed. */
struct bundle_input {
    const struct record *record; /* settings, args, env, user... merged */
    const struct snapshot *snapshot;
    const struct host_facts *facts;
    const char *container_path; /* DATA/containers/<id> */
    const struct spec_user *user;
    const char *home;       /* of that user */
    const char *erofs_path; /* of a microVM: its root; NULL: none */
    const char *disk_path;  /* what it writes to; NULL: its memory */
};

/**
 * Computes the spec.
 *
 * @ret_warnings  sentences for the user are added
 *
 * -EINVAL names the setting as the option is called: "--cap-add 'x': unknown capability".
 */
int bundle_plan(const struct bundle_input *input, struct spec **ret_spec,
                struct strings *ret_warnings, struct error *err);

/**
 * Merges settings and image into @record: args, env, user, working directory, labels, hostname,
 * stop signal, and the image's volumes as anonymous ones into its settings. @record->settings is a
 * copy of what the user gave, with `id` and `name` set.
 */
int bundle_merge(struct record *record, const struct image_config *image, const char *host_hostname,
                 struct error *err);

/** Whether a user may set the annotations: all but those that the engine sets itself. */
int bundle_check_annotations(const struct settings *settings, struct error *err);

/* --- bundle_vm.c ------------------------------------------------------------------------------ */

/** Whether the container is a microVM. */
bool bundle_is_vm(const struct settings *settings);
/** Whether the settings of a microVM fit together, by the names of options. */
int bundle_check_isolation(const struct settings *settings, struct error *err);
/** The annotations that ask for it. */
void bundle_plan_vm(const struct settings *settings, struct spec *spec);
/** The first mount: the image at "/". */
void bundle_add_vm_root(const struct bundle_input *input, struct spec *spec);

#define BUNDLE_USER_RANGE 65536u

/** Whether --userns asks for a user namespace of its own. */
bool bundle_has_user_namespace(const struct settings *settings);
/** The host's id that root of such a container is, the first of BUNDLE_USER_RANGE. */
uint32_t bundle_user_base(const struct record *record);

/** Docker's rules for added and dropped capabilities (TweakCapabilities). */
int bundle_plan_capabilities(const struct settings *settings, struct strings *ret_names,
                             struct error *err);
/** memory, cpu, pids, blkio and verbatim files of v2. */
int bundle_plan_resources(const struct settings *settings, const struct host_facts *facts,
                          struct cgroup_resources *resources, struct strings *ret_warnings,
                          struct error *err);
/** The same into the spec's resources, and --ulimit. */
int bundle_plan_limits(const struct settings *settings, const struct host_facts *facts,
                       struct spec *spec, struct strings *ret_warnings, struct error *err);
/** Capabilities, seccomp, masks, no_new_privs, labels. */
int bundle_plan_security(const struct bundle_input *input, struct spec *spec, struct error *err);
/** Root, volumes, tmpfs, files of the container's directory, /dev/shm, devices. */
int bundle_plan_mounts(const struct bundle_input *input, struct spec *spec, struct error *err);

/* Security options as typed, understood. */
struct security_options {
    bool has_no_new_privileges, no_new_privileges;
    const char *seccomp;   /* NULL: built in; "unconfined"; else a path. Borrowed */
    const char *apparmor;  /* NULL: none given. Borrowed */
    bool has_unmasked_all; /* systempaths=unconfined, unmask=ALL */
    struct strings masks, unmasks;
};
int security_options_parse(const struct strings *typed, struct security_options *ret_options,
                           struct error *err);
void security_options_clear(struct security_options *options);

/* How a namespace is asked for: "private" (or NULL, ""), "host", "container:ID". */
enum namespace_mode { NAMESPACE_PRIVATE, NAMESPACE_HOST, NAMESPACE_CONTAINER };
int namespace_mode_parse(const char *option, const char *text, enum namespace_mode *ret_mode,
                         const char **ret_container, struct error *err);
bool network_is_host(const struct settings *settings);
bool network_is_joined(const struct settings *settings); /* another container's */

/** A docker seccomp profile (with includes, excludes and archMap) or an OCI one, as spec;
 * bundle_fields.c. */
int seccomp_profile_decode(const char *json, size_t length, const struct strings *capabilities,
                           struct spec_seccomp **ret_seccomp, struct error *err);

/** /etc/hosts for a container. @host_text: the file of whose network it has, the host or another
 * container; NULL: it has one of its own. Caller frees. */
int bundle_plan_hosts(const struct record *record, const char *host_text, char **ret_text,
                      struct error *err);

#endif
