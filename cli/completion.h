#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include <stdio.h>

#include "cli/options.h"

/**
 * Prints a script that completes the program's commands, options and words.
 *
 * @shell  "bash", "zsh" or "fish"; -EINVAL for others
 */
int completion_print(const struct program *program, const char *shell, FILE *file,
                     struct error *err);

#endif
