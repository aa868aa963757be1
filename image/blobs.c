#include "image/store_private.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/path.h"

#define LOCK_WAIT_MS 30000

char *blob_path(const struct digest *digest, char *buffer)
{
    (void)snprintf(buffer, BLOB_PATH_MAX, "blobs/%s/%s", digest_algorithm(digest),
                   digest_hex(digest));
    return buffer;
}

bool blob_is_there(struct image_store *store, const struct digest *digest, uint64_t size)
{
    char path[BLOB_PATH_MAX];
    struct stat status;

    return fstatat(store->data_fd, blob_path(digest, path), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status.st_mode) && (size == UINT64_MAX || (uint64_t)status.st_size == size);
}

int blob_open(struct image_store *store, const struct digest *digest, int *ret_fd,
              struct error *err)
{
    char path[BLOB_PATH_MAX];
    int r;

    assert(store != NULL);
    assert(digest != NULL);
    assert(ret_fd != NULL);

    r = path_open_beneath(store->data_fd, blob_path(digest, path), O_RDONLY | O_NONBLOCK, 0, ret_fd,
                          err);
    if (r == -ENOENT)
        return error_set(err, ENOENT, "blob %s is missing from the store", digest->text);
    if (r < 0)
        return error_prefix(err, r, "blob %s", digest->text);
    return 0;
}

int blob_read(struct image_store *store, const struct digest *digest, char **ret_text,
              size_t *ret_length, struct error *err)
{
    auto_close int fd = -1;
    int r;

    assert(ret_text != NULL);

    r = blob_open(store, digest, &fd, err);
    if (r < 0)
        return r;
    return fd_read_all(fd, IMAGE_DOCUMENT_MAX, digest->text, ret_text, ret_length, err);
}

int store_make_directory(int data_fd, const char *path, struct error *err)
{
    if (mkdirat(data_fd, path, 0700) < 0 && errno != EEXIST)
        return error_errno(err, "make directory '%s' of the image store", path);
    return 0;
}

int image_store_lock(struct image_store *store, bool is_exclusive, int *ret_fd, struct error *err)
{
    int r;

    r = store_make_directory(store->data_fd, "blobs", err);
    if (r == 0)
        r = file_lock(store->data_fd, "blobs/lock", is_exclusive, LOCK_WAIT_MS, ret_fd, err);
    return r < 0 ? error_prefix(err, r, "lock the image store") : 0;
}

static int lock_names(struct image_store *store, bool is_exclusive, struct error *err)
{
    int r;

    assert(store != NULL);

    if (store->change_depth == 0) {
        r = store_make_directory(store->data_fd, "locks", err);
        if (r == 0)
            r = file_lock(store->data_fd, "locks/images", is_exclusive, LOCK_WAIT_MS,
                          &store->change_fd, err);
        if (r < 0)
            return error_prefix(err, r, "lock the names of images");
    }
    store->change_depth++;
    return 0;
}

int image_store_begin_change(struct image_store *store, struct error *err)
{
    return lock_names(store, true, err);
}

int image_store_begin_look(struct image_store *store, struct error *err)
{
    struct error why = { 0 };
    int r = lock_names(store, false, &why);

    if (r == -EROFS) { /* nothing comes or goes there, and no lock can be opened */
        store->change_depth++;
        return 0;
    }
    return r < 0 ? error_set(err, -r, "%s", why.message) : 0;
}

void image_store_end_change(struct image_store *store)
{
    assert(store->change_depth > 0);

    if (--store->change_depth > 0)
        return;
    if (store->change_fd >= 0)
        (void)close(store->change_fd); /* releases the lock; nothing was written through it */
    store->change_fd = -1;
}

/* --- listing ---------------------------------------------------------------------------------- */

static int add_blobs(struct image_store *store, const char *algorithm, struct image_blobs *blobs,
                     struct error *err)
{
    AUTO_CLEAR(strings) struct strings files = { 0 };
    auto_free char *directory = xasprintf("blobs/%s", algorithm);
    int r;

    r = store_list_directory(store->data_fd, directory, &files, err);
    if (r < 0)
        return r;
    strings_sort(&files);
    blobs->items = xrealloc(blobs->items, blobs->count + files.count + 1, sizeof(*blobs->items));
    for (size_t i = 0; i < files.count; i++) {
        struct image_blob *blob = &blobs->items[blobs->count];
        auto_free char *text = xasprintf("%s:%s", algorithm, files.items[i]);
        char path[BLOB_PATH_MAX];
        struct stat status;

        if (digest_parse(text, &blob->digest, NULL) < 0 ||
            fstatat(store->data_fd, blob_path(&blob->digest, path), &status, AT_SYMLINK_NOFOLLOW) <
                0)
            continue; /* not ours, or removed meanwhile */
        blob->disk_bytes = (uint64_t)status.st_blocks * 512;
        blob->length = (uint64_t)status.st_size;
        blobs->count++;
    }
    return 0;
}

int image_blobs_list(struct image_store *store, struct image_blobs *ret_blobs, struct error *err)
{
    AUTO_CLEAR(image_blobs) struct image_blobs blobs = { 0 };
    int r;

    assert(store != NULL);
    assert(ret_blobs != NULL);

    r = add_blobs(store, "sha256", &blobs, err);
    if (r == 0)
        r = add_blobs(store, "sha512", &blobs, err);
    if (r < 0)
        return r;
    *ret_blobs = blobs;
    blobs = (struct image_blobs){ 0 };
    return 0;
}

void image_blobs_clear(struct image_blobs *blobs)
{
    free(blobs->items);
    *blobs = (struct image_blobs){ 0 };
}

int store_sync_directory(int data_fd, const char *path, struct error *err)
{
    auto_close int fd = openat(data_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fsync(fd) < 0)
        return error_errno(err, "sync directory '%s' of the image store", path);
    return 0;
}

int store_list_directory(int data_fd, const char *path, struct strings *ret_names,
                         struct error *err)
{
    struct dirent *entry;
    DIR *directory;
    int fd, failure;

    fd = openat(data_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return error_errno(err, "open directory '%s' of the image store", path);
    directory = fdopendir(fd);
    if (directory == NULL) {
        (void)close(fd);
        return error_errno(err, "read directory '%s' of the image store", path);
    }
    errno = 0;
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.')
            strings_add(ret_names, entry->d_name);
        errno = 0;
    }
    failure = errno;
    (void)closedir(directory); /* nothing was written */
    if (failure != 0) {
        strings_clear(ret_names);
        errno = failure;
        return error_errno(err, "read directory '%s' of the image store", path);
    }
    return 0;
}
