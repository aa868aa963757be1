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

/* Of a file with holes: bytes that are in none. */
struct tar_part {
    uint64_t offset, length;
};

struct tar_entry {
    const char *name; /* "bin/sh"; a directory's ends with a slash */
    char type;        /* TAR_FILE... */
    uint32_t mode, uid, gid;
    uint64_t size;    /* of a file; its content follows, padded to TAR_BLOCK */
    int64_t time;     /* seconds since 1970 */
    uint32_t time_ns; /* 0 to 999999999, after @time */
    const char *link; /* TAR_LINK, TAR_SYMLINK: target; else NULL */
    uint32_t device_major, device_minor;
    const struct tar_attribute *attributes;
    size_t attribute_count;
    const struct tar_part *parts; /* in order, within @size: these follow as the content */
    size_t part_count;            /* 0: the file has no holes; at most TAR_PARTS_MAX */
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
#define TAR_PARTS_MAX 100000u         /* with 20 digits for each number within TAR_RECORDS_MAX */

/** Appends an entry's headers, one block or more. Holes are told as GNU tar does (its manual, "PAX
 * Format, Version 0.1"). */
void tar_entry_format(const struct tar_entry *entry, struct text *ret_header);

/** Bytes that follow an entry's headers: all of a file, or its parts. */
uint64_t tar_content_size(const struct tar_entry *entry);

/** Zeros that follow @size bytes of content. */
size_t tar_padding(uint64_t size);

#endif
