#ifndef IMAGE_ARCHIVE_CHILD_H
#define IMAGE_ARCHIVE_CHILD_H

#include <sys/types.h>

#include "base/error.h"

/** A running berth-archive. Starts as ARCHIVE_CHILD_NONE. */
struct archive_child {
    pid_t pid; /* 0: none */
    int fd;    /* its stream, archive_stream.h */
};

#define ARCHIVE_CHILD_NONE ((struct archive_child){ .fd = -1 })

/** Starts it on an archive. @fd  borrowed; it is read from where it stands */
int archive_child_start(int fd, struct archive_child *ret_child, struct error *err);

/** Ends it, unless it has ended. Returns its exit status as process_exit_status(). */
int archive_child_end(struct archive_child *child);

/** Ends it, if it is there. */
void archive_child_clear(struct archive_child *child);

#endif
