#ifndef ENGINE_RECORD_H
#define ENGINE_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/auto.h"
#include "base/decode.h"
#include "base/error.h"
#include "base/text.h"
#include "engine/engine.h"

/* What is known of a container on disk, in two files with one writer each, so that no update of one
 * can undo an update of the other:
 *
 * container.json  what a user asked for, merged with the image: written by create, rewritten by
 *                 rename and update
 * life.json       when it ran and how it ended: written by its monitor (or repair)
 *
 * Neither says whether it runs: that is computed (query.c). Neither is synced: a machine that loses
 * power right after `create` may lose the container, never half of it, since the directory appears
 * by a rename and file systems order a rename behind the data of small new files (ext4:
 * auto_da_alloc). */

struct record {
    char *id, *name; /* name without slash */
    int64_t created; /* seconds since 1970 */
    uint32_t created_ns;
    char *image;                     /* as typed */
    char *image_manifest, *image_id; /* digests */
    struct strings layers;           /* host paths, topmost first */
    char *cgroup_path;
    bool is_copied; /* upper/ is a copy of the layers, not above them (root_driver.h) */
    bool is_served; /* upper/ is above the layers by fuse-overlayfs (fuse_root.h) */
    /* merged from settings and image */
    struct strings args;                /* program and arguments */
    struct strings env;                 /* without HOME unless it was asked for */
    struct strings command, entrypoint; /* Config.Cmd, Config.Entrypoint */
    char *user, *working_dir, *stop_signal, *hostname, *domainname;
    struct string_map labels;
    struct strings exposed_ports, image_volumes;
    struct settings settings; /* with mounts and modes resolved */
};
extern const struct object record_object; /* record_fields.c */

#define RECORD_BYTES_MAX (4u << 20)
#define RECORD_FILE      "container.json"

/** Reads DATA/containers/<id>/container.json; -ENOENT is promised. */
int record_read(struct engine *engine, const char *id, struct record **ret_record,
                struct error *err);
/** Writes into the container's directory @dir_fd; @is_new: nothing is there yet, nobody reads. */
int record_write(int dir_fd, const struct record *record, bool is_new, struct error *err);
void record_free(struct record *record);
DEFINE_AUTO(record)

struct life {
    int64_t started, finished; /* seconds since 1970; 0: never */
    uint32_t started_ns, finished_ns;
    int32_t exit_status;
    bool was_oom_killed;
    bool was_stopped; /* by a person: no restart */
    uint32_t restart_count;
    char *error; /* why the last start failed or what went wrong; NULL */
};
extern const struct object life_object; /* record_fields.c */

/** Reads life.json; all zero when the container never started. */
int life_read(struct engine *engine, const char *id, struct life *ret_life, struct error *err);
int life_write(struct engine *engine, const char *id, const struct life *life, struct error *err);
void life_clear(struct life *life);

/** Writes a new file in a directory that nobody else uses yet. */
int file_create(int dir_fd, const char *name, const void *bytes, size_t length, mode_t mode,
                struct error *err);

/** After a failure @r, which may be because the container was removed meanwhile: -ENOENT says "No
 * such container: x" then, in place of what was missing. Returns @r. */
int container_explain_removal(const struct engine *engine, const char *id, int r,
                              struct error *err);

/** Opens DATA/containers/<id>; -ENOENT is promised. */
int container_directory(struct engine *engine, const char *id, int *ret_fd, struct error *err);
/** The same, locked until it is closed: who reads the record and writes it changed. */
int container_lock(struct engine *engine, const char *id, int *ret_fd, struct error *err);

#endif
