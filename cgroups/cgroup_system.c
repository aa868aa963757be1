#include "cgroups/cgroup_system.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"

/* What is mounted is found out by one read of /proc/self/cgroup and one open and statfs(2) for each
 * hierarchy it names. The folders below /sys/fs/cgroup alone would lie: other runtimes leave
 * ordinary directories there for controllers that are not mounted. */

#define CGROUP_ROOT "/sys/fs/cgroup"

struct cgroup_system {
    enum cgroup_layout layout;
    struct cgroup_hierarchy *hierarchies;
    size_t count;
    int v1_index[CGROUP_CONTROLLER_COUNT]; /* into hierarchies; -1: not on v1 */
    int v2_index;                          /* -1: no v2 hierarchy */
    bool is_v2_root;                       /* /sys/fs/cgroup itself is the v2 hierarchy */
    char *v2_controllers;                  /* NULL: not read yet */
};

struct controller_words {
    const char *v1;
    const char *v2;
    const char *what;
    bool is_v2_core; /* on v2 every cgroup has it, without any controller */
};

static const struct controller_words controllers[CGROUP_CONTROLLER_COUNT] = {
    [CGROUP_CPU] = { "cpu", "cpu", "CPU time", false },
    [CGROUP_CPUACCT] = { "cpuacct", "cpu", "CPU time", true },
    [CGROUP_CPUSET] = { "cpuset", "cpuset", "CPUs and memory nodes", false },
    [CGROUP_MEMORY] = { "memory", "memory", "memory", false },
    [CGROUP_DEVICES] = { "devices", "devices", "devices", true },
    [CGROUP_FREEZER] = { "freezer", "freezer", "freezing", true },
    [CGROUP_BLOCK_IO] = { "blkio", "io", "block I/O", false },
    [CGROUP_PIDS] = { "pids", "pids", "pids", false },
    [CGROUP_HUGETLB] = { "hugetlb", "hugetlb", "huge pages", false },
    [CGROUP_NET_CLASS] = { "net_cls", "net_cls", "network class", false },
    [CGROUP_NET_PRIORITY] = { "net_prio", "net_prio", "network priorities", false },
    [CGROUP_RDMA] = { "rdma", "rdma", "RDMA", false },
    [CGROUP_MISC] = { "misc", "misc", "miscellaneous resources", false },
    [CGROUP_UNIFIED] = { "unified", "unified", "v2 files", true },
};

const char *cgroup_controller_name(enum cgroup_controller controller, bool is_v2)
{
    return is_v2 ? controllers[controller].v2 : controllers[controller].v1;
}

const char *cgroup_controller_what(enum cgroup_controller controller)
{
    return controllers[controller].what;
}

bool cgroup_list_contains(const char *list, char separator, const char *word)
{
    size_t length = strlen(word);

    for (const char *p = list; p != NULL && *p != '\0';) {
        const char *end = strchrnul(p, separator);

        if ((size_t)(end - p) == length && memcmp(p, word, length) == 0)
            return true;
        p = *end == '\0' ? NULL : end + 1;
    }
    return false;
}

static bool list_contains_all(const char *list, const char *words)
{
    for (const char *p = words; p != NULL;) {
        const char *end = strchrnul(p, ',');
        auto_free char *word = xstrndup(p, (size_t)(end - p));

        if (!cgroup_list_contains(list, ',', word))
            return false;
        p = *end == '\0' ? NULL : end + 1;
    }
    return true;
}

/* One line of mountinfo: "36 35 0:29 / /sys/fs/cgroup/cpu rw,... - cgroup cgroup rw,cpu". Returns
 * the folder's name when it is the mount that is looked for. */
static char *mount_line_match(char *line, const char *root_path, const char *wanted)
{
    size_t root_length = strlen(root_path);
    char *tail = strstr(line, " - ");
    char *save = NULL;
    char *mount_point = NULL;
    const char *type, *options;

    if (tail == NULL)
        return NULL;
    *tail = '\0';
    tail += strlen(" - ");
    mount_point = strtok_r(line, " ", &save);
    for (int i = 0; i < 4 && mount_point != NULL; i++)
        mount_point = strtok_r(NULL, " ", &save);
    type = strtok_r(tail, " ", &save);
    (void)strtok_r(NULL, " ", &save); /* the source says nothing */
    options = strtok_r(NULL, " ", &save);
    if (mount_point == NULL || options == NULL || !text_equal(type, "cgroup"))
        return NULL;
    if (strncmp(mount_point, root_path, root_length) != 0 || mount_point[root_length] != '/')
        return NULL;
    if (strchr(mount_point + root_length + 1, '/') != NULL || !list_contains_all(options, wanted))
        return NULL;
    return xstrdup(mount_point + root_length + 1);
}

char *cgroup_mount_find(const char *mountinfo, const char *root_path, const char *wanted)
{
    for (const char *p = mountinfo; *p != '\0';) {
        const char *end = strchrnul(p, '\n');
        auto_free char *line = xstrndup(p, (size_t)(end - p));
        char *name = mount_line_match(line, root_path, wanted);

        if (name != NULL)
            return name;
        p = *end == '\0' ? end : end + 1;
    }
    return NULL;
}

/* Opens root/name if a cgroup file system of the right kind is mounted there; -ENOENT otherwise.
 * Any other failure is not taken for "not mounted": cgroups there would be forgotten. */
static int open_mount(int root_fd, const char *name, bool is_v2)
{
    auto_close int fd = openat(root_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct statfs info;

    if (fd < 0)
        return errno == ENOTDIR || errno == EACCES || errno == ELOOP ? -ENOENT : -errno;
    if (fstatfs(fd, &info) < 0)
        return -errno;
    if (info.f_type != (is_v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC))
        return -ENOENT;
    return take_fd(&fd);
}

static bool is_named(const struct cgroup_hierarchy *hierarchy)
{
    return text_starts(hierarchy->controllers, "name=");
}

/* The usual names first: "cpu,cpuacct", and "systemd" for name=systemd. Only where a controller's
 * folder is named otherwise is the (possibly long) list of mounts read. */
static int find_mount(int root_fd, const char *root_path, const char *mountinfo,
                      struct cgroup_hierarchy *hierarchy)
{
    const char *name = hierarchy->is_v2 ? "unified" : hierarchy->controllers;
    auto_free char *text = NULL;
    char *found;
    int r;

    if (is_named(hierarchy))
        name += strlen("name=");
    /* The name of a v1 hierarchy is free text of whoever mounted it. */
    if (strchr(name, '/') != NULL || name[0] == '.' || name[0] == '\0')
        return 0;
    r = open_mount(root_fd, name, hierarchy->is_v2);
    if (r >= 0) {
        hierarchy->fd = r;
        hierarchy->mount_name = xstrdup(name);
        return 0;
    }
    if (r != -ENOENT || hierarchy->is_v2 || is_named(hierarchy))
        return r == -ENOENT ? 0 : r;
    if (mountinfo == NULL) {
        r = file_read_kernel(AT_FDCWD, "/proc/self/mountinfo", &text, NULL);
        if (r < 0)
            return r;
    }
    found =
        cgroup_mount_find(mountinfo != NULL ? mountinfo : text, root_path, hierarchy->controllers);
    if (found == NULL)
        return 0;
    r = open_mount(root_fd, found, false);
    hierarchy->mount_name = found;
    if (r >= 0)
        hierarchy->fd = r;
    return r < 0 && r != -ENOENT ? r : 0;
}

/* Takes one line "4:memory:/docker/x" of /proc/self/cgroup, cgroups(7). */
static bool parse_line(const char *line, size_t length, struct cgroup_hierarchy *ret_hierarchy)
{
    const char *first = memchr(line, ':', length);
    const char *second;

    if (first == NULL)
        return false;
    first++;
    second = memchr(first, ':', length - (size_t)(first - line));
    if (second == NULL)
        return false;
    ret_hierarchy->controllers = xstrndup(first, (size_t)(second - first));
    ret_hierarchy->own_path = xstrndup(second + 1, length - (size_t)(second + 1 - line));
    ret_hierarchy->is_v2 = second == first;
    ret_hierarchy->fd = -1;
    return true;
}

static void index_controllers(struct cgroup_system *system, size_t position)
{
    const struct cgroup_hierarchy *hierarchy = &system->hierarchies[position];

    if (hierarchy->fd < 0)
        return;
    if (hierarchy->is_v2) {
        system->v2_index = (int)position;
        return;
    }
    for (size_t i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
        if (cgroup_list_contains(hierarchy->controllers, ',', controllers[i].v1))
            system->v1_index[i] = (int)position;
}

/* Fills the list. On v2 only the one hierarchy counts: what /proc/self/cgroup says of v1 is mounted
 * elsewhere or hidden. */
static int list_hierarchies(struct cgroup_system *system, int root_fd, const char *root_path,
                            bool is_v2_root, const char *self_cgroup, const char *mountinfo)
{
    int r = 0;

    for (const char *p = self_cgroup; *p != '\0';) {
        const char *end = strchrnul(p, '\n');
        struct cgroup_hierarchy hierarchy = { .fd = -1 };

        if (parse_line(p, (size_t)(end - p), &hierarchy)) {
            if (is_v2_root && !hierarchy.is_v2) {
                free(hierarchy.controllers);
                free(hierarchy.own_path);
            } else {
                if (is_v2_root) {
                    hierarchy.mount_name = xstrdup("");
                    hierarchy.fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 3);
                    r = hierarchy.fd < 0 ? -errno : 0;
                } else {
                    r = find_mount(root_fd, root_path, mountinfo, &hierarchy);
                }
                system->hierarchies =
                    xrealloc(system->hierarchies, system->count + 1, sizeof(*system->hierarchies));
                system->hierarchies[system->count++] = hierarchy;
                index_controllers(system, system->count - 1);
            }
        }
        if (r < 0)
            return r;
        p = *end == '\0' ? end : end + 1;
    }
    return 0;
}

static enum cgroup_layout decide_layout(const struct cgroup_system *system, bool is_v2_root)
{
    bool has_v1 = false;

    if (is_v2_root)
        return system->v2_index >= 0 ? CGROUP_LAYOUT_V2 : CGROUP_LAYOUT_NONE;
    for (size_t i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
        has_v1 = has_v1 || system->v1_index[i] >= 0;
    if (system->v2_index >= 0)
        return CGROUP_LAYOUT_HYBRID;
    return has_v1 ? CGROUP_LAYOUT_V1 : CGROUP_LAYOUT_NONE;
}

int cgroup_system_open_from(const char *root_path, const char *self_cgroup, const char *mountinfo,
                            struct cgroup_system **ret_system, struct error *err)
{
    AUTO(cgroup_system) struct cgroup_system *system = NULL;
    auto_close int root_fd = -1;
    struct statfs info = { 0 };
    bool is_v2_root;
    int r = 0;

    assert(self_cgroup != NULL);
    assert(ret_system != NULL);

    root_fd = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0 && errno != ENOENT)
        return error_errno(err, "open %s", root_path);
    if (root_fd >= 0 && fstatfs(root_fd, &info) < 0)
        return error_errno(err, "look at the file system of %s", root_path);

    system = xcalloc(1, sizeof(*system));
    system->v2_index = -1;
    memset(system->v1_index, 0xff, sizeof(system->v1_index)); /* each -1 */
    is_v2_root = info.f_type == CGROUP2_SUPER_MAGIC;
    if (root_fd >= 0)
        r = list_hierarchies(system, root_fd, root_path, is_v2_root, self_cgroup, mountinfo);
    if (r < 0) {
        errno = -r;
        return error_errno(err, "look at the cgroup hierarchies below %s", root_path);
    }
    system->is_v2_root = is_v2_root;
    system->layout = decide_layout(system, is_v2_root);
    *ret_system = take_ptr(&system);
    return 0;
}

int cgroup_system_open(const char *root_path, struct cgroup_system **ret_system, struct error *err)
{
    auto_free char *self_cgroup = NULL;
    int r;

    r = file_read_piece(AT_FDCWD, "/proc/self/cgroup", &self_cgroup, err);
    if (r < 0)
        return error_prefix(err, r, "find out about cgroups");
    return cgroup_system_open_from(root_path != NULL ? root_path : CGROUP_ROOT, self_cgroup, NULL,
                                   ret_system, err);
}

/* They were opened one after the other, so mostly one call closes all. */
static void close_hierarchies(const struct cgroup_system *system)
{
    for (size_t i = 0; i < system->count;) {
        int first = system->hierarchies[i].fd;
        int next = first;

        do {
            next++;
            i++;
        } while (i < system->count && first >= 0 && system->hierarchies[i].fd == next);
        if (first >= 0)
            (void)close_range((unsigned)first, (unsigned)next - 1, 0); /* nothing can be lost */
    }
}

void cgroup_system_free(struct cgroup_system *system)
{
    if (system == NULL)
        return;
    for (size_t i = 0; i < system->count; i++) {
        struct cgroup_hierarchy *hierarchy = &system->hierarchies[i];

        free(hierarchy->mount_name);
        free(hierarchy->controllers);
        free(hierarchy->own_path);
    }
    close_hierarchies(system);
    free(system->hierarchies);
    free(system->v2_controllers);
    free(system);
}

enum cgroup_layout cgroup_system_layout(const struct cgroup_system *system)
{
    return system->layout;
}

const struct cgroup_hierarchy *cgroup_system_hierarchies(const struct cgroup_system *system,
                                                         size_t *ret_count)
{
    *ret_count = system->count;
    return system->hierarchies;
}

void cgroup_system_leave_out(struct cgroup_system *system, size_t position)
{
    struct cgroup_hierarchy *hierarchy = &system->hierarchies[position];

    assert(position < system->count);

    if (hierarchy->fd >= 0)
        (void)close(take_fd(&hierarchy->fd));
    hierarchy->is_left_out = true;
    if (system->v2_index == (int)position)
        system->v2_index = -1;
    for (size_t i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
        if (system->v1_index[i] == (int)position)
            system->v1_index[i] = -1;
    system->layout = decide_layout(system, system->is_v2_root);
}

bool cgroup_system_has_left_out(const struct cgroup_system *system,
                                enum cgroup_controller controller)
{
    for (size_t i = 0; i < system->count; i++) {
        const struct cgroup_hierarchy *hierarchy = &system->hierarchies[i];

        if (hierarchy->is_left_out &&
            (hierarchy->is_v2 ||
             cgroup_list_contains(hierarchy->controllers, ',', controllers[controller].v1)))
            return true;
    }
    return false;
}

const char *cgroup_layout_name(enum cgroup_layout layout)
{
    static const char *const names[] = {
        [CGROUP_LAYOUT_NONE] = "none",
        [CGROUP_LAYOUT_V1] = "v1",
        [CGROUP_LAYOUT_HYBRID] = "hybrid",
        [CGROUP_LAYOUT_V2] = "v2",
    };

    return names[layout];
}

const struct cgroup_hierarchy *cgroup_system_v2(const struct cgroup_system *system)
{
    return system->v2_index < 0 ? NULL : &system->hierarchies[system->v2_index];
}

const char *cgroup_system_v2_controllers(struct cgroup_system *system)
{
    const struct cgroup_hierarchy *v2 = cgroup_system_v2(system);

    if (system->v2_controllers == NULL && v2 != NULL)
        (void)file_read_kernel(v2->fd, "cgroup.controllers", &system->v2_controllers, NULL);
    if (system->v2_controllers == NULL)
        system->v2_controllers = xstrdup("");
    return system->v2_controllers;
}

const struct cgroup_hierarchy *cgroup_system_find(struct cgroup_system *system,
                                                  enum cgroup_controller controller)
{
    const struct controller_words *words = &controllers[controller];
    const struct cgroup_hierarchy *v2 = cgroup_system_v2(system);

    if (system->v1_index[controller] >= 0)
        return &system->hierarchies[system->v1_index[controller]];
    if (v2 == NULL || words->is_v2_core)
        return v2;
    return cgroup_list_contains(cgroup_system_v2_controllers(system), ' ', words->v2) ? v2 : NULL;
}

const struct cgroup_hierarchy *cgroup_system_main(const struct cgroup_system *system)
{
    static const enum cgroup_controller order[] = { CGROUP_FREEZER,  CGROUP_PIDS,  CGROUP_MEMORY,
                                                    CGROUP_DEVICES,  CGROUP_CPU,   CGROUP_CPUACCT,
                                                    CGROUP_BLOCK_IO, CGROUP_CPUSET };

    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        if (system->v1_index[order[i]] >= 0)
            return &system->hierarchies[system->v1_index[order[i]]];
    if (system->v2_index >= 0)
        return cgroup_system_v2(system);
    for (size_t i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
        if (system->v1_index[i] >= 0)
            return &system->hierarchies[system->v1_index[i]];
    return NULL;
}

unsigned cgroup_system_v1_mask(const struct cgroup_system *system)
{
    unsigned mask = 0;

    /* Without a v2 hierarchy everything is planned as v1, so that what is not mounted is missed by
     * its v1 name. */
    if (system->v2_index < 0)
        return ~0U;
    for (unsigned i = 0; i < CGROUP_CONTROLLER_COUNT; i++)
        if (system->v1_index[i] >= 0)
            mask |= 1U << i;
    return mask;
}

bool cgroup_system_is_extra(const struct cgroup_system *system,
                            const struct cgroup_hierarchy *hierarchy)
{
    if (hierarchy->is_v2)
        return cgroup_system_main(system) != hierarchy;
    return is_named(hierarchy);
}
