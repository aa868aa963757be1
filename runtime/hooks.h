#ifndef RUNTIME_HOOKS_H
#define RUNTIME_HOOKS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "runtime/container.h"

/* Hooks (runtime-spec config.md "POSIX-platform Hooks"): programs that run one after the other with
 * the container's state on their standard input. */

enum hook_kind {
    HOOK_PRESTART,
    HOOK_CREATE_RUNTIME,
    HOOK_CREATE_CONTAINER, /* in the container's namespaces, before its root is entered */
    HOOK_START_CONTAINER,  /* in the container */
    HOOK_POSTSTART,
    HOOK_POSTSTOP,
};

bool hooks_are_given(const struct spec *spec, enum hook_kind kind);

/* Where hooks write to: the files that the annotations run.oci.hooks.stdout and
 * run.oci.hooks.stderr name; -1: what they say is kept for the error, as runc does. */
struct hook_output {
    int fds[2];
};

/**
 * Opens the files for the hooks that run on the container's side, where their paths would mean
 * others. Does nothing for a container that has no such hooks.
 *
 * @ret_output  NULL: there are none; release with hook_output_free()
 */
int hook_output_open(const struct spec *spec, struct hook_output **ret_output, struct error *err);
/** NULL is fine. */
void hook_output_free(struct hook_output *output);

/* What hooks on the container's side are given. A startContainer hook may be a program of the
 * image, so it is confined as the container's own program is; a createContainer hook is the
 * host's. */
struct hook_inside {
    const struct hook_output *output;      /* of hook_output_open() */
    const struct strings *env;             /* of a hook without its own */
    const struct launch_plan *confinement; /* NULL: none */
};

/**
 * Runs the hooks of one kind.
 *
 * As in runc a hook without "env" gets the caller's environment, one on the container's side that
 * of the container's process; hooks on the host's side run in the bundle, createContainer ones in
 * the root's directory.
 *
 * @pid     of the container, as the hook sees it; 0: none
 * @inside  NULL on the host's side: then the files for the output are opened here
 *
 * A poststop hook that fails is warned of, and the next one runs. Of the others:
 * -ECANCELED: one failed, "error running poststart hook #0: '/bin/false': exit status 1".
 * -ETIMEDOUT: one ran into its timeout and was killed with its process group.
 */
int hooks_run(const struct spec *spec, enum hook_kind kind, const struct state *state, pid_t pid,
              const struct hook_inside *inside, struct error *err);

#endif
