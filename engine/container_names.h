#ifndef ENGINE_CONTAINER_NAMES_H
#define ENGINE_CONTAINER_NAMES_H

#include "base/error.h"
#include "base/text.h"

struct engine;

/* DATA/container-names/<name> is a symbolic link whose text is the container's id: making one fails
 * when the name is taken, at once and for all processes. A link is stale when its container does
 * not exist, or has another name in its record, and nobody holds the container's claim (a container
 * that is being made or renamed has its link first). Stale links are replaced when their name is
 * wanted. */

/** Reserves a name for @id, whose claim the caller holds. -EEXIST names the container that has it.
 */
int container_name_take(struct engine *engine, const char *name, const char *id, struct error *err);
/** The id behind a name; -ENOENT. Does not check that the container exists. */
int container_name_read(struct engine *engine, const char *name, char **ret_id, struct error *err);
/** Removes the link if it still belongs to @id. */
void container_name_drop(struct engine *engine, const char *name, const char *id);
/** Removes every link to @id (after a crash, when no record tells the name). */
void container_name_drop_all(struct engine *engine, const char *id);
/** A name made of two words that is free, reserved for @id. Caller frees. */
int container_name_generate(struct engine *engine, const char *id, char **ret_name,
                            struct error *err);

#endif
