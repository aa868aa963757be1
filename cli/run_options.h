#ifndef CLI_RUN_OPTIONS_H
#define CLI_RUN_OPTIONS_H

#include "base/error.h"
#include "cli/options.h"
#include "engine/engine.h"

/* The options of `run` and `create`: tables, and from them to the engine's settings. */

extern const struct option container_options[]; /* both commands have these */
extern const struct option run_options[];       /* only run */

/** Everything but the words: image and command. Reads the files of --env-file and --label-file. */
int run_options_parse(const struct arguments *arguments, struct settings **ret_settings,
                      struct error *err);

/**
 * Adds the variables of --env-file and then of --env, as docker does it: NAME alone takes the
 * value from our own environment, and adds nothing when there is none.
 */
int run_options_environment(struct strings *env, const struct strings *files,
                            const struct strings *variables, struct error *err);

#endif
