#include "microvm/warm_store.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/staging.h"
#include "microvm/warm_snapshot.h"

/* An emulator runs as root without a capability, and sees the jail's files. So the directory of a
 * snapshot is not root's: berth-vmm opens what is in it while it may still override that, and
 * nobody else in the jail can. The folder around it keeps other processes of that user out. */
#define OWNER ((uid_t)65534)

#define KEY_FILE      "key"
#define KEY_BYTES_MAX 65536
#define VERSION       1
#define STAGED        "warm"

/* --- the key -----------------------------------------------------------------------------------*/

static const char *word(const char *text)
{
    return text != NULL ? text : "-";
}

char *warm_key(const struct warm_subject *subject)
{
    const struct vm_config *config = subject->config;
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    strings_addf(&lines, "version %d", VERSION);
    strings_addf(&lines, "boot %s", subject->boot_id);
    strings_addf(&lines, "backend %s %s", config->backend, word(subject->processor));
    strings_addf(&lines, "memory %llu", (unsigned long long)config->memory_bytes);
    strings_addf(&lines, "cpus %u", config->cpus);
    strings_addf(&lines, "console %s", word(config->console));
    strings_addf(&lines, "cmdline %s", word(config->cmdline));
    strings_addf(&lines, "root %s %s", config->root.type, word(config->root.upper));
    for (size_t i = 0; i < config->shares.count; i++)
        strings_addf(&lines, "share %s", config->shares.items[i].tag);
    strings_add_all(&lines, &subject->identity);
    return strings_join(&lines, "\n");
}

int warm_identify(const char *name, const char *path, struct strings *identity, struct error *err)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return error_errno(err, "look at '%s'", path);
    strings_addf(identity, "%s %llx %llu %lld %lld.%09ld", name, (unsigned long long)status.st_dev,
                 (unsigned long long)status.st_ino, (long long)status.st_size,
                 (long long)status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
    return 0;
}

/* --- directories -------------------------------------------------------------------------------*/

static char *hash_name(const char *key)
{
    return xasprintf("%016llx", (unsigned long long)text_hash(key, strlen(key)));
}

char *warm_store_path(const char *data_path, const char *key)
{
    auto_free char *name = hash_name(key);

    return xasprintf("%s/" WARM_STORE_FOLDER "/%s", data_path, name);
}

static int open_store(int data_fd, int *ret_fd, struct error *err)
{
    if (mkdirat(data_fd, WARM_STORE_FOLDER, 0700) < 0 && errno != EEXIST)
        return error_errno(err, "make the directory of saved machines");
    return path_open_beneath(data_fd, WARM_STORE_FOLDER, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

/* 0: it is there, and now the one that was used last. */
static int find(int store_fd, const char *name, const char *key, struct error *err)
{
    auto_free char *file = path_join(name, KEY_FILE);
    auto_free char *text = NULL;
    int r;

    r = file_read(store_fd, file, KEY_BYTES_MAX, &text, NULL, err);
    if (r < 0)
        return r;
    if (strcmp(text, key) != 0)
        return error_set(err, EEXIST, "the saved machine '%s' is another one", name);
    if (utimensat(store_fd, name, NULL, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "use the saved machine '%s'", name);
    return 0;
}

static int refuse_user(struct error *err)
{
    return error_set(err, EPERM,
                     "machines to start others from (--warm) have to belong to a user that no "
                     "microVM runs as, and only root can give them away: start it without");
}

static int fill(int dir_fd, const char *key, struct error *err)
{
    int r;

    r = file_replace(dir_fd, KEY_FILE, key, strlen(key), 0600, FILE_SYNC_NONE, err);
    if (r < 0)
        return r;
    if (fchown(dir_fd, OWNER, OWNER) == 0)
        return 0;
    return errno == EPERM || errno == EINVAL ? refuse_user(err)
                                             : error_errno(err, "give the saved machine its owner");
}

static int add(int data_fd, int store_fd, const char *name, const char *key, struct error *err)
{
    AUTO(staging) struct staging *staging = NULL;
    auto_close int dir_fd = -1;
    int r;

    r = staging_create(data_fd, &staging, err);
    if (r < 0)
        return r;
    if (mkdirat(staging->fd, STAGED, 0700) < 0)
        return error_errno(err, "make the directory of a saved machine");
    r = path_open_beneath(staging->fd, STAGED, O_RDONLY | O_DIRECTORY, 0, &dir_fd, err);
    if (r == 0)
        r = fill(dir_fd, key, err);
    if (r < 0)
        return r;
    /* Another command may have been faster. */
    if (renameat(staging->fd, STAGED, store_fd, name) < 0 && errno != EEXIST && errno != ENOTEMPTY)
        return error_errno(err, "add the saved machine '%s'", name);
    return 0;
}

/* --- their number ------------------------------------------------------------------------------*/

struct entry {
    char *name;
    struct timespec used;
};

static int compare_entries(const void *left, const void *right)
{
    const struct timespec *a = &((const struct entry *)left)->used;
    const struct timespec *b = &((const struct entry *)right)->used;

    if (a->tv_sec != b->tv_sec)
        return a->tv_sec < b->tv_sec ? 1 : -1;
    return a->tv_nsec < b->tv_nsec ? 1 : a->tv_nsec > b->tv_nsec ? -1 : 0;
}

static int list(int store_fd, struct entry **ret_entries, size_t *ret_count, struct error *err)
{
    int fd = openat(store_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *item;

    if (directory == NULL)
        return error_errno(err, "list the saved machines");
    while ((item = readdir(directory)) != NULL) {
        struct stat status;

        if (item->d_name[0] == '.' ||
            fstatat(store_fd, item->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        *ret_entries = xrealloc(*ret_entries, *ret_count + 1, sizeof(**ret_entries));
        (*ret_entries)[(*ret_count)++] = (struct entry){ xstrdup(item->d_name), status.st_mtim };
    }
    (void)closedir(directory); /* was only read */
    if (*ret_count > 1)
        qsort(*ret_entries, *ret_count, sizeof(**ret_entries), compare_entries);
    return 0;
}

/* A machine that was started from one of them has it mapped, and is not disturbed. */
static int remove_oldest(int data_fd, int store_fd, struct error *err)
{
    struct entry *entries = NULL;
    size_t count = 0;
    int r;

    r = list(store_fd, &entries, &count, err);
    for (size_t i = WARM_STORE_MAX; i < count && r == 0; i++)
        r = staging_discard(data_fd, store_fd, entries[i].name, err);
    for (size_t i = 0; i < count; i++)
        free(entries[i].name);
    free(entries);
    return r;
}

int warm_store_make(const char *data_path, const char *key, struct error *err)
{
    auto_close int data_fd = open(data_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_free char *name = hash_name(key);
    auto_close int store_fd = -1;
    int r;

    assert(key != NULL);
    if (geteuid() != 0)
        return refuse_user(err);
    if (data_fd < 0)
        return error_errno(err, "open '%s'", data_path);
    r = open_store(data_fd, &store_fd, err);
    if (r == 0)
        r = find(store_fd, name, key, err);
    if (r != -ENOENT)
        return r;
    r = add(data_fd, store_fd, name, key, err);
    if (r == 0)
        r = find(store_fd, name, key, err);
    if (r == 0)
        r = remove_oldest(data_fd, store_fd, err);
    return r;
}
