#ifndef ENGINE_RESOLV_CONF_H
#define ENGINE_RESOLV_CONF_H

#include "base/error.h"
#include "engine/engine.h"

/* /etc/resolv.conf of a container: that of whose network it has, with what --dns, --dns-search and
 * --dns-option say instead; pure. */

/**
 * Replaces the lines that @settings has others for; all others stay.
 *
 * @base      the text of the file so far; NULL: none
 * @ret_text  caller frees
 *
 * -EINVAL: a server that is no address, or a word with a space or a line end in it.
 *
 * See: resolv.conf(5)
 */
int resolv_conf_plan(const struct settings *settings, const char *base, char **ret_text,
                     struct error *err);

#endif
