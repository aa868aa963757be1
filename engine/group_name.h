#ifndef ENGINE_GROUP_NAME_H
#define ENGINE_GROUP_NAME_H

#include "base/error.h"

/* Names of groups, "production/web": a path below berth's own cgroup, BERTH_CGROUP. Pure. */

#define BERTH_CGROUP    "/berth"
#define GROUP_NAME_MAX  200 /* bytes; with ".json" behind it, it is a file's name */
#define GROUP_PART_MAX  63  /* one less than a container's id, which stands beside groups */
#define GROUP_EXTENSION ".json"

/**
 * Checks a name as typed; a slash at its end is cut. Parts are letters, digits, '-' and '_', as
 * names of the kernel's own files in a cgroup have a dot.
 *
 * Caller frees *ret_name.
 */
int group_name_parse(const char *text, char **ret_name, struct error *err);

/** "production+web.json". Caller frees. */
char *group_name_encode(const char *name);
/** The name that is encoded so; NULL: none is. Caller frees. */
char *group_name_decode(const char *file);

/** "production" of "production/web"; NULL of "production". Caller frees. */
char *group_name_parent(const char *name);
/** "/berth/production/web". Caller frees. */
char *group_name_path(const char *name);

#endif
