#include "image/kernel_fields.h"

static const struct field kernel_fields[] = {
    FIELD_OF(struct kernel, name, "name", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct kernel, release, "release", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct kernel, source, "source", FIELD_STRING, 0),
    FIELD_OF(struct kernel, digest, "digest", FIELD_STRING, 0),
    FIELD_OF(struct kernel, created, "created", FIELD_STRING, 0),
    { 0 },
};
const struct object kernel_object = { kernel_fields, sizeof(struct kernel), 0 };
