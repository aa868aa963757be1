#include "engine/volumes.h"

#include "engine/engine_private.h"

/* Tables of a volume's record, and of the document of `docker volume inspect`. */

static const struct field record_fields[] = {
    FIELD_OF(struct volume_view, labels, "labels", FIELD_MAP, 0),
    { 0 },
};
const struct object volume_record_object = { record_fields, sizeof(struct volume_view), 0 };

#define MEMBER(member_, name_, type_, flags_)                                                      \
    FIELD_OF(struct volume_view, member_, name_, type_, FIELD_KEEP_EMPTY | (flags_))

static const struct field volume_fields[] = {
    MEMBER(created, "CreatedAt", FIELD_STRING, 0),
    MEMBER(driver, "Driver", FIELD_STRING, 0),
    MEMBER(labels, "Labels", FIELD_MAP, FIELD_NULLABLE),
    MEMBER(mountpoint, "Mountpoint", FIELD_STRING, 0),
    MEMBER(name, "Name", FIELD_STRING, 0),
    MEMBER(options, "Options", FIELD_STRING, FIELD_NULLABLE),
    MEMBER(scope, "Scope", FIELD_STRING, 0),
    { 0 },
};
const struct object volume_view_object = { volume_fields, sizeof(struct volume_view), 0 };
