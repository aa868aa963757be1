#include "microvm/emulator_plan.h"

#include <assert.h>

/* What the tables cannot say: force-legacy is QEMU's default for virtio-mmio and an old protocol; a
 * machine without PIT and PIC boots as well and has less to emulate, but without an RTC the kernel
 * waits for one, twice for a second; -no-reboot turns a reset, in which a guest's panic ends too,
 * into an end. */
static const char *const fixed[] = {
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-no-reboot",
    "-sandbox",
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    "-accel",
    "tcg,tb-size=64",
    "-cpu",
    "max",
    "-global",
    "virtio-mmio.force-legacy=false",
};

#define MACHINE "microvm,pit=off,pic=off,rtc=on,x-option-roms=off,auto-kernel-cmdline=off"

static void add(struct emulator_plan *plan, const char *option)
{
    strings_add(&plan->arguments, option);
}

static int keep(struct emulator_plan *plan, int fd)
{
    assert(plan->fd_count < EMULATOR_FDS_MAX);
    plan->fds[plan->fd_count++] = fd;
    return fd;
}

static void add_file(struct emulator_plan *plan, const char *option, int fd)
{
    add(plan, option);
    strings_addf(&plan->arguments, "/proc/self/fd/%d", keep(plan, fd));
}

static void add_disk(struct emulator_plan *plan, const char *name, int fd, bool is_read_only)
{
    add(plan, "-drive");
    strings_addf(&plan->arguments,
                 "if=none,id=%s,format=raw,file=/proc/self/fd/%d,file.locking=off,readonly=%s%s",
                 name, keep(plan, fd), is_read_only ? "on" : "off",
                 is_read_only ? "" : ",discard=unmap");
    add(plan, "-device");
    /* QEMU would stop the machine where there is no space: the guest is to hear of it instead. */
    strings_addf(&plan->arguments, "virtio-blk-device,drive=%s,werror=report,rerror=report", name);
}

static void add_port(struct emulator_plan *plan, unsigned number, int fd)
{
    add(plan, "-chardev");
    strings_addf(&plan->arguments, "socket,id=port%u,fd=%d", number, keep(plan, fd));
    add(plan, "-device");
    strings_addf(&plan->arguments, "virtserialport,chardev=port%u,nr=%u", number, number);
}

static void add_tap(struct emulator_plan *plan, size_t index, const struct machine_tap *tap)
{
    const uint8_t *mac = tap->mac;

    add(plan, "-netdev");
    strings_addf(&plan->arguments, "tap,id=net%zu,fd=%d", index, keep(plan, tap->fd));
    add(plan, "-device");
    strings_addf(&plan->arguments,
                 "virtio-net-device,netdev=net%zu,mac=%02x:%02x:%02x:%02x:%02x:%02x", index, mac[0],
                 mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void add_console(struct emulator_plan *plan, int fd)
{
    add(plan, "-serial");
    if (fd < 0) {
        add(plan, "none");
        return;
    }
    strings_addf(&plan->arguments, "chardev:console");
    add(plan, "-chardev");
    strings_addf(&plan->arguments, "file,id=console,path=/proc/self/fd/%d,append=on",
                 keep(plan, fd));
}

static void add_boot(struct emulator_plan *plan, const struct machine_config *config, int initrd_fd,
                     uint64_t tsc_khz)
{
    add_file(plan, "-kernel", config->kernel_fd);
    add_file(plan, "-initrd", initrd_fd);
    add(plan, "-append");
    strings_addf(
        &plan->arguments, MACHINE_CMDLINE " %s reboot=t tsc_early_khz=%llu tsc=reliable%s%s",
        config->console_fd >= 0 ? "console=ttyS0" : "console=", (unsigned long long)tsc_khz,
        config->cmdline != NULL ? " " : "", config->cmdline != NULL ? config->cmdline : "");
}

/* Memory is anonymous, unless the machine may be saved or was. */
static void add_memory(struct emulator_plan *plan, const struct machine_config *config,
                       const struct emulator_files *files)
{
    unsigned long long kilobytes = config->memory_bytes / 1024;

    add(plan, "-machine");
    strings_addf(&plan->arguments, MACHINE "%s",
                 files->memory_fd >= 0 ? ",memory-backend=memory" : "");
    add(plan, "-m");
    strings_addf(&plan->arguments, "size=%lluk", kilobytes);
    if (files->memory_fd < 0)
        return;
    add(plan, "-object");
    strings_addf(&plan->arguments,
                 "memory-backend-file,id=memory,size=%lluk,mem-path=/proc/self/fd/%d,share=on",
                 kilobytes, keep(plan, files->memory_fd));
}

static void add_control(struct emulator_plan *plan, int control_fd)
{
    if (control_fd < 0)
        return;
    add(plan, "-chardev");
    strings_addf(&plan->arguments, "socket,id=control,fd=%d", keep(plan, control_fd));
    add(plan, "-mon");
    add(plan, "chardev=control,mode=control");
}

void emulator_plan(const struct machine_config *config, const char *program,
                   const struct emulator_files *files, uint64_t tsc_khz,
                   struct emulator_plan *ret_plan)
{
    struct emulator_plan *plan = ret_plan;

    *plan = (struct emulator_plan){ 0 };
    add(plan, program);
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        add(plan, fixed[i]);
    add_memory(plan, config, files);
    add(plan, "-smp");
    strings_addf(&plan->arguments, "%u", config->cpus);
    if (config->saved_state_fd >= 0) {
        add(plan, "-incoming");
        add(plan, "defer");
    } else {
        add_boot(plan, config, files->initrd_fd, tsc_khz);
    }
    add_control(plan, files->control_fd);
    add_console(plan, config->console_fd);
    /* Devices get their places in this order, so the root is vda, the disk vdb. QEMU makes the
     * last one the guest's first: it fills its buses from the end. */
    if (config->root_fd >= 0)
        add_disk(plan, "root", config->root_fd, true);
    if (config->disk_fd >= 0)
        add_disk(plan, "disk", config->disk_fd, false);
    for (size_t i = 0; i < config->tap_count; i++)
        add_tap(plan, i, &config->taps[i]);
    add(plan, "-device");
    strings_addf(&plan->arguments, "virtio-serial-device,max_ports=%zu", config->share_count + 2);
    add_port(plan, 1, config->agent_fd);
    for (size_t i = 0; i < config->share_count; i++)
        add_port(plan, (unsigned)i + 2, config->shares[i].fd);
    add(plan, "-device");
    add(plan, "virtio-balloon-device,free-page-reporting=on");
}

void emulator_plan_clear(struct emulator_plan *plan)
{
    strings_clear(&plan->arguments);
}
