#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/* In the order in which root joins them: the user namespace last, so that namespaces owned by
 * others can still be entered with the caller's privileges outside. */
static const struct namespace_word {
    const char *type;
    int flag;
} namespace_words[] = {
    { "cgroup", CLONE_NEWCGROUP }, { "ipc", CLONE_NEWIPC },   { "uts", CLONE_NEWUTS },
    { "network", CLONE_NEWNET },   { "time", CLONE_NEWTIME }, { "mount", CLONE_NEWNS },
    { "pid", CLONE_NEWPID },       { "user", CLONE_NEWUSER },
};

/* To set up a root in the mount namespace that the caller lives in would take the host's away. */
static int check_foreign_mounts(int fd, const struct spec_namespace *namespace_, struct error *err)
{
    struct stat own, other;

    if (stat("/proc/self/ns/mnt", &own) < 0 || fstat(fd, &other) < 0)
        return error_errno(err, "look at mount namespace '%s'", namespace_->path);
    if (own.st_ino == other.st_ino && own.st_dev == other.st_dev)
        return error_set(err, EINVAL,
                         "mount namespace '%s' is the caller's own: "
                         "a container cannot be set up in it",
                         namespace_->path);
    return 0;
}

static int open_namespace(const struct spec_namespace *namespace_, int flag, int *ret_fd,
                          struct error *err)
{
    auto_close int fd = -1;
    int r = 0;

    /* setns(2) checks by the flag that it is a namespace, and of this type. */
    fd = open(namespace_->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_errno(err, "open %s namespace '%s'", namespace_->type, namespace_->path);
    if (flag == CLONE_NEWNS)
        r = check_foreign_mounts(fd, namespace_, err);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&fd);
    return 0;
}

/* A container without a mount namespace of its own is in the caller's, but its mounts are not: they
 * are made in a namespace that goes when they stand, and the process returns to the caller's with a
 * copy of them that is attached nowhere as its root. It keeps them as long as it, or a child of it,
 * lives. So nothing is mounted on the host, nothing is left there, and ".." does not lead out of
 * the root, as it may out of a directory that was entered by chroot(2) alone. What runc 1.1 mounts
 * for such a container stays. */
static int open_own_mounts(const struct spec *spec, struct namespaces_plan *plan, struct error *err)
{
    if (spec_find_namespace(spec, "mount") != NULL)
        return 0;
    if (spec_find_namespace(spec, "user") != NULL)
        return error_set(err, EINVAL,
                         "linux.namespaces: 'mount' is missing, and root of a user namespace may "
                         "set up no root in the mount namespace of the host");
    plan->own_mounts_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (plan->own_mounts_fd < 0)
        return error_errno(err, "open the mount namespace");
    plan->returns_to_own_mounts = true;
    plan->new_flags |= CLONE_NEWNS;
    return 0;
}

int namespaces_open(const struct spec *spec, struct namespaces_plan *ret_plan, struct error *err)
{
    struct namespaces_plan plan = { 0 };
    int r;

    r = open_own_mounts(spec, &plan, err);
    if (r < 0)
        return r;

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
        r = open_namespace(found, word->flag, &fd, err);
        if (r < 0) {
            namespaces_close(&plan);
            return r;
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
    if (plan->returns_to_own_mounts)
        auto_close_cleanup(&plan->own_mounts_fd);
    plan->returns_to_own_mounts = false;
}

bool namespaces_are_new(const struct namespaces_plan *plan, uint64_t flag)
{
    return (plan->new_flags & flag) != 0;
}

uint64_t namespaces_made_by_init(const struct namespaces_plan *plan)
{
    /* The root of a cgroup namespace is the cgroup that its maker is in (cgroup_namespaces(7)); a
     * time namespace takes offsets before anybody is in it. */
    uint64_t flags = CLONE_NEWCGROUP | CLONE_NEWTIME;

    /* An IPC namespace brings its message queues' file system, whose root belongs to who made it:
     * before the id maps that is nobody. */
    if (plan->has_new_user || plan->has_joined_user)
        flags |= CLONE_NEWIPC;
    return plan->new_flags & flags;
}

static int join_child(const struct namespaces_plan *plan, size_t index, struct error *err)
{
    const char *type = "?";

    if (setns(plan->join_fds[index], plan->join_flags[index]) == 0)
        return 0;
    for (size_t k = 0; k < ARRAY_SIZE(namespace_words); k++) {
        if (namespace_words[k].flag == plan->join_flags[index])
            type = namespace_words[k].type;
    }
    return error_errno(err, "join the %s namespace", type);
}

int namespaces_join_child(const struct namespaces_plan *plan, struct error *err)
{
    /* An ordinary user has rights only over what belongs to his user namespace, in which he is. */
    bool is_user_first = plan->has_joined_user && geteuid() != 0;
    int r = 0;

    for (size_t i = 0; i < plan->join_count && is_user_first && r == 0; i++)
        r = plan->join_flags[i] == CLONE_NEWUSER ? join_child(plan, i, err) : 0;
    for (size_t i = 0; i < plan->join_count && r == 0; i++)
        r = plan->join_flags[i] == CLONE_NEWUSER && is_user_first ? 0 : join_child(plan, i, err);
    return r;
}

int namespaces_return_to_own_mounts_child(const struct namespaces_plan *plan, struct error *err)
{
    auto_close int root_fd = -1;

    if (!plan->returns_to_own_mounts)
        return 0;
    root_fd = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (root_fd < 0)
        return error_errno(err, "copy the container's mounts");
    if (setns(plan->own_mounts_fd, CLONE_NEWNS) < 0)
        return error_errno(err, "return to the mount namespace of the host");
    if (fchdir(root_fd) < 0 || chroot(".") < 0)
        return error_errno(err, "enter the container's mounts");
    return 0;
}

int namespaces_enter_root_of_child(pid_t pid, int pidfd, struct error *err)
{
    auto_free char *path = xasprintf("/proc/%d/root", pid);
    auto_close int root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (root_fd < 0)
        return error_errno(err, "open the container's root");
    /* The pid was still the container's when the root was opened, if it is now. */
    if (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) < 0)
        return error_errno(err, "find the container's process");
    if (fchdir(root_fd) < 0 || chroot(".") < 0)
        return error_errno(err, "enter the container's root");
    return 0;
}

int namespaces_need_mounts(const struct spec *spec, const char *what, struct error *err)
{
    if (spec_find_namespace(spec, "mount") != NULL)
        return 0;
    return error_set(err, EOPNOTSUPP,
                     "%s cannot be done without a mount namespace of the container", what);
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

int namespaces_raise_loopback_child(struct error *err)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    /* Any socket will do: interface requests are answered for its network namespace (netdevice(7)).
     */
    if (fd < 0)
        return error_errno(err, "open a socket");
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return error_errno(err, "bring the loopback interface up");
    return 0;
}
