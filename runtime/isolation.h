#ifndef RUNTIME_ISOLATION_H
#define RUNTIME_ISOLATION_H

#include "runtime/runtime.h"

/* What a container's process is: without an isolation the program of its spec, with one something
 * else that runs the program elsewhere, such as a virtual machine monitor. An isolation splits the
 * spec in two: one half is an ordinary container for that process, the *jail*, which is made,
 * started, paused and removed as every container; the other half is applied where the program runs.
 *
 * So nothing else in this folder knows what the process is; a container remembers the isolation's
 * name in its state. The programs' main() says which isolation there is. */

/* What an isolation needs to know to split a spec. Borrowed. */
struct isolation_input {
    const struct spec *spec;
    const char *id;
    const char *bundle_path; /* absolute */
    const char *run_path;    /* where all containers' directories are */
    const char *saved_path;  /* folder that save() filled, to go on from; NULL: it starts anew */
};

/* The result; the caller's to clear. */
struct isolation_plan {
    struct spec *jail;
    char *config; /* for the jail's process, as prepare() writes it */
    char *cache;  /* for prepare(): what the jail shares with others like it; NULL: nothing */
    char *saved_disk, *disk; /* for prepare(): a file, and where its copy goes; NULL: none */
};
void isolation_plan_clear(struct isolation_plan *plan);

/* A change of limits; the caller's to clear. */
struct isolation_update {
    struct cgroup_resources outer;       /* for the jail's cgroup; points into what was given */
    char *inner;                         /* JSON of limits for where the program runs; NULL: none */
    uint64_t take_bytes, old_take_bytes; /* of the guest's memory, to have back; and before */
};
void isolation_update_clear(struct isolation_update *update);

/* What is known of an isolation on this machine; the caller's to clear. */
struct isolation_view {
    char *backend;           /* what runs the program: "kvm", "qemu"; NULL: nothing here can */
    char *reason;            /* why no better one does; NULL: it is the best */
    struct strings warnings; /* for who starts a container with it */
    struct strings kernels;  /* to choose from; the default first */
};
void isolation_view_clear(struct isolation_view *view);

/* Work on a container's files, done where they are by the code that does it here for other
 * containers. What comes back was written by whoever runs there. */
#define INNER_CHANGES "changes" /* gives "Apath" of each (A, C or D), ended by a zero byte */
#define INNER_LAYER   "layer"   /* gives the changes as a layer's tar */
#define INNER_ROOT    "root"    /* gives the root as a tar */
#define INNER_SEND    "send"    /* gives what copy_send() sends */
#define INNER_RECEIVE "receive" /* takes a tar of ours, as copy_receive() does */
struct inner_files {
    char *work;
    char *path, *other; /* send, receive: see struct copy_end */
    bool follows, keeps_owners;
    bool pauses;                 /* layer: the container's processes, meanwhile */
    int64_t latest;              /* layer: the newest time */
    struct strings mount_points; /* changes, layer: see struct change_source */
};
/* What the work says on its standard error, before it ends: texts, each ended by a zero byte. The
 * first letter tells what it is. */
#define INNER_REPORT_MAX     32768 /* bytes; more than a pipe's room would make it wait */
#define INNER_REPORT_WARNING 'W'   /* "Wtext" */
#define INNER_REPORT_ERROR   'E'   /* "E5 text", with the code; it has failed */

struct isolation {
    const char *name; /* as it is asked for and kept: "microvm" */
    /** Whether a spec asks for it. Cheap: called for every container. */
    bool (*is_wanted)(const struct spec *spec);
    /** Looks at the machine, without a container. */
    int (*look)(const struct isolation *isolation, const char *run_path,
                struct isolation_view *ret_view, struct error *err);
    /** Splits a spec; makes nothing. What cannot be is refused by the name of the spec's member. */
    int (*plan)(const struct isolation *isolation, const struct isolation_input *input,
                struct isolation_plan *ret_plan, struct error *err);
    /** Makes what the jail's mounts need, in the container's new directory. */
    int (*prepare)(const struct isolation *isolation, int dir_fd, const struct isolation_plan *plan,
                   struct error *err);
    /** The process in the jail that stands for @process of an exec. Caller frees. */
    struct spec_process *(*split_exec)(const struct spec_process *process);
    /** The container's own process, as its spec had it. Caller frees. */
    int (*find_process)(int dir_fd, struct spec_process **ret_process, struct error *err);
    /** Splits a change of limits while it runs. -EOPNOTSUPP, -EINVAL: names the member. */
    int (*plan_update)(int dir_fd, const struct spec *jail, const struct cgroup_resources *given,
                       struct isolation_update *ret_update, struct error *err);
    /** Makes the change where the program runs; when it fails, nothing is changed there. */
    int (*apply_update)(int dir_fd, int pidfd, const struct isolation_update *update,
                        struct error *err);
    /** Whether a process of the container was killed for want of memory, where the host's cgroup
     * does not tell. */
    bool (*was_oom_killed)(int dir_fd);
    /** What runs where the host does not see it: lines of pid, user id and command. Caller frees.
     * @pidfd: of the jail's process */
    int (*list_processes)(int dir_fd, int pidfd, char **ret_lines, struct error *err);
    /** Starts work on the container's files. @stdio: standard streams of it, which the other side
     * may keep. @ret_fd: for finish_files(); closing it ends the work */
    int (*start_files)(int dir_fd, int pidfd, const struct inner_files *work, const int stdio[3],
                       int *ret_fd, struct error *err);
    int (*finish_files)(int fd, int *ret_status, struct error *err);
    /**
     * Writes all that runs into a folder, so that another container can go on as it. What the
     * container has on this machine, such as its directories, is not in it.
     *
     * @pidfd        of the jail's process
     * @jail         the container's spec, as it is kept
     * @image_fd     the folder
     * @is_to_go_on  the container goes on beside the other
     * @ret_fd       it stands until this is closed
     */
    int (*save)(int dir_fd, int pidfd, const struct spec *jail, int image_fd, bool is_to_go_on,
                int *ret_fd, struct error *err);
    /** Waits until a container that goes on does so; then its own words tell why it does not. */
    int (*wait_restored)(int dir_fd, int pidfd, struct error *err);
    const char *data_path; /* for plan(): where kernels and the like are kept */
};

/** Sets the isolation for containers created or looked at from now on; none until this is called.
 * @isolation is borrowed as long as @runtime is used. */
void runtime_set_isolation(struct runtime *runtime, const struct isolation *isolation);

#define ANNOTATION_ISOLATION "run.berth.isolation"

/* --- isolation_checkpoint.c: what checkpoint.c and restore.c do for such a container -----------
 */

/** As container_checkpoint(). */
int isolation_checkpoint(struct container *container, const struct isolation *isolation,
                         const struct checkpoint_options *options, struct error *err);
/** Whether an image is of such a container, and whole; @ret_path: absolute, the caller frees it;
 * NULL: it is not. */
int isolation_find_image(const struct runtime *runtime, const char *image_path, char **ret_path,
                         struct error *err);
/** -ENOENT when a spec asks for an isolation: an image without its file is not of such a container.
 */
int isolation_refuse_image(const struct runtime *runtime, const struct spec *spec,
                           const char *image_path, struct error *err);
/** As container_restore(), for an image that was found. */
int isolation_restore(struct runtime *runtime, const struct container_options *options,
                      const struct checkpoint_options *checkpoint, const char *image_path,
                      struct container **ret_container, struct error *err);

#endif
