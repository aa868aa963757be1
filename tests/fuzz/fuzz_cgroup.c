#include "cgroups/cgroup.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A cgroup path from config.json, and the text of /proc/self/mountinfo. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *text = xstrndup((const char *)data, size);
    auto_free char *mount = cgroup_mount_find(text, "/sys/fs/cgroup", "cpu,cpuacct");
    auto_free char *path = NULL;

    if (mount != NULL)
        assert(strchr(mount, '/') == NULL);
    if (cgroup_path_parse(text, &path, NULL) == 0) {
        assert(path[0] == '/' && path[1] != '\0' && path[1] != '/');
        assert(strstr(path, "/../") == NULL && strlen(path) < CGROUP_PATH_MAX);
    }
    return 0;
}
