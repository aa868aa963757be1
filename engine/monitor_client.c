#include "engine/monitor_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/fd.h"

struct packet {
    struct packet *next;
    uint32_t type;
    size_t length;
    char payload[];
};

struct client *client_open(int fd)
{
    struct client *client = xcalloc(1, sizeof(*client));

    client->fd = fd;
    client->is_dead = fd_set_nonblocking(fd, true, NULL) < 0;
    return client;
}

static void drop_packets(struct client *client)
{
    while (client->first != NULL) {
        struct packet *packet = client->first;

        client->first = packet->next;
        free(packet);
    }
    client->last = NULL;
}

void client_free(struct client *client)
{
    if (client == NULL)
        return;
    drop_packets(client);
    free(client->input);
    close(client->fd);
    free(client);
}

/* 1 sent, 0 the socket is full; a dead client swallows everything. */
static int try_send(struct client *client, uint32_t type, const void *payload, size_t length)
{
    int r;

    if (client->is_dead)
        return 1;
    r = wire_send(client->fd, type, payload, length, NULL, 0, NULL);
    if (r == -EAGAIN || r == -ENOBUFS)
        return 0;
    if (r < 0) {
        client->is_dead = true;
        drop_packets(client);
    }
    return 1;
}

void client_send(struct client *client, uint32_t type, const void *payload, size_t length)
{
    struct packet *packet;

    if (client->first == NULL && try_send(client, type, payload, length) > 0)
        return;
    packet = xcalloc(1, sizeof(*packet) + length);
    packet->type = type;
    packet->length = length;
    if (length > 0)
        memcpy(packet->payload, payload, length);
    if (client->last != NULL)
        client->last->next = packet;
    else
        client->first = packet;
    client->last = packet;
}

void client_flush(struct client *client)
{
    while (client->first != NULL) {
        struct packet *packet = client->first;

        if (try_send(client, packet->type, packet->payload, packet->length) == 0)
            return;
        if (client->first != packet)
            return; /* it died, and its packets with it */
        client->first = packet->next;
        if (client->first == NULL)
            client->last = NULL;
        free(packet);
    }
}

bool client_has_queue(const struct client *client)
{
    return client->first != NULL;
}
