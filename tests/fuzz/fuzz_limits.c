/* Any bytes as linux.resources: what is accepted is planned for each layout. Each write goes
 * to a file of the cgroup itself. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "cgroups/cgroups.h"
#include "cgroups/device_filter.h"
#include "cgroups/scope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define V1_ALL        ((1u << CGROUP_UNIFIED) - 1)
#define V1_NO_HUGETLB (V1_ALL & ~(1u << CGROUP_HUGETLB))

static void plan_limits(const struct cgroup_resources *resources, unsigned v1_controllers)
{
    struct cgroup_writes writes = { 0 };
    struct error err = { 0 };

    if (cgroup_limits_plan(resources, v1_controllers, &writes, &err) < 0) {
        assert(err.message[0] != '\0' && writes.count == 0);
        return;
    }
    for (size_t i = 0; i < writes.count; i++) {
        const struct cgroup_write *write = &writes.items[i];

        assert(write->file[0] != '\0' && write->file[0] != '.');
        assert(strchr(write->file, '/') == NULL);
        assert(write->controller < CGROUP_CONTROLLER_COUNT);
    }
    cgroup_writes_clear(&writes);
}

static void plan_devices(const struct cgroup_device_rules *rules)
{
    AUTO_CLEAR(device_writes) struct device_writes writes = { 0 };
    AUTO_CLEAR(device_program) struct device_program program = { 0 };
    struct error err = { 0 };

    if (device_filter_plan_v1(rules, &writes, &err) < 0)
        assert(err.message[0] != '\0' && writes.count == 0);
    if (device_filter_plan_v2(rules, &program, &err) < 0)
        assert(err.message[0] != '\0' && program.count == 0);
    for (size_t i = 0; i < writes.count; i++)
        assert(writes.items[i].value[0] != '\0' && strchr(writes.items[i].value, '\n') == NULL);
}

static void plan_scope(const struct cgroup_resources *resources, bool is_v2)
{
    AUTO_CLEAR(scope_properties) struct scope_properties properties = { 0 };
    struct error err = { 0 };

    if (scope_resources_plan(resources, is_v2, &properties, &err) < 0)
        assert(err.message[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cgroup_resources resources = { 0 };

    if (decode_text(&cgroup_resources_object, (const char *)data, size, &resources, "resources",
                    NULL) < 0)
        return 0;
    plan_limits(&resources, V1_ALL);
    plan_limits(&resources, V1_NO_HUGETLB);
    plan_limits(&resources, 0);
    plan_devices(&resources.devices);
    plan_scope(&resources, false);
    plan_scope(&resources, true);
    object_clear(&cgroup_resources_object, &resources);
    return 0;
}
