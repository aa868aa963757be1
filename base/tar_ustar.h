#ifndef BASE_TAR_USTAR_H
#define BASE_TAR_USTAR_H

#include "base/tar_writer.h"

/* What tar_writer.c and tar_reader.c agree on. */

/* pax(1), "ustar Interchange Format": numbers are octal digits with a zero byte behind them; a name
 * that fills its field has none. */
struct tar_ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], padding[12];
};
_Static_assert(sizeof(struct tar_ustar) == TAR_BLOCK, "a header is one block");

#define TAR_EXTENDED         'x'
#define TAR_ATTRIBUTE_PREFIX "SCHILY.xattr."
#define TAR_FILE_SIZE        "GNU.sparse.size"
#define TAR_PARTS_COUNT      "GNU.sparse.numblocks"
#define TAR_PARTS            "GNU.sparse.map" /* "offset,length,offset,length" */
#define TAR_TIME_DIGITS      9                /* behind the point of "mtime" */

/** Writes the checksum, which is made as if its own field were blanks. */
void tar_ustar_set_checksum(struct tar_ustar *header);

#endif
