#ifndef UNIONFS_LAYER_PATH_H
#define UNIONFS_LAYER_PATH_H

#include "base/auto.h"
#include "base/error.h"

/* Names in a layer's tar, made harmless before they are used. Pure. */

#define LAYER_PATH_MAX      4096 /* bytes of a name with its terminating zero, as PATH_MAX */
#define LAYER_COMPONENT_MAX 255
#define LAYER_DEPTH_MAX     512

/* "etc/ssl/certs": parent "etc/ssl", base "certs". The layer's root: both "". */
struct layer_path {
    char text[LAYER_PATH_MAX]; /* parent, a zero, base */
    const char *parent;
    const char *base;
};

/**
 * Cleans a name: leading slashes, "." and empty components go, "a/../b" becomes "b".
 *
 * -EINVAL: "leads outside of the layer", an empty name.  -ENAMETOOLONG: a limit above.
 */
int layer_path_parse(const char *name, struct layer_path *ret_path, struct error *err);

/** Writes parent and base as one path, "" for the root, into @buffer of LAYER_PATH_MAX bytes. */
char *layer_path_format(const struct layer_path *path, char *buffer);

/** A path as ASCII text, for JSON: other bytes and '%' become "%XX". Caller frees. */
char *layer_path_escape(const char *path);
/** The other direction; anything else is left as it is. Caller frees. */
char *layer_path_unescape(const char *text);

#endif
