#ifndef RUNTIME_CONTAINER_H
#define RUNTIME_CONTAINER_H

#include "base/auto.h"
#include "base/decode.h"
#include "runtime/lsm.h"
#include "runtime/runtime.h"

/* What the files of runtime/ share about a container; other folders use runtime.h. */

/* RUN/<id>/state.json: what cannot be computed. Written before anything is made, with pid 0, so
 * that whoever finds it after a crash knows the cgroup to clean; again when the process is there.
 */
struct state {
    char *oci_version;
    char *id;
    char *bundle;         /* absolute */
    char *rootfs;         /* absolute */
    char *cgroup;         /* path in the hierarchies; NULL: none */
    char *cgroup_manager; /* "systemd", "disabled"; NULL: cgroupfs */
    char *scope;          /* unit of the systemd manager; NULL: none */
    char *created;        /* RFC 3339 */
    uint32_t owner_uid;
    bool is_cgroup_delegated; /* it is there only in hierarchies that the owner may use */
    pid_t pid;                /* 0: not yet */
    bool is_creating;         /* pid may still be where its creator is: nobody may enter it */
    uint64_t start_time;      /* of pid, ticks since boot */
    struct string_map annotations;
    char *rdt_group, *rdt_monitor; /* directories in resctrl that were made for it; NULL: none */
    char *isolation;               /* name of the one that its process is; NULL: none */
};
extern const struct object state_object;

/* Annotations of crun's that callers rely on. */
#define ANNOTATION_PIDFD_RECEIVER "run.oci.pidfd_receiver"
#define ANNOTATION_KEEP_GROUPS    "run.oci.keep_original_groups"
#define ANNOTATION_SECCOMP_RAW    "run.oci.seccomp_bpf_data"
#define ANNOTATION_SECCOMP_AGENT  "run.oci.seccomp.receiver"

#define STATE_FILE        "state.json"
#define STATE_CONFIG_FILE "config.json" /* the spec as it was at create (runtime.md "create") */
#define STATE_SOCKET      "start.sock"
#define STATE_BYTES_MAX   (1u << 20)

/** Reads RUN/<id>/state.json; -ENOENT promised. */
int state_read(int dir_fd, struct state *ret_state, struct error *err);
int state_write(int dir_fd, const struct state *state, struct error *err);
void state_clear(struct state *state);

struct runtime {
    char *path;
    int fd;
    struct cgroup_system *cgroups; /* NULL until runtime_cgroups() */
    enum cgroup_manager cgroup_manager;
    enum rootless_mode rootless;
    const struct isolation *isolation; /* borrowed; NULL: none */
};

struct container {
    struct runtime *runtime; /* borrowed */
    struct state state;
    int dir_fd;                        /* RUN/<id> */
    int pidfd;                         /* -1: no process */
    struct spec *spec;                 /* NULL until container_spec() */
    struct spec *own_spec;             /* what of it is ours to free */
    struct cgroup *cgroup;             /* NULL until container_cgroup() */
    struct cgroup_system *own_cgroups; /* of it when its cgroup is a delegated one; else NULL */
    int sync_fd;                       /* to the init, when it is started here; -1 */
    int console_fd;                    /* -1 */
    char *warning;                     /* of its creation; NULL: none */
    bool is_deleted;                   /* nothing is left for container_delete() */
    struct timespec created_at;
};

/** Checks an id as runc does: [a-zA-Z0-9_+.-], 1 to 255 bytes, not "." or "..". Every verb calls
 * it. */
int container_id_check(const char *id, struct error *err);

/** The spec as it was at create; read once, borrowed. */
int container_spec(struct container *container, const struct spec **ret_spec, struct error *err);

/** As runtime_cgroups(), but tells why it failed; NULL where the kernel has no cgroups. Borrowed.
 */
int runtime_open_cgroups(struct runtime *runtime, struct cgroup_system **ret_system,
                         struct error *err);

/** The isolation that a container was made with; NULL: none. -EOPNOTSUPP: this program lacks it. */
struct isolation;
int container_find_isolation(const struct container *container,
                             const struct isolation **ret_isolation, struct error *err);

/** -EOPNOTSUPP for a container that has an isolation; @what begins the sentence. */
int container_refuse_isolation(const struct container *container, const char *what,
                               struct error *err);

/** Seccomp cache directory RUN/seccomp, or -1: no cache, which only costs time. */
int runtime_open_seccomp_cache(struct runtime *runtime);

/* --- sync.c: the messages between creator, init and starter -------------------------------------
 */

enum sync_type {
    SYNC_HOST_READY = 1, /* creator: id maps and cgroup are done */
    SYNC_HOOKS,          /* init: mounts stand, run the hooks of this moment */
    SYNC_HOOKS_DONE,     /* creator */
    SYNC_CREATED,        /* init: waits for its start; fd 0: terminal */
    SYNC_START,          /* starter */
    SYNC_STARTED,        /* init: the next thing is exec, seen as end of file */
    SYNC_LISTENER,       /* init: only after STARTED and when there is one; fd 0: it */
    SYNC_SOURCE,         /* creator: after HOST_READY, one for each bind; fd 0: it */
    SYNC_ERROR,          /* either: struct error */
};
const char *sync_name(uint32_t type);
int sync_send(int fd, enum sync_type type, const int *fds, size_t fd_count, struct error *err);
void sync_send_error(int fd, const struct error *error);
/**
 * Waits for one message of type @expected.
 *
 * @ret_fds  room for two descriptors, -1 where none; NULL: none expected
 *
 * Returns 1; 0 at end of file; an ERROR of the peer becomes the result.
 */
int sync_expect(int fd, enum sync_type expected, int *ret_fds, struct error *err);
/** One source of a bind: a descriptor (borrowed), or, where @text is given, that of a link. */
int sync_send_source(int fd, int source_fd, const char *text, struct error *err);
/** @ret_source_fd, @ret_text: only the one that was sent is written, the caller's afterwards;
 * @ret_text may be NULL where none is expected. */
int sync_receive_source(int fd, int *ret_source_fd, char **ret_text, struct error *err);

/* --- namespaces.c
 * ------------------------------------------------------------------------------------ */

struct namespaces_plan {
    uint64_t new_flags; /* CLONE_NEW* to make */
    int join_fds[8];    /* by path; -1 where none */
    int join_flags[8];
    size_t join_count;
    int own_mounts_fd; /* the caller's mount namespace, to return to; only if: */
    bool returns_to_own_mounts;
    bool has_new_user, has_joined_user;
};
/** Sorts the spec's namespaces into new and joined; opens the joined ones. A mount namespace is
 * always there; where the spec has none, for as long as the root is set up. */
int namespaces_open(const struct spec *spec, struct namespaces_plan *ret_plan, struct error *err);
void namespaces_close(struct namespaces_plan *plan);
bool namespaces_are_new(const struct namespaces_plan *plan, uint64_t flag);
/** Those of the new ones that clone3(2) cannot make at once: the init makes them itself. */
uint64_t namespaces_made_by_init(const struct namespaces_plan *plan);
/** Joins them; in a child. The pid namespace, as always, becomes that of later children. */
int namespaces_join_child(const struct namespaces_plan *plan, struct error *err);
/** Back to the caller's mount namespace, with a copy of the mounts that are there as the root; from
 * the new root, at the end of its set-up. Nothing without returns_to_own_mounts. */
int namespaces_return_to_own_mounts_child(const struct namespaces_plan *plan, struct error *err);
/** Where exec finds the mounts of a container that has no mount namespace. */
int namespaces_enter_root_of_child(pid_t pid, int pidfd, struct error *err);
/** -EOPNOTSUPP for what needs a mount namespace of the container's. */
int namespaces_need_mounts(const struct spec *spec, const char *what, struct error *err);
/** The flags for setns(2) by pidfd that `exec` needs: what the spec lists but the user namespace
 * when it has none. */
int namespaces_exec_flags(const struct spec *spec);
/** Time offsets of a new time namespace, made by the calling process. */
int namespaces_enter_time_child(const struct spec *spec, struct error *err);

/** Brings "lo" up in the calling process's network namespace, as runc does in a new one. */
int namespaces_raise_loopback_child(struct error *err);

/* --- sibling.c ----------------------------------------------------------------------------------
 */

struct sibling {
    uint64_t flags; /* CLONE_NEW* for clone3(2) */
    int cgroup_fd;  /* -1: none */
    /* Runs in the short-lived process; joins namespaces. */
    int (*prepare_child)(void *data, struct error *err);
    void (*run_child)(void *data); /* does not return */
    void *data;
};
/** Makes a child of the caller through a short-lived process. Returns its pid, or a negative errno
 * value of @prepare_child or of clone3(2). */
pid_t sibling_create(const struct sibling *sibling, struct error *err);

/* --- idmap.c ------------------------------------------------------------------------------------
 */

/** Writes uid_map, setgroups and gid_map of @pid: itself, or by newuidmap(1) and newgidmap(1) when
 * an ordinary user wants more than his own id. */
int idmap_write(pid_t pid, const struct spec_linux *linux_, struct error *err);
/** Maps root to the calling user, and the ids behind it to his subordinate ids, if he has some. */
void idmap_fill_own(struct spec_linux *linux_);

/* --- rootless.c ---------------------------------------------------------------------------------
 */

/** Adds the user namespace without which an ordinary user can make no container. Whether it did. */
bool rootless_complete_spec(const struct runtime *runtime, struct spec *spec);
/**
 * Decides about the cgroup: @path, or one below the caller's own, or none. Warns of limits that
 * are not kept then.
 *
 * -EACCES: @path is given, and not for this user.
 */
int rootless_plan_cgroup(struct container *container, const char *path,
                         const struct cgroup_resources *resources, struct error *err);
/** What comes of it when the score could not be set (@r): a warning where only root could have,
 * else the error. */
int rootless_oom_score_failed(int score, int r, struct error *err);
/** The like for a cgroup that could not be given to user @uid. */
int rootless_owner_failed(uint32_t uid, int r, struct error *err);
/** Whether making the cgroup failed (@r) because the caller is root of a user namespace only: that
 * is looked at when it fails, as it costs time. */
bool rootless_may_retry(const struct container *container, int r);
/** Decides again, as rootless_plan_cgroup(), after a failure to make what was decided. */
int rootless_replan_cgroup(struct container *container, const char *path,
                           const struct cgroup_resources *resources, struct error *err);
/** Sets limits in the container's delegated cgroup. What is out of reach is warned about, or an
 * error when the path was asked for. */
int rootless_apply_limits(struct container *container, bool is_path_given,
                          const struct cgroup_resources *resources, struct error *err);

/* --- host_setup.c: what the creator does for its init from the host's side ----------------------
 */

/** Whether the init has to wait for something that only its creator can do. */
bool host_setup_is_needed(const struct spec *spec, const struct namespaces_plan *namespaces);
/** Whether it can be done; writes into @state what will have to be removed at the end. */
int host_setup_plan(const struct spec *spec, struct state *state, struct error *err);
/** Does it for the process of @state, which waits for HOST_READY. What another made meanwhile is
 * taken out of @state, which is to be written afterwards. */
int host_setup_apply(const struct spec *spec, const struct namespaces_plan *namespaces,
                     struct state *state, struct error *err);
/** Removes at the end what host_setup_plan() wrote down; what is gone already is fine. */
int host_setup_undo(const struct state *state, struct error *err);

/* --- process_tree.c ----------------------------------------------------------------------------
 */

/* A process that cannot be mistaken for a later one of the same pid. */
struct tree_process {
    pid_t pid;
    uint64_t start_time;
};
struct tree {
    struct tree_process *items;
    size_t count;
    bool has_own_namespace; /* a pid namespace other than the caller's */
};
/**
 * Lists @root, what descends from it, and what is in its pid namespace where that is not the
 * caller's. Zombies are left out. What was orphaned outside of such a namespace is not found.
 */
int process_tree_read(pid_t root, struct tree *ret_tree, struct error *err);
void process_tree_clear(struct tree *tree);
/** Signals each; who is gone meanwhile is no error. SIGKILL goes on until nobody is found any more,
 * as one that forks may be missed. */
int process_tree_signal(pid_t root, int signal, struct error *err);

/* --- scope_unit.c
 * --------------------------------------------------------------------------------- */

/** Stops the container's unit at systemd; none is fine. */
int container_stop_scope(struct container *container, struct error *err);
/**
 * Tells systemd changed limits, before the files get them: it writes what it is told into the files
 * as well, but rounds. Does nothing for a container of another manager.
 *
 * When it fails, nothing was changed.
 */
int container_change_scope(struct container *container, const struct cgroup_resources *resources,
                           struct error *err);

/* --- default_devices.c --------------------------------------------------------------------------
 */

/** A shallow copy of @given (NULL: nothing), with the default devices behind its device rules when
 * it has some; strings stay those of @given, which must outlive it. */
struct cgroup_resources *resources_with_default_devices(const struct cgroup_resources *given);
/** Frees such a copy; NULL is fine. */
void resources_free_shallow(struct cgroup_resources *resources);

/* --- update.c: other limits for a container that is there
 * --------------------------------------- */

/**
 * Merges a change of limits into those in force (pure).
 *
 * @all     the limits in force; gets the change
 * @copy    the change; what @all takes over leaves it
 * @change  a shallow copy of the change: gets what the kernel takes only together with it, such as
 *          the period for a quota
 */
void resources_merge_change(struct cgroup_resources *all, struct cgroup_resources *copy,
                            struct cgroup_resources *change);

/** The state document of runtime.md "State", as `state` prints it and hooks read it. Caller frees.
 */
char *state_format(const struct state *state, enum container_status status, pid_t pid);
/** The same in one line and with the owner's name, as `list` has it. Caller frees. */
char *state_format_row(const struct state *state, enum container_status status, pid_t pid,
                       const char *owner);
/** The container process state for a seccomp agent (config-linux.md "The Container Process State")
 * about process @pid of the container. @metadata may be NULL. Caller frees. */
char *state_format_process(const struct state *state, enum container_status status, pid_t pid,
                           const char *metadata);

/* --- launch.c: the last steps before the user's program, for init and exec
 * ------------------------------ */

struct seccomp_filter;
struct launch_plan {
    const struct spec_process *process; /* borrowed */
    const struct spec_linux *linux_;    /* borrowed */
    struct seccomp_filter *filter;      /* NULL: none */
    uint64_t bounding, effective, inheritable, permitted, ambient;
    struct lsm_plan lsm;
    struct strings env;    /* of the process, each name once */
    unsigned preserve_fds; /* all that are passed on, from 3 */
    unsigned listen_fds;   /* the first of them, that LISTEN_FDS tells of */
    int stdio[3];
    bool dies_with_parent, keeps_groups;
};
int launch_plan_make(const struct spec *spec, const struct spec_process *process,
                     struct runtime *runtime, struct launch_plan *ret_plan, struct error *err);
void launch_plan_clear(struct launch_plan *plan);
/** Standard streams, session, controlling terminal (@terminal_fd, -1: none), rlimits, scheduling.
 */
int launch_streams_child(const struct launch_plan *plan, int terminal_fd, struct error *err);
/* What is executed; as long as the process, so exec frees it. */
struct launch_program {
    char *path;
    struct strings env;
};
/** User, groups, directory, capabilities but for what seccomp needs; finds the program. */
int launch_identity_child(const struct launch_plan *plan, struct launch_program *ret_program,
                          struct error *err);
/**
 * A low RLIMIT_NOFILE, no_new_privs, the filter and the last capabilities: afterwards the process
 * may do what the program may, and nothing else.
 *
 * @peer_fd  who gets the filter's listener; -1: nobody, then the calls that are notified fail with
 *           ENOSYS
 */
int launch_confine_child(const struct launch_plan *plan, int peer_fd, struct error *err);
/** Confines and executes. Returns only on failure. */
int launch_exec_child(const struct launch_plan *plan, const struct launch_program *program,
                      int peer_fd, struct error *err);

/* --- init.c
 * ------------------------------------------------------------------------------------------ */

struct hook_output;
struct rootfs_plan;
struct init_context {
    const struct spec *spec;
    struct rootfs_plan *rootfs;
    const struct launch_plan *launch;
    const struct namespaces_plan *namespaces;
    struct cgroup_system *cgroups;
    struct cgroup *cgroup; /* NULL: none */
    bool is_cloned_into;   /* clone3 put the process into a part of it already */
    const char *cgroup_path;
    const char *id;
    struct state *state;
    const struct hook_output *hook_output;
    int creator_fd;         /* the creator's end of the socket, which the clone has as well */
    const int *callers_fds; /* as in container_options */
    int sync_fd;
    int listen_fd;  /* start.sock; -1: START comes on sync_fd */
    bool has_scope; /* HOST_READY means that the init was put into a cgroup, too */
    bool has_no_pivot, has_no_new_keyring, dies_with_parent;
};
/** The child's side from clone to exec; never returns. */
_Noreturn void init_run_child(const struct init_context *context);

/* --- handover.c: descriptors for someone outside, over the stream socket he listens on ----------
 */

/** Connects to a unix socket, however long its path is. */
int handover_connect(const char *path, int *ret_fd, struct error *err);
/** Sends a text, which must not be empty, and with it one descriptor (borrowed). */
int handover_send(int socket_fd, const char *text, int sent_fd, struct error *err);
/** Both at once; @what names the receiver in errors: "console socket". */
int handover_give(const char *path, const char *text, int sent_fd, const char *what,
                  struct error *err);

/* --- terminal.c
 * --------------------------------------------------------------------------------------- */

/** Sends a terminal's master to the unix socket that a caller of `create --console-socket` listens
 * on. */
int terminal_send(const char *socket_path, int master_fd, struct error *err);
/** Writes "PID" into the file, by rename, relative to the caller's directory. */
int pid_file_write(const char *path, pid_t pid, struct error *err);

#endif
