#ifndef ENGINE_CHILD_WARNINGS_H
#define ENGINE_CHILD_WARNINGS_H

#include "base/error.h"
#include "base/text.h"

/* How a child that reports by nothing but its error passes warnings to its maker: by a file in
 * memory. */

int child_warnings_open(int *ret_fd, struct error *err);
/** In the child; lost ones cost a sentence, no file. */
void child_warnings_write(int fd, const struct strings *warnings);
/** In the maker, when the child has ended. */
void child_warnings_read(int fd, struct strings *ret_warnings);

#endif
