#include "microvm/kvm_devices.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/event.h"
#include "microvm/boot.h"
#include "microvm/kvm_machine.h"
#include "microvm/virtio_balloon.h"
#include "microvm/virtio_blk.h"
#include "microvm/virtio_console.h"
#include "microvm/virtio_fs.h"
#include "microvm/virtio_mmio.h"
#include "microvm/virtio_net.h"
#include "microvm/virtio_pmem.h"
#include "microvm/virtio_rng.h"
#include "microvm/vmm_sandbox.h"

/* The register QueueNotify of virtio-mmio (virtio 1.2, 4.2.2). */
#define VIRTIO_NOTIFY_OFFSET 0x50
#define IMAGE_BYTES_MAX      (1LL << 40)

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

/* The image's pages are the host's page cache, shared by all machines of this image. Behind its end
 * come zeros up to a size that the guest's kernel can take; not more of the file, whose pages
 * beyond the end cannot be touched. */
static int map_image(struct kvm_machine *machine, int fd, struct error *err)
{
    struct kvm_devices *devices = &machine->devices;
    struct stat stat;
    uint64_t size;
    void *room;

    if (fstat(fd, &stat) < 0)
        return error_errno(err, "look at the root's image");
    if (stat.st_size <= 0 || stat.st_size > IMAGE_BYTES_MAX)
        return error_set(err, EINVAL, "the root's image has %lld bytes", (long long)stat.st_size);
    size = ((uint64_t)stat.st_size + LAYOUT_PMEM_UNIT - 1) / LAYOUT_PMEM_UNIT * LAYOUT_PMEM_UNIT;
    room = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return error_errno(err, "get room for the root's image");
    devices->image = room;
    devices->image_bytes = size;
    if (mmap(room, (size_t)stat.st_size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        return error_errno(err, "map the root's image");
    return 0;
}

int kvm_devices_map_root(struct kvm_machine *machine, int fd, struct error *err)
{
    const uint64_t ram_end = boot_high_memory(machine->ram_bytes) + LAYOUT_HOLE_END;
    struct kvm_devices *devices = &machine->devices;
    int r;

    devices->image_address =
        (ram_end + LAYOUT_PMEM_ALIGN - 1) / LAYOUT_PMEM_ALIGN * LAYOUT_PMEM_ALIGN;
    r = map_image(machine, fd, err);
    return r < 0 ? r
                 : kvm_memory_map(machine, devices->image_address, devices->image,
                                  devices->image_bytes, true, err);
}

static int stop_loop(struct event_source *source, uint32_t events, void *context, struct error *err)
{
    (void)source;
    (void)events;
    (void)err;
    event_loop_stop(context, 0);
    return 0;
}

/* --- the devices ------------------------------------------------------------------------------ */

/* A write to the register that notifies of a queue wakes the devices' thread without an exit. Each
 * connection costs a grace period's work: of a machine that is restored, the queues that its
 * drivers use. One that they take later is notified of by an exit. */
static int connect_queues(struct kvm_machine *machine, size_t device, bool is_restored,
                          struct error *err)
{
    const struct virtio_mmio *mmio = machine->devices.mmio[device];
    const uint64_t address = machine->devices.acpi[device].address;

    for (unsigned i = 0; i < virtio_mmio_queue_count(mmio); i++) {
        const struct kvm_ioeventfd notify = {
            .datamatch = i,
            .addr = address + VIRTIO_NOTIFY_OFFSET,
            .len = sizeof(uint32_t),
            .fd = virtio_mmio_notify_fd(mmio, i),
            .flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
        };

        if (is_restored && !virtio_mmio_queue_is_ready(mmio, i))
            continue;
        if (ioctl(machine->vm_fd, KVM_IOEVENTFD, &notify) < 0)
            return error_errno(err, "connect queue %u of a device", i);
    }
    return 0;
}

/* Gives the device the next window and interrupt. It is the machine's, also when this fails. */
static int add_device(struct kvm_machine *machine, struct virtio_device *device, struct error *err)
{
    struct kvm_devices *devices = &machine->devices;
    const size_t index = devices->count;
    int r;

    assert(index < LAYOUT_DEVICES_MAX);

    devices->acpi[index] = (struct acpi_device){
        .address = LAYOUT_VIRTIO + (uint32_t)index * LAYOUT_VIRTIO_SIZE,
        .size = LAYOUT_VIRTIO_SIZE,
        .gsi = LAYOUT_VIRTIO_GSI + (uint32_t)index,
    };
    devices->irq_fds[index] = -1;
    devices->count++;
    r = kvm_interrupt_open(machine->vm_fd, devices->acpi[index].gsi, &devices->irq_fds[index], err);
    if (r < 0) {
        virtio_device_free(device);
        return r;
    }
    return virtio_mmio_open(device, &machine->memory, devices->loop, devices->irq_fds[index],
                            &devices->mmio[index], err);
}

/* Returns a copy of the caller's descriptor that lives as long as the devices. */
static int keep_fd(struct kvm_devices *devices, int fd, struct error *err)
{
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    if (copy < 0)
        return error_errno(err, "duplicate a device's descriptor");
    assert(devices->fd_count < LAYOUT_DEVICES_MAX);
    devices->fds[devices->fd_count++] = copy;
    return copy;
}

static int add_disk(struct kvm_machine *machine, int fd, struct error *err)
{
    const int copy = keep_fd(&machine->devices, fd, err);
    struct virtio_device *device;
    int r;

    if (copy < 0)
        return copy;
    r = virtio_blk_open(copy, false, "disk", &device, err);
    return r < 0 ? r : add_device(machine, device, err);
}

/* Port 0 would be the terminal hvc0; port 1 is the agent's. */
static int add_console(struct kvm_machine *machine, int agent_fd, struct error *err)
{
    struct virtio_console_port ports[VIRTIO_CONSOLE_PORTS_MAX] = {
        { .fd = -1, .name = "console", .is_console = true },
        { .fd = -1, .name = "berth.agent" },
    };

    if (agent_fd >= 0) {
        ports[1].fd = keep_fd(&machine->devices, agent_fd, err);
        if (ports[1].fd < 0)
            return ports[1].fd;
    }
    return add_device(machine, virtio_console_open(ports), err);
}

static int add_tap(struct kvm_machine *machine, const struct machine_tap *tap, struct error *err)
{
    const int copy = keep_fd(&machine->devices, tap->fd, err);
    struct virtio_device *device;
    int r;

    if (copy < 0)
        return copy;
    r = virtio_net_open(copy, tap->mac, &device, err);
    return r < 0 ? r : add_device(machine, device, err);
}

static int add_share(struct kvm_machine *machine, const struct machine_share *share,
                     struct error *err)
{
    const int copy = keep_fd(&machine->devices, share->fd, err);
    struct virtio_device *device;
    int r;

    if (copy < 0)
        return copy;
    r = virtio_fs_open(copy, share->tag, &device, err);
    return r < 0 ? r : add_device(machine, device, err);
}

static int add_balloon(struct kvm_machine *machine, struct error *err)
{
    machine->devices.balloon = virtio_balloon_open();
    return add_device(machine, machine->devices.balloon, err);
}

static int add_devices(struct kvm_machine *machine, const struct machine_config *config,
                       struct error *err)
{
    int r;

    r = add_console(machine, config->agent_fd, err);
    if (r == 0 && config->root_fd >= 0)
        r = add_device(
            machine, virtio_pmem_open(machine->devices.image_address, machine->devices.image_bytes),
            err);
    if (r == 0 && config->disk_fd >= 0)
        r = add_disk(machine, config->disk_fd, err);
    for (size_t i = 0; r == 0 && i < config->tap_count; i++)
        r = add_tap(machine, &config->taps[i], err);
    for (size_t i = 0; r == 0 && i < config->share_count; i++)
        r = add_share(machine, &config->shares[i], err);
    if (r == 0)
        r = add_device(machine, virtio_rng_open(), err);
    if (r == 0)
        r = add_balloon(machine, err);
    return r;
}

int kvm_devices_open(struct kvm_machine *machine, const struct machine_config *config,
                     struct error *err)
{
    struct kvm_devices *devices = &machine->devices;
    struct event_source *source;
    int r;

    assert(config != NULL);

    devices->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (devices->stop_fd < 0)
        return error_errno(err, "make an eventfd for the devices");
    r = event_loop_open(&devices->loop, err);
    if (r == 0)
        r = event_loop_add(devices->loop, devices->stop_fd, EPOLLIN, stop_loop, devices->loop,
                           &source, err);
    if (r == 0)
        r = add_devices(machine, config, err);
    for (size_t i = 0; r == 0 && config->saved_state_fd < 0 && i < devices->count; i++)
        r = connect_queues(machine, i, false, err);
    return r;
}

/* --- their thread ----------------------------------------------------------------------------- */

static void *devices_thread(void *context)
{
    struct kvm_machine *machine = context;
    struct error err = { 0 };
    int r = 0;

    if (!machine->is_unconfined)
        r = vmm_sandbox_filter(VMM_THREAD_DEVICES, &err);
    kvm_machine_ready(machine, r, &err);
    if (r < 0 || !kvm_machine_wait_to_begin(machine))
        return NULL;
    r = event_loop_run(machine->devices.loop, &err);
    if (r < 0)
        kvm_machine_finish(machine, MACHINE_FAILED, &err);
    return NULL;
}

int kvm_devices_start_thread(struct kvm_machine *machine, struct error *err)
{
    const int r = kvm_thread_start(&machine->devices.thread, devices_thread, machine);

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

    /* They watch the loop, and their interrupts are theirs till the end. */
    for (size_t i = 0; i < devices->count; i++)
        virtio_mmio_free(devices->mmio[i]);
    event_loop_free(devices->loop);
    for (size_t i = 0; i < devices->count; i++)
        auto_close_cleanup(&devices->irq_fds[i]);
    for (size_t i = 0; i < devices->fd_count; i++)
        auto_close_cleanup(&devices->fds[i]);
    auto_close_cleanup(&devices->stop_fd);
    if (devices->image != NULL)
        (void)munmap(devices->image, devices->image_bytes);
    *devices = (struct kvm_devices){ .stop_fd = -1 };
}

/* --- save and restore ------------------------------------------------------------------------- */

void kvm_devices_lock(struct kvm_devices *devices)
{
    for (size_t i = 0; i < devices->count; i++)
        virtio_mmio_lock(devices->mmio[i]);
}

void kvm_devices_unlock(struct kvm_devices *devices)
{
    for (size_t i = 0; i < devices->count; i++)
        virtio_mmio_unlock(devices->mmio[i]);
}

int kvm_devices_save(struct kvm_devices *devices, struct state_writer *writer, struct error *err)
{
    const uint32_t count = (uint32_t)devices->count;
    int r = 0;

    state_put_mark(writer, "devs");
    state_put(writer, &count, sizeof(count));
    for (size_t i = 0; i < devices->count && r == 0; i++)
        r = virtio_mmio_save(devices->mmio[i], writer, err);
    return r;
}

int kvm_devices_restore(struct kvm_machine *machine, struct state_reader *reader, struct error *err)
{
    struct kvm_devices *devices = &machine->devices;
    uint32_t count;
    int r;

    r = state_take_mark(reader, "devs", err);
    if (r == 0)
        r = state_take(reader, &count, sizeof(count), err);
    if (r < 0)
        return r;
    if (count != devices->count)
        return error_set(err, EXDEV, "the saved machine had %u devices, this one has %zu", count,
                         devices->count);
    for (size_t i = 0; i < devices->count && r == 0; i++)
        r = virtio_mmio_restore(devices->mmio[i], reader, err);
    for (size_t i = 0; i < devices->count && r == 0; i++)
        r = connect_queues(machine, i, true, err);
    return r;
}

void kvm_devices_resume(struct kvm_devices *devices)
{
    for (size_t i = 0; i < devices->count; i++)
        virtio_mmio_resume(devices->mmio[i]);
}

/* --- accesses --------------------------------------------------------------------------------- */

/* The device at @address; NULL when there is none, or the access goes beyond its window. */
static struct virtio_mmio *find_device(const struct kvm_devices *devices, uint64_t address,
                                       uint32_t length)
{
    const uint64_t offset = address - LAYOUT_VIRTIO;
    const uint64_t index = offset / LAYOUT_VIRTIO_SIZE;

    if (address < LAYOUT_VIRTIO || index >= devices->count ||
        offset % LAYOUT_VIRTIO_SIZE + length > LAYOUT_VIRTIO_SIZE)
        return NULL;
    return devices->mmio[index];
}

void kvm_devices_read(struct kvm_devices *devices, uint64_t address, uint8_t *bytes,
                      uint32_t length)
{
    struct virtio_mmio *mmio;

    assert(devices != NULL);
    assert(bytes != NULL);

    mmio = find_device(devices, address, length);
    memset(bytes, 0xff, length);
    if (mmio != NULL)
        virtio_mmio_read(mmio, address % LAYOUT_VIRTIO_SIZE, bytes, length);
}

void kvm_devices_write(struct kvm_devices *devices, uint64_t address, const uint8_t *bytes,
                       uint32_t length)
{
    struct virtio_mmio *mmio;

    assert(devices != NULL);
    assert(bytes != NULL);

    mmio = find_device(devices, address, length);
    if (mmio != NULL)
        virtio_mmio_write(mmio, address % LAYOUT_VIRTIO_SIZE, bytes, length);
}
