#include "network/netlink.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "network/network.h"

/* The kernel fills answers up to this size (netlink(7); rtnetlink dumps use 32 KiB at most). */
#define ANSWER_BYTES 32768

int network_open(int *ret_fd, struct error *err)
{
    auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int one = 1;

    if (fd < 0)
        return error_errno(err, "open a connection to rtnetlink");
    /* Without it errors are numbers only. */
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
    *ret_fd = take_fd(&fd);
    return 0;
}

void netlink_begin(struct netlink_request *request, uint16_t type, uint16_t flags,
                   const void *fixed, size_t fixed_size)
{
    struct nlmsghdr header = {
        .nlmsg_type = type,
        .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
    };

    assert(NLMSG_SPACE(fixed_size) <= sizeof(request->bytes));

    memset(request->bytes, 0, sizeof(request->bytes));
    memcpy(request->bytes, &header, sizeof(header));
    memcpy(request->bytes + NLMSG_HDRLEN, fixed, fixed_size);
    request->length = NLMSG_SPACE(fixed_size);
}

void netlink_add(struct netlink_request *request, uint16_t attribute, const void *value,
                 size_t length)
{
    struct rtattr header = {
        .rta_len = (unsigned short)RTA_LENGTH(length),
        .rta_type = attribute,
    };

    assert(request->length + RTA_SPACE(length) <= sizeof(request->bytes));

    memcpy(request->bytes + request->length, &header, sizeof(header));
    if (length > 0)
        memcpy(request->bytes + request->length + RTA_LENGTH(0), value, length);
    request->length += RTA_SPACE(length);
}

size_t netlink_nest_begin(struct netlink_request *request, uint16_t attribute)
{
    size_t start = request->length;

    netlink_add(request, attribute, NULL, 0);
    return start;
}

void netlink_nest_end(struct netlink_request *request, size_t start)
{
    unsigned short length = (unsigned short)(request->length - start);

    memcpy(request->bytes + start + offsetof(struct rtattr, rta_len), &length, sizeof(length));
}

/* --- answers ---------------------------------------------------------------------------------- */

const void *netlink_fixed(const struct nlmsghdr *message, size_t fixed_size)
{
    if (message->nlmsg_len < NLMSG_LENGTH(fixed_size))
        return NULL;
    return (const char *)message + NLMSG_HDRLEN;
}

/* @start: bytes before the first attribute */
static const struct rtattr *find_attribute(const struct nlmsghdr *message, size_t start,
                                           uint16_t attribute)
{
    size_t offset = start;

    while (offset + sizeof(struct rtattr) <= message->nlmsg_len) {
        const struct rtattr *found =
            (const struct rtattr *)(const void *)((const char *)message + offset);

        if (found->rta_len < sizeof(*found) || found->rta_len > message->nlmsg_len - offset)
            return NULL;
        if ((found->rta_type & NLA_TYPE_MASK) == attribute)
            return found;
        offset += RTA_ALIGN(found->rta_len);
    }
    return NULL;
}

const void *netlink_attribute(const struct nlmsghdr *message, size_t fixed_size, uint16_t attribute,
                              size_t length)
{
    const struct rtattr *found = find_attribute(message, NLMSG_SPACE(fixed_size), attribute);

    if (found == NULL || RTA_PAYLOAD(found) < length)
        return NULL;
    return RTA_DATA(found);
}

static const char *text_of(const struct rtattr *attribute)
{
    if (attribute == NULL || memchr(RTA_DATA(attribute), '\0', RTA_PAYLOAD(attribute)) == NULL)
        return NULL;
    return RTA_DATA(attribute);
}

const char *netlink_text(const struct nlmsghdr *message, size_t fixed_size, uint16_t attribute)
{
    return text_of(find_attribute(message, NLMSG_SPACE(fixed_size), attribute));
}

/* An error message repeats the request (only its header, when capped); attributes with the
 * kernel's words are behind (netlink(7), NETLINK_EXT_ACK). */
static const char *words_of(const struct nlmsghdr *message, const struct nlmsgerr *answer)
{
    size_t start = NLMSG_SPACE(sizeof(*answer));

    if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0)
        return NULL;
    if ((message->nlmsg_flags & NLM_F_CAPPED) == 0 && answer->msg.nlmsg_len > NLMSG_HDRLEN)
        start += NLMSG_ALIGN(answer->msg.nlmsg_len - NLMSG_HDRLEN);
    return text_of(find_attribute(message, start, NLMSGERR_ATTR_MSG));
}

/* Returns 1 at the acknowledgement. */
static int take_error(const struct nlmsghdr *message, struct error *err)
{
    const struct nlmsgerr *answer = netlink_fixed(message, sizeof(*answer));
    const char *words;

    if (answer == NULL)
        return error_set(err, EPROTO, "rtnetlink answered with a truncated message");
    if (answer->error == 0)
        return 1;
    words = words_of(message, answer);
    errno = -answer->error;
    if (words == NULL)
        return error_errno(err, "rtnetlink");
    return error_set(err, errno, "%s (%s)", words, strerror(errno));
}

/* One datagram. Returns 1 when the answer is complete. */
static int take_messages(const char *bytes, size_t length, netlink_visitor *visit, void *context,
                         struct error *err)
{
    size_t offset = 0;

    while (offset + sizeof(struct nlmsghdr) <= length) {
        const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)(bytes + offset);
        int r = 0;

        if (message->nlmsg_len < sizeof(*message) || message->nlmsg_len > length - offset)
            return error_set(err, EPROTO, "rtnetlink answered with a malformed message");
        if (message->nlmsg_type == NLMSG_DONE)
            return 1;
        if (message->nlmsg_type == NLMSG_ERROR)
            r = take_error(message, err);
        else if (visit != NULL)
            r = visit(message, context);
        if (r != 0)
            return r;
        offset += NLMSG_ALIGN(message->nlmsg_len);
    }
    return 0;
}

int netlink_call(int fd, struct netlink_request *request, netlink_visitor *visit, void *context,
                 struct error *err)
{
    auto_free char *answer = xcalloc(1, ANSWER_BYTES);
    uint32_t length = (uint32_t)request->length;
    int r;

    memcpy(request->bytes + offsetof(struct nlmsghdr, nlmsg_len), &length, sizeof(length));
    /* A connection without an address sends to the kernel. */
    if (send(fd, request->bytes, request->length, MSG_NOSIGNAL) < 0)
        return error_errno(err, "ask rtnetlink");
    do {
        ssize_t received = recv(fd, answer, ANSWER_BYTES, 0);

        if (received < 0 && errno == EINTR)
            r = 0;
        else if (received < 0)
            r = error_errno(err, "hear rtnetlink");
        else
            r = take_messages(answer, (size_t)received, visit, context, err);
    } while (r == 0);
    return r < 0 ? r : 0;
}
