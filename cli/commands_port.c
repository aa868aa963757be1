#include "cli/berth.h"

#include <stdio.h>

#include "base/auto.h"

/* port: what leads into a container. */

int command_port(const struct arguments *arguments, void *context)
{
    const char *port = arguments->word_count > 1 ? arguments->words[1] : NULL;
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    struct berth *berth = context;
    auto_free char *id = NULL;
    struct error err = { 0 };

    if (berth_find(berth, arguments->words[0], &id, &err) < 0 ||
        engine_ports(berth->engine, id, port, &lines, &err) < 0)
        return berth_failed(&err, STATUS_FAILED);
    for (size_t i = 0; i < lines.count; i++)
        puts(lines.items[i]);
    return 0;
}
