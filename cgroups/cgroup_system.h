#ifndef CGROUPS_CGROUP_SYSTEM_H
#define CGROUPS_CGROUP_SYSTEM_H

#include "cgroups/cgroups.h"

/* The private half of cgroups.h about what is mounted. */

/**
 * As cgroup_system_open(), with the texts of two files given.
 *
 * @mountinfo  of /proc/self/mountinfo; NULL: to be read when a hierarchy has not the usual name
 */
int cgroup_system_open_from(const char *root_path, const char *self_cgroup, const char *mountinfo,
                            struct cgroup_system **ret_system, struct error *err);

/**
 * Finds the folder directly below @root_path where a v1 hierarchy is mounted (pure).
 *
 * @mountinfo    text of /proc/self/mountinfo, proc_pid_mountinfo(5)
 * @controllers  as in /proc/self/cgroup: "cpu,cpuacct"
 *
 * Returns its name, which the caller frees, or NULL.
 */
char *cgroup_mount_find(const char *mountinfo, const char *root_path, const char *controllers);

/** Whether @word is one of the words of @list. */
bool cgroup_list_contains(const char *list, char separator, const char *word);

/** The hierarchy that serves @controller, v1 before v2; NULL: none does. */
const struct cgroup_hierarchy *cgroup_system_find(struct cgroup_system *system,
                                                  enum cgroup_controller controller);
/** The v2 hierarchy, or NULL. */
const struct cgroup_hierarchy *cgroup_system_v2(const struct cgroup_system *system);
/** The hierarchy whose list of processes is the authoritative one; NULL without any. */
const struct cgroup_hierarchy *cgroup_system_main(const struct cgroup_system *system);
/** cgroup.controllers of the v2 root, read once; "" without. Borrowed. */
const char *cgroup_system_v2_controllers(struct cgroup_system *system);
/** For cgroup_limits_plan(): bits of the controllers whose v1 files are to be used. */
unsigned cgroup_system_v1_mask(const struct cgroup_system *system);
/** Whether a failure in this hierarchy is tolerated: it carries no limits, only names. */
bool cgroup_system_is_extra(const struct cgroup_system *system,
                            const struct cgroup_hierarchy *hierarchy);

/** Treats one of the mounted hierarchies from now on as not mounted. */
void cgroup_system_leave_out(struct cgroup_system *system, size_t position);
/** Whether the hierarchy of @controller is there, but was left out. */
bool cgroup_system_has_left_out(const struct cgroup_system *system,
                                enum cgroup_controller controller);

/** The kernel's name: "memory", "blkio" on v1, "io" on v2. */
const char *cgroup_controller_name(enum cgroup_controller controller, bool is_v2);
/** For people: "memory", "block I/O". */
const char *cgroup_controller_what(enum cgroup_controller controller);

#endif
