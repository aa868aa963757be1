#include "runtime/container.h"

#include <stdlib.h>
#include <string.h>

/* The device rules that every container gets behind those of its spec. */

/* Devices every container may use, after the rules of its spec, as runc appends them: any node may
 * be made; the default nodes, terminals and tun may be opened. */
static const struct cgroup_device_rule default_rules[] = {
    { .allow = true, .type = (char *)"c", .access = (char *)"m" },
    { .allow = true, .type = (char *)"b", .access = (char *)"m" },
#define RULE(major_, minor_)                                                                       \
    {                                                                                              \
        .allow = true, .type = (char *)"c", .has_major = true, .has_minor = (minor_) >= 0,         \
        .major = (major_), .minor = (minor_), .access = (char *)"rwm"                              \
    }
    RULE(1, 3),
    RULE(1, 5),
    RULE(1, 7),
    RULE(1, 8),
    RULE(1, 9),
    RULE(5, 0),
    RULE(5, 2),
    RULE(136, -1),
    RULE(10, 200),
};

struct cgroup_resources *resources_with_default_devices(const struct cgroup_resources *given)
{
    struct cgroup_resources *resources = xcalloc(1, sizeof(*resources));
    size_t count;

    if (given != NULL)
        *resources = *given;
    count = resources->devices.count;
    if (count == 0)
        return resources; /* no rules: every device, as before */
    resources->devices.items =
        xcalloc(count + ARRAY_SIZE(default_rules), sizeof(struct cgroup_device_rule));
    memcpy(resources->devices.items, given->devices.items,
           count * sizeof(struct cgroup_device_rule));
    memcpy(resources->devices.items + count, default_rules, sizeof(default_rules));
    resources->devices.count = count + ARRAY_SIZE(default_rules);
    return resources;
}

void resources_free_shallow(struct cgroup_resources *resources)
{
    if (resources == NULL)
        return;
    if (resources->devices.count > 0)
        free(resources->devices.items);
    free(resources);
}
