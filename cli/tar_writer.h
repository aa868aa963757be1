#ifndef CLI_TAR_WRITER_H
#define CLI_TAR_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* One entry of a POSIX ustar archive. */
struct tar_entry {
    const char *name; /* "bin/sh"; at most 99 bytes */
    char type;        /* TAR_FILE... */
    uint32_t mode, uid, gid;
    uint64_t size;    /* of a file's content, which follows padded to TAR_BLOCK */
    int64_t time;     /* seconds since 1970 */
    const char *link; /* TAR_LINK, TAR_SYMLINK: target; else NULL */
};

#define TAR_BLOCK     512
#define TAR_FILE      '0'
#define TAR_LINK      '1'
#define TAR_SYMLINK   '2'
#define TAR_DIRECTORY '5'

/** Formats the header block. -ENAMETOOLONG, -ERANGE: does not fit in the format. */
int tar_entry_format(const struct tar_entry *entry, char block[TAR_BLOCK], struct error *err);

#endif
