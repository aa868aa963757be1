#include "runtime/net_devices.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/process.h"
#include "network/network.h"

/* The caller may be a long-lived process with work in its own network namespace, so a child enters
 * the container's: it holds one connection in each namespace, moves, and reports a struct error. */

/* One of the two namespaces. */
struct side {
    int connection_fd;
    int namespace_fd; /* borrowed */
};

struct move {
    const struct spec_net_device *device;
    char new_name[IFNAMSIZ];
    int index; /* at home */
    bool was_up;
    bool is_done;
};

struct mover {
    struct side home, container;
    const struct spec_net_devices *devices;
    struct move *moves; /* one for each device */
};

/* --- checks ----------------------------------------------------------------------------------- */

static int plan_move(const struct network_links *home, struct network_links *container,
                     const struct spec_net_device *device, struct move *ret_move, struct error *err)
{
    const struct network_link *link = network_links_find(home, device->key);
    const char *name = text_is_empty(device->name) ? device->key : device->name;
    struct network_link *added;
    int r;

    if (link == NULL)
        return error_set(err, ENOENT, "there is no interface of that name");
    r = network_links_name(container, name, ret_move->new_name, err);
    if (r < 0)
        return error_prefix(err, r, "in the container");
    ret_move->device = device;
    ret_move->index = link->index;
    ret_move->was_up = link->is_up;
    /* From now on the name is taken for those behind. */
    container->items =
        xrealloc(container->items, container->count + 1, sizeof(container->items[0]));
    added = &container->items[container->count++];
    *added = (struct network_link){ 0 };
    (void)strcpy(added->name, ret_move->new_name);
    return 0;
}

static int plan_moves(struct mover *mover, struct error *err)
{
    const struct spec_net_devices *devices = mover->devices;
    AUTO_CLEAR(network_links) struct network_links home = { 0 };
    AUTO_CLEAR(network_links) struct network_links container = { 0 };
    int r;

    r = network_links_list(mover->home.connection_fd, &home, err);
    if (r == 0)
        r = network_links_list(mover->container.connection_fd, &container, err);
    for (size_t i = 0; i < devices->count && r == 0; i++) {
        r = plan_move(&home, &container, &devices->items[i], &mover->moves[i], err);
        if (r < 0)
            return error_prefix(err, r, "linux.netDevices.%s", devices->items[i].key);
    }
    return r;
}

/* --- the moves -------------------------------------------------------------------------------- */

static int find_moved(const struct side *side, const char *name, int *ret_index, struct error *err)
{
    AUTO_CLEAR(network_links) struct network_links links = { 0 };
    const struct network_link *link;
    int r = network_links_list(side->connection_fd, &links, err);

    if (r < 0)
        return r;
    link = network_links_find(&links, name);
    if (link == NULL)
        return error_set(err, ENODEV, "the interface is gone after its move");
    *ret_index = link->index;
    return 0;
}

static int add_addresses(const struct side *side, int index,
                         const struct network_addresses *addresses, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < addresses->count && r == 0; i++)
        r = network_address_add(side->connection_fd, index, &addresses->items[i], err);
    return r < 0 ? error_prefix(err, r, "give it its addresses back") : 0;
}

/* The kernel takes it down as it moves, and only then: a move that it refuses changes nothing. Up
 * before its addresses are back, so that IPv6 ones are checked for duplicates. */
static int move_link(const struct side *from, int index, const struct side *to, const char *name,
                     bool is_up, bool *ret_is_moved, struct error *err)
{
    AUTO_CLEAR(network_addresses) struct network_addresses addresses = { 0 };
    int r, new_index = 0;

    r = network_addresses_list(from->connection_fd, index, &addresses, err);
    if (r < 0)
        return r;
    r = network_link_move(from->connection_fd, index, name, to->namespace_fd, err);
    if (r < 0)
        return error_prefix(err, r, "move it to the container as '%s'", name);
    *ret_is_moved = true;
    r = find_moved(to, name, &new_index, err);
    if (r < 0)
        return r;
    r = network_link_set_up(to->connection_fd, new_index, is_up, err);
    if (r < 0)
        return error_prefix(err, r, "bring it up");
    return add_addresses(to, new_index, &addresses, err);
}

/* The first error is the one that is told; an interface that cannot go back is the kernel's to
 * care for, when the container's namespace ends. */
static void move_back(const struct mover *mover)
{
    for (size_t i = 0; i < mover->devices->count; i++) {
        const struct move *move = &mover->moves[i];
        bool is_moved = false;
        int index = 0;

        if (move->is_done && find_moved(&mover->container, move->new_name, &index, NULL) == 0)
            (void)move_link(&mover->container, index, &mover->home, move->device->key, move->was_up,
                            &is_moved, NULL);
    }
}

static int move_all(struct mover *mover, struct error *err)
{
    for (size_t i = 0; i < mover->devices->count; i++) {
        struct move *move = &mover->moves[i];
        int r = move_link(&mover->home, move->index, &mover->container, move->new_name, true,
                          &move->is_done, err);

        if (r < 0) {
            move_back(mover);
            return error_prefix(err, r, "linux.netDevices.%s", move->device->key);
        }
    }
    return 0;
}

static int run(void *context, struct error *err)
{
    struct mover *mover = context;
    int r;

    r = network_open(&mover->home.connection_fd, err);
    if (r < 0)
        return r;
    if (setns(mover->container.namespace_fd, CLONE_NEWNET) < 0)
        return error_errno(err, "linux.netDevices: enter the container's network namespace");
    r = network_open(&mover->container.connection_fd, err);
    if (r < 0)
        return r;
    r = plan_moves(mover, err);
    return r < 0 ? r : move_all(mover, err);
}

int net_devices_move(const struct spec_net_devices *devices, int namespace_fd, struct error *err)
{
    auto_close int home_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    auto_free struct move *moves = xcalloc(devices->count + 1, sizeof(moves[0]));
    struct mover mover = {
        .home.namespace_fd = home_fd,
        .container.namespace_fd = namespace_fd,
        .devices = devices,
        .moves = moves,
    };

    assert(namespace_fd >= 0);

    if (home_fd < 0)
        return error_errno(err, "open the caller's network namespace");
    return process_call_in_child(run, &mover, err);
}
