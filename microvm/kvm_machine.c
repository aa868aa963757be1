#include "microvm/kvm_machine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "microvm/boot.h"
#include "microvm/initrd.h"
#include "microvm/layout.h"
#include "microvm/virtio_balloon.h"
#include "microvm/vmm_sandbox.h"

#define HUGE_PAGE (2ULL << 20)
/* No kernel begins with less. */
#define MEMORY_MIN_BYTES (16ULL << 20)
#define KERNEL_FILE_MAX  (1LL << 30)
#define STACK_BYTES      (256 << 10)
/* Of the kernel, what is loaded at once. */
#define PIECE_BYTES HUGE_PAGE
/* A reset without reboot=t looks for a BIOS, for ever. Tests of the kernel's own ciphers take half
 * of the boot. What else is not here is not searched for. Only a kernel that gives up says so: each
 * byte on the serial line is an exit. */
#define CMDLINE                                                                                    \
    MACHINE_CMDLINE " reboot=t console=ttyS0 loglevel=1 8250.nr_uarts=1 tsc=reliable "             \
                    "no_timer_check pci=off audit=0 "

int kvm_thread_start(pthread_t *ret_thread, void *(*run)(void *), void *context)
{
    pthread_attr_t attributes;
    int r;

    assert(ret_thread != NULL);

    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    r = pthread_create(ret_thread, &attributes, run, context);
    (void)pthread_attr_destroy(&attributes);
    return r;
}

/* --- the virtual machine and its memory ------------------------------------------------------- */

static int open_vm(struct kvm_machine *machine, struct error *err)
{
    const uint64_t identity_map = LAYOUT_IDENTITY_MAP;

    if (ioctl(machine->kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return error_set(err, ENOTSUP, "/dev/kvm is of another version than %d", KVM_API_VERSION);
    machine->run_size = ioctl(machine->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (machine->run_size < (int)sizeof(struct kvm_run))
        return error_set(err, ENOTSUP, "/dev/kvm has a state of %d bytes", machine->run_size);
    machine->vm_fd = ioctl(machine->kvm_fd, KVM_CREATE_VM, 0UL);
    if (machine->vm_fd < 0)
        return error_errno(err, "make a virtual machine");
    /* For processors of Intel without "unrestricted guest"; others take no notice. */
    if (ioctl(machine->vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS) < 0 ||
        ioctl(machine->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
        return error_errno(err, "reserve the processor's pages");
    return 0;
}

/* Without a PIT, which Linux does not need here: its kernel thread would be nobody's. */
static int open_chips(struct kvm_machine *machine, struct error *err)
{
    if (ioctl(machine->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
        return error_errno(err, "make the interrupt controllers");
    return kvm_interrupt_open(machine->vm_fd, LAYOUT_SERIAL_GSI, &machine->serial_irq_fd, err);
}

/* A saved machine's: read as it is touched, and written to copies. What a balloon gives back comes
 * from the file again, which is no secret to this guest. */
static int map_saved(struct kvm_machine *machine, int fd, struct error *err)
{
    struct stat stat;

    if (fstat(fd, &stat) < 0)
        return error_errno(err, "look at the memory of the saved machine");
    if ((uint64_t)stat.st_size != machine->ram_bytes)
        return error_set(err, EXDEV, "the saved machine had %lld MiB of memory",
                         (long long)stat.st_size >> 20);
    if (mmap(machine->ram, machine->ram_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED)
        return error_errno(err, "map the memory of the saved machine");
    return 0;
}

/* Aligned for huge pages: with small ones a boot comes out 17,000 times for its memory. */
static int map_ram(struct kvm_machine *machine, uint64_t bytes, int saved_fd, struct error *err)
{
    const uint64_t room = bytes + HUGE_PAGE;
    uint8_t *mapping = mmap(NULL, room, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t before;
    int r;

    if (mapping == MAP_FAILED)
        return error_errno(err, "get %llu MiB of memory for the guest",
                           (unsigned long long)bytes >> 20);
    before = -(uintptr_t)mapping % HUGE_PAGE;
    if (before != 0)
        (void)munmap(mapping, before);
    machine->ram = mapping + before;
    machine->ram_bytes = bytes;
    (void)munmap(machine->ram + bytes, HUGE_PAGE - before);
    /* A kernel without huge pages refuses; the guest is only slower then. */
    (void)madvise(machine->ram, bytes, MADV_HUGEPAGE);
    r = saved_fd >= 0 ? map_saved(machine, saved_fd, err) : 0;
    (void)madvise(machine->ram, bytes, MADV_DONTDUMP);
    return r;
}

static int give_ram(struct kvm_machine *machine, struct error *err)
{
    const uint64_t low = boot_low_memory(machine->ram_bytes);
    const uint64_t high = boot_high_memory(machine->ram_bytes);
    int r;

    r = kvm_memory_map(machine, 0, machine->ram, low, false, err);
    if (r == 0 && high != 0)
        r = kvm_memory_map(machine, LAYOUT_HOLE_END, machine->ram + low, high, false, err);
    return r;
}

/* --- the kernel ------------------------------------------------------------------------------- */

/* A part of the kernel that is loaded at once. */
struct piece {
    uint64_t offset; /* in its file */
    uint64_t size;   /* at most PIECE_BYTES */
    uint8_t *to;
};

/* By reading rather than mapping: that fills huge pages at once. A page that is touched here comes
 * under a lock of its own mapping, and one that the kernel comes upon under that of all, which
 * keeps out whoever maps something meanwhile (arch/x86/mm/fault.c). */
static int read_bytes(int fd, uint8_t *to, uint64_t offset, uint64_t size, struct error *err)
{
    uint64_t done = 0;

    *(volatile uint8_t *)to = 0;
    *(volatile uint8_t *)(to + size - 1) = 0;
    while (done < size) {
        const ssize_t count = pread(fd, to + done, size - done, (off_t)(offset + done));

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_errno(err, "read the kernel");
        if (count == 0)
            return error_set(err, EIO, "read the kernel: it became shorter meanwhile");
        done += (uint64_t)count;
    }
    return 0;
}

/* A stretch of a file without a hole. */
struct stretch {
    uint64_t start;
    uint64_t end;
};

/* Finds the stretch at or after @from. False: there is none. A file system that tells of no holes
 * has all of it.
 *
 * @known  in: what was found last; some file systems look at each page for the end of one */
static bool find_data(int fd, uint64_t from, struct stretch *known)
{
    off_t start, hole;

    if (from >= known->start && from < known->end)
        return true;
    start = lseek(fd, (off_t)from, SEEK_DATA);
    if (start < 0) {
        *known = (struct stretch){ from, UINT64_MAX };
        return errno != ENXIO;
    }
    hole = lseek(fd, start, SEEK_HOLE);
    *known = (struct stretch){ (uint64_t)start, hole < 0 ? UINT64_MAX : (uint64_t)hole };
    return true;
}

/* The memory is zero, so holes of the file are left out: what nobody touches takes no memory. */
static int read_piece(int fd, const struct piece *piece, struct stretch *known, struct error *err)
{
    const uint64_t piece_end = piece->offset + piece->size;
    int r = 0;

    for (uint64_t at = piece->offset; r == 0 && at < piece_end && find_data(fd, at, known);
         at = known->end) {
        const uint64_t start = at > known->start ? at : known->start;
        const uint64_t end = known->end < piece_end ? known->end : piece_end;

        if (start < end)
            r = read_bytes(fd, piece->to + (start - piece->offset), start, end - start, err);
    }
    return r;
}

static int plan_kernel(int fd, struct kernel_image *ret_image, struct error *err)
{
    struct stat stat;
    void *bytes;
    int r;

    if (fstat(fd, &stat) < 0)
        return error_errno(err, "look at the kernel's file");
    if (stat.st_size <= 0 || stat.st_size > KERNEL_FILE_MAX)
        return error_set(err, EINVAL, "the kernel's file has %lld bytes", (long long)stat.st_size);
    bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return error_errno(err, "map the kernel's file");
    r = kernel_image_plan(bytes, (size_t)stat.st_size, ret_image, err);
    (void)munmap(bytes, (size_t)stat.st_size);
    return r;
}

/* Brings the kernel and its initrd into the memory, which takes most of the time until the machine
 * runs. A thread loads the kernel while the rest of the machine is put together; then both take a
 * piece each until there are no more. The thread allocates nothing: a second heap would be the
 * machine's for ever. */
struct loading {
    struct kvm_machine *machine;
    const struct machine_config *config;
    const struct kernel_image *image;
    struct initrd *initrd;
    char *cmdline;
    struct boot_plan plan;
    struct guest_memory memory; /* of its own: the machine's is still being put together */
    atomic_uint next_piece;     /* of all segments, counted through */
    pthread_t thread;
    bool has_thread;
    int result;
    struct error err;
};

/* Finds piece @number. False: there are fewer. */
static bool find_piece(const struct loading *loading, uint64_t number, struct piece *ret_piece)
{
    for (size_t i = 0; i < loading->image->segment_count; i++) {
        const struct kernel_segment *segment = &loading->image->segments[i];
        const uint64_t pieces = (segment->file_size + PIECE_BYTES - 1) / PIECE_BYTES;
        const uint64_t offset = number * PIECE_BYTES;

        if (number < pieces) {
            const uint64_t left = segment->file_size - offset;
            uint8_t *to =
                guest_memory_writable(&loading->memory, segment->address, segment->memory_size);

            assert(to != NULL); /* boot_plan() has looked */
            *ret_piece = (struct piece){ segment->file_offset + offset,
                                         left < PIECE_BYTES ? left : PIECE_BYTES, to + offset };
            return true;
        }
        number -= pieces;
    }
    return false;
}

static int load_kernel(struct loading *loading, struct error *err)
{
    struct stretch known = { 0 };
    struct piece piece;
    int r = 0;

    while (r == 0 && find_piece(loading, atomic_fetch_add(&loading->next_piece, 1), &piece))
        r = read_piece(loading->config->kernel_fd, &piece, &known, err);
    return r;
}

static int load_initrd(struct loading *loading, struct error *err)
{
    const struct boot_plan *plan = &loading->plan;

    return plan->initrd_size == 0
               ? 0
               : initrd_read(loading->initrd, loading->machine->ram + plan->initrd_address, err);
}

static void *loading_thread(void *context)
{
    struct loading *loading = context;

    loading->result = load_kernel(loading, &loading->err);
    return NULL;
}

static int loading_begin(struct loading *loading, struct kvm_machine *machine,
                         const struct machine_config *config, const struct kernel_image *image,
                         struct error *err)
{
    int r;

    *loading = (struct loading){ .machine = machine, .config = config, .image = image };
    loading->cmdline = xasprintf(CMDLINE "%s", config->cmdline);
    r = initrd_open(config->agent_program_fd, config->modules_fd, &loading->initrd, err);
    if (r == 0)
        r = boot_plan(image, machine->ram_bytes, loading->cmdline, initrd_size(loading->initrd),
                      &loading->plan, err);
    if (r == 0)
        r = guest_memory_add(
            &loading->memory,
            &(struct guest_region){ 0, boot_low_memory(machine->ram_bytes), machine->ram, false },
            err);
    if (r < 0)
        return r;
    r = kvm_thread_start(&loading->thread, loading_thread, loading);
    if (r != 0)
        return error_set(err, r, "start the thread that loads the kernel: %s", strerror(r));
    loading->has_thread = true;
    return 0;
}

static void loading_join(struct loading *loading)
{
    if (loading->has_thread)
        (void)pthread_join(loading->thread, NULL); /* it is there, and not ours */
    loading->has_thread = false;
}

/* Loads what is left, and waits until all is there. */
static int loading_finish(struct loading *loading, struct error *err)
{
    uint8_t seed[BOOT_SEED_SIZE];
    int r;

    r = load_initrd(loading, err);
    if (r == 0)
        r = load_kernel(loading, err);
    loading_join(loading);
    if (r < 0)
        return r;
    if (loading->result < 0)
        return error_set(err, loading->err.code, "%s", loading->err.message);
    if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
        return error_errno(err, "get random bytes for the guest");
    boot_write(&loading->plan, seed, &loading->memory);
    explicit_bzero(seed, sizeof(seed));
    return 0;
}

static void loading_clear(struct loading *loading)
{
    loading_join(loading);
    initrd_free(loading->initrd);
    free(loading->cmdline);
}

static void write_acpi(struct kvm_machine *machine)
{
    const struct acpi_plan plan = {
        .cpus = machine->cpu_count,
        .devices = machine->devices.acpi,
        .device_count = machine->devices.count,
    };

    (void)acpi_write(&plan, LAYOUT_ACPI, machine->ram + LAYOUT_ACPI, LAYOUT_ACPI_SIZE);
}

/* --- states ----------------------------------------------------------------------------------- */

static void kick_all(struct kvm_machine *machine)
{
    for (uint32_t i = 0; i < machine->cpu_count; i++)
        kvm_cpu_kick(&machine->cpus[i]);
}

/* Called with the mutex. */
static void set_state(struct kvm_machine *machine, enum kvm_state state)
{
    machine->state = state;
    (void)pthread_cond_broadcast(&machine->changed);
}

void kvm_machine_finish(struct kvm_machine *machine, enum machine_end end,
                        const struct error *reason)
{
    const uint64_t one = 1;

    (void)pthread_mutex_lock(&machine->mutex);
    if (machine->state != KVM_ENDED) {
        const bool has_run = machine->state != KVM_PREPARING;

        machine->end = end;
        if (reason != NULL)
            machine->end_error = *reason;
        set_state(machine, KVM_ENDED);
        if (has_run)
            kick_all(machine);
        (void)!write(machine->end_fd, &one, sizeof(one));
    }
    (void)pthread_mutex_unlock(&machine->mutex);
}

/* Those that lock themselves in before the first CPU goes, without the one that waits for them. */
static uint32_t thread_count(const struct kvm_machine *machine)
{
    return machine->cpu_count + 1;
}

void kvm_machine_ready(struct kvm_machine *machine, int r, const struct error *err)
{
    if (r < 0)
        kvm_machine_finish(machine, MACHINE_FAILED, err);
    (void)pthread_mutex_lock(&machine->mutex);
    if (++machine->ready == thread_count(machine))
        (void)pthread_cond_broadcast(&machine->changed);
    (void)pthread_mutex_unlock(&machine->mutex);
}

bool kvm_machine_wait_to_run(struct kvm_machine *machine)
{
    bool is_running;

    (void)pthread_mutex_lock(&machine->mutex);
    if (++machine->standing == machine->cpu_count && machine->state == KVM_PAUSED)
        (void)pthread_cond_broadcast(&machine->changed);
    while (machine->state == KVM_PREPARING || machine->state == KVM_PAUSED)
        (void)pthread_cond_wait(&machine->changed, &machine->mutex);
    machine->standing--;
    is_running = machine->state == KVM_RUNNING;
    (void)pthread_mutex_unlock(&machine->mutex);
    return is_running;
}

bool kvm_machine_wait_to_begin(struct kvm_machine *machine)
{
    bool begins;

    (void)pthread_mutex_lock(&machine->mutex);
    while (machine->state == KVM_PREPARING)
        (void)pthread_cond_wait(&machine->changed, &machine->mutex);
    begins = machine->state != KVM_ENDED;
    (void)pthread_mutex_unlock(&machine->mutex);
    return begins;
}

/* Before the machine is made: threads lock themselves in while KVM waits for grace periods. */
static int start_threads(struct kvm_machine *machine, struct error *err)
{
    int r;

    r = kvm_devices_start_thread(machine, err);
    for (uint32_t i = 0; i < machine->cpu_count && r == 0; i++)
        r = kvm_cpu_start_thread(&machine->cpus[i], err);
    return r;
}

/* All threads are locked in before the first CPU goes, the caller's as the last. */
static int lock_in_and_go(struct kvm_machine *machine, struct error *err)
{
    int r = 0;

    (void)pthread_mutex_lock(&machine->mutex);
    while (machine->ready < thread_count(machine))
        (void)pthread_cond_wait(&machine->changed, &machine->mutex);
    (void)pthread_mutex_unlock(&machine->mutex);
    if (machine->end_error.code != 0)
        return error_set(err, machine->end_error.code, "%s", machine->end_error.message);
    if (!machine->is_unconfined)
        r = vmm_sandbox_filter(machine->is_savable ? VMM_THREAD_SAVABLE : VMM_THREAD_MAIN, err);
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&machine->mutex);
    set_state(machine, KVM_RUNNING);
    (void)pthread_mutex_unlock(&machine->mutex);
    return 0;
}

/* --- the class -------------------------------------------------------------------------------- */

static struct kvm_machine *of(struct machine *machine)
{
    return (struct kvm_machine *)(void *)machine;
}

static void kvm_free(struct machine *base)
{
    struct kvm_machine *machine = of(base);

    kvm_machine_finish(machine, MACHINE_FAILED, NULL);
    for (uint32_t i = 0; i < machine->cpu_count; i++)
        kvm_cpu_close(&machine->cpus[i]);
    kvm_devices_stop_thread(&machine->devices);
    kvm_devices_close(&machine->devices);
    auto_close_cleanup(&machine->serial_irq_fd);
    auto_close_cleanup(&machine->console_fd);
    auto_close_cleanup(&machine->vm_fd);
    auto_close_cleanup(&machine->end_fd);
    if (machine->ram != NULL)
        (void)munmap(machine->ram, machine->ram_bytes);
    auto_free_cleanup(&machine->msrs);
    auto_free_cleanup(&machine->cpus);
    auto_free_cleanup(&machine);
}

static struct kvm_machine *machine_new(const struct machine_config *config)
{
    struct kvm_machine *machine = xcalloc(1, sizeof(*machine));

    machine->machine.machine_class = &kvm_machine_class;
    machine->kvm_fd = config->kvm_fd;
    machine->vm_fd = machine->end_fd = machine->serial_irq_fd = -1;
    machine->console_fd = -1;
    machine->devices.stop_fd = -1;
    machine->is_unconfined = config->is_unconfined;
    machine->is_savable = config->is_savable;
    machine->cpu_count = config->cpus;
    machine->cpus = xcalloc(config->cpus, sizeof(machine->cpus[0]));
    for (uint32_t i = 0; i < config->cpus; i++)
        machine->cpus[i] = (struct kvm_cpu){ .machine = machine, .index = i, .fd = -1 };
    (void)pthread_mutex_init(&machine->mutex, NULL);
    (void)pthread_cond_init(&machine->changed, NULL);
    return machine;
}

static int open_console(struct kvm_machine *machine, int fd, struct error *err)
{
    if (fd >= 0) {
        machine->console_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (machine->console_fd < 0)
            return error_errno(err, "duplicate the console's descriptor");
    }
    platform_start(&machine->platform, machine->console_fd, machine->serial_irq_fd);
    return 0;
}

/* All memory comes before anything else: whatever is put on the bus of a machine's devices, its
 * interrupt controllers too, starts a grace period, for milliseconds of which the next slot waits
 * (kernel, virt/kvm/kvm_main.c, kvm_swap_active_memslots).
 *
 * @image  NULL for a saved machine */
static int prepare_parts(struct kvm_machine *machine, const struct machine_config *config,
                         const struct kernel_image *image, struct error *err)
{
    auto_free struct kvm_cpuid2 *supported = NULL;
    int r;

    machine->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (machine->end_fd < 0)
        return error_errno(err, "make an eventfd for the machine's end");
    r = open_vm(machine, err);
    if (r == 0)
        r = give_ram(machine, err);
    if (r == 0 && config->root_fd >= 0)
        r = kvm_devices_map_root(machine, config->root_fd, err);
    if (r == 0)
        r = open_chips(machine, err);
    if (r == 0)
        r = open_console(machine, config->console_fd, err);
    if (r == 0)
        r = kvm_devices_open(machine, config, err);
    if (r == 0)
        r = kvm_cpuid_supported(machine->kvm_fd, &supported, err);
    for (uint32_t i = 0; i < machine->cpu_count && r == 0; i++)
        r = kvm_cpu_open(&machine->cpus[i], supported, image, err);
    return r;
}

static int prepare_new(struct kvm_machine *machine, const struct machine_config *config,
                       struct error *err)
{
    AUTO_CLEAR(loading) struct loading loading = { 0 };
    struct kernel_image image;
    int r;

    r = plan_kernel(config->kernel_fd, &image, err);
    if (r == 0)
        r = map_ram(machine, config->memory_bytes, -1, err);
    if (r == 0)
        r = loading_begin(&loading, machine, config, &image, err);
    if (r == 0)
        r = prepare_parts(machine, config, &image, err);
    if (r == 0)
        r = loading_finish(&loading, err);
    if (r < 0)
        return r;
    write_acpi(machine);
    return config->is_savable ? kvm_state_prepare(machine, err) : 0;
}

/* All that the kernel was handed is in the memory. */
static int prepare_saved(struct kvm_machine *machine, const struct machine_config *config,
                         struct error *err)
{
    int r;

    r = map_ram(machine, config->memory_bytes, config->saved_memory_fd, err);
    if (r == 0)
        r = prepare_parts(machine, config, NULL, err);
    if (r == 0)
        r = kvm_state_prepare(machine, err);
    return r < 0 ? r : kvm_state_restore(machine, config->saved_state_fd, err);
}

static int kvm_start(const struct machine_config *config, struct machine **ret_machine,
                     struct error *err)
{
    AUTO(machine) struct machine *base = NULL;
    struct kvm_machine *machine;
    int r;

    if (config->memory_bytes < MEMORY_MIN_BYTES)
        return error_set(err, EINVAL, "a microVM needs %llu MiB of memory at least",
                         MEMORY_MIN_BYTES >> 20);
    machine = machine_new(config);
    base = &machine->machine;
    r = machine->is_unconfined ? 0 : vmm_sandbox_drop(err);
    if (r == 0)
        r = start_threads(machine, err);
    if (r == 0)
        r = config->saved_state_fd >= 0 ? prepare_saved(machine, config, err)
                                        : prepare_new(machine, config, err);
    if (r == 0)
        r = lock_in_and_go(machine, err);
    if (r < 0)
        return r;
    *ret_machine = take_ptr(&base);
    return 0;
}

static int kvm_end_fd(const struct machine *base)
{
    return ((const struct kvm_machine *)(const void *)base)->end_fd;
}

/* What the kernel said last tells a panic from a reset that was wanted. */
static enum machine_end kvm_end(struct machine *base, struct error *err)
{
    struct kvm_machine *machine = of(base);
    struct console_log *console = &machine->platform.console;
    enum machine_end end;

    (void)pthread_mutex_lock(&machine->platform.mutex);
    console_log_flush(console);
    (void)pthread_mutex_lock(&machine->mutex);
    end = machine->end;
    if (end == MACHINE_FAILED)
        (void)error_set(err, machine->end_error.code, "%s", machine->end_error.message);
    else if (console->panic[0] != '\0') {
        end = MACHINE_PANIC;
        (void)error_set(err, EIO, "the guest's kernel gave up: %s", console->panic);
    }
    (void)pthread_mutex_unlock(&machine->mutex);
    (void)pthread_mutex_unlock(&machine->platform.mutex);
    return end;
}

static int kvm_pause(struct machine *base, struct error *err)
{
    struct kvm_machine *machine = of(base);

    (void)err;
    (void)pthread_mutex_lock(&machine->mutex);
    if (machine->state == KVM_RUNNING) {
        set_state(machine, KVM_PAUSED);
        kick_all(machine);
    }
    while (machine->state == KVM_PAUSED && machine->standing < machine->cpu_count)
        (void)pthread_cond_wait(&machine->changed, &machine->mutex);
    (void)pthread_mutex_unlock(&machine->mutex);
    return 0;
}

static int kvm_resume(struct machine *base, struct error *err)
{
    struct kvm_machine *machine = of(base);

    (void)err;
    (void)pthread_mutex_lock(&machine->mutex);
    if (machine->state == KVM_PAUSED) {
        for (uint32_t i = 0; i < machine->cpu_count; i++)
            machine->cpus[i].run->immediate_exit = 0;
        set_state(machine, KVM_RUNNING);
    }
    (void)pthread_mutex_unlock(&machine->mutex);
    return 0;
}

static int kvm_balloon(struct machine *base, uint64_t bytes, struct error *err)
{
    struct kvm_machine *machine = of(base);

    (void)err;
    assert(bytes < machine->ram_bytes);
    virtio_balloon_set_target(machine->devices.balloon, bytes);
    return 0;
}

static int kvm_given(struct machine *base, uint64_t *ret_bytes, struct error *err)
{
    (void)err;
    *ret_bytes = virtio_balloon_given(of(base)->devices.balloon);
    return 0;
}

static bool stands(struct kvm_machine *machine)
{
    bool result;

    (void)pthread_mutex_lock(&machine->mutex);
    result = machine->state == KVM_PAUSED && machine->standing == machine->cpu_count;
    (void)pthread_mutex_unlock(&machine->mutex);
    return result;
}

/* The devices stand as well, whatever comes for them: their work waits for their locks. */
static int kvm_save(struct machine *base, int state_fd, int memory_fd, struct error *err)
{
    struct kvm_machine *machine = of(base);
    int r;

    if (!machine->is_savable)
        return error_set(err, EPERM, "the machine was started without the right to be saved");
    if (!stands(machine))
        return error_set(err, EBUSY,
                         "the machine runs, or has ended: only one that is paused can "
                         "be saved");
    kvm_devices_lock(&machine->devices);
    r = kvm_state_save(machine, state_fd, err);
    if (r == 0)
        r = state_write_memory(machine->ram, machine->ram_bytes, memory_fd, err);
    kvm_devices_unlock(&machine->devices);
    return r;
}

uint64_t kvm_machine_exits(const struct machine *base)
{
    const struct kvm_machine *machine = (const struct kvm_machine *)(const void *)base;
    uint64_t exits = 0;

    for (uint32_t i = 0; i < machine->cpu_count; i++)
        exits += atomic_load_explicit(&machine->cpus[i].exits, memory_order_relaxed);
    return exits;
}

const struct machine_class kvm_machine_class = {
    .name = "KVM",
    .start = kvm_start,
    .end_fd = kvm_end_fd,
    .end = kvm_end,
    .pause = kvm_pause,
    .resume = kvm_resume,
    .balloon = kvm_balloon,
    .given = kvm_given,
    .save = kvm_save,
    .free = kvm_free,
};
