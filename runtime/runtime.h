#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/text.h"
#include "cgroups/cgroups.h"
#include "runtime/spec.h"

/* The OCI runtime as a library. A container is an id, a spec, a host process and a cgroup; what is
 * known of it on disk is RUN/<id>/state.json. Its status is computed, never stored. */

enum container_status {
    CONTAINER_CREATING,
    CONTAINER_CREATED,
    CONTAINER_RUNNING,
    CONTAINER_PAUSED,
    CONTAINER_STOPPED,
};
const char *container_status_name(enum container_status status);

/* Where containers' run state lives: /run/berth. */
struct runtime;
int runtime_open(const char *root_path, struct runtime **ret_runtime, struct error *err);
void runtime_free(struct runtime *runtime);
DEFINE_AUTO(runtime)
/** Who makes the cgroups of containers created from now on; cgroupfs until this is called. A
 * container that is there keeps its own, from its state. */
void runtime_set_cgroup_manager(struct runtime *runtime, enum cgroup_manager manager);
enum rootless_mode {
    ROOTLESS_AUTO,  /* looked at only when something fails for want of rights */
    ROOTLESS_TRUE,  /* the caller is not root of the machine */
    ROOTLESS_FALSE, /* he is, whatever it looks like */
};
/** For later creations: who is not root of the machine uses cgroups as far as they are delegated to
 * him, and gets a user namespace when the spec has none. ROOTLESS_AUTO until this is called. */
void runtime_set_rootless(struct runtime *runtime, enum rootless_mode mode);
/** Whether the calling process is in another user namespace than the machine's first. */
bool runtime_is_in_user_namespace(void);
struct cgroup_system *runtime_cgroups(struct runtime *runtime); /* borrowed */
int runtime_fd(const struct runtime *runtime);                  /* RUN, borrowed */

/* A container; open handles are the caller's. */
struct container;
void container_free(struct container *container);
DEFINE_AUTO(container)

/** What the caller's rights did not allow when it was created here: a sentence, borrowed; NULL:
 * nothing. It was logged as well. */
const char *container_warning(const struct container *container);

struct container_options {
    const char *id;
    const char *bundle_path;
    int bundle_fd;              /* -1: opened from bundle_path */
    const struct spec *spec;    /* NULL: read from the bundle's config.json */
    const char *config_name;    /* NULL: "config.json"; relative to the bundle */
    const char *saved_path;     /* for an isolation: what it goes on from; NULL: it starts anew */
    const char *pid_file;       /* NULL: none; relative to the caller's directory */
    const char *console_socket; /* NULL: none; receives the terminal's descriptor */
    const char *pidfd_socket;   /* NULL: none; receives the pidfd of the first process */
    bool keeps_console;         /* the caller takes the terminal with container_take_console() */
    bool is_started_here;       /* container_start() follows in this process: no start.sock */
    int stdio[3];               /* become 0, 1, 2 of the process; -1: the caller's own */
    unsigned preserve_fds;      /* descriptors 3 .. 2 + n are passed on */
    unsigned listen_fds;        /* the first of them are sockets that LISTEN_FDS tells of */
    bool has_no_pivot, has_no_new_keyring;
    bool has_notify_socket; /* the caller passes on what the program reports: notify_open() */
    bool dies_with_caller;  /* SIGKILL when the calling process ends */
    const int
        *root_mount; /* a mount attached nowhere that becomes the root; NULL: root.path is it */
    /* Locks and connections that are to end with the caller: closed in the first process before it
     * enters its cgroup, where it may be frozen. Ends with -1; NULL: none. */
    const int *callers_fds;
};

/**
 * Creates a container up to the state "created": process cloned, cgroup, mounts, everything but the
 * user's program. On error nothing is left.
 *
 * The process is a child of the caller when @options->is_started_here; else it is reparented when
 * the caller ends.
 *
 * -EEXIST: the id is in use.
 */
int container_create(struct runtime *runtime, const struct container_options *options,
                     struct container **ret_container, struct error *err);

/** Lets the user's program start: created -> running. Also runs the hooks of that moment. */
int container_start(struct container *container, struct error *err);

/** Opens a container by id; -ENOENT: "container 'x' does not exist". */
int container_open(struct runtime *runtime, const char *id, struct container **ret_container,
                   struct error *err);
/** Ids in RUN, sorted. */
int container_list(struct runtime *runtime, struct strings *ret_ids, struct error *err);

const char *container_id(const struct container *container);
const char *container_bundle(const struct container *container);
pid_t container_pid(const struct container *container);       /* 0 when stopped */
pid_t container_first_pid(const struct container *container); /* also when it ended: to reap it */
int container_pidfd(const struct container *container);       /* borrowed; -1 when stopped */
const struct timespec *container_created_at(const struct container *container);
const struct string_map *container_annotations(const struct container *container);
/** Name of its isolation, borrowed; NULL: none, its process is the program itself. */
const char *container_isolation(const struct container *container);
/**
 * Processes of a container whose isolation hides them from this machine: lines of pid, user id and
 * command, as they are inside. Caller frees.
 *
 * @ret_lines  NULL: it has no isolation, container_pids() tells
 */
int container_inner_processes(struct container *container, char **ret_lines, struct error *err);
/**
 * For a process that only looks after a container's files: joins the mount (and user) namespace of
 * the running container, and copies its mounts. No path means there what it meant before.
 *
 * @is_whole  with all that is mounted below, as writable as it is there; else the root alone, to be
 *            read. No device can be opened in either.
 */
int container_copy_mounts(const struct container *container, bool has_user_namespace, bool is_whole,
                          int *ret_fd, struct error *err);
/**
 * Starts work on the files of a container whose isolation hides them from this machine; see struct
 * isolation. -ESRCH: it does not run.
 */
struct inner_files;
int container_start_files(struct container *container, const struct inner_files *work,
                          const int stdio[3], int *ret_fd, struct error *err);
/** Waits for its end. @fd: as started; closed by the caller. */
int container_finish_files(struct container *container, int fd, int *ret_status, struct error *err);
/** Whether the kernel killed one of its processes for want of memory, since it was created. */
bool container_was_oom_killed(struct container *container);
uint32_t container_owner_uid(const struct container *container);
struct cgroup *container_cgroup(struct container *container); /* borrowed; NULL without one */
/**
 * Pids of the container: those in its cgroup and below. Without a cgroup, those in its pid
 * namespace where it has one of its own, and what descends from its first process.
 *
 * Caller frees *ret_pids.
 */
int container_pids(struct container *container, pid_t **ret_pids, size_t *ret_count,
                   struct error *err);
int container_status(struct container *container, enum container_status *ret_status,
                     struct error *err);
/** The terminal's master side, after creating with keeps_console; the caller's from now on; -1:
 * none. */
int container_take_console(struct container *container);

/** The state document of runtime.md "State", indented as runc prints it. Caller frees. */
int container_state_json(struct container *container, char **ret_json, struct error *err);
/** The same in one line, with the name of the owner, as `list` prints it. Caller frees. */
int container_state_row(struct container *container, const char *owner, char **ret_json,
                        struct error *err);

/** Signals the first process, or all in the cgroup. -ESRCH: "container not running". */
int container_signal(struct container *container, int signal, bool to_all, struct error *err);
int container_pause(struct container *container, struct error *err);
int container_resume(struct container *container, struct error *err);

/**
 * Changes limits, all or nothing; see cgroup_update() for what cannot be taken back.
 *
 * The result is kept in the container's saved spec: later updates change that.
 *
 * @given  what is absent stays as it is; a list of device rules replaces the earlier ones, and gets
 *         the default devices behind it
 *
 * -ESRCH: "container not running".  -EINVAL, -EOPNOTSUPP name the member.
 */
int container_update(struct container *container, const struct cgroup_resources *given,
                     struct error *err);
/** Changes the Intel RDT class of a running container; NULL: unchanged. -EOPNOTSUPP: no resctrl. */
int container_update_schemas(struct container *container, const char *l3_cache_schema,
                             const char *mem_bw_schema, struct error *err);

/**
 * Removes what is left of a stopped (or created) container: processes, cgroup, poststop hooks, run
 * state; every step tolerates "already gone". @is_forced kills a running one first.
 *
 * -EBUSY: it is running and @is_forced is false.
 */
int container_delete(struct container *container, bool is_forced, struct error *err);
/** As container_delete(forced) for an id whose state may be damaged or half made. */
int container_delete_remains(struct runtime *runtime, const char *id, struct error *err);

/* --- live_mounts.c ---------------------------------------------------------------------------- */

/**
 * Adds mounts to a running container, all of them or none; as those of its config.json, but for
 * proc and cgroup file systems and /dev. A relative bind source is below the bundle.
 *
 * -ESRCH: "container not running".
 */
int container_add_mounts(struct container *container, const struct spec_mounts *mounts,
                         struct error *err);
/** Removes the topmost mount at the destination of each of @mounts, whose other members are
 * ignored. -EINVAL, before anything is removed: nothing is mounted there. */
int container_remove_mounts(struct container *container, const struct spec_mounts *mounts,
                            struct error *err);

/**
 * Makes a user namespace for mount_setattr(2), MOUNT_ATTR_IDMAP: @count ids from @from on, as they
 * are on disk, are seen as those from @to on. Root's own, unless it is one of them, is seen as the
 * next: of an id that is seen as none, no rights follow, not even to pass a directory.
 */
int runtime_idmap_open(uint32_t from, uint32_t to, uint32_t count, int *ret_namespace_fd,
                       struct error *err);

/**
 * Makes a user namespace for the calling user, who is not root: its root is he himself, the ids
 * behind it are his subordinate ids (subuid(5)), if he has some and newuidmap(1) is there.
 *
 * @ret_fd  keeps it
 */
int runtime_user_namespace_make(int *ret_fd, struct error *err);
/**
 * Makes the calling process, which has one thread, root of a user namespace that the same user
 * made, with a mount namespace of its own.
 *
 * @fd  of the namespace, or a pidfd of a process in it
 */
int runtime_user_namespace_enter(int fd, struct error *err);

/* --- exec ------------------------------------------------------------------------------------- */

struct container_exec_options {
    const struct spec_process *process; /* complete: container_exec_process() gives a start */
    const char *pid_file, *console_socket, *pidfd_socket;
    bool keeps_console;
    bool has_plain_newlines; /* the terminal is made as after terminal_clear_onlcr() */
    int stdio[3];
    unsigned preserve_fds, listen_fds;
    bool ignores_paused;
    const struct strings *cgroups; /* as cgroup_places_plan(); NULL: the container's own */
};

/**
 * Starts a further process in a running container: joins its namespaces and cgroup, then as its
 * spec says. The process is a child of the caller.
 *
 * @ret_console  terminal's master with keeps_console, else -1; may be NULL
 *
 * -ENOENT / -EACCES: the program was not found / may not be executed (status 127 / 126).
 * -ESRCH: the container does not run, or ended meanwhile.
 */
int container_exec(struct container *container, const struct container_exec_options *options,
                   pid_t *ret_pid, int *ret_console, struct error *err);

/** A copy of the container's own process description, to change for exec. */
int container_exec_process(struct container *container, struct spec_process **ret_process,
                           struct error *err);

/* --- terminals -------------------------------------------------------------------------------- */

/** Lets line feeds written to a terminal pass as they are (ONLCR, termios(3)), for a terminal whose
 * output goes to one that turns them into CR LF itself; twice would be once too often. */
void terminal_clear_onlcr(int fd);

/* --- notify.c: sd_notify(3) out of a container -------------------------------------------------
 */

struct notify;
/**
 * Opens the socket to which the program of a container with has_notify_socket reports, before it is
 * started.
 *
 * @host_path   where it goes: the caller's NOTIFY_SOCKET, a path or "@name"
 * @ret_notify  NULL: the container was created without
 */
int notify_open(struct container *container, const char *host_path, struct notify **ret_notify,
                struct error *err);
void notify_free(struct notify *notify);
DEFINE_AUTO(notify)
int notify_fd(const struct notify *notify); /* borrowed; readable: notify_forward() */
/**
 * Passes one datagram on, as far as it may pass; never waits for long. READY=1 is given
 * @main_pid as MAINPID.
 *
 * Returns 1 when it was READY=1, else 0.
 */
int notify_forward(struct notify *notify, pid_t main_pid);
/** Passes on until the program is ready, with the first process as MAINPID, or has ended; then
 * waits until the host has read it, at most 30 s. */
void notify_wait_ready(struct notify *notify, struct container *container);

/* --- checkpoint and restore ------------------------------------------------------------------- */

/* By the program criu, which has to be installed; both need root. */

struct checkpoint_options {
    const char *image_path;   /* folder of the image; made by a checkpoint when missing */
    const char *work_path;    /* folder of CRIU's log and work files; NULL: image_path */
    const char *parent_path;  /* image of an earlier pre-dump, relative to image_path; NULL */
    const char *cgroups_mode; /* "soft", "full", "strict", "ignore"; NULL: soft */
    const char *network_lock; /* "iptables", "nftables", "skip"; NULL: CRIU's default */
    const char *page_server;  /* "ADDRESS:PORT"; NULL: pages go into the image */
    const char *lsm_profile, *lsm_mount_context; /* restore only */
    bool leaves_running, is_pre_dump;            /* checkpoint only */
    bool skips_tcp_in_flight, has_link_remap, has_tcp_established;
    bool closes_tcp; /* restore only */
    bool has_external_unix_sockets, is_shell_job, has_file_locks, has_auto_dedup, is_lazy;
    int status_fd; /* gets a zero byte when pages can be fetched; -1 */
    /* Checkpoint: called when the image is whole and nothing has ended; fails it, the container
     * goes on. NULL: nothing is called. */
    int (*keep)(void *context, struct error *err);
    void *keep_context;
    /* Restore of a container with an isolation: called when its first process has its namespaces
     * and nothing runs in them; fails it. NULL: nothing is called. */
    int (*prepare)(void *context, pid_t pid, struct error *err);
    void *prepare_context;
    bool leaves_container; /* checkpoint: what ended is removed by who watches it */
};

/**
 * Writes an image of a running or paused container's processes. Ends and removes the container,
 * unless @options say that it goes on, or that another removes it.
 *
 * -ENOENT: CRIU is not installed.  -EINVAL: the container is not running, or options contradict.
 */
int container_checkpoint(struct container *container, const struct checkpoint_options *options,
                         struct error *err);

/**
 * Makes a container from an image of its processes: it runs on from there. On error nothing is
 * left. The first process is a child of the caller.
 *
 * An image is trusted as a program that root starts is, for it says which rights its processes
 * have; but mounts, cgroup, namespaces by path, devices and hooks come from the bundle alone.
 *
 * @options  as for container_create(); stdio, console and pid file are used
 */
int container_restore(struct runtime *runtime, const struct container_options *options,
                      const struct checkpoint_options *checkpoint, struct container **ret_container,
                      struct error *err);

/* --- overlays --------------------------------------------------------------------------------- */

/**
 * Makes an overlay that is attached nowhere, by whatever way this kernel has for so many layers.
 *
 * @words         options as in a bundle's mounts: "lowerdir+=DIR" (topmost first), "upperdir=",
 * "ro"
 * @scratch_path  an existing directory: where a kernel before 6.7 mounts it for a moment, in a
 *                mount namespace of a child
 * @ret_mount_fd  the overlay's root; it ends with the descriptor
 */
int overlay_open(const struct strings *words, const char *scratch_path, int *ret_mount_fd,
                 struct error *err);

/* --- users ------------------------------------------------------------------------------------ */

/**
 * Resolves docker's user form "name|uid[:group|gid]" against etc/passwd and etc/group below
 * @root_fd (files may be missing; links are followed inside the root). Digits only always mean an
 * id, never a name. Further groups come from etc/group, and only when @text names no group.
 *
 * @text      NULL or "": root
 * @ret_user  uid, gid and additional gids are set, all else stays
 * @ret_home  the home directory, or "/"; may be NULL
 *
 * -EINVAL: "no user 'x' in the image's /etc/passwd".
 */
int user_resolve(int root_fd, const char *text, struct spec_user *ret_user, char **ret_home,
                 struct error *err);

/** Resolves one group, a name or digits, against etc/group below @root_fd. */
int user_resolve_group(int root_fd, const char *text, uint32_t *ret_gid, struct error *err);

/* --- features --------------------------------------------------------------------------------- */

/** The features document (runtime-spec features.md). @isolation: NULL: none. Caller frees. */
struct isolation;
char *runtime_features_json(const struct isolation *isolation);
/** "2.5.4". Caller frees. */
char *runtime_seccomp_version(void);

#endif
