#ifndef CGROUPS_LIMITS_H
#define CGROUPS_LIMITS_H

#include "cgroups/cgroups.h"

/* cgroup_limits_plan() in the making. */
struct limits_plan {
    const struct cgroup_resources *resources;
    unsigned v1_controllers;
    struct cgroup_writes writes;
};

bool limits_is_v1(const struct limits_plan *plan, enum cgroup_controller controller);
/** Adds a write, with the value as @format says. The result is for setting flags, until the next
 * call. */
struct cgroup_write *limits_add(struct limits_plan *plan, enum cgroup_controller controller,
                                const char *file, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/** Plans block I/O; hugepages, network, RDMA; and verbatim v2 files. */
int limits_plan_block_io(struct limits_plan *plan, struct error *err);
int limits_plan_hugepages(struct limits_plan *plan, struct error *err);
int limits_plan_network(struct limits_plan *plan, struct error *err);
int limits_plan_rdma(struct limits_plan *plan, struct error *err);
int limits_plan_unified(struct limits_plan *plan, struct error *err);

/** The v2 weight (1 to 10000) for v1 CPU shares by the kernel's own conversion: 1024 -> 100, 512 ->
 * 50. */
unsigned limits_cpu_weight(uint64_t shares);
/** The v2 weight for a block I/O weight of 10 to 1000; linear, as in runc. */
unsigned limits_io_weight(unsigned weight);

/** Makes a sentence of the failure of one write, @r being the code. */
int limits_explain(const struct cgroup *cgroup, const struct cgroup_write *write, int r,
                   struct error *err);
/** The same when neither of two weights was taken: @write, of a code @r, nor the one before it. */
int limits_explain_weight(const struct cgroup *cgroup, const struct cgroup_write *write, int r,
                          struct error *err);
/**
 * Says what is wrong with a value of misc.max (pure).
 *
 * @capacity  text of misc.capacity; NULL: not in sight
 */
char *limits_explain_misc(const char *value, const char *capacity);

/** Plans what to write, and refuses what memory.checkBeforeUpdate forbids: a limit below what is in
 * use. */
int limits_prepare(const struct cgroup *cgroup, const struct cgroup_resources *resources,
                   struct cgroup_writes *ret_writes, struct error *err);
/** Writes a plan, in the order that the kernel takes. */
int limits_write(const struct cgroup *cgroup, const struct cgroup_writes *writes,
                 struct error *err);

/**
 * What to write into a file to take a write back (pure).
 *
 * @value  what is to be written
 * @text   what the file says before, without its last newline
 *
 * Returns a text that the caller frees, or NULL: this file does not tell its value.
 */
char *limits_undo_value(const char *file, const char *value, const char *text);

#endif
