/* Runs a machine from the command line, without a container around it:
 *
 *     machine_run KERNEL [--agent FILE] [--modules FILE] [--root FILE] [--disk FILE] [--tap NAME]
 *                 [--share SERVER DIRECTORY] [--echo] [--memory MIB] [--cpus N] [--unconfined]
 *                 [--pause MS] [--save DIRECTORY WORDS] [--restore DIRECTORY] [--stop]
 *                 [--statistics] [--since NS] CMDLINE
 *
 * The tap device NAME is made with the address 10.0.0.1/24 in this network namespace; SERVER is
 * berth-fs; with --echo, what comes from the agent's port goes back there.
 *
 * The guest's early messages come on standard output, then one line: how it ended. With --pause it
 * is stopped after so long, for as long, and ended when it has gone on. With --since, a
 * time of CLOCK_MONOTONIC, it only says how long after that the first CPU went, and what processor
 * time that took. With --save it is saved when it has said WORDS, and goes on, or with --stop ends;
 * with --restore it is the one that was saved there, and with --stop ends when it has said two
 * lines. */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "microvm/kvm_machine.h"

static int open_file(const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0) {
        perror(path);
        exit(125);
    }
    return fd;
}

/* A tap device whose host side is up. */
static int open_tap(const char *name)
{
    const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    auto_free char *command =
        xasprintf("ip address add 10.0.0.1/24 dev %s && ip link set %s up", name, name);

    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || system(command) != 0) {
        perror(name);
        exit(125);
    }
    return fd;
}

/* Starts berth-fs for a directory; returns our end of its socket. */
static int open_share(const char *server, const char *directory)
{
    char number[16];
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        perror("socketpair");
        exit(125);
    }
    (void)snprintf(number, sizeof(number), "%d", pair[1]);
    if (fork() == 0) {
        (void)fcntl(pair[1], F_SETFD, 0);
        execl(server, server, "--socket-fd", number, "--root", directory, (char *)NULL);
        perror(server);
        _exit(125);
    }
    (void)close(pair[1]);
    return pair[0];
}

/* A process that sends back what comes. */
static int open_echo(void)
{
    char bytes[1 << 16];
    int pair[2];
    ssize_t count;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        perror("socketpair");
        exit(125);
    }
    if (fork() == 0) {
        (void)close(pair[0]);
        while ((count = read(pair[1], bytes, sizeof(bytes))) > 0)
            if (write(pair[1], bytes, (size_t)count) != count)
                break;
        _exit(0);
    }
    (void)close(pair[1]);
    return pair[0];
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
    for (int i = 0; i < 300 && kvm_machine_exits(machine) == before; i++)
        wait_ms(machine_end_fd(machine), ms); /* other work may keep it from its processor */
    printf("afterwards: %s\n", kvm_machine_exits(machine) > before ? "it goes on" : "nothing");
    fflush(stdout);
}

static double milliseconds(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* --- saving ----------------------------------------------------------------------------------- */

struct saving {
    const char *words; /* NULL: not wanted */
    bool is_restored;
    bool ends; /* the machine, behind it */
    int state_fd, memory_fd;
    int console_fd; /* what the guest says, to be read */
};

static int open_saved(const char *directory, const char *name, int flags)
{
    auto_free char *path = xasprintf("%s/%s", directory, name);
    const int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd < 0) {
        perror(path);
        exit(125);
    }
    return fd;
}

/* The guest's messages come by way of this process, which waits for words in them. */
static void watch_console(struct machine_config *config, struct saving *saving)
{
    int pair[2];

    if (pipe(pair) < 0) {
        perror("pipe");
        exit(125);
    }
    auto_close_cleanup(&config->console_fd);
    config->console_fd = pair[1];
    saving->console_fd = pair[0];
}

/* What it said before it stood. */
static void pass_rest(const struct saving *saving)
{
    struct pollfd fd = { saving->console_fd, POLLIN, 0 };
    char bytes[4096];
    ssize_t count;

    while (poll(&fd, 1, 0) > 0 && (count = read(fd.fd, bytes, sizeof(bytes))) > 0)
        (void)fwrite(bytes, 1, (size_t)count, stdout);
}

static void save(struct machine *machine, const struct saving *saving)
{
    const double start = milliseconds(CLOCK_MONOTONIC);
    struct error err = { 0 };
    int r;

    r = machine_pause(machine, &err);
    pass_rest(saving);
    if (r < 0 || machine_save(machine, saving->state_fd, saving->memory_fd, &err) < 0 ||
        machine_resume(machine, &err) < 0) {
        printf("save: %s\n", err.message);
        exit(125);
    }
    printf("saved in %.1f ms\n", milliseconds(CLOCK_MONOTONIC) - start);
    fflush(stdout);
}

/* The rest of the line in which it was saved, and one that is whole. */
static bool has_two_lines(const char *said)
{
    const char *end = strchr(said, '\n');

    return end != NULL && strchr(end + 1, '\n') != NULL;
}

/* Passes the guest's words on until the machine ends, or may. True: the latter. */
static bool pass_words(struct machine *machine, struct saving *saving, double start_ms)
{
    struct pollfd fds[2] = { { machine_end_fd(machine), POLLIN, 0 },
                             { saving->console_fd, POLLIN, 0 } };
    static char said[1 << 20];
    size_t length = 0;

    while (poll(fds, 2, -1) > 0) {
        ssize_t count = 0;

        if ((fds[1].revents & POLLIN) != 0)
            count = read(saving->console_fd, said + length, sizeof(said) - 1 - length);
        else if (fds[0].revents != 0)
            return false;
        if (count <= 0)
            continue;
        if (saving->is_restored && length == 0)
            printf("first words after %.1f ms\n", milliseconds(CLOCK_MONOTONIC) - start_ms);
        (void)fwrite(said + length, 1, (size_t)count, stdout);
        fflush(stdout);
        length += (size_t)count;
        if (saving->words != NULL ? strstr(said, saving->words) != NULL
                                  : saving->is_restored && has_two_lines(said)) {
            if (saving->words != NULL)
                save(machine, saving);
            saving->words = NULL;
            if (saving->ends)
                return true;
        }
        if (length > sizeof(said) / 2)
            memset(said, ' ', length = sizeof(said) / 2);
    }
    return false;
}

int main(int argc, char **argv)
{
    struct saving saving = { .console_fd = -1 };
    const double start_ms = milliseconds(CLOCK_MONOTONIC);
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
    double since_ms = 0;
    int pause_ms = 0;

    config.memory_bytes = 64 << 20;
    config.cpus = 1;
    config.console_fd = dup(STDOUT_FILENO); /* so that it can be closed below */
    config.cmdline = "";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--unconfined") == 0)
            config.is_unconfined = true;
        else if (strcmp(argv[i], "--statistics") == 0)
            has_statistics = true;
        else if (i + 1 < argc && strcmp(argv[i], "--agent") == 0)
            config.agent_program_fd = open_file(argv[++i], O_RDONLY);
        else if (i + 1 < argc && strcmp(argv[i], "--modules") == 0)
            config.modules_fd = open_file(argv[++i], O_RDONLY);
        else if (i + 1 < argc && strcmp(argv[i], "--root") == 0)
            config.root_fd = open_file(argv[++i], O_RDONLY);
        else if (strcmp(argv[i], "--echo") == 0)
            config.agent_fd = open_echo();
        else if (i + 1 < argc && strcmp(argv[i], "--disk") == 0)
            config.disk_fd = open_file(argv[++i], O_RDWR);
        else if (i + 1 < argc && strcmp(argv[i], "--tap") == 0)
            config.taps[config.tap_count++] =
                (struct machine_tap){ open_tap(argv[++i]), { 2, 0, 0, 0, 0, 1 } };
        else if (i + 2 < argc && strcmp(argv[i], "--share") == 0) {
            config.shares[config.share_count++] =
                (struct machine_share){ "share0", open_share(argv[i + 1], argv[i + 2]) };
            i += 2;
        } else if (i + 1 < argc && strcmp(argv[i], "--memory") == 0)
            config.memory_bytes = strtoull(argv[++i], NULL, 10) << 20;
        else if (i + 1 < argc && strcmp(argv[i], "--cpus") == 0)
            config.cpus = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--stop") == 0)
            saving.ends = true;
        else if (i + 2 < argc && strcmp(argv[i], "--save") == 0) {
            saving.state_fd = open_saved(argv[i + 1], "state", O_RDWR | O_CREAT | O_TRUNC);
            saving.memory_fd = open_saved(argv[i + 1], "memory", O_RDWR | O_CREAT | O_TRUNC);
            saving.words = argv[i + 2];
            config.is_savable = true;
            i += 2;
        } else if (i + 1 < argc && strcmp(argv[i], "--restore") == 0) {
            config.saved_state_fd = open_saved(argv[i + 1], "state", O_RDONLY);
            config.saved_memory_fd = open_saved(argv[++i], "memory", O_RDONLY);
            saving.is_restored = true;
        } else if (i + 1 < argc && strcmp(argv[i], "--pause") == 0)
            pause_ms = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--since") == 0)
            since_ms = atof(argv[++i]) / 1e6;
        else if (config.kernel_fd < 0)
            config.kernel_fd = open_file(argv[i], O_RDONLY);
        else
            config.cmdline = argv[i];
    }
    config.kvm_fd = open_file("/dev/kvm", O_RDWR);
    if (saving.words != NULL || saving.is_restored)
        watch_console(&config, &saving);
    if (machine_start(&kvm_machine_class, &config, &machine, &err) < 0) {
        printf("machine_run: %s\n", err.message);
        return 125;
    }
    if (since_ms != 0) {
        printf("started: %.2f ms, %.2f ms of processor time\n",
               milliseconds(CLOCK_MONOTONIC) - since_ms, milliseconds(CLOCK_PROCESS_CPUTIME_ID));
        return 0;
    }
    /* The machine has its own. */
    auto_close_cleanup(&config.console_fd);
    auto_close_cleanup(&config.root_fd);
    auto_close_cleanup(&config.disk_fd);
    if (pause_ms != 0) {
        pause_for(machine, pause_ms);
        return 0;
    }
    if (saving.console_fd >= 0 && pass_words(machine, &saving, start_ms))
        return 0;
    wait_ms(machine_end_fd(machine), -1);
    end = machine_end(machine, &err);
    printf("end: %s%s%s\n", ends[end], err.code != 0 ? ": " : "", err.message);
    if (has_statistics)
        printf("exits: %llu\n", (unsigned long long)kvm_machine_exits(machine));
    return 0;
}
