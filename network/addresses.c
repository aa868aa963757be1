#include "network/network.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "network/netlink.h"

struct listing {
    int index;
    struct network_addresses *addresses;
};

static size_t address_size(uint8_t family)
{
    return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

static bool copy(const struct nlmsghdr *message, uint16_t attribute, size_t size, uint8_t *bytes)
{
    const void *value = netlink_attribute(message, sizeof(struct ifaddrmsg), attribute, size);

    if (value != NULL)
        memcpy(bytes, value, size);
    return value != NULL;
}

static int add_address(const struct nlmsghdr *message, void *context)
{
    const struct ifaddrmsg *info = netlink_fixed(message, sizeof(*info));
    const struct listing *listing = context;
    struct network_addresses *addresses = listing->addresses;
    struct network_address address = { 0 };
    size_t size;

    if (message->nlmsg_type != RTM_NEWADDR || info == NULL ||
        (int)info->ifa_index != listing->index || info->ifa_scope != RT_SCOPE_UNIVERSE)
        return 0;
    size = address_size(info->ifa_family);
    address.family = info->ifa_family;
    address.prefix_length = info->ifa_prefixlen;
    address.size = (uint8_t)size;
    address.flags = info->ifa_flags;
    /* The field of the struct has room for the oldest eight flags only. */
    (void)copy(message, IFA_FLAGS, sizeof(address.flags), (uint8_t *)&address.flags);
    if (size == 0 || (address.flags & IFA_F_PERMANENT) == 0 ||
        !copy(message, IFA_ADDRESS, size, address.address))
        return 0;
    /* IPv6 tells IFA_LOCAL only for point-to-point links. */
    if (!copy(message, IFA_LOCAL, size, address.local))
        memcpy(address.local, address.address, size);
    address.has_broadcast = copy(message, IFA_BROADCAST, size, address.broadcast);
    addresses->items = xrealloc(addresses->items, addresses->count + 1, sizeof(address));
    addresses->items[addresses->count++] = address;
    return 0;
}

int network_addresses_list(int fd, int index, struct network_addresses *ret_addresses,
                           struct error *err)
{
    const struct ifaddrmsg all = { .ifa_family = AF_UNSPEC };
    struct network_addresses addresses = { 0 };
    struct listing listing = { .index = index, .addresses = &addresses };
    struct netlink_request request;
    int r;

    netlink_begin(&request, RTM_GETADDR, NLM_F_DUMP, &all, sizeof(all));
    r = netlink_call(fd, &request, add_address, &listing, err);
    if (r < 0) {
        network_addresses_clear(&addresses);
        return error_prefix(err, r, "list network addresses");
    }
    *ret_addresses = addresses;
    return 0;
}

void network_addresses_clear(struct network_addresses *addresses)
{
    free(addresses->items);
    *addresses = (struct network_addresses){ 0 };
}

int network_address_add(int fd, int index, const struct network_address *address, struct error *err)
{
    /* What the kernel finds out by itself (tentative, secondary, permanent) is not for us to say.
     */
    const uint32_t flags =
        address->flags & (IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR |
                          IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN);
    const struct ifaddrmsg info = {
        .ifa_family = address->family,
        .ifa_prefixlen = address->prefix_length,
        .ifa_scope = RT_SCOPE_UNIVERSE,
        .ifa_index = (uint32_t)index,
    };
    struct netlink_request request;

    assert(address->size == address_size(address->family));

    netlink_begin(&request, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &info,
                  sizeof(info));
    netlink_add(&request, IFA_LOCAL, address->local, address->size);
    netlink_add(&request, IFA_ADDRESS, address->address, address->size);
    if (address->has_broadcast)
        netlink_add(&request, IFA_BROADCAST, address->broadcast, address->size);
    netlink_add(&request, IFA_FLAGS, &flags, sizeof(flags));
    return netlink_call(fd, &request, NULL, NULL, err);
}

int network_address_remove(int fd, int index, const struct network_address *address,
                           struct error *err)
{
    const struct ifaddrmsg info = {
        .ifa_family = address->family,
        .ifa_prefixlen = address->prefix_length,
        .ifa_index = (uint32_t)index,
    };
    struct netlink_request request;

    netlink_begin(&request, RTM_DELADDR, NLM_F_ACK, &info, sizeof(info));
    netlink_add(&request, IFA_LOCAL, address->local, address->size);
    return netlink_call(fd, &request, NULL, NULL, err);
}

char *network_address_format(const struct network_address *address)
{
    char text[INET6_ADDRSTRLEN] = "";

    (void)inet_ntop(address->family, address->local, text, sizeof(text)); /* it has room */
    return xasprintf("%s/%u", text, address->prefix_length);
}

int network_address_parse(const char *text, struct network_address *ret_address, struct error *err)
{
    struct network_address address = { .family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET };
    const char *slash = strchr(text, '/');
    auto_free char *host = slash != NULL ? xstrndup(text, (size_t)(slash - text)) : xstrdup(text);
    uint64_t length;

    address.size = (uint8_t)address_size(address.family);
    length = (uint64_t)address.size * 8;
    if (inet_pton(address.family, host, address.local) != 1)
        return error_set(err, EINVAL, "'%s' is not an IP address", text);
    if (slash != NULL && text_parse_u64(slash + 1, "prefix", length, &length, err) < 0)
        return error_prefix(err, -EINVAL, "'%s'", text);
    address.prefix_length = (uint8_t)length;
    memcpy(address.address, address.local, sizeof(address.address));
    *ret_address = address;
    return 0;
}
