#ifndef RUNTIME_RDT_H
#define RUNTIME_RDT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/text.h"
#include "runtime/spec.h"

/* linux.intelRdt (config-linux.md "IntelRdt"): shares of the cache and of memory bandwidth, by way
 * of the kernel's resctrl file system (kernel, filesystems/resctrl.rst). A class of service is a
 * directory in it; a process belongs to the class whose "tasks" file it was written to. */

struct rdt_plan {
    char *group;             /* directory of the class, ".": the one that everything is in */
    char *monitor;           /* "<group>/mon_groups/<id>"; NULL: none of its own */
    struct strings schemata; /* lines of its schemata file, in the order to write */
    bool must_exist;         /* no line is given, so somebody else has to have made the class */
};

/** The names and lines that can be right; pure. "linux.intelRdt.closID: ..." */
int rdt_check(const struct spec_intel_rdt *rdt, struct error *err);
/** What has to be done for the container @id; pure, of what rdt_check() accepts. */
struct rdt_plan *rdt_plan(const struct spec_intel_rdt *rdt, const char *id);
void rdt_plan_free(struct rdt_plan *plan);
DEFINE_AUTO(rdt_plan)

/** Opens /sys/fs/resctrl. -EOPNOTSUPP: no resctrl file system is mounted there. */
int rdt_open(int *ret_root_fd, struct error *err);

/**
 * Which directories rdt_apply() will make, so that they can be written down before.
 *
 * @ret_group    NULL: the class is there already; caller frees
 * @ret_monitor  NULL: none, or it goes with the class; caller frees
 *
 * -ENOENT: the class must be there and is not.
 */
int rdt_find_missing(const struct rdt_plan *plan, int root_fd, char **ret_group, char **ret_monitor,
                     struct error *err);

/**
 * Makes what is missing, writes the schemata, assigns @pid. A class that was there already is not
 * changed: its schemata have to be the same. Locks the tree until @root_fd is closed.
 *
 * @group, @monitor  as rdt_find_missing() gave them. Afterwards they are what this call made, also
 *                   when it fails: a class that another made meanwhile is not ours to remove
 */
int rdt_apply(const struct rdt_plan *plan, int root_fd, pid_t pid, char **group, char **monitor,
              struct error *err);

/** Removes a directory that rdt_find_missing() named; its processes fall back to the class above.
 * Returns 0 also when it is gone. */
int rdt_remove(int root_fd, const char *path, struct error *err);

/** Whether each of @lines is what @schemata, the text of such a file, says; pure. */
bool rdt_lines_match(const struct strings *lines, const char *schemata);

struct container;
/**
 * Changes the class of a running container, for `update --l3-cache-schema --mem-bw-schema`. A
 * container without one gets a class of its own name.
 *
 * @l3_cache_schema, @mem_bw_schema  NULL: unchanged
 */
int rdt_update(struct container *container, const char *l3_cache_schema, const char *mem_bw_schema,
               struct error *err);
/** rdt_update() in a tree that is open; tests have one of their own. */
int rdt_change(struct container *container, int root_fd, const char *l3_cache_schema,
               const char *mem_bw_schema, struct error *err);

#endif
