#ifndef ENGINE_ROOTLESS_SESSION_H
#define ENGINE_ROOTLESS_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "runtime/spec.h"

/* The pure halves of rootless_session.c. */

/* What an ordinary user's folders follow from; NULL: not set. */
struct rootless_environment {
    const char *home, *data_home, *runtime_dir; /* HOME, XDG_DATA_HOME, XDG_RUNTIME_DIR */
    uid_t uid;
    bool has_login_folder; /* /run/user/<uid> is there */
};
struct rootless_paths {
    char *data, *run;
    char *run_parent; /* has to be the user's own; NULL: /tmp, which is everybody's */
};
void rootless_paths_clear(struct rootless_paths *paths);

/** Where an ordinary user's DATA and RUN are (XDG base directory specification). */
int rootless_paths_plan(const struct rootless_environment *environment,
                        struct rootless_paths *ret_paths, struct error *err);

/** A member's file is named by its process: "4711-123456", pid and start time. */
char *rootless_member_format(pid_t pid, uint64_t start_time);
bool rootless_member_parse(const char *name, pid_t *ret_pid, uint64_t *ret_start_time);

/** Whether a text like /proc/self/gid_map has an id of the namespace. */
bool rootless_map_has(const char *map, uint32_t id);
/**
 * Leaves out what takes more ids than one, where the user has no other: the owner of terminals,
 * group 5, and the groups that the image's /etc/group puts its user in.
 *
 * @keeps_groups  they were asked for, so that they are refused rather than left out
 */
void rootless_session_adapt(struct spec *spec, bool keeps_groups);

#endif
