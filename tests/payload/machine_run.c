/* Runs a machine from the command line, without a container around it:
 *
 *     machine_run KERNEL [--agent FILE] [--modules FILE] [--root FILE] [--memory MIB] [--cpus N]
 *                 [--unconfined] [--pause MS] [--statistics] CMDLINE
 *
 * The guest's early messages come on standard output, then one line: how it ended. With --pause it
 * is stopped after so long, for as long, and ended when it has gone on for as long. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "microvm/kvm_machine.h"

static int open_file(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        perror(path);
        exit(125);
    }
    return fd;
}

static void wait_ms(int fd, int ms)
{
    struct pollfd end = { .fd = fd, .events = POLLIN };

    (void)poll(&end, 1, ms);
}

/* Says how much came out of the guest while it stood. */
static void pause_for(struct machine *machine, int ms)
{
    unsigned long long before;

    wait_ms(machine_end_fd(machine), ms);
    (void)machine_pause(machine, NULL);
    before = (unsigned long long)kvm_machine_exits(machine);
    wait_ms(-1, ms);
    printf("\nwhile paused: %llu exits\n", (unsigned long long)kvm_machine_exits(machine) - before);
    (void)machine_resume(machine, NULL);
    wait_ms(machine_end_fd(machine), ms);
    printf("afterwards: %s\n", kvm_machine_exits(machine) > before ? "it goes on" : "nothing");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const char *const ends[] = {
        [MACHINE_POWER_OFF] = "power-off",
        [MACHINE_RESET] = "reset",
        [MACHINE_PANIC] = "panic",
        [MACHINE_FAILED] = "failed",
    };
    struct machine_config config = machine_config_empty();
    AUTO(machine) struct machine *machine = NULL;
    struct error err = { 0 };
    enum machine_end end;
    bool has_statistics = false;
    int pause_ms = 0;

    config.memory_bytes = 64 << 20;
    config.cpus = 1;
    config.console_fd = STDOUT_FILENO;
    config.cmdline = "";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--unconfined") == 0)
            config.is_unconfined = true;
        else if (strcmp(argv[i], "--statistics") == 0)
            has_statistics = true;
        else if (i + 1 < argc && strcmp(argv[i], "--agent") == 0)
            config.agent_program_fd = open_file(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--modules") == 0)
            config.modules_fd = open_file(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--root") == 0)
            config.root_fd = open_file(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--memory") == 0)
            config.memory_bytes = strtoull(argv[++i], NULL, 10) << 20;
        else if (i + 1 < argc && strcmp(argv[i], "--cpus") == 0)
            config.cpus = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--pause") == 0)
            pause_ms = atoi(argv[++i]);
        else if (config.kernel_fd < 0)
            config.kernel_fd = open_file(argv[i]);
        else
            config.cmdline = argv[i];
    }
    if (machine_start(&kvm_machine_class, &config, &machine, &err) < 0) {
        printf("machine_run: %s\n", err.message);
        return 125;
    }
    if (pause_ms != 0) {
        pause_for(machine, pause_ms);
        return 0;
    }
    wait_ms(machine_end_fd(machine), -1);
    end = machine_end(machine, &err);
    printf("end: %s%s%s\n", ends[end], err.code != 0 ? ": " : "", err.message);
    if (has_statistics)
        printf("exits: %llu\n", (unsigned long long)kvm_machine_exits(machine));
    return 0;
}
