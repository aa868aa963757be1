#include "engine/volumes.h"

#include "engine/engine_private.h"

/* The document of `docker volume inspect`. */

#define MEMBER(member_, name_, flags_)                                                             \
    FIELD_OF(struct volume_view, member_, name_, FIELD_STRING, FIELD_KEEP_EMPTY | (flags_))

static const struct field volume_fields[] = {
    MEMBER(created, "CreatedAt", 0),
    MEMBER(driver, "Driver", 0),
    MEMBER(labels, "Labels", FIELD_NULLABLE),
    MEMBER(mountpoint, "Mountpoint", 0),
    MEMBER(name, "Name", 0),
    MEMBER(options, "Options", FIELD_NULLABLE),
    MEMBER(scope, "Scope", 0),
    { 0 },
};
const struct object volume_view_object = { volume_fields, sizeof(struct volume_view), 0 };
