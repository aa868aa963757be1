#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/auto.h"
#include "microvm/kvm_machine.h"

/* The state of a machine's CPUs, and the order in which it is taken back, which is not free: what a
 * register may hold depends on features, modes and the interrupt controller's own state (kernel,
 * virt/kvm/api.rst). A CPU that stands has come out of KVM_RUN by immediate_exit, so the
 * instruction by which it came out before is finished. */

#define MSRS_MAX        512
#define MSRS_AT_ONCE    128 /* KVM takes fewer than 256 */
#define XSAVE_BYTES_MAX (64U << 10)

#define MSR_TSC          0x10
#define MSR_TSC_DEADLINE 0x6e0
#define TSC_FAR          (1ULL << 62)

struct cpu_state {
    struct kvm_mp_state mp_state;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_xcrs xcrs;
    struct kvm_debugregs debugregs;
    struct kvm_lapic_state lapic;
    struct kvm_vcpu_events events;
};

/* In the order in which they are set. The extended state's size varies, so it stands for itself: it
 * comes before xcrs; and the registers by number come before events: the timer's deadline needs the
 * interrupt controller's mode. */
static const struct part {
    size_t offset;
    unsigned long get;
    unsigned long set;
    const char *name;
} parts[] = {
    { offsetof(struct cpu_state, mp_state), KVM_GET_MP_STATE, KVM_SET_MP_STATE, "activity" },
    { offsetof(struct cpu_state, regs), KVM_GET_REGS, KVM_SET_REGS, "registers" },
    { offsetof(struct cpu_state, sregs), KVM_GET_SREGS, KVM_SET_SREGS, "segments" },
    { offsetof(struct cpu_state, xcrs), KVM_GET_XCRS, KVM_SET_XCRS, "extended control" },
    { offsetof(struct cpu_state, debugregs), KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, "debugging" },
    { offsetof(struct cpu_state, lapic), KVM_GET_LAPIC, KVM_SET_LAPIC, "interrupt controller" },
    { offsetof(struct cpu_state, events), KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, "events" },
};
enum { PART_XCRS = 3, PART_EVENTS = 6 };

struct msr_block {
    struct kvm_msrs head;
    struct kvm_msr_entry entries[MSRS_AT_ONCE];
};

int kvm_state_prepare(struct kvm_machine *machine, struct error *err)
{
    auto_free struct kvm_msr_list *list =
        xcalloc(1, sizeof(*list) + MSRS_MAX * sizeof(list->indices[0]));
    const int xsave_bytes = ioctl(machine->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

    list->nmsrs = MSRS_MAX;
    if (ioctl(machine->kvm_fd, KVM_GET_MSR_INDEX_LIST, list) < 0)
        return error_errno(err, "ask KVM for the registers that make a CPU's state");
    machine->xsave_bytes = xsave_bytes < (int)sizeof(struct kvm_xsave)
                               ? (uint32_t)sizeof(struct kvm_xsave)
                               : (uint32_t)xsave_bytes;
    if (machine->xsave_bytes > XSAVE_BYTES_MAX)
        return error_set(err, ENOTSUP, "a CPU's extended state has %u bytes", machine->xsave_bytes);
    for (uint32_t i = 0; i < machine->cpu_count; i++) {
        const int khz = ioctl(machine->cpus[i].fd, KVM_GET_TSC_KHZ, 0);

        machine->cpus[i].tsc_khz = khz < 0 ? 0 : (uint32_t)khz;
    }
    machine->msrs = take_ptr(&list);
    return 0;
}

/* --- registers by number ---------------------------------------------------------------------- */

/* The deadline is set behind the counter that it is compared with. One that has passed reads as 0;
 * whether its interrupt was seen is not known, and a guest that waits for a lost one hangs: so it
 * passes again at once. */
void kvm_msrs_plan(struct kvm_msr_entry *entries, size_t count)
{
    struct kvm_msr_entry deadline = { 0 };
    uint64_t tsc = 0;
    size_t kept = 0;

    assert(entries != NULL || count == 0);

    for (size_t i = 0; i < count; i++) {
        if (entries[i].index == MSR_TSC)
            tsc = entries[i].data;
        if (entries[i].index == MSR_TSC_DEADLINE)
            deadline = entries[i];
        else
            entries[kept++] = entries[i];
    }
    if (kept == count)
        return;
    if (deadline.data == 0)
        deadline.data = tsc;
    entries[kept] = deadline;
}

/* KVM stops at the first register that this processor has not: those are left out. */
static int get_msrs(struct kvm_cpu *cpu, struct kvm_msr_entry ret_entries[MSRS_MAX],
                    uint32_t *ret_count, struct error *err)
{
    const struct kvm_msr_list *list = cpu->machine->msrs;
    struct msr_block block;
    uint32_t count = 0;

    for (uint32_t next = 0; next < list->nmsrs;) {
        uint32_t wanted = list->nmsrs - next;
        int got;

        if (wanted > MSRS_AT_ONCE)
            wanted = MSRS_AT_ONCE;
        memset(&block, 0, sizeof(block));
        block.head.nmsrs = wanted;
        for (uint32_t i = 0; i < wanted; i++)
            block.entries[i].index = list->indices[next + i];
        got = ioctl(cpu->fd, KVM_GET_MSRS, &block);
        if (got < 0)
            return error_errno(err, "read the registers of CPU %u", cpu->index);
        memcpy(ret_entries + count, block.entries, (size_t)got * sizeof(block.entries[0]));
        count += (uint32_t)got;
        next += (uint32_t)got < wanted ? (uint32_t)got + 1 : wanted;
    }
    *ret_count = count;
    return 0;
}

/* Some can be read, and set to nothing else than they are. */
static bool has_value(const struct kvm_cpu *cpu, const struct kvm_msr_entry *entry)
{
    struct msr_block block = { .head = { .nmsrs = 1 }, .entries = { { .index = entry->index } } };

    return ioctl(cpu->fd, KVM_GET_MSRS, &block) == 1 && block.entries[0].data == entry->data;
}

static int set_msrs(const struct kvm_cpu *cpu, const struct kvm_msr_entry *entries, uint32_t count,
                    struct error *err)
{
    struct msr_block block;

    for (uint32_t next = 0; next < count;) {
        uint32_t wanted = count - next < MSRS_AT_ONCE ? count - next : MSRS_AT_ONCE;
        int set;

        memset(&block.head, 0, sizeof(block.head));
        block.head.nmsrs = wanted;
        memcpy(block.entries, entries + next, wanted * sizeof(*entries));
        set = ioctl(cpu->fd, KVM_SET_MSRS, &block);
        if (set < 0)
            return error_errno(err, "set the registers of CPU %u", cpu->index);
        next += (uint32_t)set;
        if ((uint32_t)set == wanted)
            continue;
        if (!has_value(cpu, &entries[next]))
            return error_set(err, EXDEV, "CPU %u cannot have 0x%llx in its register 0x%x",
                             cpu->index, (unsigned long long)entries[next].data,
                             entries[next].index);
        next++;
    }
    return 0;
}

/* --- one CPU ---------------------------------------------------------------------------------- */

static int get_parts(const struct kvm_cpu *cpu, struct cpu_state *ret_state, struct error *err)
{
    memset(ret_state, 0, sizeof(*ret_state));
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (ioctl(cpu->fd, parts[i].get, (uint8_t *)ret_state + parts[i].offset) < 0)
            return error_errno(err, "read CPU %u's %s", cpu->index, parts[i].name);
    return 0;
}

static int set_parts(const struct kvm_cpu *cpu, struct cpu_state *state, size_t first, size_t end,
                     struct error *err)
{
    for (size_t i = first; i < end; i++)
        if (ioctl(cpu->fd, parts[i].set, (uint8_t *)state + parts[i].offset) < 0)
            return error_errno(err, "set CPU %u's %s", cpu->index, parts[i].name);
    return 0;
}

static size_t cpuid_bytes(const struct kvm_cpu *cpu)
{
    return cpu->cpuid->nent * sizeof(cpu->cpuid->entries[0]);
}

static int save_cpu(struct kvm_cpu *cpu, struct state_writer *writer, struct error *err)
{
    const uint32_t xsave_bytes = cpu->machine->xsave_bytes;
    auto_free struct kvm_msr_entry *msrs = xcalloc(MSRS_MAX, sizeof(*msrs));
    auto_free uint8_t *xsave = xcalloc(1, xsave_bytes);
    struct cpu_state state;
    uint32_t msr_count;
    int r;

    r = get_parts(cpu, &state, err);
    if (r == 0)
        r = get_msrs(cpu, msrs, &msr_count, err);
    if (r < 0)
        return r;
    if (ioctl(cpu->fd, xsave_bytes > sizeof(struct kvm_xsave) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE,
              xsave) < 0)
        return error_errno(err, "read CPU %u's extended state", cpu->index);
    kvm_msrs_plan(msrs, msr_count);
    state_put_mark(writer, "cpu ");
    state_put(writer, &cpu->cpuid->nent, sizeof(cpu->cpuid->nent));
    state_put(writer, cpu->cpuid->entries, cpuid_bytes(cpu));
    state_put(writer, &cpu->tsc_khz, sizeof(cpu->tsc_khz));
    state_put(writer, &state, sizeof(state));
    state_put(writer, &xsave_bytes, sizeof(xsave_bytes));
    state_put(writer, xsave, xsave_bytes);
    state_put(writer, &msr_count, sizeof(msr_count));
    state_put(writer, msrs, msr_count * sizeof(*msrs));
    return 0;
}

/* A guest has looked at what its processor can do, once. */
static int check_cpuid(const struct kvm_cpu *cpu, struct state_reader *reader, struct error *err)
{
    const uint8_t *entries;
    uint32_t count;
    int r;

    r = state_take(reader, &count, sizeof(count), err);
    if (r < 0)
        return r;
    if (count != cpu->cpuid->nent)
        return error_set(err, EXDEV,
                         "the machine was saved on another processor, or with another "
                         "kernel of the host");
    r = state_take_place(reader, cpuid_bytes(cpu), &entries, err);
    if (r < 0)
        return r;
    if (memcmp(entries, cpu->cpuid->entries, cpuid_bytes(cpu)) != 0)
        return error_set(err, EXDEV,
                         "the machine was saved on another processor, or with another "
                         "kernel of the host");
    return 0;
}

static int restore_tsc_khz(const struct kvm_cpu *cpu, struct state_reader *reader,
                           struct error *err)
{
    uint32_t khz;
    int r;

    r = state_take(reader, &khz, sizeof(khz), err);
    if (r < 0 || khz == 0 || khz == cpu->tsc_khz)
        return r;
    if (ioctl(cpu->fd, KVM_SET_TSC_KHZ, (unsigned long)khz) < 0)
        return error_set(err, EXDEV,
                         "the machine was saved with a clock of %u kHz, which this "
                         "processor cannot have",
                         khz);
    return 0;
}

static int restore_xsave(const struct kvm_cpu *cpu, struct state_reader *reader, struct error *err)
{
    auto_free uint8_t *xsave = NULL;
    uint32_t bytes;
    int r;

    r = state_take(reader, &bytes, sizeof(bytes), err);
    if (r < 0)
        return r;
    if (bytes != cpu->machine->xsave_bytes)
        return error_set(err, EXDEV,
                         "the machine was saved with %u bytes of a CPU's extended "
                         "state, here it has %u",
                         bytes, cpu->machine->xsave_bytes);
    xsave = xcalloc(1, bytes);
    r = state_take(reader, xsave, bytes, err);
    if (r == 0 && ioctl(cpu->fd, KVM_SET_XSAVE, xsave) < 0)
        r = error_errno(err, "set CPU %u's extended state", cpu->index);
    return r;
}

static int take_msrs(struct state_reader *reader, struct kvm_msr_entry **ret_entries,
                     uint32_t *ret_count, struct error *err)
{
    auto_free struct kvm_msr_entry *entries = NULL;
    uint32_t count;
    int r;

    r = state_take(reader, &count, sizeof(count), err);
    if (r < 0)
        return r;
    if (count > MSRS_MAX)
        return error_set(err, EBADMSG, "a CPU was saved with %u registers", count);
    entries = xcalloc(count + 1, sizeof(*entries));
    r = state_take(reader, entries, count * sizeof(*entries), err);
    if (r < 0)
        return r;
    *ret_entries = take_ptr(&entries);
    *ret_count = count;
    return 0;
}

/* KVM takes what is written into a time stamp counter for an attempt to have it like those of other
 * CPUs when it is within a second of theirs, and before Linux 6.7 also when it is within a second
 * of 0, at which a new machine's begin (arch/x86/kvm/x86.c, kvm_synchronize_tsc). A guest that was
 * saved in its first second would have its counter set back, and none of its timers would come
 * until the counter is where it was. A value from far away in between lets the next one count;
 * those of the other CPUs are like it then. */
static int leave_tsc(const struct kvm_cpu *cpu, const struct kvm_msr_entry *entries, uint32_t count,
                     struct error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct kvm_msr_entry far = { .index = MSR_TSC, .data = entries[i].data ^ TSC_FAR };

        if (entries[i].index == MSR_TSC)
            return set_msrs(cpu, &far, 1, err);
    }
    return 0;
}

static int restore_cpu(struct kvm_cpu *cpu, struct state_reader *reader, struct error *err)
{
    auto_free struct kvm_msr_entry *msrs = NULL;
    struct cpu_state state;
    uint32_t msr_count = 0;
    int r;

    r = state_take_mark(reader, "cpu ", err);
    if (r == 0)
        r = check_cpuid(cpu, reader, err);
    if (r == 0)
        r = restore_tsc_khz(cpu, reader, err);
    if (r == 0)
        r = state_take(reader, &state, sizeof(state), err);
    if (r == 0)
        r = set_parts(cpu, &state, 0, PART_XCRS, err);
    if (r == 0)
        r = restore_xsave(cpu, reader, err);
    if (r == 0)
        r = set_parts(cpu, &state, PART_XCRS, PART_EVENTS, err);
    if (r == 0)
        r = take_msrs(reader, &msrs, &msr_count, err);
    if (r == 0 && cpu->index == 0)
        r = leave_tsc(cpu, msrs, msr_count, err);
    if (r == 0)
        r = set_msrs(cpu, msrs, msr_count, err);
    return r < 0 ? r : set_parts(cpu, &state, PART_EVENTS, ARRAY_SIZE(parts), err);
}

/* --- the chips -------------------------------------------------------------------------------- */

static const uint32_t chips[] = { KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE,
                                  KVM_IRQCHIP_IOAPIC };

static int save_chips(const struct kvm_machine *machine, struct state_writer *writer,
                      struct error *err)
{
    struct kvm_clock_data clock = { 0 };

    state_put_mark(writer, "chip");
    for (size_t i = 0; i < ARRAY_SIZE(chips); i++) {
        struct kvm_irqchip chip = { .chip_id = chips[i] };

        if (ioctl(machine->vm_fd, KVM_GET_IRQCHIP, &chip) < 0)
            return error_errno(err, "read the interrupt controllers");
        state_put(writer, &chip, sizeof(chip));
    }
    if (ioctl(machine->vm_fd, KVM_GET_CLOCK, &clock) < 0)
        return error_errno(err, "read the machine's clock");
    state_put(writer, &clock.clock, sizeof(clock.clock));
    return 0;
}

/* The clock goes on where it stood: the agent is told the time of day. */
static int restore_chips(const struct kvm_machine *machine, struct state_reader *reader,
                         struct error *err)
{
    struct kvm_clock_data clock = { 0 };
    int r;

    r = state_take_mark(reader, "chip", err);
    for (size_t i = 0; i < ARRAY_SIZE(chips) && r == 0; i++) {
        struct kvm_irqchip chip;

        r = state_take(reader, &chip, sizeof(chip), err);
        if (r < 0)
            return r;
        if (chip.chip_id != chips[i])
            return error_set(err, EBADMSG, "the saved machine has another interrupt controller");
        if (ioctl(machine->vm_fd, KVM_SET_IRQCHIP, &chip) < 0)
            r = error_errno(err, "set the interrupt controllers");
    }
    if (r == 0)
        r = state_take(reader, &clock.clock, sizeof(clock.clock), err);
    if (r == 0 && ioctl(machine->vm_fd, KVM_SET_CLOCK, &clock) < 0)
        r = error_errno(err, "set the machine's clock");
    /* So that no watchdog of the guest takes the time between for a CPU that hangs; a CPU without
     * that clock refuses. */
    for (uint32_t i = 0; i < machine->cpu_count && r == 0; i++)
        (void)ioctl(machine->cpus[i].fd, KVM_KVMCLOCK_CTRL, 0);
    return r;
}

/* --- the machine ------------------------------------------------------------------------------ */

struct machine_shape {
    uint64_t ram_bytes;
    uint32_t cpu_count;
    uint32_t unused;
};

int kvm_state_save(struct kvm_machine *machine, int fd, struct error *err)
{
    AUTO_CLEAR(state_writer) struct state_writer writer = { 0 };
    const struct machine_shape shape = { .ram_bytes = machine->ram_bytes,
                                         .cpu_count = machine->cpu_count };
    int r;

    state_put_mark(&writer, "vm  ");
    state_put(&writer, &shape, sizeof(shape));
    platform_save(&machine->platform, &writer);
    r = kvm_devices_save(&machine->devices, &writer, err);
    for (uint32_t i = 0; i < machine->cpu_count && r == 0; i++)
        r = save_cpu(&machine->cpus[i], &writer, err);
    if (r == 0)
        r = save_chips(machine, &writer, err);
    return r < 0 ? r : state_write_file(&writer, fd, err);
}

static int check_shape(const struct kvm_machine *machine, struct state_reader *reader,
                       struct error *err)
{
    struct machine_shape shape;
    int r;

    r = state_take_mark(reader, "vm  ", err);
    if (r == 0)
        r = state_take(reader, &shape, sizeof(shape), err);
    if (r < 0)
        return r;
    if (shape.cpu_count != machine->cpu_count || shape.ram_bytes != machine->ram_bytes)
        return error_set(err, EXDEV, "the saved machine had %u CPUs and %llu MiB of memory",
                         shape.cpu_count, (unsigned long long)shape.ram_bytes >> 20);
    return 0;
}

int kvm_state_restore(struct kvm_machine *machine, int fd, struct error *err)
{
    auto_free uint8_t *bytes = NULL;
    struct state_reader reader;
    int r;

    r = state_read_file(fd, &bytes, &reader, err);
    if (r == 0)
        r = check_shape(machine, &reader, err);
    if (r == 0)
        r = platform_restore(&machine->platform, &reader, err);
    if (r == 0)
        r = kvm_devices_restore(machine, &reader, err);
    for (uint32_t i = 0; i < machine->cpu_count && r == 0; i++)
        r = restore_cpu(&machine->cpus[i], &reader, err);
    if (r == 0)
        r = restore_chips(machine, &reader, err);
    if (r < 0)
        return r;
    if (reader.left != 0)
        return error_set(err, EBADMSG, "the state of the saved machine is too long");
    /* An interrupt that comes before the controllers' state would be lost with theirs. */
    platform_resume(&machine->platform);
    kvm_devices_resume(&machine->devices);
    return 0;
}
