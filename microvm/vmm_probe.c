#include "microvm/vmm_probe.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/auto.h"
#include "microvm/boot.h"
#include "microvm/cpu_plan.h"
#include "microvm/kvm_machine.h"
#include "microvm/layout.h"

#define PROBE_MEMORY (2ULL << 20)
#define PROBE_CODE   LAYOUT_HIGH_START
#define PROBE_PORT   0x500
/* Of the processor, so that a busy machine is not taken for a bad one. It is ample, as a virtual
 * machine may take for its own what others use. The second is for a guest that never comes back
 * without using any. */
#define BUDGET_US     200000
#define BUDGET_WALL_S 5

/* The steps that the guest writes to PROBE_PORT when it has taken them. */
enum probe_step {
    PROBE_BEGUN,
    PROBE_FLOATS,  /* fxsave, fxrstor, and xsave, xrstor where the processor has them */
    PROBE_COMPARE, /* cmpxchg16b */
    PROBE_TRAP,    /* int3 through an interrupt gate, and back */
    PROBE_LOOP,    /* 200,000 rounds */
    PROBE_DONE,
};

static const char *const failed_at[] = {
    [PROBE_BEGUN] = "it runs no guest in long mode",
    [PROBE_FLOATS] = "it does not save and restore the floating point state",
    [PROBE_COMPARE] = "it does not compare and exchange 16 bytes",
    [PROBE_TRAP] = "it takes no trap",
    [PROBE_LOOP] = "it is too slow",
    [PROBE_DONE] = "it does not come back",
};

/* Runs at PROBE_CODE in the guest, never here; addresses are relative. Its data is behind it, in
 * pages of its own: 0x140000 the interrupt table, 0x150000 room for the floating point state,
 * 0x160000 the operand of 16 bytes, 0x1f0000 the stack. */
extern const uint8_t probe_begin[];
extern const uint8_t probe_end[];
__asm__(".pushsection .rodata\n"
        ".globl probe_begin, probe_end\n"
        "probe_begin:\n"
        "    mov $0x1f0000, %esp\n"
        "    mov $0x500, %dx\n"
        "    mov $0, %al\n"
        "    outb %al, %dx\n"
        /* floats */
        "    mov %cr4, %rax\n"
        "    or $0x600, %rax\n"
        "    mov %rax, %cr4\n"
        "    fninit\n"
        "    mov $0x150000, %edi\n"
        "    fxsave64 (%rdi)\n"
        "    fxrstor64 (%rdi)\n"
        "    mov $1, %eax\n"
        "    xor %ecx, %ecx\n"
        "    cpuid\n"
        "    bt $26, %ecx\n"
        "    jnc 1f\n"
        "    mov %cr4, %rax\n"
        "    or $0x40000, %rax\n"
        "    mov %rax, %cr4\n"
        "    mov $0x151000, %edi\n"
        "    mov $3, %eax\n"
        "    xor %edx, %edx\n"
        "    xsave64 (%rdi)\n"
        "    mov $3, %eax\n"
        "    xor %edx, %edx\n"
        "    xrstor64 (%rdi)\n"
        "1:  mov $0x500, %dx\n"
        "    mov $1, %al\n"
        "    outb %al, %dx\n"
        /* compare and exchange: 0 becomes 0x1111:0x2222 */
        "    mov $0x160000, %edi\n"
        "    xor %eax, %eax\n"
        "    xor %edx, %edx\n"
        "    mov $0x2222, %ebx\n"
        "    mov $0x1111, %ecx\n"
        "    lock cmpxchg16b (%rdi)\n"
        "    jnz 9f\n"
        "    cmpq $0x2222, (%rdi)\n"
        "    jne 9f\n"
        "    cmpq $0x1111, 8(%rdi)\n"
        "    jne 9f\n"
        "    mov $0x500, %dx\n"
        "    mov $2, %al\n"
        "    outb %al, %dx\n"
        /* trap: entry 3 of the table, an interrupt gate to label 5 */
        "    lea 5f(%rip), %rax\n"
        "    mov $0x140030, %edi\n"
        "    mov %ax, (%rdi)\n"
        "    movw $0x10, 2(%rdi)\n"
        "    movw $0x8e00, 4(%rdi)\n"
        "    shr $16, %rax\n"
        "    mov %ax, 6(%rdi)\n"
        "    movw $0x0fff, 0x141000\n"
        "    movq $0x140000, 0x141002\n"
        "    lidt 0x141000\n"
        "    xor %ebx, %ebx\n"
        "    int3\n"
        "    cmp $0x77, %ebx\n"
        "    jne 9f\n"
        "    mov $0x500, %dx\n"
        "    mov $3, %al\n"
        "    outb %al, %dx\n"
        /* loop */
        "    mov $200000, %ecx\n"
        "2:  dec %ecx\n"
        "    jnz 2b\n"
        "    mov $4, %al\n"
        "    outb %al, %dx\n"
        "    mov $5, %al\n"
        "    outb %al, %dx\n"
        "9:  hlt\n"
        "    jmp 9b\n"
        "5:  mov $0x77, %ebx\n"
        "    iretq\n"
        "probe_end:\n"
        ".popsection\n");

struct probe {
    int kvm_fd;
    int vm_fd;
    int cpu_fd;
    uint8_t *ram;
    struct kvm_run *run;
    size_t run_size;
};

static void probe_clear(struct probe *probe)
{
    if (probe->run != NULL)
        (void)munmap(probe->run, probe->run_size);
    auto_close_cleanup(&probe->cpu_fd);
    auto_close_cleanup(&probe->vm_fd);
    auto_close_cleanup(&probe->kvm_fd);
    if (probe->ram != NULL)
        (void)munmap(probe->ram, PROBE_MEMORY);
}

static int open_vm(struct probe *probe, struct error *err)
{
    struct kvm_userspace_memory_region slot = { .memory_size = PROBE_MEMORY };
    void *ram;

    probe->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (probe->kvm_fd < 0)
        return error_errno(err, "open /dev/kvm");
    probe->vm_fd = ioctl(probe->kvm_fd, KVM_CREATE_VM, 0UL);
    if (probe->vm_fd < 0)
        return error_errno(err, "make a virtual machine");
    ram = mmap(NULL, PROBE_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ram == MAP_FAILED)
        return error_errno(err, "get memory for a guest");
    probe->ram = ram;
    slot.userspace_addr = (uintptr_t)ram;
    if (ioctl(probe->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
        return error_errno(err, "give the guest its memory");
    return 0;
}

static void write_guest(struct probe *probe)
{
    static const uint8_t seed[BOOT_SEED_SIZE] = { 0 };
    const struct kernel_image image = { .entry = KERNEL_ENTRY_LINUX64 };
    const struct boot_plan plan = { .image = &image, .memory_bytes = PROBE_MEMORY, .cmdline = "" };
    const struct guest_region region = { .size = PROBE_MEMORY, .host = probe->ram };
    const struct guest_memory memory = { .regions = { region }, .region_count = 1 };

    boot_write(&plan, seed, &memory);
    memcpy(probe->ram + PROBE_CODE, probe_begin, (size_t)(probe_end - probe_begin));
}

static int open_cpu(struct probe *probe, struct error *err)
{
    auto_free struct kvm_cpuid2 *cpuid = NULL;
    const int run_size = ioctl(probe->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    struct kvm_sregs sregs;
    struct kvm_regs regs;
    void *run;
    int r;

    r = kvm_cpuid_supported(probe->kvm_fd, &cpuid, err);
    if (r < 0)
        return r;
    probe->cpu_fd = ioctl(probe->vm_fd, KVM_CREATE_VCPU, 0UL);
    if (probe->cpu_fd < 0 || run_size < (int)sizeof(struct kvm_run))
        return error_errno(err, "make a virtual CPU");
    run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, probe->cpu_fd, 0);
    if (run == MAP_FAILED)
        return error_errno(err, "map the state of a virtual CPU");
    probe->run = run;
    probe->run_size = (size_t)run_size;
    cpu_regs_plan(KERNEL_ENTRY_LINUX64, PROBE_CODE, &regs);
    if (ioctl(probe->cpu_fd, KVM_SET_CPUID2, cpuid) < 0 ||
        ioctl(probe->cpu_fd, KVM_GET_SREGS, &sregs) < 0)
        return error_errno(err, "set up a virtual CPU");
    cpu_sregs_plan(KERNEL_ENTRY_LINUX64, &sregs);
    if (ioctl(probe->cpu_fd, KVM_SET_SREGS, &sregs) < 0 ||
        ioctl(probe->cpu_fd, KVM_SET_REGS, &regs) < 0)
        return error_errno(err, "set up a virtual CPU");
    return 0;
}

static void do_nothing(int signal)
{
    (void)signal;
}

static int set_budget(struct error *err)
{
    const struct sigaction action = { .sa_handler = do_nothing };
    /* Again and again: a signal that comes before KVM_RUN is entered is lost. */
    const struct itimerval cpu_time = { { 0, BUDGET_US }, { 0, BUDGET_US } };
    const struct itimerval wall_time = { { BUDGET_WALL_S, 0 }, { BUDGET_WALL_S, 0 } };

    if (sigaction(SIGPROF, &action, NULL) < 0 || sigaction(SIGALRM, &action, NULL) < 0 ||
        setitimer(ITIMER_PROF, &cpu_time, NULL) < 0 || setitimer(ITIMER_REAL, &wall_time, NULL) < 0)
        return error_errno(err, "limit the time of the guest");
    return 0;
}

/* Returns the first step that did not succeed; PROBE_DONE + 1 when all have. */
static unsigned run_guest(struct probe *probe)
{
    unsigned step = PROBE_BEGUN;

    while (step <= PROBE_DONE) {
        const struct kvm_run *run = probe->run;

        if (ioctl(probe->cpu_fd, KVM_RUN, 0) < 0 || run->exit_reason != KVM_EXIT_IO ||
            run->io.port != PROBE_PORT)
            return step;
        if (((const uint8_t *)run)[run->io.data_offset] != step)
            return step;
        step++;
    }
    return step;
}

int vmm_probe(struct error *err)
{
    AUTO_CLEAR(probe)
    struct probe probe = { .kvm_fd = -1, .vm_fd = -1, .cpu_fd = -1 };
    unsigned step;
    int r;

    r = open_vm(&probe, err);
    if (r < 0)
        return r;
    write_guest(&probe);
    r = open_cpu(&probe, err);
    if (r == 0)
        r = set_budget(err);
    if (r < 0)
        return r;
    step = run_guest(&probe);
    if (step <= PROBE_DONE)
        return error_set(err, ENOTSUP, "/dev/kvm does not run a stock kernel: %s", failed_at[step]);
    return 0;
}
