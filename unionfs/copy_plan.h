#ifndef UNIONFS_COPY_PLAN_H
#define UNIONFS_COPY_PLAN_H

#include <stdbool.h>

#include "unionfs/unionfs.h"

/* Where `berth cp` puts what it copies; docker's rules. Pure. */

enum copy_target { COPY_NOTHING, COPY_FILE, COPY_DIRECTORY };

enum copy_way {
    COPY_INTO, /* into the target, a directory, under the source's name */
    COPY_OVER, /* the source's contents into the target, a directory */
    COPY_AS,   /* as the target, in its parent directory */
};

/**
 * @is_contents  the source was written as "DIR/."
 * @has_slash    the target was written with a slash at its end
 *
 * -ENOTDIR, -ENOENT, -EISDIR with a sentence.
 */
int copy_plan(bool source_is_directory, bool is_contents, enum copy_target target, bool has_slash,
              const char *target_path, enum copy_way *ret_way, struct error *err);

/** Whether it can only be a directory: "d/", "d/.". */
bool copy_needs_directory(const char *path);
/** The last part of a path without slashes at its end, "." for contents. Caller frees. */
char *copy_base_name(const char *path);

#endif
