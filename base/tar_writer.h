#ifndef BASE_TAR_WRITER_H
#define BASE_TAR_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* Headers of tar archives: POSIX ustar, with an extended header before an entry where ustar cannot
 * say something (pax(1), "pax Interchange Format"). The same entry gives the same bytes. */

struct tar_attribute {
    const char *name; /* "security.capability" */
    const void *value;
    size_t length;
};

struct tar_entry {
    const char *name; /* "bin/sh"; a directory's ends with a slash */
    char type;        /* TAR_FILE... */
    uint32_t mode, uid, gid;
    uint64_t size;    /* of a file's content, which follows padded to TAR_BLOCK */
    int64_t time;     /* seconds since 1970 */
    const char *link; /* TAR_LINK, TAR_SYMLINK: target; else NULL */
    uint32_t device_major, device_minor;
    const struct tar_attribute *attributes;
    size_t attribute_count;
};

#define TAR_BLOCK     512
#define TAR_FILE      '0'
#define TAR_LINK      '1'
#define TAR_SYMLINK   '2'
#define TAR_CHARACTER '3'
#define TAR_DEVICE    '4' /* block device */
#define TAR_DIRECTORY '5'
#define TAR_FIFO      '6'

#define TAR_END_BYTES (2 * TAR_BLOCK) /* zeros, at the end of an archive */

/** Appends an entry's headers, one block or more. */
void tar_entry_format(const struct tar_entry *entry, struct text *ret_header);

/** Zeros that follow @size bytes of content. */
size_t tar_padding(uint64_t size);

#endif
