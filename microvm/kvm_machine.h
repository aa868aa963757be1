#ifndef MICROVM_KVM_MACHINE_H
#define MICROVM_KVM_MACHINE_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "microvm/guest_memory.h"
#include "microvm/kernel_image.h"
#include "microvm/kvm_devices.h"
#include "microvm/machine.h"
#include "microvm/platform.h"

/* A machine on /dev/kvm.
 *
 * Threads: the one that started it (main), one for the devices, one for each CPU. They are made
 * first, take their filters, and wait; when all is prepared and main is locked in too, the first
 * CPU goes. `state` says what CPUs do, and changes under `mutex`; a signal gets them out of
 * KVM_RUN. Whoever sees the end first writes it down and signals `end_fd`. */

enum kvm_state {
    KVM_PREPARING,
    KVM_RUNNING,
    KVM_PAUSED,
    KVM_ENDED,
};

struct kvm_cpu {
    struct kvm_machine *machine;
    uint32_t index;
    int fd;
    struct kvm_run *run;
    pthread_t thread;
    bool has_thread;
    atomic_ullong exits;      /* to this process */
    struct kvm_cpuid2 *cpuid; /* its identity, as it was told */
    uint32_t tsc_khz;         /* 0: KVM does not say */
};

struct kvm_machine {
    struct machine machine; /* first */
    int kvm_fd;             /* the config's, until the machine runs */
    int vm_fd;
    int end_fd;
    int serial_irq_fd;
    int console_fd;
    int run_size; /* of struct kvm_run */
    bool is_unconfined;
    bool is_savable;
    struct kvm_msr_list *msrs; /* what belongs to the state of a CPU */
    uint32_t xsave_bytes;

    uint8_t *ram;
    uint64_t ram_bytes;
    struct guest_memory memory;

    struct kvm_devices devices;
    struct platform platform;
    struct kvm_cpu *cpus;
    uint32_t cpu_count;

    pthread_mutex_t mutex;
    pthread_cond_t changed; /* `state`, `ready` or `standing` */
    enum kvm_state state;
    uint32_t ready;    /* threads that have locked themselves in */
    uint32_t standing; /* CPUs that are not running */
    enum machine_end end;
    struct error end_error;
};

/**
 * Starts a thread with a stack of 256 KiB, enough for all that a machine's threads do. The usual
 * 8 MiB are as good as a promise of huge pages, of which the first one is cleared at once.
 *
 * Returns 0 or a positive errno value, as pthread_create() does.
 */
int kvm_thread_start(pthread_t *ret_thread, void *(*run)(void *), void *context);

/** Notes how the machine ended, if it has not yet, and stops its CPUs. Any thread. */
void kvm_machine_finish(struct kvm_machine *machine, enum machine_end end,
                        const struct error *reason);

/**
 * Called by a thread that has locked itself in.
 *
 * @r, @err  what that came to; an error ends the machine
 */
void kvm_machine_ready(struct kvm_machine *machine, int r, const struct error *err);
/** Waits until all is prepared. False: the machine has ended. */
bool kvm_machine_wait_to_begin(struct kvm_machine *machine);
/** Called by a CPU: waits until all is prepared, and while the machine is paused. False: it has
 * ended. */
bool kvm_machine_wait_to_run(struct kvm_machine *machine);

/** How often CPUs came out to this process so far. */
uint64_t kvm_machine_exits(const struct machine *machine);

/* --- kvm_cpu.c -------------------------------------------------------------------------------- */

/**
 * Makes the CPU, with its identity; the first one begins at the kernel's entry.
 *
 * @image  NULL: the rest of it comes from a saved machine
 */
int kvm_cpu_open(struct kvm_cpu *cpu, const struct kvm_cpuid2 *supported,
                 const struct kernel_image *image, struct error *err);
int kvm_cpu_start_thread(struct kvm_cpu *cpu, struct error *err);
/** Gets the CPU out of KVM_RUN, now or as soon as it enters. */
void kvm_cpu_kick(struct kvm_cpu *cpu);
/** Waits for its thread, which has to be told before, and releases all. */
void kvm_cpu_close(struct kvm_cpu *cpu);
/** What KVM supports. Free it. */
int kvm_cpuid_supported(int kvm_fd, struct kvm_cpuid2 **ret_cpuid, struct error *err);
/**
 * A line that is the same wherever a saved machine with so many CPUs can go on: what its processors
 * can do, and the host's kernel.
 *
 * @ret_text  free it
 */
int kvm_machine_identity(uint32_t cpus, char **ret_text, struct error *err);

/* --- kvm_state.c ------------------------------------------------------------------------------ */

/** Finds out what the state of the CPUs is on this host; they are there. */
int kvm_state_prepare(struct kvm_machine *machine, struct error *err);
/** Writes the state of CPUs, interrupt controllers and devices; nothing of it may run. */
int kvm_state_save(struct kvm_machine *machine, int fd, struct error *err);
/** Takes it into a machine that was just made; its memory is there. */
int kvm_state_restore(struct kvm_machine *machine, int fd, struct error *err);
/** Puts the registers of model @entries in the order in which they are set, with nothing lost by
 * it. Pure. */
void kvm_msrs_plan(struct kvm_msr_entry *entries, size_t count);

#endif
