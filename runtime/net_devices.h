#ifndef RUNTIME_NET_DEVICES_H
#define RUNTIME_NET_DEVICES_H

#include "base/error.h"
#include "runtime/spec.h"

/**
 * Moves the interfaces of linux.netDevices from the caller's network namespace into another one,
 * where they get their new names, keep permanent addresses of global scope, and are up.
 *
 * All is checked before the first one moves; when a later one fails all the same, those moved
 * already go back. Once moved they are the namespace's: nothing moves them back at the end
 * (config-linux.md "Network Devices", "Namespace Lifecycle and Container Termination").
 *
 * @namespace_fd  the container's network namespace
 *
 * -ENOENT: there is no such interface. -EEXIST: the name is taken in the container.
 */
int net_devices_move(const struct spec_net_devices *devices, int namespace_fd, struct error *err);

#endif
