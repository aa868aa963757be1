#include "cgroups/cgroup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"

#define FIRST_WAIT_MS 100 /* for what stops as soon as it is told to */

/* Freezing. The v1 controller has to be asked again and again (its state stays FREEZING until
 * somebody looks); v2 tells the change by an event. See the kernel's
 * admin-guide/cgroup-v1/freezer-subsystem.rst and cgroup-v2.rst, "cgroup.freeze". */

static const struct cgroup_hierarchy *find_freezer(const struct cgroup *cgroup)
{
    return cgroup_system_find(cgroup->system, CGROUP_FREEZER);
}

static int fail(struct error *err, int r, const struct cgroup *cgroup, const char *step)
{
    if (r == -ENOENT || r == -ENODEV) /* the latter: removed while its file was open */
        return error_set(err, ENOENT, "%s cgroup %s: it does not exist", step, cgroup->path);
    errno = -r;
    return error_errno(err, "%s cgroup %s", step, cgroup->path);
}

static int no_freezer(struct error *err, const struct cgroup *cgroup)
{
    if (cgroup_system_has_left_out(cgroup->system, CGROUP_FREEZER))
        return error_set(
            err, EOPNOTSUPP,
            "cannot freeze cgroup %s: this user has no right to it in the hierarchy of "
            "the freezer",
            cgroup->path);
    return error_set(err, EOPNOTSUPP,
                     "cannot freeze cgroup %s: no freezer is mounted below /sys/fs/cgroup",
                     cgroup->path);
}

int cgroup_is_frozen(struct cgroup *cgroup, struct error *err)
{
    const struct cgroup_hierarchy *hierarchy = find_freezer(cgroup);
    auto_free char *text = NULL;
    uint64_t frozen = 0;
    int r;

    if (hierarchy == NULL)
        return no_freezer(err, cgroup);
    r = cgroup_file_read(cgroup, hierarchy, hierarchy->is_v2 ? "cgroup.events" : "freezer.state",
                         &text);
    if (r < 0)
        return fail(err, r, cgroup, "read the frozen state of");
    if (!hierarchy->is_v2)
        return text_equal(text, "FROZEN");
    return cgroup_text_u64(text, "frozen", &frozen) && frozen == 1;
}

static int thaw(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy)
{
    if (hierarchy->is_v2)
        return cgroup_file_write(cgroup, hierarchy, "cgroup.freeze", "0");
    return cgroup_file_write(cgroup, hierarchy, "freezer.state", "THAWED");
}

/* There is no event to wait for on v1, so this sleeps and looks again, for at most
 * CGROUP_WAIT_US. Writing FROZEN again catches processes that were forked meanwhile. */
static int freeze_v1(struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy)
{
    uint64_t elapsed_us = 0;
    int r;

    do {
        r = cgroup_file_write(cgroup, hierarchy, "freezer.state", "FROZEN");
        if (r < 0)
            return r;
        r = cgroup_is_frozen(cgroup, NULL);
        if (r != 0)
            return r < 0 ? r : 0;
    } while (cgroup_pause(&elapsed_us));
    return -EBUSY;
}

static int read_frozen(int events_fd)
{
    char text[256];
    ssize_t length = pread(events_fd, text, sizeof(text) - 1, 0);
    uint64_t frozen = 0;

    if (length < 0)
        return -errno;
    text[length] = '\0';
    return cgroup_text_u64(text, "frozen", &frozen) && frozen == 1;
}

/* Kernel threads are never frozen, yet v2 counts them among what has to be: KVM puts one
 * (kvm-nx-lpage-recovery) into the cgroup of each process that runs a machine, up to Linux 6.13. So
 * they go to the hierarchy's root, and the cgroup, which does not notice that, is frozen anew. */
static int freeze_without_kernel_threads(struct cgroup *cgroup,
                                         const struct cgroup_hierarchy *hierarchy)
{
    auto_free pid_t *pids = NULL;
    bool is_moved = false;
    size_t count = 0;
    int r;

    r = cgroup_pids(cgroup, &pids, &count, NULL);
    for (size_t i = 0; r == 0 && i < count; i++) {
        char text[16];

        if (!process_is_kernel_thread(pids[i]))
            continue;
        (void)snprintf(text, sizeof(text), "%d", pids[i]);
        r = file_write_kernel(hierarchy->fd, "cgroup.procs", text, NULL);
        is_moved = true;
    }
    if (r < 0 || !is_moved)
        return r;
    r = cgroup_file_write(cgroup, hierarchy, "cgroup.freeze", "0");
    if (r < 0)
        return r;
    return cgroup_file_write(cgroup, hierarchy, "cgroup.freeze", "1");
}

static int freeze_v2(struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy)
{
    auto_close int fd = -1;
    int wait_ms = FIRST_WAIT_MS;
    int r;

    r = cgroup_file_open(cgroup, hierarchy, "cgroup.events", O_RDONLY);
    if (r < 0)
        return r;
    fd = r;
    r = cgroup_file_write(cgroup, hierarchy, "cgroup.freeze", "1");
    if (r < 0)
        return r;
    for (;;) {
        struct pollfd wait = { .fd = fd, .events = POLLPRI };

        r = read_frozen(fd);
        if (r != 0)
            return r < 0 ? r : 0;
        r = poll(&wait, 1, wait_ms);
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r != 0)
            continue;
        if (wait_ms != FIRST_WAIT_MS)
            return -EBUSY;
        wait_ms = CGROUP_WAIT_US / 1000;
        r = freeze_without_kernel_threads(cgroup, hierarchy);
        if (r < 0)
            return r;
    }
}

int cgroup_freeze(struct cgroup *cgroup, struct error *err)
{
    const struct cgroup_hierarchy *hierarchy = find_freezer(cgroup);
    int r;

    assert(cgroup != NULL);

    if (hierarchy == NULL)
        return no_freezer(err, cgroup);
    r = cgroup_check_not_own(cgroup, err);
    if (r < 0)
        return r;
    r = hierarchy->is_v2 ? freeze_v2(cgroup, hierarchy) : freeze_v1(cgroup, hierarchy);
    if (r == 0)
        return 0;
    (void)thaw(cgroup, hierarchy); /* the failure to tell is the first one */
    if (r == -EBUSY)
        return error_set(err, EBUSY, "freeze cgroup %s: a process did not stop within %u s",
                         cgroup->path, CGROUP_WAIT_US / 1000000);
    return fail(err, r, cgroup, "freeze");
}

int cgroup_thaw(struct cgroup *cgroup, struct error *err)
{
    const struct cgroup_hierarchy *hierarchy = find_freezer(cgroup);
    int r;

    assert(cgroup != NULL);

    if (hierarchy == NULL)
        return no_freezer(err, cgroup);
    r = thaw(cgroup, hierarchy);
    return r < 0 ? fail(err, r, cgroup, "thaw") : 0;
}
