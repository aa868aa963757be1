#ifndef CGROUPS_DEVICE_FILTER_H
#define CGROUPS_DEVICE_FILTER_H

#include <linux/bpf.h>

#include "cgroups/cgroups.h"

/* Which devices a cgroup may open or make nodes of. Rules apply in order, the last one that fits
 * decides, for each of reading, writing and mknod by itself. Where no rule fits, the groups above
 * decide: a list that shall allow nothing else begins with { "allow": false }. */

/* One write into devices.allow or devices.deny (v1). */
struct device_write {
    bool is_allow;
    char value[40]; /* "c 10:200 rwm" */
};
struct device_writes {
    struct device_write *items;
    size_t count;
};
void device_writes_clear(struct device_writes *writes);

/**
 * Computes the shortest list of writes for a v1 devices cgroup.
 *
 * -EINVAL: a rule is malformed, or takes a part out of an earlier one with a wildcard, which the
 * lists of v1 cannot express.
 *
 * See: kernel, admin-guide/cgroup-v1/devices.rst.
 */
int device_filter_plan_v1(const struct cgroup_device_rules *rules, struct device_writes *ret_writes,
                          struct error *err);

/**
 * Computes the writes that replace the list of a v1 devices cgroup in use.
 *
 * Where it denies by default and is to go on so, what is new is allowed first and the rest is
 * denied one by one, so that what stays allowed is so at every moment; that also works with cgroups
 * below it. A default can only be changed by the write that forgets all exceptions: for the moment
 * until they are written again, everything is denied, or everything allowed. What it denies out of
 * a default of allowing is not told by the kernel, so such a list begins anew as well.
 *
 * @list  text of devices.list
 *
 * Results as device_filter_plan_v1().
 */
int device_filter_plan_v1_change(const struct cgroup_device_rules *rules, const char *list,
                                 struct device_writes *ret_writes, struct error *err);

/* A program of type BPF_PROG_TYPE_CGROUP_DEVICE. */
struct device_program {
    struct bpf_insn *items;
    size_t count; /* 0: everything is allowed, no program is needed */
};
void device_program_clear(struct device_program *program);

/** Builds the v2 program: a chain of comparisons from the last rule to the first. */
int device_filter_plan_v2(const struct cgroup_device_rules *rules,
                          struct device_program *ret_program, struct error *err);

/** Checks rules that are to replace those of a cgroup in use; changes nothing. */
int device_filter_check(struct cgroup *cgroup, const struct cgroup_device_rules *rules,
                        struct error *err);
/** Sets the rules on a new cgroup; an empty list changes nothing. */
int device_filter_apply(struct cgroup *cgroup, const struct cgroup_device_rules *rules,
                        struct error *err);
/** Sets the rules on a cgroup in use in the place of earlier ones; an empty list changes nothing.
 */
int device_filter_replace(struct cgroup *cgroup, const struct cgroup_device_rules *rules,
                          struct error *err);

#endif
