#include "cli/run_options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/text.h"
#include "cli/limit_options.h"
#include "cli/mount_option.h"
#include "cli/run_values.h"

/* Tables are in order of the alphabet, as help shows them. What docker has and berth has not yet is
 * listed too, so that a user reads why instead of "unknown option". */

#define LATER_NETWORK "networks other than none, host and slirp4netns are not there yet"
#define LATER_HEALTH  "health checks are not there yet"
#define LATER         "it is not there yet"
#define WINDOWS_ONLY  "it is for Windows only"

const struct option container_options[] = {
    { "add-host", 0, OPTION_LIST, "NAME:IP", "Add a name to /etc/hosts", "none" },
    { "annotation", 0, OPTION_LIST, "KEY[=VALUE]",
      "Set an annotation, which hooks and the runtime read", "none" },
    { "attach", 'a', OPTION_LIST, "STREAM", "Attach to stdin, stdout or stderr",
      "stdin|stdout|stderr" },
    LIMIT_BLKIO_WEIGHT,
    LIMIT_BLKIO_WEIGHT_DEVICE,
    { "cap-add", 0, OPTION_LIST, "CAPABILITY", "Add a capability, or ALL", "none" },
    { "cap-drop", 0, OPTION_LIST, "CAPABILITY", "Drop a capability, or ALL", "none" },
    LIMIT_CGROUP_CONF,
    { "cgroup-parent", 0, OPTION_TEXT, "NAME|/PATH",
      "Put it into a cgroup of `cgroup create`, or below any", "cgroup" },
    { "cgroupns", 0, OPTION_TEXT, "MODE", "Accepted: private, which it always is", "private" },
    { "cidfile", 0, OPTION_TEXT, "FILE", "Write the container's id into a new file", "file" },
    { "cpu-count", 0, OPTION_REFUSED, NULL, WINDOWS_ONLY, NULL },
    { "cpu-percent", 0, OPTION_REFUSED, NULL, WINDOWS_ONLY, NULL },
    LIMIT_CPU_PERIOD,
    LIMIT_CPU_QUOTA,
    LIMIT_CPU_RT_PERIOD,
    LIMIT_CPU_RT_RUNTIME,
    LIMIT_CPU_SHARES,
    LIMIT_CPUS,
    LIMIT_CPUSET_CPUS,
    LIMIT_CPUSET_MEMS,
    { "device", 0, OPTION_LIST, "DEVICE", "Give a device of the host, as /dev/x[:/dev/y][:rwm]",
      "file" },
    { "device-cgroup-rule", 0, OPTION_LIST, "RULE",
      "Allow devices of which there may be nodes later, as 'c 13:* rwm'", "none" },
    LIMIT_DEVICE_READ_BPS,
    LIMIT_DEVICE_READ_IOPS,
    LIMIT_DEVICE_WRITE_BPS,
    LIMIT_DEVICE_WRITE_IOPS,
    { "disable-content-trust", 0, OPTION_FLAG, NULL, "Accepted; images are not signed", NULL },
    { "dns", 0, OPTION_LIST, "ADDRESS", "Name servers, instead of the host's", "none" },
    { "dns-opt", 0, OPTION_LIST, "OPTION", "The same as --dns-option", "none" },
    { "dns-option", 0, OPTION_LIST, "OPTION", "Options of /etc/resolv.conf, as ndots:2", "none" },
    { "dns-search", 0, OPTION_LIST, "DOMAIN", "Domains to look names up in; .: none", "none" },
    { "domainname", 0, OPTION_TEXT, "NAME", "NIS domain name in the container", "none" },
    { "entrypoint", 0, OPTION_TEXT, "PROGRAM",
      "Run this instead of the image's entrypoint; '': none", "none" },
    { "env", 'e', OPTION_LIST, "NAME[=VALUE]", "Set a variable; without a value: take ours",
      "none" },
    { "env-file", 0, OPTION_LIST, "FILE", "Set the variables that the file lists", "file" },
    { "expose", 0, OPTION_LIST, "PORT[-PORT][/udp]",
      "Tell of ports that the program listens on; inspect shows them", "none" },
    { "gpus", 0, OPTION_REFUSED, NULL, "GPUs are not there yet", NULL },
    { "group-add", 0, OPTION_LIST, "GROUP", "Add a group to the user, by name or number", "none" },
    { "health-cmd", 0, OPTION_REFUSED, NULL, LATER_HEALTH, NULL },
    { "health-interval", 0, OPTION_REFUSED, NULL, LATER_HEALTH, NULL },
    { "health-retries", 0, OPTION_REFUSED, NULL, LATER_HEALTH, NULL },
    { "health-start-interval", 0, OPTION_REFUSED, NULL, LATER_HEALTH, NULL },
    { "health-start-period", 0, OPTION_REFUSED, NULL, LATER_HEALTH, NULL },
    { "health-timeout", 0, OPTION_REFUSED, NULL, LATER_HEALTH, NULL },
    { "hostname", 'h', OPTION_TEXT, "NAME", "Host name in the container", "none" },
    { "init", 0, OPTION_FLAG, NULL, "Run an init that passes signals on and reaps processes",
      NULL },
    { "interactive", 'i', OPTION_FLAG, NULL, "Keep standard input open", NULL },
    { "io-maxbandwidth", 0, OPTION_REFUSED, NULL, WINDOWS_ONLY, NULL },
    { "io-maxiops", 0, OPTION_REFUSED, NULL, WINDOWS_ONLY, NULL },
    { "ip", 0, OPTION_REFUSED, NULL, LATER_NETWORK, NULL },
    { "ip6", 0, OPTION_REFUSED, NULL, LATER_NETWORK, NULL },
    { "ipc", 0, OPTION_TEXT, "MODE",
      "IPC namespace: private, host, none, shareable, container:NAME",
      "private|host|none|shareable" },
    { "isolation", 0, OPTION_TEXT, "HOW",
      "none (default), or microvm: under a kernel of its own, see MICROVMS", "none|microvm" },
    { "kernel", 0, OPTION_TEXT, "NAME", "Kernel of the microVM; default: the newest imported",
      "kernel" },
    { "kernel-memory", 0, OPTION_REFUSED, NULL, "the kernel does not limit it any more", NULL },
    { "label", 'l', OPTION_LIST, "KEY[=VALUE]", "Set a label", "none" },
    { "label-file", 0, OPTION_LIST, "FILE", "Set the labels that the file lists", "file" },
    { "link", 0, OPTION_REFUSED, NULL, LATER_NETWORK, NULL },
    { "link-local-ip", 0, OPTION_REFUSED, NULL, LATER_NETWORK, NULL },
    { "log-driver", 0, OPTION_TEXT, "DRIVER", "json-file (default) or none", "json-file|none" },
    { "log-opt", 0, OPTION_LIST, "KEY=VALUE", "Option of the log: max-size=10m, max-file=3",
      "none" },
    { "mac-address", 0, OPTION_REFUSED, NULL, LATER_NETWORK, NULL },
    LIMIT_MEMORY,
    LIMIT_MEMORY_RESERVATION,
    LIMIT_MEMORY_SWAP,
    LIMIT_MEMORY_SWAPPINESS,
    { "mount", 0, OPTION_LIST, "SPEC", "Mount, as type=bind,source=/a,target=/b,readonly", "none" },
    { "name", 0, OPTION_TEXT, "NAME", "Name of the container", "none" },
    { "net", 0, OPTION_TEXT, "NETWORK", "The same as --network", "none|host|slirp4netns" },
    { "net-alias", 0, OPTION_REFUSED, NULL, LATER_NETWORK, NULL },
    { "network", 0, OPTION_TEXT, "NETWORK",
      "none, host, slirp4netns, or container:NAME; default: none, for an ordinary user "
      "slirp4netns if it is installed",
      "none|host|slirp4netns" },
    { "network-alias", 0, OPTION_REFUSED, NULL, LATER_NETWORK, NULL },
    { "no-healthcheck", 0, OPTION_FLAG, NULL, "Accepted; there are no health checks yet", NULL },
    { "oom-kill-disable", 0, OPTION_FLAG, NULL, "Let processes wait when memory is used up", NULL },
    { "oom-score-adj", 0, OPTION_TEXT, "NUMBER",
      "Be killed for memory earlier or later, -1000 to 1000", "none" },
    { "pid", 0, OPTION_TEXT, "MODE", "PID namespace: private, host, container:NAME",
      "private|host" },
    LIMIT_PIDS_LIMIT,
    { "platform", 0, OPTION_TEXT, "OS/ARCH",
      "The image's platform, for which it is pulled; default: this machine's", "none" },
    { "privileged", 0, OPTION_FLAG, NULL, "Give all capabilities and devices", NULL },
    { "publish", 'p', OPTION_LIST, "[[ADDRESS:]HOST:]PORT",
      "Let a port of the machine (a free one without HOST) lead into the container, with /udp for "
      "UDP; by slirp4netns",
      "none" },
    { "publish-all", 'P', OPTION_FLAG, NULL,
      "Publish all ports that the image or --expose tells of, each by a free one", NULL },
    { "pull", 0, OPTION_TEXT, "WHEN", "Pull the image: missing (default), always or never",
      "missing|always|never" },
    { "quiet", 'q', OPTION_FLAG, NULL, "Say nothing of a pull", NULL },
    { "read-only", 0, OPTION_FLAG, NULL, "Mount the root read-only", NULL },
    { "restart", 0, OPTION_TEXT, "POLICY", "no, on-failure[:N], always or unless-stopped",
      "no|on-failure|always|unless-stopped" },
    { "rm", 0, OPTION_FLAG, NULL, "Remove the container and its anonymous volumes at its end",
      NULL },
    { "runtime", 0, OPTION_REFUSED, NULL, "other runtimes are not there yet", NULL },
    { "security-opt", 0, OPTION_LIST, "OPTION",
      "no-new-privileges, seccomp=FILE|unconfined, apparmor=, label=disable", "none" },
    { "shm-size", 0, OPTION_TEXT, "BYTES", "Size of /dev/shm (default 64m)", "none" },
    { "stop-signal", 0, OPTION_TEXT, "SIGNAL", "Signal that asks the program to end", "signal" },
    { "stop-timeout", 0, OPTION_TEXT, "SECONDS", "Wait so long before killing (default 10)",
      "none" },
    { "storage-opt", 0, OPTION_REFUSED, NULL, LATER, NULL },
    { "sysctl", 0, OPTION_LIST, "KEY=VALUE", "Set a kernel parameter of the namespaces", "none" },
    { "tmpfs", 0, OPTION_LIST, "PATH[:OPTIONS]", "Mount a tmpfs, as /run:size=64m", "none" },
    { "tty", 't', OPTION_FLAG, NULL, "Give the program a terminal", NULL },
    { "ulimit", 0, OPTION_LIST, "NAME=SOFT[:HARD]", "Set a resource limit, as nofile=1024",
      "none" },
    { "use-api-socket", 0, OPTION_REFUSED, NULL, "there is no API socket", NULL },
    { "user", 'u', OPTION_TEXT, "USER[:GROUP]", "Run as this user, by name or number", "none" },
    { "userns", 0, OPTION_TEXT, "MODE",
      "User namespace: host (default), or auto for one of its own", "host|auto" },
    { "uts", 0, OPTION_TEXT, "MODE", "UTS namespace: private or host", "private|host" },
    { "vm-console", 0, OPTION_TEXT, "WHERE",
      "Messages of the microVM's kernel: none (default), or log: on standard error", "none|log" },
    { "vm-cpus", 0, OPTION_TEXT, "N", "CPUs of the microVM; default: from --cpus, else 1", "none" },
    { "vm-memory", 0, OPTION_TEXT, "BYTES",
      "Memory of the microVM; default: --memory and 96m, else 512m", "none" },
    { "volume", 'v', OPTION_LIST, "[SOURCE:]PATH[:OPTIONS]",
      "Mount a host directory or a volume, as /data:/data:ro", "file" },
    { "volume-driver", 0, OPTION_REFUSED, NULL, LATER, NULL },
    { "volumes-from", 0, OPTION_LIST, "CONTAINER[:ro]", "Mount what another container mounts",
      "container" },
    { "warm", 0, OPTION_FLAG, NULL,
      "Start the microVM from one like it that was saved when it had booted, see MICROVMS", NULL },
    { "workdir", 'w', OPTION_TEXT, "DIR", "Working directory in the container", "none" },
    { 0 },
};

const struct option run_options[] = {
    { "detach", 'd', OPTION_FLAG, NULL, "Run in the background and print the id", NULL },
    { "detach-keys", 0, OPTION_TEXT, "KEYS", "Keys that detach (default ctrl-p,ctrl-q)", "none" },
    { "sig-proxy", 0, OPTION_FLAG, NULL, "Pass signals on to the program (default true)", NULL },
    { 0 },
};

/* --- options that are copied as they are ------------------------------------------------------ */

static const struct {
    const char *option;
    size_t offset;
} text_members[] = {
    { "cgroup-parent", offsetof(struct settings, cgroup_parent) },
    { "domainname", offsetof(struct settings, domainname) },
    { "hostname", offsetof(struct settings, hostname) },
    { "ipc", offsetof(struct settings, ipc_mode) },
    { "isolation", offsetof(struct settings, isolation) },
    { "kernel", offsetof(struct settings, vm_kernel) },
    { "log-driver", offsetof(struct settings, log_driver) },
    { "name", offsetof(struct settings, name) },
    { "net", offsetof(struct settings, network) },
    { "network", offsetof(struct settings, network) },
    { "pid", offsetof(struct settings, pid_mode) },
    { "stop-signal", offsetof(struct settings, stop_signal) },
    { "user", offsetof(struct settings, user) },
    { "userns", offsetof(struct settings, userns_mode) },
    { "uts", offsetof(struct settings, uts_mode) },
    { "vm-console", offsetof(struct settings, vm_console) },
    { "workdir", offsetof(struct settings, working_dir) },
};

static const struct {
    const char *option;
    size_t offset;
} list_members[] = {
    { "cap-add", offsetof(struct settings, cap_add) },
    { "cap-drop", offsetof(struct settings, cap_drop) },
    { "device-cgroup-rule", offsetof(struct settings, device_rules) },
    { "dns", offsetof(struct settings, dns) },
    { "dns-opt", offsetof(struct settings, dns_options) },
    { "dns-option", offsetof(struct settings, dns_options) },
    { "dns-search", offsetof(struct settings, dns_search) },
    { "group-add", offsetof(struct settings, groups) },
    { "publish", offsetof(struct settings, published) },
    { "security-opt", offsetof(struct settings, security_opt) },
    { "volumes-from", offsetof(struct settings, volumes_from) },
};

static const struct {
    const char *option;
    size_t offset;
} flag_members[] = {
    { "init", offsetof(struct settings, has_init) },
    { "interactive", offsetof(struct settings, opens_stdin) },
    { "oom-kill-disable", offsetof(struct settings, has_oom_kill_disable) },
    { "privileged", offsetof(struct settings, is_privileged) },
    { "publish-all", offsetof(struct settings, publishes_all) },
    { "warm", offsetof(struct settings, is_warm) },
    { "read-only", offsetof(struct settings, is_readonly) },
    { "rm", offsetof(struct settings, is_removed) },
    { "tty", offsetof(struct settings, has_terminal) },
};

static void copy_members(const struct arguments *arguments, struct settings *settings)
{
    for (size_t i = 0; i < ARRAY_SIZE(text_members); i++) {
        char **member = (char **)((char *)settings + text_members[i].offset);
        const char *text = arguments_text(arguments, text_members[i].option);

        /* "" is docker's "not given" for all of them */
        if (text_is_empty(text))
            continue;
        free(*member);
        *member = xstrdup(text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(list_members); i++)
        strings_add_all((struct strings *)((char *)settings + list_members[i].offset),
                        arguments_list(arguments, list_members[i].option));
    for (size_t i = 0; i < ARRAY_SIZE(flag_members); i++)
        *(bool *)((char *)settings + flag_members[i].offset) =
            arguments_flag(arguments, flag_members[i].option);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static int parse_numbers(const struct arguments *arguments, struct settings *settings,
                         struct error *err)
{
    int64_t oom_score_adj = 0, timeout = 10, cpus = 0;
    int r;

    r = run_value_bytes(arguments, "shm-size", &settings->shm_bytes, err);
    if (r == 0)
        r = run_value_bytes(arguments, "vm-memory", &settings->vm_memory, err);
    if (r == 0)
        r = run_value_number(arguments, "vm-cpus", 1, 64, &cpus, err);
    if (r == 0)
        r = run_value_number(arguments, "oom-score-adj", -1000, 1000, &oom_score_adj, err);
    if (r == 0)
        r = run_value_number(arguments, "stop-timeout", -1, INT_MAX, &timeout, err);
    if (r < 0)
        return r;
    settings->vm_cpus = (uint32_t)cpus;
    settings->has_oom_score_adj = arguments_has(arguments, "oom-score-adj");
    settings->oom_score_adj = (int32_t)oom_score_adj;
    settings->has_stop_timeout = arguments_has(arguments, "stop-timeout");
    settings->stop_timeout = timeout < 0 ? UINT32_MAX : (uint32_t)timeout;
    return 0;
}

/* --- lists ------------------------------------------------------------------------------------ */

static int parse_mounts(const struct arguments *arguments, struct settings *settings,
                        struct error *err)
{
    static const struct {
        const char *option;
        int (*parse)(struct settings *settings, const char *text, struct error *err);
    } rows[] = {
        { "volume", mount_option_volume }, { "mount", mount_option_mount },
        { "tmpfs", mount_option_tmpfs },   { "device", run_value_device },
        { "ulimit", run_value_ulimit },    { "attach", run_value_attach },
    };

    for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
        const struct strings *list = arguments_list(arguments, rows[row].option);

        for (size_t i = 0; i < list->count; i++) {
            int r = rows[row].parse(settings, list->items[i], err);

            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int parse_pairs(const struct arguments *arguments, struct settings *settings,
                       struct error *err)
{
    const struct strings *files = arguments_list(arguments, "label-file");
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    const struct {
        const char *option;
        const struct strings *list;
        struct string_map *map;
        bool needs_value;
    } rows[] = {
        { "--label-file", &lines, &settings->labels, false },
        { "--label", arguments_list(arguments, "label"), &settings->labels, false },
        { "--annotation", arguments_list(arguments, "annotation"), &settings->annotations, false },
        { "--sysctl", arguments_list(arguments, "sysctl"), &settings->sysctls, true },
        { "--log-opt", arguments_list(arguments, "log-opt"), &settings->log_options, true },
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < files->count; i++)
        r = run_value_lines(files->items[i], "--label-file", &lines, err);
    for (size_t row = 0; r == 0 && row < ARRAY_SIZE(rows); row++) {
        for (size_t i = 0; r == 0 && i < rows[row].list->count; i++)
            r = run_value_pair(rows[row].map, rows[row].option, rows[row].list->items[i],
                               rows[row].needs_value, err);
    }
    return r;
}

/* "name:ip", and docker's newer "name=ip" */
static int parse_hosts(const struct arguments *arguments, struct settings *settings,
                       struct error *err)
{
    const struct strings *list = arguments_list(arguments, "add-host");

    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i];
        size_t length = strcspn(text, ":=");
        const char *address = text[length] != '\0' ? text + length + 1 : "";
        size_t address_length = strlen(address);

        if (length == 0 || address[0] == '\0')
            return error_set(err, EINVAL, "--add-host '%s': give NAME:IP", text);
        if (address[0] == '[' && address[address_length - 1] == ']') {
            address++;
            address_length -= 2;
        }
        strings_addf(&settings->add_hosts, "%.*s:%.*s", (int)length, text, (int)address_length,
                     address);
    }
    return 0;
}

static int add_variable(struct strings *env, const char *option, const char *text,
                        struct error *err)
{
    size_t length = strcspn(text, "=");
    auto_free char *name = xstrndup(text, length);
    const char *value = text[length] == '=' ? text + length + 1 : getenv(name);

    if (length == 0)
        return error_set(err, EINVAL, "%s '%s': invalid environment variable", option, text);
    if (value != NULL)
        strings_set_variable(env, name, value);
    return 0;
}

int run_options_environment(struct strings *env, const struct strings *files,
                            const struct strings *variables, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < files->count; i++) {
        AUTO_CLEAR(strings) struct strings lines = { 0 };

        r = run_value_lines(files->items[i], "--env-file", &lines, err);
        for (size_t line = 0; r == 0 && line < lines.count; line++) {
            if (strcspn(lines.items[line], " \t") < strcspn(lines.items[line], "="))
                return error_set(
                    err, EINVAL, "--env-file '%s': variable '%.*s' contains whitespaces",
                    files->items[i], (int)strcspn(lines.items[line], "="), lines.items[line]);
            r = add_variable(env, "--env-file", lines.items[line], err);
        }
    }
    for (size_t i = 0; r == 0 && i < variables->count; i++)
        r = add_variable(env, "--env", variables->items[i], err);
    return r;
}

/* --- the whole -------------------------------------------------------------------------------- */

static bool is_detached(const struct arguments *arguments)
{
    return command_option(arguments->command, "detach") != NULL &&
           arguments_flag(arguments, "detach");
}

static int parse_exposed(const struct arguments *arguments, struct settings *settings,
                         struct error *err)
{
    const struct strings *ports = arguments_list(arguments, "expose");
    int r = 0;

    for (size_t i = 0; r == 0 && i < ports->count; i++)
        r = run_value_exposed(settings, ports->items[i], err);
    return r;
}

/* As docker: without --attach output is attached, input when it is open; detached: nothing. */
static int plan_attachment(const struct arguments *arguments, struct settings *settings,
                           struct error *err)
{
    bool has_attach = arguments_has(arguments, "attach");

    if (is_detached(arguments) && has_attach)
        return error_set(err, EINVAL, "conflicting options: -a and -d");
    if (!has_attach && !is_detached(arguments)) {
        settings->attach_stdout = settings->attach_stderr = true;
        settings->attach_stdin = settings->opens_stdin;
    }
    settings->stdin_once = settings->opens_stdin && settings->attach_stdin;
    if (command_option(arguments->command, "detach-keys") != NULL)
        settings->detach_keys = xstrdup(arguments_text(arguments, "detach-keys"));
    return 0;
}

static int check_accepted(const struct arguments *arguments, struct error *err)
{
    const char *pull = arguments_text(arguments, "pull");
    const char *cgroupns = arguments_text(arguments, "cgroupns");

    if (!text_is_empty(cgroupns) && strcmp(cgroupns, "private") != 0)
        return error_set(err, EOPNOTSUPP,
                         "--cgroupns '%s': the cgroup namespace is always private, others are not "
                         "there yet",
                         cgroupns);
    if (pull == NULL || strcmp(pull, "missing") == 0 || strcmp(pull, "never") == 0 ||
        strcmp(pull, "always") == 0)
        return 0;
    return error_set(err, EINVAL, "--pull '%s': give missing, always or never", pull);
}

static int parse_all(const struct arguments *arguments, struct settings *settings,
                     struct error *err)
{
    static int (*const steps[])(const struct arguments *arguments, struct settings *settings,
                                struct error *err) = {
        limit_options_parse, limit_options_check_machine,
        parse_numbers,       parse_mounts,
        parse_pairs,         parse_hosts,
        parse_exposed,       plan_attachment,
    };
    const char *entrypoint = arguments_text(arguments, "entrypoint");
    const char *restart = arguments_text(arguments, "restart");
    int r;

    copy_members(arguments, settings);
    settings->attach_stdin = settings->attach_stdout = settings->attach_stderr = false;
    r = check_accepted(arguments, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
        r = steps[i](arguments, settings, err);
    if (r == 0 && restart != NULL)
        r = run_value_restart(settings, restart, err);
    if (r == 0)
        r = run_options_environment(&settings->env, arguments_list(arguments, "env-file"),
                                    arguments_list(arguments, "env"), err);
    if (entrypoint != NULL) {
        settings->has_entrypoint = true;
        if (entrypoint[0] != '\0')
            strings_add(&settings->entrypoint, entrypoint);
    }
    return r;
}

int run_options_parse(const struct arguments *arguments, struct settings **ret_settings,
                      struct error *err)
{
    AUTO(settings) struct settings *settings = settings_default();
    int r = parse_all(arguments, settings, err);

    if (r < 0)
        return r;
    *ret_settings = take_ptr(&settings);
    return 0;
}
