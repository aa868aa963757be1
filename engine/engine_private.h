#ifndef ENGINE_ENGINE_PRIVATE_H
#define ENGINE_ENGINE_PRIVATE_H

#include "engine/claim.h"
#include "engine/engine.h"
#include "runtime/isolation.h"

/* What the files of this folder share.
 *
 * DATA/containers/<id>/       container.json (record.h), life.json, bundle/{config.json,rootfs/},
 *                             upper/ work/ (snapshot), hosts hostname resolv.conf, log log.1 ...
 *                             checkpoint/ (checkpoints.h)
 * DATA/container-names/<name> symbolic link whose target is the id (container_names.h)
 * DATA/volumes/<name>/_data   volumes.h
 * RUN/<id>/                   the runtime's
 * RUN/@monitors/<id>.lock     claim.h: held by whoever decides about the container, mostly its
 * monitor RUN/@monitors/<id>.sock     where the monitor listens (monitor_wire.h)
 * RUN/@monitors/@scanned      repair.c: the containers of before the last boot were looked at
 *
 * "@" cannot be part of a container's id, so the folder is never taken for a container's. */
#define MONITORS_FOLDER "@monitors"

#define CONTAINER_ID_LENGTH 64

struct engine {
    char *data_path, *run_path;
    int data_fd, run_fd, monitors_fd;
    struct image_store *images; /* opened on first use, as the next one */
    struct runtime *runtime;
    struct isolation isolation; /* name NULL: none */
    char *reserved_id;          /* container that this process just made and may start; or NULL */
    int claim_fd;               /* its claim */
};

int engine_need_images(struct engine *engine, struct error *err);
/** Looks whether this machine can run the isolation with this kernel (NULL: the default). */
int engine_look_at_isolation(struct engine *engine, const char *kernel,
                             struct isolation_view *ret_view, struct error *err);
int engine_need_runtime(struct engine *engine, struct error *err);
/** The runtime's view of a container. Caller frees. -ESRCH: it does not run. */
int engine_open_running(struct engine *engine, const char *id, struct container **ret_container,
                        struct error *err);
/** The same with its status, which is CONTAINER_STOPPED when it has just ended. */
int engine_open_with_status(struct engine *engine, const char *id, struct container **ret_container,
                            enum container_status *ret_status, struct error *err);

/**
 * Keeps the claim on a container that was just made, for engine_start() in the same process. Dies
 * the process between the two, a container with --rm is removed by engine_repair().
 */
void engine_keep_reservation(struct engine *engine, const char *id, int claim_fd);
/** The kept claim, which is the caller's now; -1: none for this container. */
int engine_take_reservation(struct engine *engine, const char *id);
void engine_drop_reservation(struct engine *engine);

/** As engine_start(); @is_restored: it goes on from its checkpoint. */
int engine_start_monitor(struct engine *engine, const char *id, bool is_restored, int *ret_attached,
                         struct error *err);

/** Kills what is left of a container and removes its run state. The caller holds its claim. */
int engine_sweep_run(struct engine *engine, const char *id, struct error *err);

/**
 * Removes a stopped container wholly: (anonymous volumes,) directory, name, run state. The caller
 * holds its claim and drops it afterwards.
 */
int engine_remove_claimed(struct engine *engine, const char *id, bool with_volumes,
                          struct error *err);

/** Whether the container's directory exists. */
bool engine_has_container(const struct engine *engine, const char *id);
/** Ids of all containers, unsorted. */
int engine_container_ids(struct engine *engine, struct strings *ret_ids, struct error *err);
/** Whether @text has the form of a full container id. */
bool container_id_is_full(const char *text);

/* Machines that microvm/warm_store.c keeps, below DATA. */
#define WARM_FOLDER "warm"

#endif
