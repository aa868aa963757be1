#include "unionfs/unpack_report.h"

static const struct field unpack_report_fields[] = {
    FIELD_OF(struct unpack_report, error, "error", FIELD_STRING, 0),
    FIELD_OF(struct unpack_report, code, "code", FIELD_U32, 0),
    FIELD_OF(struct unpack_report, diff_id, "diffId", FIELD_STRING, 0),
    FIELD_OF(struct unpack_report, bytes, "bytes", FIELD_U64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct unpack_report, entries, "entries", FIELD_U64, FIELD_KEEP_EMPTY),
    FIELD_OF(struct unpack_report, devices_left_out, "devicesLeftOut", FIELD_U64, 0),
    FIELD_OF(struct unpack_report, needs_chain, "needsChain", FIELD_BOOL, 0),
    FIELD_OF(struct unpack_report, hides_all, "hidesAll", FIELD_BOOL, 0),
    FIELD_OF(struct unpack_report, orphans, "orphans", FIELD_STRINGS, 0),
    FIELD_OF(struct unpack_report, whiteouts, "whiteouts", FIELD_STRINGS, 0),
    FIELD_OF(struct unpack_report, below, "below", FIELD_STRINGS, 0),
    FIELD_OF(struct unpack_report, disk_bytes, "diskBytes", FIELD_U64, 0),
    FIELD_OF(struct unpack_report, tree_entries, "treeEntries", FIELD_U64, 0),
    FIELD_OF(struct unpack_report, tree_bytes, "treeBytes", FIELD_U64, 0),
    FIELD_OF(struct unpack_report, tree_whiteouts, "treeWhiteouts", FIELD_U64, 0),
    { 0 },
};

const struct object unpack_report_object = { unpack_report_fields, sizeof(struct unpack_report),
                                             0 };
