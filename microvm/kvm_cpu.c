#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include "base/auto.h"
#include "base/text.h"
#include "microvm/cpu_plan.h"
#include "microvm/kvm_machine.h"
#include "microvm/vmm_sandbox.h"

/* More than any processor has. */
#define CPUID_ENTRIES_MAX 256

/* Model specific registers (Intel SDM volume 4). */
#define MSR_MISC_ENABLE    0x1a0
#define MISC_FAST_STRING   1
#define MSR_MTRR_TYPE      0x2ff
#define MTRR_ON_WRITE_BACK 0x806

/* Takes the CPU's thread out of KVM_RUN. Programs use those below, C libraries the first two. */
static int kick_signal(void)
{
    return SIGRTMIN + 1;
}

static void do_nothing(int signal)
{
    (void)signal;
}

int kvm_cpuid_supported(int kvm_fd, struct kvm_cpuid2 **ret_cpuid, struct error *err)
{
    auto_free struct kvm_cpuid2 *cpuid =
        xcalloc(1, sizeof(*cpuid) + CPUID_ENTRIES_MAX * sizeof(struct kvm_cpuid_entry2));

    assert(ret_cpuid != NULL);

    cpuid->nent = CPUID_ENTRIES_MAX;
    if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
        return error_errno(err, "ask KVM for the processor's features");
    *ret_cpuid = take_ptr(&cpuid);
    return 0;
}

static int set_cpuid(struct kvm_cpu *cpu, const struct kvm_cpuid2 *supported, struct error *err)
{
    cpu->cpuid =
        xmemdup(supported, sizeof(*supported) + supported->nent * sizeof(supported->entries[0]));
    cpu_cpuid_plan(cpu->cpuid->entries, cpu->cpuid->nent, cpu->index, cpu->machine->cpu_count);
    if (ioctl(cpu->fd, KVM_SET_CPUID2, cpu->cpuid) < 0)
        return error_errno(err, "tell CPU %u its features", cpu->index);
    return 0;
}

int kvm_machine_identity(uint32_t cpus, char **ret_text, struct error *err)
{
    auto_close int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    auto_free struct kvm_cpuid2 *cpuid = NULL;
    struct utsname host;
    uint64_t hash;
    int r;

    assert(ret_text != NULL);

    if (kvm_fd < 0)
        return error_errno(err, "open /dev/kvm");
    if (uname(&host) < 0)
        return error_errno(err, "find out the kernel's version");
    r = kvm_cpuid_supported(kvm_fd, &cpuid, err);
    if (r < 0)
        return r;
    cpu_cpuid_plan(cpuid->entries, cpuid->nent, 0, cpus);
    hash = text_hash(cpuid->entries, cpuid->nent * sizeof(cpuid->entries[0]));
    *ret_text = xasprintf("kvm %u %016llx %s %s", MACHINE_STATE_VERSION, (unsigned long long)hash,
                          host.release, host.version);
    return 0;
}

static int set_msrs(struct kvm_cpu *cpu, struct error *err)
{
    static const struct kvm_msr_entry entries[] = {
        { .index = MSR_MISC_ENABLE, .data = MISC_FAST_STRING },
        { .index = MSR_MTRR_TYPE, .data = MTRR_ON_WRITE_BACK },
    };
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entries[ARRAY_SIZE(entries)];
    } msrs = { .head = { .nmsrs = ARRAY_SIZE(entries) } };

    memcpy(msrs.entries, entries, sizeof(entries));
    /* Fewer than asked for: this processor has no such register, and Linux boots without. */
    if (ioctl(cpu->fd, KVM_SET_MSRS, &msrs) < 0)
        return error_errno(err, "set the registers of CPU %u", cpu->index);
    return 0;
}

static int set_lapic(struct kvm_cpu *cpu, struct error *err)
{
    struct kvm_lapic_state lapic;

    if (ioctl(cpu->fd, KVM_GET_LAPIC, &lapic) < 0)
        return error_errno(err, "read the interrupt controller of CPU %u", cpu->index);
    cpu_lapic_plan(&lapic);
    if (ioctl(cpu->fd, KVM_SET_LAPIC, &lapic) < 0)
        return error_errno(err, "set the interrupt controller of CPU %u", cpu->index);
    return 0;
}

/* Only the first CPU begins here; the others wait for its start-up message. */
static int set_entry(struct kvm_cpu *cpu, const struct kernel_image *image, struct error *err)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs;

    if (ioctl(cpu->fd, KVM_GET_SREGS, &sregs) < 0)
        return error_errno(err, "read the segments of CPU %u", cpu->index);
    cpu_sregs_plan(image->entry, &sregs);
    cpu_regs_plan(image->entry, image->entry_address, &regs);
    if (ioctl(cpu->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(cpu->fd, KVM_SET_REGS, &regs) < 0)
        return error_errno(err, "set the entry of CPU %u", cpu->index);
    return 0;
}

int kvm_cpu_open(struct kvm_cpu *cpu, const struct kvm_cpuid2 *supported,
                 const struct kernel_image *image, struct error *err)
{
    const struct kvm_machine *machine = cpu->machine;
    void *run;
    int r;

    cpu->fd = ioctl(machine->vm_fd, KVM_CREATE_VCPU, (unsigned long)cpu->index);
    if (cpu->fd < 0)
        return error_errno(err, "make CPU %u", cpu->index);
    run = mmap(NULL, (size_t)machine->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
    if (run == MAP_FAILED)
        return error_errno(err, "map the state of CPU %u", cpu->index);
    cpu->run = run;
    /* The features decide which registers there are. */
    r = set_cpuid(cpu, supported, err);
    if (r < 0 || image == NULL)
        return r;
    r = set_msrs(cpu, err);
    if (r == 0)
        r = set_lapic(cpu, err);
    if (r == 0 && cpu->index == 0)
        r = set_entry(cpu, image, err);
    return r;
}

/* --- running ---------------------------------------------------------------------------------- */

static bool handle_port(struct kvm_cpu *cpu)
{
    struct kvm_machine *machine = cpu->machine;
    const struct kvm_run *run = cpu->run;
    uint8_t *bytes = (uint8_t *)cpu->run + run->io.data_offset;

    for (uint32_t i = 0; i < run->io.count; i++, bytes += run->io.size) {
        enum platform_request request = PLATFORM_GO_ON;

        if (run->io.direction == KVM_EXIT_IO_IN)
            platform_read(&machine->platform, run->io.port, bytes, run->io.size);
        else
            request = platform_write(&machine->platform, run->io.port, bytes, run->io.size);
        if (request == PLATFORM_GO_ON)
            continue;
        kvm_machine_finish(machine,
                           request == PLATFORM_POWER_OFF ? MACHINE_POWER_OFF : MACHINE_RESET, NULL);
        return false;
    }
    return true;
}

static bool handle_memory(struct kvm_cpu *cpu)
{
    struct kvm_run *run = cpu->run;
    const uint64_t address = run->mmio.phys_addr;

    if (run->mmio.is_write)
        kvm_devices_write(&cpu->machine->devices, address, run->mmio.data, run->mmio.len);
    else
        kvm_devices_read(&cpu->machine->devices, address, run->mmio.data, run->mmio.len);
    return true;
}

static bool fail(struct kvm_cpu *cpu, const char *what, unsigned long long detail)
{
    struct error err = { 0 };

    (void)error_set(&err, EIO, "run CPU %u: %s (0x%llx)", cpu->index, what, detail);
    kvm_machine_finish(cpu->machine, MACHINE_FAILED, &err);
    return false;
}

/* Returns whether the CPU goes on. */
static bool handle_exit(struct kvm_cpu *cpu)
{
    const struct kvm_run *run = cpu->run;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        return handle_port(cpu);
    case KVM_EXIT_MMIO:
        return handle_memory(cpu);
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        return true;
    case KVM_EXIT_SHUTDOWN: /* a triple fault: how a kernel with reboot=t resets */
        kvm_machine_finish(cpu->machine, MACHINE_RESET, NULL);
        return false;
    case KVM_EXIT_SYSTEM_EVENT:
        kvm_machine_finish(cpu->machine,
                           run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN ? MACHINE_POWER_OFF
                           : run->system_event.type == KVM_SYSTEM_EVENT_CRASH  ? MACHINE_PANIC
                                                                               : MACHINE_RESET,
                           NULL);
        return false;
    case KVM_EXIT_FAIL_ENTRY:
        return fail(cpu, "the processor refused its state",
                    run->fail_entry.hardware_entry_failure_reason);
    case KVM_EXIT_INTERNAL_ERROR:
        return fail(cpu, "KVM could not emulate an instruction", run->internal.suberror);
    default:
        return fail(cpu, "KVM stopped for an unknown reason", run->exit_reason);
    }
}

static void run_until_end(struct kvm_cpu *cpu)
{
    bool goes_on = true;

    while (goes_on) {
        if (ioctl(cpu->fd, KVM_RUN, 0) < 0) {
            if (errno == EAGAIN)
                continue;
            if (errno != EINTR) {
                (void)fail(cpu, strerror(errno), (unsigned long long)errno);
                return;
            }
            goes_on = kvm_machine_wait_to_run(cpu->machine);
            continue;
        }
        atomic_fetch_add_explicit(&cpu->exits, 1, memory_order_relaxed);
        goes_on = handle_exit(cpu);
    }
}

static void *cpu_thread(void *context)
{
    struct kvm_cpu *cpu = context;
    struct error err = { 0 };
    sigset_t kick;
    int r = 0;

    (void)sigemptyset(&kick);
    (void)sigaddset(&kick, kick_signal());
    (void)pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    if (!cpu->machine->is_unconfined)
        r = vmm_sandbox_filter(VMM_THREAD_CPU, &err);
    kvm_machine_ready(cpu->machine, r, &err);
    if (r == 0 && kvm_machine_wait_to_run(cpu->machine))
        run_until_end(cpu);
    return NULL;
}

int kvm_cpu_start_thread(struct kvm_cpu *cpu, struct error *err)
{
    const struct sigaction action = { .sa_handler = do_nothing };
    int r;

    if (sigaction(kick_signal(), &action, NULL) < 0)
        return error_errno(err, "set the handler of CPU %u", cpu->index);
    r = kvm_thread_start(&cpu->thread, cpu_thread, cpu);
    if (r != 0)
        return error_set(err, r, "start the thread of CPU %u: %s", cpu->index, strerror(r));
    cpu->has_thread = true;
    return 0;
}

void kvm_cpu_kick(struct kvm_cpu *cpu)
{
    if (!cpu->has_thread)
        return;
    /* A signal that comes just before KVM_RUN is lost; this word is looked at inside of it. */
    cpu->run->immediate_exit = 1;
    (void)pthread_kill(cpu->thread, kick_signal());
}

void kvm_cpu_close(struct kvm_cpu *cpu)
{
    if (cpu->has_thread)
        (void)pthread_join(cpu->thread, NULL);
    cpu->has_thread = false;
    if (cpu->run != NULL)
        (void)munmap(cpu->run, (size_t)cpu->machine->run_size);
    cpu->run = NULL;
    auto_free_cleanup(&cpu->cpuid);
    auto_close_cleanup(&cpu->fd);
}
