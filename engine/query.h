#ifndef ENGINE_QUERY_H
#define ENGINE_QUERY_H

#include <sys/types.h>

#include "engine/record.h"

struct engine;

/* What a container is doing, computed from its claim, runtime state, life and restart policy. */
struct container_condition {
    const char *status; /* static: "created", "running", "paused", "restarting", "exited" */
    pid_t pid;          /* 0 when not running */
    bool has_died;      /* ended with its monitor or the machine, and repair did not write it yet */
};
/**
 * Looks at a container, which may start, end or be removed meanwhile.
 *
 * @ret_life  as life_read(), but of the run that the condition tells of: a start that the monitor
 *            is about to record counts from when the container was made
 *
 * -ENOENT: it was removed.
 */
int container_condition(struct engine *engine, const struct record *record, struct life *ret_life,
                        struct container_condition *ret_condition, struct error *err);

/** Decides from what was seen; pure. @runtime_status: -1 when the runtime does not know the
 * container. */
const char *container_condition_name(bool is_claimed, int runtime_status, const struct life *life,
                                     const struct settings *settings);

/** Bytes in the container's writable directory. */
int container_writable_size(struct engine *engine, const char *id, uint64_t *ret_bytes,
                            struct error *err);

/** The inspect document; inspect_fields.c. @machine  annotations of the runtime's container that
 * tell about a microVM's machine; NULL: it is no microVM, or there is no machine now */
char *inspect_format(const struct engine *engine, const struct record *record,
                     const struct life *life, const struct container_condition *condition,
                     const struct string_map *machine, const uint64_t *size_rw,
                     const uint64_t *size_root);

#endif
