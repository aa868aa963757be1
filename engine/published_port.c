#include "engine/published_port.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static int parse_number(const char *text, uint16_t *ret_number)
{
    uint64_t number = 0;

    if (text_parse_u64(text, "port", UINT16_MAX, &number, NULL) < 0 || number == 0)
        return -EINVAL;
    *ret_number = (uint16_t)number;
    return 0;
}

static bool is_address(const char *text)
{
    struct in_addr address;

    return strlen(text) < PUBLISHED_ADDRESS_MAX && inet_pton(AF_INET, text, &address) == 1;
}

int published_port_parse(const char *text, struct published_port *ret_port, struct error *err)
{
    AUTO_CLEAR(strings) struct strings parts = { 0 };
    struct published_port port = { .address = "0.0.0.0" };
    auto_free char *numbers = NULL;
    const char *protocol;
    size_t at;

    assert(text != NULL);
    assert(ret_port != NULL);

    protocol = strchr(text, '/');
    port.is_udp = text_equal(protocol, "/udp");
    numbers = protocol == NULL ? xstrdup(text) : xstrndup(text, (size_t)(protocol - text));
    strings_split(&parts, numbers, ':');
    at = parts.count == 3 ? 1 : 0;
    if ((protocol != NULL && !port.is_udp && !text_equal(protocol, "/tcp")) ||
        parts.count != at + 2 || (at == 1 && !is_address(parts.items[0])) ||
        parse_number(parts.items[at], &port.host_port) < 0 ||
        parse_number(parts.items[at + 1], &port.port) < 0)
        return error_set(err, EINVAL,
                         "--publish '%s': give [ADDRESS:]HOST:CONTAINER[/udp], an IPv4 address and "
                         "two ports",
                         text);
    if (at == 1)
        (void)snprintf(port.address, sizeof(port.address), "%s", parts.items[0]);
    *ret_port = port;
    return 0;
}

static const char *protocol_name(const struct published_port *port)
{
    return port->is_udp ? "udp" : "tcp";
}

char *published_port_format(const struct published_port *port)
{
    return xasprintf("%s:%u:%u/%s", port->address, port->host_port, port->port,
                     protocol_name(port));
}

char *published_port_show(const struct published_port *port)
{
    return xasprintf("%s:%u->%u/%s", port->address, port->host_port, port->port,
                     protocol_name(port));
}

/* "80", "80/tcp", "53/udp" */
static int parse_wanted(const char *text, struct published_port *ret_port, struct error *err)
{
    const char *protocol = strchr(text, '/');
    auto_free char *number =
        protocol == NULL ? xstrdup(text) : xstrndup(text, (size_t)(protocol - text));

    ret_port->is_udp = text_equal(protocol, "/udp");
    if ((protocol != NULL && !ret_port->is_udp && !text_equal(protocol, "/tcp")) ||
        parse_number(number, &ret_port->port) < 0)
        return error_set(err, EINVAL, "'%s' is no port: give PORT[/tcp|/udp]", text);
    return 0;
}

int published_ports_list(const struct strings *published, const char *wanted,
                         struct strings *ret_lines, struct error *err)
{
    struct published_port one = { 0 };
    size_t count = 0;
    int r;

    r = wanted != NULL ? parse_wanted(wanted, &one, err) : 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < published->count; i++) {
        struct published_port port;

        if (published_port_parse(published->items[i], &port, NULL) < 0 ||
            (wanted != NULL && (port.port != one.port || port.is_udp != one.is_udp)))
            continue;
        count++;
        if (wanted != NULL)
            strings_addf(ret_lines, "%s:%u", port.address, port.host_port);
        else
            strings_addf(ret_lines, "%u/%s -> %s:%u", port.port, protocol_name(&port), port.address,
                         port.host_port);
    }
    if (wanted != NULL && count == 0)
        return error_set(err, ENOENT, "no port of the machine leads to its port %u/%s", one.port,
                         protocol_name(&one));
    return 0;
}
