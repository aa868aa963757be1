#ifndef ENGINE_SETTINGS_LIMITS_H
#define ENGINE_SETTINGS_LIMITS_H

#include <stdbool.h>

#include "cgroups/cgroups.h"
#include "engine/engine.h"

/* Limits of a container or group that is there already: from settings to what is written into its
 * cgroup. */

/* The kernel's defaults. */
#define LIMITS_CPU_SHARES         1024
#define LIMITS_CPU_PERIOD_US      100000
#define LIMITS_REALTIME_PERIOD_US 1000000

/** Computes the limits; the rest of the settings is not looked at. */
int settings_limits_plan(struct engine *engine, const struct settings *settings,
                         struct cgroup_resources *ret_limits, struct strings *ret_warnings,
                         struct error *err);
void limits_clear(struct cgroup_resources *limits);

/**
 * Says of changed settings that a limit of swap stayed behind (-EINVAL): --memory was raised above
 * a --memory-swap that was given before, or taken away. Pure.
 *
 * @old_swap  memory_swap before the change
 */
int settings_limits_check_swap(const struct settings *settings, int64_t old_swap,
                               struct error *err);

/**
 * Makes of @wanted, all limits of a cgroup, what has to be written into it when it has those of
 * @old: what only @old limits gets no limit. Pure.
 *
 * @is_v2  memory.low has no word for "none"
 */
void settings_limits_release(const struct cgroup_resources *old, bool is_v2,
                             struct cgroup_resources *wanted);

#endif
