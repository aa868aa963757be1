#include "cgroups/cgroup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/file.h"

/* Out of memory: being told, and counting. See the kernel's admin-guide/cgroup-v1/memory.rst,
 * "OOM Control", and cgroup-v2.rst, "memory.events". */

static int find_memory(const struct cgroup *cgroup, const struct cgroup_hierarchy **ret_hierarchy,
                       struct error *err)
{
    const struct cgroup_hierarchy *hierarchy = cgroup_system_find(cgroup->system, CGROUP_MEMORY);

    if (hierarchy == NULL)
        return error_set(err, EOPNOTSUPP,
                         "cannot tell whether cgroup %s runs out of memory: no memory controller "
                         "is mounted below /sys/fs/cgroup",
                         cgroup->path);
    *ret_hierarchy = hierarchy;
    return 0;
}

static int watch_v1(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy)
{
    auto_close int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    auto_close int control_fd = -1;
    auto_free char *line = NULL;
    int r;

    if (event_fd < 0)
        return -errno;
    r = cgroup_file_open(cgroup, hierarchy, "memory.oom_control", O_RDONLY);
    if (r < 0)
        return r;
    control_fd = r;
    line = xasprintf("%d %d", event_fd, control_fd);
    r = cgroup_file_write(cgroup, hierarchy, "cgroup.event_control", line);
    return r < 0 ? r : take_fd(&event_fd);
}

static int watch_v2(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy)
{
    auto_close int inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    auto_close int file_fd = -1;
    char path[32];
    int r;

    if (inotify_fd < 0)
        return -errno;
    /* inotify takes paths only; through the descriptor it cannot be another file. */
    r = cgroup_file_open(cgroup, hierarchy, "memory.events", O_PATH);
    if (r < 0)
        return r;
    file_fd = r;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file_fd);
    if (inotify_add_watch(inotify_fd, path, IN_MODIFY) < 0)
        return -errno;
    return take_fd(&inotify_fd);
}

int cgroup_watch_oom(struct cgroup *cgroup, int *ret_fd, struct error *err)
{
    const struct cgroup_hierarchy *hierarchy = NULL;
    int r;

    assert(cgroup != NULL);
    assert(ret_fd != NULL);

    r = find_memory(cgroup, &hierarchy, err);
    if (r < 0)
        return r;
    r = hierarchy->is_v2 ? watch_v2(cgroup, hierarchy) : watch_v1(cgroup, hierarchy);
    if (r < 0) {
        errno = -r;
        return error_errno(err, "watch cgroup %s for running out of memory", cgroup->path);
    }
    *ret_fd = r;
    return 0;
}

/* v1 counts a kill where the process was, not in the groups above. */
static int add_kills(int parent_fd, const char *name, void *data)
{
    uint64_t *sum = data;
    auto_free char *file = xasprintf("%s/memory.oom_control", name);
    auto_free char *text = NULL;
    uint64_t kills = 0;
    int r;

    r = file_read_kernel(parent_fd, file, &text, NULL);
    if (r < 0)
        return r == -ENOENT || r == -ENODEV ? 0 : r;
    if (cgroup_text_u64(text, "oom_kill", &kills))
        *sum += kills;
    return 0;
}

int cgroup_oom_kills(struct cgroup *cgroup, uint64_t *ret_count, struct error *err)
{
    const struct cgroup_hierarchy *hierarchy = NULL;
    auto_free char *text = NULL;
    uint64_t count = 0;
    int r;

    assert(cgroup != NULL);
    assert(ret_count != NULL);

    r = find_memory(cgroup, &hierarchy, err);
    if (r < 0)
        return r;
    if (hierarchy->is_v2)
        r = cgroup_file_read(cgroup, hierarchy, "memory.events", &text);
    else
        r = cgroup_walk(hierarchy->fd, cgroup->relative, add_kills, &count);
    if (r < 0) {
        errno = -r;
        return error_errno(err, "count the processes killed in cgroup %s", cgroup->path);
    }
    if (text != NULL)
        (void)cgroup_text_u64(text, "oom_kill", &count); /* absent: none */
    *ret_count = count;
    return 0;
}

int cgroup_oom_check(struct cgroup *cgroup, bool is_told, uint64_t *kills, struct error *err)
{
    const struct cgroup_hierarchy *hierarchy = NULL;
    auto_free char *text = NULL;
    uint64_t count = 0;
    int r;

    assert(cgroup != NULL);
    assert(kills != NULL);

    r = find_memory(cgroup, &hierarchy, err);
    if (r < 0)
        return r;
    /* v1 wakes before it kills, or when it may not kill at all; and when the cgroup goes, whose
     * files are then gone already (cgroup-v1/memory.rst, "OOM Control"). */
    if (!hierarchy->is_v2)
        return is_told && cgroup_file_read(cgroup, hierarchy, "memory.oom_control", &text) == 0;
    /* v2 wakes for every line of memory.events, from a work queue of the kernel's. */
    if (cgroup_oom_kills(cgroup, &count, NULL) < 0 || count <= *kills)
        return 0;
    *kills = count;
    return 1;
}
