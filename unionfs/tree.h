#ifndef UNIONFS_TREE_H
#define UNIONFS_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/text.h"
#include "unionfs/layer_path.h"

/* A layer's directory tree while it is made: entries in any order, also twice, below a root
 * descriptor that nothing leaves. */

struct tree_attribute {
    const char *name;
    const void *value;
    size_t size;
};

/* What an entry says of its file besides content. All borrowed. */
struct tree_metadata {
    mode_t mode; /* permission bits and set-id bits */
    uid_t uid;
    gid_t gid;
    struct timespec times[2]; /* access, modification */
    const struct tree_attribute *attributes;
    size_t attribute_count;
};

struct tree;

/**
 * @root_fd      empty directory; borrowed until tree_free()
 * @entries_max  more files and directories than this are refused
 */
struct tree *tree_open(int root_fd, uint64_t entries_max);
void tree_free(struct tree *tree);
DEFINE_AUTO(tree)

/* Each replaces what an earlier entry of the same name made, makes missing parents, and returns
 * -EINVAL or the errno of the failed step. */

/** The root itself too; an existing directory stays and gets the new metadata. */
int tree_add_directory(struct tree *tree, const struct layer_path *path,
                       const struct tree_metadata *metadata, struct error *err);
/** Opens a new file for writing; the caller writes, calls tree_finish_file() and closes it. */
int tree_add_file(struct tree *tree, const struct layer_path *path,
                  const struct tree_metadata *metadata, int *ret_fd, struct error *err);
/** After the content: owner, then mode, then attributes, then times, since each may clear the next.
 */
int tree_finish_file(int fd, const struct tree_metadata *metadata, struct error *err);
int tree_add_symlink(struct tree *tree, const struct layer_path *path, const char *target,
                     const struct tree_metadata *metadata, struct error *err);
int tree_add_link(struct tree *tree, const struct layer_path *path, const struct layer_path *target,
                  struct error *err);
/** @type  S_IFIFO, S_IFCHR or S_IFBLK */
int tree_add_node(struct tree *tree, const struct layer_path *path, mode_t type, dev_t device,
                  const struct tree_metadata *metadata, struct error *err);

/** Hides a name of the layers below. A file of this layer of that name stays; a directory becomes
 * opaque. */
int tree_add_whiteout(struct tree *tree, const struct layer_path *path, struct error *err);
/** Hides what layers below have in directory @parent; for the root see tree_hides_all(). */
int tree_add_opaque(struct tree *tree, const char *parent, struct error *err);

/** Sets modes, attributes and times of the directories, now that nothing is added to them any more.
 */
int tree_finish(struct tree *tree, struct error *err);

/** Directories that had no entry of their own, sorted: parents first. */
void tree_list_orphans(const struct tree *tree, struct strings *ret_paths);
/** Directories below the root in which something hides a name, sorted. */
void tree_list_whiteouts(const struct tree *tree, struct strings *ret_paths);
/** Whether the root was marked opaque, which overlayfs does not know: layers below have to be
 * hidden by name. */
bool tree_hides_all(const struct tree *tree);

#endif
