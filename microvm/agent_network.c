#include "microvm/agent.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "network/network.h"

static char *format_mac(const uint8_t mac[6])
{
    return xasprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                     mac[5]);
}

static const struct network_link *find_by_mac(const struct network_links *links, const char *mac)
{
    for (size_t i = 0; i < links->count; i++) {
        auto_free char *text = format_mac(links->items[i].mac);

        if (links->items[i].is_ethernet && strcmp(text, mac) == 0)
            return &links->items[i];
    }
    return NULL;
}

static int add_address(int fd, int index, const char *text, struct error *err)
{
    struct network_address address;
    int r;

    r = network_address_parse(text, &address, err);
    if (r < 0)
        return r;
    /* It has been checked on the host. */
    if (address.family == AF_INET6)
        address.flags = IFA_F_NODAD;
    return network_address_add(fd, index, &address, err);
}

static int add_route(int fd, int index, const struct agent_route *route, struct error *err)
{
    struct network_address destination;
    struct network_route added = { .metric = route->metric };
    int r;

    r = network_address_parse(route->destination, &destination, err);
    if (r < 0)
        return r;
    added.family = destination.family;
    added.size = destination.size;
    added.prefix_length = destination.prefix_length;
    memcpy(added.destination, destination.local, sizeof(added.destination));
    added.has_gateway = route->gateway != NULL;
    if (added.has_gateway && inet_pton(added.family, route->gateway, added.gateway) != 1)
        return error_set(err, EINVAL, "'%s' is not an IP address", route->gateway);
    r = network_route_add(fd, index, &added, err);
    return r < 0 ? error_prefix(err, r, "route to %s", route->destination) : 0;
}

/* A route by way of a gateway can be set once the gateway is on the link, which another route may
 * say. */
static int add_routes(int fd, int index, const struct agent_routes *routes, struct error *err)
{
    int r = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < routes->count && r == 0; i++) {
            if ((routes->items[i].gateway != NULL) == (pass == 1))
                r = add_route(fd, index, &routes->items[i], err);
        }
    }
    return r;
}

static int set_mac(int fd, int index, const char *text, struct error *err)
{
    uint8_t mac[6];

    if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &mac[0], &mac[1], &mac[2], &mac[3],
               &mac[4], &mac[5]) != 6)
        return error_set(err, EINVAL, "'%s' is not a hardware address", text);
    return network_link_set_mac(fd, index, mac, err);
}

static int configure(int fd, const struct network_link *link,
                     const struct agent_interface *interface, struct error *err)
{
    int r = 0;

    if (interface->mtu > 0 && interface->mtu != link->mtu)
        r = network_link_set_mtu(fd, link->index, interface->mtu, err);
    if (r == 0)
        r = network_link_set_up(fd, link->index, true, err);
    for (size_t i = 0; i < interface->addresses.count && r == 0; i++)
        r = add_address(fd, link->index, interface->addresses.items[i], err);
    if (r == 0)
        r = add_routes(fd, link->index, &interface->routes, err);
    return r < 0 ? error_prefix(err, r, "interface %s", interface->name) : 0;
}

static int set_up(int fd, const struct network_links *links,
                  const struct agent_interface *interface, struct error *err)
{
    const char *mac = interface->device_mac != NULL ? interface->device_mac : interface->mac;
    const struct network_link *link = find_by_mac(links, mac);
    int r = 0;

    if (link == NULL)
        return error_set(err, ENODEV, "there is no network card %s", mac);
    if (interface->device_mac != NULL)
        r = set_mac(fd, link->index, interface->mac, err);
    if (r == 0 && strcmp(link->name, interface->name) != 0)
        r = network_link_rename(fd, link->index, interface->name, err);
    return r < 0 ? error_prefix(err, r, "interface %s", interface->name)
                 : configure(fd, link, interface, err);
}

int agent_set_up_network(const struct agent_interfaces *interfaces, struct error *err)
{
    struct network_links links = { 0 };
    auto_close int fd = -1;
    int r;

    r = network_open(&fd, err);
    if (r == 0)
        r = network_link_set_up(fd, 1, true, err); /* the loopback is always the first */
    if (r == 0 && interfaces->count > 0)
        r = network_links_list(fd, &links, err);
    for (size_t i = 0; i < interfaces->count && r == 0; i++)
        r = set_up(fd, &links, &interfaces->items[i], err);
    network_links_clear(&links);
    return r;
}

/* Then its routes and connections are left alone. */
static bool is_as_wanted(const struct network_link *link, const struct network_addresses *addresses,
                         const struct agent_interface *interface)
{
    auto_free char *mac = format_mac(link->mac);
    bool is_same =
        strcmp(mac, interface->mac) == 0 && addresses->count == interface->addresses.count;

    for (size_t i = 0; i < addresses->count && is_same; i++) {
        auto_free char *text = network_address_format(&addresses->items[i]);

        is_same = strcmp(text, interface->addresses.items[i]) == 0;
    }
    return is_same;
}

static int change(int fd, const struct network_links *links,
                  const struct agent_interface *interface, struct error *err)
{
    const struct network_link *link = network_links_find(links, interface->name);
    struct network_addresses addresses = { 0 };
    bool is_done;
    int r;

    if (link == NULL)
        return error_set(err, ENODEV, "there is no interface %s in the guest", interface->name);
    r = network_addresses_list(fd, link->index, &addresses, err);
    is_done = r == 0 && is_as_wanted(link, &addresses, interface);
    for (size_t i = 0; i < addresses.count && r == 0 && !is_done; i++)
        r = network_address_remove(fd, link->index, &addresses.items[i], err);
    network_addresses_clear(&addresses);
    if (r < 0 || is_done)
        return r;
    /* With the link the other addresses and all routes go: what is set now is all that there is. */
    r = network_link_set_up(fd, link->index, false, err);
    if (r == 0)
        r = set_mac(fd, link->index, interface->mac, err);
    return r < 0 ? r : configure(fd, link, interface, err);
}

int agent_change_network(const struct agent_interfaces *interfaces, struct error *err)
{
    struct network_links links = { 0 };
    auto_close int fd = -1;
    int r;

    if (interfaces->count == 0)
        return 0;
    r = network_open(&fd, err);
    if (r == 0)
        r = network_links_list(fd, &links, err);
    for (size_t i = 0; i < interfaces->count && r == 0; i++)
        r = change(fd, &links, &interfaces->items[i], err);
    network_links_clear(&links);
    return r;
}
