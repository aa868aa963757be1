#ifndef MICROVM_AGENT_MESSAGE_H
#define MICROVM_AGENT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/text.h"
#include "microvm/channel.h"
#include "microvm/vm_config.h"

/* The messages of the channel, each a JSON object with the member "type".
 *
 *    berth-vmm                                        agent
 *        │  ◄──────────────────────────────  hello      │
 *        │  start (setup, spec)  ────────────────────►  │  network, root, container
 *        │  ◄──────────────────  started, or failed     │
 *        │  exec, files, signal, resize  ────────────►  │
 *        │  ◄─────────  started | failed, then exited   │  of each process
 *        │  processes, usage, update, clock  ────────►  │
 *        │  ◄──────────────────────────────  reply      │
 *        │  freeze  ─────────────────────────────────►  │
 *        │  ◄──────────────────────────────  reply      │  the last word
 *        │  thaw (setup, where it is restored)  ─────►  │  until then
 *        │  power-off  ──────────────────────────────►  │  syncs; the machine ends
 *
 * A process has a number that berth-vmm chooses: 1 is the container's first, others count up.
 * Streams of process n: 4n is its standard input, 4n + 1 and 4n + 2 what it writes. They are open
 * from the request on; the agent ends them before it tells of the end of the process. */

#define AGENT_VERSION     2
#define AGENT_MESSAGE_MAX (24 << 20) /* to the agent; more than a VM's config.json */
#define AGENT_ANSWER_MAX  (1 << 20)  /* from it */
#define AGENT_FIRST       1          /* number of the container's first process */
#define AGENT_PROCESS_MAX 1000000
#define AGENT_SEED_BYTES  64

static inline uint32_t agent_stream(uint32_t process, int fd)
{
    return process * 4 + (uint32_t)fd;
}

struct agent_route {
    char *destination; /* "10.0.0.0/8", or "default" */
    char *gateway;     /* NULL: on the link */
    uint32_t metric;
    uint8_t family; /* AF_INET, AF_INET6 */
};
struct agent_routes {
    struct agent_route *items;
    size_t count;
};

struct agent_interface {
    char *mac;
    char *device_mac; /* of the card, when that has another one: by it the guest finds it */
    char *name;
    uint32_t mtu;
    struct strings addresses; /* "10.1.2.3/24" */
    struct agent_routes routes;
};
struct agent_interfaces {
    struct agent_interface *items;
    size_t count;
};

struct agent_setup {
    uint64_t time_ns; /* CLOCK_REALTIME */
    char *seed;       /* hexadecimal digits of random bytes */
    bool is_emulated; /* by QEMU: the image is a disk, shares come by ports from number 2 on; else
                       * the image is persistent memory, and shares come by virtio-fs */
    struct vm_root root;
    struct vm_shares shares;
    struct vm_files files;
    struct agent_interfaces interfaces;
};

struct agent_message {
    char *type;
    uint32_t version;          /* hello */
    uint32_t process, request; /* request: chosen by berth-vmm, repeated by the reply */
    struct agent_setup *setup; /* start; thaw: seed, time and network of a restored machine */
    char *spec; /* JSON: of start the spec, of exec the process, of update the resources, of files
                 * struct inner_files */
    uint32_t rows, columns; /* 0: unknown */
    int32_t signal;
    bool is_to_all;
    uint64_t time_ns;
    /* From the agent: */
    uint32_t code, status;
    bool is_oom;
    char *text; /* failed: a sentence; reply: the answer, or a sentence */
};

/** Decodes a message of any type; what its type needs is checked. */
int agent_message_decode(const char *json, size_t length, struct agent_message **ret_message,
                         struct error *err);
void agent_message_free(struct agent_message *message);
DEFINE_AUTO(agent_message)

/** Sends a message over the channel. */
void agent_message_send(struct channel *channel, const struct agent_message *message);

#endif
