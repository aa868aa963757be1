#ifndef ENGINE_MONITOR_CLIENT_H
#define ENGINE_MONITOR_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/wire.h"
#include "engine/monitor_wire.h"

/* One connection of a monitor, as the monitor sees it. Messages to it are queued when its socket
 * is full; the monitor stops making new ones then (see monitor_wire.h). */

struct packet;

struct client {
    int fd;
    uint32_t flags; /* enum monitor_attach_flag */
    bool has_wait;
    uint32_t wait;               /* enum monitor_wait */
    struct packet *first, *last; /* to be sent */
    char *input;                 /* a STDIN message that the container has not taken yet, or NULL */
    size_t input_length, input_done;
    bool has_input_end; /* nothing comes after it */
    bool is_dead;       /* to be removed */
};

/** Takes over @fd and makes it non-blocking. */
struct client *client_open(int fd);
void client_free(struct client *client);
/** Sends or queues a message; a client that is gone becomes dead. */
void client_send(struct client *client, uint32_t type, const void *payload, size_t length);
/** Sends what is queued, as far as possible now. */
void client_flush(struct client *client);
bool client_has_queue(const struct client *client);

#endif
