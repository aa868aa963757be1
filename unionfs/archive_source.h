#ifndef UNIONFS_ARCHIVE_SOURCE_H
#define UNIONFS_ARCHIVE_SOURCE_H

#include <archive.h>

/* What libarchive reads from: a descriptor, on which no other call is made than read(2). Its own
 * reading of descriptors would look at them first, which a sandbox need not permit. */

struct archive_source {
    int fd; /* borrowed */
    char *buffer;
};

/** Opens the archive, whose filters and formats are set. Returns as libarchive does. */
int archive_source_open(struct archive_source *source, struct archive *archive, int fd);
/** After the archive. */
void archive_source_clear(struct archive_source *source);

#endif
