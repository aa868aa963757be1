#ifndef ENGINE_RESTART_POLICY_H
#define ENGINE_RESTART_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

/* When a monitor starts its container again. Pure. */

#define RESTART_DELAY_MIN_MS 100u
#define RESTART_DELAY_MAX_MS 60000u
#define RESTART_STEADY_MS    10000u /* who ran so long begins with the shortest delay again */

/** @restart_count: how often it was restarted already; @was_stopped: by a person. */
bool restart_is_due(enum settings_restart policy, uint32_t restart_max, int exit_status,
                    uint32_t restart_count, bool was_stopped);
/** The delay after @delay_ms (0: none yet) for a container that ran for @ran_ms. */
uint32_t restart_next_delay(uint32_t delay_ms, uint64_t ran_ms);

#endif
