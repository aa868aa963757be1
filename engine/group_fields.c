#include "engine/group.h"

/* The table of a group's record. */

static const struct field group_fields[] = {
    FIELD_OF(struct group, name, "name", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OBJECT(struct group, settings, "settings", FIELD_STRUCT, &settings_object,
                 FIELD_REQUIRED),
    { 0 },
};
const struct object group_object = { group_fields, sizeof(struct group), 0 };
