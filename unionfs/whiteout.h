#ifndef UNIONFS_WHITEOUT_H
#define UNIONFS_WHITEOUT_H

#include <stdbool.h>

#include "base/error.h"

#define WHITEOUT_PREFIX      ".wh."
#define WHITEOUT_OPAQUE_NAME ".wh..wh..opq"

/* What the name of a tar entry asks for (image-spec, layer.md, "Whiteouts"). Pure. */
enum whiteout {
    WHITEOUT_NONE,    /* an ordinary name */
    WHITEOUT_NAME,    /* ".wh.x": x of the layers below is gone */
    WHITEOUT_OPAQUE,  /* ".wh..wh..opq": all that layers below have in this directory is gone */
    WHITEOUT_IGNORED, /* ".wh..wh.*" of AUFS, which mean nothing here */
};

/**
 * Classifies one component of a name.
 *
 * @ret_name  the name that is hidden, within @component; written only for WHITEOUT_NAME
 *
 * Returns an enum whiteout, or -EINVAL for a whiteout of nothing, "." or "..".
 */
int whiteout_parse(const char *component, const char **ret_name, struct error *err);

#endif
