#ifndef MICROVM_MACHINE_H
#define MICROVM_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

/* A virtual machine, whoever runs it: KVM in this process (kvm_machine.c) or an emulator as a child
 * (emulator.c). It boots a Linux kernel with one initrd and virtio devices, and ends.
 *
 * All functions are called from the thread that started the machine. */

#define MACHINE_CPUS_MAX   64
#define MACHINE_TAPS_MAX   4
#define MACHINE_SHARES_MAX 8
#define MACHINE_PAGE_SIZE  4096

struct machine_tap {
    int fd; /* of /dev/net/tun, with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR */
    uint8_t mac[6];
};

struct machine_share {
    const char *tag;
    int fd; /* to berth-fs: FUSE messages, each with its own length in its header */
};

/* What both machines tell a kernel: no tests of ciphers that nobody uses, which take half of a
 * boot; a panic ends the machine; grace periods of RCU are asked for (Documentation/RCU), since
 * each takes some ticks otherwise, in which a machine with few processors only waits; and the
 * tracer does not look up the names of all functions to find those that others have replaced, which
 * takes a tenth of a boot: they are never called, so there is nothing to trace (ftrace.c). */
#define MACHINE_CMDLINE                                                                            \
    "cryptomgr.notests panic=-1 rcupdate.rcu_expedited=1 "                                         \
    "initcall_blacklist=ftrace_check_for_weak_functions"
/* Of a guest in which nobody can come to tracefs: it stays nearly empty. To make its files, and the
 * names in what they say, takes a seventh of a boot and 9 MiB. */
#define MACHINE_CMDLINE_UNTRACED "initcall_blacklist=trace_eval_init,tracer_init_tracefs"

/* What is to be run. Descriptors that are not there are -1. machine_start() takes none of them for
 * its own: it duplicates what it keeps, so the caller closes all of them afterwards. */
struct machine_config {
    uint64_t memory_bytes;
    uint32_t cpus;
    const char *cmdline;  /* the kernel's; the machine adds what it needs itself */
    int kvm_fd;           /* /dev/kvm; an emulator needs none */
    int kernel_fd;        /* vmlinux (ELF) or bzImage */
    int agent_program_fd; /* becomes /init of the initrd */
    int modules_fd;       /* a newc cpio archive with the kernel's modules */
    int root_fd;          /* EROFS image, read only: pmem where it can be, else a block device */
    int disk_fd;          /* the writable disk: a block device */
    int agent_fd;         /* a stream socket: the bytes of the agent's console port, number 1 */
    int console_fd;       /* early messages of the kernel go here, at a limited rate */
    struct machine_tap taps[MACHINE_TAPS_MAX];
    size_t tap_count;
    struct machine_share shares[MACHINE_SHARES_MAX];
    size_t share_count;
    /* What machine_save() wrote; -1: the kernel boots. The memory is mapped copy-on-write and its
     * file may not change while the machine is there. Kernel, agent's program and modules are not
     * needed then; the devices have to be the same in number, order, kind and size. */
    int saved_state_fd;
    int saved_memory_fd;
    bool is_savable;    /* machine_save() may be called */
    bool is_unconfined; /* for tests: keeps the process's rights and installs no filter */
};

/** A config with all descriptors -1. */
struct machine_config machine_config_empty(void);

/** How a machine ended. */
enum machine_end {
    MACHINE_POWER_OFF,
    MACHINE_RESET,
    MACHINE_PANIC,  /* the guest's kernel gave up */
    MACHINE_FAILED, /* the machine could not go on; the error says why */
};

struct machine;

/* What runs it. */
struct machine_class {
    const char *name;
    int (*start)(const struct machine_config *config, struct machine **ret_machine,
                 struct error *err);
    int (*end_fd)(const struct machine *machine);
    enum machine_end (*end)(struct machine *machine, struct error *err);
    int (*pause)(struct machine *machine, struct error *err);
    int (*resume)(struct machine *machine, struct error *err);
    int (*balloon)(struct machine *machine, uint64_t bytes, struct error *err);
    int (*given)(struct machine *machine, uint64_t *ret_bytes, struct error *err);
    int (*save)(struct machine *machine, int state_fd, int memory_fd, struct error *err);
    void (*free)(struct machine *machine);
};

/* The first member of an implementation's own struct. */
struct machine {
    const struct machine_class *machine_class;
};

extern const struct machine_class kvm_machine_class;
extern const struct machine_class emulator_machine_class;

/**
 * Starts a machine; it runs when this returns.
 *
 * Unless the config says otherwise, the process has no rights any more afterwards: no capability,
 * no file that it could open, no way to gain either (vmm_sandbox.h). When it fails, another machine
 * may be started with what is open.
 */
int machine_start(const struct machine_class *machine_class, const struct machine_config *config,
                  struct machine **ret_machine, struct error *err);
/** A descriptor (borrowed) that becomes readable when the machine has ended. */
int machine_end_fd(const struct machine *machine);
/** How it ended; call when machine_end_fd() is readable. @err tells the reason of MACHINE_FAILED.
 */
enum machine_end machine_end(struct machine *machine, struct error *err);
/** Stops all virtual CPUs; returns when they stand. Again is fine. */
int machine_pause(struct machine *machine, struct error *err);
int machine_resume(struct machine *machine, struct error *err);
/** Asks the guest to give @bytes of its memory back, less than all. It takes its time. */
int machine_balloon(struct machine *machine, uint64_t bytes, struct error *err);
/** Bytes that it says it has given back. */
int machine_given(struct machine *machine, uint64_t *ret_bytes, struct error *err);
/**
 * Writes all that the machine is to files, for the saved_..._fd of another machine's config. It
 * stays paused and can go on, or end.
 *
 * Bytes that the host's ends of its sockets were sent and have not read are in no file: the agent
 * has to be silent, and all it said read.
 *
 * @machine    paused, and started with is_savable
 * @state_fd   empty and writable: processors and devices, some 100 KiB
 * @memory_fd  empty and writable: as long as the guest's memory, pages of zeros are holes
 *
 * A share's server is asked for what it knows (share_state.h), which goes along.
 *
 * -EBUSY: a device is in the middle of something that cannot be saved: bytes of the agent that
 * nobody has read, or a share with an open file that was removed.
 */
int machine_save(struct machine *machine, int state_fd, int memory_fd, struct error *err);
/** Ends the machine at once, whatever it does, and frees it. NULL is fine. */
void machine_free(struct machine *machine);
DEFINE_AUTO(machine)

#endif
