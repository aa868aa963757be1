#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/decode.h"
#include "base/error.h"
#include "base/text.h"
#include "cgroups/cgroups.h"
#include "image/image.h"
#include "runtime/runtime.h"
#include "unionfs/unionfs.h"

/* The docker-like layer as a library: what `berth run`, `ps`, `stop`... do, without options and
 * printing. Layout of DATA and RUN: ARCHITECTURE.md. */

struct engine;

/**
 * Opens DATA and RUN (made when missing, mode 0700 / 0710).
 *
 * @data_path, @run_path  NULL: $BERTH_DATA, $BERTH_RUN, else /var/lib/berth, /run/berth
 */
int engine_open(const char *data_path, const char *run_path, struct engine **ret_engine,
                struct error *err);
void engine_free(struct engine *engine);
DEFINE_AUTO(engine)
/** Lets containers have this isolation (runtime/isolation.h); it is copied, and looks into DATA. */
struct isolation;
void engine_set_isolation(struct engine *engine, const struct isolation *isolation);
/** The isolation, borrowed; NULL: none. */
const struct isolation *engine_isolation(const struct engine *engine);
const char *engine_data_path(const struct engine *engine);
const char *engine_run_path(const struct engine *engine);
int engine_data_fd(const struct engine *engine);
struct image_store *engine_images(struct engine *engine); /* borrowed */
struct runtime *engine_runtime(struct engine *engine);    /* borrowed; opened on first use */

/** How new containers get their root; names in root_driver_name(). */
enum root_driver {
    ROOT_OVERLAY, /* the kernel's overlayfs, above the image's layers */
    ROOT_SERVED,  /* the same by fuse-overlayfs(1) */
    ROOT_COPIED,  /* a copy of the layers */
};
/** As $BERTH_STORAGE_DRIVER and `info` have it. */
const char *root_driver_name(enum root_driver driver);

/**
 * The first of them that can be used here, or what $BERTH_STORAGE_DRIVER asks for.
 *
 * @layers      of an image, as host paths; NULL: without regard to one
 * @ret_reason  why it is not the first: "no overlay can be used: ..."; NULL: it is; the caller
 * frees
 *
 * -EINVAL, -EOPNOTSUPP: the variable's value is unknown, or cannot be used here.
 */
int root_driver_find(struct engine *engine, const struct strings *layers,
                     enum root_driver *ret_driver, char **ret_reason, struct error *err);

/**
 * Finishes or undoes what dead processes left: containers whose monitor is gone, staging
 * directories, half-made or half-removed containers. Cheap when there is nothing (one readdir of
 * RUN). Every command that looks at containers calls it first.
 */
int engine_repair(struct engine *engine, struct error *err);

/* --- an ordinary user ------------------------------------------------------------------------- */

/**
 * Makes the calling process of an ordinary user root of a user namespace that all his commands and
 * containers share, and lets BERTH_DATA and BERTH_RUN name folders of his own, unless they are set.
 * Does nothing, and costs no system call, for root. To be called with one thread, before
 * engine_open().
 */
int rootless_session_enter(struct error *err);
/** Whether this process, or the one that started it, did so. */
bool rootless_session_is_on(void);
/**
 * The network of containers for which none is chosen: "none", or of an ordinary user "slirp4netns".
 *
 * @ret_reason  what he lacks for that; NULL otherwise. The caller frees both
 */
char *engine_default_network(char **ret_reason);
/** Lets the namespace last as long as this process, a monitor; nothing for root. */
int rootless_session_join(struct error *err);
/** The variable by which a program that is started knows of it. Caller frees; NULL for root. */
char *rootless_session_variable(void);

/* --- what a user asked for
 * ------------------------------------------------------------------------ */

/* One -v, --mount, --tmpfs, or a volume of the image. */
struct settings_mount {
    char *type;   /* "bind", "volume", "tmpfs" */
    char *source; /* host path (bind), volume name (volume; NULL: anonymous), NULL (tmpfs) */
    char *target; /* absolute path in the container */
    bool is_readonly;
    bool is_nocopy;           /* volume: not filled from the image */
    struct string_map labels; /* volume: given to one that is made for this mount */
    bool creates_source;      /* bind by -v: a missing host directory is made */
    char *propagation;        /* bind: "rprivate" (default), "rslave", "shared"...; NULL: default */
    struct strings options;   /* tmpfs options ("size=64m"), or bind "nosuid"... */
    char *spec; /* as the user wrote -v or --tmpfs, for inspect; NULL: by --mount, or the image's */
    char *volume_path; /* volume: host path once created (filled by engine_create) */
    bool is_anonymous; /* volume: its name was generated (filled by engine_create) */
};
struct settings_mounts {
    struct settings_mount *items;
    size_t count;
};

struct settings_device {
    char *host_path, *container_path, *access;
}; /* "rwm" */
struct settings_devices {
    struct settings_device *items;
    size_t count;
};
struct settings_rate {
    char *path;
    uint64_t rate;
}; /* bytes or operations a second, or a weight */
struct settings_rates {
    struct settings_rate *items;
    size_t count;
};
struct settings_ulimit {
    char *name;
    int64_t soft, hard;
}; /* "nofile"; -1: unlimited */
struct settings_ulimits {
    struct settings_ulimit *items;
    size_t count;
};

enum settings_restart { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_UNLESS_STOPPED };

/* Docker's Config and HostConfig as far as berth has them. Zero means docker's default unless a
 * has_ flag says otherwise; engine_settings_default() fills what is not zero. */
struct settings {
    char *name;             /* NULL: a generated one */
    char *image;            /* as typed */
    struct strings command; /* arguments after the image */
    bool has_entrypoint;
    struct strings entrypoint;
    struct strings env; /* NAME=VALUE, later wins */
    struct string_map labels;
    struct string_map annotations; /* of the bundle; an image has no say about them */
    char *user, *working_dir, *hostname, *domainname;
    struct strings groups; /* --group-add */
    bool has_terminal, opens_stdin, stdin_once;
    bool attach_stdin, attach_stdout, attach_stderr;
    bool is_removed; /* --rm */
    bool has_init;
    char *stop_signal;
    bool has_stop_timeout;
    uint32_t stop_timeout; /* seconds; default 10 */

    struct settings_mounts mounts;
    struct strings volumes_from;
    bool is_readonly;
    uint64_t shm_bytes; /* 64 MiB */
    struct settings_devices devices;
    struct strings device_rules; /* --device-cgroup-rule, see device_rule.h */

    uint64_t memory;     /* bytes; 0: none */
    int64_t memory_swap; /* memory + swap; 0: default (twice memory), -1: no limit on swap */
    uint64_t memory_reservation;
    bool has_oom_kill_disable, has_oom_score_adj, has_pids_limit, has_swappiness;
    int32_t oom_score_adj;
    int64_t pids_limit; /* -1 or 0: none */
    uint64_t swappiness;
    uint64_t nano_cpus; /* --cpus * 1e9 */
    uint64_t cpu_shares;
    uint64_t cpu_period;
    int64_t cpu_quota;
    uint64_t cpu_rt_period; /* microseconds; 0: the kernel's */
    int64_t cpu_rt_runtime; /* microseconds; 0: none, -1: no limit */
    char *cpuset_cpus, *cpuset_mems;
    uint16_t blkio_weight;
    struct settings_rates blkio_weights; /* 0: as of the other devices */
    struct settings_rates read_bps, write_bps, read_iops, write_iops;
    struct string_map cgroup_conf; /* files of the cgroup verbatim */
    struct settings_ulimits ulimits;
    char *cgroup_parent; /* "/a/b": any cgroup; "a/b": a group of engine_group_create() */

    struct strings cap_add, cap_drop,
        security_opt; /* security_opt as typed, checked by engine_create */
    bool is_privileged;
    char *network;            /* "none", "host", "slirp4netns", "container:ID"; NULL: "none" */
    struct strings published; /* --publish, see published_port.h; with slirp4netns only */
    bool publishes_all;       /* exposed ports as well */
    char *pid_mode, *ipc_mode, *uts_mode,
        *userns_mode; /* "host", "private", "container:ID"...; NULL: private */
    struct string_map sysctls;
    struct strings add_hosts;                    /* "name:ip" */
    struct strings dns, dns_search, dns_options; /* instead of those of /etc/resolv.conf */
    struct strings exposed;                      /* "80/tcp", for inspect and commit only */
    enum settings_restart restart;
    uint32_t restart_max;          /* on-failure:N; 0: no limit */
    char *log_driver;              /* "json-file" (default), "none" */
    struct string_map log_options; /* max-size, max-file */
    char *detach_keys;

    char *isolation;    /* "microvm"; NULL: none. The next ones are for it */
    char *vm_kernel;    /* name of an imported one; NULL: the newest */
    uint64_t vm_memory; /* bytes of the guest; 0: from the limit */
    uint32_t vm_cpus;   /* 0: from the limit */
    char *vm_console;   /* "none", "log"; NULL: none */
    bool is_warm;       /* starts from a machine that was saved, if there is one */
};
extern const struct object settings_object; /* engine/record_fields.c */
struct settings *settings_default(void);
void settings_free(struct settings *settings);
DEFINE_AUTO(settings)

/* --- life
 * ------------------------------------------------------------------------------------------- */

/**
 * Makes a container of an image: record, bundle, writable directory. Starts nothing.
 *
 * @ret_id        64 hexadecimal digits; caller frees
 * @ret_warnings  sentences for the user: "your kernel has no swap accounting, memory limited
 * without swap"
 *
 * -ENOENT: no such image.  -EEXIST: the name is in use.
 */
int engine_create(struct engine *engine, const struct settings *settings, char **ret_id,
                  struct strings *ret_warnings, struct error *err);

/** Resolves a name, id or unambiguous id prefix; -ENOENT: "No such container: x", with the
 * nearest name. */
int engine_find(struct engine *engine, const char *text, char **ret_id, struct error *err);

/**
 * Starts a container under a new monitor and returns when its program runs.
 *
 * @ret_attached  connection to the monitor for engine_attach_run(), attached before the program
 *                starts so that no output is missed; NULL: do not attach
 *
 * -EALREADY: it runs. Failures to start the program are -ENOENT (127) or -EACCES (126).
 */
int engine_start(struct engine *engine, const char *id, int *ret_attached, struct error *err);

/**
 * Saves what runs in a container into its directory, in the place of an earlier checkpoint, and
 * ends it; what is interrupted is no checkpoint.
 *
 * @leaves_running  it goes on
 *
 * -EBUSY: that is being done already.
 */
int engine_checkpoint(struct engine *engine, const char *id, bool leaves_running,
                      struct error *err);
/**
 * Starts a container from its checkpoint, which is removed then.
 *
 * @keeps  it is not
 *
 * -ENOENT: it has none.  -EALREADY: it runs.
 */
int engine_restore(struct engine *engine, const char *id, bool keeps, struct error *err);

/** Sends the stop signal, waits @timeout_s (UINT32_MAX: the container's own), then kills. Stopped
 * is fine. */
int engine_stop(struct engine *engine, const char *id, const char *signal, uint32_t timeout_s,
                struct error *err);
int engine_kill(struct engine *engine, const char *id, int signal, struct error *err);
int engine_restart(struct engine *engine, const char *id, const char *signal, uint32_t timeout_s,
                   struct error *err);
int engine_pause(struct engine *engine, const char *id, struct error *err);
int engine_unpause(struct engine *engine, const char *id, struct error *err);
int engine_rename(struct engine *engine, const char *id, const char *name, struct error *err);

/** Changes settings that are there; of a new group nothing is set. */
typedef int settings_change(struct settings *settings, void *context, struct error *err);
/**
 * Changes limits and restart policy of a container, running or not; what is refused leaves all as
 * it was. Other changes of settings have no effect.
 */
int engine_update(struct engine *engine, const char *id, settings_change *change, void *context,
                  struct strings *ret_warnings, struct error *err);

/** Removes a container; @is_forced kills a running one; @with_volumes: its anonymous volumes too.
 * -EBUSY: it runs. */
int engine_remove(struct engine *engine, const char *id, bool is_forced, bool with_volumes,
                  struct error *err);

/** Waits for the end; 0..255 in @ret_status. @condition: "not-running" (default, NULL),
 * "next-exit", "removed". */
int engine_wait(struct engine *engine, const char *id, const char *condition, int *ret_status,
                struct error *err);

/* --- attach, exec, logs
 * -------------------------------------------------------------------------------- */

struct attach_options {
    bool has_stdin; /* forward the caller's standard input */
    bool has_stdout, has_stderr;
    bool has_terminal;       /* the container has one: raw mode, size changes are passed on */
    bool forwards_signals;   /* --sig-proxy */
    const char *detach_keys; /* NULL: "ctrl-p,ctrl-q" */
};
enum attach_end { ATTACH_EXITED, ATTACH_DETACHED };

/** Connects to the monitor of a running container. */
int engine_attach(struct engine *engine, const char *id, int *ret_attached, struct error *err);
/** Pumps until the container ends or the user detaches; closes @attached. @ret_status: exit status
 * when it ended. */
int engine_attach_run(struct engine *engine, const char *id, int attached,
                      const struct attach_options *options, enum attach_end *ret_end,
                      int *ret_status, struct error *err);

struct exec_settings {
    struct strings command;
    struct strings env;
    char *user, *working_dir, *detach_keys;
    bool has_terminal, opens_stdin, is_detached, is_privileged;
};
void exec_settings_clear(struct exec_settings *settings);
/** Runs a further program in a running container and pumps its streams; detached: returns at once
 * with status 0. */
int engine_exec(struct engine *engine, const char *id, const struct exec_settings *settings,
                int *ret_status, struct error *err);

struct logs_options {
    bool has_stdout, has_stderr, follows, has_timestamps, has_details;
    int64_t tail; /* lines; -1: all */
    bool has_since, has_until;
    struct timespec since, until;
};
/** Writes a container's log to descriptors 1 and 2. */
int engine_logs(struct engine *engine, const char *id, const struct logs_options *options,
                struct error *err);

/* --- looking
 * ------------------------------------------------------------------------------------------- */

/* One container as `ps`, `inspect` and filters see it. */
struct container_view {
    char *id, *name, *image, *image_id;
    char *status;  /* "created", "running", "paused", "restarting", "exited", "dead", "removing" */
    char *command; /* as docker shows: "sh -c 'x'" joined */
    int64_t created; /* seconds since 1970, as the next two; 0: never */
    int64_t started, finished;
    int exit_status;
    bool was_oom_killed;
    char *error; /* why a start failed; "" */
    pid_t pid;   /* 0 when not running */
    uint32_t restart_count;
    struct string_map labels;
    char *network;
    char *ports;                             /* published ones of what runs, as docker shows */
    char *isolation;                         /* "none", "microvm" */
    struct strings mounts;                   /* names or host paths, for ps' Mounts */
    struct strings volumes;                  /* names of volumes */
    uint64_t size_rw_bytes, size_root_bytes; /* only when asked for */
};
struct container_views {
    struct container_view *items;
    size_t count;
};
int engine_list(struct engine *engine, bool with_sizes, struct container_views *ret_views,
                struct error *err); /* newest first */
int engine_view(struct engine *engine, const char *id, struct container_view *ret_view,
                struct error *err);
/**
 * The ports of the machine that lead into a container: lines of `port`. One that does not run has
 * none.
 *
 * @port  of the container, "80" or "53/udp"; NULL: all. -ENOENT: nothing leads to it
 */
int engine_ports(struct engine *engine, const char *id, const char *port, struct strings *ret_lines,
                 struct error *err);
void container_view_clear(struct container_view *view);
void container_views_clear(struct container_views *views);

/** What `docker inspect` prints for one container: a JSON object with docker's members. Caller
 * frees. */
int engine_inspect(struct engine *engine, const char *id, bool with_size, char **ret_json,
                   struct error *err);
/** The container's settings as they were given. */
int engine_settings(struct engine *engine, const char *id, struct settings **ret_settings,
                    struct error *err);

/** Calls @function for each file that a container added, changed or deleted: changes_walk(). */
int engine_changes(struct engine *engine, const char *id, change_function *function, void *context,
                   struct error *err);

/* Bytes over all network interfaces of a container but the loopback one. */
struct traffic {
    uint64_t received_bytes, sent_bytes;
};
/** Reads /proc/PID/net/dev; pure. */
void traffic_parse(const char *text, struct traffic *ret_traffic);
/** Since the container's network namespace was made. With --network host all is the host's, and
 * none of it counted as the container's, as with docker. */
int engine_traffic(const struct container_view *view, struct traffic *ret_traffic,
                   struct error *err);
/** Of a container without a cgroup only the processes can be counted. */
int engine_usage(struct engine *engine, const char *id, struct cgroup_usage *ret_usage,
                 struct error *err);
/** The same and more, pressure for one; release with cgroup_details_clear(). */
int engine_details(struct engine *engine, const char *id, struct cgroup_details *ret_details,
                   struct error *err);
/** Processes of a microVM: lines of pid, user id and command, as they are inside; NULL: it is none.
 * Caller frees. */
int engine_inner_processes(struct engine *engine, const char *id, char **ret_lines,
                           struct error *err);
/** Processes as host pids. Caller frees. */
int engine_pids(struct engine *engine, const char *id, pid_t **ret_pids, size_t *ret_count,
                struct error *err);

/* --- groups: cgroups with limits that containers share
 * --------------------------------------------------------------------------------
 *
 * A name is a path below berth's own cgroup: "production/web" is /berth/production/web. Kept are
 * the limits alone (group.h); the kernel's cgroups are made anew after a reboot, when a container
 * in the group starts. */

/**
 * Makes a group with its limits.
 *
 * -EEXIST: it exists.  -ENOENT: the group above it does not.
 */
int engine_group_create(struct engine *engine, const char *name, settings_change *change,
                        void *context, struct strings *ret_warnings, struct error *err);
/** Changes the limits of a group, all or nothing. -ENOENT: no such group. */
int engine_group_update(struct engine *engine, const char *name, settings_change *change,
                        void *context, struct strings *ret_warnings, struct error *err);
/** Removes a group. -EBUSY: containers, running or not, or groups are in it; these are named. */
int engine_group_remove(struct engine *engine, const char *name, struct error *err);

/* A group, or a container that runs in a group or, like the first of these, directly below berth's
 * own cgroup. */
#define GROUP_NO_PARENT SIZE_MAX
struct group_node {
    char *name;          /* of a group the whole: "production/web" */
    char *id;            /* of a container; NULL: a group */
    size_t parent;       /* index of the group that it is in, or GROUP_NO_PARENT */
    bool is_made;        /* the kernel has its cgroup; else usage has nothing but limits */
    uint64_t cpu_shares; /* as asked for */
    double cpu_share;    /* of what is there for all beside it, when all are busy: from 0 to 1 */
    struct cgroup_shares held;
    struct cgroup_usage usage;
};
struct group_nodes {
    struct group_node *items;
    size_t count;
};
/**
 * Groups and running containers: what is in a group stands behind it, its groups first.
 *
 * @name  only this group, with what is in it; NULL: all
 */
int engine_group_tree(struct engine *engine, const char *name, struct group_nodes *ret_nodes,
                      struct error *err);
void group_nodes_clear(struct group_nodes *nodes);

/** A group's limits, usage, pressure and containers as a JSON object. Caller frees. */
int engine_group_inspect(struct engine *engine, const char *name, char **ret_json,
                         struct error *err);

/* --- images (engine/provision.c; in the program berth-image, which links libarchive and libcrypto)
 * ------- */

/* Called now and then during long work; done == total at the end of a step. total 0: unknown. */
typedef void engine_progress(const char *step, uint64_t done, uint64_t total, void *context);

/** `load`: from an archive or layout directory. @ret_lines as docker prints: "Loaded image:
 * busybox:latest". @ret_warnings: what layers were left without */
int engine_load(struct engine *engine, int fd, bool is_directory, bool all_platforms,
                engine_progress *progress, void *context, struct strings *ret_lines,
                struct strings *ret_warnings, struct error *err);
/* What a pull came to. */
struct pull_outcome {
    struct digest digest; /* of what the name stands for at the registry */
    bool is_new;          /* it stood for something else here, or for nothing */
};
enum layer_step {
    LAYER_WAITING, /* for its turn, or for another process that is at it */
    LAYER_DOWNLOADING,
    LAYER_DOWNLOADED,
    LAYER_UNPACKING,
    LAYER_READY,
    LAYER_EXISTS, /* nothing was to be done */
};
/* How far a layer is. */
struct layer_progress {
    size_t index; /* lowest is 0 */
    enum layer_step step;
    uint64_t done, total; /* bytes of its blob; done: that came, or were unpacked */
};
/* Who is told of an image's layers. Both may be NULL. */
struct layers_watch {
    void (*begins)(const struct image_descriptors *layers, void *context);
    void (*layer)(const struct layer_progress *layer, void *context);
    void *context;
};
/** `pull`: from a registry, unpacked and published. @options: image/registry.h; its watch and loop
 * are the engine's to set */
struct pull_options;
struct registries;
int engine_pull(struct engine *engine, const struct registries *registries,
                const struct reference *reference, const struct pull_options *options,
                const struct layers_watch *watch, struct pull_outcome *ret_outcome,
                struct error *err);
/** `image copy`: image_copy(), and what it left in the store is removed. @options: image/registry.h
 */
struct push_options;
struct copied;
int engine_copy_image(struct engine *engine, const struct registries *registries,
                      const struct reference *source, const struct reference *destination,
                      const struct push_options *options, struct copied *ret_copied,
                      struct error *err);
/** The same from or to archives: image_copy_archive(). */
struct image_copy_end;
struct digest;
int engine_copy_archive(struct engine *engine, const struct registries *registries,
                        const struct image_copy_end *source,
                        const struct image_copy_end *destination,
                        const struct push_options *options, struct digest *ret_digest,
                        struct error *err);
/** `image inspect` of what is in an archive: image_inspect_archive(). */
int engine_inspect_archive(struct engine *engine, const struct image_copy_end *source,
                           char **ret_json, struct error *err);
/** `import`: one tar becomes an image. @changes: Dockerfile instructions (CMD, ENTRYPOINT, ENV,
 * EXPOSE, LABEL, USER, VOLUME, WORKDIR, STOPSIGNAL). @ret_warnings: as engine_load() */
int engine_import(struct engine *engine, int fd, const char *reference,
                  const struct strings *changes, const char *message, engine_progress *progress,
                  void *context, struct strings *ret_warnings, char **ret_image_id,
                  struct error *err);
/** Publishes an image that image_build() made: unpacks its layers, syncs, records it and gives it
 * @names. */
int engine_publish(struct engine *engine, const struct digest *manifest_digest,
                   const struct strings *names, engine_progress *progress, void *context,
                   struct strings *ret_warnings, struct error *err);
struct commit_options {
    const char *reference;         /* NULL: the image gets no name */
    const char *author, *message;  /* NULL */
    const struct strings *changes; /* as engine_import(); NULL */
    bool pauses;                   /* a running container, while it is read */
    int64_t latest; /* SOURCE_DATE_EPOCH: the newest time in the image; INT64_MAX: any */
};
/**
 * `commit`: a container's changes become a layer upon its image.
 *
 * @ret_warnings  files that are left out, such as sockets
 *
 * -ENOENT: the container's image was removed.
 */
int engine_commit(struct engine *engine, const char *id, const struct commit_options *options,
                  struct strings *ret_warnings, char **ret_image_id, struct error *err);
/**
 * `export`: the root of a container as a tar, without what is mounted there. The same files give
 * the same bytes.
 *
 * @ret_warnings  as engine_commit()
 */
int engine_export(struct engine *engine, const char *id, int out_fd, struct strings *ret_warnings,
                  struct error *err);
struct copy_options {
    const char *container_path;
    const char *host_path; /* NULL: a tar, by archive_fd */
    int archive_fd;
    bool is_from_container;
    bool keeps_owners;  /* else files belong to the container's root, or to the caller */
    bool follows_links; /* a source that is a link is what it leads to */
};
/**
 * `cp`: between a container, running or not, with its volumes, and the host. What a running
 * container does meanwhile cannot lead the copy out of it.
 *
 * @ret_warnings  files that are left out
 */
int engine_copy(struct engine *engine, const char *id, const struct copy_options *options,
                struct strings *ret_warnings, struct error *err);
/** `rmi`: names, records, then layers and blobs that nothing uses. -EBUSY: a container uses it
 * (named). */
int engine_remove_image(struct engine *engine, const char *text, bool is_forced,
                        struct strings *ret_lines, struct error *err);
/* --- volumes ------------------------------------------------------------------------------------
 */

/* A volume as `inspect` shows it. */
struct volume_view {
    char *name, *mountpoint, *driver, *scope;
    char *created; /* RFC 3339, UTC */
    struct string_map labels;
    char *options; /* NULL: there are none yet */
    bool is_used;  /* by a container, running or not; only of engine_volume_list() */
};
struct volume_views {
    struct volume_view *items;
    size_t count;
};
void volume_view_clear(struct volume_view *view);
void volume_views_clear(struct volume_views *views);

/**
 * Makes an empty volume; one that is there stays as it is.
 *
 * @name          NULL: one is made up, as for anonymous volumes
 * @ret_name      caller frees
 * @ret_warnings  of labels that it did not get
 */
int engine_volume_create(struct engine *engine, const char *name, const struct string_map *labels,
                         char **ret_name, struct strings *ret_warnings, struct error *err);
/** All volumes, by name. @ret_views: { 0 }; clear it also when this failed. @ret_warnings: of what
 * could not be read */
int engine_volume_list(struct engine *engine, struct volume_views *ret_views,
                       struct strings *ret_warnings, struct error *err);
/** What `docker volume inspect` prints for one volume. Caller frees. -ENOENT: no such volume. */
int engine_volume_inspect(struct engine *engine, const char *name, char **ret_json,
                          struct error *err);
/** -ENOENT: no such volume. -EBUSY: containers use it (named). */
int engine_volume_remove(struct engine *engine, const char *name, struct error *err);

/* --- the disk ------------------------------------------------------------------------------------
 */

struct usage_image {
    struct digest id;
    struct strings names;
    int64_t created;
    uint64_t layer_bytes;  /* its unpacked layers */
    uint64_t shared_bytes; /* of these, with other images */
    uint64_t blob_bytes;   /* its kept blobs */
    size_t containers;     /* that were made of it */
};
struct usage_container {
    struct container_view view;
    uint64_t bytes; /* its directory: what it wrote, its log, its checkpoint, its files */
    bool is_stopped;
};
struct usage_volume {
    char *name;
    uint64_t bytes;
    size_t containers; /* that use it */
    bool is_anonymous;
};
struct usage_kind {
    uint64_t total, active; /* how many */
    uint64_t bytes, reclaimable_bytes;
};
/* What is in DATA, as du(1) counts it, each layer, blob and file once. */
struct store_usage {
    struct usage_kind images; /* unpacked layers; active: a container was made of it */
    struct usage_kind containers;
    struct usage_kind volumes;
    struct usage_kind blobs;     /* manifests, configs and compressed layers as they came */
    struct usage_kind roots;     /* of microVMs, made of images' layers */
    struct usage_kind leftovers; /* staging, trash, parts of downloads, machines saved for
                                  * --warm; active: at work just now */
    struct usage_image *image_items;
    size_t image_count;
    struct usage_container *container_items;
    size_t container_count;
    struct usage_volume *volume_items;
    size_t volume_count;
    uint64_t unused_blob_count; /* that no image refers to */
    struct error damage;        /* why an image is left out; no message: none is */
};
int engine_store_usage(struct engine *engine, struct store_usage *ret_usage, struct error *err);
void store_usage_clear(struct store_usage *usage);

/* What prune may remove: all conditions must hold. */
struct prune_filter {
    bool has_until;
    int64_t until;               /* only what was made before, seconds since 1970 */
    struct strings labels;       /* "key" or "key=value" */
    struct strings other_labels; /* must not hold */
};
void prune_filter_clear(struct prune_filter *filter);
/** Pure. */
bool prune_filter_matches(const struct prune_filter *filter, int64_t created,
                          const struct string_map *labels);
/** Whether there is a label "key" or "key=value". Pure. */
bool labels_match(const struct string_map *labels, const char *text);

struct prune_result {
    struct strings lines;    /* names of what is gone */
    uint64_t freed_bytes;    /* on the disk */
    struct strings warnings; /* what could not be removed, and why */
};
void prune_result_clear(struct prune_result *result);

/** Removes containers that do not run, as `rm`; their volumes stay. Adds to @result. */
int engine_prune_containers(struct engine *engine, const struct prune_filter *filter,
                            struct prune_result *result, struct error *err);
/**
 * Removes images that no container was made of, then what nothing refers to: layers, blobs, parts
 * of downloads, what killed commands left.
 *
 * @is_all  also those that have names
 */
int engine_prune_images(struct engine *engine, const struct prune_filter *filter, bool is_all,
                        struct prune_result *result, struct error *err);
/** Removes volumes that no container uses. @filter: without until. @is_all: also those that a user
 * named */
int engine_prune_volumes(struct engine *engine, const struct prune_filter *filter, bool is_all,
                         struct prune_result *result, struct error *err);
/** Removes the machines that were saved for `run --warm`; those that run are not disturbed. */
int engine_prune_warm(struct engine *engine, struct prune_result *result, struct error *err);

struct check_options {
    bool is_deep; /* unpack each layer once more, and compare */
    bool is_repairing;
};
struct check_result {
    struct strings defects; /* one sentence each, with repair: those that stay */
    struct strings repairs; /* what was done */
    uint64_t image_count, layer_count, blob_count;
    uint64_t unused_count; /* layers and blobs that nothing refers to: no defect, prune has them */
};
void check_result_clear(struct check_result *result);
/**
 * Looks at all that the store holds: digests of blobs; records, manifests and configs of images;
 * trees of layers; names; layers of containers; what killed commands left. Others may add images
 * meanwhile, but with repair.
 */
int engine_check(struct engine *engine, const struct check_options *options,
                 engine_progress *progress, void *context, struct check_result *ret_result,
                 struct error *err);

/**
 * The root of an image for a microVM: one EROFS file, found at once where it was made before, else
 * made by berth-image, which shows how far it is.
 *
 * @layers    as in a container's record: host paths, topmost first
 * @ret_path  absolute; a multiple of 16 MiB long; the caller frees it
 */
int engine_flatten(struct engine *engine, const struct strings *layers, char **ret_path,
                   struct error *err);
/** The work itself, in berth-image. @keys: of the layers, topmost first; @ret_path: as above */
int engine_flatten_here(struct engine *engine, const struct strings *keys,
                        engine_progress *progress, void *context, char **ret_path,
                        struct error *err);

/** Makes sure that an image's layers are unpacked and describes the stack. */
int engine_image_layers(struct engine *engine, const struct image *image,
                        struct strings *ret_paths /* topmost first */, struct error *err);

#endif
