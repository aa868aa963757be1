#ifndef RUNTIME_USER_H
#define RUNTIME_USER_H

#include <sys/types.h>

/** The home of @uid in etc/passwd below the working directory, which is the container's root; "/"
 * where it has none, and where the file is missing or of no use: a program can start without.
 * Caller frees. */
char *user_find_home(uid_t uid);

#endif
