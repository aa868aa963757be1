/* Any bytes as linux.cgroupsPath (first line) and as the value of an annotation
 * org.systemd.property.* (the rest): what is accepted is a unit name, and a value of one D-Bus
 * type. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/scope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_name(const char *path)
{
    auto_free char *slice = NULL;
    auto_free char *unit = NULL;
    auto_free char *slice_path = NULL;
    struct error err = { 0 };

    if (scope_name_parse(path, "id", false, &slice, &unit, &err) < 0) {
        assert(err.message[0] != '\0' && slice == NULL && unit == NULL);
        return;
    }
    assert(strchr(unit, '/') == NULL && text_ends(unit, ".scope"));
    assert(scope_slice_path(slice, &slice_path, NULL) == 0);
    assert(slice_path[0] == '/' && strstr(slice_path, "/../") == NULL);
}

static void plan_annotation(const char *name, const char *value)
{
    AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };
    AUTO_CLEAR(string_map) struct string_map annotations = { 0 };
    struct error err = { 0 };

    string_map_set(&annotations, name, value);
    if (scope_annotations_plan(&annotations, &properties, &err) < 0) {
        assert(err.message[0] != '\0');
        return;
    }
    assert(properties.count == 1);
    assert(properties.items[0].signature[0] == 'a' || properties.items[0].values.count == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *text = xstrndup((const char *)data, size);
    char *value = strchr(text, '\n');

    if (value != NULL)
        *value++ = '\0';
    parse_name(text);
    plan_annotation("org.systemd.property.Any", value != NULL ? value : text);
    plan_annotation("org.systemd.property.TimeoutStopSec", value != NULL ? value : text);
    return 0;
}
