#include "cli/oci_events.h"

static const struct field event_fields[] = {
    FIELD_OF(struct event, type, "type", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OF(struct event, id, "id", FIELD_STRING, FIELD_KEEP_EMPTY),
    FIELD_OBJECT(struct event, data, "data", FIELD_POINTER, &cgroup_details_object, 0),
    { 0 },
};
const struct object event_object = { event_fields, sizeof(struct event), 0 };
