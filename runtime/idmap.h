#ifndef RUNTIME_IDMAP_H
#define RUNTIME_IDMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "runtime/spec.h"

/* Who may write the id maps of a new user namespace, and how it is asked for. The private half of
 * what container.h says of idmap.c. */

enum idmap_way {
    IDMAP_DIRECT,        /* by ourselves, with rights over all ids of our own namespace */
    IDMAP_DIRECT_SINGLE, /* by ourselves: one id, and it is our own */
    IDMAP_HELPER,        /* by newuidmap(1) or newgidmap(1), which may give subordinate ids */
};

/** Which way one map is written; pure. user_namespaces(7), "Defining user and group ID mappings".
 *
 * @own_id         the caller's effective user (group) id
 * @is_privileged  the caller is root of its own user namespace
 */
enum idmap_way idmap_plan(const struct spec_id_mappings *mappings, uint32_t own_id,
                          bool is_privileged);

/** The text of uid_map or gid_map in /proc/PID, a line for each mapping; pure. Caller frees. */
char *idmap_format(const struct spec_id_mappings *mappings);

/**
 * The first line of a text like /etc/subuid, subuid(5), that gives a user subordinate ids; pure.
 *
 * @name  may be NULL: only lines by number count then
 *
 * Returns false when there is none.
 */
bool idmap_find_subordinate(const char *text, const char *name, uint32_t uid, uint32_t *ret_start,
                            uint32_t *ret_count);

/** Name of a user in a text like /etc/passwd; pure. Caller frees; NULL: not there. */
char *idmap_find_user_name(const char *passwd, uint32_t uid);

#endif
