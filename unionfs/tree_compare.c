#include "unionfs/tree_compare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/path.h"
#include "base/text.h"

#define BLOCK_BYTES (64u << 10)

/* The same directory in both trees. */
struct pair {
    const char *path; /* for errors; "" is the root */
    int expected_fd, found_fd;
};

static int list_names(int dir_fd, const char *path, struct strings *names, struct error *err)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);

    if (directory == NULL)
        return error_errno(err, "read the directory '%s'", path);
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strings_add(names, entry->d_name);
    }
    (void)closedir(directory); /* only read */
    strings_sort(names);
    return 0;
}

static int differ(const char *path, const char *what, struct error *err)
{
    return error_set(err, EBADMSG, "'%s' has another %s", path[0] == '\0' ? "/" : path, what);
}

static bool is_whiteout(const struct stat *status)
{
    return S_ISCHR(status->st_mode) && status->st_rdev == 0;
}

static const char *difference(const struct stat *a, const struct stat *b)
{
    if ((a->st_mode & S_IFMT) != (b->st_mode & S_IFMT))
        return "kind";
    if (a->st_mode != b->st_mode)
        return "mode";
    if (a->st_uid != b->st_uid || a->st_gid != b->st_gid)
        return "owner";
    if (a->st_rdev != b->st_rdev)
        return "device number";
    if (!S_ISDIR(a->st_mode) && a->st_size != b->st_size)
        return "size";
    if (!S_ISDIR(a->st_mode) && a->st_nlink != b->st_nlink)
        return "number of names";
    if (is_whiteout(a))
        return NULL; /* nothing told its time, and nobody sees it */
    if (a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
        return "time";
    return NULL;
}

static int compare_targets(const struct pair *pair, const char *name, const char *path,
                           struct error *err)
{
    char expected[PATH_MAX], found[PATH_MAX];
    ssize_t length = readlinkat(pair->expected_fd, name, expected, sizeof(expected));

    if (length < 0 || readlinkat(pair->found_fd, name, found, sizeof(found)) != length ||
        memcmp(expected, found, (size_t)length) != 0)
        return differ(path, "target", err);
    return 0;
}

/* By way of /proc, since links have attributes too and there is no call for "name in directory". */
static char *proc_path(int dir_fd, const char *name)
{
    return xasprintf("/proc/self/fd/%d/%s", dir_fd, name);
}

static int list_attributes(const char *path, struct strings *names)
{
    auto_free char *list = xcalloc(1, XATTR_LIST_MAX);
    ssize_t length = llistxattr(path, list, XATTR_LIST_MAX);

    if (length < 0 && errno != ENOTSUP)
        return -errno;
    for (ssize_t i = 0; i < length; i += (ssize_t)strlen(list + i) + 1)
        strings_add(names, list + i);
    strings_sort(names);
    return 0;
}

static bool has_same_value(const char *expected, const char *found, const char *name)
{
    auto_free char *a = xcalloc(1, XATTR_SIZE_MAX);
    auto_free char *b = xcalloc(1, XATTR_SIZE_MAX);
    ssize_t length = lgetxattr(expected, name, a, XATTR_SIZE_MAX);

    return length >= 0 && lgetxattr(found, name, b, XATTR_SIZE_MAX) == length &&
           memcmp(a, b, (size_t)length) == 0;
}

static int compare_attributes(const struct pair *pair, const char *name, const char *path,
                              struct error *err)
{
    AUTO_CLEAR(strings) struct strings expected_names = { 0 };
    AUTO_CLEAR(strings) struct strings found_names = { 0 };
    auto_free char *expected = proc_path(pair->expected_fd, name);
    auto_free char *found = proc_path(pair->found_fd, name);
    int r;

    r = list_attributes(expected, &expected_names);
    if (r == 0)
        r = list_attributes(found, &found_names);
    if (r < 0)
        return error_set(err, -r, "read the attributes of '%s': %s", path, strerror(-r));
    if (expected_names.count != found_names.count)
        return differ(path, "set of attributes", err);
    for (size_t i = 0; i < expected_names.count; i++) {
        if (strcmp(expected_names.items[i], found_names.items[i]) != 0)
            return differ(path, "set of attributes", err);
        if (!has_same_value(expected, found, expected_names.items[i]))
            return error_set(err, EBADMSG, "'%s' has another value of '%s'", path,
                             expected_names.items[i]);
    }
    return 0;
}

static int compare_contents(const struct pair *pair, const char *name, const char *path,
                            struct error *err)
{
    auto_close int expected_fd = openat(pair->expected_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    auto_close int found_fd = openat(pair->found_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    auto_free char *expected = xcalloc(1, BLOCK_BYTES);
    auto_free char *found = xcalloc(1, BLOCK_BYTES);
    off_t offset = 0;

    if (expected_fd < 0 || found_fd < 0)
        return error_errno(err, "open '%s'", path);
    for (;;) {
        ssize_t length = pread(expected_fd, expected, BLOCK_BYTES, offset);

        if (length < 0)
            return error_errno(err, "read '%s'", path);
        if (pread(found_fd, found, BLOCK_BYTES, offset) != length ||
            memcmp(expected, found, (size_t)length) != 0)
            return differ(path, "content", err);
        if (length == 0)
            return 0;
        offset += length;
    }
}

/* One name that both have. 1: a directory, in which the walk goes on. */
static int compare_entry(const struct pair *pair, const char *name, const char *path,
                         struct error *err)
{
    struct stat expected, found;
    const char *what;
    int r;

    if (fstatat(pair->expected_fd, name, &expected, AT_SYMLINK_NOFOLLOW) < 0 ||
        fstatat(pair->found_fd, name, &found, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "look at '%s'", path);
    what = difference(&expected, &found);
    if (what != NULL)
        return differ(path, what, err);
    r = compare_attributes(pair, name, path, err);
    if (r == 0 && S_ISLNK(expected.st_mode))
        r = compare_targets(pair, name, path, err);
    if (r == 0 && S_ISREG(expected.st_mode))
        r = compare_contents(pair, name, path, err);
    return r < 0 ? r : S_ISDIR(expected.st_mode);
}

/* "etc/passwd" from "etc" and "passwd", "etc" from the root and "etc". */
static char *path_below(const struct pair *pair, const char *name)
{
    return pair->path[0] == '\0' ? xstrdup(name) : path_join(pair->path, name);
}

static int compare_names(const struct pair *pair, const struct strings *expected,
                         const struct strings *found, struct error *err)
{
    for (size_t i = 0; i < expected->count || i < found->count; i++) {
        int order = i == expected->count ? 1
                    : i == found->count  ? -1
                                         : strcmp(expected->items[i], found->items[i]);
        auto_free char *path = NULL;

        if (order == 0)
            continue;
        path = path_below(pair, order < 0 ? expected->items[i] : found->items[i]);
        return error_set(err, EBADMSG, "'%s' is %s", path, order < 0 ? "missing" : "too much");
    }
    return 0;
}

static int compare_directory(const struct pair *pair, struct strings *waiting, struct error *err)
{
    AUTO_CLEAR(strings) struct strings expected = { 0 };
    AUTO_CLEAR(strings) struct strings found = { 0 };
    int r;

    r = list_names(pair->expected_fd, pair->path, &expected, err);
    if (r == 0)
        r = list_names(pair->found_fd, pair->path, &found, err);
    if (r == 0)
        r = compare_names(pair, &expected, &found, err);
    for (size_t i = 0; r >= 0 && i < expected.count; i++) {
        auto_free char *path = path_below(pair, expected.items[i]);

        r = compare_entry(pair, expected.items[i], path, err);
        if (r > 0)
            strings_add(waiting, path);
    }
    return r < 0 ? r : 0;
}

int tree_compare(int expected_fd, int found_fd, struct error *err)
{
    struct pair root = { .path = "", .expected_fd = expected_fd, .found_fd = found_fd };
    AUTO_CLEAR(strings) struct strings waiting = { 0 };
    int r;

    r = compare_entry(&root, ".", "", err);
    if (r >= 0)
        r = compare_directory(&root, &waiting, err);
    while (r == 0 && waiting.count > 0) {
        auto_free char *path = waiting.items[--waiting.count];
        auto_close int expected = -1;
        auto_close int found = -1;

        waiting.items[waiting.count] = NULL;
        r = path_open_beneath(expected_fd, path, O_RDONLY | O_DIRECTORY, 0, &expected, err);
        if (r == 0)
            r = path_open_beneath(found_fd, path, O_RDONLY | O_DIRECTORY, 0, &found, err);
        if (r == 0)
            r = compare_directory(&(struct pair){ path, expected, found }, &waiting, err);
    }
    return r;
}
