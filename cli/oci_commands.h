#ifndef CLI_OCI_COMMANDS_H
#define CLI_OCI_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/options.h"
#include "runtime/isolation.h"
#include "runtime/runtime.h"

/* The commands of berth-oci: thin, over runtime/runtime.h. */

struct oci_context {
    struct runtime *runtime; /* opened by the first command that needs it */
    const char *root;        /* NULL: oci_default_root() */
    enum rootless_mode rootless;
    enum cgroup_manager cgroup_manager;
    const struct isolation *isolation; /* NULL: none was built in */
    char **argv;
    bool has_log; /* oci_log_open() was called */
    bool logs_to_file;
};

/* NULL or "": as without the option. */
struct oci_log_options {
    const char *target; /* a file, "file:FILE", "syslog:NAME", "journald:NAME"; standard error */
    const char *format; /* "text", "json" */
    const char *level;  /* "error", "warning", "debug" */
    bool is_debug;
};
/** Opens the log. The texts have to last. */
int oci_log_open(struct oci_context *context, const struct oci_log_options *options,
                 struct error *err);
/** Tells of a wrong command line, in the log that it names if it names one. Returns 1. */
int oci_usage_failed(int argc, char **argv, void *context, const struct error *err);
/** Fails a command: logs the sentence, also to standard error when the log is a file. Returns
 * @status. */
int oci_fail(const struct oci_context *context, const struct error *err, int status);
/** How many descriptors from 3 on are sockets passed to this process (sd_listen_fds(3)). */
unsigned oci_listen_fds(void);
/** Counts these and those of --preserve-fds behind them; each has to be open and is passed on. */
int oci_parse_preserve_fds(const struct arguments *arguments, unsigned *ret_count,
                           struct error *err);
/** The folder of run state without --root: the machine's for root, else one of the user's own,
 * which is made. Caller frees. */
int oci_default_root(char **ret_path, struct error *err);
/** The value of --rootless; NULL: none was given. */
int oci_parse_rootless(const char *text, enum rootless_mode *ret_mode, struct error *err);
/** The runtime of --root, or NULL with the error. */
struct runtime *oci_runtime(struct oci_context *context, struct error *err);
/** The container that the first word names, the caller's to free; NULL with the error. */
struct container *oci_open_container(const struct arguments *arguments, void *context,
                                     struct error *err);

command_handler oci_create, oci_run, oci_start, oci_state, oci_kill, oci_delete, oci_exec, oci_list,
    oci_ps, oci_pause, oci_resume, oci_spec, oci_features, oci_update, oci_events, oci_mounts_add,
    oci_mounts_remove;
command_handler oci_checkpoint, oci_restore;

/* --- oci_foreground.c: waiting beside a container in the foreground
 * --------------------------------- */

struct foreground {
    int signal_fd;
    int console_fd;        /* terminal's master; -1: the streams are the caller's own */
    struct notify *notify; /* what the program reports is passed on; borrowed; NULL: nothing */
};

/** Blocks all signals so that none is lost between create and wait; call before the container
 * exists. */
int foreground_open(struct foreground *ret_foreground, struct error *err);
/** Takes a terminal's master (-1: none) and gives it the caller's size and line ends. Best before
 * the program runs. */
void foreground_take_console(struct foreground *foreground, int console_fd);
/** Forwards signals and terminal bytes until @pid (a child of the caller) ends. */
int foreground_wait(struct foreground *foreground, pid_t pid, int *ret_status, struct error *err);
void foreground_close(struct foreground *foreground);

#endif
