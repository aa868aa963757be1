#ifndef CLI_PS_FILTER_H
#define CLI_PS_FILTER_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"
#include "engine/engine.h"

/* `ps --filter`: values of one key are alternatives, different keys must all hold; labels must all
 * hold. */

struct ps_filters {
    struct strings names, ids, statuses, exited, ancestors, labels, volumes, networks, isolations;
    char *before, *since; /* names or ids of containers; NULL */
};

/** Checks "key=value" texts. -EINVAL: "invalid filter 'foo=x', did you mean..." */
int ps_filters_parse(const struct strings *texts, struct ps_filters *ret_filters,
                     struct error *err);
void ps_filters_clear(struct ps_filters *filters);

/** Removes the containers that the filters do not let through. */
int ps_filters_apply(const struct ps_filters *filters, struct engine *engine,
                     struct container_views *views, struct error *err);

#endif
