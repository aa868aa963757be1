#ifndef CGROUPS_DOMAIN_H
#define CGROUPS_DOMAIN_H

#include "cgroups/cgroups.h"

/* The rules of cgroup v2 on which group may have processes and which may have controllers, turned
 * into sentences. Paths are relative to the hierarchy, "" is its root. */

/**
 * Whether a group may pass controllers on to those below without harm: it has no processes of its
 * own, and is no place of threads. The machine's root may.
 */
bool domain_may_pass_on(const struct cgroup_hierarchy *v2, const char *relative);

/** Why a group does not have a controller that the hierarchy has: "/a has processes of its own...".
 * Caller frees; NULL: it has it. */
char *domain_held_back(const struct cgroup_hierarchy *v2, const char *relative,
                       const char *controller);

/** Why a group takes no process, and what to do. Caller frees; NULL: nothing speaks against it. */
char *domain_refusal(const struct cgroup_hierarchy *v2, const char *relative);

#endif
