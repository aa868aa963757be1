#ifndef CLI_VOLUME_FILTER_H
#define CLI_VOLUME_FILTER_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"
#include "engine/engine.h"

/* `volume ls --filter`: values of one key are alternatives, different keys must all hold; labels
 * must all hold. */

struct volume_filters {
    struct strings names, drivers, labels;
    bool has_dangling, is_dangling;
};

/** Checks "key=value" texts. -EINVAL: "invalid filter 'foo=x': give ..." */
int volume_filters_parse(const struct strings *texts, struct volume_filters *ret_filters,
                         struct error *err);
void volume_filters_clear(struct volume_filters *filters);

/** Whether the filters let a volume through. Pure. */
bool volume_filters_match(const struct volume_filters *filters, const struct volume_view *view);

#endif
