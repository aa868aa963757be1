#include "image/store_private.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "image/document_tree.h"

#define PARTIAL_KEPT_S 86400

/* Mark and sweep. Marked is what a published image refers to: its manifest, its config, its layers;
 * and what is here of an index by which one was pulled, as long as it has that name.
 * Whoever adds blobs holds the lock shared until they are published, so nothing that is about to
 * get a record is seen as garbage here. */

static void mark_all(const struct image_descriptors *list, struct strings *marked)
{
    for (size_t i = 0; i < list->count; i++)
        strings_add(marked, list->items[i].digest.text);
}

int image_index_blobs(struct image_store *store, const struct digest *manifest_digest,
                      struct strings *digests, struct error *err)
{
    AUTO_CLEAR(names) struct names names = { 0 };
    AUTO_CLEAR(document_tree) struct document_tree tree = { 0 };
    int r;

    r = names_list(store, &names, err);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        struct digest digest;

        if ((manifest_digest == NULL || digest_equal(&names.items[i].digest, manifest_digest)) &&
            name_index(store, &names.items[i], &digest))
            r = store_collect(store, &digest, true, &tree, err);
    }
    mark_all(&tree.documents, digests);
    mark_all(&tree.blobs, digests);
    return r;
}

static int mark(struct image_store *store, struct strings *marked, struct error *err)
{
    AUTO_CLEAR(records) struct records records = { 0 };
    int r;

    r = records_list(store, &records, NULL, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < records.count; i++) {
        AUTO_CLEAR(document) struct document document = { 0 };
        const struct digest *digest = &records.items[i].manifest_digest;

        /* An unreadable manifest ends the sweep: what it refers to is not known. */
        r = store_read_manifest(store, digest, &document, err);
        if (r < 0)
            return r;
        strings_add(marked, digest->text);
        strings_add(marked, document.config.digest.text);
        for (size_t j = 0; j < document.layers.count; j++)
            strings_add(marked, document.layers.items[j].digest.text);
    }
    r = image_index_blobs(store, NULL, marked, err);
    strings_sort(marked);
    return r;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_marked(const struct strings *marked, const char *text)
{
    return marked->count > 0 && bsearch(&text, marked->items, marked->count, sizeof(*marked->items),
                                        compare_texts) != NULL;
}

/* To the trash: the blocks of a large file are not given back in a moment. */
static int sweep_algorithm(struct image_store *store, const char *algorithm,
                           const struct strings *marked, struct disk_usage *swept,
                           struct error *err)
{
    AUTO_CLEAR(strings) struct strings files = { 0 };
    auto_free char *directory = xasprintf("blobs/%s", algorithm);
    int r;

    r = store_list_directory(store->data_fd, directory, &files, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < files.count; i++) {
        auto_free char *path = xasprintf("%s/%s", directory, files.items[i]);
        auto_free char *text = xasprintf("%s:%s", algorithm, files.items[i]);

        if (is_marked(marked, text))
            continue;
        r = disk_usage_add(store->data_fd, path, swept, err);
        if (r == 0)
            r = staging_trash(store->data_fd, store->data_fd, path, err);
        if (r < 0)
            return error_prefix(err, r, "remove blob %s", text);
    }
    return 0;
}

/* What file_replace() left of a process that was killed; under the lock no other is at work. */
static void sweep_unfinished(struct image_store *store, const char *path)
{
    int fd = openat(store->data_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (directory == NULL) {
        if (fd >= 0)
            (void)close(fd); /* only read */
        return;
    }
    while ((entry = readdir(directory)) != NULL) {
        if (text_starts(entry->d_name, ".new-"))
            (void)unlinkat(fd, entry->d_name, 0); /* nobody sees it; the next sweep tries again */
    }
    (void)closedir(directory); /* only read */
}

/* Blobs whose transfer nobody went on with (image/partial_blob.h). Failures are left to the next
 * time. */
static void clean_one(int data_fd, const char *name, int64_t kept_s, struct disk_usage *swept)
{
    auto_free char *path = xasprintf(INGEST "/%s", name);
    auto_free char *lock_path = xasprintf("locks/blob-%s", name);
    auto_close int lock_fd = -1;
    struct stat status;

    if (file_lock(data_fd, lock_path, true, 0, &lock_fd, NULL) < 0)
        return;
    if (fstatat(data_fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_mtime + kept_s <= time(NULL)) {
        (void)disk_usage_add(data_fd, path, swept, NULL); /* only told */
        (void)unlinkat(data_fd, path, 0);                 /* else the next time */
    }
    (void)unlinkat(data_fd, lock_path, 0); /* held */
}

int image_partial_usage(struct image_store *store, struct image_partial_usage *ret_usage,
                        struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    struct image_partial_usage usage = { 0 };
    int r;

    assert(store != NULL);
    assert(ret_usage != NULL);

    r = store_list_directory(store->data_fd, INGEST, &names, err);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        auto_free char *path = xasprintf(INGEST "/%s", names.items[i]);
        auto_free char *lock_path = xasprintf("locks/blob-%s", names.items[i]);
        struct disk_usage file = { 0 };
        int held = file_is_locked(store->data_fd, lock_path, err);

        if (held < 0)
            return held;
        r = disk_usage_add(store->data_fd, path, &file, err);
        usage.count++;
        usage.bytes += file.bytes;
        usage.held_count += held > 0;
        usage.held_bytes += held > 0 ? file.bytes : 0;
    }
    if (r == 0)
        *ret_usage = usage;
    return r;
}

static void clean_partial_blobs(int data_fd, int64_t kept_s, struct disk_usage *swept)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };

    if (store_list_directory(data_fd, INGEST, &names, NULL) < 0)
        return;
    for (size_t i = 0; i < names.count; i++)
        clean_one(data_fd, names.items[i], kept_s, swept);
}

int image_sweep_blobs(struct image_store *store, bool drops_partial, struct disk_usage *swept,
                      struct error *err)
{
    AUTO_CLEAR(strings) struct strings marked = { 0 };
    struct disk_usage ignored = { 0 };
    auto_close int lock_fd = -1;
    int r;

    assert(store != NULL);

    if (swept == NULL)
        swept = &ignored;
    if (faccessat(store->data_fd, "blobs", F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return 0;
    if (store->lock_fd >= 0) /* this process itself is adding */
        return 1;
    r = file_lock(store->data_fd, "blobs/lock", true, 0, &lock_fd, err);
    if (r == -EAGAIN)
        return 1;
    if (r < 0)
        return error_prefix(err, r, "lock the image store");
    sweep_unfinished(store, "names");
    sweep_unfinished(store, "images");
    clean_partial_blobs(store->data_fd, drops_partial ? 0 : PARTIAL_KEPT_S, swept);
    r = mark(store, &marked, err);
    if (r == 0)
        r = sweep_algorithm(store, "sha256", &marked, swept, err);
    if (r == 0)
        r = sweep_algorithm(store, "sha512", &marked, swept, err);
    return r < 0 ? error_prefix(err, r, "sweep the image store") : 0;
}
