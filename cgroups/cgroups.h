#ifndef CGROUPS_CGROUPS_H
#define CGROUPS_CGROUPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/decode.h"
#include "base/error.h"
#include "base/text.h"

/* One interface over the layouts of /sys/fs/cgroup: v1, v2 and the hybrid of both. A cgroup is
 * named by one path, "/berth/<id>", which is the same in every hierarchy that is mounted. */

/* --- who makes cgroups --------------------------------------------------------------------- */

enum cgroup_manager {
    CGROUP_MANAGER_CGROUPFS, /* berth itself, by making directories */
    CGROUP_MANAGER_SYSTEMD,  /* systemd: a transient scope, asked for over D-Bus */
    CGROUP_MANAGER_DISABLED, /* nobody: processes stay in the cgroup they come from */
};
/** "cgroupfs", "systemd", "disabled". */
const char *cgroup_manager_name(enum cgroup_manager manager);
/** -EINVAL names the words that are known. */
int cgroup_manager_parse(const char *text, enum cgroup_manager *ret_manager, struct error *err);

/* --- what is mounted ---------------------------------------------------------------------- */

enum cgroup_layout {
    CGROUP_LAYOUT_NONE,   /* nothing usable: limits cannot be set */
    CGROUP_LAYOUT_V1,     /* v1 hierarchies only */
    CGROUP_LAYOUT_HYBRID, /* v1 controllers, and a v2 hierarchy beside them */
    CGROUP_LAYOUT_V2,     /* one v2 hierarchy at /sys/fs/cgroup */
};

/* What can be limited or counted, whatever the layout calls it. */
enum cgroup_controller {
    CGROUP_CPU,
    CGROUP_CPUACCT,
    CGROUP_CPUSET,
    CGROUP_MEMORY,
    CGROUP_DEVICES,
    CGROUP_FREEZER,
    CGROUP_BLOCK_IO,
    CGROUP_PIDS,
    CGROUP_HUGETLB,
    CGROUP_NET_CLASS,
    CGROUP_NET_PRIORITY,
    CGROUP_RDMA,
    CGROUP_MISC,
    CGROUP_UNIFIED, /* any file of the v2 hierarchy */
    CGROUP_CONTROLLER_COUNT,
};

/* One mounted hierarchy, decided by file system magic, never by "a folder exists". */
struct cgroup_hierarchy {
    char *mount_name;  /* below /sys/fs/cgroup: "memory", "cpu,cpuacct", "unified"; "" on v2 */
    char *controllers; /* "cpu,cpuacct"; "name=systemd"; "" for the v2 hierarchy */
    char *own_path;    /* cgroup of the calling process in it, from /proc/self/cgroup */
    bool is_v2;
    bool is_left_out; /* mounted, but not for this caller: fd is -1 */
    int fd;           /* O_PATH of its mount point; -1 when the hierarchy is not mounted */
};

struct cgroup_system;

/** Looks at what is mounted, once. @root_path: NULL for /sys/fs/cgroup; tests give their own tree.
 */
int cgroup_system_open(const char *root_path, struct cgroup_system **ret_system, struct error *err);
void cgroup_system_free(struct cgroup_system *system);
DEFINE_AUTO(cgroup_system)
enum cgroup_layout cgroup_system_layout(const struct cgroup_system *system);
const struct cgroup_hierarchy *cgroup_system_hierarchies(const struct cgroup_system *system,
                                                         size_t *ret_count);
const char *cgroup_layout_name(enum cgroup_layout layout); /* "v1", "hybrid", "v2", "none" */

/* --- limits, as in runtime-spec config-linux.md "Control groups" ---------------------------- */

struct cgroup_device_rule {
    bool allow;
    char *type; /* "a", "b", "c"; NULL: "a" */
    bool has_major, has_minor;
    int64_t major, minor; /* absent or -1: any */
    char *access;         /* of "rwm"; NULL: all */
};
struct cgroup_device_rules {
    struct cgroup_device_rule *items;
    size_t count;
};

struct cgroup_memory {
    bool has_limit, has_reservation, has_swap, has_kernel, has_kernel_tcp, has_swappiness;
    bool has_disable_oom_killer, has_use_hierarchy, has_check_before_update;
    int64_t limit; /* bytes; -1: unlimited */
    int64_t reservation;
    int64_t swap; /* memory + swap, bytes; -1: unlimited */
    int64_t kernel, kernel_tcp;
    uint64_t swappiness; /* 0..100 */
    bool disable_oom_killer, use_hierarchy, check_before_update;
};

struct cgroup_cpu {
    bool has_shares, has_quota, has_burst, has_period, has_realtime_runtime, has_realtime_period,
        has_idle;
    uint64_t shares;
    int64_t quota;          /* microseconds per period; -1: none */
    uint64_t burst, period; /* microseconds */
    int64_t realtime_runtime;
    uint64_t realtime_period;
    int64_t idle;
    char *cpus, *mems; /* lists: "0-2,7"; NULL: unchanged */
};

struct cgroup_pids {
    bool has_limit;
    int64_t limit;
}; /* -1: unlimited */

/* Weights of a cgroup that was given none: of BFQ (bfq-cgroup.c, BFQ_WEIGHT_LEGACY_DFL), of CFQ on
 * v1 before Linux 5.0 (CFQ_WEIGHT_LEGACY_DFL), of the cost model (CGROUP_WEIGHT_DFL). */
#define LIMITS_BFQ_WEIGHT  100
#define LIMITS_CFQ_WEIGHT  500
#define LIMITS_COST_WEIGHT 100

struct cgroup_weight_device {
    int64_t major, minor;
    bool has_weight, has_leaf_weight;
    uint16_t weight, leaf_weight;
    /* Of a change, where the weight is 0: it is taken back, and this one, the group's, counts for
     * the device again. 0: nothing is taken back. */
    uint16_t released_weight;
};
struct cgroup_throttle_device {
    int64_t major, minor;
    uint64_t rate;
};
struct cgroup_weight_devices {
    struct cgroup_weight_device *items;
    size_t count;
};
struct cgroup_throttle_devices {
    struct cgroup_throttle_device *items;
    size_t count;
};
struct cgroup_block_io {
    bool has_weight, has_leaf_weight;
    uint16_t weight, leaf_weight; /* 10..1000 */
    bool is_weight_released;      /* of a change, where it is 0: back to the kernel's default */
    struct cgroup_weight_devices weight_devices;
    struct cgroup_throttle_devices read_bps, write_bps, read_iops, write_iops;
};

struct cgroup_hugepage {
    char *page_size;
    uint64_t limit;
};
struct cgroup_hugepages {
    struct cgroup_hugepage *items;
    size_t count;
};
struct cgroup_priority {
    char *name;
    uint32_t priority;
};
struct cgroup_priorities {
    struct cgroup_priority *items;
    size_t count;
};
struct cgroup_network {
    bool has_class_id;
    uint32_t class_id;
    struct cgroup_priorities priorities;
};
struct cgroup_rdma {
    char *key;
    bool has_hca_handles, has_hca_objects;
    uint32_t hca_handles, hca_objects;
};
struct cgroup_rdmas {
    struct cgroup_rdma *items;
    size_t count;
};

struct cgroup_resources {
    struct cgroup_device_rules devices;
    struct cgroup_memory memory;
    struct cgroup_cpu cpu;
    struct cgroup_pids pids;
    struct cgroup_block_io block_io;
    struct cgroup_hugepages hugepage_limits;
    struct cgroup_network network;
    struct cgroup_rdmas rdma;
    struct string_map unified; /* files verbatim, of v2, or of v1 where the controller is there */
};

/** The JSON form of the specification (linux.resources); cgroups/resources_fields.c. */
extern const struct object cgroup_resources_object;

/**
 * Changes @into by what @from has. Device rules replace the earlier ones as a whole; throttles,
 * weights, huge pages, interfaces, RDMA devices and v2 files replace those of the same name.
 *
 * @from  what was taken over has left it afterwards; still to be cleared by the caller
 */
void cgroup_resources_merge(struct cgroup_resources *into, struct cgroup_resources *from);

/* --- decide: which files get which values; pure ---------------------------------------------- */

struct cgroup_write {
    enum cgroup_controller controller;
    char *file; /* "memory.limit_in_bytes" */
    char *value;
    bool is_optional;    /* the kernel may lack it: a missing file is skipped */
    bool is_alternative; /* to the write before it: one of both has to be taken, and both may be */
};
struct cgroup_writes {
    struct cgroup_write *items;
    size_t count;
};

/**
 * Computes the files to write for @resources, in the order they must be written into a new cgroup.
 *
 * On v1 a memory+swap limit goes after the memory limit; on v2 swap is (swap - limit), shares
 * become a weight (the kernel's 1..10000, with 1024 -> 100), a block I/O weight becomes that of the
 * scheduler BFQ (io.bfq.weight, 1..1000) and that of the cost model (io.weight, 1..10000), as far
 * as the kernel has them and, for one device, as it uses them. A limit, reservation, swap, shares,
 * quota, period, weight or class of zero means "unset", as in runc. A v2 file cpu.max holds quota
 * and period: a period alone removes the quota there. Devices are not part of it (device_filter).
 *
 * @v1_controllers  bit (1 << CGROUP_MEMORY) tells that memory is limited by v1 files; 0 on v2
 *
 * -EINVAL names the member: "memory.swap: 10 is smaller than the limit 20".
 * -EOPNOTSUPP names what the layout cannot do, and for a file of the other version what this one
 * has in its place.
 */
int cgroup_limits_plan(const struct cgroup_resources *resources, unsigned v1_controllers,
                       struct cgroup_writes *ret_writes, struct error *err);
void cgroup_writes_clear(struct cgroup_writes *writes);

/* --- act ------------------------------------------------------------------------------------ */

struct cgroup;

/** Checks and cleans a cgroup path: absolute or relative, no "..", components up to 255 bytes.
 * Caller frees. */
int cgroup_path_parse(const char *path, char **ret_path, struct error *err);

/**
 * Creates the cgroup in every mounted hierarchy (and on v2 enables controllers on the way down).
 * Parents are made as needed. A new v1 cpuset inherits cpus and mems from its parent.
 *
 * A cgroup that exists without processes is taken over as it is.
 *
 * The cgroups above it stay when it is deleted, as runc leaves them: others may have made them, or
 * rely on them from then on, and an empty one costs nothing. `berth cgroup rm` removes one.
 *
 * -EEXIST: it exists and has processes.  -EBUSY: it exists and is frozen.  -EROFS, -EACCES: no
 * rights here.  -EOPNOTSUPP: no hierarchy is mounted, or a cgroup above is a place of threads.
 */
int cgroup_create(struct cgroup_system *system, const char *path, struct cgroup **ret_cgroup,
                  struct error *err);
/**
 * Takes over a cgroup that someone else made and may have put processes into, and makes it where a
 * hierarchy lacks it: systemd makes its own in some hierarchies of v1 only.
 *
 * @gets_controllers  on v2, those of the cgroups above are passed on to it; false while these have
 *                    processes of their own: with some controllers it would then take none
 */
int cgroup_adopt(struct cgroup_system *system, const char *path, bool gets_controllers,
                 struct cgroup **ret_cgroup, struct error *err);

/** The path of the cgroup that systemd keeps process @pid (0: the caller) in: on v2 the only one,
 * else that in the hierarchy name=systemd. Caller frees. */
int cgroup_find_path(const struct cgroup_system *system, pid_t pid, char **ret_path,
                     struct error *err);

/** Opens an existing cgroup; -ENOENT when it exists in no hierarchy. @system must outlive it. */
int cgroup_open(struct cgroup_system *system, const char *path, struct cgroup **ret_cgroup,
                struct error *err);
void cgroup_free(struct cgroup *cgroup);
DEFINE_AUTO(cgroup)
const char *cgroup_path(const struct cgroup *cgroup);

/**
 * Sets limits and device rules. Safe while processes are in it; what is absent stays unchanged.
 *
 * Device rules apply in order, the last that fits decides; where none fits, the cgroups above do.
 * So a list that shall allow nothing else begins with { "allow": false }, as Docker's and Podman's.
 * A list replaces the earlier one on v2, and on v1 when it begins so.
 *
 * Where the kernel does not count swap, a swap limit is an error, unless it equals the memory limit
 * or is -1: then it is left out.
 *
 * -EOPNOTSUPP: a limit whose controller or file is not here, named in the error.
 */
int cgroup_apply(struct cgroup *cgroup, const struct cgroup_resources *resources,
                 struct error *err);

/**
 * As cgroup_apply() for a cgroup in use, all or nothing: what is refused leaves every file and the
 * device rules as they were.
 *
 * Not to be taken back is what the kernel did because of a limit that held for that moment: memory
 * it reclaimed or moved between nodes, and processes it killed for want of memory (v2).
 *
 * @old_devices  the device rules in force; NULL: unknown, so these stay as far as they were changed
 *
 * -EBUSY: memory.checkBeforeUpdate and more is in use.  -EOPNOTSUPP as cgroup_apply().
 */
int cgroup_update(struct cgroup *cgroup, const struct cgroup_resources *resources,
                  const struct cgroup_device_rules *old_devices, struct error *err);
/** What cgroup_apply() would refuse before it writes the first file. */
int cgroup_apply_check(struct cgroup *cgroup, const struct cgroup_resources *resources,
                       struct error *err);

/* --- for a caller who is not root of the machine (delegation.c) ---
 *
 * Device rules are no matter there: a device file can only be used as its own mode and the device
 * rules of the cgroups above say, and new ones cannot be made. */

/**
 * Leaves the hierarchies out in which the caller may not make the cgroup, use it where it is there,
 * or move a process into it. Later functions with this system do as if they were not mounted.
 *
 * @path        clean, as cgroup_path_parse() gives it
 * @must_exist  it has been made: hierarchies in which it is not there are left out, but not those
 *              into which the caller, coming from elsewhere, may move nobody
 *
 * Returns how many are left, 0 when none of use is.
 *
 * See: kernel, cgroup-v2.rst, "Delegation".
 */
size_t cgroup_system_keep_delegated(struct cgroup_system *system, const char *path,
                                    bool must_exist);
/** Path of a cgroup @name below the caller's own, or on v2 beside it, in as many hierarchies as
 * possible; NULL: in none. Caller frees. */
char *cgroup_system_find_delegated(const struct cgroup_system *system, const char *name);
/** Names of the members that limit something: "memory.limit"; pure. */
void cgroup_limits_list(const struct cgroup_resources *resources, struct strings *ret_names);
/**
 * As cgroup_apply(), controller by controller and without device rules.
 *
 * @ret_missed  members that this caller cannot have here are added; NULL: such a one is an error
 */
int cgroup_apply_delegated(struct cgroup *cgroup, const struct cgroup_resources *resources,
                           struct strings *ret_missed, struct error *err);

/* --- ownership.c: for a user whose processes shall make groups below ------------------------- */

/**
 * Names of the files of a v2 cgroup that may be given away; pure.
 *
 * @text  of /sys/kernel/cgroup/delegate, cgroups(7); NULL: this kernel has no such file
 */
void cgroup_list_delegable(const char *text, struct strings *ret_names);
/**
 * Makes a user the owner of the cgroup's directory and of those of its files that may be given
 * away. Does nothing but on pure v2.
 *
 * @uid  as the caller's user namespace counts
 *
 * -EPERM: the caller is not root of the machine.
 *
 * See: runtime-spec, config-linux.md, "Cgroup ownership".
 */
int cgroup_give(struct cgroup *cgroup, uint32_t uid, struct error *err);

/** Puts a process into the cgroup in every hierarchy. */
int cgroup_enter(struct cgroup *cgroup, pid_t pid, struct error *err);

/** A descriptor for clone3(2) CLONE_INTO_CGROUP, borrowed; -1 where the layout has none that
 * suffices (v1, hybrid). */
int cgroup_clone_fd(struct cgroup *cgroup);

/**
 * As cgroup_clone_fd(), and on a hybrid the v2 part: the child is then born into that part, and
 * calls cgroup_enter_child() for the rest. -1 where there is no v2 hierarchy.
 *
 * This and cgroup_enter_child() are the fast way: moving another process, or any process in the v2
 * hierarchy, waits for an RCU grace period (5 to 15 ms on an idle machine), these two do not.
 */
int cgroup_clone_part_fd(struct cgroup *cgroup);

/**
 * Says why a v2 cgroup took no process, where its rules are the reason: it passes controllers on,
 * or is a place of threads (cgroup-v2.rst, "No Internal Process Constraint", "Threads").
 *
 * @r    the code of clone3(2) into it, or of writing its cgroup.procs: -EBUSY, -EOPNOTSUPP
 * @err  keeps what it says of any other failure
 *
 * Returns @r.
 */
int cgroup_explain_refusal(const struct cgroup *cgroup, int r, struct error *err);

/**
 * Opens the v2 cgroup below @cgroup that process @pid is in, for CLONE_INTO_CGROUP where @cgroup
 * itself answers EBUSY: a container that gave controllers to groups of its own, as systemd does,
 * takes processes in these only (cgroup-v2.rst, "No Internal Process Constraint").
 *
 * -ENOENT: the process is not below @cgroup, or there is no v2 hierarchy.
 */
int cgroup_open_nested(const struct cgroup *cgroup, pid_t pid, int *ret_fd, struct error *err);

/**
 * Puts the calling process, which must have one thread only, into the cgroup. For a new child,
 * before it unshares its cgroup namespace or gives up root; allocates nothing.
 *
 * @is_cloned_into  it was made by clone3(2) with the descriptor of cgroup_clone_part_fd()
 */
int cgroup_enter_child(struct cgroup *cgroup, bool is_cloned_into, struct error *err);

/* --- sub_cgroup.c: other places for one further process ----------------------------------------
 */

struct cgroup_places;
void cgroup_places_free(struct cgroup_places *places);
DEFINE_AUTO(cgroup_places)

/**
 * Below @cgroup, as `exec --cgroup` says: one PATH for all hierarchies, or for some of v1
 * CONTROLLER[,CONTROLLER]:PATH, several times; the others keep the container's own. The groups must
 * exist when they are entered.
 *
 * -EINVAL: "x is not a sub cgroup path", "unknown controller x".
 */
int cgroup_places_plan(const struct cgroup *cgroup, const struct strings *arguments,
                       struct cgroup_places **ret_places, struct error *err);
/** Where process @pid is, in each hierarchy. */
int cgroup_places_of(struct cgroup_system *system, pid_t pid, struct cgroup_places **ret_places,
                     struct error *err);
/** For CLONE_INTO_CGROUP, borrowed; -1: there is no v2 hierarchy, or nothing at that place. */
int cgroup_places_clone_fd(struct cgroup_places *places);
/** As cgroup_explain_refusal(). */
int cgroup_places_explain_refusal(const struct cgroup_places *places, int r, struct error *err);
/** As cgroup_enter_child(). */
int cgroup_places_enter_child(const struct cgroup_places *places, bool is_cloned_into,
                              struct error *err);
/** Relative path in the hierarchy of that index; NULL: stays. For tests. */
const char *cgroup_places_path(const struct cgroup_places *places, size_t index);

int cgroup_freeze(struct cgroup *cgroup,
                  struct error *err); /* returns when frozen; thaws again on error */
int cgroup_thaw(struct cgroup *cgroup, struct error *err);
int cgroup_is_frozen(struct cgroup *cgroup, struct error *err); /* 1, 0 or negative */

/**
 * Signals every process in the cgroup and below: cgroup.kill for SIGKILL where there is v2; else
 * freeze, signal, thaw. A frozen cgroup stays frozen, except for SIGKILL. No cgroup is no process.
 *
 * -EDEADLK: the calling process is in it (also from cgroup_freeze() and cgroup_delete()).
 */
int cgroup_signal(struct cgroup *cgroup, int signal, struct error *err);

/** Pids in the cgroup and below. Caller frees *ret_pids. */
int cgroup_pids(struct cgroup *cgroup, pid_t **ret_pids, size_t *ret_count, struct error *err);

/** Kills what is left in it and removes it in every hierarchy with nested ones; already gone is
 * fine. -EBUSY after 5 s. */
int cgroup_delete(struct cgroup *cgroup, struct error *err);

/**
 * A descriptor that becomes readable when the cgroup runs out of memory (v1: an eventfd on
 * memory.oom_control; v2: an inotify watch on memory.events). It also becomes readable when the
 * cgroup is removed, so cgroup_oom_kills() has the last word. Non-blocking; the caller closes it.
 *
 * -EOPNOTSUPP: there is no memory controller.
 */
int cgroup_watch_oom(struct cgroup *cgroup, int *ret_fd, struct error *err);
/** How many processes the kernel killed in it for want of memory. */
int cgroup_oom_kills(struct cgroup *cgroup, uint64_t *ret_count, struct error *err);
/**
 * Whether memory ran out: 1; or 0: it did not, though the descriptor of cgroup_watch_oom() became
 * readable, for one as the cgroup is removed.
 *
 * @is_told  the descriptor was readable. On v2 it may be later than the end of what was killed: who
 *           sees that end first asks with false
 * @kills    the count of cgroup_oom_kills() when the watch began; kept between the calls
 */
int cgroup_oom_check(struct cgroup *cgroup, bool is_told, uint64_t *kills, struct error *err);

/* --- usage ----------------------------------------------------------------------------------- */

struct cgroup_io {
    uint64_t read_bytes, write_bytes, read_operations, write_operations;
};

/* What the cgroup and those below it used since they were made: times in nanoseconds, sizes in
 * bytes. A has_ flag is false, and what it is about 0, where this layout or kernel cannot tell. */
struct cgroup_usage {
    bool has_cpu, has_memory, has_pids, has_io, has_memory_peak, has_throttling;
    bool has_memory_kernel;  /* on v2 since Linux 5.18 */
    bool has_swap;           /* swap is counted */
    bool has_swap_peak;      /* v2, since Linux 6.5 */
    bool has_pids_peak;      /* newer kernels */
    bool has_past_oom_kills; /* v2: also those of cgroups below that are gone, which v1 forgets */
    uint64_t cpu_ns, cpu_user_ns, cpu_system_ns;
    uint64_t throttled_ns, throttled_periods, periods;
    uint64_t memory_bytes; /* current, with page cache */
    uint64_t memory_peak_bytes;
    uint64_t memory_limit_bytes; /* UINT64_MAX: none */
    uint64_t memory_file_bytes, memory_inactive_file_bytes, memory_anon_bytes;
    uint64_t memory_kernel_bytes;
    uint64_t memory_limit_hits; /* allocations that met the limit, so that memory was reclaimed */
    uint64_t oom_kills;         /* processes */
    uint64_t swap_bytes;        /* swap alone, without memory */
    uint64_t swap_peak_bytes;
    uint64_t swap_limit_bytes;            /* swap alone; UINT64_MAX: none */
    uint64_t pids, pids_peak, pids_limit; /* of the latter UINT64_MAX: none */
    struct cgroup_io io;
};
int cgroup_usage(struct cgroup *cgroup, struct cgroup_usage *ret_usage, struct error *err);

/* --- cgroup_tree.c: cgroups that hold others ---------------------------------------------------
 */

/* How the kernel shares out CPU time and block I/O to a cgroup. */
struct cgroup_shares {
    bool is_cpu_v2; /* cpu_weight is a weight of v2, by default 100; else shares, 1024 */
    bool has_cpu_weight, has_io_weight;
    uint64_t cpu_weight, io_weight; /* compared with those of the cgroups beside it */
    uint64_t quota_us, period_us;   /* of CPU time; quota UINT64_MAX: none */
};
void cgroup_shares_read(struct cgroup *cgroup, struct cgroup_shares *ret_shares);

/**
 * Removes a cgroup in every hierarchy; unlike cgroup_delete() it kills nothing. Not there is fine.
 *
 * -EBUSY: it has processes, or cgroups below it.
 */
int cgroup_remove(struct cgroup_system *system, const char *path, struct error *err);

/* --- usage in detail, as `berth-oci events` tells it --------------------------------------------
 */

struct cgroup_u64s {
    uint64_t *items;
    size_t count;
};
struct cgroup_number {
    char *name;
    uint64_t value;
};
struct cgroup_numbers {
    struct cgroup_number *items;
    size_t count;
};

/* Pressure stall information (kernel, accounting/psi.rst): percent of the time in which some, or
 * all, waited. */
struct cgroup_pressure_share {
    double avg10, avg60, avg300;
    uint64_t total_us;
};
struct cgroup_pressure {
    struct cgroup_pressure_share some, full;
};

struct cgroup_memory_counter {
    uint64_t limit_bytes; /* as the kernel says it; UINT64_MAX for "max" */
    uint64_t used_bytes, peak_bytes, failures;
};
struct cgroup_memory_events {
    uint64_t low, high, max, oom, oom_kill, oom_group_kill;
};

struct cgroup_io_entry {
    uint64_t major, minor;
    char *operation; /* "Read"; NULL: the number is about all */
    uint64_t value;
};
struct cgroup_io_entries {
    struct cgroup_io_entry *items;
    size_t count;
};

struct cgroup_io_device {
    uint32_t major, minor;
    struct cgroup_io io;
};
struct cgroup_io_devices {
    struct cgroup_io_device *items;
    size_t count;
};

struct cgroup_hugepage_usage {
    char *key; /* "2MB" */
    uint64_t used_bytes, peak_bytes, failures;
};
struct cgroup_hugepage_usages {
    struct cgroup_hugepage_usage *items;
    size_t count;
};

struct cgroup_cpuset {
    struct cgroup_u64s cpus, mems;
    uint64_t cpu_exclusive, mem_hardwall, mem_exclusive, memory_migrate, memory_spread_page,
        memory_spread_slab, memory_pressure, sched_load_balance;
    int64_t sched_relax_domain_level;
};

/* What this layout or kernel does not tell is zero, empty or NULL. */
struct cgroup_details {
    struct cgroup_usage usage;
    struct cgroup_u64s per_cpu_ns, per_cpu_system_ns, per_cpu_user_ns; /* v1 */
    struct cgroup_pressure *cpu_pressure, *memory_pressure, *io_pressure;
    struct cgroup_pressure *irq_pressure; /* interrupts; only "full", only some kernels */
    struct cgroup_cpuset cpuset;
    uint64_t pids_limit;  /* 0: none */
    uint64_t cache_bytes; /* page cache */
    struct cgroup_memory_counter memory, kernel, kernel_tcp;
    struct cgroup_memory_counter swap; /* memory and swap together */
    struct cgroup_numbers memory_stat; /* memory.stat; its JSON in memory_raw */
    char *memory_raw;
    struct cgroup_memory_events memory_events;
    struct cgroup_io_entries io_bytes, io_operations; /* by device */
    struct cgroup_io_devices io_devices;              /* what these two say, one item a device */
    struct cgroup_io_entries io_queued, io_service_time, io_wait_time, io_merged, io_time,
        io_sectors; /* v1, of the scheduler BFQ */
    struct cgroup_hugepage_usages hugepages;
    char *network; /* never there: null, as in runc */
};
/** In the form of runc's types/events.go, which callers parse; cgroups/usage_fields.c. */
extern const struct object cgroup_details_object;

/** Reads all of it; release with cgroup_details_clear(). */
int cgroup_details(struct cgroup *cgroup, struct cgroup_details *ret_details, struct error *err);
void cgroup_details_clear(struct cgroup_details *details);

#endif
