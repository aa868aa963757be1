#ifndef ENGINE_PAUSE_GUARD_H
#define ENGINE_PAUSE_GUARD_H

#include <sys/types.h>

#include "base/error.h"

struct engine;

/* A container that is paused for as long as someone reads its files. */
struct pause_guard {
    pid_t pid; /* of the child that lets it go on; 0: there is nothing to let go on */
    int fd;    /* end of file here is its sign */
};

/**
 * Pauses a container if it runs. It goes on when the guard is cleared, and when this process dies,
 * however that comes about.
 */
int pause_guard_open(struct engine *engine, const char *id, struct pause_guard *ret_guard,
                     struct error *err);
void pause_guard_clear(struct pause_guard *guard);

#endif
