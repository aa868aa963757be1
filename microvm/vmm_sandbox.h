#ifndef MICROVM_VMM_SANDBOX_H
#define MICROVM_VMM_SANDBOX_H

#include <linux/filter.h>
#include <stddef.h>

#include "base/error.h"

/* What a guest that has taken over the VMM finds: nothing. The process gives away its rights once
 * all is open, then each thread is left the system calls of its own work, before the first
 * instruction of the guest runs. */

enum vmm_thread {
    VMM_THREAD_MAIN,    /* the session: sockets, signals, terminal */
    VMM_THREAD_DEVICES, /* queues, taps, disks */
    VMM_THREAD_CPU,     /* KVM_RUN */
    VMM_THREAD_SAVABLE, /* the session of a machine that can be saved */
};
#define VMM_THREADS 4

/**
 * Drops every capability, forbids to gain any, makes the process undumpable, and every file out of
 * reach (Landlock, where the kernel has it). For the calling thread and those that it starts: call
 * it while it is the only one.
 */
int vmm_sandbox_drop(struct error *err);

/** Leaves the calling thread the system calls of its kind; any other one ends the process. */
int vmm_sandbox_filter(enum vmm_thread thread, struct error *err);

/**
 * The filter as instructions. Pure.
 *
 * @ret_count  at most VMM_SANDBOX_FILTER_MAX
 */
#define VMM_SANDBOX_FILTER_MAX 256
void vmm_sandbox_filter_plan(enum vmm_thread thread,
                             struct sock_filter ret_filter[VMM_SANDBOX_FILTER_MAX],
                             size_t *ret_count);

#endif
