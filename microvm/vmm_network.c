#include "microvm/vmm_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "network/network.h"

static void routes_clear(struct agent_routes *routes)
{
    for (size_t i = 0; i < routes->count; i++) {
        free(routes->items[i].destination);
        free(routes->items[i].gateway);
    }
    free(routes->items);
}

void vmm_network_clear(struct agent_interfaces *interfaces)
{
    for (size_t i = 0; i < interfaces->count; i++) {
        free(interfaces->items[i].mac);
        free(interfaces->items[i].device_mac);
        free(interfaces->items[i].name);
        strings_clear(&interfaces->items[i].addresses);
        routes_clear(&interfaces->items[i].routes);
    }
    free(interfaces->items);
    *interfaces = (struct agent_interfaces){ 0 };
}

static void add_route(const struct network_route *route, struct agent_interface *interface)
{
    struct agent_routes *routes = &interface->routes;
    struct agent_route added = { .metric = route->metric, .family = route->family };
    char text[INET6_ADDRSTRLEN] = "";

    (void)inet_ntop(route->family, route->destination, text, sizeof(text)); /* it has room */
    added.destination = xasprintf("%s/%u", text, route->prefix_length);
    if (route->has_gateway) {
        (void)inet_ntop(route->family, route->gateway, text, sizeof(text));
        added.gateway = xstrdup(text);
    }
    routes->items = xrealloc(routes->items, routes->count + 1, sizeof(added));
    routes->items[routes->count++] = added;
}

static char *format_mac(const uint8_t mac[6])
{
    return xasprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                     mac[5]);
}

static int describe(int fd, const struct network_link *link,
                    const struct network_addresses *addresses, struct agent_interface *interface,
                    struct error *err)
{
    struct network_routes routes = { 0 };
    const uint8_t *mac = link->mac;
    int r;

    interface->name = xstrdup(link->name);
    interface->mtu = link->mtu;
    interface->mac = format_mac(mac);
    for (size_t i = 0; i < addresses->count; i++)
        strings_take(&interface->addresses, network_address_format(&addresses->items[i]));
    r = network_routes_list(fd, link->index, &routes, err);
    for (size_t i = 0; i < routes.count; i++)
        add_route(&routes.items[i], interface);
    network_routes_clear(&routes);
    return r;
}

/* The tap's index is found by its name: the kernel tells it nowhere else. */
static int find_index(int fd, const char *name, int *ret_index, struct error *err)
{
    struct network_links links = { 0 };
    const struct network_link *link;
    int r;

    r = network_links_list(fd, &links, err);
    if (r < 0)
        return r;
    link = network_links_find(&links, name);
    if (link != NULL)
        *ret_index = link->index;
    r = link != NULL ? 0 : error_set(err, ENOENT, "the tap '%s' is gone", name);
    network_links_clear(&links);
    return r;
}

static int connect_tap(int fd, const struct network_link *link, const char *name, int *ret_tap_fd,
                       struct error *err)
{
    auto_close int tap_fd = -1;
    int index = 0, r;

    r = network_tap_open(name, &tap_fd, err);
    if (r == 0)
        r = find_index(fd, name, &index, err);
    if (r == 0)
        r = network_link_set_mtu(fd, index, link->mtu, err);
    if (r == 0)
        r = network_link_set_up(fd, index, true, err);
    if (r == 0)
        r = network_redirect(fd, link->index, index, err);
    if (r == 0)
        r = network_redirect(fd, index, link->index, err);
    if (r == 0)
        r = network_require_sender(fd, index, link->mac, err);
    if (r == 0)
        *ret_tap_fd = take_fd(&tap_fd);
    return r;
}

static int add_interface(int fd, const struct network_link *link,
                         const struct network_addresses *addresses, struct machine_config *config,
                         struct agent_interfaces *interfaces, struct error *err)
{
    struct machine_tap *tap = &config->taps[config->tap_count];
    auto_free char *name = xasprintf("berth-tap%zu", config->tap_count);
    struct agent_interface *interface;
    int r;

    if (!link->is_ethernet)
        return error_set(err, EOPNOTSUPP,
                         "is no Ethernet interface, which a microVM needs; use another network");
    if (config->tap_count == MACHINE_TAPS_MAX)
        return error_set(err, EOPNOTSUPP, "a microVM has at most %d interfaces", MACHINE_TAPS_MAX);
    interfaces->items = xrealloc(interfaces->items, interfaces->count + 1, sizeof(*interface));
    interface = &interfaces->items[interfaces->count++];
    *interface = (struct agent_interface){ 0 };
    r = describe(fd, link, addresses, interface, err);
    if (r == 0)
        r = connect_tap(fd, link, name, &tap->fd, err);
    if (r < 0)
        return r;
    memcpy(tap->mac, link->mac, sizeof(tap->mac));
    config->tap_count++;
    return 0;
}

static int visit_link(int fd, const struct network_link *link, struct machine_config *config,
                      struct agent_interfaces *interfaces, struct error *err)
{
    struct network_addresses addresses = { 0 };
    int r;

    if (strcmp(link->name, "lo") == 0)
        return 0;
    r = network_addresses_list(fd, link->index, &addresses, err);
    if (r == 0 && addresses.count > 0)
        r = add_interface(fd, link, &addresses, config, interfaces, err);
    network_addresses_clear(&addresses);
    return r < 0 ? error_prefix(err, r, "interface %s", link->name) : 0;
}

int vmm_network_open(struct machine_config *config, struct agent_interfaces *interfaces,
                     struct error *err)
{
    struct network_links links = { 0 };
    auto_close int fd = -1;
    int r;

    r = network_open(&fd, err);
    if (r == 0)
        r = network_links_list(fd, &links, err);
    for (size_t i = 0; i < links.count && r == 0; i++)
        r = visit_link(fd, &links.items[i], config, interfaces, err);
    network_links_clear(&links);
    return r;
}

void vmm_network_use_card_macs(struct machine_config *config, struct agent_interfaces *interfaces)
{
    for (size_t i = 0; i < config->tap_count; i++) {
        const uint8_t mac[6] = { 0x02, 'b', 'e', 'r', 't', (uint8_t)i };

        memcpy(config->taps[i].mac, mac, sizeof(mac));
        interfaces->items[i].device_mac = format_mac(mac);
    }
}
