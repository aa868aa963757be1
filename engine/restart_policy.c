#include "engine/restart_policy.h"

bool restart_is_due(enum settings_restart policy, uint32_t restart_max, int exit_status,
                    uint32_t restart_count, bool was_stopped)
{
    if (was_stopped)
        return false;
    switch (policy) {
    case RESTART_NO:
        return false;
    case RESTART_ON_FAILURE:
        return exit_status != 0 && (restart_max == 0 || restart_count < restart_max);
    case RESTART_ALWAYS:
    case RESTART_UNLESS_STOPPED: /* differs from always only after a reboot */
        return true;
    }
    return false;
}

uint32_t restart_next_delay(uint32_t delay_ms, uint64_t ran_ms)
{
    if (delay_ms == 0 || ran_ms >= RESTART_STEADY_MS)
        return RESTART_DELAY_MIN_MS;
    return delay_ms >= RESTART_DELAY_MAX_MS / 2 ? RESTART_DELAY_MAX_MS : delay_ms * 2;
}
