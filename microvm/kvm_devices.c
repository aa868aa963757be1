#include "microvm/kvm_devices.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/event.h"
#include "microvm/kvm_machine.h"
#include "microvm/vmm_sandbox.h"

int kvm_interrupt_open(int vm_fd, uint32_t gsi, int *ret_fd, struct error *err)
{
    auto_close int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct kvm_irqfd irqfd = { .gsi = gsi };

    assert(ret_fd != NULL);

    if (fd < 0)
        return error_errno(err, "make an eventfd for interrupt %u", gsi);
    irqfd.fd = (uint32_t)fd;
    if (ioctl(vm_fd, KVM_IRQFD, &irqfd) < 0)
        return error_errno(err, "connect interrupt %u", gsi);
    *ret_fd = take_fd(&fd);
    return 0;
}

int kvm_memory_map(struct kvm_machine *machine, uint64_t address, void *host, uint64_t size,
                   bool is_read_only, struct error *err)
{
    const struct kvm_userspace_memory_region slot = {
        .slot = (uint32_t)machine->memory.region_count,
        .flags = is_read_only ? KVM_MEM_READONLY : 0,
        .guest_phys_addr = address,
        .memory_size = size,
        .userspace_addr = (uintptr_t)host,
    };
    const struct guest_region region = { address, size, host, is_read_only };

    if (ioctl(machine->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
        return error_errno(err, "give the guest its memory at 0x%llx", (unsigned long long)address);
    return guest_memory_add(&machine->memory, &region, err);
}

static int stop_loop(struct event_source *source, uint32_t events, void *context, struct error *err)
{
    (void)source;
    (void)events;
    (void)err;
    event_loop_stop(context, 0);
    return 0;
}

int kvm_devices_open(struct kvm_machine *machine, const struct machine_config *config,
                     struct error *err)
{
    struct kvm_devices *devices = &machine->devices;
    struct event_source *source;
    int r;

    (void)config;
    devices->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (devices->stop_fd < 0)
        return error_errno(err, "make an eventfd for the devices");
    r = event_loop_open(&devices->loop, err);
    if (r < 0)
        return r;
    return event_loop_add(devices->loop, devices->stop_fd, EPOLLIN, stop_loop, devices->loop,
                          &source, err);
}

static void *devices_thread(void *context)
{
    struct kvm_machine *machine = context;
    struct error err = { 0 };
    int r = 0;

    if (!machine->is_unconfined)
        r = vmm_sandbox_filter(VMM_THREAD_DEVICES, &err);
    kvm_machine_ready(machine, r, &err);
    if (r < 0)
        return NULL;
    r = event_loop_run(machine->devices.loop, &err);
    if (r < 0)
        kvm_machine_finish(machine, MACHINE_FAILED, &err);
    return NULL;
}

int kvm_devices_start_thread(struct kvm_machine *machine, struct error *err)
{
    const int r = pthread_create(&machine->devices.thread, NULL, devices_thread, machine);

    if (r != 0)
        return error_set(err, r, "start the devices' thread: %s", strerror(r));
    machine->devices.has_thread = true;
    return 0;
}

void kvm_devices_stop_thread(struct kvm_devices *devices)
{
    const uint64_t one = 1;

    assert(devices != NULL);

    if (!devices->has_thread)
        return;
    (void)!write(devices->stop_fd, &one, sizeof(one));
    (void)pthread_join(devices->thread, NULL);
    devices->has_thread = false;
}

void kvm_devices_close(struct kvm_devices *devices)
{
    assert(devices != NULL);

    event_loop_free(devices->loop);
    devices->loop = NULL;
    for (size_t i = 0; i < devices->count; i++)
        auto_close_cleanup(&devices->irq_fds[i]);
    auto_close_cleanup(&devices->stop_fd);
    devices->count = 0;
}

void kvm_devices_read(struct kvm_devices *devices, uint64_t address, uint8_t *bytes,
                      uint32_t length)
{
    (void)devices;
    (void)address;
    memset(bytes, 0xff, length);
}

void kvm_devices_write(struct kvm_devices *devices, uint64_t address, const uint8_t *bytes,
                       uint32_t length)
{
    (void)devices;
    (void)address;
    (void)bytes;
    (void)length;
}
