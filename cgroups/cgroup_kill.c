#include "cgroups/cgroup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* Finding, signalling and removing everything in a cgroup.
 *
 * A list of pids is old as soon as it is read: a process may fork, end, or its pid be used again.
 * So the kernel's own cgroup.kill comes first; else the group is frozen while it is signalled, and
 * thawed on every way out. */

struct pid_list {
    pid_t *items;
    size_t count;
};

static int add_pids(int parent_fd, const char *name, void *data)
{
    struct pid_list *list = data;
    auto_free char *file = xasprintf("%s/cgroup.procs", name);
    auto_free char *text = NULL;
    int r;

    r = file_read_kernel(parent_fd, file, &text, NULL);
    /* Removed meanwhile; or a threaded v2 cgroup, whose processes its domain lists. */
    if (r == -ENOENT || r == -ENODEV || r == -EOPNOTSUPP)
        return 0;
    if (r < 0)
        return r;
    for (char *p = text, *end; *p != '\0'; p = end) {
        long pid = strtol(p, &end, 10);

        if (end == p)
            break;
        if (pid <= 0) /* 0: a process of another pid namespace, which cannot be named here */
            continue;
        list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
        list->items[list->count++] = (pid_t)pid;
    }
    return 0;
}

int cgroup_pids(struct cgroup *cgroup, pid_t **ret_pids, size_t *ret_count, struct error *err)
{
    const struct cgroup_hierarchy *hierarchy = cgroup_system_main(cgroup->system);
    struct pid_list list = { 0 };
    int r;

    assert(ret_pids != NULL);
    assert(ret_count != NULL);

    r = cgroup_walk(hierarchy->fd, cgroup->relative, add_pids, &list);
    if (r < 0) {
        free(list.items);
        errno = -r;
        return error_errno(err, "list the processes of cgroup %s", cgroup->path);
    }
    *ret_pids = list.items;
    *ret_count = list.count;
    return 0;
}

/* Signals what is in the cgroup now. Returns how many there were. */
static int signal_pids(struct cgroup *cgroup, int signal, struct error *err)
{
    auto_free pid_t *pids = NULL;
    size_t count;
    int r;

    r = cgroup_pids(cgroup, &pids, &count, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        if (kill(pids[i], signal) < 0 && errno != ESRCH && r == 0)
            r = error_errno(err, "send signal %d to process %d of cgroup %s", signal, (int)pids[i],
                            cgroup->path);
    return r < 0 ? r : (int)count;
}

/* Without a freezer: again until nobody is left, because what forks may be missed once. */
static int kill_repeatedly(struct cgroup *cgroup, struct error *err)
{
    uint64_t elapsed_us = 0;
    int r;

    do {
        r = signal_pids(cgroup, SIGKILL, err);
        if (r <= 0)
            return r;
    } while (cgroup_pause(&elapsed_us));
    return error_set(err, EBUSY, "kill cgroup %s: %d processes did not end", cgroup->path, r);
}

static int signal_frozen(struct cgroup *cgroup, int signal, struct error *err)
{
    int was_frozen = cgroup_is_frozen(cgroup, NULL);
    struct error ignored;
    int r, thawed = 0;

    if (was_frozen == -ENOENT)
        return 0; /* no cgroup, no processes */
    if (was_frozen < 0)
        return signal == SIGKILL ? kill_repeatedly(cgroup, err) : signal_pids(cgroup, signal, err);
    /* When freezing fails the processes are signalled all the same; only forks may be missed. */
    if (was_frozen == 0)
        (void)cgroup_freeze(cgroup, &ignored);
    r = signal_pids(cgroup, signal, err);
    /* A frozen process of v1 dies only when it is thawed; for other signals a pause stays one. */
    if (was_frozen == 0 || signal == SIGKILL)
        thawed = cgroup_thaw(cgroup, r < 0 ? NULL : err);
    if (thawed == -ENOENT) /* whoever waits for its last process has removed it meanwhile */
        thawed = 0;
    return r < 0 ? r : thawed;
}

/* 1: the kernel did it, 0: it cannot here */
static int kill_by_kernel(struct cgroup *cgroup, struct error *err)
{
    const struct cgroup_hierarchy *v2 = cgroup_system_v2(cgroup->system);
    const struct cgroup_hierarchy *freezer = cgroup_system_find(cgroup->system, CGROUP_FREEZER);
    int r;

    if (v2 == NULL || cgroup_file_write(cgroup, v2, "cgroup.kill", "1") < 0)
        return 0;
    if (freezer == v2 || freezer == NULL)
        return 1;
    r = cgroup_thaw(cgroup, err);
    return r < 0 && r != -ENOENT ? r : 1;
}

int cgroup_signal(struct cgroup *cgroup, int signal, struct error *err)
{
    int r;

    assert(cgroup != NULL);
    assert(signal > 0);

    r = cgroup_check_not_own(cgroup, err);
    if (r < 0)
        return r;
    if (signal == SIGKILL) {
        r = kill_by_kernel(cgroup, err);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    r = signal_frozen(cgroup, signal, err);
    return r < 0 ? r : 0;
}

/* A cgroup that is still in use is told by *data, and the walk goes on with the others. */
static int remove_one(int parent_fd, const char *name, void *data)
{
    bool *is_busy = data;

    if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY && errno != ENOTEMPTY)
        return -errno;
    *is_busy = true;
    return 0;
}

/* One round through all hierarchies. Returns 1 when something is left, 0, or a negative errno. */
static int remove_all(const struct cgroup *cgroup)
{
    const struct cgroup_hierarchy *hierarchies;
    bool is_busy = false;
    size_t count;
    int result = 0;

    hierarchies = cgroup_system_hierarchies(cgroup->system, &count);
    for (size_t i = 0; i < count; i++) {
        bool is_left = false;
        int r = 0;

        if (hierarchies[i].fd < 0)
            continue;
        r = remove_one(hierarchies[i].fd, cgroup->relative, &is_left);
        if (is_left) { /* by nested groups or by processes */
            is_left = false;
            r = cgroup_walk(hierarchies[i].fd, cgroup->relative, remove_one, &is_left);
        }
        is_busy = is_busy || is_left;
        if (r < 0 && result == 0)
            result = r;
    }
    return result < 0 ? result : is_busy;
}

int cgroup_delete(struct cgroup *cgroup, struct error *err)
{
    uint64_t elapsed_us = 0;
    int r;

    assert(cgroup != NULL);

    /* Mostly its processes have ended, and one call for each hierarchy does it. Otherwise they are
     * killed; a process that is in the kernel ends some time later. A cgroup cannot be waited for
     * on v1, and its processes need not be our children, so this looks again, with growing pauses,
     * for at most CGROUP_WAIT_US. */
    for (;;) {
        r = remove_all(cgroup);
        if (r <= 0)
            break;
        if (elapsed_us == 0 || elapsed_us > CGROUP_WAIT_US / 2)
            r = cgroup_signal(cgroup, SIGKILL, err);
        if (r < 0)
            return error_prefix(err, r, "remove cgroup %s", cgroup->path);
        if (!cgroup_pause(&elapsed_us))
            return error_set(err, EBUSY, "remove cgroup %s: its processes did not end within %u s",
                             cgroup->path, CGROUP_WAIT_US / 1000000);
    }
    if (r < 0) {
        errno = -r;
        return error_errno(err, "remove cgroup %s", cgroup->path);
    }
    return 0;
}
