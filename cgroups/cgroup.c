#include "cgroups/cgroup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cgroups/domain.h"

/* Creating and entering a cgroup in nine hierarchies is a large part of starting a container, so
 * each hierarchy costs one mkdirat(2) and one open, write and close; parents are only looked at
 * when the kernel says that one is missing. */

static int add_component(struct text *path, const char *start, size_t length, struct error *err)
{
    auto_free char *name = xstrndup(start, length);

    if (text_equal(name, "."))
        return 0;
    if (text_equal(name, ".."))
        return error_set(err, EINVAL, "a cgroup path must not contain '..'");
    if (length > 255)
        return error_set(err, EINVAL, "a cgroup's name must not be longer than 255 bytes");
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 127)
            return error_set(err, EINVAL, "cgroup path '%s' contains a control character", name);
    text_addf(path, "/%s", name);
    return 0;
}

int cgroup_path_parse(const char *path, char **ret_path, struct error *err)
{
    AUTO_CLEAR(text) struct text clean = { 0 };

    assert(path != NULL);
    assert(ret_path != NULL);

    for (const char *p = path; *p != '\0';) {
        size_t length = strcspn(p, "/");
        int r = length > 0 ? add_component(&clean, p, length, err) : 0;

        if (r < 0)
            return r;
        p += length;
        p += strspn(p, "/");
    }
    if (clean.length == 0)
        return error_set(err, EINVAL, "cgroup path '%s' names no cgroup below the root", path);
    if (clean.length > CGROUP_PATH_MAX - 1)
        return error_set(err, EINVAL, "the cgroup path is longer than %d bytes",
                         CGROUP_PATH_MAX - 1);
    *ret_path = text_take(&clean);
    return 0;
}

static int allocate(struct cgroup_system *system, const char *path, struct cgroup **ret_cgroup,
                    struct error *err)
{
    auto_free char *clean = NULL;
    struct cgroup *cgroup;
    int r;

    assert(system != NULL);
    assert(ret_cgroup != NULL);

    r = cgroup_path_parse(path, &clean, err);
    if (r < 0)
        return r;
    if (cgroup_system_layout(system) == CGROUP_LAYOUT_NONE)
        return error_set(err, EOPNOTSUPP, "no cgroup hierarchy is mounted below /sys/fs/cgroup");
    cgroup = xcalloc(1, sizeof(*cgroup));
    cgroup->system = system;
    cgroup->path = take_ptr(&clean);
    cgroup->relative = cgroup->path + 1;
    cgroup->clone_fd = -1;
    *ret_cgroup = cgroup;
    return 0;
}

void cgroup_free(struct cgroup *cgroup)
{
    if (cgroup == NULL)
        return;
    if (cgroup->clone_fd >= 0)
        close(cgroup->clone_fd);
    free(cgroup->path);
    free(cgroup);
}

const char *cgroup_path(const struct cgroup *cgroup)
{
    return cgroup->path;
}

/* What cpuset.cpus or cpuset.mems of @path ("": the root) holds; when it is empty, that of its
 * parent is copied there first: on v1 a cpuset without CPUs takes no processes (cpuset(7)).
 *
 * @is_new  known to be empty: it need not be read */
static int cpuset_inherit_file(int fd, const char *path, const char *file, bool is_new,
                               char **ret_value)
{
    auto_free char *own_file = path[0] == '\0' ? xstrdup(file) : xasprintf("%s/%s", path, file);
    auto_free char *value = NULL;
    auto_free char *parent = NULL;
    const char *slash = strrchr(path, '/');
    int r = 0;

    if (!is_new)
        r = file_read_piece(fd, own_file, &value, NULL);
    if (r == 0 && (is_new || value[0] == '\0') && path[0] != '\0') {
        parent = slash != NULL ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");
        free(take_ptr(&value));
        r = cpuset_inherit_file(fd, parent, file, false, &value);
        if (r == 0)
            r = file_write_kernel(fd, own_file, value, NULL);
    }
    if (r < 0)
        return r;
    *ret_value = take_ptr(&value);
    return 0;
}

static int cpuset_inherit(int fd, const char *path)
{
    auto_free char *cpus = NULL;
    auto_free char *mems = NULL;
    int r = cpuset_inherit_file(fd, path, "cpuset.cpus", true, &cpus);

    return r < 0 ? r : cpuset_inherit_file(fd, path, "cpuset.mems", true, &mems);
}

static bool is_v1_cpuset(const struct cgroup_hierarchy *hierarchy)
{
    return !hierarchy->is_v2 && cgroup_list_contains(hierarchy->controllers, ',', "cpuset");
}

/* Makes the parents of @relative. Parents in a v1 cpuset hierarchy get cgroup.clone_children, which
 * lets the kernel itself fill the cpusets that are made below later. */
static int make_parents(const struct cgroup_hierarchy *hierarchy, const char *relative)
{
    for (const char *slash = strchr(relative, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        auto_free char *parent = xstrndup(relative, (size_t)(slash - relative));
        auto_free char *flag = NULL;
        int r;

        if (mkdirat(hierarchy->fd, parent, 0755) < 0) {
            if (errno != EEXIST)
                return -errno;
            continue;
        }
        if (!is_v1_cpuset(hierarchy))
            continue;
        r = cpuset_inherit(hierarchy->fd, parent);
        if (r < 0)
            return r;
        flag = xasprintf("%s/cgroup.clone_children", parent);
        /* Without it the cpusets below are filled one by one. */
        (void)file_write_kernel(hierarchy->fd, flag, "1", NULL);
    }
    return 0;
}

/* A new cpuset below one of our own parents is full already, which one read tells; one at the top
 * need not be read. */
static int fill_cpuset(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy)
{
    auto_free char *cpus = NULL;
    int r = 0;

    if (strchr(cgroup->relative, '/') != NULL)
        r = cgroup_file_read(cgroup, hierarchy, "cpuset.cpus", &cpus);
    if (r < 0 || (cpus != NULL && cpus[0] != '\0'))
        return r;
    return cpuset_inherit(hierarchy->fd, cgroup->relative);
}

/* 1: made, 0: was there */
static int create_in(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy)
{
    int r;

    if (mkdirat(hierarchy->fd, cgroup->relative, 0755) == 0)
        return 1;
    if (errno == ENOENT) {
        r = make_parents(hierarchy, cgroup->relative);
        if (r < 0)
            return r;
        if (mkdirat(hierarchy->fd, cgroup->relative, 0755) == 0)
            return 1;
    }
    return errno == EEXIST ? 0 : -errno;
}

/* A cgroup that is there may be a leftover, and is used again; never one that is in use. */
static int check_unused(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                        struct error *err)
{
    auto_free char *pids = NULL;
    int r;

    r = cgroup_file_read(cgroup, hierarchy, "cgroup.procs", &pids);
    if (r == -EOPNOTSUPP)
        return cgroup_explain_refusal(cgroup, r, err);
    if (r < 0)
        return 0; /* entering it will say what is wrong with it */
    if (pids[0] != '\0')
        return error_set(err, EEXIST, "cgroup %s exists and has processes", cgroup->path);
    return 0;
}

/* A frozen leftover would stop the first process that enters it, for ever. */
static int check_not_frozen(struct cgroup *cgroup, struct error *err)
{
    int r = cgroup_is_frozen(cgroup, NULL);

    if (r > 0)
        return error_set(err, EBUSY, "container's cgroup unexpectedly frozen: '%s'", cgroup->path);
    return 0;
}

static void remove_made(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchies,
                        size_t count, uint64_t made)
{
    for (size_t i = 0; i < count; i++)
        if (made & (1ULL << i))
            (void)unlinkat(hierarchies[i].fd, cgroup->relative,
                           AT_REMOVEDIR); /* just made, empty */
}

static int create_step(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                       bool *ret_is_made, struct error *err)
{
    int r = create_in(cgroup, hierarchy);

    *ret_is_made = r == 1;
    if (r < 0 && cgroup_system_is_extra(cgroup->system, hierarchy))
        return 0;
    if (r == 0)
        return check_unused(cgroup, hierarchy, err);
    if (r > 0 && is_v1_cpuset(hierarchy))
        r = fill_cpuset(cgroup, hierarchy);
    if (r < 0) {
        errno = -r;
        return error_errno(err, "create cgroup %s in the hierarchy '%s'", cgroup->path,
                           hierarchy->is_v2 ? "unified" : hierarchy->controllers);
    }
    return 0;
}

/* On v2 a cgroup has the controllers that each cgroup above it passes on, cgroup-v2.rst,
 * "Top-down Constraint". */
static int inherit_v2_controllers(const struct cgroup *cgroup, struct error *err)
{
    const struct cgroup_hierarchy *v2 = cgroup_system_v2(cgroup->system);
    const char *all = cgroup_system_v2_controllers(cgroup->system);
    auto_free char *own = NULL;

    auto_free char *type = NULL;

    if (all[0] == '\0' || cgroup_file_read(cgroup, v2, "cgroup.controllers", &own) < 0 ||
        text_equal(own, all))
        return 0;
    cgroup_enable_controllers(cgroup, all);
    /* A place among threads lacks most controllers, so here is where it shows. */
    if (cgroup_file_read(cgroup, v2, "cgroup.type", &type) == 0 &&
        text_equal(type, "domain invalid"))
        return cgroup_explain_refusal(cgroup, -EOPNOTSUPP, err);
    return 0;
}

int cgroup_create(struct cgroup_system *system, const char *path, struct cgroup **ret_cgroup,
                  struct error *err)
{
    AUTO(cgroup) struct cgroup *cgroup = NULL;
    const struct cgroup_hierarchy *hierarchies;
    uint64_t made = 0;
    bool was_there = false;
    size_t count;
    int r;

    r = allocate(system, path, &cgroup, err);
    if (r < 0)
        return r;
    hierarchies = cgroup_system_hierarchies(system, &count);
    if (count > 64)
        return error_set(err, EOPNOTSUPP, "more than 64 cgroup hierarchies");
    for (size_t i = 0; i < count && r == 0; i++) {
        bool is_made = false;

        if (hierarchies[i].fd < 0)
            continue;
        r = create_step(cgroup, &hierarchies[i], &is_made, err);
        if (is_made)
            made |= 1ULL << i;
        else
            was_there = true;
    }
    if (r == 0 && was_there)
        r = check_not_frozen(cgroup, err);
    if (r == 0 && cgroup_system_layout(system) == CGROUP_LAYOUT_V2)
        r = inherit_v2_controllers(cgroup, err);
    if (r < 0) {
        remove_made(cgroup, hierarchies, count, made);
        return r;
    }
    *ret_cgroup = take_ptr(&cgroup);
    return 0;
}

int cgroup_adopt(struct cgroup_system *system, const char *path, bool gets_controllers,
                 struct cgroup **ret_cgroup, struct error *err)
{
    AUTO(cgroup) struct cgroup *cgroup = NULL;
    const struct cgroup_hierarchy *hierarchies;
    size_t count;
    int r;

    r = allocate(system, path, &cgroup, err);
    if (r < 0)
        return r;
    hierarchies = cgroup_system_hierarchies(system, &count);
    for (size_t i = 0; i < count && r == 0; i++) {
        if (hierarchies[i].fd < 0)
            continue;
        r = create_in(cgroup, &hierarchies[i]);
        if (r > 0 && is_v1_cpuset(&hierarchies[i]))
            r = fill_cpuset(cgroup, &hierarchies[i]);
        if (r < 0 && !cgroup_system_is_extra(system, &hierarchies[i])) {
            errno = -r;
            return error_errno(err, "make cgroup %s in the hierarchy '%s'", cgroup->path,
                               hierarchies[i].is_v2 ? "unified" : hierarchies[i].controllers);
        }
        r = 0;
    }
    if (gets_controllers && cgroup_system_layout(system) == CGROUP_LAYOUT_V2)
        r = inherit_v2_controllers(cgroup, err);
    if (r < 0)
        return r;
    *ret_cgroup = take_ptr(&cgroup);
    return 0;
}

int cgroup_open(struct cgroup_system *system, const char *path, struct cgroup **ret_cgroup,
                struct error *err)
{
    AUTO(cgroup) struct cgroup *cgroup = NULL;
    const struct cgroup_hierarchy *hierarchies;
    size_t count;
    int r;

    r = allocate(system, path, &cgroup, err);
    if (r < 0)
        return r;
    /* The first hierarchy answers for all of them, unless the cgroup is half removed. */
    hierarchies = cgroup_system_hierarchies(system, &count);
    for (size_t i = 0; i < count; i++) {
        if (hierarchies[i].fd >= 0 &&
            faccessat(hierarchies[i].fd, cgroup->relative, F_OK, 0) == 0) {
            *ret_cgroup = take_ptr(&cgroup);
            return 0;
        }
    }
    return error_set(err, ENOENT, "cgroup %s does not exist", cgroup->path);
}

/* Entering the v2 hierarchy of a hybrid may fail, for instance for want of rights. Then the cgroup
 * there must not stay: cgroup_signal() takes its existence for "everything is in it". */
static int enter_failed(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                        int code, struct error *err)
{
    if (cgroup_system_is_extra(cgroup->system, hierarchy) &&
        (code == ENOENT || unlinkat(hierarchy->fd, cgroup->relative, AT_REMOVEDIR) == 0))
        return 0;
    if (code == ENOSPC && is_v1_cpuset(hierarchy))
        return error_set(err, code, "enter cgroup %s: its cpuset has no CPUs or memory nodes",
                         cgroup->path);
    if (code == EINVAL && cgroup_list_contains(hierarchy->controllers, ',', "cpu"))
        return error_set(err, code,
                         "enter cgroup %s: the process is scheduled in real time, for which the "
                         "cgroup has no share: set cpu.realtimeRuntime",
                         cgroup->path);
    errno = code;
    error_errno(err, "enter cgroup %s in the hierarchy '%s'", cgroup->path,
                hierarchy->is_v2 ? "unified" : hierarchy->controllers);
    return hierarchy->is_v2 ? cgroup_explain_refusal(cgroup, -code, err) : -code;
}

static int enter_hierarchy(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                           const char *file, const char *pid, struct error *err)
{
    int r;

    if (hierarchy->fd < 0)
        return 0;
    r = cgroup_file_write(cgroup, hierarchy, file, pid);
    return r < 0 ? enter_failed(cgroup, hierarchy, -r, err) : 0;
}

int cgroup_enter(struct cgroup *cgroup, pid_t pid, struct error *err)
{
    const struct cgroup_hierarchy *hierarchies;
    char number[16];
    size_t count;
    int r = 0;

    assert(cgroup != NULL);
    assert(pid > 0);

    (void)snprintf(number, sizeof(number), "%d", (int)pid);
    hierarchies = cgroup_system_hierarchies(cgroup->system, &count);
    for (size_t i = 0; i < count && r == 0; i++)
        r = enter_hierarchy(cgroup, &hierarchies[i], "cgroup.procs", number, err);
    return r;
}

int cgroup_enter_child(struct cgroup *cgroup, bool is_cloned_into, struct error *err)
{
    const struct cgroup_hierarchy *hierarchies;
    size_t count;
    int r = 0;

    assert(cgroup != NULL);

    hierarchies = cgroup_system_hierarchies(cgroup->system, &count);
    for (size_t i = 0; i < count && r == 0; i++) {
        /* A thread that names itself by 0 is moved without stopping all forks of the machine, for
         * which the kernel would wait for an RCU grace period, some 5 to 15 ms. */
        if (!hierarchies[i].is_v2)
            r = enter_hierarchy(cgroup, &hierarchies[i], "tasks", "0", err);
        else if (!is_cloned_into)
            r = enter_hierarchy(cgroup, &hierarchies[i], "cgroup.procs", "0", err);
    }
    return r;
}

int cgroup_clone_part_fd(struct cgroup *cgroup)
{
    const struct cgroup_hierarchy *v2 = cgroup_system_v2(cgroup->system);

    if (cgroup->clone_fd < 0 && v2 != NULL)
        cgroup->clone_fd =
            openat(v2->fd, cgroup->relative, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return cgroup->clone_fd;
}

int cgroup_clone_fd(struct cgroup *cgroup)
{
    if (cgroup_system_layout(cgroup->system) != CGROUP_LAYOUT_V2)
        return -1;
    return cgroup_clone_part_fd(cgroup);
}

/* The path in the line "0::/berth/x/init.scope" or "1:name=systemd:/x" (cgroups(7)) that has these
 * @controllers, "" for v2; caller frees. NULL: no such line. */
static char *find_path(const char *text, const char *controllers)
{
    size_t length = strlen(controllers);

    for (const char *line = text; *line != '\0';) {
        const char *end = strchrnul(line, '\n');
        const char *colon = strchr(line, ':');

        if (colon != NULL && colon < end && strncmp(colon + 1, controllers, length) == 0 &&
            colon[1 + length] == ':')
            return xstrndup(colon + length + 2, (size_t)(end - colon) - length - 2);
        line = *end == '\0' ? end : end + 1;
    }
    return NULL;
}

int cgroup_find_path(const struct cgroup_system *system, pid_t pid, char **ret_path,
                     struct error *err)
{
    auto_free char *file =
        pid == 0 ? xstrdup("/proc/self/cgroup") : xasprintf("/proc/%d/cgroup", (int)pid);
    auto_free char *text = NULL;
    char *path = NULL;
    int r;

    r = file_read_kernel(AT_FDCWD, file, &text, err);
    if (r < 0)
        return r;
    if (cgroup_system_layout(system) != CGROUP_LAYOUT_V2)
        path = find_path(text, "name=systemd");
    if (path == NULL)
        path = find_path(text, "");
    if (path == NULL)
        return error_set(err, ENOENT, "process %d is in no cgroup of systemd", (int)pid);
    *ret_path = path;
    return 0;
}

int cgroup_explain_refusal(const struct cgroup *cgroup, int r, struct error *err)
{
    const struct cgroup_hierarchy *v2 = cgroup_system_v2(cgroup->system);
    auto_free char *reason = NULL;

    if (v2 == NULL || (r != -EBUSY && r != -EOPNOTSUPP))
        return r;
    reason = domain_refusal(v2, cgroup->relative);
    return reason == NULL ? r : error_set(err, -r, "enter cgroup %s: %s", cgroup->path, reason);
}

int cgroup_open_nested(const struct cgroup *cgroup, pid_t pid, int *ret_fd, struct error *err)
{
    const struct cgroup_hierarchy *v2 = cgroup_system_v2(cgroup->system);
    auto_free char *file = xasprintf("/proc/%d/cgroup", (int)pid);
    auto_free char *text = NULL;
    auto_free char *path = NULL;
    size_t length = strlen(cgroup->path);
    int r;

    r = file_read_kernel(AT_FDCWD, file, &text, err);
    if (r < 0)
        return r;
    path = find_path(text, "");
    if (v2 == NULL || path == NULL || strncmp(path, cgroup->path, length) != 0 ||
        path[length] != '/')
        return error_set(err, ENOENT, "process %d is not in a cgroup below %s", (int)pid,
                         cgroup->path);
    *ret_fd = openat(v2->fd, path + 1, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_errno(err, "open cgroup %s", path);
    return 0;
}
