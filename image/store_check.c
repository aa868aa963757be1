#include "image/store_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"

/* What `system check` asks of blobs, records and names. */

#define READ_BYTES (256u << 10)

int blob_check(struct image_store *store, const struct digest *digest, struct error *err)
{
    AUTO(hash) struct hash *hash = hash_open(digest_algorithm(digest));
    auto_free char *buffer = xcalloc(1, READ_BYTES);
    auto_close int fd = -1;
    struct digest found;
    ssize_t length;
    int r;

    r = blob_open(store, digest, &fd, err);
    if (r < 0)
        return r;
    while ((length = read(fd, buffer, READ_BYTES)) != 0) {
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return error_errno(err, "read blob %s", digest->text);
        hash_add(hash, buffer, (size_t)length);
        image_store_report(store, (uint64_t)length);
    }
    hash_finish(hash, &found);
    if (!digest_equal(&found, digest))
        return error_set(err, EBADMSG, "blob %s is damaged: its content has the digest %s",
                         digest->text, found.text);
    return 0;
}

int blob_delete(struct image_store *store, const struct digest *digest, struct error *err)
{
    char path[BLOB_PATH_MAX];

    return staging_trash(store->data_fd, store->data_fd, blob_path(digest, path), err);
}

int image_manifests_list(struct image_store *store, struct strings *ret_digests, struct error *err)
{
    int r = store_list_directory(store->data_fd, "images", ret_digests, err);

    strings_sort(ret_digests);
    return r;
}

static void check_blob(struct image_store *store, const char *short_id,
                       const struct image_descriptor *descriptor, const char *what,
                       struct strings *defects)
{
    if (!blob_is_there(store, &descriptor->digest, UINT64_MAX))
        strings_addf(defects, "image %s: its %s %s is missing; pull or load it again", short_id,
                     what, descriptor->digest.text);
    else if (!blob_is_there(store, &descriptor->digest, descriptor->size))
        strings_addf(defects, "image %s: its %s %s has another size than %llu", short_id, what,
                     descriptor->digest.text, (unsigned long long)descriptor->size);
}

static void check_config(struct image_store *store, const struct digest *manifest_digest,
                         const char *short_id, struct strings *defects)
{
    AUTO(image) struct image *image = NULL;
    struct error err = { 0 };

    if (image_open(store, manifest_digest, &image, &err) < 0)
        strings_addf(defects, "image %s: %s", short_id, err.message);
}

void image_check(struct image_store *store, const struct digest *manifest_digest,
                 struct strings *defects)
{
    AUTO_CLEAR(document) struct document document = { 0 };
    auto_free char *short_id = xstrndup(digest_hex(manifest_digest), 12);
    struct record record = { 0 };
    struct error err = { 0 };

    assert(store != NULL);
    assert(defects != NULL);

    if (image_record_read(store, manifest_digest->text, &record, &err) < 0)
        strings_addf(defects, "image %s: %s", short_id, err.message);
    if (store_read_manifest(store, manifest_digest, &document, &err) < 0) {
        strings_addf(defects, "image %s: %s; pull or load it again, or remove it with `berth rmi`",
                     short_id, err.message);
    } else {
        if (record.fields.id != NULL && !digest_equal(&record.id, &document.config.digest))
            strings_addf(defects, "image %s: its record has another id than its manifest",
                         short_id);
        check_blob(store, short_id, &document.config, "config", defects);
        for (size_t i = 0; i < document.layers.count; i++)
            check_blob(store, short_id, &document.layers.items[i], "layer", defects);
        if (blob_is_there(store, &document.config.digest, document.config.size))
            check_config(store, manifest_digest, short_id, defects);
    }
    image_record_clear(&record.fields);
}

int image_lost_names(struct image_store *store, struct strings *ret_names, struct error *err)
{
    AUTO_CLEAR(names) struct names names = { 0 };
    int r;

    r = names_list(store, &names, err);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        auto_free char *path = xasprintf("images/%s", names.items[i].digest.text);

        if (faccessat(store->data_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
            strings_add(ret_names, names.items[i].familiar);
    }
    return r;
}

int image_drop_name(struct image_store *store, const char *name, struct error *err)
{
    AUTO(reference) struct reference *reference = NULL;
    int r = reference_parse(name, &reference, err);

    return r < 0 ? r : name_delete(store, reference, err);
}
