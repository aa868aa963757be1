#include "cgroups/cgroups.h"

#include <assert.h>
#include <errno.h>

static const char *const names[] = {
    [CGROUP_MANAGER_CGROUPFS] = "cgroupfs",
    [CGROUP_MANAGER_SYSTEMD] = "systemd",
    [CGROUP_MANAGER_DISABLED] = "disabled",
};

const char *cgroup_manager_name(enum cgroup_manager manager)
{
    return names[manager];
}

int cgroup_manager_parse(const char *text, enum cgroup_manager *ret_manager, struct error *err)
{
    assert(text != NULL);
    assert(ret_manager != NULL);

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (text_equal(text, names[i])) {
            *ret_manager = (enum cgroup_manager)i;
            return 0;
        }
    }
    return error_set(err, EINVAL,
                     "unknown cgroup manager '%s': there are cgroupfs, systemd and disabled", text);
}
