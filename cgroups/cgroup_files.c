#include "cgroups/cgroup.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "cgroups/domain.h"

/* Access to the files of one cgroup in one hierarchy, and walks over nested cgroups. What fails
 * here is often expected (a file that this kernel lacks), so these return bare codes and the
 * callers make sentences of them. */

#define NESTING_MAX 256 /* cgroups below each other; each costs a descriptor during a walk */

char *cgroup_file_path(const struct cgroup *cgroup, const char *file, char *buffer)
{
    int length = snprintf(buffer, CGROUP_FILE_MAX, "%s/%s", cgroup->relative, file);

    assert(length < CGROUP_FILE_MAX);
    return buffer;
}

int cgroup_file_read(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                     const char *file, char **ret_text)
{
    char path[CGROUP_FILE_MAX];

    return file_read_kernel(hierarchy->fd, cgroup_file_path(cgroup, file, path), ret_text, NULL);
}

int cgroup_file_write(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                      const char *file, const char *value)
{
    char path[CGROUP_FILE_MAX];

    return file_write_kernel(hierarchy->fd, cgroup_file_path(cgroup, file, path), value, NULL);
}

int cgroup_file_open(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                     const char *file, int flags)
{
    char path[CGROUP_FILE_MAX];
    int fd = openat(hierarchy->fd, cgroup_file_path(cgroup, file, path), flags | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

bool cgroup_text_u64(const char *text, const char *key, uint64_t *ret_value)
{
    size_t length = strlen(key);

    for (const char *line = text; *line != '\0';) {
        const char *end = strchrnul(line, '\n');

        if (strncmp(line, key, length) == 0 && line[length] == ' ' &&
            sscanf(line + length, "%" SCNu64, ret_value) == 1)
            return true;
        line = *end == '\0' ? end : end + 1;
    }
    return false;
}

static int walk_from(int parent_fd, const char *name, unsigned depth,
                     int (*visit)(int, const char *, void *), void *data);

static void close_directory(DIR **directory)
{
    if (*directory != NULL)
        closedir(*directory);
}

static int walk_children(int fd, unsigned depth, int (*visit)(int, const char *, void *),
                         void *data)
{
    __attribute__((cleanup(close_directory))) DIR *directory = fdopendir(fd);
    const struct dirent *entry;

    if (directory == NULL) {
        close(fd);
        return -errno;
    }
    while ((entry = readdir(directory)) != NULL) {
        int r;

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        r = walk_from(dirfd(directory), entry->d_name, depth + 1, visit, data);
        if (r < 0)
            return r;
    }
    return 0;
}

static int walk_from(int parent_fd, const char *name, unsigned depth,
                     int (*visit)(int, const char *, void *), void *data)
{
    struct stat info;
    int r;

    if (depth > NESTING_MAX)
        return -ELOOP;
    if (fstatat(parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    /* A directory of kernfs has two links and one for each directory in it: without any, the
     * files need not be listed. */
    if (info.st_nlink > 2) {
        int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0)
            return errno == ENOENT ? 0 : -errno;
        r = walk_children(fd, depth, visit, data);
        if (r < 0)
            return r;
    }
    return visit(parent_fd, name, data);
}

int cgroup_walk(int parent_fd, const char *name,
                int (*visit)(int parent_fd, const char *name, void *data), void *data)
{
    return walk_from(parent_fd, name, 0, visit, data);
}

/* One write for all; when the kernel refuses one of them, each by itself. What stays disabled is
 * missed, by name, by the write that needs it. */
static void enable_at(const struct cgroup_hierarchy *v2, const char *directory, const char *names)
{
    auto_free char *file =
        xasprintf("%s%scgroup.subtree_control", directory, directory[0] == '\0' ? "" : "/");
    AUTO_CLEAR(strings) struct strings words = { 0 };
    AUTO_CLEAR(text) struct text all = { 0 };
    int r;

    strings_split(&words, names, ' ');
    for (size_t i = 0; i < words.count; i++)
        if (words.items[i][0] != '\0')
            text_addf(&all, "%s+%s", all.length > 0 ? " " : "", words.items[i]);
    if (all.length == 0 || !domain_may_pass_on(v2, directory))
        return;
    r = file_write_kernel(v2->fd, file, all.data, NULL);
    if (r == 0)
        return;
    for (size_t i = 0; i < words.count && words.count > 1; i++) {
        auto_free char *one = xasprintf("+%s", words.items[i]);

        (void)file_write_kernel(v2->fd, file, one, NULL);
    }
}

void cgroup_enable_controllers(const struct cgroup *cgroup, const char *names)
{
    const struct cgroup_hierarchy *v2 = cgroup_system_v2(cgroup->system);

    enable_at(v2, "", names);
    for (const char *slash = strchr(cgroup->relative, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        auto_free char *directory = xstrndup(cgroup->relative, (size_t)(slash - cgroup->relative));

        enable_at(v2, directory, names);
    }
}

bool cgroup_pause(uint64_t *elapsed_us)
{
    /* From 0.1 ms on, a quarter of the time waited so far, at most 50 ms. */
    uint64_t pause_us = 100 + *elapsed_us / 4;
    struct timespec pause;

    if (*elapsed_us >= CGROUP_WAIT_US)
        return false;
    if (pause_us > 50000)
        pause_us = 50000;
    pause = (struct timespec){ .tv_nsec = (long)pause_us * 1000 };
    (void)nanosleep(&pause, NULL); /* an early end only means one look more */
    *elapsed_us += pause_us;
    return true;
}

int cgroup_check_not_own(const struct cgroup *cgroup, struct error *err)
{
    const struct cgroup_hierarchy *main_hierarchy = cgroup_system_main(cgroup->system);
    size_t length = strlen(cgroup->path);

    if (main_hierarchy == NULL || strncmp(main_hierarchy->own_path, cgroup->path, length) != 0)
        return 0;
    if (main_hierarchy->own_path[length] != '\0' && main_hierarchy->own_path[length] != '/')
        return 0;
    return error_set(err, EDEADLK, "cgroup %s contains the calling process", cgroup->path);
}
