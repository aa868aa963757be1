#ifndef MICROVM_EMULATOR_PLAN_H
#define MICROVM_EMULATOR_PLAN_H

#include "base/text.h"
#include "microvm/machine.h"

#define EMULATOR_FDS_MAX 32

struct emulator_plan {
    struct strings arguments;
    int fds[EMULATOR_FDS_MAX]; /* that QEMU keeps, under their numbers */
    size_t fd_count;
};

/**
 * QEMU's command line for a machine; pure.
 *
 * @tsc_khz  frequency of this machine's time stamp counter
 */
void emulator_plan(const struct machine_config *config, const char *program, int initrd_fd,
                   uint64_t tsc_khz, struct emulator_plan *ret_plan);
void emulator_plan_clear(struct emulator_plan *plan);

#endif
