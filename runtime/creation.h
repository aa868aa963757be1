#ifndef RUNTIME_CREATION_H
#define RUNTIME_CREATION_H

#include <stdbool.h>

#include "cgroups/scope.h"
#include "runtime/container.h"
#include "runtime/hooks.h"
#include "runtime/isolation.h"
#include "runtime/rootfs.h"

/* The steps that making a container by create and by restore have in common (creator.c). They are
 * called in the order of this header; what each of them made is recorded in struct creation, so
 * that creation_undo() finds it. */

struct creation {
    const struct container_options *options;
    struct container *container;
    const struct spec *spec;
    char *config_json; /* its text, owned; NULL: the caller gave the spec */
    struct rootfs_plan *rootfs;
    struct launch_plan launch;
    struct namespaces_plan namespaces;
    struct cgroup_resources *resources; /* the spec's, with the default devices behind */
    struct hook_output *hook_output;    /* of the hooks that the init runs */
    int listen_fd;                      /* start.sock; -1 */
    int init_sync_fd;
    struct isolation_plan isolation; /* filled when the state names one */
    char *scope_slice;               /* of the systemd manager; NULL: none */
    struct scope_properties scope_properties;
    bool has_directory, has_scope;
};

struct container *creation_new_container(struct runtime *runtime);
/** Reads config.json of the bundle into container and creation, unless the caller gave a spec. */
int creation_read_bundle(struct creation *creation, struct error *err);
/** The state to be written: everything but pid and cgroup. */
int creation_plan_state(struct creation *creation, struct error *err);
/** Splits a spec that asks for an isolation: from here on the creation's spec is the jail's. */
int creation_isolate(struct creation *creation, struct error *err);
/** Path and limits of the cgroup. */
int creation_plan_cgroup(struct creation *creation, struct error *err);
/** RUN/<id> with its first state.json: from here on others see the container. -EEXIST promised. */
int creation_make_directory(struct creation *creation, struct error *err);
/** What the jail of an isolation needs in there. */
int creation_prepare_isolation(struct creation *creation, struct error *err);
int creation_make_cgroup(struct creation *creation, struct error *err);

/* --- scope_unit.c: the same with the systemd manager, where the process comes before its cgroup */

/** The unit's name and properties. */
int creation_plan_scope(struct creation *creation, struct error *err);
/** The scope around process @pid, which waits for HOST_READY, and its limits. */
int creation_make_scope(struct creation *creation, pid_t pid, struct error *err);

/** Terminal and pid to those who asked for them. */
int creation_hand_over(struct creation *creation, struct error *err);
/** Takes back what a failed creation made; the first error stays the one that is told. */
void creation_undo(struct creation *creation);
/** Frees what was planned; the container stays. */
void creation_clear(struct creation *creation);

#endif
