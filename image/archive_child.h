#ifndef IMAGE_ARCHIVE_CHILD_H
#define IMAGE_ARCHIVE_CHILD_H

#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"

/** A running berth-archive. Starts as ARCHIVE_CHILD_NONE. */
struct archive_child {
    pid_t pid; /* 0: none */
    int fd;    /* its stream, archive_stream.h */
};

#define ARCHIVE_CHILD_NONE ((struct archive_child){ .fd = -1 })

/* What it is to read, as it is named on its command line. */
#define ARCHIVE_IMAGE          "image"
#define ARCHIVE_KERNEL_PACKAGE "kernel-package"
#define ARCHIVE_KERNEL_STREAMS "kernel-streams" /* kernel_decode.h */

/**
 * Starts it on an archive.
 *
 * @wanted  of a kernel's package the names of the modules to be told of; NULL, or none: everything
 * @fd      borrowed; it is read from where it stands
 */
int archive_child_start(const char *form, const struct strings *wanted, int fd,
                        struct archive_child *ret_child, struct error *err);

/** Ends it, unless it has ended. Returns its exit status as process_exit_status(). */
int archive_child_end(struct archive_child *child);

/** Ends it, if it is there. */
void archive_child_clear(struct archive_child *child);

#endif
