#ifndef UNIONFS_SNAPSHOT_ROOT_H
#define UNIONFS_SNAPSHOT_ROOT_H

#include <stdbool.h>
#include <sys/stat.h>

/* Of a root directory that no layer says anything of; its times are 0. */
#define SNAPSHOT_ROOT_MODE 0755

/** Whether the tar of a layer had an entry for the root directory: @status of its fs/. Pure. */
bool snapshot_root_is_told(const struct stat *status);

#endif
