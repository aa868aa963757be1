#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "cli/build_commit.h"
#include "cli/oci_commands.h"
#include "cli/oci_manual.h"
#include "cli/options.h"
#include "microvm/microvm.h"

#define DEFAULT_DATA "/var/lib/berth" /* where kernels of microVMs are */

static const struct option create_options[] = {
    { "bundle", 'b', OPTION_TEXT, "DIR", "Bundle folder; default: the current one", "file" },
    { "console-socket", 0, OPTION_TEXT, "PATH", "Unix socket that receives the terminal", "file" },
    { "pidfd-socket", 0, OPTION_TEXT, "PATH", "Unix socket that receives the process's pidfd",
      "file" },
    { "pid-file", 0, OPTION_TEXT, "PATH", "Write the process id into this file", "file" },
    { "no-pivot", 0, OPTION_FLAG, NULL, "Do not use pivot_root (for a root on a ramdisk)", NULL },
    { "no-new-keyring", 0, OPTION_FLAG, NULL, "Keep the session keyring of the caller", NULL },
    { "preserve-fds", 0, OPTION_TEXT, "N", "Pass N further descriptors, from 3 on", "none" },
    { "config", 'f', OPTION_TEXT, "FILE", "Configuration instead of the bundle's config.json",
      "file" },
    { "no-subreaper", 0, OPTION_FLAG, NULL, "Accepted; berth-oci is never a subreaper", NULL },
    { 0 },
};
static const struct option run_options[] = {
    { "detach", 'd', OPTION_FLAG, NULL, "Return when the program runs", NULL },
    { "keep", 0, OPTION_FLAG, NULL, "Keep the run state and the cgroup after the end", NULL },
    { 0 },
};
static const struct option delete_options[] = {
    { "force", 'f', OPTION_FLAG, NULL, "Kill it first; a missing one is no error", NULL },
    { "regex", 'r', OPTION_FLAG, NULL, "Delete all whose id matches ID, a regular expression",
      NULL },
    { 0 },
};
static const struct option kill_options[] = {
    { "all", 'a', OPTION_FLAG, NULL, "Signal every process in the container", NULL },
    { "regex", 'r', OPTION_FLAG, NULL, "Signal all whose id matches ID, a regular expression",
      NULL },
    { 0 },
};
static const struct option list_options[] = {
    { "format", 'f', OPTION_TEXT, "FORMAT", "table (default) or json", "table|json" },
    { "quiet", 'q', OPTION_FLAG, NULL, "Print ids only", NULL },
    { 0 },
};
static const struct option ps_options[] = {
    { "format", 'f', OPTION_TEXT, "FORMAT", "table (default) or json", "table|json" },
    { 0 },
};
static const struct option events_options[] = {
    { "interval", 0, OPTION_TEXT, "TIME", "Time between two stats, such as 100ms; default: 5s",
      "none" },
    { "stats", 0, OPTION_FLAG, NULL, "Print the stats once", NULL },
    { 0 },
};
static const struct option update_options[] = {
    { "resources", 'r', OPTION_TEXT, "FILE",
      "Limits as in linux.resources (JSON), - for standard input; other options are ignored",
      "file" },
    { "blkio-weight", 0, OPTION_TEXT, "N", "Block I/O weight, 10 to 1000", "none" },
    { "cpu-period", 0, OPTION_TEXT, "US", "Period of the CPU quota", "none" },
    { "cpu-quota", 0, OPTION_TEXT, "US", "CPU time in each period; -1: no limit", "none" },
    { "cpu-burst", 0, OPTION_TEXT, "US", "CPU time saved up for peaks", "none" },
    { "cpu-share", 0, OPTION_TEXT, "N", "CPU shares, relative to other containers", "none" },
    { "cpu-rt-period", 0, OPTION_TEXT, "US", "Period of the realtime limit (v1)", "none" },
    { "cpu-rt-runtime", 0, OPTION_TEXT, "US", "Realtime in each period (v1)", "none" },
    { "cpu-idle", 0, OPTION_TEXT, "N", "1: run only when nothing else does; 0: as usual", "0|1" },
    { "cpuset-cpus", 0, OPTION_TEXT, "LIST", "CPUs to use, such as 0-2,7", "none" },
    { "cpuset-mems", 0, OPTION_TEXT, "LIST", "Memory nodes to use", "none" },
    { "memory", 0, OPTION_TEXT, "BYTES", "Memory limit; -1: none", "none" },
    { "memory-reservation", 0, OPTION_TEXT, "BYTES", "Memory kept when it runs short", "none" },
    { "memory-swap", 0, OPTION_TEXT, "BYTES", "Limit of memory and swap together; -1: none",
      "none" },
    { "kernel-memory", 0, OPTION_TEXT, "BYTES", "Accepted and ignored, with a warning", "none" },
    { "kernel-memory-tcp", 0, OPTION_TEXT, "BYTES", "Accepted and ignored, with a warning",
      "none" },
    { "pids-limit", 0, OPTION_TEXT, "N", "Number of processes and threads; -1: no limit", "none" },
    { "l3-cache-schema", 0, OPTION_TEXT, "SCHEMA", "Intel RDT: L3 cache", "none" },
    { "mem-bw-schema", 0, OPTION_TEXT, "SCHEMA", "Intel RDT: memory bandwidth", "none" },
    { 0 },
};
static const struct option spec_options[] = {
    { "bundle", 'b', OPTION_TEXT, "DIR", "Bundle folder; default: the current one", "file" },
    { "file", 'f', OPTION_TEXT, "FILE", "Write this file instead of the bundle's config.json",
      "file" },
    { "rootless", 0, OPTION_FLAG, NULL, "For a container of an ordinary user", NULL },
    { 0 },
};
static const struct option exec_options[] = {
    { "process", 'p', OPTION_TEXT, "FILE", "Process description (JSON) instead of arguments",
      "file" },
    { "console-socket", 0, OPTION_TEXT, "PATH", "Unix socket that receives the terminal", "file" },
    { "pidfd-socket", 0, OPTION_TEXT, "PATH", "Unix socket that receives the process's pidfd",
      "file" },
    { "pid-file", 0, OPTION_TEXT, "PATH", "Write the process id into this file", "file" },
    { "cwd", 0, OPTION_TEXT, "DIR", "Working directory in the container", "none" },
    { "env", 'e', OPTION_LIST, "NAME=VALUE", "Set an environment variable", "none" },
    { "tty", 't', OPTION_FLAG, NULL, "Give the program a terminal", NULL },
    { "user", 'u', OPTION_TEXT, "UID[:GID]", "User of the program", "none" },
    { "additional-gids", 'g', OPTION_LIST, "GID", "Additional group", "none" },
    { "detach", 'd', OPTION_FLAG, NULL, "Return when the program runs", NULL },
    { "cap", 'c', OPTION_LIST, "CAP", "Add a capability", "none" },
    { "no-new-privs", 0, OPTION_FLAG, NULL, "Set no_new_privs", NULL },
    { "preserve-fds", 0, OPTION_TEXT, "N", "Pass N further descriptors, from 3 on", "none" },
    { "apparmor", 0, OPTION_TEXT, "PROFILE", "AppArmor profile of the program", "none" },
    { "process-label", 0, OPTION_TEXT, "LABEL", "SELinux label of the program", "none" },
    { "cgroup", 0, OPTION_LIST, "[CONTROLLER,...:]PATH",
      "Run in this cgroup below the container's; with v1 for some controllers", "none" },
    { "ignore-paused", 0, OPTION_FLAG, NULL, "Also in a paused container", NULL },
    { 0 },
};

/* What checkpoint and restore have in common. */
static const struct option criu_options[] = {
    { "image-path", 0, OPTION_TEXT, "DIR", "Folder of the image; default: ./checkpoint", "file" },
    { "work-path", 0, OPTION_TEXT, "DIR", "Folder of CRIU's log; default: that of the image",
      "file" },
    { "tcp-established", 0, OPTION_FLAG, NULL, "Keep open TCP connections", NULL },
    { "ext-unix-sk", 0, OPTION_FLAG, NULL, "Keep unix sockets with a peer outside", NULL },
    { "shell-job", 0, OPTION_FLAG, NULL, "Accept the caller's terminal", NULL },
    { "lazy-pages", 0, OPTION_FLAG, NULL, "Pass memory on when it is needed (userfaultfd)", NULL },
    { "status-fd", 0, OPTION_TEXT, "FD", "Write a zero byte here when --lazy-pages is ready",
      "none" },
    { "file-locks", 0, OPTION_FLAG, NULL, "Keep file locks", NULL },
    { "manage-cgroups-mode", 0, OPTION_TEXT, "MODE", "soft (default), full, strict or ignore",
      "soft|full|strict|ignore" },
    { "empty-ns", 0, OPTION_LIST, "TYPE", "network: leave its devices out, which is always done",
      "network" },
    { "auto-dedup", 0, OPTION_FLAG, NULL, "Punch pages that are there twice out of images", NULL },
    { "link-remap", 0, OPTION_FLAG, NULL, "Link removed files that are still open", NULL },
    { "network-lock", 0, OPTION_TEXT, "METHOD", "iptables, nftables or skip",
      "iptables|nftables|skip" },
    { 0 },
};
static const struct option checkpoint_options[] = {
    { "parent-path", 0, OPTION_TEXT, "DIR", "Earlier --pre-dump, from --image-path on", "file" },
    { "leave-running", 0, OPTION_FLAG, NULL, "Let the container go on", NULL },
    { "tcp-skip-in-flight", 0, OPTION_FLAG, NULL, "Leave out TCP connections being opened", NULL },
    { "page-server", 0, OPTION_TEXT, "ADDRESS:PORT", "Send memory to criu page-server", "none" },
    { "pre-dump", 0, OPTION_FLAG, NULL, "Write memory only, and let the container go on", NULL },
    { 0 },
};
static const struct option restore_options[] = {
    { "bundle", 'b', OPTION_TEXT, "DIR", "Bundle folder; default: the current one", "file" },
    { "console-socket", 0, OPTION_TEXT, "PATH", "Unix socket that receives the terminal", "file" },
    { "pid-file", 0, OPTION_TEXT, "PATH", "Write the process id into this file", "file" },
    { "detach", 'd', OPTION_FLAG, NULL, "Return when the processes run", NULL },
    { "no-subreaper", 0, OPTION_FLAG, NULL, "Accepted; berth-oci is never a subreaper", NULL },
    { "no-pivot", 0, OPTION_FLAG, NULL, "Refused: CRIU uses pivot_root", NULL },
    { "tcp-close", 0, OPTION_FLAG, NULL, "Restore TCP connections closed", NULL },
    { "lsm-profile", 0, OPTION_TEXT, "TYPE:NAME", "Other profile: selinux:... or apparmor:...",
      "none" },
    { "lsm-mount-context", 0, OPTION_TEXT, "CONTEXT", "Other SELinux label of mounts", "none" },
    { 0 },
};

static const struct command commands[] = {
    { .name = "create",
      .usage = "[OPTIONS] ID",
      .help = "Create a container from a bundle",
      .examples = "berth-oci create -b /srv/bundle web    # everything but the program",
      .options = create_options,
      .min_words = 1,
      .max_words = 1,
      .handler = oci_create,
      .words_completion = "none" },
    { .name = "start",
      .usage = "ID",
      .help = "Start the program of a created container",
      .examples = "berth-oci start web",
      .min_words = 1,
      .max_words = 1,
      .handler = oci_start,
      .words_completion = "container" },
    { .name = "run",
      .usage = "[OPTIONS] ID",
      .help = "Create, start, wait and delete a container",
      .examples = "berth-oci run -b /srv/bundle web    # in the foreground\n"
                  "berth-oci run -d -b /srv/bundle web # returns when it runs",
      .options = create_options,
      .more_options = run_options,
      .min_words = 1,
      .max_words = 1,
      .handler = oci_run,
      .words_completion = "none" },
    { .name = "state",
      .usage = "ID",
      .help = "Print the state of a container as JSON",
      .examples = "berth-oci state web",
      .min_words = 1,
      .max_words = 1,
      .handler = oci_state,
      .words_completion = "container" },
    { .name = "kill",
      .usage = "[OPTIONS] ID [SIGNAL]",
      .help = "Send a signal (default: TERM) to a container's first process",
      .examples = "berth-oci kill web KILL\nberth-oci kill --all web 9",
      .options = kill_options,
      .min_words = 1,
      .max_words = 2,
      .handler = oci_kill,
      .words_completion = "container" },
    { .name = "delete",
      .usage = "[OPTIONS] ID",
      .help = "Remove a stopped container",
      .examples = "berth-oci delete --force web",
      .options = delete_options,
      .min_words = 1,
      .max_words = 1,
      .handler = oci_delete,
      .words_completion = "container" },
    { .name = "exec",
      .usage = "[OPTIONS] ID COMMAND [ARG...]",
      .help = "Run a further program in a container",
      .examples = "berth-oci exec web ps\nberth-oci exec -t web sh",
      .options = exec_options,
      .min_words = 1,
      .max_words = SIZE_MAX,
      .stops_at_first_word = true,
      .handler = oci_exec,
      .words_completion = "container" },
    { .name = "list",
      .usage = "[OPTIONS]",
      .help = "List containers",
      .examples = "berth-oci list -q",
      .options = list_options,
      .handler = oci_list },
    { .name = "ps",
      .usage = "[OPTIONS] ID [PS-OPTION...]",
      .help = "List the processes of a container",
      .examples = "berth-oci ps web -o pid,cmd",
      .options = ps_options,
      .min_words = 1,
      .max_words = SIZE_MAX,
      .stops_at_first_word = true,
      .handler = oci_ps,
      .words_completion = "container" },
    { .name = "pause",
      .usage = "ID",
      .help = "Freeze all processes of a container",
      .examples = "berth-oci pause web",
      .min_words = 1,
      .max_words = 1,
      .handler = oci_pause,
      .words_completion = "container" },
    { .name = "resume",
      .usage = "ID",
      .help = "Let a paused container go on",
      .examples = "berth-oci resume web",
      .min_words = 1,
      .max_words = 1,
      .handler = oci_resume,
      .words_completion = "container" },
    { .name = "events",
      .usage = "[OPTIONS] ID",
      .help = "Print what a container uses, and when it runs out of memory",
      .description = "Each line is a JSON document: its type is \"stats\" at each interval, and "
                     "\"oom\" when memory ran out. Ends with the container.",
      .examples = "berth-oci events --stats web       # once\n"
                  "berth-oci events --interval 1s web # until it ends",
      .options = events_options,
      .min_words = 1,
      .max_words = 1,
      .handler = oci_events,
      .words_completion = "container" },
    { .name = "update",
      .usage = "[OPTIONS] ID",
      .help = "Change the limits of a container",
      .description = "What is not given stays as it is. Either all changes are made or none is.",
      .examples = "berth-oci update --memory 512m --pids-limit 100 web\n"
                  "berth-oci update -r limits.json web",
      .options = update_options,
      .min_words = 1,
      .max_words = 1,
      .handler = oci_update,
      .words_completion = "container" },
    { .name = "mounts add",
      .usage = "ID FILE",
      .help = "Add mounts to a running container",
      .description = "The file has a list of mounts as in config.json, alone or as the member "
                     "\"mounts\" of an object. Either all are added or none is.",
      .examples = "berth-oci mounts add web mounts.json",
      .min_words = 2,
      .max_words = 2,
      .handler = oci_mounts_add,
      .words_completion = "container" },
    { .name = "mounts remove",
      .usage = "ID FILE",
      .help = "Remove mounts from a running container",
      .description = "The file is as for \"mounts add\"; of each mount only the destination "
                     "counts. What is on top there is removed.",
      .examples = "berth-oci mounts remove web mounts.json",
      .min_words = 2,
      .max_words = 2,
      .handler = oci_mounts_remove,
      .words_completion = "container" },
    { .name = "checkpoint",
      .usage = "[OPTIONS] ID",
      .help = "Write an image of a container's processes and end it",
      .description = "Needs root and the program criu (package criu). An image holds the memory of "
                     "the processes, not the files of the container: those stay in the bundle. Of "
                     "a microVM it holds the whole machine with its disk; criu is not needed.",
      .examples = "berth-oci checkpoint --image-path /srv/image web\n"
                  "berth-oci checkpoint --leave-running web # into ./checkpoint",
      .options = criu_options,
      .more_options = checkpoint_options,
      .min_words = 1,
      .max_words = 1,
      .handler = oci_checkpoint,
      .words_completion = "container" },
    { .name = "restore",
      .usage = "[OPTIONS] ID",
      .help = "Make a container from an image of its processes",
      .description = "Needs root, the bundle and, but for a microVM, the program criu (package "
                     "criu). An image is as good as a program that root starts: it says which "
                     "rights its processes have.",
      .examples = "berth-oci restore -d -b /srv/bundle --image-path /srv/image web",
      .options = criu_options,
      .more_options = restore_options,
      .min_words = 1,
      .max_words = 1,
      .handler = oci_restore,
      .words_completion = "none" },
    { .name = "spec",
      .usage = "[OPTIONS]",
      .help = "Write a config.json to start from",
      .examples = "berth-oci spec -b /srv/bundle",
      .options = spec_options,
      .handler = oci_spec },
    { .name = "features",
      .help = "Print what this runtime supports as JSON",
      .examples = "berth-oci features",
      .handler = oci_features },
    { 0 },
};

static const struct option global_options[] = {
    { "root", 0, OPTION_TEXT, "DIR",
      "Folder of run state; default: /run/berth-oci, or a folder of the user", "file" },
    { "log", 0, OPTION_TEXT, "FILE", "Write the log to this file, or to syslog:NAME, journald:NAME",
      "file" },
    { "log-format", 0, OPTION_TEXT, "FORMAT", "text (default) or json", "text|json" },
    { "log-level", 0, OPTION_TEXT, "LEVEL", "error, warning (default) or debug",
      "error|warning|debug" },
    { "debug", 0, OPTION_FLAG, NULL, "Log each step", NULL },
    { "systemd-cgroup", 0, OPTION_FLAG, NULL, "As --cgroup-manager systemd", NULL },
    { "cgroup-manager", 0, OPTION_TEXT, "NAME", "cgroupfs (default), systemd or disabled",
      "cgroupfs|systemd|disabled" },
    { "rootless", 0, OPTION_TEXT, "BOOL",
      "Do without rights over cgroups: true, false, or auto (unless root)", "true|false|auto" },
    { "criu", 0, OPTION_TEXT, "PATH", "Ignored, as by newer runc: criu is looked for in PATH",
      "file" },
    { "version", 'v', OPTION_FLAG, NULL, "Print the versions of berth-oci and of the specification",
      NULL },
    { 0 },
};

static int parse_manager(const struct arguments *arguments, enum cgroup_manager *ret_manager,
                         struct error *err)
{
    bool is_systemd = arguments_global(arguments, "systemd-cgroup")->flag;
    const char *name = arguments_global(arguments, "cgroup-manager")->text;
    enum cgroup_manager manager = is_systemd ? CGROUP_MANAGER_SYSTEMD : CGROUP_MANAGER_CGROUPFS;
    int r;

    if (name != NULL) {
        r = cgroup_manager_parse(name, &manager, err);
        if (r < 0)
            return error_prefix(err, r, "--cgroup-manager");
    }
    if (is_systemd && manager != CGROUP_MANAGER_SYSTEMD)
        return error_set(err, EINVAL, "--systemd-cgroup contradicts --cgroup-manager %s", name);
    *ret_manager = manager;
    return 0;
}

static bool changes_mounts(const struct command *command)
{
    return command->handler == oci_mounts_add || command->handler == oci_mounts_remove;
}

/* What enters a container must not run from the program's own file (CVE-2019-5736). */
static bool enters_container(const struct command *command)
{
    return command->handler == oci_create || command->handler == oci_run ||
           command->handler == oci_exec || changes_mounts(command);
}

/* exec --process <(...): a shell passes the file as a descriptor that is still to be read. */
static bool reads_descriptor(const struct arguments *arguments)
{
    const char *path = NULL;

    if (arguments->command->handler == oci_exec)
        path = arguments_text(arguments, "process");
    else if (changes_mounts(arguments->command) && arguments->word_count > 1)
        path = arguments->words[1];
    return path != NULL && (strncmp(path, "/dev/fd/", strlen("/dev/fd/")) == 0 ||
                            strncmp(path, "/proc/self/fd/", strlen("/proc/self/fd/")) == 0);
}

static int prepare(const struct arguments *arguments, void *context_, struct error *err)
{
    const char *root = arguments_global(arguments, "root")->text;
    const char *criu = arguments_global(arguments, "criu")->text;
    struct oci_context *context = context_;
    unsigned preserve_fds = 0;
    int r = 0;

    if (enters_container(arguments->command)) {
        r = process_protect_program(context->argv, err);
        if (r < 0)
            return r;
    }
    /* After that, as the program begins again then. A caller that ignores SIGCHLD would take the
     * status of our children from us (sigaction(2)). */
    (void)signal(SIGCHLD, SIG_DFL);
    r = fd_open_standard(err);
    if (r < 0)
        return r;
    if (enters_container(arguments->command)) {
        if (command_option(arguments->command, "preserve-fds") != NULL)
            r = oci_parse_preserve_fds(arguments, &preserve_fds, err);
        if (r < 0)
            return r;
        /* What the caller left open by mistake must not live on in an init that waits. */
        if (!reads_descriptor(arguments))
            (void)close_range(3 + preserve_fds, ~0u, 0);
    }
    r = oci_log_open(context,
                     &(const struct oci_log_options){
                         .target = arguments_global(arguments, "log")->text,
                         .format = arguments_global(arguments, "log-format")->text,
                         .level = arguments_global(arguments, "log-level")->text,
                         .is_debug = arguments_global(arguments, "debug")->flag,
                     },
                     err);
    if (r < 0)
        return r;
    if (criu != NULL && strcmp(criu, "criu") != 0)
        log_warning("--criu %s is ignored: criu is looked for in PATH", criu);
    if (root != NULL)
        context->root = root;
    r = oci_parse_rootless(arguments_global(arguments, "rootless")->text, &context->rootless, err);
    if (r < 0)
        return r;
    return parse_manager(arguments, &context->cgroup_manager, err);
}

/* Behind "berth-oci version "; containerd and podman parse these lines. */
static char *oci_version(void)
{
    auto_free char *seccomp = runtime_seccomp_version();

    return xasprintf("%s%s%s\nspec: 1.3.0\nlibseccomp: %s", BERTH_VERSION,
                     BERTH_COMMIT[0] != '\0' ? "\ncommit: " : "", BERTH_COMMIT, seccomp);
}

int main(int argc, char **argv)
{
    auto_free char *version = oci_version();
    const struct program program = {
        .name = "berth-oci",
        .summary = "Runs OCI bundles as containers, in place of runc",
        .commands = commands,
        .global_options = global_options,
        .usage_status = 1,
        .has_go_flags = true,
        .prepare = prepare,
        .usage_failed = oci_usage_failed,
        .version = version,
        .description = oci_description,
        .manual = oci_manual,
    };
    struct oci_context context = { .argv = argv };
#ifdef BERTH_MICROVM
    const char *data_path = getenv("BERTH_DATA");
    struct isolation isolation =
        microvm_isolation(text_is_empty(data_path) ? DEFAULT_DATA : data_path);
#endif
    int status;

    log_configure("berth-oci", -1, LOG_TEXT, false);
#ifdef BERTH_MICROVM
    context.isolation = &isolation;
#endif
    status = program_run(&program, argc, argv, &context);
    runtime_free(context.runtime);
    return status;
}
