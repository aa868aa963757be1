#ifndef CLI_PRUNE_OPTION_H
#define CLI_PRUNE_OPTION_H

#include "base/error.h"
#include "base/text.h"
#include "engine/engine.h"

/**
 * Parses `--filter` of prune: "until=" with a date or, as 24h, how long ago; "label=KEY[=VALUE]",
 * "label!=KEY[=VALUE]".
 *
 * @now  seconds since 1970
 */
int prune_filter_parse(const struct strings *texts, int64_t now, struct prune_filter *ret_filter,
                       struct error *err);

#endif
