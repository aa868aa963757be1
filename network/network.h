#ifndef NETWORK_NETWORK_H
#define NETWORK_NETWORK_H

#include <linux/filter.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

/* Network interfaces by rtnetlink(7). A connection belongs to the network namespace in which it was
 * opened, whatever namespace its owner is in later. */

/** A connection to the kernel's routing socket in the caller's network namespace. Close it. */
int network_open(int *ret_fd, struct error *err);

/* --- links.c ---------------------------------------------------------------------------------- */

struct network_link {
    int index;
    bool is_up;
    bool is_ethernet;
    char name[IFNAMSIZ];
    uint8_t mac[6]; /* of Ethernet */
    uint32_t mtu;
};
struct network_links {
    struct network_link *items;
    size_t count;
};

/** Every interface of the connection's namespace. Release with network_links_clear(). */
int network_links_list(int fd, struct network_links *ret_links, struct error *err);
void network_links_clear(struct network_links *links);
/** The one called @name, borrowed; NULL when there is none. */
const struct network_link *network_links_find(const struct network_links *links, const char *name);

/**
 * The name that a new interface gets among @links: @name itself, or, when it has "%d", with the
 * lowest number that is free, as the kernel chooses (netdevice.c, dev_alloc_name); pure.
 *
 * @ret_name  room for IFNAMSIZ bytes
 *
 * -EEXIST: it is taken. -ENAMETOOLONG: with its number it is too long.
 */
int network_links_name(const struct network_links *links, const char *name, char *ret_name,
                       struct error *err);

int network_link_set_up(int fd, int index, bool is_up, struct error *err);
int network_link_set_mtu(int fd, int index, uint32_t mtu, struct error *err);
/** Sets the hardware address of an Ethernet interface. */
int network_link_set_mac(int fd, int index, const uint8_t mac[6], struct error *err);
/** Gives an interface that is down another name. */
int network_link_rename(int fd, int index, const char *name, struct error *err);

/**
 * Moves an interface into another network namespace under a name there. Its addresses are lost,
 * for the kernel closes it; hardware address and MTU stay.
 *
 * @fd            connection in the namespace where it is
 * @namespace_fd  where it goes
 */
int network_link_move(int fd, int index, const char *name, int namespace_fd, struct error *err);

/* --- addresses.c ------------------------------------------------------------------------------ */

struct network_address {
    uint8_t family, prefix_length;
    uint32_t flags;      /* IFA_F_* */
    uint8_t size;        /* bytes of each address: 4 or 16 */
    uint8_t local[16];   /* of this end */
    uint8_t address[16]; /* the same, or of the other end of a point-to-point link */
    bool has_broadcast;
    uint8_t broadcast[16];
};
struct network_addresses {
    struct network_address *items;
    size_t count;
};

/**
 * The permanent addresses of global scope of one interface, in their order.
 *
 * Release with network_addresses_clear(); rfc3549 2.3.3.2 (scope), rtnetlink(7).
 */
int network_addresses_list(int fd, int index, struct network_addresses *ret_addresses,
                           struct error *err);
void network_addresses_clear(struct network_addresses *addresses);
/** Gives an interface one more address. */
int network_address_add(int fd, int index, const struct network_address *address,
                        struct error *err);
/** Takes one away; the routes that go with it are the kernel's to remove. */
int network_address_remove(int fd, int index, const struct network_address *address,
                           struct error *err);
/** "10.1.2.3/24", "fd00::1/64". Caller frees. */
char *network_address_format(const struct network_address *address);
/** -EINVAL names the text. */
int network_address_parse(const char *text, struct network_address *ret_address, struct error *err);

/* --- routes.c --------------------------------------------------------------------------------- */

/* A route of the main table by way of one interface. */
struct network_route {
    uint8_t family, prefix_length;
    uint8_t size;            /* bytes of each address */
    uint8_t destination[16]; /* all zero with a prefix_length of 0: the default */
    bool has_gateway;
    uint8_t gateway[16];
    uint32_t metric;
};
struct network_routes {
    struct network_route *items;
    size_t count;
};

/**
 * Routes of one interface that somebody set; not those that the kernel made for its addresses, nor
 * to many destinations at once. Release with network_routes_clear().
 */
int network_routes_list(int fd, int index, struct network_routes *ret_routes, struct error *err);
void network_routes_clear(struct network_routes *routes);
int network_route_add(int fd, int index, const struct network_route *route, struct error *err);

/* --- tap.c ------------------------------------------------------------------------------------ */

/**
 * Makes a tap in the caller's network namespace, for a virtual machine: packets with the header of
 * virtio (IFF_VNET_HDR). It is gone with the descriptor.
 *
 * @name  of the interface
 */
int network_tap_open(const char *name, int *ret_fd, struct error *err);

/**
 * Sends all that an interface receives out at another one, before the kernel looks at it
 * (tc-mirred(8), ingress). It takes the place of an earlier redirection, whose target may be gone.
 */
int network_redirect(int fd, int from_index, int to_index, struct error *err);

/**
 * Drops what an interface, which is redirected, receives from another hardware address than @mac
 * (tc-bpf(8), direct action).
 */
int network_require_sender(int fd, int index, const uint8_t mac[6], struct error *err);

#define NETWORK_SENDER_LENGTH 6
/** The program that says so, with an action of tc(8) for its result. */
void network_sender_plan(const uint8_t mac[6], struct sock_filter program[NETWORK_SENDER_LENGTH]);

#endif
