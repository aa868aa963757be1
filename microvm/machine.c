#include "microvm/machine.h"

#include <assert.h>
#include <errno.h>

struct machine_config machine_config_empty(void)
{
    struct machine_config config = {
        .kvm_fd = -1,
        .kernel_fd = -1,
        .agent_program_fd = -1,
        .modules_fd = -1,
        .root_fd = -1,
        .disk_fd = -1,
        .agent_fd = -1,
        .console_fd = -1,
        .saved_state_fd = -1,
        .saved_memory_fd = -1,
    };

    for (size_t i = 0; i < MACHINE_TAPS_MAX; i++)
        config.taps[i].fd = -1;
    for (size_t i = 0; i < MACHINE_SHARES_MAX; i++)
        config.shares[i].fd = -1;
    return config;
}

int machine_start(const struct machine_class *machine_class, const struct machine_config *config,
                  struct machine **ret_machine, struct error *err)
{
    assert(machine_class != NULL);
    assert(config != NULL);
    assert(ret_machine != NULL);

    if (config->cpus == 0 || config->cpus > MACHINE_CPUS_MAX)
        return error_set(err, EINVAL, "a microVM has 1 to %d CPUs, not %u", MACHINE_CPUS_MAX,
                         config->cpus);
    if (config->memory_bytes % MACHINE_PAGE_SIZE != 0)
        return error_set(err, EINVAL, "the memory of a microVM is whole pages, not %llu bytes",
                         (unsigned long long)config->memory_bytes);
    if (config->tap_count > MACHINE_TAPS_MAX || config->share_count > MACHINE_SHARES_MAX)
        return error_set(err, EINVAL, "a microVM has at most %d interfaces and %d shares",
                         MACHINE_TAPS_MAX, MACHINE_SHARES_MAX);
    if ((config->saved_state_fd < 0) != (config->saved_memory_fd < 0))
        return error_set(err, EINVAL, "a saved microVM is a state and a memory");
    return machine_class->start(config, ret_machine, err);
}

int machine_end_fd(const struct machine *machine)
{
    assert(machine != NULL);
    return machine->machine_class->end_fd(machine);
}

enum machine_end machine_end(struct machine *machine, struct error *err)
{
    assert(machine != NULL);
    return machine->machine_class->end(machine, err);
}

int machine_pause(struct machine *machine, struct error *err)
{
    assert(machine != NULL);
    return machine->machine_class->pause(machine, err);
}

int machine_resume(struct machine *machine, struct error *err)
{
    assert(machine != NULL);
    return machine->machine_class->resume(machine, err);
}

int machine_balloon(struct machine *machine, uint64_t bytes, struct error *err)
{
    assert(machine != NULL);
    return machine->machine_class->balloon(machine, bytes, err);
}

int machine_given(struct machine *machine, uint64_t *ret_bytes, struct error *err)
{
    assert(machine != NULL);
    assert(ret_bytes != NULL);
    return machine->machine_class->given(machine, ret_bytes, err);
}

int machine_save(struct machine *machine, int state_fd, int memory_fd, struct error *err)
{
    assert(machine != NULL);
    assert(state_fd >= 0 && memory_fd >= 0);
    return machine->machine_class->save(machine, state_fd, memory_fd, err);
}

void machine_free(struct machine *machine)
{
    if (machine != NULL)
        machine->machine_class->free(machine);
}
