#ifndef RUNTIME_CHECKPOINT_PLAN_H
#define RUNTIME_CHECKPOINT_PLAN_H

#include "runtime/container.h"
#include "runtime/criu_message.h"
#include "runtime/rootfs.h"

/* What checkpoint and restore tell CRIU; all of it is decided without a system call. */

/* A mount whose source is outside of the container. CRIU keeps only its name in the image; where it
 * comes from is said again at restore. */
struct external_mount {
    char *place;  /* in the container, as the spec has it: links in it are not resolved */
    char *name;   /* in the image */
    char *source; /* on the host */
    bool is_mask; /* only where a file is masked; a directory's mask is a file system of its own */
};
struct external_mounts {
    struct external_mount *items;
    size_t count;
};

/**
 * Binds, masks of files, devices (which are binds in a user namespace), and cgroups bound without a
 * cgroup namespace.
 *
 * @system       NULL: no cgroups
 * @cgroup_path  the container's; NULL: none
 *
 * -EOPNOTSUPP: a mount that CRIU cannot make again, by name: "mounts[2] (/data): ..."
 */
int external_mounts_plan(const struct spec *spec, const struct rootfs_plan *rootfs,
                         const struct cgroup_system *system, const char *cgroup_path,
                         struct external_mounts *ret_mounts, struct error *err);
void external_mounts_clear(struct external_mounts *mounts);

/**
 * The members of @ret_options that follow from the command's options.
 *
 * -EINVAL: a word is unknown or options contradict each other.  -EOPNOTSUPP: this CRIU is too old.
 */
int checkpoint_options_plan(const struct checkpoint_options *options, bool is_restore,
                            uint32_t version, struct criu_options *ret_options, struct error *err);
/** The part of checkpoint_options_plan() that needs no CRIU; it comes before anything is started.
 */
int checkpoint_options_check(const struct checkpoint_options *options, struct error *err);

/**
 * CRIU's configuration file, "" for none, or NULL for the first of checkpoint_config_files that
 * exists. The annotation org.criu.config chooses one in /etc/criu: such a file may name programs
 * that CRIU starts as root, and annotations are what engines let their users set.
 *
 * -EINVAL: the annotation names a file elsewhere.
 */
int checkpoint_config_plan(const struct string_map *annotations, const char **ret_file,
                           struct error *err);
extern const char *const checkpoint_config_files[]; /* ends with NULL */

/* The standard streams of a checkpointed container, image folder/descriptors.json, as runc writes
 * it: what each of them was. */
#define DESCRIPTORS_FILE  "descriptors.json"
#define DESCRIPTORS_COUNT 3

/** Whether CRIU shall connect what has this name to a stream of the restored container: a pipe or
 * an outer file, "pipe:[123]" or "file[1a:2b]". Everything else it opens again in the container. */
bool descriptor_is_outer(const char *name);
char *descriptors_format(const struct strings *names);
/** At most DESCRIPTORS_COUNT names, of descriptors 0, 1, 2. -EBADMSG: it is not such a list. */
int descriptors_parse(const char *json, size_t length, struct strings *ret_names,
                      struct error *err);

#endif
