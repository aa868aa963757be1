#include "microvm/agent.h"

#include <errno.h>

#include "network/network.h"

int agent_set_up_network(const struct agent_interfaces *interfaces, struct error *err)
{
    auto_close int fd = -1;
    int r;

    (void)interfaces;
    r = network_open(&fd, err);
    if (r < 0)
        return r;
    return network_link_set_up(fd, 1, true, err); /* the loopback is always the first */
}
