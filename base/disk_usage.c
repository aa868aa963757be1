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
#include "base/path.h"
#include "base/text.h"

#define BLOCK_BYTES 512 /* of st_blocks, whatever the file system's are (stat(3type)) */

/* Files with several names that were counted: a hash table that is at most half full. */
struct inodes {
    struct inode {
        dev_t device;
        ino_t number; /* 0: free, which no file system gives to a file */
    } * items;
    size_t count, capacity;
};

static void inodes_clear(struct inodes *inodes)
{
    free(inodes->items);
    *inodes = (struct inodes){ 0 };
}

static struct inode *inodes_place(const struct inodes *inodes, dev_t device, ino_t number)
{
    size_t i = (size_t)((uint64_t)number * 0x9e3779b97f4a7c15u >> 32) & (inodes->capacity - 1);

    while (inodes->items[i].number != 0 &&
           (inodes->items[i].number != number || inodes->items[i].device != device))
        i = (i + 1) & (inodes->capacity - 1);
    return &inodes->items[i];
}

static void inodes_grow(struct inodes *inodes)
{
    struct inodes larger = { .capacity = inodes->capacity == 0 ? 64 : inodes->capacity * 2 };

    larger.items = xcalloc(larger.capacity, sizeof(*larger.items));
    for (size_t i = 0; i < inodes->capacity; i++) {
        if (inodes->items[i].number != 0)
            *inodes_place(&larger, inodes->items[i].device, inodes->items[i].number) =
                inodes->items[i];
    }
    larger.count = inodes->count;
    free(inodes->items);
    *inodes = larger;
}

/* Whether it is seen for the first time. */
static bool inodes_add(struct inodes *inodes, const struct stat *status)
{
    struct inode *place;

    if ((inodes->count + 1) * 2 > inodes->capacity)
        inodes_grow(inodes);
    place = inodes_place(inodes, status->st_dev, status->st_ino);
    if (place->number != 0)
        return false;
    *place = (struct inode){ status->st_dev, status->st_ino };
    inodes->count++;
    return true;
}

static void count(const struct stat *status, struct inodes *inodes, struct disk_usage *usage)
{
    usage->entries++;
    usage->whiteouts += S_ISCHR(status->st_mode) && status->st_rdev == 0;
    usage->links += S_ISREG(status->st_mode) && status->st_nlink > 1;
    if (!S_ISDIR(status->st_mode) && status->st_nlink > 1 && !inodes_add(inodes, status))
        return;
    usage->bytes += (uint64_t)status->st_blocks * BLOCK_BYTES;
    if (S_ISREG(status->st_mode))
        usage->file_bytes += (uint64_t)status->st_size;
}

/* Counts what is in a directory; its directories are added to @waiting. */
static void add_entries(DIR *directory, const char *path, struct strings *waiting,
                        struct inodes *inodes, struct disk_usage *usage)
{
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        struct stat status;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        count(&status, inodes, usage);
        if (S_ISDIR(status.st_mode))
            strings_take(waiting, path_join(path, entry->d_name));
    }
}

/* One directory is open at a time, however deep the tree is. */
static int add_directory(int dir_fd, const char *path, struct strings *waiting,
                         struct inodes *inodes, struct disk_usage *usage, struct error *err)
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
    add_entries(directory, path, waiting, inodes, usage);
    (void)closedir(directory); /* only read */
    return 0;
}

int disk_usage_add(int dir_fd, const char *name, struct disk_usage *usage, struct error *err)
{
    AUTO_CLEAR(strings) struct strings waiting = { 0 };
    AUTO_CLEAR(inodes) struct inodes inodes = { 0 };
    struct stat status;
    int r = 0;

    assert(name != NULL);
    assert(usage != NULL);

    if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_errno(err, "count the size of '%s'", name);
    count(&status, &inodes, usage);
    if (S_ISDIR(status.st_mode))
        strings_add(&waiting, name);
    while (r == 0 && waiting.count > 0) {
        auto_free char *path = waiting.items[--waiting.count];

        waiting.items[waiting.count] = NULL;
        r = add_directory(dir_fd, path, &waiting, &inodes, usage, err);
    }
    return r;
}
