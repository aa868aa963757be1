#ifndef CLI_BERTH_COMMANDS_H
#define CLI_BERTH_COMMANDS_H

#include "cli/options.h"

/** The commands of the program berth; ends with a name of NULL. */
extern const struct command berth_commands[];

#endif
