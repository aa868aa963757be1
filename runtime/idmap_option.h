#ifndef RUNTIME_IDMAP_OPTION_H
#define RUNTIME_IDMAP_OPTION_H

#include "base/error.h"
#include "runtime/spec.h"

/**
 * Parses crun's mappings of a mount option "idmap=TEXT" or "ridmap=TEXT"; pure.
 *
 *     uids=0-1000-10#10-2000-5;gids=0-1000-10
 *
 * Each triple has the first id on disk, the first id of the host, and how many. With "@" in front
 * the second is an id of the container, and becomes what its user namespace maps that to. Without
 * "uids" or "gids" those of the container's user namespace are meant.
 *
 * @ret_uids, @ret_gids  items are the caller's to free
 *
 * -EINVAL: "mapping '1-2': is not three numbers with '-' between".
 */
int idmap_option_parse(const char *text, const struct spec_linux *linux_,
                       struct spec_id_mappings *ret_uids, struct spec_id_mappings *ret_gids,
                       struct error *err);

#endif
