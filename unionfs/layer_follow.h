#ifndef UNIONFS_LAYER_FOLLOW_H
#define UNIONFS_LAYER_FOLLOW_H

#include "base/error.h"
#include "unionfs/layer_view.h"
#include "unionfs/unpack_report.h"

/**
 * Moves what a layer has below a symbolic link of the layers below to where that link leads:
 * "lib/x" without an entry for "lib" means "usr/lib/x" when a lower layer says "lib -> usr/lib".
 * An entry "lib/" of the layer itself replaces the link, as everywhere.
 *
 * @report  orphans and whiteouts get their new names
 */
int layer_follow(const struct layer_view *view, struct unpack_report *report, struct error *err);

#endif
