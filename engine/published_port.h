#ifndef ENGINE_PUBLISHED_PORT_H
#define ENGINE_PUBLISHED_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

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

#endif
