#ifndef IMAGE_ARCHIVE_NAME_H
#define IMAGE_ARCHIVE_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Names of the files in an image archive: keys for berth-archive, which tells of them, and for
 * spool.c, which keeps them. No path of the host is ever made from one. */

#define ARCHIVE_NAME_MAX 4096u /* bytes, without the zero byte */

/** "./a//b" and "/a/b" are "a/b": ".." stays inside, lexically, which is all that a key needs.
 * @name is seen from the first @directory_length bytes of @directory. Caller frees. */
char *archive_name_clean(const char *directory, size_t directory_length, const char *name);

/** Whether an image archive can refer to a file of this (clean) name, in the forms in which docker,
 * podman, skopeo, umoci, crane, kaniko and bazel write them. Everything else (a root file system
 * given by mistake) is not worth being written to the disk. */
bool archive_name_matters(const char *name);

#endif
