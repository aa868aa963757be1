#ifndef CLI_REFUSED_COMMANDS_H
#define CLI_REFUSED_COMMANDS_H

#include "cli/options.h"

/** Commands of docker that berth has not, and why; ends with names of NULL. */
extern const struct refused_command refused_commands[];

/** Global options of docker that berth has not, as a table's part: OPTION_REFUSED. */
#define NO_SERVICE_OPTION(name_, letter_)                                                          \
    {                                                                                              \
        name_, letter_, OPTION_REFUSED, NULL,                                                      \
            "there is no service to connect to, berth works on this machine", NULL                 \
    }

#endif
