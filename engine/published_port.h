#ifndef ENGINE_PUBLISHED_PORT_H
#define ENGINE_PUBLISHED_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

#define PUBLISHED_ADDRESS_MAX 16

/* A port of the machine that leads to one of a container: --publish. */
struct published_port {
    char address[PUBLISHED_ADDRESS_MAX]; /* IPv4, of the machine: "0.0.0.0" */
    uint16_t host_port, port;
    bool is_udp;
};

/** Parses "[ADDRESS:]HOST:CONTAINER[/tcp|/udp]". */
int published_port_parse(const char *text, struct published_port *ret_port, struct error *err);
/** As published_port_parse() takes it, with all that may be left out. Caller frees. */
char *published_port_format(const struct published_port *port);
/** As `ps` shows it: "0.0.0.0:8080->80/tcp". Caller frees. */
char *published_port_show(const struct published_port *port);
/**
 * What `port` prints.
 *
 * @published  as published_port_format() makes them
 * @wanted     a port of the container, "80" or "53/udp": adds "0.0.0.0:8080" for each that leads to
 *             it; NULL: adds "80/tcp -> 0.0.0.0:8080" for all
 *
 * -EINVAL: @wanted is no port. -ENOENT: nothing leads to it.
 */
int published_ports_list(const struct strings *published, const char *wanted,
                         struct strings *ret_lines, struct error *err);

#endif
