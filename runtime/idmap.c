#include "runtime/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "runtime/container.h"

/* The maps of a user namespace are written once, from outside, by its creator. Root of the outer
 * namespace may map any of its ids. Everybody else may map one, his own; for more there are
 * newuidmap(1) and newgidmap(1), which have the right to, and give what the administrator wrote
 * into /etc/subuid and /etc/subgid. */

#define SUBORDINATE_BYTES_MAX (16u << 20)
#define HELPER_OUTPUT_MAX     4096u

struct id_map {
    const char *file, *helper, *member, *subordinate_file;
    const struct spec_id_mappings *mappings;
    uint32_t own_id;
};

enum idmap_way idmap_plan(const struct spec_id_mappings *mappings, uint32_t own_id,
                          bool is_privileged)
{
    if (is_privileged)
        return IDMAP_DIRECT;
    if (mappings->count == 1 && mappings->items[0].size == 1 &&
        mappings->items[0].host_id == own_id)
        return IDMAP_DIRECT_SINGLE;
    return IDMAP_HELPER;
}

/* --- subordinate ids -------------------------------------------------------------------------- */

/* Whether the line is one of the user: "name:100000:65536" or "1000:100000:65536". */
static bool parse_subordinate(const char *line, const char *name, uint32_t uid, uint32_t *ret_start,
                              uint32_t *ret_count)
{
    AUTO_CLEAR(strings) struct strings parts = { 0 };
    auto_free char *number = xasprintf("%u", uid);
    uint64_t start = 0, count = 0;

    strings_split(&parts, line, ':');
    if (parts.count != 3 ||
        (!text_equal(parts.items[0], number) && !text_equal(parts.items[0], name)))
        return false;
    if (text_parse_u64(parts.items[1], "start", UINT32_MAX, &start, NULL) < 0 ||
        text_parse_u64(parts.items[2], "count", UINT32_MAX - start, &count, NULL) < 0 || count == 0)
        return false;
    *ret_start = (uint32_t)start;
    *ret_count = (uint32_t)count;
    return true;
}

bool idmap_find_subordinate(const char *text, const char *name, uint32_t uid, uint32_t *ret_start,
                            uint32_t *ret_count)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    strings_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.count; i++)
        if (parse_subordinate(lines.items[i], name, uid, ret_start, ret_count))
            return true;
    return false;
}

char *idmap_find_user_name(const char *passwd, uint32_t uid)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    auto_free char *number = xasprintf("%u", uid);

    strings_split(&lines, passwd, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        AUTO_CLEAR(strings) struct strings parts = { 0 };

        strings_split(&parts, lines.items[i], ':');
        if (parts.count >= 3 && text_equal(parts.items[2], number))
            return xstrdup(parts.items[0]);
    }
    return NULL;
}

static void add_mapping(struct spec_id_mappings *mappings, uint32_t container_id, uint32_t host_id,
                        uint32_t size)
{
    mappings->items = xrealloc(mappings->items, mappings->count + 1, sizeof(mappings->items[0]));
    mappings->items[mappings->count++] =
        (struct spec_id_mapping){ .container_id = container_id, .host_id = host_id, .size = size };
}

/* @name: of the user, also for groups (subgid(5)) */
static void add_subordinate(struct spec_id_mappings *mappings, const char *path, const char *name)
{
    auto_free char *text = NULL;
    uint32_t start = 0, count = 0;

    if (file_read(AT_FDCWD, path, SUBORDINATE_BYTES_MAX, &text, NULL, NULL) == 0 &&
        idmap_find_subordinate(text, name, geteuid(), &start, &count))
        add_mapping(mappings, 1, start, count);
}

void idmap_fill_own(struct spec_linux *linux_)
{
    auto_free char *uid_helper = process_find_system_program("newuidmap");
    auto_free char *gid_helper = process_find_system_program("newgidmap");
    auto_free char *passwd = NULL;
    auto_free char *name = NULL;

    linux_->uid_mappings.count = linux_->gid_mappings.count = 0;
    add_mapping(&linux_->uid_mappings, 0, geteuid(), 1);
    add_mapping(&linux_->gid_mappings, 0, getegid(), 1);
    if (uid_helper == NULL || gid_helper == NULL)
        return;
    if (file_read(AT_FDCWD, "/etc/passwd", SUBORDINATE_BYTES_MAX, &passwd, NULL, NULL) == 0)
        name = idmap_find_user_name(passwd, geteuid());
    add_subordinate(&linux_->uid_mappings, "/etc/subuid", name);
    add_subordinate(&linux_->gid_mappings, "/etc/subgid", name);
}

/* --- writing ---------------------------------------------------------------------------------- */

char *idmap_format(const struct spec_id_mappings *mappings)
{
    struct text text = { 0 };

    for (size_t i = 0; i < mappings->count; i++) {
        const struct spec_id_mapping *mapping = &mappings->items[i];

        text_addf(&text, "%u %u %u\n", mapping->container_id, mapping->host_id, mapping->size);
    }
    return text_take(&text);
}

/* Runs the helper; what it says on standard error is the reason when it fails. */
static int run_helper(const struct strings *command, char **ret_output, int *ret_status,
                      struct error *err)
{
    auto_close int read_fd = -1, write_fd = -1;
    int pipe_fds[2], wait_status = 0, r;
    pid_t pid = 0;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_errno(err, "make a pipe");
    read_fd = pipe_fds[0];
    write_fd = pipe_fds[1];
    r = process_spawn(command, (int[3]){ -1, -1, write_fd }, &pid, err);
    if (r < 0)
        return r;
    (void)close(take_fd(&write_fd));
    r = fd_read_all(read_fd, HELPER_OUTPUT_MAX, command->items[0], ret_output, NULL, err);
    while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR)
        continue;
    *ret_status = process_exit_status(wait_status);
    return r;
}

static int write_by_helper(const struct id_map *map, pid_t pid, struct error *err)
{
    AUTO_CLEAR(strings) struct strings command = { 0 };
    auto_free char *program = process_find_system_program(map->helper);
    auto_free char *output = NULL;
    int status = 0, r;

    if (program == NULL)
        return error_set(err, ENOENT,
                         "%s: to map other ids than one's own takes %s, which is not installed "
                         "(Debian's package uidmap)",
                         map->member, map->helper);
    strings_take(&command, take_ptr(&program));
    strings_addf(&command, "%d", pid);
    for (size_t i = 0; i < map->mappings->count; i++) {
        strings_addf(&command, "%u", map->mappings->items[i].container_id);
        strings_addf(&command, "%u", map->mappings->items[i].host_id);
        strings_addf(&command, "%u", map->mappings->items[i].size);
    }
    r = run_helper(&command, &output, &status, err);
    if (r < 0)
        return error_prefix(err, r, "%s", map->member);
    if (status == 0)
        return 0;
    output[strcspn(output, "\n")] = '\0';
    return error_set(err, EPERM, "%s: %s%s; the ids that this user may map stand in %s",
                     map->member, output[0] != '\0' ? "" : map->helper,
                     output[0] != '\0' ? output : " failed", map->subordinate_file);
}

static int write_map(const struct id_map *map, int proc_fd, pid_t pid, struct error *err)
{
    enum idmap_way way = idmap_plan(map->mappings, map->own_id, geteuid() == 0);
    auto_free char *text = NULL;
    int r;

    if (way == IDMAP_HELPER)
        return write_by_helper(map, pid, err);
    /* Without CAP_SETGID outside, a gid map is only accepted when setgroups(2) is denied, or else
     * groups could be dropped that bar from files (user_namespaces(7)). */
    if (way == IDMAP_DIRECT_SINGLE && text_equal(map->file, "gid_map")) {
        r = file_write_kernel(proc_fd, "setgroups", "deny", err);
        if (r < 0)
            return r;
    }
    text = idmap_format(map->mappings);
    r = file_write_kernel(proc_fd, map->file, text, err);
    return r < 0 ? error_prefix(err, r, "%s", map->member) : 0;
}

int idmap_write(pid_t pid, const struct spec_linux *linux_, struct error *err)
{
    const struct id_map maps[] = {
        { "uid_map", "newuidmap", "linux.uidMappings", "/etc/subuid", &linux_->uid_mappings,
          geteuid() },
        { "gid_map", "newgidmap", "linux.gidMappings", "/etc/subgid", &linux_->gid_mappings,
          getegid() },
    };
    auto_free char *directory = xasprintf("/proc/%d", pid);
    auto_close int fd = -1;
    int r = 0;

    fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open %s", directory);
    for (size_t i = 0; i < ARRAY_SIZE(maps) && r == 0; i++)
        r = write_map(&maps[i], fd, pid, err);
    return r;
}
