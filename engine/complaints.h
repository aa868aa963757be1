#ifndef ENGINE_COMPLAINTS_H
#define ENGINE_COMPLAINTS_H

#include "base/error.h"

/* What a program says that lives as long as its container: memory of a fixed size, which becomes
 * its standard error. */

/** @name  of the program */
int complaints_open(const char *name, int *ret_fd, struct error *err);

/** Makes an error of the last line that the program said before it ended; -EIO. */
int complaints_error(int fd, const char *name, struct error *err);

#endif
