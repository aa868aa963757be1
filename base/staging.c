#include "base/staging.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <linux/ioprio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/text.h"

#define STAGING_NAME  "staging"
#define TRASH_NAME    "trash"
#define LOCK_SUFFIX   ".lock"
#define RANDOM_DIGITS 16
/* Held, shared, by who empties the trash behind a command. */
#define TRASH_LOCK STAGING_NAME "/" TRASH_NAME LOCK_SUFFIX

static int open_made(int dir_fd, const char *name, int *ret_fd, struct error *err)
{
    int r;

    if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
        return error_errno(err, "make the directory '%s'", name);
    r = path_open_beneath(dir_fd, name, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
    return r < 0 ? r : 0;
}

/* First the lock, then the directory: one that is seen without a held lock belongs to nobody. */
static int fill_staging(struct staging *staging, int data_fd, struct error *err)
{
    auto_free char *lock_name = xasprintf("%s" LOCK_SUFFIX, staging->name);
    int r;

    r = open_made(data_fd, STAGING_NAME, &staging->parent_fd, err);
    if (r < 0)
        return r;
    r = file_lock(staging->parent_fd, lock_name, true, UINT32_MAX, &staging->lock_fd, err);
    if (r < 0)
        return r;
    return open_made(staging->parent_fd, staging->name, &staging->fd, err);
}

int staging_create(int data_fd, struct staging **ret_staging, struct error *err)
{
    AUTO(staging) struct staging *staging = xcalloc(1, sizeof(*staging));
    int r;

    assert(ret_staging != NULL);

    staging->fd = -1;
    staging->lock_fd = -1;
    staging->parent_fd = -1;
    staging->name = text_random_hex(RANDOM_DIGITS);
    r = fill_staging(staging, data_fd, err);
    if (r < 0)
        return error_prefix(err, r, "create a staging directory");
    *ret_staging = take_ptr(&staging);
    return 0;
}

/* Removes a directory whose lock the caller holds, and then the lock. */
static int remove_staging(int parent_fd, const char *name, struct error *err)
{
    auto_free char *lock_name = xasprintf("%s" LOCK_SUFFIX, name);
    int r = path_remove_tree(parent_fd, name, err);

    /* What could not be removed keeps its lock file, so that the next one tries again. */
    if (r == 0 && unlinkat(parent_fd, lock_name, 0) < 0 && errno != ENOENT)
        r = error_errno(err, "remove '%s'", lock_name);
    return r;
}

void staging_free(struct staging *staging)
{
    if (staging == NULL)
        return;
    if (staging->lock_fd >= 0)
        (void)remove_staging(staging->parent_fd, staging->name, NULL); /* staging_clean() will */
    auto_close_cleanup(&staging->fd);
    auto_close_cleanup(&staging->lock_fd);
    auto_close_cleanup(&staging->parent_fd);
    free(staging->name);
    free(staging);
}

/* Names in a directory, read before any is removed. A missing directory has none. */
static int list_names(int dir_fd, const char *name, struct strings *names, struct error *err)
{
    auto_close int fd = -1;
    struct dirent *entry;
    DIR *directory;
    int r;

    r = path_open_beneath(dir_fd, name, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (r < 0)
        return r;
    directory = fdopendir(fd);
    if (directory == NULL)
        return error_errno(err, "read the directory '%s'", name);
    (void)take_fd(&fd); /* closedir closes it */
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strings_add(names, entry->d_name);
    }
    (void)closedir(directory); /* only read from */
    return 0;
}

static int clean_one(int staging_fd, const char *name, struct error *err)
{
    auto_free char *base =
        xstrndup(name, strlen(name) - (text_ends(name, LOCK_SUFFIX) ? strlen(LOCK_SUFFIX) : 0));
    auto_free char *lock_name = xasprintf("%s" LOCK_SUFFIX, base);
    auto_close int lock_fd = -1;
    int r;

    r = file_lock(staging_fd, lock_name, true, 0, &lock_fd, err);
    if (r == -EAGAIN)
        return 0; /* in use */
    return r < 0 ? r : remove_staging(staging_fd, base, err);
}

static int clean_staging(int data_fd, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    struct error ignored = { 0 };
    auto_close int fd = -1;
    int result = 0;
    int r;

    r = list_names(data_fd, STAGING_NAME, &names, &ignored);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = path_open_beneath(data_fd, STAGING_NAME, O_RDONLY | O_DIRECTORY, 0, &fd, &ignored);
    if (r < 0)
        return error_set(err, -r, "%s", ignored.message);
    for (size_t i = 0; i < names.count; i++) {
        r = clean_one(fd, names.items[i], &ignored);
        if (r < 0 && result == 0)
            result = error_set(err, -r, "%s", ignored.message);
    }
    return result;
}

static int clean_trash(int data_fd, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    struct error ignored = { 0 };
    auto_close int fd = -1;
    int result = 0;
    int r;

    r = list_names(data_fd, TRASH_NAME, &names, &ignored);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = path_open_beneath(data_fd, TRASH_NAME, O_RDONLY | O_DIRECTORY, 0, &fd, &ignored);
    if (r < 0)
        return error_set(err, -r, "%s", ignored.message);
    for (size_t i = 0; i < names.count; i++) {
        r = path_remove_tree(fd, names.items[i], &ignored);
        if (r < 0 && result == 0)
            result = error_set(err, -r, "%s", ignored.message);
    }
    return result;
}

int staging_clean(int data_fd, struct error *err)
{
    struct error later = { 0 };
    int r = clean_staging(data_fd, err);
    int trash_result = clean_trash(data_fd, &later);

    if (r < 0 || trash_result == 0)
        return r;
    return error_set(err, -trash_result, "%s", later.message);
}

/* Keeps the data directory and its own lock, in place of the standard streams, and nothing else: a
 * lock, a pipe or a terminal that the caller holds would keep others waiting. */
static _Noreturn void clean_child(int data_fd, int lock_fd)
{
    int r;

    if (setsid() < 0 || fork() != 0)
        _exit(0);
    if (dup2(data_fd, 0) < 0 || dup2(lock_fd, 1) < 0)
        _exit(1);
    (void)close_range(2, ~0u, 0); /* Linux 5.9; before, the caller's files stay a moment longer */
    (void)setpriority(PRIO_PROCESS, 0, 19);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
    r = staging_clean(0, NULL);
    (void)unlinkat(0, TRASH_LOCK, 0); /* held */
    _exit(r < 0);
}

int staging_clean_behind(int data_fd, struct error *err)
{
    auto_close int staging_fd = -1;
    auto_close int lock_fd = -1;
    pid_t pid;
    int r;

    r = open_made(data_fd, STAGING_NAME, &staging_fd, err);
    if (r == 0)
        r = file_lock(data_fd, TRASH_LOCK, false, UINT32_MAX, &lock_fd, err);
    if (r < 0)
        return r;
    pid = fork();
    if (pid < 0)
        return error_errno(err, "start a process that empties the trash");
    if (pid == 0)
        clean_child(data_fd, lock_fd);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ; /* it ends at once: its child does the work */
    return 0;
}

static int add_staging_usage(int data_fd, struct staging_usage *usage, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    int r;

    r = list_names(data_fd, STAGING_NAME, &names, NULL);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        auto_free char *path = path_join(STAGING_NAME, names.items[i]);
        auto_free char *lock_path = xasprintf("%s" LOCK_SUFFIX, path);
        int held;

        if (text_ends(names.items[i], LOCK_SUFFIX)) /* counted with what it locks */
            continue;
        held = file_is_locked(data_fd, lock_path, err);
        if (held < 0)
            return held;
        *(held > 0 ? &usage->held_count : &usage->abandoned_count) += 1;
        r = disk_usage_add(data_fd, path, held > 0 ? &usage->held : &usage->abandoned, err);
    }
    return r == -ENOENT ? 0 : r;
}

int staging_usage(int data_fd, struct staging_usage *ret_usage, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    struct staging_usage usage = { 0 };
    int held, r;

    assert(ret_usage != NULL);

    r = add_staging_usage(data_fd, &usage, err);
    held = r == 0 ? file_is_locked(data_fd, TRASH_LOCK, NULL) : 0;
    if (r == 0 && list_names(data_fd, TRASH_NAME, &names, NULL) < 0)
        names.count = 0; /* there is none yet */
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        auto_free char *path = path_join(TRASH_NAME, names.items[i]);

        *(held > 0 ? &usage.held_count : &usage.abandoned_count) += 1;
        r = disk_usage_add(data_fd, path, held > 0 ? &usage.held : &usage.abandoned, err);
    }
    if (r == 0)
        *ret_usage = usage;
    return r;
}

/* Also where it is now: the trash's descriptor and the name in it. -ENOENT: it was not there. */
static int move_to_trash(int data_fd, int dir_fd, const char *name, int *ret_fd, char **ret_name,
                         struct error *err)
{
    auto_free char *random = text_random_hex(RANDOM_DIGITS);
    auto_close int trash_fd = -1;
    int r;

    assert(name != NULL);

    r = open_made(data_fd, TRASH_NAME, &trash_fd, err);
    if (r < 0)
        return r;
    if (renameat(dir_fd, name, trash_fd, random) < 0)
        return error_errno(err, "move '%s' to the trash", name);
    *ret_fd = take_fd(&trash_fd);
    *ret_name = take_ptr(&random);
    return 0;
}

int staging_trash(int data_fd, int dir_fd, const char *name, struct error *err)
{
    auto_free char *random = NULL;
    auto_close int trash_fd = -1;
    int r;

    r = move_to_trash(data_fd, dir_fd, name, &trash_fd, &random, err);
    return r == -ENOENT ? 0 : r;
}

int staging_discard(int data_fd, int dir_fd, const char *name, struct error *err)
{
    auto_free char *random = NULL;
    auto_close int trash_fd = -1;
    int r;

    r = move_to_trash(data_fd, dir_fd, name, &trash_fd, &random, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = path_remove_tree(trash_fd, random, err);
    return r < 0 ? error_prefix(err, r, "remove '%s'", name) : 0;
}
