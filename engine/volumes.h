#ifndef ENGINE_VOLUMES_H
#define ENGINE_VOLUMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "engine/record.h"

struct engine;

struct staging;

/* DATA/volumes/<name>/_data, and beside it volume.json with its labels, of `berth volume create` or
 * of the mount that made it; without labels there is none. A volume appears by one rename, filled
 * from the image if a container asked for it. A container's names are decided and recorded before
 * it is visible; the directories are made after that (and again, where missing, before each start),
 * so that no crash leaves an anonymous volume that no record names. */

extern const struct object volume_view_object;   /* engine/volume_fields.c */
extern const struct object volume_record_object; /* volume.json: of a struct volume_view */

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
/** Makes the directories of a new volume in staging, with its labels, if any, and opens its _data.
 */
int volume_stage(const struct staging *staging, const struct string_map *labels, int *ret_data_fd,
                 struct error *err);
/** Makes a staged volume visible, whole. -EEXIST: there is one of the name (no message). */
int volume_publish(struct engine *engine, const struct staging *staging, const char *name,
                   struct error *err);
/** A volume with its labels; release with volume_view_clear(). -ENOENT: no such volume. */
int volume_view_read(struct engine *engine, const char *name, struct volume_view *ret_view,
                     struct error *err);
/** Whether the name is one that berth made up, for a volume that was given none. */
bool volume_name_is_anonymous(const char *name);
/** A name for a volume that was given none. Caller frees. */
char *volume_name_generate(void);
/** Names of the containers that use a volume; short ids of those whose records cannot be read, as
 * they might. */
int volume_list_users(struct engine *engine, const char *name, struct strings *ret_users,
                      struct error *err);
/** Adds the names of volumes that containers use. @ret_unread: short ids of containers whose
 * records cannot be read, so that they may use any. */
int volumes_list_used(struct engine *engine, struct strings *ret_names, struct strings *ret_unread,
                      struct error *err);
/** Adds the mounts of other containers: --volumes-from NAME[:ro|rw]. */
int volumes_add_from(struct engine *engine, struct settings *settings, struct error *err);

#endif
