#ifndef MICROVM_KVM_DEVICES_H
#define MICROVM_KVM_DEVICES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "microvm/acpi.h"
#include "microvm/layout.h"
#include "microvm/machine_state.h"

/* The devices of a machine on KVM, and the thread in which they work. They come in this order, each
 * with the next window and interrupt (layout.h): console, root (pmem), disk, taps, shares, random
 * numbers, balloon. */

struct event_loop;
struct kvm_machine;
struct machine_config;
struct virtio_device;
struct virtio_mmio;

struct kvm_devices {
    struct acpi_device acpi[LAYOUT_DEVICES_MAX]; /* where they are */
    int irq_fds[LAYOUT_DEVICES_MAX];
    struct virtio_mmio *mmio[LAYOUT_DEVICES_MAX];
    size_t count;
    struct virtio_device *balloon; /* one of them */
    int fds[LAYOUT_DEVICES_MAX];   /* what they work on */
    size_t fd_count;
    uint8_t *image;         /* the root's file, mapped */
    uint64_t image_address; /* where the guest sees it */
    uint64_t image_bytes;
    struct event_loop *loop;
    int stop_fd;
    pthread_t thread;
    bool has_thread;
};

/** Maps the root's image behind all memory of the guest. */
int kvm_devices_map_root(struct kvm_machine *machine, int fd, struct error *err);
/** Makes the devices that the config asks for, and connects their interrupts and, unless they are
 * to be restored, their queues; a root has to be mapped. */
int kvm_devices_open(struct kvm_machine *machine, const struct machine_config *config,
                     struct error *err);
int kvm_devices_start_thread(struct kvm_machine *machine, struct error *err);
/** Ends the thread and waits for it. */
void kvm_devices_stop_thread(struct kvm_devices *devices);
/** Frees all; the thread has to be stopped. */
void kvm_devices_close(struct kvm_devices *devices);

/** Nothing happens in any device between the two. */
void kvm_devices_lock(struct kvm_devices *devices);
void kvm_devices_unlock(struct kvm_devices *devices);
/** Puts all devices, which are locked; or takes them into devices that were just opened, and
 * connects the queues that are in use. */
int kvm_devices_save(struct kvm_devices *devices, struct state_writer *writer, struct error *err);
int kvm_devices_restore(struct kvm_machine *machine, struct state_reader *reader,
                        struct error *err);
/** After a restore, of the interrupt controllers too: nothing that waits is forgotten. */
void kvm_devices_resume(struct kvm_devices *devices);

/** An access to an address without memory; what nobody answers to reads as ones. */
void kvm_devices_read(struct kvm_devices *devices, uint64_t address, uint8_t *bytes,
                      uint32_t length);
void kvm_devices_write(struct kvm_devices *devices, uint64_t address, const uint8_t *bytes,
                       uint32_t length);

/** An eventfd that raises an interrupt of the guest (irqfd). */
int kvm_interrupt_open(int vm_fd, uint32_t gsi, int *ret_fd, struct error *err);
/** Makes memory visible to the guest. */
int kvm_memory_map(struct kvm_machine *machine, uint64_t address, void *host, uint64_t size,
                   bool is_read_only, struct error *err);

#endif
