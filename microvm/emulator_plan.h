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

/* What an emulator needs beside the machine's config; -1: it is not there. */
struct emulator_files {
    int initrd_fd;
    int memory_fd;  /* a file that is the guest's memory */
    int control_fd; /* QEMU's end of its control channel */
};

/**
 * QEMU's command line for a machine; pure. Of one that was saved, QEMU waits for what to load.
 *
 * @tsc_khz  frequency of this machine's time stamp counter
 */
void emulator_plan(const struct machine_config *config, const char *program,
                   const struct emulator_files *files, uint64_t tsc_khz,
                   struct emulator_plan *ret_plan);
void emulator_plan_clear(struct emulator_plan *plan);

#endif
