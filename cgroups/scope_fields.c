#include "cgroups/scope.h"

static const struct field property_fields[] = {
    FIELD_OF(struct scope_property, name, "name", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct scope_property, signature, "signature", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct scope_property, values, "values", FIELD_STRINGS, 0),
    FIELD_OF(struct scope_property, is_optional, "isOptional", FIELD_BOOL, 0),
    { 0 },
};
static const struct object property_object = { property_fields, sizeof(struct scope_property), 0 };

static const struct field request_fields[] = {
    FIELD_OF(struct scope_request, action, "action", FIELD_U32, FIELD_REQUIRED),
    FIELD_OF(struct scope_request, unit, "unit", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct scope_request, description, "description", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct scope_request, is_user, "isUser", FIELD_BOOL, 0),
    FIELD_OBJECT(struct scope_request, properties, "properties", FIELD_STRUCT, &property_object,
                 FIELD_ARRAY),
    { 0 },
};
const struct object scope_request_object = { request_fields, sizeof(struct scope_request),
                                             OBJECT_REFUSE_UNKNOWN };

static const struct field properties_fields[] = {
    FIELD_OBJECT(struct scope_properties, items, "items", FIELD_STRUCT, &property_object,
                 FIELD_ARRAY),
    { 0 },
};
static const struct object properties_object = { properties_fields, sizeof(struct scope_properties),
                                                 0 };

void scope_properties_clear(struct scope_properties *properties)
{
    object_clear(&properties_object, properties);
}
