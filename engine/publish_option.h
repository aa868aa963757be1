#ifndef ENGINE_PUBLISH_OPTION_H
#define ENGINE_PUBLISH_OPTION_H

#include <stddef.h>

#include "base/error.h"
#include "engine/published_port.h"

/* What --publish takes, which is more than one port. */

/* Of one container: fewer than there are free ones, which an image may ask for, too. */
#define PUBLISHED_MAX 1024

struct publish_option {
    struct published_port *ports; /* host_port 0: one that is free */
    size_t count;
};
void publish_option_clear(struct publish_option *option);

/**
 * "[ADDRESS:][HOST]:PORT[/tcp|/udp]" or "PORT[/tcp|/udp]", where HOST and PORT may be ranges of the
 * same length, as 8000-8003.
 *
 * @ret_option  at least one port; the caller clears it
 *
 * -EINVAL: anything else.
 */
int publish_option_parse(const char *text, struct publish_option *ret_option, struct error *err);

/**
 * Finds ports of the machine that are free now and adds all to @published, as
 * published_port_format() makes them. Another program may take one before the container does, which
 * then says so.
 *
 * -E2BIG: they would be more than PUBLISHED_MAX.
 */
int publish_option_apply(const struct publish_option *option, struct strings *published,
                         struct error *err);

#endif
