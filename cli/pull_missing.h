#ifndef CLI_PULL_MISSING_H
#define CLI_PULL_MISSING_H

#include "cli/berth.h"

/* `run` and `create` with an image that is not here: berth-image pulls it as a child, since `berth`
 * itself links neither archives nor digests. */

enum pull_policy { PULL_MISSING, PULL_ALWAYS, PULL_NEVER };

/** What --pull says; its word was checked by run_options_parse(). */
enum pull_policy pull_policy(const struct arguments *arguments);

/**
 * Pulls an image and says on standard error what `berth pull` prints.
 *
 * @text      as the user typed it
 * @ret_name  the full name under which it is here now, which an alias may have changed; caller
 * frees
 *
 * -EIO without a message: berth-image has told the user why.
 */
int pull_image(struct berth *berth, const struct arguments *arguments, const char *text,
               char **ret_name, struct error *err);

#endif
