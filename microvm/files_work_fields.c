#include "microvm/files_work.h"

static const struct field inner_files_fields[] = {
    FIELD_OF(struct inner_files, work, "work", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct inner_files, path, "path", FIELD_STRING, 0),
    FIELD_OF(struct inner_files, other, "other", FIELD_STRING, 0),
    FIELD_OF(struct inner_files, follows, "follows", FIELD_BOOL, 0),
    FIELD_OF(struct inner_files, keeps_owners, "keeps_owners", FIELD_BOOL, 0),
    FIELD_OF(struct inner_files, pauses, "pauses", FIELD_BOOL, 0),
    FIELD_OF(struct inner_files, latest, "latest", FIELD_I64, 0),
    FIELD_OF(struct inner_files, mount_points, "mount_points", FIELD_STRINGS, 0),
    { 0 },
};
const struct object inner_files_object = { inner_files_fields, sizeof(struct inner_files), 0 };
