#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "network/netlink.h"
#include "network/network.h"

#define INGRESS 0xffff0000u /* the handle that an ingress queue always has */
/* The lower number comes first. */
#define PRIORITY_SENDER       1
#define PRIORITY_REDIRECT     2
#define FILTER_INFO(priority) TC_H_MAKE((priority) << 16, htons(ETH_P_ALL))

#define SENDER offsetof(struct ethhdr, h_source)

static struct tcmsg filter_of(int index, uint32_t priority)
{
    return (struct tcmsg){ .tcm_family = AF_UNSPEC,
                           .tcm_ifindex = index,
                           .tcm_parent = INGRESS,
                           .tcm_info = FILTER_INFO(priority) };
}

static int add_ingress(int fd, int index, struct error *err)
{
    const struct tcmsg info = { .tcm_family = AF_UNSPEC,
                                .tcm_ifindex = index,
                                .tcm_handle = INGRESS,
                                .tcm_parent = TC_H_INGRESS };
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &info,
                  sizeof(info));
    netlink_add(&request, TCA_KIND, "ingress", sizeof("ingress"));
    return netlink_call(fd, &request, NULL, NULL, err);
}

/* A filter outlives the interface to which it redirects, and then drops everything. */
static void remove_filter(int fd, int from_index)
{
    const struct tcmsg info = filter_of(from_index, PRIORITY_REDIRECT);
    struct netlink_request request;

    netlink_begin(&request, RTM_DELTFILTER, NLM_F_ACK, &info, sizeof(info));
    (void)netlink_call(fd, &request, NULL, NULL, NULL); /* mostly there is none */
}

/* A filter that looks at no bit of a packet. The classifier "matchall" would say so, but not every
 * kernel has it. */
static int add_filter(int fd, int from_index, int to_index, struct error *err)
{
    const struct tcmsg info = filter_of(from_index, PRIORITY_REDIRECT);
    const struct tc_mirred mirred = { .action = TC_ACT_STOLEN,
                                      .eaction = TCA_EGRESS_REDIR,
                                      .ifindex = (uint32_t)to_index };
    struct {
        struct tc_u32_sel selector;
        struct tc_u32_key key;
    } any = { .selector = { .flags = TC_U32_TERMINAL, .nkeys = 1 } };
    struct netlink_request request;
    size_t options, actions, action, parameters;

    netlink_begin(&request, RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &info,
                  sizeof(info));
    netlink_add(&request, TCA_KIND, "u32", sizeof("u32"));
    options = netlink_nest_begin(&request, TCA_OPTIONS);
    actions = netlink_nest_begin(&request, TCA_U32_ACT);
    action = netlink_nest_begin(&request, 1);
    netlink_add(&request, TCA_ACT_KIND, "mirred", sizeof("mirred"));
    parameters = netlink_nest_begin(&request, TCA_ACT_OPTIONS | NLA_F_NESTED);
    netlink_add(&request, TCA_MIRRED_PARMS, &mirred, sizeof(mirred));
    netlink_nest_end(&request, parameters);
    netlink_nest_end(&request, action);
    netlink_nest_end(&request, actions);
    netlink_add(&request, TCA_U32_SEL, &any, sizeof(any));
    netlink_nest_end(&request, options);
    return netlink_call(fd, &request, NULL, NULL, err);
}

int network_redirect(int fd, int from_index, int to_index, struct error *err)
{
    int r;

    r = add_ingress(fd, from_index, err);
    if (r < 0 && r != -EEXIST)
        return error_prefix(err, r, "make an ingress queue (sch_ingress)");
    if (r == -EEXIST)
        remove_filter(fd, from_index);
    r = add_filter(fd, from_index, to_index, err);
    return r < 0 ? error_prefix(err, r, "redirect packets (cls_u32, act_mirred)") : 0;
}

void network_sender_plan(const uint8_t mac[6], struct sock_filter program[NETWORK_SENDER_LENGTH])
{
    const uint32_t first =
        (uint32_t)mac[0] << 24 | (uint32_t)mac[1] << 16 | (uint32_t)mac[2] << 8 | mac[3];
    const uint32_t last = (uint32_t)mac[4] << 8 | mac[5];
    const struct sock_filter steps[NETWORK_SENDER_LENGTH] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SENDER),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, SENDER + sizeof(uint32_t)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, last, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, (uint32_t)TC_ACT_UNSPEC), /* on to the next filter */
        BPF_STMT(BPF_RET | BPF_K, TC_ACT_SHOT),
    };

    memcpy(program, steps, sizeof(steps));
}

/* The action that would drop packets, "gact", is not in every kernel; a program can say so itself.
 */
int network_require_sender(int fd, int index, const uint8_t mac[6], struct error *err)
{
    const struct tcmsg info = filter_of(index, PRIORITY_SENDER);
    const uint16_t length = NETWORK_SENDER_LENGTH;
    const uint32_t flags = TCA_BPF_FLAG_ACT_DIRECT;
    struct sock_filter program[NETWORK_SENDER_LENGTH];
    struct netlink_request request;
    size_t options;
    int r;

    network_sender_plan(mac, program);
    netlink_begin(&request, RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &info,
                  sizeof(info));
    netlink_add(&request, TCA_KIND, "bpf", sizeof("bpf"));
    options = netlink_nest_begin(&request, TCA_OPTIONS);
    netlink_add(&request, TCA_BPF_OPS_LEN, &length, sizeof(length));
    netlink_add(&request, TCA_BPF_OPS, program, sizeof(program));
    netlink_add(&request, TCA_BPF_FLAGS, &flags, sizeof(flags));
    netlink_nest_end(&request, options);
    r = netlink_call(fd, &request, NULL, NULL, err);
    return r < 0 ? error_prefix(err, r, "drop packets with other senders (cls_bpf)") : 0;
}
