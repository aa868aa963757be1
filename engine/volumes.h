#ifndef ENGINE_VOLUMES_H
#define ENGINE_VOLUMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "engine/record.h"

struct engine;

/* DATA/volumes/<name>/_data. A volume appears by one rename, filled from the image. Names are
 * decided and recorded before the container is visible; the directories are made after that (and
 * again, where missing, before each start), so that no crash leaves an anonymous volume that no
 * record names. */

/* A volume as `inspect` shows it. */
struct volume_view {
    char *name, *mountpoint, *created, *driver, *scope;
    char *labels, *options; /* NULL: there are none yet */
};
extern const struct object volume_view_object; /* engine/volume_fields.c */

/** Fills volume_path of each volume; checks names. */
int volumes_plan(struct engine *engine, struct settings *settings, struct error *err);
/** Makes the volumes that are missing; an empty one is filled from the image unless "nocopy". */
int volumes_ensure(struct engine *engine, const struct record *record, struct error *err);
/** Removes the container's anonymous volumes that no other container uses. */
int volumes_remove_anonymous(struct engine *engine, const struct record *record, struct error *err);
/**
 * Held shared by who makes a container with volumes, until its record can be read and its volumes
 * are there; exclusively by who removes volumes that no record names.
 */
int volumes_lock(struct engine *engine, bool is_exclusive, int *ret_fd, struct error *err);
/** Whether it has any volumes, so that volumes_lock() is needed. */
bool volumes_are_used(const struct record *record);
/** Names of the volumes that are there, sorted. */
int volumes_list(struct engine *engine, struct strings *ret_names, struct error *err);
/** Whether the name is one that berth made up, for a volume that was given none. */
bool volume_name_is_anonymous(const char *name);
/** How many containers use a volume. */
int volume_count_users(struct engine *engine, const char *name, size_t *ret_count,
                       struct error *err);
/** Adds the mounts of other containers: --volumes-from NAME[:ro|rw]. */
int volumes_add_from(struct engine *engine, struct settings *settings, struct error *err);

#endif
