#ifndef CLI_MANPAGE_H
#define CLI_MANPAGE_H

#include <stdio.h>

#include "cli/options.h"

/** Prints the program's manual page in man(7) macros: every command with its options and examples.
 */
void manpage_print(const struct program *program, FILE *file);

#endif
