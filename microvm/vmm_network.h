#ifndef MICROVM_VMM_NETWORK_H
#define MICROVM_VMM_NETWORK_H

#include "microvm/agent_message.h"
#include "microvm/machine.h"

/**
 * Hands the network of the calling process's namespace over to a guest: each Ethernet interface
 * that has an address gets a tap beside it, to which all its packets go and from which all it sends
 * come, and the guest gets its hardware address, addresses and routes. Whoever connected the
 * namespace (CNI, a bridge, nothing) notices no difference.
 *
 * @config      gets the taps, whose descriptors are the caller's
 * @interfaces  gets what the agent has to set; release with vmm_network_clear()
 *
 * -EOPNOTSUPP: an interface with an address that is no Ethernet.
 */
int vmm_network_open(struct machine_config *config, struct agent_interfaces *interfaces,
                     struct error *err);
/** Gives the machine's cards addresses that are always the same, and has the agent set the right
 * ones: a machine that was saved comes back with the cards that it had. */
void vmm_network_use_card_macs(struct machine_config *config, struct agent_interfaces *interfaces);
void vmm_network_clear(struct agent_interfaces *interfaces);

#endif
