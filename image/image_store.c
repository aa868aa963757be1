#include "image/store_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "image/registry.h"

#define RECORD_MAX    65536 /* bytes of a file in images/ */
#define ID_PREFIX_MIN 3

int image_store_open(int data_fd, struct image_store **ret_store, struct error *err)
{
    struct image_store *store;

    assert(data_fd >= 0);
    assert(ret_store != NULL);
    (void)err; /* nothing is opened until it is needed */

    store = xcalloc(1, sizeof(*store));
    store->data_fd = data_fd;
    store->lock_fd = store->change_fd = -1;
    *ret_store = store;
    return 0;
}

void image_store_end_write(struct image_store *store)
{
    assert(store != NULL);

    staging_free(store->staging);
    store->staging = NULL;
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd); /* releases the lock; nothing was written through it */
    store->lock_fd = -1;
}

void image_store_free(struct image_store *store)
{
    if (store == NULL)
        return;
    image_store_end_write(store);
    free(store);
}

void image_store_watch(struct image_store *store,
                       void (*progress)(uint64_t bytes_done, void *context), void *context)
{
    assert(store != NULL);
    store->progress = progress;
    store->context = context;
    store->bytes_done = 0;
}

void image_store_report(struct image_store *store, uint64_t more_bytes)
{
    store->bytes_done += more_bytes;
    if (store->progress != NULL)
        store->progress(store->bytes_done, store->context);
}

void image_free(struct image *image)
{
    if (image == NULL)
        return;
    image_descriptors_clear(&image->layers);
    image_config_clear(&image->config);
    free(image->config_json);
    free(image);
}

/* --- records ---------------------------------------------------------------------------------- */

int image_record_read(struct image_store *store, const char *digest_text, struct record *ret_record,
                      struct error *err)
{
    auto_free char *path = xasprintf("images/%s", digest_text);
    auto_free char *text = NULL;
    struct record record = { 0 };
    size_t length;
    int r;

    r = digest_parse(digest_text, &record.manifest_digest, err);
    if (r < 0)
        return r;
    r = file_read(store->data_fd, path, RECORD_MAX, &text, &length, err);
    if (r < 0)
        return r;
    r = image_record_decode(text, length, &record.fields, err);
    if (r == 0) {
        r = digest_parse(record.fields.id, &record.id, err);
        if (r < 0)
            image_record_clear(&record.fields);
    }
    if (r < 0)
        return error_prefix(err, r, "file '%s' of the image store", path);
    *ret_record = record;
    return 0;
}

static int compare_records(const void *a, const void *b)
{
    const struct record *left = a, *right = b;

    if (left->fields.created != right->fields.created)
        return left->fields.created > right->fields.created ? -1 : 1;
    if (left->fields.published != right->fields.published)
        return left->fields.published > right->fields.published ? -1 : 1;
    return strcmp(left->manifest_digest.text, right->manifest_digest.text);
}

int records_list(struct image_store *store, struct records *ret_records, struct error *ret_damage,
                 struct error *err)
{
    AUTO_CLEAR(strings) struct strings files = { 0 };
    struct records records = { 0 };
    int r;

    r = store_list_directory(store->data_fd, "images", &files, err);
    if (r < 0)
        return r;
    records.items = xcalloc(files.count + 1, sizeof(*records.items));
    for (size_t i = 0; i < files.count; i++) {
        struct error reason = { 0 };

        r = image_record_read(store, files.items[i], &records.items[records.count], &reason);
        if (r == -ENOENT) /* removed meanwhile */
            continue;
        if (r < 0 && ret_damage == NULL) {
            records_clear(&records);
            return error_set(err, -r, "%s", reason.message);
        }
        if (r < 0)
            *ret_damage = reason;
        else
            records.count++;
    }
    if (records.count > 1)
        qsort(records.items, records.count, sizeof(*records.items), compare_records);
    *ret_records = records;
    return 0;
}

void records_clear(struct records *records)
{
    for (size_t i = 0; i < records->count; i++)
        image_record_clear(&records->items[i].fields);
    free(records->items);
    *records = (struct records){ 0 };
}

/* --- opening ---------------------------------------------------------------------------------- */

int store_read_manifest(struct image_store *store, const struct digest *digest,
                        struct document *ret_document, struct error *err)
{
    AUTO_CLEAR(document) struct document document = { 0 };
    auto_free char *json = NULL;
    size_t length;
    int r;

    r = blob_read(store, digest, &json, &length, err);
    if (r < 0)
        return r;
    r = document_decode(json, length, NULL, &document, err);
    if (r < 0)
        return error_prefix(err, r, "manifest %s", digest->text);
    if (document.kind != DOCUMENT_MANIFEST)
        return error_set(err, EINVAL, "%s is an index, not a manifest", digest->text);
    *ret_document = document;
    document = (struct document){ 0 };
    return 0;
}

int image_check_layers(const struct image_descriptors *layers, const struct strings *diff_ids,
                       struct error *err)
{
    if (layers->count != diff_ids->count)
        return error_set(err, EBADMSG, "the manifest has %zu layers, the config %zu diff ids",
                         layers->count, diff_ids->count);
    if (layers->count == 0)
        return error_set(err, EINVAL, "the image has no layers");
    return 0;
}

int image_open(struct image_store *store, const struct digest *manifest_digest,
               struct image **ret_image, struct error *err)
{
    AUTO(image) struct image *image = xcalloc(1, sizeof(*image));
    AUTO_CLEAR(document) struct document document = { 0 };
    struct record record;
    size_t length;
    int r;

    assert(store != NULL);
    assert(ret_image != NULL);

    r = store_read_manifest(store, manifest_digest, &document, err);
    if (r < 0)
        return r;
    image->manifest_digest = *manifest_digest;
    image->id = document.config.digest;
    image->layers = document.layers;
    document.layers = (struct image_descriptors){ 0 };
    r = blob_read(store, &image->id, &image->config_json, &length, err);
    if (r < 0)
        return r;
    r = image_config_decode(image->config_json, length, &image->config, err);
    if (r == 0)
        r = image_check_layers(&image->layers, &image->config.diff_ids, err);
    if (r < 0)
        return error_prefix(err, r, "config %s", image->id.text);
    if (image_record_read(store, manifest_digest->text, &record, NULL) ==
        0) { /* else not published yet */
        image->size_bytes = record.fields.size;
        image_record_clear(&record.fields);
    }
    *ret_image = take_ptr(&image);
    return 0;
}

/* --- finding ---------------------------------------------------------------------------------- */

/* Length of the id in what a user typed, 0 when it cannot be one; @ret_hex: behind "sha256:". */
static size_t id_prefix_length(const char *text, const char **ret_hex)
{
    size_t length;

    if (text_starts(text, "sha256:"))
        text += strlen("sha256:");
    length = strlen(text);
    if (length < ID_PREFIX_MIN || length > 64 || strspn(text, "0123456789abcdef") != length)
        return 0;
    *ret_hex = text;
    return length;
}

static bool record_matches(const struct record *record, const char *hex, size_t length)
{
    return strncmp(digest_hex(&record->id), hex, length) == 0 ||
           strncmp(digest_hex(&record->manifest_digest), hex, length) == 0;
}

/* 1: found; 0: no such id. Several manifests of one id are one image to the user. */
static int find_by_id(const struct records *records, const char *text, size_t *ret_index,
                      struct error *err)
{
    const struct record *found = NULL;
    const char *hex;
    size_t length = id_prefix_length(text, &hex);

    for (size_t i = 0; length > 0 && i < records->count; i++) {
        const struct record *record = &records->items[i];

        if (!record_matches(record, hex, length))
            continue;
        if (found != NULL && !digest_equal(&found->id, &record->id))
            return error_set(err, EINVAL, "image id '%s' is ambiguous: %.12s and %.12s begin so",
                             text, digest_hex(&found->id), digest_hex(&record->id));
        if (found == NULL) {
            found = record;
            *ret_index = i;
        }
    }
    return found != NULL;
}

/* "repository@digest": it was pulled by it, or some name of this repository points at that
 * manifest. */
static int find_by_digest(struct image_store *store, const struct reference *reference,
                          struct digest *ret_digest, struct error *err)
{
    AUTO_CLEAR(names) struct names names = { 0 };
    int r;

    r = name_read(store, reference, ret_digest, NULL);
    if (r == 0)
        return 0;
    r = names_list(store, &names, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < names.count; i++) {
        const struct name *name = &names.items[i];

        if (strcmp(name->digest.text, reference->digest) == 0 &&
            reference_is_same_repository(name->reference, reference)) {
            *ret_digest = name->digest;
            return 0;
        }
    }
    return error_set(err, ENOENT, "no image of this name has that digest");
}

static int find_by_name(struct image_store *store, const char *text, struct digest *ret_digest,
                        struct error *err)
{
    AUTO(reference) struct reference *reference = NULL;
    int r;

    r = reference_parse(text, &reference, err);
    if (r < 0)
        return r;
    if (reference->digest != NULL)
        return find_by_digest(store, reference, ret_digest, err);
    return name_read(store, reference, ret_digest, err);
}

/* A tag of the repository that was meant, else the name with the fewest edits. Caller frees. */
static char *nearest_name(struct image_store *store, const char *text)
{
    AUTO(reference) struct reference *reference = NULL;
    AUTO_CLEAR(names) struct names names = { 0 };
    AUTO_CLEAR(strings) struct strings words = { 0 };
    const char *nearest = NULL;

    if (names_list(store, &names, NULL) < 0)
        return NULL;
    (void)reference_parse(text, &reference, NULL); /* what is no name can still be near to one */
    for (size_t i = 0; i < names.count; i++) {
        const struct name *name = &names.items[i];

        if (name->reference->digest != NULL)
            continue;
        if (reference != NULL && reference_is_same_repository(name->reference, reference)) {
            if (reference->digest == NULL && strcmp(name->reference->tag, reference->tag) == 0)
                return NULL; /* it came since the search: no other one was meant */
            return xstrdup(name->familiar);
        }
        if (strchr(text, ':') == NULL && text_ends(name->familiar, ":latest"))
            name->familiar[strlen(name->familiar) - strlen(":latest")] = '\0';
        strings_add(&words, name->familiar);
    }
    if (words.count > 0)
        nearest = text_nearest((const char *const *)words.items, text);
    for (size_t i = 0; nearest == NULL && i < names.count; i++) { /* "debain" for "debian:12" */
        struct reference *candidate = names.items[i].reference;
        const char *pair[2] = { NULL, NULL };
        auto_free char *bare = xstrdup(names.items[i].familiar);

        if (candidate->tag != NULL && text_ends(bare, candidate->tag) && strchr(bare, ':') != NULL)
            *strrchr(bare, ':') = '\0';
        pair[0] = bare;
        if (text_nearest(pair, text) != NULL)
            nearest = names.items[i].familiar;
    }
    return xstrdup(nearest);
}

/* In docker's words, as scripts look for them. */
static int no_such_image(struct image_store *store, const char *text, struct error *err)
{
    auto_free char *nearest = nearest_name(store, text);

    if (nearest != NULL)
        return error_set(err, ENOENT,
                         "No such image: %s; did you mean '%s'? `berth images` lists them", text,
                         nearest);
    return error_set(err, ENOENT, "No such image: %s; `berth images` lists those that are here",
                     text);
}

/* What a user typed may be a name or an id. A name wins, as with docker. */
static int find_digest(struct image_store *store, const char *text, bool *ret_is_id,
                       struct digest *ret_digest, struct error *err)
{
    AUTO_CLEAR(records) struct records records = { 0 };
    struct error name_err = { 0 };
    struct error damage = { 0 };
    const char *hex;
    size_t index;
    int named, r;

    named = find_by_name(store, text, ret_digest, &name_err);
    if (named == 0) {
        *ret_is_id = strchr(text, '@') != NULL; /* a digest is no name that could be taken away */
        return 0;
    }
    if (named != -ENOENT && named != -EINVAL)
        return error_set(err, -named, "image '%s': %s", text, name_err.message);
    r = records_list(store, &records, &damage, err);
    if (r < 0)
        return r;
    r = find_by_id(&records, text, &index, err);
    if (r < 0)
        return r;
    if (r == 1) {
        *ret_is_id = true;
        *ret_digest = records.items[index].manifest_digest;
        return 0;
    }
    if (named == -EINVAL && id_prefix_length(text, &hex) == 0) /* it is no name at all: say why */
        return error_set(err, EINVAL, "%s", name_err.message);
    return no_such_image(store, text, err);
}

static int find(struct image_store *store, const char *text, struct image **ret_image,
                struct error *err)
{
    struct error damage = { 0 };
    struct digest digest;
    bool is_id;
    int r;

    r = find_digest(store, text, &is_id, &digest, err);
    if (r < 0)
        return r;
    r = image_open(store, &digest, ret_image, &damage);
    if (r < 0)
        return error_set(
            err, EBADMSG,
            "image '%s' is damaged: %s; pull or load it again, or remove it with `berth rmi`", text,
            damage.message);
    return 0;
}

int image_find(struct image_store *store, const char *text, struct image **ret_image,
               struct error *err)
{
    int r;

    assert(store != NULL);
    assert(text != NULL);
    assert(ret_image != NULL);

    r = find(store, text, ret_image, err);
    if (r != -ENOENT && r != -EBADMSG)
        return r;
    /* It may come or go just now. While no name does, its files are all there, or it is not. */
    r = image_store_begin_look(store, err);
    if (r < 0)
        return r;
    r = find(store, text, ret_image, err);
    image_store_end_change(store);
    return r;
}

/* --- listing ---------------------------------------------------------------------------------- */

/* Whether the image has a tag in the repository of @reference. */
static bool has_tag(const struct names *names, const struct reference *reference,
                    const struct digest *manifest_digest)
{
    for (size_t i = 0; i < names->count; i++) {
        const struct name *name = &names->items[i];

        if (name->reference->digest == NULL && digest_equal(&name->digest, manifest_digest) &&
            reference_is_same_repository(name->reference, reference))
            return true;
    }
    return false;
}

/* The item of a record's id: manifests of one id (the same image by way of two archives) are one
 * image to the user. */
static struct image_listing_item *listing_item(struct image_listing *listing,
                                               const struct record *record)
{
    struct image_listing_item *item = NULL;

    for (size_t i = 0; i < listing->count; i++) {
        if (digest_equal(&listing->items[i].id, &record->id))
            return &listing->items[i];
    }
    item = &listing->items[listing->count++];
    item->manifest_digest = record->manifest_digest;
    item->id = record->id;
    item->created = record->fields.created;
    item->size_bytes = record->fields.size;
    return item;
}

/* Its tags; the digest by which it was pulled only for a repository that gives it no tag. */
static void add_names(struct image_listing_item *item, const struct names *names,
                      const struct digest *manifest_digest)
{
    for (size_t i = 0; i < names->count; i++) {
        const struct name *name = &names->items[i];

        if (digest_equal(&name->digest, manifest_digest) &&
            (name->reference->digest == NULL || !has_tag(names, name->reference, manifest_digest)))
            strings_add(&item->names, name->familiar);
    }
}

/* At one moment: else an image whose name comes or goes just now had none, or was left out. */
static int list_all(struct image_store *store, struct records *records, struct names *names,
                    struct error *damage, struct error *err)
{
    int r;

    r = image_store_begin_look(store, err);
    if (r < 0)
        return r;
    r = records_list(store, records, damage, err);
    if (r == 0)
        r = names_list(store, names, err);
    image_store_end_change(store);
    return r;
}

int image_list(struct image_store *store, struct image_listing *ret_listing, struct error *err)
{
    AUTO_CLEAR(records) struct records records = { 0 };
    AUTO_CLEAR(names) struct names names = { 0 };
    struct image_listing listing = { 0 };
    int r;

    assert(store != NULL);
    assert(ret_listing != NULL);

    r = list_all(store, &records, &names, &listing.damage, err);
    if (r < 0)
        return r;
    listing.items = xcalloc(records.count + 1, sizeof(*listing.items));
    for (size_t i = 0; i < records.count; i++) {
        struct image_listing_item *item = listing_item(&listing, &records.items[i]);

        strings_add(&item->manifests, records.items[i].manifest_digest.text);
        add_names(item, &names, &records.items[i].manifest_digest);
    }
    for (size_t i = 0; i < listing.count; i++)
        strings_sort(&listing.items[i].names);
    *ret_listing = listing;
    return 0;
}

void image_listing_clear(struct image_listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        strings_clear(&listing->items[i].names);
        strings_clear(&listing->items[i].manifests);
    }
    free(listing->items);
    *listing = (struct image_listing){ 0 };
}

static bool has_record(struct image_store *store, const struct digest *manifest_digest)
{
    struct record record;
    int r = image_record_read(store, manifest_digest->text, &record, NULL);

    if (r == 0)
        image_record_clear(&record.fields);
    return r != -ENOENT;
}

int image_chains(struct image_store *store, struct strings *ret_chains, struct error *err)
{
    AUTO_CLEAR(records) struct records records = { 0 };
    int r;

    assert(store != NULL);
    assert(ret_chains != NULL);

    r = records_list(store, &records, NULL, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < records.count; i++) {
        AUTO(image) struct image *image = NULL;

        /* An unreadable image is an error, not "no layers": they would be taken for garbage. */
        r = image_open(store, &records.items[i].manifest_digest, &image, err);
        if (r < 0 && !has_record(store, &records.items[i].manifest_digest))
            continue; /* removed meanwhile */
        if (r < 0)
            return error_prefix(err, r, "image %.12s", digest_hex(&records.items[i].id));
        strings_take(ret_chains, strings_join(&image->config.diff_ids, " "));
    }
    return 0;
}

/* --- publishing and naming -------------------------------------------------------------------- */

int image_publish(struct image_store *store, const struct digest *manifest_digest,
                  uint64_t size_bytes, struct error *err)
{
    AUTO(image) struct image *image = NULL;
    auto_free char *json = NULL;
    auto_free char *path = NULL;
    struct image_record record = { .size = size_bytes };
    uint32_t nanoseconds;
    int r;

    assert(store != NULL);
    assert(manifest_digest != NULL);

    r = image_open(store, manifest_digest, &image, err);
    if (r < 0)
        return r;
    record.id = image->id.text;
    record.published = (int64_t)time(NULL);
    if (image->config.created == NULL ||
        text_parse_time(image->config.created, &record.created, &nanoseconds, NULL) < 0)
        record.created = 0; /* as docker shows images that do not say */
    json = image_record_encode(&record);
    path = xasprintf("images/%s", manifest_digest->text);
    /* Blobs synced their bytes; their names reach the disk here, before what refers to them. */
    r = store_sync_directory(store->data_fd, "blobs/sha256", err);
    if (r < 0)
        return r;
    r = store_sync_directory(store->data_fd, "blobs/sha512", err);
    if (r < 0)
        return r;
    r = store_make_directory(store->data_fd, "images", err);
    if (r < 0)
        return r;
    return file_replace(store->data_fd, path, json, strlen(json), 0600, FILE_SYNC_DATA, err);
}

static int write_name(struct image_store *store, const struct digest *manifest_digest,
                      const struct reference *reference, struct error *err)
{
    struct record record;
    int r;

    r = image_record_read(store, manifest_digest->text, &record, err);
    if (r < 0)
        return error_prefix(err, r, "image %s", manifest_digest->text);
    image_record_clear(&record.fields);
    return name_write(store, reference, manifest_digest, err);
}

int image_tag(struct image_store *store, const struct digest *manifest_digest,
              const struct reference *reference, struct error *err)
{
    int r;

    assert(store != NULL);
    assert(manifest_digest != NULL);
    assert(reference != NULL);

    if (reference->digest != NULL)
        return error_set(err, EINVAL, "'%s@%s': a digest cannot be given to an image, only a tag",
                         reference->repository, reference->digest);
    r = image_store_begin_change(store, err);
    if (r < 0)
        return r;
    r = write_name(store, manifest_digest, reference, err);
    image_store_end_change(store);
    return r;
}

bool image_is_named(struct image_store *store, const struct reference *reference,
                    const struct digest *manifest_digest)
{
    struct record record;
    struct digest digest;

    if (name_read(store, reference, &digest, NULL) < 0 || !digest_equal(&digest, manifest_digest) ||
        image_record_read(store, digest.text, &record, NULL) < 0)
        return false;
    image_record_clear(&record.fields);
    return true;
}

int image_name_pulled(struct image_store *store, const struct reference *reference,
                      const struct pulled *pulled, struct error *err)
{
    struct reference by_digest = *reference;
    int r = 0;

    by_digest.digest = (char *)pulled->digest.text;
    if (reference->digest == NULL)
        r = image_tag(store, &pulled->manifest_digest, reference, err);
    return r < 0 ? r : name_write(store, &by_digest, &pulled->manifest_digest, err);
}

/* --- removing --------------------------------------------------------------------------------- */

static int delete_record(struct image_store *store, const struct digest *digest, struct error *err)
{
    auto_free char *path = xasprintf("images/%s", digest->text);

    if (unlinkat(store->data_fd, path, 0) < 0 && errno != ENOENT)
        return error_errno(err, "remove file '%s' of the image store", path);
    return 0;
}

static bool id_has_names(const struct records *records, const struct names *names,
                         const struct digest *id)
{
    for (size_t i = 0; i < records->count; i++) {
        if (!digest_equal(&records->items[i].id, id))
            continue;
        for (size_t j = 0; j < names->count; j++) {
            if (digest_equal(&names->items[j].digest, &records->items[i].manifest_digest))
                return true;
        }
    }
    return false;
}

/* The digests by which an image was pulled go with the last tag of their repository. */
static int delete_digest_names(struct image_store *store, const struct reference *reference,
                               const struct digest *manifest_digest, struct strings *removed,
                               struct error *err)
{
    AUTO_CLEAR(names) struct names names = { 0 };
    int r;

    r = names_list(store, &names, err);
    if (r < 0 || has_tag(&names, reference, manifest_digest))
        return r;
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        const struct name *name = &names.items[i];

        if (name->reference->digest == NULL || !digest_equal(&name->digest, manifest_digest) ||
            !reference_is_same_repository(name->reference, reference))
            continue;
        r = name_delete(store, name->reference, err);
        if (r == 0)
            strings_addf(removed, "Untagged: %s", name->familiar);
    }
    return r;
}

/* Removes the records of an id that no name needs any more. */
static int delete_records(struct image_store *store, const struct records *records,
                          const struct digest *id, struct strings *removed, struct error *err)
{
    int r;

    for (size_t i = 0; i < records->count; i++) {
        if (!digest_equal(&records->items[i].id, id))
            continue;
        r = delete_record(store, &records->items[i].manifest_digest, err);
        if (r < 0)
            return r;
    }
    strings_addf(removed, "Deleted: %s", id->text);
    return 0;
}

static int remove_by_name(struct image_store *store, const char *text,
                          const struct records *records, const struct digest *manifest_digest,
                          const struct digest *id, struct strings *removed, struct error *err)
{
    AUTO(reference) struct reference *reference = NULL;
    AUTO_CLEAR(names) struct names names = { 0 };
    auto_free char *familiar = NULL;
    int r;

    r = reference_parse(text, &reference, err);
    if (r < 0)
        return r;
    r = name_delete(store, reference, err);
    if (r < 0)
        return r;
    familiar = reference_format_familiar(reference);
    strings_addf(removed, "Untagged: %s", familiar);
    r = delete_digest_names(store, reference, manifest_digest, removed, err);
    if (r == 0)
        r = names_list(store, &names, err);
    if (r < 0 || id_has_names(records, &names, id))
        return r;
    return delete_records(store, records, id, removed, err);
}

static int remove_by_id(struct image_store *store, const struct records *records,
                        const struct names *names, const struct digest *id, bool is_forced,
                        struct strings *removed, struct error *err)
{
    size_t count = 0;
    int r;

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < names->count; i++) {
            const struct name *name = &names->items[i];
            bool is_ours = false;

            for (size_t j = 0; j < records->count && !is_ours; j++)
                is_ours = digest_equal(&records->items[j].id, id) &&
                          digest_equal(&records->items[j].manifest_digest, &name->digest);
            if (!is_ours)
                continue;
            if (pass == 0) {
                count += name->reference->digest == NULL;
                continue;
            }
            r = name_delete(store, name->reference, err);
            if (r < 0)
                return r;
            strings_addf(removed, "Untagged: %s", name->familiar);
        }
        if (count > 1 && !is_forced)
            return error_set(
                err, EBUSY, "it has %zu names; remove them one by one, or all with --force", count);
    }
    return delete_records(store, records, id, removed, err);
}

static int remove_image(struct image_store *store, const char *text, bool is_forced,
                        struct strings *removed, struct error *err)
{
    AUTO_CLEAR(records) struct records records = { 0 };
    AUTO_CLEAR(names) struct names names = { 0 };
    const struct record *found = NULL;
    struct error damage = { 0 };
    struct digest digest;
    bool is_id;
    int r;

    r = find_digest(store, text, &is_id, &digest, err);
    if (r < 0)
        return r;
    r = records_list(store, &records, &damage, err);
    if (r < 0)
        return r;
    r = names_list(store, &names, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < records.count && found == NULL; i++) {
        if (digest_equal(&records.items[i].manifest_digest, &digest))
            found = &records.items[i];
    }
    if (found == NULL) { /* a name that points nowhere (a crash), or to a damaged record */
        r = delete_record(store, &digest, err);
        if (r == 0)
            r = remove_by_name(store, text, &records, &digest, &digest, removed, err);
    } else if (is_id)
        r = remove_by_id(store, &records, &names, &found->id, is_forced, removed, err);
    else
        r = remove_by_name(store, text, &records, &digest, &found->id, removed, err);
    return r < 0 ? error_prefix(err, r, "remove image '%s'", text) : 0;
}

int image_remove(struct image_store *store, const char *text, bool is_forced,
                 struct strings *ret_removed, struct error *err)
{
    AUTO_CLEAR(strings) struct strings removed = { 0 };
    int r;

    assert(store != NULL);
    assert(text != NULL);
    assert(ret_removed != NULL);

    r = image_store_begin_change(store, err);
    if (r < 0)
        return r;
    r = remove_image(store, text, is_forced, &removed, err);
    image_store_end_change(store);
    if (r == 0)
        strings_add_all(ret_removed, &removed);
    return r;
}
