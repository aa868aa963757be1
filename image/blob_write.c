#include "image/store_private.h"

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

#define COPY_BYTES (256u << 10)

int image_store_prepare_write(struct image_store *store, struct error *err)
{
    static const char *const directories[] = { "blobs", "blobs/sha256", "blobs/sha512" };
    int r;

    if (store->staging != NULL)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        r = store_make_directory(store->data_fd, directories[i], err);
        if (r < 0)
            return r;
    }
    if (store->lock_fd < 0) {
        r = image_store_lock(store, false, &store->lock_fd, err);
        if (r < 0)
            return r;
    }
    return staging_create(store->data_fd, &store->staging, err);
}

/* Rename replaces what is there: it had another size, or the same content. */
int blob_publish(struct image_store *store, const char *name, const struct digest *digest,
                 struct error *err)
{
    char path[BLOB_PATH_MAX];

    if (renameat(store->staging->fd, name, store->data_fd, blob_path(digest, path)) < 0)
        return error_errno(err, "store blob %s", digest->text);
    return 0;
}

struct blob_writer {
    struct image_store *store; /* borrowed */
    struct hash *hash;
    char *name; /* in staging; NULL once it is published */
    int fd;
    uint64_t size;
};

int blob_writer_open(struct image_store *store, const char *algorithm,
                     struct blob_writer **ret_writer, struct error *err)
{
    AUTO(blob_writer) struct blob_writer *writer = NULL;
    int r;

    assert(store != NULL);
    assert(algorithm != NULL);
    assert(ret_writer != NULL);

    r = image_store_prepare_write(store, err);
    if (r < 0)
        return r;
    writer = xcalloc(1, sizeof(*writer));
    writer->store = store;
    writer->hash = hash_open(algorithm);
    writer->name = text_random_hex(16);
    writer->fd = openat(store->staging->fd, writer->name,
                        O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (writer->fd < 0)
        return error_errno(err, "create a file in the image store's staging directory");
    *ret_writer = take_ptr(&writer);
    return 0;
}

int blob_writer_add(struct blob_writer *writer, const void *bytes, size_t length, struct error *err)
{
    assert(writer != NULL);

    hash_add(writer->hash, bytes, length);
    writer->size += length;
    return fd_write_all(writer->fd, bytes, length, "a blob", err);
}

int blob_writer_finish(struct blob_writer *writer, const struct digest *expected,
                       struct digest *ret_digest, uint64_t *ret_size, struct error *err)
{
    struct digest digest;
    int r;

    assert(writer != NULL);
    assert(writer->name != NULL);

    hash_finish(writer->hash, &digest);
    if (expected != NULL && !digest_equal(expected, &digest))
        return error_set(err, EBADMSG, "content of %s has the digest %s", expected->text,
                         digest.text);
    if (!blob_is_there(writer->store, &digest, writer->size)) {
        if (fdatasync(writer->fd) < 0)
            return error_errno(err, "write blob %s to the disk", digest.text);
        r = blob_publish(writer->store, writer->name, &digest, err);
        if (r < 0)
            return r;
        free(take_ptr(&writer->name));
    }
    if (ret_digest != NULL)
        *ret_digest = digest;
    if (ret_size != NULL)
        *ret_size = writer->size;
    return 0;
}

void blob_writer_free(struct blob_writer *writer)
{
    if (writer == NULL)
        return;
    if (writer->fd >= 0)
        (void)close(writer->fd); /* fdatasync() has told about errors */
    if (writer->name != NULL && writer->fd >= 0 && writer->store->staging != NULL)
        (void)unlinkat(writer->store->staging->fd, writer->name, 0); /* else with all of staging */
    hash_free(writer->hash);
    free(writer->name);
    free(writer);
}

int blob_write(struct image_store *store, const void *bytes, size_t length,
               struct digest *ret_digest, struct error *err)
{
    AUTO(blob_writer) struct blob_writer *writer = NULL;
    int r;

    assert(bytes != NULL || length == 0);

    r = blob_writer_open(store, "sha256", &writer, err);
    if (r < 0)
        return r;
    r = blob_writer_add(writer, bytes, length, err);
    if (r < 0)
        return r;
    return blob_writer_finish(writer, NULL, ret_digest, NULL, err);
}

/* Reads up to @length bytes, whole blocks at a time also from a pipe. */
static ssize_t read_block(int fd, char *buffer, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t n = read(fd, buffer + done, length - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* @hash and @writer: one of them, the other NULL. Reads one byte more than @length allows, so that
 * a longer input is noticed. */
static int copy_blocks(struct image_store *store, int fd, uint64_t length, struct hash *hash,
                       struct blob_writer *writer, uint64_t *ret_size, struct error *err)
{
    auto_free char *buffer = xcalloc(1, COPY_BYTES);
    uint64_t done = 0;
    int r;

    for (;;) {
        ssize_t n = read_block(fd, buffer, COPY_BYTES);

        if (n < 0)
            return error_errno(err, "read a blob");
        if (n == 0)
            break;
        done += (uint64_t)n;
        if (done > length)
            return error_set(err, EBADMSG, "is longer than the %llu bytes it should have",
                             (unsigned long long)length);
        if (hash != NULL)
            hash_add(hash, buffer, (size_t)n);
        r = writer != NULL ? blob_writer_add(writer, buffer, (size_t)n, err) : 0;
        if (r < 0)
            return r;
        image_store_report(store, (uint64_t)n);
    }
    if (length != UINT64_MAX && done != length)
        return error_set(err, EBADMSG, "has %llu bytes, not %llu", (unsigned long long)done,
                         (unsigned long long)length);
    *ret_size = done;
    return 0;
}

/* The blob is there already: the bytes given are only verified. */
static int verify_copy(struct image_store *store, int fd, uint64_t length,
                       const struct digest *expected, uint64_t *ret_size, struct error *err)
{
    AUTO(hash) struct hash *hash = hash_open(digest_algorithm(expected));
    struct digest digest;
    int r;

    r = copy_blocks(store, fd, length, hash, NULL, ret_size, err);
    if (r < 0)
        return error_prefix(err, r, "blob %s", expected->text);
    hash_finish(hash, &digest);
    if (!digest_equal(&digest, expected))
        return error_set(err, EBADMSG, "content of %s has the digest %s", expected->text,
                         digest.text);
    return 0;
}

int blob_copy(struct image_store *store, int fd, uint64_t length, const struct digest *expected,
              struct digest *ret_digest, uint64_t *ret_size, struct error *err)
{
    AUTO(blob_writer) struct blob_writer *writer = NULL;
    uint64_t size;
    int r;

    assert(store != NULL);
    assert(fd >= 0);

    r = image_store_prepare_write(store, err);
    if (r < 0)
        return r;
    if (expected != NULL && length != UINT64_MAX && blob_is_there(store, expected, length)) {
        r = verify_copy(store, fd, length, expected, &size, err);
        if (r < 0)
            return r;
        if (ret_digest != NULL)
            *ret_digest = *expected;
        if (ret_size != NULL)
            *ret_size = size;
        return 0;
    }
    r = blob_writer_open(store, expected != NULL ? digest_algorithm(expected) : "sha256", &writer,
                         err);
    if (r < 0)
        return r;
    r = copy_blocks(store, fd, length, NULL, writer, &size, err);
    if (r < 0)
        return expected != NULL ? error_prefix(err, r, "blob %s", expected->text) : r;
    return blob_writer_finish(writer, expected, ret_digest, ret_size, err);
}
