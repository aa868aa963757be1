#include "image/partial_blob.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/path.h"
#include "image/store_private.h"

#define BLOCK_BYTES (256u << 10)

struct partial_blob {
    struct image_store *store; /* borrowed */
    struct digest digest;
    struct hash *hash; /* of the bytes that are there */
    char *path, *lock_path;
    uint64_t size, length;
    int fd, read_fd, lock_fd;
};

/* "sha256-<hex>": no colon, as in the names of locks. */
static char *file_name(const struct digest *digest)
{
    return xasprintf("%s-%s", digest_algorithm(digest), digest_hex(digest));
}

void partial_blob_free(struct partial_blob *blob)
{
    if (blob == NULL)
        return;
    if (blob->lock_fd >= 0) {
        (void)unlinkat(blob->store->data_fd, blob->lock_path, 0); /* held: nobody counts on it */
        (void)close(blob->lock_fd);
    }
    if (blob->fd >= 0)
        (void)close(blob->fd); /* what was lost is seen by its digest */
    if (blob->read_fd >= 0)
        (void)close(blob->read_fd); /* only read */
    hash_free(blob->hash);
    free(blob->path);
    free(blob->lock_path);
    free(blob);
}

static int start_again(struct partial_blob *blob, struct error *err)
{
    hash_free(blob->hash);
    blob->hash = hash_open(digest_algorithm(&blob->digest));
    blob->length = 0;
    if (ftruncate(blob->fd, 0) < 0)
        return error_errno(err, "empty the partial blob %s", blob->digest.text);
    return 0;
}

static int read_what_is_there(struct partial_blob *blob, struct error *err)
{
    auto_free char *buffer = xcalloc(1, BLOCK_BYTES);

    for (;;) {
        ssize_t n = pread(blob->fd, buffer, BLOCK_BYTES, (off_t)blob->length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "read the partial blob %s", blob->digest.text);
        if (n == 0)
            return 0;
        if ((uint64_t)n > blob->size - blob->length)
            return start_again(blob, err);
        hash_add(blob->hash, buffer, (size_t)n);
        blob->length += (uint64_t)n;
    }
}

static int open_file(struct partial_blob *blob, struct error *err)
{
    int r;

    r = store_make_directory(blob->store->data_fd, INGEST, err);
    if (r == 0)
        r = path_open_beneath(blob->store->data_fd, blob->path, O_RDWR | O_CREAT, 0600, &blob->fd,
                              err);
    if (r == 0)
        r = path_open_beneath(blob->store->data_fd, blob->path, O_RDONLY, 0, &blob->read_fd, err);
    if (r < 0)
        return r;
    blob->hash = hash_open(digest_algorithm(&blob->digest));
    return read_what_is_there(blob, err);
}

int partial_blob_open(struct image_store *store, const struct digest *digest, uint64_t size,
                      bool is_waiting, struct partial_blob **ret_blob, struct error *err)
{
    AUTO(partial_blob) struct partial_blob *blob = NULL;
    auto_free char *name = file_name(digest);
    int r;

    assert(store != NULL);
    assert(ret_blob != NULL);

    r = image_store_prepare_write(store, err);
    if (r == 0)
        r = store_make_directory(store->data_fd, "locks", err);
    if (r < 0)
        return r;
    if (blob_is_there(store, digest, size)) {
        *ret_blob = NULL;
        return 0;
    }
    blob = xcalloc(1, sizeof(*blob));
    blob->store = store;
    blob->digest = *digest;
    blob->size = size;
    blob->fd = blob->read_fd = blob->lock_fd = -1;
    blob->path = xasprintf(INGEST "/%s", name);
    blob->lock_path = xasprintf("locks/blob-%s", name);
    r = file_lock(store->data_fd, blob->lock_path, true, is_waiting ? UINT32_MAX : 0,
                  &blob->lock_fd, err);
    if (r < 0)
        return r;
    if (blob_is_there(store, digest, size)) { /* by whom we waited for */
        *ret_blob = NULL;
        return 0;
    }
    r = open_file(blob, err);
    if (r < 0)
        return r;
    *ret_blob = take_ptr(&blob);
    return 0;
}

uint64_t partial_blob_length(const struct partial_blob *blob)
{
    return blob->length;
}

int partial_blob_fd(const struct partial_blob *blob)
{
    return blob->read_fd;
}

int partial_blob_add(struct partial_blob *blob, const void *bytes, size_t length, struct error *err)
{
    const char *next = bytes;

    assert(blob != NULL);

    if (length > blob->size - blob->length)
        return error_set(err, EBADMSG, "blob %s has more than the %llu bytes it should have",
                         blob->digest.text, (unsigned long long)blob->size);
    hash_add(blob->hash, bytes, length);
    while (length > 0) {
        ssize_t n = pwrite(blob->fd, next, length, (off_t)blob->length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "write blob %s", blob->digest.text);
        next += n;
        length -= (size_t)n;
        blob->length += (uint64_t)n;
    }
    return 0;
}

int partial_blob_finish(struct partial_blob *blob, struct error *err)
{
    char path[BLOB_PATH_MAX];
    struct digest digest;

    assert(blob != NULL);

    if (blob->length != blob->size)
        return error_set(err, EBADMSG, "blob %s has %llu bytes, not %llu", blob->digest.text,
                         (unsigned long long)blob->length, (unsigned long long)blob->size);
    hash_finish(blob->hash, &digest);
    if (!digest_equal(&digest, &blob->digest)) {
        int r = start_again(blob, err);

        return r < 0 ? r
                     : error_set(err, EBADMSG, "content of %s has the digest %s", blob->digest.text,
                                 digest.text);
    }
    if (fdatasync(blob->fd) < 0)
        return error_errno(err, "write blob %s to the disk", blob->digest.text);
    if (renameat(blob->store->data_fd, blob->path, blob->store->data_fd,
                 blob_path(&blob->digest, path)) < 0)
        return error_errno(err, "store blob %s", blob->digest.text);
    return 0;
}
