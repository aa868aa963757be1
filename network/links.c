#include "network/network.h"

#include <errno.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network/netlink.h"

static int add_link(const struct nlmsghdr *message, void *context)
{
    const struct ifinfomsg *info = netlink_fixed(message, sizeof(*info));
    const char *name = netlink_text(message, sizeof(*info), IFLA_IFNAME);
    struct network_links *links = context;
    struct network_link *link;
    const void *mac, *mtu;

    if (message->nlmsg_type != RTM_NEWLINK || info == NULL || name == NULL ||
        strlen(name) >= IFNAMSIZ)
        return 0;
    links->items = xrealloc(links->items, links->count + 1, sizeof(links->items[0]));
    link = &links->items[links->count++];
    *link = (struct network_link){
        .index = info->ifi_index,
        .is_up = (info->ifi_flags & IFF_UP) != 0,
    };
    (void)strcpy(link->name, name);
    mac = netlink_attribute(message, sizeof(*info), IFLA_ADDRESS, sizeof(link->mac));
    link->is_ethernet = info->ifi_type == ARPHRD_ETHER && mac != NULL;
    if (link->is_ethernet)
        memcpy(link->mac, mac, sizeof(link->mac));
    mtu = netlink_attribute(message, sizeof(*info), IFLA_MTU, sizeof(link->mtu));
    if (mtu != NULL)
        memcpy(&link->mtu, mtu, sizeof(link->mtu));
    return 0;
}

int network_links_list(int fd, struct network_links *ret_links, struct error *err)
{
    const struct ifinfomsg all = { .ifi_family = AF_UNSPEC };
    struct network_links links = { 0 };
    struct netlink_request request;
    int r;

    netlink_begin(&request, RTM_GETLINK, NLM_F_DUMP, &all, sizeof(all));
    r = netlink_call(fd, &request, add_link, &links, err);
    if (r < 0) {
        network_links_clear(&links);
        return error_prefix(err, r, "list network interfaces");
    }
    *ret_links = links;
    return 0;
}

void network_links_clear(struct network_links *links)
{
    free(links->items);
    *links = (struct network_links){ 0 };
}

const struct network_link *network_links_find(const struct network_links *links, const char *name)
{
    for (size_t i = 0; i < links->count; i++) {
        if (strcmp(links->items[i].name, name) == 0)
            return &links->items[i];
    }
    return NULL;
}

int network_links_name(const struct network_links *links, const char *name, char *ret_name,
                       struct error *err)
{
    const char *number = strstr(name, "%d");
    int length;

    if (number == NULL) {
        if (network_links_find(links, name) != NULL)
            return error_set(err, EEXIST, "there is an interface '%s' already", name);
        length = snprintf(ret_name, IFNAMSIZ, "%s", name);
        return length >= IFNAMSIZ ? error_set(err, ENAMETOOLONG, "'%s' is too long", name) : 0;
    }
    /* One of so many names is free. */
    for (size_t i = 0; i <= links->count; i++) {
        length = snprintf(ret_name, IFNAMSIZ, "%.*s%zu%s", (int)(number - name), name, i,
                          number + strlen("%d"));
        if (length >= IFNAMSIZ)
            return error_set(err, ENAMETOOLONG, "'%s' is too long with its number", name);
        if (network_links_find(links, ret_name) == NULL)
            return 0;
    }
    return error_set(err, EEXIST, "no name '%s' is free", name);
}

int network_link_set_up(int fd, int index, bool is_up, struct error *err)
{
    const struct ifinfomsg info = {
        .ifi_family = AF_UNSPEC,
        .ifi_index = index,
        .ifi_flags = is_up ? IFF_UP : 0,
        .ifi_change = IFF_UP,
    };
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWLINK, NLM_F_ACK, &info, sizeof(info));
    return netlink_call(fd, &request, NULL, NULL, err);
}

int network_link_set_mtu(int fd, int index, uint32_t mtu, struct error *err)
{
    const struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = index };
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWLINK, NLM_F_ACK, &info, sizeof(info));
    netlink_add(&request, IFLA_MTU, &mtu, sizeof(mtu));
    return netlink_call(fd, &request, NULL, NULL, err);
}

int network_link_set_mac(int fd, int index, const uint8_t mac[6], struct error *err)
{
    const struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = index };
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWLINK, NLM_F_ACK, &info, sizeof(info));
    netlink_add(&request, IFLA_ADDRESS, mac, 6);
    return netlink_call(fd, &request, NULL, NULL, err);
}

int network_link_rename(int fd, int index, const char *name, struct error *err)
{
    const struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = index };
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWLINK, NLM_F_ACK, &info, sizeof(info));
    netlink_add(&request, IFLA_IFNAME, name, strlen(name) + 1);
    return netlink_call(fd, &request, NULL, NULL, err);
}

int network_link_move(int fd, int index, const char *name, int namespace_fd, struct error *err)
{
    const struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = index };
    const uint32_t target = (uint32_t)namespace_fd;
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWLINK, NLM_F_ACK, &info, sizeof(info));
    netlink_add(&request, IFLA_NET_NS_FD, &target, sizeof(target));
    netlink_add(&request, IFLA_IFNAME, name, strlen(name) + 1);
    return netlink_call(fd, &request, NULL, NULL, err);
}
