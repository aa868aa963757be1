#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/decode.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/wire.h"
#include "microvm/control.h"
#include "microvm/session.h"
#include "microvm/vmm_network.h"
#include "microvm/vmm_probe.h"
#include "microvm/vmm_shares.h"
#include "runtime/spec.h"

/* The process of a microVM's container, in its jail: starts the machine that /vm/config.json
 * describes, and ends as the container's process in the guest ends. `berth-vmm exec` is what an
 * exec in the jail runs: it asks the first one for a process in the guest. `berth-vmm probe` says
 * whether KVM can be used. */

#define CONFIG_PATH   "/vm/config.json"
#define RUN_PATH      "/vm/run"
#define OOM_PATH      "oom"
#define EXEC_VARIABLE "BERTH_VM_EXEC"
#define STATUS_FAILED 125

/* Without a log only a kernel that gives up says so: what it says costs time. */
#define LOGLEVEL_ALL   7
#define LOGLEVEL_PANIC 1

/* What the machine is given, closed when it has its own copies. */
struct parts {
    struct machine_config machine;
    struct agent_setup setup;
    int agent_fd;                  /* our end */
    struct warm_snapshot snapshot; /* to be made; else empty */
    struct saved_session saved;    /* of a machine that is restored; else empty */
    int listen_fd, signal_fd, oom_fd;
    char *cmdline;
};

/* The machine has its own copies: that the other ends of its sockets close is seen. */
static void machine_parts_close(struct machine_config *machine)
{
    int *const fds[] = { &machine->kvm_fd,         &machine->kernel_fd,  &machine->agent_program_fd,
                         &machine->modules_fd,     &machine->root_fd,    &machine->disk_fd,
                         &machine->agent_fd,       &machine->console_fd, &machine->saved_state_fd,
                         &machine->saved_memory_fd };

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        auto_close_cleanup(fds[i]);
        *fds[i] = -1;
    }
    for (size_t i = 0; i < MACHINE_TAPS_MAX; i++) {
        auto_close_cleanup(&machine->taps[i].fd);
        machine->taps[i].fd = -1;
    }
    for (size_t i = 0; i < MACHINE_SHARES_MAX; i++) {
        auto_close_cleanup(&machine->shares[i].fd);
        machine->shares[i].fd = -1;
    }
}

static void parts_clear(struct parts *parts)
{
    machine_parts_close(&parts->machine);
    warm_snapshot_clear(&parts->snapshot);
    saved_session_clear(&parts->saved);
    auto_close_cleanup(&parts->agent_fd);
    auto_close_cleanup(&parts->listen_fd);
    auto_close_cleanup(&parts->signal_fd);
    auto_close_cleanup(&parts->oom_fd);
    vmm_network_clear(&parts->setup.interfaces);
    free(parts->cmdline);
}

static int read_config(struct vm_config **ret_config, struct error *err)
{
    auto_free char *json = NULL;
    size_t length = 0;
    int r;

    r = file_read(AT_FDCWD, CONFIG_PATH, VM_CONFIG_MAX, &json, &length, err);
    if (r < 0)
        return error_prefix(err, r, "read '%s'", CONFIG_PATH);
    return vm_config_decode(json, length, ret_config, err);
}

static int open_file(const char *path, int flags, int *ret_fd, struct error *err)
{
    if (path == NULL)
        return 0;
    *ret_fd = open(path, flags | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_errno(err, "open '%s'", path);
    return 0;
}

static int open_files(const struct vm_config *config, struct parts *parts, struct error *err)
{
    bool has_image = text_equal(config->root.type, "erofs");
    int r = 0;

    if (text_equal(config->backend, "kvm"))
        r = open_file("/dev/kvm", O_RDWR, &parts->machine.kvm_fd, err);
    if (r == 0)
        r = open_file(config->kernel, O_RDONLY, &parts->machine.kernel_fd, err);
    if (r == 0)
        r = open_file(config->agent, O_RDONLY, &parts->machine.agent_program_fd, err);
    if (r == 0)
        r = open_file(config->modules, O_RDONLY, &parts->machine.modules_fd, err);
    if (r == 0 && has_image)
        r = open_file(config->root.path, O_RDONLY, &parts->machine.root_fd, err);
    if (r == 0 && text_equal(config->root.upper, "disk"))
        r = open_file(config->root.disk, O_RDWR, &parts->machine.disk_fd, err);
    return r;
}

/* No directory stays open: who took over this process could begin there. */
static int open_sockets(struct parts *parts, struct error *err)
{
    auto_close int run_fd = open(RUN_PATH, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fds[2], r;

    if (run_fd < 0)
        return error_errno(err, "open '%s'", RUN_PATH);
    parts->oom_fd = openat(run_fd, OOM_PATH, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (parts->oom_fd < 0)
        return error_errno(err, "create '%s/%s'", RUN_PATH, OOM_PATH);
    r = wire_listen(run_fd, CONTROL_SOCKET_NEW, 0600, &parts->listen_fd, err);
    if (r < 0)
        return r;
    if (renameat(run_fd, CONTROL_SOCKET_NEW, run_fd, CONTROL_SOCKET) < 0)
        return error_errno(err, "rename the socket '%s'", CONTROL_SOCKET_NEW);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return error_errno(err, "make the agent's channel");
    parts->machine.agent_fd = fds[0];
    parts->agent_fd = fds[1];
    return fd_set_nonblocking(parts->agent_fd, true, err);
}

static int open_console(const struct vm_config *config, struct parts *parts, struct error *err)
{
    if (!text_equal(config->console, "log"))
        return 0;
    parts->machine.console_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    return parts->machine.console_fd < 0 ? error_errno(err, "duplicate standard error") : 0;
}

/* Without a snapshot the machine boots; so whatever is wrong with one is said and no more. */
static void open_snapshot(struct parts *parts)
{
    auto_close int dir_fd = open(VM_WARM_PATH, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct error error = { 0 };

    if (dir_fd < 0) {
        log_warning("open '%s': %s; booting", VM_WARM_PATH, strerror(errno));
        return;
    }
    if (warm_snapshot_open(dir_fd, parts->machine.tap_count, &parts->snapshot, &error) < 0)
        log_warning("%s; booting", error.message);
    if (parts->snapshot.use == WARM_LOAD) {
        parts->machine.saved_state_fd = take_fd(&parts->snapshot.state_fd);
        parts->machine.saved_memory_fd = take_fd(&parts->snapshot.memory_fd);
    }
}

static int open_saved_file(const char *name, int *ret_fd, struct error *err)
{
    auto_free char *path = xasprintf(VM_SAVED_PATH "/%s", name);

    return open_file(path, O_RDONLY | O_NOFOLLOW, ret_fd, err);
}

static int open_saved(const struct vm_config *config, struct parts *parts, struct error *err)
{
    auto_close int session_fd = -1;
    int r;

    r = open_saved_file(SAVED_STATE, &parts->machine.saved_state_fd, err);
    if (r == 0)
        r = open_saved_file(SAVED_MEMORY, &parts->machine.saved_memory_fd, err);
    if (r == 0)
        r = open_saved_file(SAVED_SESSION, &session_fd, err);
    if (r == 0)
        r = saved_session_read(session_fd, &parts->saved, err);
    if (r == 0 && parts->saved.has_terminal != config->has_terminal)
        r = error_set(err, EXDEV,
                      "process.terminal: is %s in the bundle, and was not so in the "
                      "saved microVM",
                      config->has_terminal ? "true" : "false");
    return r;
}

static int prepare(const struct vm_config *config, struct parts *parts, struct error *err)
{
    int r;

    parts->machine.memory_bytes = config->memory_bytes;
    parts->machine.cpus = config->cpus;
    parts->setup.is_emulated = text_equal(config->backend, "qemu");
    parts->cmdline = xasprintf(
        "loglevel=%d%s%s", text_equal(config->console, "log") ? LOGLEVEL_ALL : LOGLEVEL_PANIC,
        config->cmdline != NULL ? " " : "", config->cmdline != NULL ? config->cmdline : "");
    parts->machine.cmdline = parts->cmdline;
    r = open_files(config, parts, err);
    if (r == 0)
        r = open_sockets(parts, err);
    if (r == 0)
        r = open_console(config, parts, err);
    if (r == 0)
        r = vmm_network_open(&parts->machine, &parts->setup.interfaces, err);
    if (r == 0)
        r = vmm_shares_open(config, &parts->machine, err);
    parts->machine.is_savable = true;
    if (r == 0 && config->is_restored) {
        r = open_saved(config, parts, err);
    } else if (r == 0 && config->is_warm) {
        vmm_network_use_card_macs(&parts->machine, &parts->setup.interfaces);
        open_snapshot(parts);
    }
    if (r == 0)
        r = session_open_signals(&parts->signal_fd, err);
    return r;
}

static const struct machine_class *machine_class(const struct vm_config *config)
{
    return strcmp(config->backend, "kvm") == 0 ? &kvm_machine_class : &emulator_machine_class;
}

/* One to start from that does not fit this one, for whatever reason, is no failure. */
static int start_machine(const struct vm_config *config, struct parts *parts,
                         struct machine **ret_machine, struct error *err)
{
    struct machine_config *machine = &parts->machine;
    struct error reason = { 0 };

    if (machine->saved_state_fd >= 0 && !config->is_restored) {
        if (machine_start(machine_class(config), machine, ret_machine, &reason) == 0)
            return 0;
        log_warning("%s; booting", reason.message);
        auto_close_cleanup(&machine->saved_state_fd);
        auto_close_cleanup(&machine->saved_memory_fd);
        machine->saved_state_fd = machine->saved_memory_fd = -1;
    }
    return machine_start(machine_class(config), machine, ret_machine, err);
}

/* What is missing here is not the program that is to run in the guest. */
static int failed_before(int r)
{
    return r == -ENOENT || r == -EACCES ? -EIO : r;
}

static int run(struct error *err)
{
    AUTO(vm_config) struct vm_config *config = NULL;
    AUTO_CLEAR(parts)
    struct parts parts = { .machine = machine_config_empty(),
                           .snapshot = warm_snapshot_empty(),
                           .agent_fd = -1,
                           .listen_fd = -1,
                           .signal_fd = -1,
                           .oom_fd = -1 };
    AUTO(machine) struct machine *machine = NULL;
    AUTO(session) struct session *session = NULL;
    struct session_options options;
    int r;

    /* It takes over the interfaces that it finds: nothing for a network that is in use. */
    if (getpid() != 1)
        return error_set(err, EPERM,
                         "berth-vmm is the first process of a microVM's jail, which berth and "
                         "berth-oci make");
    r = read_config(&config, err);
    if (r == 0)
        r = prepare(config, &parts, err);
    if (r < 0)
        return failed_before(r);
    options =
        (struct session_options){ .config = config,
                                  .setup = &parts.setup,
                                  .agent_fd = parts.agent_fd,
                                  .listen_fd = parts.listen_fd,
                                  .signal_fd = parts.signal_fd,
                                  .oom_fd = parts.oom_fd,
                                  .snapshot =
                                      parts.snapshot.use == WARM_SAVE ? &parts.snapshot : NULL,
                                  .saved = config->is_restored ? &parts.saved : NULL };
    r = session_open(&options, &session, err);
    if (r == 0)
        r = start_machine(config, &parts, &machine, err);
    if (r < 0)
        return failed_before(r);
    options.is_loaded = parts.machine.saved_state_fd >= 0;
    machine_parts_close(&parts.machine);
    return session_run(session, machine, err);
}

static int run_exec(struct error *err)
{
    AUTO(spec_process) struct spec_process *process = xcalloc(1, sizeof(*process));
    const char *json = getenv(EXEC_VARIABLE);
    int r;

    if (json == NULL)
        return error_set(err, EINVAL, "%s is not set", EXEC_VARIABLE);
    r = decode_text(&spec_process_object, json, strlen(json), process, EXEC_VARIABLE, err);
    if (r < 0)
        return r;
    return control_exec_run(json, process->terminal, err);
}

static int run_processes(struct error *err)
{
    auto_close int dir_fd = open(RUN_PATH, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_free char *text = NULL;
    int r;

    if (dir_fd < 0)
        return error_errno(err, "open '%s'", RUN_PATH);
    r = control_ask(dir_fd, CONTROL_SAME_END, CONTROL_PROCESSES, NULL, &text, err);
    if (r < 0)
        return r;
    return fd_write_all(STDOUT_FILENO, text, strlen(text), "standard output", err);
}

static const struct {
    const char *word; /* NULL: without a word */
    int (*run)(struct error *err);
} commands[] = {
    { NULL, run },
    { "exec", run_exec },
    { "probe", vmm_probe },
    { "processes", run_processes },
};

static int run_command(const char *word, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (text_equal(commands[i].word, word))
            return commands[i].run(err);
    }
    return error_set(err, EINVAL, "'%s' is not a command of berth-vmm", word);
}

/* As an engine tells them apart: the program is not there, cannot be executed, anything else. */
static int failure_status(int r)
{
    return r == -ENOENT ? 127 : r == -EACCES ? 126 : STATUS_FAILED;
}

int main(int argc, char **argv)
{
    struct error err = { 0 };
    int r;

    log_configure("berth-vmm", -1, LOG_PLAIN, false);
    r = fd_open_standard(&err);
    (void)signal(SIGPIPE, SIG_IGN); /* a peer that is gone shows as EPIPE; cannot fail */
    if (r == 0)
        r = run_command(argc > 1 ? argv[1] : NULL, &err);
    if (r >= 0)
        return r;
    log_error("%s", err.message);
    return failure_status(r);
}
