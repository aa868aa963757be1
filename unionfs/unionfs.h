#ifndef UNIONFS_UNIONFS_H
#define UNIONFS_UNIONFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/digest.h"
#include "base/disk_usage.h"
#include "base/error.h"
#include "base/text.h"

/* Layers and the stacks made of them. A layer is one unpacked blob below DATA/layers/, never
 * changed once visible. A snapshot describes an overlay mount; it performs none. */

/* --- layers ----------------------------------------------------------------------------------- */

/* DATA/layers/<key>/{fs/,meta}. The key is the diff id's hex digits. A layer whose tree depends on
 * what lies below it (parents without an entry, an opaque root; whiteouts at the bottom) has a tree
 * for each such place: "-" and random digits follow, and meta names the layers below. So keys need
 * no digest to be computed, and `berth run` no libcrypto. */

struct layer_source {
    int blob_fd;           /* the (compressed) tar, at offset 0; borrowed */
    struct digest diff_id; /* expected digest of the uncompressed tar; text "" = unknown (import) */
    const char *media_type; /* as in the manifest; NULL: unknown. The bytes decide; "+encrypted" is
                               refused */
    uint64_t size_bytes;    /* of the blob, for progress; 0: unknown */
    void (*progress)(uint64_t bytes_done,
                     void *context); /* of the blob; may be NULL; only for regular files */
    void *context;
    bool is_growing; /* a file that is still written; layer_job_feed() says how far it is */
    struct strings *warnings; /* what was left out; borrowed; NULL: nobody is told */
};

/* Directories of layers, opened. */
struct layer_fds {
    int *items;
    size_t count;
};
/**
 * @base_fd  beneath which the paths lead; AT_FDCWD: they are the host's, as in a container's record
 * @flags    O_RDONLY or O_PATH
 * @ret_fds  in the order of @paths
 */
int layer_fds_open(int base_fd, const struct strings *paths, int flags, struct layer_fds *ret_fds,
                   struct error *err);
void layer_fds_clear(struct layer_fds *fds);

/**
 * Makes sure that a layer is unpacked: at once when it is there; waits when another process is
 * unpacking it; else unpacks it with berth-unpack into staging, verifies its diff id and renames
 * it.
 *
 * @below  diff ids of the layers below, lowest first, all unpacked; only consulted where the tree
 *         depends on them. NULL: none
 * @ret_diff_id, @ret_key  may be NULL; the key is a directory name below DATA/layers, the caller
 * frees
 *
 * The caller syncs (layers_sync) before it makes anything visible that refers to it.
 * -EBADMSG: damaged, or the content does not have the promised digest.
 */
int layer_ensure(int data_fd, const struct layer_source *source, const struct strings *below,
                 struct digest *ret_diff_id, char **ret_key, struct error *err);

/* The same in two steps, so that two layers can be unpacked at once. */
struct layer_job;
/**
 * Starts the work, if there is any.
 *
 * @source  copied; its blob_fd has to stay open until the job's end
 * @is_waiting  false: -EAGAIN when another job or process is on this very layer. Who holds an
 *              unfinished job must not wait, since two processes could wait for each other
 */
int layer_job_start(int data_fd, const struct layer_source *source, const struct strings *below,
                    bool is_waiting, struct layer_job **ret_job, struct error *err);
/** Says that so many bytes, from the first one on, are in the file of a source that grows. */
int layer_job_feed(struct layer_job *job, uint64_t bytes, struct error *err);
/** Readable when unpacking has ended, well or not; -1: the layer was there already. Borrowed. */
int layer_job_fd(const struct layer_job *job);
/** How many bytes of the blob were read; 0 for a pipe. */
uint64_t layer_job_done(const struct layer_job *job);
/** Waits for the end of unpacking and compares the diff id; the layer stays invisible. */
int layer_job_wait(struct layer_job *job, struct error *err);
/** After layer_job_wait(): whether the tree depends on layers below, which have to be finished
 * first. */
bool layer_job_needs_below(const struct layer_job *job);
/**
 * Waits for the end, verifies and makes the layer visible. What the tree depends on is finished by
 * now: see layer_job_needs_below().
 */
int layer_job_finish(struct layer_job *job, struct digest *ret_diff_id, char **ret_key,
                     struct error *err);
/** An unfinished job is stopped and leaves nothing. */
void layer_job_free(struct layer_job *job);
DEFINE_AUTO(layer_job)

/* A layer that is made entry by entry, beside the tar that pack_changes() makes of the same: what
 * unpack_layer() would make of that tar. */
struct layer_maker;
struct tar_entry;
/**
 * The process's umask is 0 until layer_maker_free().
 *
 * @below     as for layer_ensure()
 * @warnings  what was left out; borrowed; NULL: nobody is told
 */
int layer_maker_open(int data_fd, const struct strings *below, struct strings *warnings,
                     struct layer_maker **ret_maker, struct error *err);
/** A file with content waits for layer_maker_end_file(). @entry: of it, attributes are borrowed
 * until then. */
int layer_maker_add(struct layer_maker *maker, const struct tar_entry *entry, struct error *err);
int layer_maker_write(struct layer_maker *maker, const void *bytes, size_t length,
                      struct error *err);
/** What did not come of a file is zeros. */
int layer_maker_end_file(struct layer_maker *maker, struct error *err);
/**
 * Makes the layer visible, as layer_job_finish().
 *
 * @diff_id  digest of the tar, which the caller vouches for
 * @ret_key  may be NULL; the caller frees it
 */
int layer_maker_finish(struct layer_maker *maker, const struct digest *diff_id, char **ret_key,
                       struct error *err);
/** What was not finished leaves nothing. */
void layer_maker_free(struct layer_maker *maker);
DEFINE_AUTO(layer_maker)

/** The key of an unpacked layer, as layer_ensure() gave it; -ENOENT when it is not there. */
int layer_find(int data_fd, const struct digest *diff_id, const struct strings *below,
               char **ret_key, struct error *err);
int layer_list(int data_fd, struct strings *ret_keys, struct error *err);
int layer_size(int data_fd, const char *key, uint64_t *ret_bytes,
               struct error *err); /* from meta */
/** Whether it is known that no file of a layer has several names; from meta. */
bool layer_has_no_links(int data_fd, const char *key);
/** What a layer takes on the disk, without a look at its files unless meta does not tell it. */
int layer_usage(int data_fd, const char *key, struct disk_usage *ret_usage, struct error *err);
/** Counts what is in a layer's tree and compares with its meta. Errors name the layer. */
int layer_check(int data_fd, const char *key, struct error *err);
/** Unpacks the layer once more, beside it, and compares each file. -EBADMSG: they differ. */
int layer_compare(int data_fd, const char *key, const struct layer_source *source,
                  const struct strings *below, struct error *err);
/**
 * Unpacks the layer once more and puts the tree in the place of what is there, if anything is, by
 * one rename. The caller has made sure that nothing uses the old one, and syncs.
 */
int layer_rebuild(int data_fd, const char *key, const struct layer_source *source,
                  const struct strings *below, struct error *err);
/** The key in "/var/lib/berth/layers/<key>/fs"; NULL: it is no such path. Pure. Caller frees. */
char *layer_key_from_path(const char *path);
/** Whether DATA/layers/<key>/fs is there. */
bool layer_exists(int data_fd, const char *key);
/** Moves it to the trash, which staging_clean() empties; the caller has made sure that nothing uses
 * it. */
int layer_delete(int data_fd, const char *key, struct error *err);
/**
 * Keeps layers from being swept: who needs layers that nothing on disk refers to yet (load, import,
 * create until its record is written) holds the lock shared; who removes unused ones, exclusively.
 *
 * @timeout_ms, -ETIMEDOUT  as in file_lock()
 */
int layers_lock(int data_fd, bool is_exclusive, uint32_t timeout_ms, int *ret_fd,
                struct error *err);
/** syncfs(2) of the data directory's file system. Layers that no sync followed before a crash are
 * made anew. */
int layers_sync(int data_fd, struct error *err);

/* --- snapshots -------------------------------------------------------------------------------- */

struct snapshot {
    struct strings lower;     /* absolute paths of layers' fs/, topmost first */
    char *upper, *work;       /* absolute; NULL: read-only */
    bool is_volatile;         /* no sync at unmount: for containers that are removed at their end */
    bool has_user_attributes; /* mounted in a user namespace, where marks are user.overlay.* */
};
void snapshot_clear(struct snapshot *snapshot);
/** The options of the overlay mount that it describes: "lowerdir+=PATH" topmost first, "upperdir=",
 * "workdir=", "index=off" ... */
void snapshot_mount_options(const struct snapshot *snapshot, struct strings *ret_options);
/** Makes upper/ and work/ below @container_fd with the root directory's mode and owner as in the
 * top layer. */
int snapshot_create_upper(int container_fd, const struct snapshot *snapshot, struct error *err);

/* --- copies: where no overlay can be mounted ---------------------------------------------------
 */

/**
 * Fills the empty directory @to_fd with what the layers show, as a whole root of its own.
 *
 * @layer_fds  fs/ of the layers, topmost first
 */
int copied_root_create(const int *layer_fds, size_t layer_count, int to_fd, struct error *err);

/**
 * Fills the empty directory @upper_fd with what an overlay's upper directory would have if the
 * changes of such a root had been made in an overlay: as more names of the root's own files, with
 * whiteouts and directories made for it. So changes_walk() reads both.
 *
 * @root_fd    that was made by copied_root_create() of the same layers
 * @made       when that was done; what changed at no later time is as it was
 *
 * What is in @upper_fd must not be written to: it is the container's.
 */
int copied_root_changes(const int *layer_fds, size_t layer_count, int root_fd,
                        const struct timespec *made, int upper_fd, struct error *err);

/* --- roots: a stack of layers as one file -------------------------------------------------------
 */

/* DATA/erofs/<key>/{root.erofs,layers}: what the layers show, merged into one EROFS file for the
 * guests of microVMs. The key is a hash of the layers' keys, which are written out in `layers` and
 * compared, since the hash is not a strong one. Never changed once visible; what no image and no
 * container's layers are named in is swept, and made again when it is wanted again. */

struct erofs_watch {
    void (*progress)(uint64_t bytes_done, uint64_t bytes_total, void *context); /* may be NULL */
    void *context;
};

/** The key of what is made of these layers. @layers: their keys, topmost first. Caller frees. */
char *erofs_key(const struct strings *layers);
/** Whether it is there: 0, -ENOENT. @ret_path: of root.erofs below DATA; the caller frees it. */
int erofs_find(int data_fd, const struct strings *layers, char **ret_path, struct error *err);
/**
 * Makes it unless it is there: in staging, synced, visible by one rename. Of two that want the same
 * the second waits, and finds it. The caller holds layers_lock() shared.
 */
int erofs_ensure(int data_fd, const struct strings *layers, const struct erofs_watch *watch,
                 char **ret_path, struct error *err);
int erofs_list(int data_fd, struct strings *ret_keys, struct error *err);
int erofs_usage(int data_fd, const char *key, struct disk_usage *ret_usage, struct error *err);
/**
 * Compares it with its layers. The caller holds layers_lock().
 *
 * @with_contents  of files as well
 *
 * -EBADMSG: damaged.  -ENOENT: its layers are gone, or another berth made it.
 */
int erofs_check(int data_fd, const char *key, bool with_contents, struct error *err);
/** Moves it to the trash. Machines that run with it keep it until they end. */
int erofs_delete(int data_fd, const char *key, struct error *err);

/* --- changes: what an upper directory says of the layers below -------------------------------- */

enum change_kind { CHANGE_MODIFIED, CHANGE_ADDED, CHANGE_DELETED };

struct change {
    const char *path; /* "etc/passwd"; "" is the root */
    enum change_kind kind;
    bool hides_below;     /* a directory in which nothing shows through of those that layers below
                             have there */
    bool is_below_hidden; /* its directory hides what is below */
    int parent_fd;        /* the directory it is in; -1: the root, or a name that is deleted because
                             its directory hides it */
    const char *name;     /* in that directory */
    int fd;               /* a directory itself; else -1 */
    struct stat status;   /* of what is not deleted */
};
/** Everything in @change is borrowed. */
typedef int change_function(const struct change *change, void *context, struct error *err);

struct change_source {
    int upper_fd;         /* a directory that can be read */
    const int *lower_fds; /* fs/ of the layers below, topmost first */
    size_t lower_count;
    /* Names ("etc/hosts") at which a runtime mounts files of its own. An empty file or directory
     * there that no layer below has is no change, nor is a directory that holds only such. NULL */
    const struct strings *mount_points;
    bool has_user_attributes; /* the overlay was mounted with userxattr */
    bool has_whiteout_names;  /* it was fuse-overlayfs, whose marks are ".wh.NAME" as well */
    bool skips_kernel_files;  /* not into /proc, /sys and the like, which are no files of anyone */
};

/**
 * Walks an overlay's upper directory, the root first, directories before what is in them, names in
 * the order of their bytes; compares nothing but names with the layers below. The directory may
 * change meanwhile: what vanishes is left out, and nothing outside of it is reached.
 *
 * Ends early when @function returns a negative value, with that.
 *
 * See: kernel, overlayfs.rst, "whiteouts and opaque directories".
 */
int changes_walk(const struct change_source *source, change_function *function, void *context,
                 struct error *err);

/* --- packing: files as a tar ------------------------------------------------------------------ */

/** Takes the next bytes of a tar. */
typedef int pack_sink(const void *bytes, size_t length, void *context, struct error *err);

/* Gets what is packed as entries, too: as layer_maker_add() and its family, which see. */
struct pack_entry_sink {
    int (*add)(void *context, const struct tar_entry *entry, struct error *err);
    int (*write)(void *context, const void *bytes, size_t length, struct error *err);
    int (*end_file)(void *context, struct error *err);
    void *context;
};

struct pack_options {
    pack_sink *sink;
    void *context;
    const struct pack_entry_sink *entries; /* NULL: none */
    bool is_layer;            /* whiteouts and opaque marks; else what is deleted is left out */
    const char *prefix;       /* "a/b": stands before each name, and for the root; NULL or "" */
    int64_t latest;           /* seconds since 1970: later times become it; INT64_MAX: none does */
    struct strings *warnings; /* what was left out: sockets and what changed meanwhile */
};

/**
 * Packs what changes_walk() finds, in its order: the same tree gives the same bytes. Times are
 * whole seconds. Files are opened by name in a directory that was opened: on a tree that someone
 * else can write, the caller sees to it that devices cannot be opened there (a mount with nodev).
 */
int pack_changes(const struct change_source *source, const struct pack_options *options,
                 struct error *err);

/** Packs one file that is not a directory, as @options->prefix. */
int pack_file(int dir_fd, const char *name, const struct pack_options *options, struct error *err);

/* --- extracting: a tar into a tree that someone else may change meanwhile --------------------- */

/* Entries of a tar, as extract_input.h has them. */
struct extract_entry;
struct extract_input {
    int (*next)(void *context, struct extract_entry *ret_entry, struct error *err);
    int (*read)(void *context, const void **ret_bytes, size_t *ret_length, uint64_t *ret_offset,
                struct error *err);
    void (*free)(void *context);
    void *context;
};
/** A tar that one of berth's processes makes by pack.c. @fd: borrowed. */
void extract_input_open_tar(int fd, struct extract_input *ret_input);
/** A tar by whomever, read by libarchive, which is for berth-unpack alone; plain. Nothing at all is
 * an empty one. @fd: borrowed, only read. */
int extract_input_open_archive(int fd, struct extract_input *ret_input, struct error *err);
void extract_input_clear(struct extract_input *input);

struct extract_options {
    const struct extract_input *input;
    int root_fd;    /* where links on the way may lead within; -1: none is followed */
    bool is_safe;   /* the file system is not the tar's maker's: no devices, no set-id bits, no
                       capabilities */
    bool has_owner; /* all files belong to @uid and @gid, whatever the tar says */
    uid_t uid;
    gid_t gid;
    struct strings *warnings; /* what was left out */
};

/**
 * Where an archive goes, said when its first entry is known.
 *
 * @ret_fd    a directory; the caller's
 * @ret_path  of it below @root_fd, to follow links; the caller frees it
 * @ret_name  what stands in place of the first part of all names, "" for nothing; NULL: they stay
 *            as they are
 */
typedef int extract_place(const char *name, bool is_directory, void *context, int *ret_fd,
                          char **ret_path, char **ret_name, struct error *err);

/**
 * Extracts a tar over what is there: files replace files, directories are kept and get what the tar
 * says of them; a directory is never replaced by something else, nor the other way round. Nothing
 * outside of the place (or of @root_fd, by links) is written.
 */
int extract_archive(const struct extract_options *options, extract_place *place, void *context,
                    struct error *err);

/**
 * Packs the entries of another tar: what comes out is one of ours, whoever made what went in. Names
 * are cleaned, and checked as a layer's are; attributes that belong to no file are left out. Of
 * @options only the sink counts.
 */
int pack_entries(const struct extract_input *input, const struct pack_options *options,
                 struct error *err);

/* --- unpack_child.c: what anyone may have written, read by a process without rights ----------- */

/** A running berth-unpack. Starts as UNPACK_CHILD_NONE. */
struct unpack_child {
    pid_t pid;    /* 0: none */
    int fd;       /* a pipe with what it makes of its input */
    int error_fd; /* a pipe with one sentence, when it fails; else with lines of warnings */
};

#define UNPACK_CHILD_NONE                                                                          \
    {                                                                                              \
        .fd = -1, .error_fd = -1                                                                   \
    }

/**
 * Starts it.
 *
 * @command  "decompress": xz or bzip2; "tar": a plain tar becomes one of ours
 * @fd       its input; borrowed
 */
int unpack_child_start(const char *command, int fd, struct unpack_child *ret_child,
                       struct error *err);
/**
 * Waits for its end; what has failed without it kills it.
 *
 * @r             what became of its output: 0 at the end of it; -EBADMSG when that came early, of
 *                which the child may know why
 * @ret_warnings  of what it has left out; may be NULL
 *
 * Returns @r, or -EBADMSG with what the child says.
 */
int unpack_child_finish(struct unpack_child *child, int r, struct strings *ret_warnings,
                        struct error *err);
/** Kills it, if it is there. */
void unpack_child_clear(struct unpack_child *child);

/* --- copying: the two ends of `cp` --------------------------------------------------------------
 */

/* A copy is a tar between two processes: one packs it, the other extracts it and decides where
 * things go when the first entry says whether it is a file or a directory. */
struct copy_end {
    const char *path;  /* here */
    const char *other; /* the path at the other end, whose last part is the name of what comes;
                          NULL: a tar of the user's, whose names stay */
    bool is_host;      /* else the files are a container's */
    bool follows;      /* sending: a link at the end of the path is followed */
    bool keeps_owners;
};

/** Whether a path ends so that only the contents of a directory are meant: "d/.", ".", "/". */
bool copy_is_contents(const char *path);
/** @root_fd: within which paths lead; -1: the host's. @fd: to write the tar to. */
int copy_send(int root_fd, const struct copy_end *end, int fd, struct strings *ret_warnings,
              struct error *err);
int copy_receive(int root_fd, const struct copy_end *end, const struct extract_input *input,
                 struct strings *ret_warnings, struct error *err);

/* --- unpacking: the engine room of berth-unpack ----------------------------------------------- */

/* Limits for one layer; all named in errors. */
#define UNPACK_BYTES_MAX        (10ull << 30)
#define UNPACK_ENTRIES_MAX      1000000u
#define UNPACK_RATIO_MAX        1000u /* uncompressed to compressed, after the first 64 MiB */
#define UNPACK_RATIO_FROM_BYTES (64ull << 20)
#define UNPACK_ATTRIBUTE_MAX    (64u << 10)
#define UNPACK_SPARSE_PARTS_MAX 4096u
#define UNPACK_ORPHANS_MAX      65536u /* directories without an entry of their own */

/* Where the bytes of a layer's blob come from. */
struct blob_input {
    int fd;        /* at the blob's first byte */
    int growth_fd; /* an eventfd that gets how many bytes more are in the file; -1: all are, or @fd
                      is a pipe */
    uint64_t size; /* of the whole blob; only used where it grows */
    uint64_t known, done; /* in the file, and read; 0 at first */
};
/** A blob that is all there. */
struct blob_input blob_input_whole(int fd);

struct unpack_result {
    struct digest diff_id;
    uint64_t bytes; /* sum of file sizes */
    uint64_t entries;
    uint64_t devices_left_out; /* which the caller has no right to make, as in a user namespace */
    bool needs_chain;          /* the tree depends on the layers below */
    bool hides_all;           /* nothing of the layers below is visible (opaque mark in the root) */
    struct strings orphans;   /* parents that had no entry of their own; parents first */
    struct strings whiteouts; /* directories below the root with whiteouts in them */
};

/**
 * Unpacks one (compressed) layer into the empty directory @root_fd as an overlay lower: whiteouts
 * become character devices 0:0, opaque directories get trusted.overlay.opaque. Nothing outside of
 * @root_fd can be written, whatever the tar says (image-spec layer.md; hostile names are errors).
 * A symbolic link in a name is followed as if the layer were the root directory.
 *
 * @algorithm  of the diff id: "sha256"
 * @is_bottom  nothing lies below: whiteouts are left out (overlayfs would list them in a directory
 *             that is in one layer only)
 *
 * Runs with umask 0 and, for names that are not ASCII, in a UTF-8 locale.
 */
int unpack_layer(const struct blob_input *input, int root_fd, const char *algorithm, bool is_bottom,
                 struct unpack_result *ret_result, struct error *err);
void unpack_result_clear(struct unpack_result *result);

/** Whether an extended attribute of a layer is kept: what belongs to files, not to overlayfs or the
 * host. */
bool unpack_keeps_attribute(const char *name);

#endif
