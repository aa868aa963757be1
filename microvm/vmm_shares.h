#ifndef MICROVM_VMM_SHARES_H
#define MICROVM_VMM_SHARES_H

#include "microvm/machine.h"
#include "microvm/vm_config.h"

/**
 * Starts a berth-fs for each share. They end when their sockets are closed, or with this process.
 *
 * @machine  gets the shares, whose descriptors are the caller's
 */
int vmm_shares_open(const struct vm_config *config, struct machine_config *machine,
                    struct error *err);

#endif
