#ifndef RUNTIME_MOUNT_OPTIONS_H
#define RUNTIME_MOUNT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

/* The words of a mount's "options" (runtime-spec config-linux.md; mount(8)), as the mount API of
 * the kernel wants them. Later words win over earlier ones. */

/* More propagation words than this for one mount are an error. */
#define MOUNT_PROPAGATIONS_MAX 4

struct mount_propagation {
    uint64_t flag; /* MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE */
    bool is_recursive;
};

struct mount_options {
    uint64_t attr_set, attr_clear;                     /* MOUNT_ATTR_*, for the mount itself */
    uint64_t attr_recursive_set, attr_recursive_clear; /* ... and for all mounts below it */
    unsigned long superblock; /* MS_RDONLY, MS_SYNCHRONOUS, ...: of the file system */
    struct mount_propagation propagations[MOUNT_PROPAGATIONS_MAX]; /* in the order given */
    size_t propagation_count;
    bool is_bind, is_bind_recursive;
    bool has_copy_up; /* tmpcopyup */
    bool has_id_map, is_id_map_recursive;
    const char *id_map;          /* mappings of the option itself, borrowed; NULL: none */
    bool copies_link;            /* copy-symlink: a source that is a link is made again */
    bool keeps_source_link;      /* src-nofollow: the link itself is bound */
    bool keeps_destination_link; /* dest-nofollow: the mount goes onto the link itself */
    const char **data; /* words for the file system itself; borrowed texts in an owned array */
    size_t data_count;
};

/**
 * Sorts option words into flags and data; pure. A word with "=" and a word that is not known go to
 * the file system as data, as mount(8) does.
 *
 * @words        outlives the result, which borrows its strings
 * @ret_options  release with mount_options_clear()
 *
 * Returns 0, or -EINVAL: "too many propagation options".
 */
int mount_options_parse(const struct strings *words, struct mount_options *ret_options,
                        struct error *err);
void mount_options_clear(struct mount_options *options);

/**
 * What a bind changes of its source's MOUNT_ATTR_*, as with runc; pure. Without a word for them all
 * are kept. With one, those that are not named are cleared, but for access times.
 */
void mount_options_plan_bind(const struct mount_options *options, uint64_t *ret_set,
                             uint64_t *ret_clear);
/**
 * The same in a user namespace, where read-only, nosuid, nodev, noexec and access times of the
 * source are locked (mount_namespaces(7)): those that are not named are kept; pure.
 *
 * @has  MOUNT_ATTR_* of the source
 *
 * -EPERM: a word is against a locked one, "'rw': the source is mounted with 'ro', which is locked
 * in the user namespace".
 */
int mount_options_plan_locked_bind(const struct mount_options *options, uint64_t has,
                                   uint64_t *ret_set, uint64_t *ret_clear, struct error *err);

/** The value of the last data word "KEY=value", borrowed; NULL without one. */
const char *mount_options_value(const struct mount_options *options, const char *key);
/** Whether a data word is exactly @word. */
bool mount_options_has(const struct mount_options *options, const char *word);

/** Propagation words alone, for linux.rootfsPropagation; -EINVAL names an unknown one. */
int mount_propagation_parse(const char *word, struct mount_propagation *ret_propagation,
                            struct error *err);

#endif
