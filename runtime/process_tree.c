#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "runtime/container.h"

/* Who belongs to a container that has no cgroup. The list is old as soon as it is read; so each
 * process is kept with its start time and signalled through a pidfd of exactly that one. */

#define KILL_ROUNDS_MAX 16 /* each catches what was forked during the one before */

struct seen {
    struct tree_process process;
    pid_t parent;
    bool is_inside;
};

struct scan {
    struct seen *items;
    size_t count;
    dev_t namespace_device; /* the pid namespace that counts; 0: none */
    ino_t namespace_inode;
};

/* Takes "123 (any (thing) here) S 1 ..." of /proc/PID/stat, proc_pid_stat(5). */
static bool parse_stat(const char *text, struct seen *seen)
{
    const char *end = strrchr(text, ')');
    char state;
    int parent;

    if (end == NULL ||
        sscanf(
            end + 1,
            " %c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64,
            &state, &parent, &seen->process.start_time) != 3)
        return false;
    seen->parent = parent;
    return state != 'Z' && state != 'X';
}

static bool is_in_namespace(const struct scan *scan, int proc_fd, const char *pid)
{
    auto_free char *path = xasprintf("%s/ns/pid", pid);
    struct stat status;

    return scan->namespace_inode != 0 && fstatat(proc_fd, path, &status, 0) == 0 &&
           status.st_dev == scan->namespace_device && status.st_ino == scan->namespace_inode;
}

static void look_at(struct scan *scan, int proc_fd, const char *name, pid_t root)
{
    auto_free char *path = xasprintf("%s/stat", name);
    auto_free char *text = NULL;
    struct seen seen = { .process.pid = (pid_t)strtol(name, NULL, 10) };

    if (file_read_kernel(proc_fd, path, &text, NULL) < 0 || !parse_stat(text, &seen))
        return; /* ended meanwhile */
    seen.is_inside = seen.process.pid == root || is_in_namespace(scan, proc_fd, name);
    scan->items = xrealloc(scan->items, scan->count + 1, sizeof(*scan->items));
    scan->items[scan->count++] = seen;
}

static bool is_inside(const struct scan *scan, pid_t pid)
{
    for (size_t i = 0; i < scan->count; i++)
        if (scan->items[i].process.pid == pid)
            return scan->items[i].is_inside;
    return false;
}

/* Children of those inside are inside, until that adds nobody. */
static void mark_descendants(struct scan *scan)
{
    bool has_changed = true;

    while (has_changed) {
        has_changed = false;
        for (size_t i = 0; i < scan->count; i++) {
            struct seen *seen = &scan->items[i];

            if (seen->is_inside || !is_inside(scan, seen->parent))
                continue;
            seen->is_inside = has_changed = true;
        }
    }
}

/* The root's pid namespace, unless it is the caller's. */
static void find_namespace(struct scan *scan, int proc_fd, pid_t root)
{
    auto_free char *path = xasprintf("%d/ns/pid", root);
    struct stat own, other;

    if (fstatat(proc_fd, "self/ns/pid", &own, 0) < 0 || fstatat(proc_fd, path, &other, 0) < 0 ||
        (own.st_dev == other.st_dev && own.st_ino == other.st_ino))
        return;
    scan->namespace_device = other.st_dev;
    scan->namespace_inode = other.st_ino;
}

int process_tree_read(pid_t root, struct tree *ret_tree, struct error *err)
{
    struct scan scan = { 0 };
    struct tree tree = { 0 };
    struct dirent *entry;
    DIR *proc;

    proc = opendir("/proc");
    if (proc == NULL)
        return error_errno(err, "list the processes");
    find_namespace(&scan, dirfd(proc), root);
    while ((entry = readdir(proc)) != NULL)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            look_at(&scan, dirfd(proc), entry->d_name, root);
    (void)closedir(proc);
    mark_descendants(&scan);
    tree.has_own_namespace = scan.namespace_inode != 0;
    tree.items = xcalloc(scan.count + 1, sizeof(*tree.items));
    for (size_t i = 0; i < scan.count; i++)
        if (scan.items[i].is_inside)
            tree.items[tree.count++] = scan.items[i].process;
    free(scan.items);
    *ret_tree = tree;
    return 0;
}

void process_tree_clear(struct tree *tree)
{
    free(tree->items);
    *tree = (struct tree){ 0 };
}

static int signal_one(const struct tree_process *process, int signal, struct error *err)
{
    auto_close int pidfd = -1;
    int r;

    r = process_open(process->pid, process->start_time, &pidfd, err);
    if (r == 0)
        r = process_send_signal(pidfd, signal, err);
    return r == -ESRCH ? 0 : r;
}

/* Signals all but the root. Returns how many, or a negative errno. */
static int signal_others(const struct tree *tree, pid_t root, int signal, struct error *err)
{
    int others = 0;

    for (size_t i = 0; i < tree->count; i++) {
        int r;

        if (tree->items[i].pid == root)
            continue;
        r = signal_one(&tree->items[i], signal, err);
        if (r < 0)
            return r;
        others++;
    }
    return others;
}

static int signal_root(const struct tree *tree, pid_t root, int signal, struct error *err)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->items[i].pid == root)
            return signal_one(&tree->items[i], signal, err);
    return 0;
}

int process_tree_signal(pid_t root, int signal, struct error *err)
{
    for (int round = 1;; round++) {
        AUTO_CLEAR(process_tree) struct tree tree = { 0 };
        bool is_last = signal != SIGKILL || round == KILL_ROUNDS_MAX;
        int r;

        r = process_tree_read(root, &tree, err);
        if (r < 0)
            return r;
        /* With the first process of a pid namespace the kernel ends all others
         * (pid_namespaces(7)). */
        if (signal == SIGKILL && tree.has_own_namespace)
            return signal_root(&tree, root, signal, err);
        r = signal_others(&tree, root, signal, err);
        if (r < 0)
            return r;
        /* The root last: it is what tells of the others. */
        if (r == 0 || is_last)
            return signal_root(&tree, root, signal, err);
    }
}
