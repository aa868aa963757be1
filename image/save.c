#include "image/image.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/tar_writer.h"
#include "image/archive_private.h"
#include "image/document_tree.h"
#include "image/store_private.h"

/* An archive is an OCI layout (image-layout.md) in a tar: the blobs as they are in the store, so
 * that all digests stay, and an index that names them. docker's form has docker's manifest.json
 * beside it, as `docker save` has written since version 25: it is read by either.
 *
 * Nothing in it tells when, where or in which order it was asked for: entries are sorted, and have
 * neither time nor owner. */

#define COPY_BYTES (256u << 10)
#define OCI_LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}"

struct save {
    struct image_store *store;
    int fd;     /* of the archive, or of the file that is being written in a layout */
    int dir_fd; /* of the layout; borrowed; -1: it is an archive */
    char *buffer;
    struct strings blobs; /* digests of what was planned */
    struct image_descriptors manifests;
    struct docker_images docker;
};

static void save_clear(struct save *save)
{
    if (save->dir_fd >= 0)
        auto_close_cleanup(&save->fd);
    free(save->buffer);
    strings_clear(&save->blobs);
    image_descriptors_clear(&save->manifests);
    docker_images_clear(&save->docker);
}

/* --- what belongs to it ----------------------------------------------------------------------- */

static int compare_items(const void *a, const void *b)
{
    const struct image_archive_item *left = a, *right = b;

    return strcmp(left->manifest_digest.text, right->manifest_digest.text);
}

/* Manifests without a media type of their own are OCI's. */
static int find_manifest(struct save *save, const struct digest *digest, const char **ret_type,
                         uint64_t *ret_size, struct error *err)
{
    static const char *const types[] = { MEDIA_OCI_MANIFEST, MEDIA_DOCKER_MANIFEST };
    auto_free char *text = NULL;
    size_t length;
    int r;

    r = blob_read(save->store, digest, &text, &length, err);
    if (r < 0)
        return r;
    r = -EINVAL;
    for (size_t i = 0; r < 0 && i < ARRAY_SIZE(types); i++) {
        AUTO_CLEAR(document) struct document document = { 0 };

        r = document_decode(text, length, types[i], &document, err);
        *ret_type = types[i];
    }
    *ret_size = length;
    return r;
}

static void add_blob(struct save *save, const struct digest *digest)
{
    if (!strings_contains(&save->blobs, digest->text))
        strings_add(&save->blobs, digest->text);
}

static void add_descriptor(struct save *save, const struct digest *digest, const char *media_type,
                           uint64_t size, const char *name)
{
    struct image_descriptor *descriptor = image_descriptors_add(&save->manifests);

    descriptor->media_type = xstrdup(media_type);
    descriptor->digest = *digest;
    descriptor->digest_text = xstrdup(digest->text);
    descriptor->size = size;
    if (name == NULL)
        return;
    string_map_set(&descriptor->annotations, ANNOTATION_IMAGE_NAME, name);
    string_map_set(&descriptor->annotations, ANNOTATION_REF_NAME, name);
}

/* @top: the manifest, or the index */
static int plan_names(struct save *save, const struct image_archive_item *item,
                      const struct digest *top, const char *media_type, uint64_t size,
                      struct docker_image *docker, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };

    if (item->tag != NULL) {
        add_descriptor(save, top, media_type, size, NULL);
        string_map_set(&save->manifests.items[save->manifests.count - 1].annotations,
                       ANNOTATION_REF_NAME, item->tag);
        return 0;
    }
    strings_add_all(&names, &item->names);
    strings_sort(&names);
    for (size_t i = 0; i < names.count; i++) {
        AUTO(reference) struct reference *reference = NULL;
        auto_free char *full = NULL;
        int r = reference_parse(names.items[i], &reference, err);

        if (r < 0)
            return r;
        full = reference_format(reference);
        add_descriptor(save, top, media_type, size, full);
        /* In full: podman takes a short one for its own machine's. */
        strings_add(&docker->repo_tags, full);
    }
    if (names.count == 0)
        add_descriptor(save, top, media_type, size, NULL);
    return 0;
}

static int plan_index(struct save *save, const struct image_archive_item *item,
                      struct docker_image *docker, struct error *err)
{
    AUTO_CLEAR(document_tree) struct document_tree tree = { 0 };
    const struct image_descriptor *top;
    int r;

    r = store_collect(save->store, &item->index, false, &tree, err);
    for (size_t i = 0; r == 0 && i < tree.blobs.count; i++) {
        if (!blob_is_there(save->store, &tree.blobs.items[i].digest, UINT64_MAX))
            r = -ENOENT;
    }
    if (r == -ENOENT)
        return error_set(err, ENOENT,
                         "not all that index %s names is here; pull it with --all-platforms",
                         item->index.text);
    if (r < 0)
        return r;
    for (size_t i = 0; i < tree.documents.count; i++)
        add_blob(save, &tree.documents.items[i].digest);
    for (size_t i = 0; i < tree.blobs.count; i++)
        add_blob(save, &tree.blobs.items[i].digest);
    top = &tree.documents.items[tree.documents.count - 1];
    return plan_names(save, item, &item->index, top->media_type, top->size, docker, err);
}

static int plan_item(struct save *save, const struct image_archive_item *item, struct error *err)
{
    AUTO(image) struct image *image = NULL;
    struct docker_image *docker;
    const char *media_type = NULL;
    uint64_t size = 0;
    int r;

    r = image_open(save->store, &item->manifest_digest, &image, err);
    if (r == 0)
        r = find_manifest(save, &item->manifest_digest, &media_type, &size, err);
    if (r < 0)
        return r;
    save->docker.items =
        xrealloc(save->docker.items, save->docker.count + 1, sizeof(*save->docker.items));
    docker = &save->docker.items[save->docker.count++];
    *docker = (struct docker_image){ .config = layout_blob_name(&image->id) };
    add_blob(save, &item->manifest_digest);
    add_blob(save, &image->id);
    for (size_t i = 0; i < image->layers.count; i++) {
        add_blob(save, &image->layers.items[i].digest);
        strings_take(&docker->layers, layout_blob_name(&image->layers.items[i].digest));
    }
    return item->has_index
               ? plan_index(save, item, docker, err)
               : plan_names(save, item, &item->manifest_digest, media_type, size, docker, err);
}

static int plan(struct save *save, const struct image_archive *archive, struct error *err)
{
    auto_free struct image_archive_item *items =
        xmemdup(archive->items, archive->count * sizeof(*items));
    int r = 0;

    qsort(items, archive->count, sizeof(*items), compare_items);
    for (size_t i = 0; r == 0 && i < archive->count; i++)
        r = plan_item(save, &items[i], err);
    strings_sort(&save->blobs);
    return r;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_header(struct save *save, const char *name, char type, uint64_t size,
                        struct error *err)
{
    AUTO_CLEAR(text) struct text header = { 0 };
    const struct tar_entry entry = {
        .name = name, .type = type, .mode = type == TAR_DIRECTORY ? 0755 : 0644, .size = size
    };

    tar_entry_format(&entry, &header);
    return fd_write_all(save->fd, header.data, header.length, "the archive", err);
}

static int write_zeros(struct save *save, size_t length, struct error *err)
{
    static const char zeros[TAR_END_BYTES];

    return fd_write_all(save->fd, zeros, length, "the archive", err);
}

static int make_directory(struct save *save, const char *name, struct error *err)
{
    if (save->dir_fd < 0)
        return write_header(save, name, TAR_DIRECTORY, 0, err);
    if (mkdirat(save->dir_fd, name, 0755) < 0)
        return error_errno(err, "make '%s'", name);
    return 0;
}

static int begin_file(struct save *save, const char *name, uint64_t size, struct error *err)
{
    if (save->dir_fd < 0)
        return write_header(save, name, TAR_FILE, size, err);
    save->fd = openat(save->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    return save->fd < 0 ? error_errno(err, "create '%s'", name) : 0;
}

static int end_file(struct save *save, uint64_t size, struct error *err)
{
    if (save->dir_fd < 0)
        return write_zeros(save, tar_padding(size), err);
    if (close(take_fd(&save->fd)) < 0)
        return error_errno(err, "write the layout");
    return 0;
}

static int write_text(struct save *save, const char *name, const char *text, struct error *err)
{
    size_t length = strlen(text);
    int r;

    r = begin_file(save, name, length, err);
    if (r == 0)
        r = fd_write_all(save->fd, text, length, name, err);
    return r < 0 ? r : end_file(save, length, err);
}

/* What is on the disk is not believed: who loads the archive could not tell what is wrong. */
static int copy_blob(struct save *save, int fd, const struct digest *digest, uint64_t size,
                     struct error *err)
{
    AUTO(hash) struct hash *hash = hash_open(digest_algorithm(digest));
    struct digest found;
    uint64_t done = 0;

    for (;;) {
        ssize_t length = read(fd, save->buffer, COPY_BYTES);
        int r;

        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return error_errno(err, "read blob %s", digest->text);
        if (length == 0)
            break;
        hash_add(hash, save->buffer, (size_t)length);
        done += (uint64_t)length;
        if (done > size)
            break;
        r = fd_write_all(save->fd, save->buffer, (size_t)length, "the archive", err);
        if (r < 0)
            return r;
        image_store_report(save->store, (uint64_t)length);
    }
    hash_finish(hash, &found);
    if (done != size || !digest_equal(&found, digest))
        return error_set(err, EBADMSG,
                         "blob %s is damaged: its content has the digest %s; load the image again",
                         digest->text, found.text);
    return end_file(save, size, err);
}

static int write_blob(struct save *save, const char *digest_text, struct error *err)
{
    auto_close int fd = -1;
    auto_free char *name = NULL;
    struct digest digest;
    struct stat status;
    int r;

    r = digest_parse(digest_text, &digest, err);
    if (r == 0)
        r = blob_open(save->store, &digest, &fd, err);
    if (r < 0)
        return r;
    if (fstat(fd, &status) < 0)
        return error_errno(err, "look at blob %s", digest.text);
    name = layout_blob_name(&digest);
    r = begin_file(save, name, (uint64_t)status.st_size, err);
    return r < 0 ? r : copy_blob(save, fd, &digest, (uint64_t)status.st_size, err);
}

static int write_blobs(struct save *save, struct error *err)
{
    const char *directory = "";
    int r;

    r = make_directory(save, "blobs/", err);
    for (size_t i = 0; r == 0 && i < save->blobs.count; i++) {
        const char *text = save->blobs.items[i];
        size_t length = strcspn(text, ":");

        if (strncmp(directory, text, length) != 0) {
            auto_free char *name = xasprintf("blobs/%.*s/", (int)length, text);

            directory = text;
            r = make_directory(save, name, err);
        }
        if (r == 0)
            r = write_blob(save, text, err);
    }
    return r;
}

static int write_all(struct save *save, enum archive_format format, struct error *err)
{
    auto_free char *index = index_encode(&save->manifests);
    auto_free char *docker = docker_images_encode(&save->docker);
    int r;

    r = write_blobs(save, err);
    if (r == 0 && save->dir_fd >= 0)
        r = write_text(save, "oci-layout", OCI_LAYOUT, err);
    if (r == 0)
        r = write_text(save, "index.json", index, err);
    if (r < 0 || save->dir_fd >= 0)
        return r;
    if (format == ARCHIVE_DOCKER)
        r = write_text(save, "manifest.json", docker, err);
    if (r == 0)
        r = write_text(save, "oci-layout", OCI_LAYOUT, err);
    return r < 0 ? r : write_zeros(save, TAR_END_BYTES, err);
}

static int save_images(struct save *save, const struct image_archive *archive,
                       enum archive_format format, struct error *err)
{
    auto_close int lock_fd = -1;
    int r;

    /* Of images that are removed meanwhile the blobs stay. */
    r = image_store_lock(save->store, false, &lock_fd, err);
    if (r == 0)
        r = plan(save, archive, err);
    if (r < 0)
        return r;
    save->buffer = xcalloc(1, COPY_BYTES);
    return write_all(save, format, err);
}

int image_archive_write(struct image_store *store, const struct image_archive *archive,
                        enum archive_format format, int fd, struct error *err)
{
    AUTO_CLEAR(save) struct save save = { .store = store, .fd = fd, .dir_fd = -1 };

    assert(store != NULL);
    assert(archive != NULL);

    return save_images(&save, archive, format, err);
}

int image_layout_write(struct image_store *store, const struct image_archive *archive, int dir_fd,
                       struct error *err)
{
    AUTO_CLEAR(save) struct save save = { .store = store, .fd = -1, .dir_fd = dir_fd };

    assert(store != NULL);
    assert(archive != NULL);
    assert(dir_fd >= 0);

    return save_images(&save, archive, ARCHIVE_OCI, err);
}

int image_archive_add(struct image_store *store, const char *text, bool all_platforms,
                      struct image_archive *archive, struct error *err)
{
    AUTO(reference) struct reference *reference = NULL;
    AUTO(image) struct image *image = NULL;
    struct image_archive_item *item;
    struct digest digest;
    int r;

    assert(text != NULL);

    r = image_find(store, text, &image, err);
    if (r < 0)
        return r;
    item = archive_item(archive, &image->manifest_digest);
    if (all_platforms) {
        r = image_find_index(store, &image->manifest_digest, &item->index, err);
        if (r < 0)
            return error_prefix(err, r, "image '%s'", text);
        item->has_index = true;
    }
    /* A name is saved with it, an id is not one. */
    if (reference_parse(text, &reference, NULL) == 0 && reference->digest == NULL &&
        name_read(store, reference, &digest, NULL) == 0 &&
        digest_equal(&digest, &image->manifest_digest))
        archive_item_name(item, text);
    return 0;
}
