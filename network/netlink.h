#ifndef NETWORK_NETLINK_H
#define NETWORK_NETLINK_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Requests to rtnetlink(7) and their answers (netlink(7)): a message is a header, the fixed struct
 * of its type, then attributes. */

#define NETLINK_REQUEST_MAX 512

struct netlink_request {
    _Alignas(struct nlmsghdr) char bytes[NETLINK_REQUEST_MAX];
    size_t length;
};

/** @fixed  the struct of the type: struct ifinfomsg, struct ifaddrmsg */
void netlink_begin(struct netlink_request *request, uint16_t type, uint16_t flags,
                   const void *fixed, size_t fixed_size);
void netlink_add(struct netlink_request *request, uint16_t attribute, const void *value,
                 size_t length);

/** Begins an attribute that holds others; they are added until netlink_nest_end(). Returns its
 * place, for that. */
size_t netlink_nest_begin(struct netlink_request *request, uint16_t attribute);
void netlink_nest_end(struct netlink_request *request, size_t start);

/** Called for each message of an answer; @length counts its header. A negative result ends it. */
typedef int netlink_visitor(const struct nlmsghdr *message, void *context);

/**
 * Sends a request and takes the answer up to its end, acknowledgement or error.
 *
 * @visit  NULL: an acknowledgement is all that is expected
 *
 * Errors carry what the kernel says in words, when it does (NETLINK_EXT_ACK).
 */
int netlink_call(int fd, struct netlink_request *request, netlink_visitor *visit, void *context,
                 struct error *err);

/**
 * The value of an attribute, borrowed from the message; NULL when it is not there or shorter than
 * @length.
 *
 * @fixed_size  of the struct between header and attributes
 */
const void *netlink_attribute(const struct nlmsghdr *message, size_t fixed_size, uint16_t attribute,
                              size_t length);
/** A text attribute that ends within the message; NULL otherwise. */
const char *netlink_text(const struct nlmsghdr *message, size_t fixed_size, uint16_t attribute);
/** The fixed struct; NULL when the message is too short for it. */
const void *netlink_fixed(const struct nlmsghdr *message, size_t fixed_size);

#endif
