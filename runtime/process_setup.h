#ifndef RUNTIME_PROCESS_SETUP_H
#define RUNTIME_PROCESS_SETUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"
#include "runtime/spec.h"

/* What the last process before exec puts on itself, in init and in exec alike. Decided before clone
 * (the _plan functions resolve names to numbers and compile the filter), applied by the child. */

/* --- seccomp_profile.c, seccomp_filter.c ------------------------------------------------------ */

/* A compiled seccomp filter: struct sock_filter instructions. */
struct seccomp_filter {
    void *program; /* count instructions of 8 bytes */
    size_t count;
    unsigned flags;    /* SECCOMP_FILTER_FLAG_* */
    bool has_listener; /* an action is SCMP_ACT_NOTIFY */
};

/** Known words, and what cannot work; pure. "linux.seccomp.syscalls[3].action: unknown action" */
int seccomp_check(const struct spec_seccomp *profile, struct error *err);

/**
 * Compiles a profile with libseccomp, with ENOSYS for system calls newer than the newest that the
 * profile knows. Names that neither libseccomp nor berth knows are left out.
 *
 * Compiling costs milliseconds, so a compiled filter is kept under a hash of the profile together
 * with the whole profile text, which is compared before the filter is used again.
 *
 * @cache_fd  directory that only the caller can write, else it is not used; -1: no cache
 *
 * -EINVAL as seccomp_check().
 */
int seccomp_filter_plan(const struct spec_seccomp *profile, int cache_fd,
                        struct seccomp_filter **ret_filter, struct error *err);
/** NULL is fine. */
void seccomp_filter_free(struct seccomp_filter *filter);
DEFINE_AUTO(seccomp_filter)

/**
 * Loads it into the calling thread; needs no_new_privs or CAP_SYS_ADMIN.
 *
 * @ret_listener_fd  close-on-exec; -1 when the filter has no listener. May be NULL: then calls
 *                   that the profile notifies fail with ENOSYS
 */
int seccomp_filter_apply(const struct seccomp_filter *filter, int *ret_listener_fd,
                         struct error *err);

/** What the filter answers: an action with its data, SECCOMP_RET_*; pure. */
struct seccomp_data;
uint32_t seccomp_filter_answer(const struct seccomp_filter *filter,
                               const struct seccomp_data *data);

/* --- seccomp_listener.c: SCMP_ACT_NOTIFY ------------------------------------------------------ */

/** Whether a rule's action is SCMP_ACT_NOTIFY. */
bool seccomp_has_listener(const struct spec_seccomp *profile);
/**
 * Connects to the agent at listenerPath, before the process is started: then nothing is lost when
 * it is not there. Without a listener, or a profile (NULL), *ret_fd stays as it is.
 */
int seccomp_listener_connect(const struct spec_seccomp *profile, int *ret_fd, struct error *err);
/**
 * As seccomp_filter_apply(), and sends the listener as LISTENER to @peer_fd, without any system
 * call that the filter could stop.
 */
int seccomp_listener_load_child(const struct seccomp_filter *filter, int peer_fd,
                                struct error *err);
/** Waits for LISTENER and gives it to the agent, with the state of the process
 * (state_format_process()); @agent_fd is closed. */
int seccomp_listener_pass(int sync_fd, int agent_fd, const char *state_json, struct error *err);

/* --- capabilities.c --------------------------------------------------------------------------- */

struct capability_sets {
    uint64_t bounding, effective, inheritable, permitted, ambient; /* bit n: capability n */
};

#define CAPABILITY_LAST 40 /* CAP_CHECKPOINT_RESTORE, the newest one that has a name here */

/** "CAP_CHOWN" for 0; NULL beyond CAPABILITY_LAST. */
const char *capability_name(int number);
/** Number of a name; "CAP_" is optional, any case. -EINVAL names the nearest known one. */
int capability_parse(const char *name, struct error *err);

/**
 * Names to bits. A name that this kernel does not know is warned about and left out, and so is an
 * ambient one that is not both permitted and inheritable; without a warning where none is
 * inheritable, as `runc spec` writes it.
 *
 * -EINVAL: an effective one is not permitted.
 */
int capabilities_plan(const struct spec_capabilities *spec, struct capability_sets *ret_sets,
                      struct error *err);
/** Drops the bounding set; needs CAP_SETPCAP, so before the user changes. */
int capabilities_drop_bounding(const struct capability_sets *sets, struct error *err);
/**
 * Sets the other four sets by capset(2) and prctl(2), after the user changed with PR_SET_KEEPCAPS.
 *
 * -EPERM names the capabilities that the caller itself lacks.
 */
int capabilities_apply(const struct capability_sets *sets, struct error *err);

/* --- rlimits.c -------------------------------------------------------------------------------- */

/** Known names, none twice, soft not above hard: "process.rlimits[1].type: ..." */
int rlimits_check(const struct spec_rlimits *rlimits, struct error *err);
/* Descriptors that the steps up to exec never need more of. */
#define RLIMIT_NOFILE_ROOM 1024
/** setrlimit(2), in the order given. -EPERM tells both values and what right is missing. An
 * RLIMIT_NOFILE below RLIMIT_NOFILE_ROOM is left to rlimits_apply_low_nofile(). */
int rlimits_apply(const struct spec_rlimits *rlimits, struct error *err);
/** For the end: what suffices for the program may be too low for the steps before it. */
int rlimits_apply_low_nofile(const struct spec_rlimits *rlimits, struct error *err);

/* --- scheduling.c: each only when given, all of the calling thread ---------------------------- */

/** Known words and ranges of process.scheduler, process.ioPriority and process.execCPUAffinity. */
int process_scheduling_check(const struct spec_process *process, struct error *err);
/** Scheduler by sched_setattr(2), I/O priority by ioprio_set(2). @has_cpuset: its cgroup leaves out
 * CPUs, which the error tells where it is the cause. */
int process_scheduling_apply(const struct spec_process *process, bool has_cpuset,
                             struct error *err);

#define CPU_MASK_BITS 8192 /* the largest CONFIG_NR_CPUS; more than a cpu_set_t has */
struct cpu_mask {
    unsigned long bits[CPU_MASK_BITS / (8 * sizeof(unsigned long))];
};
/** The mask of the calling thread, to be put back with process_affinity_restore(). */
int process_affinity_save(struct cpu_mask *ret_mask, struct error *err);
void process_affinity_restore(const struct cpu_mask *mask);
/** Ties the calling thread to the CPUs of a list, "0-3,7"; none given: does nothing. @member names
 * it in errors. */
int process_affinity_apply(const char *list, const char *member, struct error *err);
/** Lets the calling thread run on every CPU that its cpuset allows; after it entered its cgroup. */
void process_affinity_reset(void);

/** Known words of linux.personality; no flag is known. */
int process_personality_check(const struct spec_personality *personality, struct error *err);
/** personality(2); before the seccomp filter, which may deny it. NULL does nothing. */
int process_personality_apply(const struct spec_personality *personality, struct error *err);

/** Known words and nodes of linux.memoryPolicy. */
int process_memory_policy_check(const struct spec_memory_policy *policy, struct error *err);
/** Adds all words that are known of its mode and its flags. */
void process_memory_policy_words(struct strings *modes, struct strings *flags);
/** set_mempolicy(2). NULL does nothing. */
int process_memory_policy_apply(const struct spec_memory_policy *policy, struct error *err);

#endif
