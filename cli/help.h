#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdio.h>

#include "cli/options.h"

/* Help, generated from the tables of commands and options. */

/** Prints the list of commands; with @group ("image") only those of the group. */
void help_print(const struct program *program, const char *group, FILE *file);

/** Prints usage, description, options and examples of one command. */
void help_print_command(const struct program *program, const struct command *command, FILE *file);

/** "--memory BYTES" or "--rm": an option as it is typed, without its letter. Caller frees. */
char *option_format(const struct option *option);

/** Examples of a command, with the program's name where the table has "{program}". Caller frees. */
char *examples_format(const struct program *program, const struct command *command);

#endif
