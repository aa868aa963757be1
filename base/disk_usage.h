#ifndef BASE_DISK_USAGE_H
#define BASE_DISK_USAGE_H

#include <stdint.h>

#include "base/error.h"

/* What files take on the disk, as du(1) counts it. */
struct disk_usage {
    uint64_t bytes;      /* allocated blocks; a file with several names once */
    uint64_t file_bytes; /* lengths of regular files, each once */
    uint64_t entries;    /* names, with the one that the walk began at */
    uint64_t whiteouts;  /* of these, character devices 0:0 as overlayfs has them */
    uint64_t links;      /* of these, regular files that have more names */
};

/**
 * Adds a file or a whole tree. Follows no symbolic link and enters no other file system; what
 * vanishes meanwhile is left out, as is what lies deeper than any path can name. Missing is fine.
 *
 * @name  below @dir_fd, not absolute; "." is the directory itself
 */
int disk_usage_add(int dir_fd, const char *name, struct disk_usage *usage, struct error *err);

#endif
