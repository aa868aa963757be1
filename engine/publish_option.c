#include "engine/publish_option.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/text.h"

struct range {
    uint16_t first, last;
};

void publish_option_clear(struct publish_option *option)
{
    free(option->ports);
    *option = (struct publish_option){ 0 };
}

/* "80", "80-90"; -EINVAL. */
static int parse_range(const char *text, uint16_t min, struct range *ret_range)
{
    size_t length = strcspn(text, "-");
    auto_free char *first_text = xstrndup(text, length);
    const char *last_text = text[length] == '-' ? text + length + 1 : first_text;
    uint64_t first = 0, last = 0;

    if (text_parse_u64(first_text, "port", UINT16_MAX, &first, NULL) < 0 ||
        text_parse_u64(last_text, "port", UINT16_MAX, &last, NULL) < 0 || first < min ||
        last < first)
        return -EINVAL;
    *ret_range = (struct range){ (uint16_t)first, (uint16_t)last };
    return 0;
}

/* @parts  address, ports of the machine, ports of the container: the last one to three of them */
static int parse_parts(const struct strings *parts, struct published_port *ret_port,
                       struct range *ret_host, struct range *ret_inner)
{
    const char *host = parts->count > 1 ? parts->items[parts->count - 2] : "";
    struct in_addr address;
    struct range any = { 0, 0 };

    if (parts->count > 3 || parse_range(parts->items[parts->count - 1], 1, ret_inner) < 0)
        return -EINVAL;
    if (parts->count == 3) {
        if (strlen(parts->items[0]) >= PUBLISHED_ADDRESS_MAX ||
            inet_pton(AF_INET, parts->items[0], &address) != 1)
            return -EINVAL;
        (void)snprintf(ret_port->address, sizeof(ret_port->address), "%s", parts->items[0]);
    }
    if (host[0] != '\0' && parse_range(host, 0, &any) < 0)
        return -EINVAL;
    *ret_host = any;
    if (any.last == 0)
        return 0;
    return any.first > 0 && any.last - any.first == ret_inner->last - ret_inner->first ? 0
                                                                                       : -EINVAL;
}

int publish_option_parse(const char *text, struct publish_option *ret_option, struct error *err)
{
    AUTO_CLEAR(strings) struct strings parts = { 0 };
    struct published_port port = { .address = "0.0.0.0" };
    struct range host = { 0 }, inner = { 0 };
    struct publish_option option = { 0 };
    const char *protocol;
    auto_free char *numbers = NULL;

    assert(text != NULL);
    assert(ret_option != NULL);

    protocol = strchr(text, '/');
    port.is_udp = text_equal(protocol, "/udp");
    numbers = protocol == NULL ? xstrdup(text) : xstrndup(text, (size_t)(protocol - text));
    strings_split(&parts, numbers, ':');
    if ((protocol != NULL && !port.is_udp && !text_equal(protocol, "/tcp")) ||
        parse_parts(&parts, &port, &host, &inner) < 0)
        return error_set(err, EINVAL,
                         "--publish '%s': give [[ADDRESS:]HOST:]PORT[/udp], an IPv4 address and "
                         "two ports, or two ranges of the same length",
                         text);
    option.count = (size_t)(inner.last - inner.first) + 1;
    option.ports = xcalloc(option.count, sizeof(*option.ports));
    for (size_t i = 0; i < option.count; i++) {
        option.ports[i] = port;
        option.ports[i].port = (uint16_t)(inner.first + i);
        option.ports[i].host_port = (uint16_t)(host.first == 0 ? 0 : host.first + i);
    }
    *ret_option = option;
    return 0;
}

static int find_free(struct published_port *port, int *ret_fd, struct error *err)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof(address);
    auto_close int fd =
        socket(AF_INET, (port->is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

    if (fd < 0 || inet_pton(AF_INET, port->address, &address.sin_addr) != 1 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return error_errno(err, "--publish: find a free port of %s", port->address);
    port->host_port = ntohs(address.sin_port);
    *ret_fd = take_fd(&fd);
    return 0;
}

/* Whether an earlier --publish has it already. */
static bool is_taken(const struct strings *published, const struct published_port *port)
{
    for (size_t i = 0; i < published->count; i++) {
        struct published_port other;

        if (published_port_parse(published->items[i], &other, NULL) == 0 &&
            other.host_port == port->host_port && other.is_udp == port->is_udp)
            return true;
    }
    return false;
}

/* The kernel knows nothing of those that this container has already. What it found is held, so that
 * each try gets another one, until there is none. */
static int choose_port(const struct strings *published, struct published_port *port,
                       struct error *err)
{
    auto_close int held = -1;
    int r = find_free(port, &held, err);

    if (r < 0 || !is_taken(published, port))
        return r;
    return choose_port(published, port, err);
}

int publish_option_apply(const struct publish_option *option, struct strings *published,
                         struct error *err)
{
    assert(option != NULL);
    assert(published != NULL);

    if (published->count + option->count > PUBLISHED_MAX)
        return error_set(err, E2BIG, "--publish: a container publishes at most %d ports",
                         PUBLISHED_MAX);
    for (size_t i = 0; i < option->count; i++) {
        struct published_port port = option->ports[i];
        auto_free char *text = NULL;
        int r = port.host_port == 0 ? choose_port(published, &port, err) : 0;

        if (r < 0)
            return r;
        text = published_port_format(&port);
        strings_add(published, text);
    }
    return 0;
}
