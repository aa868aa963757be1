#include "cli/berth_commands.h"

#include <stdint.h>

#include "cli/berth.h"
#include "cli/image_options.h"
#include "cli/limit_options.h"
#include "cli/registry_options.h"
#include "cli/run_options.h"

#define CONTAINERS "Containers"
#define IMAGES     "Images"
#define VOLUMES    "Volumes"
#define CGROUPS    "Cgroups"
#define SYSTEM     "System"

#define FORMAT_HELP "table, 'table TEMPLATE', json, or a template for each line"

static const struct option attach_options[] = {
    { "detach-keys", 0, OPTION_TEXT, "KEYS", "Keys that detach (default ctrl-p,ctrl-q)", "none" },
    { "no-stdin", 0, OPTION_FLAG, NULL, "Do not attach standard input", NULL },
    { "sig-proxy", 0, OPTION_FLAG, NULL, "Pass signals on to the program (default true)", NULL },
    { 0 },
};

static const struct option exec_options[] = {
    { "detach", 'd', OPTION_FLAG, NULL, "Run in the background", NULL },
    { "detach-keys", 0, OPTION_TEXT, "KEYS", "Keys that detach (default ctrl-p,ctrl-q)", "none" },
    { "env", 'e', OPTION_LIST, "NAME[=VALUE]", "Set a variable; without a value: take ours",
      "none" },
    { "env-file", 0, OPTION_LIST, "FILE", "Set the variables that the file lists", "file" },
    { "interactive", 'i', OPTION_FLAG, NULL, "Keep standard input open", NULL },
    { "privileged", 0, OPTION_FLAG, NULL, "Give the program all capabilities", NULL },
    { "tty", 't', OPTION_FLAG, NULL, "Give the program a terminal", NULL },
    { "user", 'u', OPTION_TEXT, "USER[:GROUP]", "Run as this user, by name or number", "none" },
    { "workdir", 'w', OPTION_TEXT, "DIR", "Working directory in the container", "none" },
    { 0 },
};

static const struct option history_options[] = {
    { "format", 0, OPTION_TEXT, "FORMAT", FORMAT_HELP, "table|json" },
    { "human", 'H', OPTION_FLAG, NULL, "Show sizes and dates for people (default true)", NULL },
    { "no-trunc", 0, OPTION_FLAG, NULL, "Show whole ids and commands", NULL },
    { "quiet", 'q', OPTION_FLAG, NULL, "Print ids only", NULL },
    { "platform", 0, OPTION_REFUSED, NULL, "images of several platforms are not there yet", NULL },
    { 0 },
};

static const struct option images_options[] = {
    { "all", 'a', OPTION_FLAG, NULL, "Accepted; every image is shown", NULL },
    { "digests", 0, OPTION_FLAG, NULL, "Show digests", NULL },
    { "filter", 'f', OPTION_LIST, "KEY=VALUE",
      "Only some: before, dangling, label, reference, since", "none" },
    { "format", 0, OPTION_TEXT, "FORMAT", FORMAT_HELP, "table|json" },
    { "no-trunc", 0, OPTION_FLAG, NULL, "Show whole ids", NULL },
    { "quiet", 'q', OPTION_FLAG, NULL, "Print ids only", NULL },
    { "tree", 0, OPTION_REFUSED, NULL, "images of several platforms are not there yet", NULL },
    { 0 },
};

static const struct option inspect_options[] = {
    { "format", 'f', OPTION_TEXT, "FORMAT", "json, or a template for each object", "json" },
    { "size", 's', OPTION_FLAG, NULL, "Show sizes of containers", NULL },
    { "type", 0, OPTION_TEXT, "TYPE", "Only objects of this type: container, image or volume",
      "container|image|volume" },
    { 0 },
};

static const struct option kill_options[] = {
    { "signal", 's', OPTION_TEXT, "SIGNAL", "Signal to send (default KILL)", "signal" },
    { 0 },
};

static const struct option logs_options[] = {
    { "details", 0, OPTION_FLAG, NULL, "Show attributes of the log as well", NULL },
    { "follow", 'f', OPTION_FLAG, NULL, "Wait for further lines until the container ends", NULL },
    { "since", 0, OPTION_TEXT, "TIME", "Only lines after a date or, as 42m, so long ago", "none" },
    { "tail", 'n', OPTION_TEXT, "NUMBER", "Only so many lines from the end (default all)", "none" },
    { "timestamps", 't', OPTION_FLAG, NULL, "Show when each line was written", NULL },
    { "until", 0, OPTION_TEXT, "TIME", "Only lines before a date or, as 42m, so long ago", "none" },
    { 0 },
};

static const struct option ps_options[] = {
    { "all", 'a', OPTION_FLAG, NULL, "Show stopped containers as well", NULL },
    { "filter", 'f', OPTION_LIST, "KEY=VALUE",
      "Only some: ancestor, before, exited, id, isolation, label, name, network, since, status, "
      "volume",
      "none" },
    { "format", 0, OPTION_TEXT, "FORMAT", FORMAT_HELP, "table|json" },
    { "last", 'n', OPTION_TEXT, "NUMBER", "Only the last so many that were created", "none" },
    { "latest", 'l', OPTION_FLAG, NULL, "Only the last that was created", NULL },
    { "no-trunc", 0, OPTION_FLAG, NULL, "Show whole ids and commands", NULL },
    { "quiet", 'q', OPTION_FLAG, NULL, "Print ids only", NULL },
    { "size", 's', OPTION_FLAG, NULL, "Show sizes", NULL },
    { 0 },
};

#define PRUNE_FORCE_OPTION                                                                         \
    {                                                                                              \
        "force", 'f', OPTION_FLAG, NULL, "Do not ask", NULL                                        \
    }
#define PRUNE_FILTER_OPTION                                                                        \
    {                                                                                              \
        "filter", 0, OPTION_LIST, "KEY=VALUE",                                                     \
            "Only some: until (made before a date or, as 24h, so long ago), label, label!", "none" \
    }

static const struct option container_prune_options[] = {
    PRUNE_FILTER_OPTION,
    PRUNE_FORCE_OPTION,
    { 0 },
};

static const struct option image_prune_options[] = {
    { "all", 'a', OPTION_FLAG, NULL, "All that no container was made of, also with names", NULL },
    PRUNE_FILTER_OPTION,
    PRUNE_FORCE_OPTION,
    { 0 },
};

#define CLUSTER_OPTION(name_)                                                                      \
    {                                                                                              \
        name_, 0, OPTION_REFUSED, NULL, "there are no clusters, and no volumes of theirs", NULL    \
    }

static const struct option volume_create_options[] = {
    CLUSTER_OPTION("availability"),
    { "driver", 'd', OPTION_TEXT, "DRIVER", "local, the only one", "local" },
    CLUSTER_OPTION("group"),
    { "label", 0, OPTION_LIST, "KEY[=VALUE]", "Set a label", "none" },
    CLUSTER_OPTION("limit-bytes"),
    { "name", 0, OPTION_REFUSED, NULL, "give the name without an option", NULL },
    { "opt", 'o', OPTION_REFUSED, NULL,
      "a volume is a directory, without options; other file systems are mounted by the host and "
      "bound with --volume",
      NULL },
    CLUSTER_OPTION("required-bytes"),
    CLUSTER_OPTION("scope"),
    CLUSTER_OPTION("secret"),
    CLUSTER_OPTION("sharing"),
    CLUSTER_OPTION("topology-preferred"),
    CLUSTER_OPTION("topology-required"),
    CLUSTER_OPTION("type"),
    { 0 },
};

static const struct option volume_ls_options[] = {
    CLUSTER_OPTION("cluster"),
    { "filter", 'f', OPTION_LIST, "KEY=VALUE", "Only some: dangling, driver, label, name", "none" },
    { "format", 0, OPTION_TEXT, "FORMAT", FORMAT_HELP, "table|json" },
    { "quiet", 'q', OPTION_FLAG, NULL, "Print names only", NULL },
    { 0 },
};

static const struct option volume_rm_options[] = {
    { "force", 'f', OPTION_FLAG, NULL, "Say nothing of volumes that are not there", NULL },
    { 0 },
};

static const struct option volume_prune_options[] = {
    { "all", 'a', OPTION_FLAG, NULL, "Also volumes that were given a name", NULL },
    { "filter", 0, OPTION_LIST, "KEY=VALUE", "Only some: label, label!", "none" },
    PRUNE_FORCE_OPTION,
    { 0 },
};

static const struct option system_prune_options[] = {
    { "all", 'a', OPTION_FLAG, NULL, "All images that no container was made of", NULL },
    PRUNE_FILTER_OPTION,
    PRUNE_FORCE_OPTION,
    { "volumes", 0, OPTION_FLAG, NULL, "Anonymous volumes that no container uses as well", NULL },
    { 0 },
};

static const struct option system_df_options[] = {
    { "format", 0, OPTION_TEXT, "FORMAT", FORMAT_HELP, "table|json" },
    { "verbose", 'v', OPTION_FLAG, NULL, "Show images, containers and volumes one by one", NULL },
    { 0 },
};

static const struct option restart_options[] = {
    { "signal", 's', OPTION_TEXT, "SIGNAL", "Signal that asks the program to end", "signal" },
    { "time", 0, OPTION_TEXT, "SECONDS", "The same as --timeout", "none" },
    { "timeout", 't', OPTION_TEXT, "SECONDS", "Wait so long before killing; -1: without end",
      "none" },
    { 0 },
};

static const struct option checkpoint_options[] = {
    { "leave-running", 'R', OPTION_FLAG, NULL, "Let it go on", NULL },
    { 0 },
};

static const struct option restore_options[] = {
    { "keep", 'k', OPTION_FLAG, NULL, "Keep the checkpoint, to restore it again", NULL },
    { 0 },
};

static const struct option rm_options[] = {
    { "force", 'f', OPTION_FLAG, NULL, "Kill a running container first", NULL },
    { "link", 'l', OPTION_REFUSED, NULL, "links are not there yet", NULL },
    { "volumes", 'v', OPTION_FLAG, NULL, "Remove its anonymous volumes as well", NULL },
    { 0 },
};

static const struct option rmi_options[] = {
    { "force", 'f', OPTION_FLAG, NULL,
      "Remove all names of the image, also when stopped containers use it", NULL },
    { "no-prune", 0, OPTION_FLAG, NULL, "Accepted; images have no untagged parents", NULL },
    { "platform", 0, OPTION_REFUSED, NULL, "images of several platforms are not there yet", NULL },
    { 0 },
};

#define USE_RESTORE "'berth restore' lets a container go on from its checkpoint"

static const struct option start_options[] = {
    { "attach", 'a', OPTION_FLAG, NULL, "Attach to its output and pass signals on", NULL },
    { "checkpoint", 0, OPTION_REFUSED, NULL, USE_RESTORE, NULL },
    { "checkpoint-dir", 0, OPTION_REFUSED, NULL, USE_RESTORE, NULL },
    { "detach-keys", 0, OPTION_TEXT, "KEYS", "Keys that detach (default ctrl-p,ctrl-q)", "none" },
    { "interactive", 'i', OPTION_FLAG, NULL, "Attach to its standard input", NULL },
    { "sig-proxy", 0, OPTION_FLAG, NULL, "Pass signals on to the program (default true)", NULL },
    { 0 },
};

static const struct option stats_options[] = {
    { "all", 'a', OPTION_FLAG, NULL, "Show stopped containers as well", NULL },
    { "format", 0, OPTION_TEXT, "FORMAT", FORMAT_HELP, "table|json" },
    { "no-stream", 0, OPTION_FLAG, NULL, "Print once, do not go on", NULL },
    { "no-trunc", 0, OPTION_FLAG, NULL, "Show whole ids", NULL },
    { 0 },
};

static const struct option format_options[] = {
    { "format", 'f', OPTION_TEXT, "FORMAT", "json, or a template", "json" },
    { 0 },
};

static const struct option update_options[] = {
    { "kernel-memory", 0, OPTION_REFUSED, NULL, "the kernel does not limit it any more", NULL },
    { "restart", 0, OPTION_TEXT, "POLICY", "no, on-failure[:N], always or unless-stopped",
      "no|on-failure|always|unless-stopped" },
    { 0 },
};

static const struct option cgroup_ls_options[] = {
    { "format", 0, OPTION_TEXT, "FORMAT", FORMAT_HELP, "table|json" },
    { "no-trunc", 0, OPTION_FLAG, NULL, "Show whole ids", NULL },
    { "quiet", 'q', OPTION_FLAG, NULL, "Print names of cgroups only", NULL },
    { 0 },
};

static const struct option cgroup_inspect_options[] = {
    { "format", 'f', OPTION_TEXT, "FORMAT", "json, or a template for each cgroup", "json" },
    { 0 },
};

static const struct option wait_options[] = {
    { "condition", 0, OPTION_TEXT, "CONDITION", "not-running (default), next-exit or removed",
      "not-running|next-exit|removed" },
    { 0 },
};

const struct command berth_commands[] = {
    {
        .name = "run",
        .alias = "container run",
        .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        .help = "Run a program in a new container",
        .description = "Makes a container of an image, starts it, and ends with the status of its "
                       "program; 125, 126 and 127 mean that it could not be started. Without "
                       "--network the container has a loopback interface and no other.",
        .examples =
            "berth run --rm busybox echo hello          # prints hello\n"
            "berth run -it --rm busybox                 # a shell\n"
            "berth run -d --name web --network host -v /srv:/srv:ro busybox httpd -f -h /srv\n"
            "berth run --rm -m 64m --cpus 0.5 --pids-limit 32 busybox top   # limited\n",
        .options = container_options,
        .more_options = run_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .stops_at_first_word = true,
        .handler = command_run,
        .words_completion = "image",
        .section = CONTAINERS,
    },
    {
        .name = "create",
        .alias = "container create",
        .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        .help = "Make a container without starting it",
        .examples = "berth create --name job busybox sleep 60   # prints its id\n"
                    "berth start -a job\n",
        .options = container_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .stops_at_first_word = true,
        .handler = command_create,
        .words_completion = "image",
        .section = CONTAINERS,
    },
    {
        .name = "start",
        .alias = "container start",
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .help = "Start stopped containers",
        .examples = "berth start web\n"
                    "berth start -ai shell                      # and attach to it\n",
        .options = start_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_start,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "stop",
        .alias = "container stop",
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .help = "Stop containers, politely first",
        .description = "Sends the stop signal, waits (10 seconds unless the container says "
                       "otherwise), then kills.",
        .examples = "berth stop web\n"
                    "berth stop -t 1 $(berth ps -q)             # all that run\n",
        .options = restart_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_stop,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "restart",
        .alias = "container restart",
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .help = "Stop and start containers",
        .examples = "berth restart -t 1 web\n",
        .options = restart_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_restart,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "kill",
        .alias = "container kill",
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .help = "Send a signal to the programs of containers",
        .examples = "berth kill web\n"
                    "berth kill -s HUP web\n",
        .options = kill_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_kill,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "rm",
        .alias = "container rm|container remove",
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .help = "Remove containers",
        .examples = "berth rm job\n"
                    "berth rm -f $(berth ps -aq)                # all, also running ones\n",
        .options = rm_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_rm,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "ps",
        .alias = "container ls|container list|container ps",
        .usage = "[OPTIONS]",
        .help = "List containers",
        .examples = "berth ps -a\n"
                    "berth ps --filter status=exited --format '{{.Names}}: {{.Status}}'\n",
        .options = ps_options,
        .max_words = 0,
        .handler = command_ps,
        .section = CONTAINERS,
    },
    {
        .name = "exec",
        .alias = "container exec",
        .usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
        .help = "Run a further program in a running container",
        .examples = "berth exec -it web sh\n"
                    "berth exec -u 1000 -w /tmp web id\n",
        .options = exec_options,
        .min_words = 2,
        .max_words = SIZE_MAX,
        .stops_at_first_word = true,
        .handler = command_exec,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "logs",
        .alias = "container logs",
        .usage = "[OPTIONS] CONTAINER",
        .help = "Show what a container wrote",
        .examples = "berth logs -f web\n"
                    "berth logs --since 10m -n 20 -t web\n",
        .options = logs_options,
        .min_words = 1,
        .max_words = 1,
        .handler = command_logs,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "attach",
        .alias = "container attach",
        .usage = "[OPTIONS] CONTAINER",
        .help = "Connect the terminal with a running container",
        .examples =
            "berth attach shell                         # ctrl-p ctrl-q leaves it running\n",
        .options = attach_options,
        .min_words = 1,
        .max_words = 1,
        .handler = command_attach,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "wait",
        .alias = "container wait",
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .help = "Wait until containers end, and print their exit statuses",
        .examples = "berth wait job\n",
        .options = wait_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_wait,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "inspect",
        .alias = "container inspect",
        .usage = "[OPTIONS] NAME|ID [NAME|ID...]",
        .help = "Show everything about containers, images or volumes",
        .examples = "berth inspect web\n"
                    "berth inspect -f '{{.State.Status}} {{.State.Pid}}' web\n"
                    "berth inspect -f '{{range .Mounts}}{{.Destination}} {{end}}' web\n",
        .options = inspect_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_inspect,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "top",
        .alias = "container top",
        .usage = "CONTAINER [PS OPTIONS]",
        .help = "Show the processes of a container",
        .description = "With options it is the host's ps that runs, and only the container's lines "
                       "are shown.",
        .examples = "berth top web\n"
                    "berth top web -o pid,rss,args\n",
        .min_words = 1,
        .max_words = SIZE_MAX,
        .stops_at_first_word = true,
        .handler = command_top,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "stats",
        .alias = "container stats",
        .usage = "[OPTIONS] [CONTAINER...]",
        .help = "Show what containers use, again each second",
        .description = "NET I/O is of all interfaces of the container but loopback; of the host's, "
                       "with --network host, nothing is counted as the container's. "
                       "--format knows more than the table shows: CPUUser, CPUSystem, "
                       "ThrottledTime, ThrottledPeriods, MemAnon, MemFile, MemKernel, MemPeak, "
                       "MemSwap, MemLimitHits, OOMKills, PIDsPeak, PIDsLimit, and the percentage "
                       "of the last ten seconds in which some, and all, processes waited: "
                       "PressureCPU, PressureMemory, PressureIO. A hyphen is for what this "
                       "machine does not tell.",
        .examples = "berth stats\n"
                    "berth stats --no-stream --format '{{.Name}} {{.MemUsage}}' web\n"
                    "berth stats --format 'table {{.Name}}\\t{{.PressureCPU}}\\t{{.MemPeak}}'\n",
        .options = stats_options,
        .max_words = SIZE_MAX,
        .handler = command_stats,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "pause",
        .alias = "container pause",
        .usage = "CONTAINER [CONTAINER...]",
        .help = "Freeze all processes of containers",
        .examples = "berth pause web\n",
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_pause,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "unpause",
        .alias = "container unpause",
        .usage = "CONTAINER [CONTAINER...]",
        .help = "Let frozen containers go on",
        .examples = "berth unpause web\n",
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_unpause,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "checkpoint",
        .alias = "container checkpoint",
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .help = "Save what runs in containers, and end it",
        .description =
            "The container can be restored from its checkpoint, also after a boot. It has "
            "one, the last that was whole, which goes with it.",
        .examples = "berth checkpoint web\n"
                    "berth checkpoint --leave-running web\n",
        .options = checkpoint_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_checkpoint,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "restore",
        .alias = "container restore",
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .help = "Let containers go on from their checkpoints",
        .description = "The container must not run. Its checkpoint is removed when it goes on.",
        .examples = "berth restore web\n"
                    "berth restore --keep web\n",
        .options = restore_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_restore,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "port",
        .alias = "container port",
        .usage = "CONTAINER [PORT[/tcp|/udp]]",
        .help = "List the ports of this machine that lead into a container",
        .description = "Those of `run --publish`, while it runs. With a PORT of the container only "
                       "what leads to that one; none is an error then.",
        .examples = "berth port web\n"
                    "berth port web 80                          # 0.0.0.0:8080\n",
        .min_words = 1,
        .max_words = 2,
        .handler = command_port,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "rename",
        .alias = "container rename",
        .usage = "CONTAINER NEW_NAME",
        .help = "Give a container another name",
        .examples = "berth rename web old-web\n",
        .min_words = 2,
        .max_words = 2,
        .handler = command_rename,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "diff",
        .alias = "container diff",
        .usage = "CONTAINER",
        .help = "List the files that a container added, changed or deleted",
        .description = "Each line is A (added), C (changed) or D (deleted) and a path. A directory "
                       "is changed when something in it is.",
        .examples = "berth diff web\n",
        .min_words = 1,
        .max_words = 1,
        .handler = command_diff,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "commit",
        .alias = "container commit",
        .usage = IMAGE_COMMIT_USAGE,
        .help = IMAGE_COMMIT_HELP,
        .description = IMAGE_COMMIT_DESCRIPTION,
        .examples = IMAGE_COMMIT_EXAMPLES,
        .options = image_commit_options,
        .min_words = 1,
        .max_words = 2,
        .handler = command_image_program,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "cp",
        .alias = "container cp",
        .usage = IMAGE_CP_USAGE,
        .help = IMAGE_CP_HELP,
        .description = IMAGE_CP_DESCRIPTION,
        .examples = IMAGE_CP_EXAMPLES,
        .options = image_cp_options,
        .min_words = 2,
        .max_words = 2,
        .handler = command_image_program,
        .words_completion = "file",
        .section = CONTAINERS,
    },
    {
        .name = "export",
        .alias = "container export",
        .usage = IMAGE_EXPORT_USAGE,
        .help = IMAGE_EXPORT_HELP,
        .description = IMAGE_EXPORT_DESCRIPTION,
        .examples = IMAGE_EXPORT_EXAMPLES,
        .options = image_export_options,
        .min_words = 1,
        .max_words = 1,
        .handler = command_image_program,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "update",
        .alias = "container update",
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .help = "Change limits and restart policy of containers",
        .description = "Of running ones at once, all of it or nothing; a container that starts "
                       "again keeps them. What is not given stays; 0 takes a limit away.",
        .examples = "berth update -m 256m --cpus 2 web\n"
                    "berth update --cpus 0 --restart always web # no limit on CPU time\n",
        .options = update_options,
        .more_options = limit_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_update,
        .words_completion = "container",
        .section = CONTAINERS,
    },
    {
        .name = "container prune",
        .usage = "[OPTIONS]",
        .help = "Remove all containers that do not run",
        .description = "Asks first, unless it is given --force. Their volumes stay.",
        .examples = "berth container prune\n"
                    "berth container prune -f --filter until=24h --filter label=ci\n",
        .options = container_prune_options,
        .max_words = 0,
        .handler = command_container_prune,
        .section = CONTAINERS,
    },
    {
        .name = "images",
        .alias = "image ls|image list",
        .usage = "[OPTIONS] [REPOSITORY[:TAG]]",
        .help = "List images",
        .examples =
            "berth images\n"
            "berth images --filter reference='debian*' --format '{{.Repository}}:{{.Tag}}'\n",
        .options = images_options,
        .max_words = 1,
        .handler = command_images,
        .words_completion = "image",
        .section = IMAGES,
    },
    {
        .name = "pull",
        .alias = "image pull",
        .usage = IMAGE_PULL_USAGE,
        .help = IMAGE_PULL_HELP,
        .description = IMAGE_PULL_DESCRIPTION,
        .examples = IMAGE_PULL_EXAMPLES,
        .options = image_pull_options,
        .min_words = 1,
        .max_words = 1,
        .handler = command_image_program,
        .words_completion = "image",
        .section = IMAGES,
    },
    {
        .name = "push",
        .alias = "image push",
        .usage = IMAGE_PUSH_USAGE,
        .help = IMAGE_PUSH_HELP,
        .description = IMAGE_PUSH_DESCRIPTION,
        .examples = IMAGE_PUSH_EXAMPLES,
        .options = image_push_options,
        .min_words = 1,
        .max_words = 2,
        .handler = command_image_program,
        .words_completion = "image",
        .section = IMAGES,
    },
    {
        .name = "login",
        .usage = IMAGE_LOGIN_USAGE,
        .help = IMAGE_LOGIN_HELP,
        .description = IMAGE_LOGIN_DESCRIPTION,
        .examples = IMAGE_LOGIN_EXAMPLES,
        .options = image_login_options,
        .max_words = 1,
        .handler = command_image_program,
        .section = IMAGES,
    },
    {
        .name = "logout",
        .usage = IMAGE_LOGOUT_USAGE,
        .help = IMAGE_LOGOUT_HELP,
        .examples = IMAGE_LOGOUT_EXAMPLES,
        .max_words = 1,
        .handler = command_image_program,
        .section = IMAGES,
    },
    {
        .name = "search",
        .usage = IMAGE_SEARCH_USAGE,
        .help = IMAGE_SEARCH_HELP,
        .description = IMAGE_SEARCH_DESCRIPTION,
        .examples = IMAGE_SEARCH_EXAMPLES,
        .options = image_search_options,
        .min_words = 1,
        .max_words = 1,
        .handler = command_image_program,
        .section = IMAGES,
    },
    {
        .name = "load",
        .alias = "image load",
        .usage = IMAGE_LOAD_USAGE,
        .help = IMAGE_LOAD_HELP,
        .description = IMAGE_LOAD_DESCRIPTION,
        .examples = IMAGE_LOAD_EXAMPLES,
        .options = image_load_options,
        .max_words = 0,
        .handler = command_image_program,
        .section = IMAGES,
    },
    {
        .name = "save",
        .alias = "image save",
        .usage = IMAGE_SAVE_USAGE,
        .help = IMAGE_SAVE_HELP,
        .description = IMAGE_SAVE_DESCRIPTION,
        .examples = IMAGE_SAVE_EXAMPLES,
        .options = image_save_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_image_program,
        .words_completion = "image",
        .section = IMAGES,
    },
    {
        .name = "history",
        .alias = "image history",
        .usage = "[OPTIONS] IMAGE",
        .help = "Show how an image came to be",
        .examples = "berth history debian\n"
                    "berth history --no-trunc --format '{{.Size}} {{.CreatedBy}}' mine\n",
        .options = history_options,
        .min_words = 1,
        .max_words = 1,
        .handler = command_history,
        .words_completion = "image",
        .section = IMAGES,
    },
    {
        .name = "import",
        .alias = "image import",
        .usage = IMAGE_IMPORT_USAGE,
        .help = IMAGE_IMPORT_HELP,
        .description = IMAGE_IMPORT_DESCRIPTION,
        .examples = IMAGE_IMPORT_EXAMPLES,
        .options = image_import_options,
        .min_words = 1,
        .max_words = 2,
        .handler = command_image_program,
        .words_completion = "file",
        .section = IMAGES,
    },
    {
        .name = "rmi",
        .alias = "image rm|image remove",
        .usage = "[OPTIONS] IMAGE [IMAGE...]",
        .help = "Remove images",
        .examples = "berth rmi busybox\n",
        .options = rmi_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_rmi,
        .words_completion = "image",
        .section = IMAGES,
    },
    {
        .name = "tag",
        .alias = "image tag",
        .usage = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
        .help = "Give an image a further name",
        .examples = "berth tag busybox mine:1\n",
        .min_words = 2,
        .max_words = 2,
        .handler = command_tag,
        .words_completion = "image",
        .section = IMAGES,
    },
    {
        .name = "image copy",
        .usage = IMAGE_COPY_USAGE,
        .help = IMAGE_COPY_HELP,
        .description = IMAGE_COPY_DESCRIPTION,
        .examples = IMAGE_COPY_EXAMPLES,
        .options = image_copy_options,
        .min_words = 2,
        .max_words = 2,
        .handler = command_image_program,
        .section = IMAGES,
    },
    {
        .name = "image referrers",
        .usage = IMAGE_REFERRERS_USAGE,
        .help = IMAGE_REFERRERS_HELP,
        .description = IMAGE_REFERRERS_DESCRIPTION,
        .examples = IMAGE_REFERRERS_EXAMPLES,
        .options = image_referrers_options,
        .min_words = 1,
        .max_words = 1,
        .handler = command_image_program,
        .section = IMAGES,
    },
    {
        .name = "image make",
        .usage = IMAGE_MAKE_USAGE,
        .help = IMAGE_MAKE_HELP,
        .description = IMAGE_MAKE_DESCRIPTION,
        .examples = IMAGE_MAKE_EXAMPLES,
        .options = image_make_options,
        .min_words = 1,
        .max_words = 1,
        .handler = command_image_program,
        .words_completion = "busybox|debian",
        .section = IMAGES,
    },
    {
        .name = "image inspect",
        .usage = IMAGE_INSPECT_USAGE,
        .help = IMAGE_INSPECT_HELP,
        .description = IMAGE_INSPECT_DESCRIPTION,
        .examples = IMAGE_INSPECT_EXAMPLES,
        .options = image_inspect_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_image_inspect,
        .words_completion = "image",
        .section = IMAGES,
    },
    {
        .name = "image prune",
        .usage = "[OPTIONS]",
        .help = "Remove images without a name, and files that no image needs",
        .description = "Asks first, unless it is given --force. Images that containers were made "
                       "of stay. Layers and blobs that nothing refers to go, and what came of "
                       "downloads that broke off; the space is free when the command ends.",
        .examples = "berth image prune -f\n"
                    "berth image prune -a --filter until=240h   # older than ten days\n",
        .options = image_prune_options,
        .max_words = 0,
        .handler = command_image_prune,
        .section = IMAGES,
    },
    {
        .name = "volume create",
        .usage = "[OPTIONS] [NAME]",
        .help = "Make a volume, and print its name",
        .description = "Without a NAME one is made up, as for volumes of images. A volume that is "
                       "there stays as it is. `run -v NAME:/path` makes it, too, as does `run "
                       "--mount`, with labels by volume-label=KEY=VALUE; either way, the "
                       "first container that mounts it while it is empty fills it with what its "
                       "image has at that path.",
        .examples = "berth volume create data\n"
                    "berth volume create --label project=shop shop-data\n"
                    "berth run --rm --mount source=data,target=/d,volume-label=project=shop "
                    "busybox ls /d\n",
        .options = volume_create_options,
        .max_words = 1,
        .handler = command_volume_create,
        .section = VOLUMES,
    },
    {
        .name = "volume ls",
        .alias = "volume list",
        .usage = "[OPTIONS]",
        .help = "List volumes",
        .description = "--format knows Driver, Name, Scope, Mountpoint and Labels. What they take "
                       "on the disk is in `system df -v`. dangling=true: those that no container "
                       "uses, running or not.",
        .examples = "berth volume ls\n"
                    "berth volume ls -q --filter dangling=true --filter label=project=shop\n",
        .options = volume_ls_options,
        .max_words = 0,
        .handler = command_volume_ls,
        .section = VOLUMES,
    },
    {
        .name = "volume rm",
        .alias = "volume remove",
        .usage = "[OPTIONS] VOLUME [VOLUME...]",
        .help = "Remove volumes that no container uses, with what is in them",
        .examples = "berth volume rm data\n",
        .options = volume_rm_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_volume_rm,
        .words_completion = "volume",
        .section = VOLUMES,
    },
    {
        .name = "volume inspect",
        .usage = "[OPTIONS] VOLUME [VOLUME...]",
        .help = "Show where volumes are and when they were made",
        .examples = "berth volume inspect -f '{{.Mountpoint}}' data\n",
        .options = format_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_volume_inspect,
        .words_completion = "volume",
        .section = VOLUMES,
    },
    {
        .name = "volume prune",
        .usage = "[OPTIONS]",
        .help = "Remove volumes that no container uses",
        .description = "Asks first, unless it is given --force. Without --all only volumes that "
                       "were made without a name.",
        .examples = "berth volume prune\n"
                    "berth volume prune -af --filter label=project=shop\n",
        .options = volume_prune_options,
        .max_words = 0,
        .handler = command_volume_prune,
        .section = VOLUMES,
    },
    {
        .name = "cgroup create",
        .usage = "[OPTIONS] NAME",
        .help = "Make a cgroup whose limits containers share",
        .description = "Containers come into it by `run --cgroup-parent NAME`. Its limits hold for "
                       "all of them together; its shares of CPU time and block I/O count against "
                       "those of the cgroups beside it. NAME may be a path, as production/web, "
                       "below a cgroup that was made before. After a reboot it is there again.",
        .examples = "berth cgroup create production --cpu-shares 2048 -m 2g\n"
                    "berth cgroup create production/web --cpus 1.5\n"
                    "berth run -d --cgroup-parent production/web --name shop busybox httpd -f\n",
        .options = limit_options,
        .min_words = 1,
        .max_words = 1,
        .handler = command_cgroup_create,
        .words_completion = "cgroup",
        .section = CGROUPS,
    },
    {
        .name = "cgroup ls",
        .alias = "cgroup list",
        .usage = "[OPTIONS] [NAME]",
        .help = "Show cgroups, what they hold and use, and the containers in them",
        .description = "SHARE is what a cgroup or container gets of its parent's CPU time when all "
                       "beside it are busy; a limit that is its own is shown as a number, none as "
                       "a hyphen.",
        .examples = "berth cgroup ls\n"
                    "berth cgroup ls production\n"
                    "berth cgroup ls --format '{{.Name}} {{.CPUTime}} {{.MemPerc}}'\n",
        .options = cgroup_ls_options,
        .max_words = 1,
        .handler = command_cgroup_ls,
        .words_completion = "cgroup",
        .section = CGROUPS,
    },
    {
        .name = "cgroup inspect",
        .usage = "[OPTIONS] NAME [NAME...]",
        .help = "Show everything about cgroups",
        .description = "Limits as they were given, by docker's names; usage with the unit behind "
                       "each name; and pressure, where the kernel counts it.",
        .examples = "berth cgroup inspect production\n"
                    "berth cgroup inspect -f '{{.Usage.MemoryPeakBytes}}' production/web\n",
        .options = cgroup_inspect_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_cgroup_inspect,
        .words_completion = "cgroup",
        .section = CGROUPS,
    },
    {
        .name = "cgroup update",
        .usage = "[OPTIONS] NAME",
        .help = "Change the limits of a cgroup",
        .description = "What is not given stays; 0 takes a limit away. All is changed or nothing.",
        .examples = "berth cgroup update production -m 3g --pids-limit 500\n"
                    "berth cgroup update production --cpus 0     # no limit\n",
        .options = limit_options,
        .min_words = 1,
        .max_words = 1,
        .handler = command_cgroup_update,
        .words_completion = "cgroup",
        .section = CGROUPS,
    },
    {
        .name = "cgroup rm",
        .alias = "cgroup remove",
        .usage = "NAME [NAME...]",
        .help = "Remove cgroups that no container uses",
        .examples = "berth cgroup rm production/web production\n",
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_cgroup_rm,
        .words_completion = "cgroup",
        .section = CGROUPS,
    },
    {
        .name = "version",
        .usage = "[OPTIONS]",
        .help = "Show versions",
        .examples = "berth version --format '{{.Client.Version}}'\n",
        .options = format_options,
        .max_words = 0,
        .handler = command_version,
        .section = SYSTEM,
    },
    {
        .name = "info",
        .alias = "system info",
        .usage = "[OPTIONS]",
        .help = "Show what berth finds on this machine",
        .description = "--format json has what tools of docker's users look at, in docker's words: "
                       "one runtime, no swarm, containers that run on without a daemon.",
        .examples = "berth info\n"
                    "berth info --format '{{.CgroupLayout}}'\n",
        .options = format_options,
        .max_words = 0,
        .handler = command_info,
        .section = SYSTEM,
    },
    {
        .name = "system df",
        .usage = "[OPTIONS]",
        .help = "Show what images, containers and volumes take on the disk",
        .description =
            "In allocated blocks, as du(1) counts them; what images share counts once. Images are "
            "their unpacked layers, containers what they wrote, their logs and checkpoints. Kept "
            "Blobs are manifests, configs and compressed layers as "
            "they came, kept to be pushed, saved and checked. MicroVM Roots are images made one "
            "file, "
            "for microVMs to start from. Leftovers are machines saved for `run --warm`, parts of "
            "downloads "
            "and what killed commands left. RECLAIMABLE is what `system prune --all` and "
            "`volume prune --all` would free.",
        .examples = "berth system df\n"
                    "berth system df -v\n"
                    "berth system df --format '{{.Type}} {{.Reclaimable}}'\n",
        .options = system_df_options,
        .max_words = 0,
        .handler = command_system_df,
        .section = SYSTEM,
    },
    {
        .name = "system prune",
        .usage = "[OPTIONS]",
        .help = "Remove stopped containers, unused images and leftovers",
        .description = "Asks first, unless it is given --force. Volumes stay without --volumes, "
                       "and with it those that were given a name.",
        .examples = "berth system prune\n"
                    "berth system prune -af --volumes\n",
        .options = system_prune_options,
        .max_words = 0,
        .handler = command_system_prune,
        .section = SYSTEM,
    },
    {
        .name = "system check",
        .usage = SYSTEM_CHECK_USAGE,
        .help = SYSTEM_CHECK_HELP,
        .description = SYSTEM_CHECK_DESCRIPTION,
        .examples = SYSTEM_CHECK_EXAMPLES,
        .options = system_check_options,
        .max_words = 0,
        .handler = command_image_program,
        .section = SYSTEM,
    },
    {
        .name = "vm kernel",
        .usage = VM_KERNEL_USAGE,
        .help = VM_KERNEL_HELP,
        .description = VM_KERNEL_DESCRIPTION,
        .examples = VM_KERNEL_EXAMPLES,
        .options = vm_kernel_options,
        .min_words = 1,
        .max_words = SIZE_MAX,
        .handler = command_image_program,
        .words_completion = "import|ls|rm",
        .section = SYSTEM,
    },
    { 0 },
};
