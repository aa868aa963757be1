#ifndef ENGINE_VOLUMES_H
#define ENGINE_VOLUMES_H

#include "base/error.h"
#include "engine/record.h"

struct engine;

/* DATA/volumes/<name>/_data. A volume appears by one rename, filled from the image. Names are
 * decided and recorded before the container is visible; the directories are made after that (and
 * again, where missing, before each start), so that no crash leaves an anonymous volume that no
 * record names. */

/** Fills volume_path of each volume; checks names. */
int volumes_plan(struct engine *engine, struct settings *settings, struct error *err);
/** Makes the volumes that are missing; an empty one is filled from the image unless "nocopy". */
int volumes_ensure(struct engine *engine, const struct record *record, struct error *err);
/** Removes the container's anonymous volumes that no other container uses. */
int volumes_remove_anonymous(struct engine *engine, const struct record *record, struct error *err);
/** Adds the mounts of other containers: --volumes-from NAME[:ro|rw]. */
int volumes_add_from(struct engine *engine, struct settings *settings, struct error *err);

#endif
