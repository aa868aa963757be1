#ifndef MICROVM_SPLIT_H
#define MICROVM_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "microvm/vm_config.h"
#include "runtime/isolation.h"
#include "runtime/spec.h"

/* One spec into two: what the host applies to the jail around the virtual machine, and what the
 * agent applies inside of it. Pure: what has to be known of the machine is in struct vm_host.
 *
 * Every member of the specification is in the jail's half, in the guest's half, or refused by name;
 * test_split.c walks them all. */

#define VM_ANNOTATION_MEMORY  "run.berth.vm.memory"  /* "512m" */
#define VM_ANNOTATION_CPUS    "run.berth.vm.cpus"    /* "2" */
#define VM_ANNOTATION_KERNEL  "run.berth.vm.kernel"  /* name of an imported one */
#define VM_ANNOTATION_CONSOLE "run.berth.vm.console" /* "none", "log" */
#define VM_ANNOTATION_WARM    "run.berth.vm.warm"    /* "true", "false" */

/* Said in the state: what runs it ("kvm", "qemu"), and why no better one does. There the ones above
 * say what the machine has, whether or not it was asked for. */
#define VM_ANNOTATION_BACKEND "run.berth.vm.backend"
#define VM_ANNOTATION_REASON  "run.berth.vm.reason"

#define VM_MEMORY_MIN     (128ull << 20) /* a stock kernel does not start with less */
#define VM_MEMORY_DEFAULT (512ull << 20) /* when nothing limits the container's memory */
#define VM_MEMORY_GUEST   (96ull << 20)  /* what the guest's kernel and agent take of it */
#define VM_MEMORY_UNIT    (2ull << 20)   /* of huge pages */

/* What the machine takes beyond the guest's memory: the cgroup's limit is the sum. */
#define VM_OVERHEAD_KVM      (32ull << 20)
#define VM_OVERHEAD_EMULATED (256ull << 20)
#define VM_OVERHEAD_SHARE    (16ull << 20) /* for each directory that is shared */

#define VM_CPUS_MAX   64u
#define VM_SHARES_MAX 8u /* as the machine takes them */

/* What a user asks for, by annotations; NULL, 0: not given. */
struct vm_options {
    uint64_t memory_bytes;
    uint32_t cpus;
    const char *kernel, *console; /* borrowed from the spec */
    bool is_warm;
};
/** -EINVAL names the annotation. */
int vm_options_parse(const struct spec *spec, struct vm_options *ret_options, struct error *err);

enum vm_source_kind { VM_SOURCE_MISSING, VM_SOURCE_DIRECTORY, VM_SOURCE_FILE, VM_SOURCE_OTHER };

/* The source of a bind, as it was found. */
struct vm_source {
    enum vm_source_kind kind;
    char *path;    /* absolute; owned */
    char *content; /* of a file that the guest gets a copy of; NULL: it is shared. Owned */
    uint32_t mode;
};

/* What is to be known of this machine and of the container's place on it. */
struct vm_host {
    const char *backend;                   /* "kvm", "qemu" */
    const char *reason;                    /* why not "kvm"; NULL: it is */
    const char *vmm, *file_server, *agent; /* programs, on this machine */
    const char *kernel, *modules;          /* files */
    const char *kernel_name;               /* as it was imported; NULL: it was not */
    const char *run_path;                  /* RUN/<id>/vm, as it will be */
    const char *bundle_path;
    const struct strings *emulator_folders; /* what an emulator is loaded from: "/usr", "/lib" */
    bool has_tap_device;                    /* /dev/net/tun */
    bool is_rootless;                       /* an ordinary user's: a user namespace is his jail's */
    const struct vm_source *sources;        /* one for each of the spec's mounts */
    uint64_t tsc_khz;                       /* 0: unknown */
    const char *saved_path;                 /* what it goes on from; NULL: it boots */
};

/** Whether the guest gets a copy of what is bound to @destination, if it is a small file. */
bool vm_is_copied(const char *destination);

/** Whether a mount is a bind; of any spelling. */
bool vm_is_bind(const struct spec_mount *mount);

/**
 * Splits a spec.
 *
 * @ret_jail    the spec of the jail; caller frees
 * @ret_config  text of the jail's /vm/config.json (vm_config.h); caller frees
 * @ret_notes   sentences about what is left out, for the user
 *
 * -EINVAL, -EOPNOTSUPP: the member and why it cannot be.
 */
int vm_split(const struct spec *spec, const struct vm_host *host, struct spec **ret_jail,
             char **ret_config, struct strings *ret_notes, struct error *err);

/** The process in the jail that stands for one of an exec in the guest. Caller frees. */
struct spec_process *vm_split_exec(const struct spec_process *process);

/**
 * Splits a change of limits while the guest runs. The guest can have as much memory as it was
 * started with, or less: it then gives some back.
 *
 * @first  the guest's limits as it was started
 * @jail   those of its cgroup now
 *
 * -EOPNOTSUPP, -EINVAL: the member and why it cannot be changed.
 */
int vm_update_plan(const struct vm_config *config, const struct cgroup_resources *first,
                   const struct cgroup_resources *jail, const struct cgroup_resources *given,
                   struct isolation_update *ret_update, struct error *err);

/** Bytes of the guest's memory; pure. */
uint64_t vm_memory_plan(const struct vm_options *options, const struct cgroup_resources *resources);
/** Limit of the cgroup around a guest with so much memory. */
uint64_t vm_memory_limit(uint64_t memory_bytes, const char *backend, size_t share_count);
uint32_t vm_cpus_plan(const struct vm_options *options, const struct cgroup_resources *resources);

#endif
