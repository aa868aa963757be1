#ifndef UNIONFS_UNPACK_REPORT_H
#define UNIONFS_UNPACK_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/decode.h"
#include "base/text.h"
#include "unionfs/unionfs.h"

/* What berth-unpack says at its end, as one line of JSON; and, as far as it went well, the file
 * DATA/layers/<key>/meta. */
struct unpack_report {
    char *error;   /* NULL: it worked */
    uint32_t code; /* errno value of the error */
    char *diff_id;
    uint64_t bytes;
    uint64_t entries;
    uint64_t devices_left_out; /* see struct unpack_result; not kept in meta */
    bool needs_chain, hides_all;
    struct strings orphans;   /* by layer_path_escape() */
    struct strings whiteouts; /* as orphans; not kept in meta */
    struct strings below;     /* only in meta, with needs_chain: diff ids of the layers below */
    /* Only in meta: the tree as it was made, by disk_usage_add(). Layers never change. */
    uint64_t disk_bytes, tree_entries, tree_bytes, tree_whiteouts;
    bool has_no_links; /* no file has several names; false: unknown, as of layers of before */
};
extern const struct object unpack_report_object;

/** Fills an empty report of what went well. */
void unpack_report_take(struct unpack_report *report, const struct unpack_result *result);

#define UNPACK_REPORT_BYTES_MAX (64u << 20)

#endif
