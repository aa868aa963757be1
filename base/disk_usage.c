#include "base/disk_usage.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/inode_table.h"
#include "base/path.h"
#include "base/text.h"

#define BLOCK_BYTES 512 /* of st_blocks, whatever the file system's are (stat(3type)) */

static void count(const struct stat *status, struct inode_table *counted, struct disk_usage *usage)
{
    usage->entries++;
    usage->whiteouts += S_ISCHR(status->st_mode) && status->st_rdev == 0;
    usage->links += S_ISREG(status->st_mode) && status->st_nlink > 1;
    if (!S_ISDIR(status->st_mode) && status->st_nlink > 1 && !inode_table_add(counted, status, 0))
        return;
    usage->bytes += (uint64_t)status->st_blocks * BLOCK_BYTES;
    if (S_ISREG(status->st_mode))
        usage->file_bytes += (uint64_t)status->st_size;
}

/* Counts what is in a directory; its directories are added to @waiting. */
static void add_entries(DIR *directory, const char *path, struct strings *waiting,
                        struct inode_table *counted, struct disk_usage *usage)
{
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        struct stat status;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        count(&status, counted, usage);
        if (S_ISDIR(status.st_mode))
            strings_take(waiting, path_join(path, entry->d_name));
    }
}

/* One directory is open at a time, however deep the tree is. */
static int add_directory(int dir_fd, const char *path, struct strings *waiting,
                         struct inode_table *counted, struct disk_usage *usage, struct error *err)
{
    struct error why = { 0 };
    DIR *directory;
    int fd;
    int r;

    r = path_open_beneath(dir_fd, path, O_RDONLY | O_DIRECTORY, 0, &fd, &why);
    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EXDEV || r == -ENAMETOOLONG)
        return 0;
    if (r < 0)
        return error_set(err, -r, "count the size of '%s': %s", path, why.message);
    directory = fdopendir(fd);
    if (directory == NULL) {
        r = error_errno(err, "read the directory '%s'", path);
        (void)close(fd); /* only read */
        return r;
    }
    add_entries(directory, path, waiting, counted, usage);
    (void)closedir(directory); /* only read */
    return 0;
}

int disk_usage_add(int dir_fd, const char *name, struct disk_usage *usage, struct error *err)
{
    AUTO_CLEAR(strings) struct strings waiting = { 0 };
    AUTO_CLEAR(inode_table) struct inode_table counted = { 0 };
    struct stat status;
    int r = 0;

    assert(name != NULL);
    assert(usage != NULL);

    if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_errno(err, "count the size of '%s'", name);
    count(&status, &counted, usage);
    if (S_ISDIR(status.st_mode))
        strings_add(&waiting, name);
    while (r == 0 && waiting.count > 0) {
        auto_free char *path = waiting.items[--waiting.count];

        waiting.items[waiting.count] = NULL;
        r = add_directory(dir_fd, path, &waiting, &counted, usage, err);
    }
    return r;
}
