#include "unionfs/unpack_report.h"

#include "unionfs/layer_path.h"

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
    FIELD_OF(struct unpack_report, has_no_links, "noLinks", FIELD_BOOL, 0),
    { 0 },
};

const struct object unpack_report_object = { unpack_report_fields, sizeof(struct unpack_report),
                                             0 };

void unpack_report_take(struct unpack_report *report, const struct unpack_result *result)
{
    report->diff_id = xstrdup(result->diff_id.text);
    report->bytes = result->bytes;
    report->entries = result->entries;
    report->needs_chain = result->needs_chain;
    report->hides_all = result->hides_all;
    report->devices_left_out = result->devices_left_out;
    for (size_t i = 0; i < result->orphans.count; i++)
        strings_take(&report->orphans, layer_path_escape(result->orphans.items[i]));
    for (size_t i = 0; i < result->whiteouts.count; i++)
        strings_take(&report->whiteouts, layer_path_escape(result->whiteouts.items[i]));
}
