#ifndef UNIONFS_EXTRACT_INPUT_H
#define UNIONFS_EXTRACT_INPUT_H

#include "base/tar_writer.h"
#include "unionfs/unionfs.h"

/* Where extract.c and pack.c get entries from. The two kinds are in files of their own, so that who
 * reads nothing but tars of ours is not linked with libarchive. */

struct extract_entry {
    struct tar_entry tar; /* type '\0': of a kind that cannot be made */
    bool has_time;
};

/* Results of next() and read(): 1; 0 at the end. What is given lasts until the next call. read()
 * gives the parts of a file in order; between them may be holes. */

#endif
