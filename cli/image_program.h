#ifndef CLI_IMAGE_PROGRAM_H
#define CLI_IMAGE_PROGRAM_H

#include "cli/options.h"
#include "engine/engine.h"

/* What the commands of the program berth-image share. */

struct image_program {
    const char *data_path, *run_path; /* NULL: the engine's default */
    bool is_debug;
    const struct isolation *isolation; /* NULL: built without one */
    struct engine *engine;             /* opened when a command first needs it */
};

/** Opens the engine, once; it stays the program's. Removes what killed commands left. */
int image_program_engine(struct image_program *program, struct engine **ret_engine,
                         struct error *err);
/** berth_find() for these commands. */
int image_program_container(struct image_program *program, const char *text, char **ret_id,
                            struct error *err);
/** SOURCE_DATE_EPOCH, or @otherwise where the environment has none. */
int image_program_epoch(int64_t otherwise, int64_t *ret_epoch, struct error *err);
/** Logs "COMMAND: sentence"; returns the exit status. */
int image_program_failed(const char *command, const struct error *err);
/** Flushes standard output; returns the exit status, a failure when the output was lost. */
int image_program_printed(void);

command_handler command_image_commit, command_image_cp, command_image_export, command_image_save;
command_handler command_image_load, command_image_import, command_image_make;
command_handler command_image_pull, command_image_push, command_image_login, command_image_logout,
    command_image_search, command_image_inspect_remote, command_image_copy, command_image_referrers;
command_handler command_system_check, command_vm_kernel;
command_handler command_image_flatten;

#endif
