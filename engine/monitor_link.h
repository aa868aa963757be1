#ifndef ENGINE_MONITOR_LINK_H
#define ENGINE_MONITOR_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct engine;
struct wire_message;

/* A command's connection to a container's monitor. */

/** Connects; -ESRCH: no monitor, the container does not run. */
int monitor_link_open(struct engine *engine, const char *id, int *ret_fd, struct error *err);
/**
 * Takes the claim on a container; or, when a monitor has it, connects to that. Others have it for a
 * moment only (a repair, a look at the files, a start that has no monitor yet) and are waited for.
 *
 * @timeout_ms  how long; UINT32_MAX: without an end
 *
 * Returns 0 with *ret_claim_fd; 1 with *ret_fd, the connection; -EBUSY: the time is over.
 */
int monitor_link_or_claim(struct engine *engine, const char *id, uint32_t timeout_ms,
                          int *ret_claim_fd, int *ret_fd, struct error *err);
/** What ERROR says: its negative code. */
int monitor_link_take_error(const struct wire_message *message, struct error *err);
/**
 * Sends a message and waits for OK, as long as the monitor has something to do.
 *
 * Returns 0; 1: the container ended, its status in @ret_status (may be NULL); -EPIPE: the monitor
 * ended; -ETIMEDOUT: it is stopped (SIGSTOP) after MONITOR_KILLED_S seconds; else what ERROR says.
 */
int monitor_link_ask(int fd, uint32_t type, const void *payload, size_t length, int *ret_status,
                     struct error *err);
/**
 * Waits for EXIT.
 *
 * @timeout_ms  UINT32_MAX: without an end
 *
 * Returns 1: ended, with its status; 0: the time is over; -EPIPE: the monitor died.
 */
int monitor_link_wait_exit(int fd, uint32_t timeout_ms, int *ret_status, struct error *err);
/**
 * Waits for EXIT of a container that was sent SIGKILL, as long as the monitor has something to do:
 * its end may mean removing many files.
 *
 * Returns 1: ended; -EPIPE: the monitor died; -ETIMEDOUT: after MONITOR_KILLED_S seconds the
 * process is still there, or ended without its monitor's notice, or the monitor is stopped; the
 * sentence says which.
 */
int monitor_link_wait_killed(struct engine *engine, const char *id, int fd, struct error *err);
/* Longer than the wait for a cgroup's processes (cgroup_delete()). */
#define MONITOR_KILLED_S 20

#endif
