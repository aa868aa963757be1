#ifndef ENGINE_HOST_FACTS_H
#define ENGINE_HOST_FACTS_H

#include "base/error.h"
#include "engine/bundle.h"

/** Collects what a plan for @settings needs to know of this machine. */
int host_facts_collect(struct engine *engine, const struct settings *settings,
                       struct host_facts *ret_facts, struct error *err);
void host_facts_clear(struct host_facts *facts);
/** The device that was collected for @path, or NULL. */
const struct host_device *host_facts_device(const struct host_facts *facts, const char *path);

#endif
