#ifndef CLI_BERTH_H
#define CLI_BERTH_H

#include <stdbool.h>

#include "base/error.h"
#include "cli/options.h"
#include "engine/engine.h"
#include "runtime/isolation.h"

/* What the commands of the program berth share: the engine, opened when a command first needs it,
 * and the exit statuses that docker's users know. */

#define STATUS_FAILED         1   /* a command that looks at or changes containers */
#define STATUS_USAGE          64  /* inspect: --format is no template, as docker has it */
#define STATUS_RUN_FAILED     125 /* run, create, exec: berth's own failure */
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND      127

/* The context of every command's handler. */
struct berth {
    const char *data_path, *run_path; /* --data, --run; NULL: the engine's default */
    bool is_debug;
    char **argv;                       /* of main() */
    const struct isolation *isolation; /* NULL: none was built in */
    struct engine *engine;
};

/** Opens the engine and repairs what dead processes left; at most once. The engine stays the
 * context's. */
int berth_engine(struct berth *berth, struct engine **ret_engine, struct error *err);

/** engine_find(), after berth_engine(). */
int berth_find(struct berth *berth, const char *text, char **ret_id, struct error *err);

/** image_find() in the same way. */
int berth_find_image(struct berth *berth, const char *text, struct image **ret_image,
                     struct error *err);

/** Logs the error, unless it has no message as a helper told it; returns @status, for
 * `return berth_failed(...)`. */
int berth_failed(const struct error *err, int status);

/** Prints a document by --format: "json", or a template. */
int berth_print_formatted(const char *format, const char *json, struct error *err);

/** Prints "warning: ..." lines. */
void berth_warn(const struct strings *warnings);

/** Runs berth-image with these words: it links what berth itself must not (archives, digests).
 * Returns the exit status. */
int berth_run_image_program(struct berth *berth, const struct arguments *arguments,
                            const char *command);

/** The command `run`, `ps`... of the tables in berth_main.c. */
command_handler command_run, command_create, command_start, command_attach, command_exec;
command_handler command_stop, command_restart, command_kill, command_rm, command_wait,
    command_pause, command_unpause, command_rename, command_update, command_checkpoint,
    command_restore;
command_handler command_ps, command_inspect, command_logs, command_top, command_stats;
command_handler command_diff, command_port;
command_handler command_history, command_images, command_image_inspect, command_tag, command_rmi,
    command_image_program;
command_handler command_cgroup_create, command_cgroup_update, command_cgroup_rm, command_cgroup_ls,
    command_cgroup_inspect;
command_handler command_volume_create, command_volume_rm, command_volume_ls, command_volume_inspect;
command_handler command_version, command_info;
command_handler command_system_df, command_system_prune, command_container_prune,
    command_image_prune, command_volume_prune;

#endif
