#ifndef ENGINE_GROUP_H
#define ENGINE_GROUP_H

#include "base/auto.h"
#include "base/decode.h"
#include "base/error.h"
#include "base/text.h"
#include "engine/engine.h"
#include "engine/group_name.h"

/* What is kept of a group: DATA/cgroups/<encoded name>.json, its limits as they were given. Whether
 * the kernel has its cgroup is computed; after a reboot it has not, until a container needs it.
 *
 * The lock DATA/cgroups/.lock is held by who changes groups, and shared by who makes a container in
 * one, until its record names the group: so none is removed below it. */

struct group {
    char *name;
    struct settings settings; /* only limits */
};
extern const struct object group_object; /* group_fields.c */
void group_free(struct group *group);
DEFINE_AUTO(group)

/** Locks the groups, whose folder is made when it is missing. */
int groups_lock(struct engine *engine, bool is_exclusive, int *ret_fd, struct error *err);
/** -ENOENT says which command makes it. */
int group_read(struct engine *engine, const char *name, struct group **ret_group,
               struct error *err);
int group_write(struct engine *engine, const struct group *group, struct error *err);
/** Names of all groups, sorted: a group stands before those below it. */
int groups_list(struct engine *engine, struct strings *ret_names, struct error *err);

/**
 * Makes the group's cgroup and those above it, with their limits, where the kernel has them not.
 * The lock is held.
 */
int group_make(struct engine *engine, const char *name, struct cgroup **ret_cgroup,
               struct error *err);
/** As group_make(), for the start of a container in @name; takes the lock. */
int group_prepare(struct engine *engine, const char *name, struct error *err);

/** Names of the containers, running or not, that belong into the group; @is_deep: or one below. */
int group_containers(struct engine *engine, const char *name, bool is_deep,
                     struct strings *ret_names, struct error *err);

/* What `cgroup inspect` prints; all of it borrowed, but for the lists. */
struct group_report {
    const char *name, *path;
    bool is_made;
    struct settings *settings;
    struct cgroup_usage *usage;     /* NULL when it is not made, as the next */
    struct cgroup_details *details; /* of these, pressure */
    struct strings groups;          /* directly below it */
    struct strings containers;      /* directly in it, running or not */
};
extern const struct object group_report_object; /* group_fields.c */

/* --- group_tree.c: pure halves of engine_group_tree() --- */

/** Computes cpu_share of each node, and cpu_shares where none were asked for. */
void group_nodes_share(struct group_nodes *nodes);
/** Leaves a group and what is in it. -ENOENT: it is not there; nothing is changed then. */
int group_nodes_cut(struct group_nodes *nodes, const char *name);

#endif
