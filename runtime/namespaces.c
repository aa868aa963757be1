#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/* In the order in which they are joined: the user namespace last of those that need the caller's
 * privileges outside, so that namespaces owned by others can still be entered. */
static const struct namespace_word {
    const char *type;
    int flag;
} namespace_words[] = {
    { "cgroup", CLONE_NEWCGROUP }, { "ipc", CLONE_NEWIPC },   { "uts", CLONE_NEWUTS },
    { "network", CLONE_NEWNET },   { "time", CLONE_NEWTIME }, { "mount", CLONE_NEWNS },
    { "user", CLONE_NEWUSER },     { "pid", CLONE_NEWPID },
};

static int open_namespace(const struct spec_namespace *namespace_, int *ret_fd, struct error *err)
{
    auto_close int fd = -1;

    /* setns(2) checks by the flag that it is a namespace, and of this type. */
    fd = open(namespace_->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_errno(err, "open %s namespace '%s'", namespace_->type, namespace_->path);
    *ret_fd = take_fd(&fd);
    return 0;
}

int namespaces_open(const struct spec *spec, struct namespaces_plan *ret_plan, struct error *err)
{
    struct namespaces_plan plan = { .pid_fd = -1 };
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(namespace_words); i++) {
        const struct namespace_word *word = &namespace_words[i];
        const struct spec_namespace *found = spec_find_namespace(spec, word->type);
        int fd = -1;

        if (found == NULL)
            continue;
        if (text_is_empty(found->path)) {
            plan.new_flags |= (uint64_t)word->flag;
            continue;
        }
        r = open_namespace(found, &fd, err);
        if (r < 0) {
            namespaces_close(&plan);
            return r;
        }
        if (word->flag == CLONE_NEWPID) {
            plan.pid_fd = fd;
            continue;
        }
        plan.join_fds[plan.join_count] = fd;
        plan.join_flags[plan.join_count++] = word->flag;
        if (word->flag == CLONE_NEWUSER)
            plan.has_joined_user = true;
    }
    plan.has_new_user = (plan.new_flags & CLONE_NEWUSER) != 0;
    *ret_plan = plan;
    return 0;
}

void namespaces_close(struct namespaces_plan *plan)
{
    for (size_t i = 0; i < plan->join_count; i++)
        auto_close_cleanup(&plan->join_fds[i]);
    plan->join_count = 0;
    auto_close_cleanup(&plan->pid_fd);
    plan->pid_fd = -1;
}

bool namespaces_are_new(const struct namespaces_plan *plan, uint64_t flag)
{
    return (plan->new_flags & flag) != 0;
}

int namespaces_join_child(const struct namespaces_plan *plan, struct error *err)
{
    for (size_t i = 0; i < plan->join_count; i++) {
        if (setns(plan->join_fds[i], plan->join_flags[i]) < 0) {
            const char *type = "?";

            for (size_t k = 0; k < ARRAY_SIZE(namespace_words); k++) {
                if (namespace_words[k].flag == plan->join_flags[i])
                    type = namespace_words[k].type;
            }
            return error_errno(err, "join the %s namespace", type);
        }
    }
    return 0;
}

int namespaces_exec_flags(const struct spec *spec)
{
    int flags = 0;

    for (size_t i = 0; i < ARRAY_SIZE(namespace_words); i++) {
        if (namespace_words[i].flag != CLONE_NEWPID &&
            spec_find_namespace(spec, namespace_words[i].type) != NULL)
            flags |= namespace_words[i].flag;
    }
    return flags;
}

int namespaces_enter_time_child(const struct spec *spec, struct error *err)
{
    auto_close int fd = -1;

    if (unshare(CLONE_NEWTIME) < 0)
        return error_errno(err, "make a time namespace");
    for (size_t i = 0; i < spec->linux_.time_offsets.count; i++) {
        const struct spec_time_offset *offset = &spec->linux_.time_offsets.items[i];
        auto_free char *line =
            xasprintf("%s %lld %u", offset->key, (long long)offset->secs, offset->nanosecs);
        int r = file_write_kernel(AT_FDCWD, "/proc/self/timens_offsets", line, err);

        if (r < 0)
            return error_prefix(err, r, "linux.timeOffsets.%s", offset->key);
    }
    /* The caller itself moves only by setns(2) (time_namespaces(7)). */
    fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open the new time namespace");
    if (setns(fd, CLONE_NEWTIME) < 0)
        return error_errno(err, "enter the new time namespace");
    return 0;
}

static char *format_mappings(const struct spec_id_mappings *mappings)
{
    struct text text = { 0 };

    for (size_t i = 0; i < mappings->count; i++) {
        const struct spec_id_mapping *mapping = &mappings->items[i];

        text_addf(&text, "%u %u %u\n", mapping->container_id, mapping->host_id, mapping->size);
    }
    return text_take(&text);
}

int idmap_write(pid_t pid, const struct spec_linux *linux_, struct error *err)
{
    auto_free char *uids = format_mappings(&linux_->uid_mappings);
    auto_free char *gids = format_mappings(&linux_->gid_mappings);
    auto_free char *directory = xasprintf("/proc/%d", pid);
    auto_close int fd = -1;
    int r;

    fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "open %s", directory);
    r = file_write_kernel(fd, "uid_map", uids, err);
    if (r < 0)
        return error_prefix(err, r, "linux.uidMappings");
    /* Without CAP_SETGID in the parent namespace a gid map is only accepted when setgroups(2) is
     * denied (user_namespaces(7)). */
    if (geteuid() != 0) {
        r = file_write_kernel(fd, "setgroups", "deny", err);
        if (r < 0)
            return r;
    }
    r = file_write_kernel(fd, "gid_map", gids, err);
    return r < 0 ? error_prefix(err, r, "linux.gidMappings") : 0;
}
