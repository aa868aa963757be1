#ifndef MICROVM_VMM_PROBE_H
#define MICROVM_VMM_PROBE_H

#include "base/error.h"

/**
 * Whether /dev/kvm runs what a stock kernel needs: that the device is there says little on a
 * machine that is a guest itself. Runs a few hundred instructions in a guest of 2 MiB, with 50 ms
 * of processor time for them.
 *
 * Returns 0 when it does, else an error that says what it does not.
 */
int vmm_probe(struct error *err);

#endif
