#ifndef ENGINE_FUSE_ROOT_H
#define ENGINE_FUSE_ROOT_H

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"
#include "unionfs/unionfs.h"

/* A root by fuse-overlayfs(1), a program that does for a mount what the kernel's overlayfs does.
 * The mount is made here and attached nowhere; the program gets the other end of it, a descriptor
 * of /dev/fuse, so nothing of it is ever in the machine's table of mounts. It ends with the last
 * use of the mount, and at the latest with its maker. What a write(2) has given it is in the upper
 * directory: nothing is kept back that would be lost with it. */

#define FUSE_ROOT_PROGRAM "fuse-overlayfs"

/**
 * Why it cannot be used here: a sentence; NULL: it can. Caller frees.
 *
 * @data_path  where layers and containers are
 */
char *fuse_root_find_obstacle(const char *data_path);

/** The words of its command line, for a device that is its standard input; pure. */
void fuse_root_plan(const char *program, const struct snapshot *snapshot,
                    struct strings *ret_command);

struct fuse_root {
    pid_t pid;         /* the program, the maker's child; 0: none, or waited for */
    int mount_fd;      /* attached nowhere; -1: none, or taken */
    int complaints_fd; /* what the program says */
};
#define FUSE_ROOT_NONE ((struct fuse_root){ .mount_fd = -1, .complaints_fd = -1 })

/**
 * Starts the program and returns when it answers.
 *
 * @snapshot    without an upper directory: to be read only
 * @attributes  of the mount: MOUNT_ATTR_NODEV ...
 */
int fuse_root_open(const struct snapshot *snapshot, uint64_t attributes, struct fuse_root *ret_root,
                   struct error *err);

/**
 * The root of an image as containers see it, to be read.
 *
 * @layers  host paths, topmost first
 * @ret_fd  of its root directory, the caller's; of use until @ret_root is cleared
 */
int fuse_root_open_image(const struct strings *layers, struct fuse_root *ret_root, int *ret_fd,
                         struct error *err);

/** Once it is attached somewhere: lets it end with what it is attached to. */
void fuse_root_drop_mount(struct fuse_root *root);

/**
 * After the last use of the mount: waits for the program, which has yet to take what was written
 * through maps of memory; ends it when it takes too long, as something else has the mount.
 */
void fuse_root_finish(struct fuse_root *root);

/** Ends the program at once; nothing for FUSE_ROOT_NONE. */
void fuse_root_clear(struct fuse_root *root);

#endif
