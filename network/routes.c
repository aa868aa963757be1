#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "network/netlink.h"
#include "network/network.h"

struct listing {
    int index;
    struct network_routes *routes;
};

static size_t address_size(uint8_t family)
{
    return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

static bool is_of_interface(const struct nlmsghdr *message, int index)
{
    const int32_t *interface =
        netlink_attribute(message, sizeof(struct rtmsg), RTA_OIF, sizeof(*interface));
    int32_t found;

    if (interface == NULL)
        return false;
    memcpy(&found, interface, sizeof(found));
    return found == index;
}

static int add_route(const struct nlmsghdr *message, void *context)
{
    const struct rtmsg *info = netlink_fixed(message, sizeof(*info));
    const struct listing *listing = context;
    struct network_routes *routes = listing->routes;
    struct network_route route = { 0 };
    const void *value;
    size_t size;

    if (message->nlmsg_type != RTM_NEWROUTE || info == NULL || info->rtm_table != RT_TABLE_MAIN ||
        info->rtm_type != RTN_UNICAST || info->rtm_protocol == RTPROT_KERNEL ||
        (info->rtm_flags & RTM_F_CLONED) != 0 || !is_of_interface(message, listing->index))
        return 0;
    size = address_size(info->rtm_family);
    if (size == 0)
        return 0;
    route.family = info->rtm_family;
    route.prefix_length = info->rtm_dst_len;
    route.size = (uint8_t)size;
    value = netlink_attribute(message, sizeof(*info), RTA_DST, size);
    if (value != NULL)
        memcpy(route.destination, value, size);
    value = netlink_attribute(message, sizeof(*info), RTA_GATEWAY, size);
    route.has_gateway = value != NULL;
    if (value != NULL)
        memcpy(route.gateway, value, size);
    value = netlink_attribute(message, sizeof(*info), RTA_PRIORITY, sizeof(route.metric));
    if (value != NULL)
        memcpy(&route.metric, value, sizeof(route.metric));
    routes->items = xrealloc(routes->items, routes->count + 1, sizeof(route));
    routes->items[routes->count++] = route;
    return 0;
}

int network_routes_list(int fd, int index, struct network_routes *ret_routes, struct error *err)
{
    const struct rtmsg all = { .rtm_family = AF_UNSPEC };
    struct network_routes routes = { 0 };
    struct listing listing = { .index = index, .routes = &routes };
    struct netlink_request request;
    int r;

    netlink_begin(&request, RTM_GETROUTE, NLM_F_DUMP, &all, sizeof(all));
    r = netlink_call(fd, &request, add_route, &listing, err);
    if (r < 0) {
        network_routes_clear(&routes);
        return error_prefix(err, r, "list routes");
    }
    *ret_routes = routes;
    return 0;
}

void network_routes_clear(struct network_routes *routes)
{
    free(routes->items);
    *routes = (struct network_routes){ 0 };
}

int network_route_add(int fd, int index, const struct network_route *route, struct error *err)
{
    const struct rtmsg info = {
        .rtm_family = route->family,
        .rtm_dst_len = route->prefix_length,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_BOOT,
        .rtm_scope = route->has_gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
        .rtm_type = RTN_UNICAST,
    };
    const int32_t interface = index;
    struct netlink_request request;

    assert(route->size == address_size(route->family));

    netlink_begin(&request, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &info,
                  sizeof(info));
    if (route->prefix_length > 0)
        netlink_add(&request, RTA_DST, route->destination, route->size);
    if (route->has_gateway)
        netlink_add(&request, RTA_GATEWAY, route->gateway, route->size);
    if (route->metric > 0)
        netlink_add(&request, RTA_PRIORITY, &route->metric, sizeof(route->metric));
    netlink_add(&request, RTA_OIF, &interface, sizeof(interface));
    return netlink_call(fd, &request, NULL, NULL, err);
}
