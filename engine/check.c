#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/staging.h"
#include "engine/engine_private.h"
#include "engine/monitor_link.h"
#include "engine/provision.h"
#include "engine/record.h"
#include "engine/store_sweep.h"
#include "unionfs/unionfs.h"

/* `system check`: from the bytes upwards. Blobs against their digests, images against their blobs,
 * layers against what was counted when they were made (or, deep, against the blob they came of),
 * roots of microVMs and containers against their layers, names against images; then what dead
 * processes left.
 *
 * Without repair the locks are shared, so only sweeps wait. Repair holds them alone. What it
 * changes: a damaged blob goes, since it would be taken for the whole one by the next pull; a
 * damaged or missing layer is unpacked anew from its blob, in one rename; a damaged root of
 * microVMs goes, since it is made when it is wanted; lost names are dropped; then a sweep. A
 * container's own files are never touched. */

#define LOCK_WAIT_MS 5000

/* One unpacked layer at its place, and the blob that it can be made of. */
struct place {
    struct image_descriptor blob; /* borrowed */
    struct digest diff_id;
    struct strings below;
};

struct check {
    struct engine *engine;
    const struct check_options *options;
    struct check_result *result;
    struct provision_progress progress;
    struct strings known; /* keys of layers that were looked at */
    struct strings damaged_blobs;
    bool has_rebuilt;
};

void check_result_clear(struct check_result *result)
{
    strings_clear(&result->defects);
    strings_clear(&result->repairs);
    *result = (struct check_result){ 0 };
}

static void check_clear(struct check *check)
{
    strings_clear(&check->known);
    strings_clear(&check->damaged_blobs);
}

static void add_defect(struct check *check, const struct error *why)
{
    strings_add(&check->result->defects, why->message);
}

/* --- blobs ------------------------------------------------------------------------------------ */

static void check_blob(struct check *check, const struct digest *digest)
{
    struct image_store *store = engine_images(check->engine);
    struct error why = { 0 };
    int r;

    r = blob_check(store, digest, &why);
    if (r == 0 || r == -ENOENT) /* removed meanwhile: an image that needs it will tell */
        return;
    strings_add(&check->damaged_blobs, digest->text);
    if (r == -EBADMSG && check->options->is_repairing) {
        r = blob_delete(store, digest, &why);
        if (r == 0) {
            strings_addf(&check->result->repairs, "%s: removed", why.message);
            return;
        }
    }
    add_defect(check, &why);
}

static int check_blobs(struct check *check, struct error *err)
{
    AUTO_CLEAR(image_blobs) struct image_blobs blobs = { 0 };
    struct image_store *store = engine_images(check->engine);
    int r;

    r = image_blobs_list(store, &blobs, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < blobs.count; i++)
        check->progress.total += blobs.items[i].length;
    (void)snprintf(check->progress.step, sizeof(check->progress.step), "Checking %zu blobs",
                   blobs.count);
    image_store_watch(store, provision_report, &check->progress);
    for (size_t i = 0; i < blobs.count; i++)
        check_blob(check, &blobs.items[i].digest);
    image_store_watch(store, NULL, NULL);
    check->result->blob_count = blobs.count;
    return 0;
}

/* --- layers ----------------------------------------------------------------------------------- */

static int with_blob(struct check *check, const struct place *place, const char *key,
                     int (*function)(int data_fd, const char *key,
                                     const struct layer_source *source, const struct strings *below,
                                     struct error *err),
                     struct error *err)
{
    struct layer_source source = { .diff_id = place->diff_id, .size_bytes = place->blob.size };
    auto_close int fd = -1;
    int r;

    if (strings_contains(&check->damaged_blobs, place->blob.digest.text))
        return error_set(err, EBADMSG, "its blob is damaged");
    r = blob_open(engine_images(check->engine), &place->blob.digest, &fd, err);
    if (r < 0)
        return r;
    source.blob_fd = fd;
    return function(check->engine->data_fd, key, &source, &place->below, err);
}

/* Claims all containers that use a layer, so that none of them starts. -EBUSY: one runs. */
static int claim_users(struct check *check, const char *key, struct strings *ids, int **fds,
                       struct error *err)
{
    AUTO_CLEAR(strings) struct strings all = { 0 };
    int r;

    r = engine_container_ids(check->engine, &all, err);
    *fds = xcalloc(all.count + 1, sizeof(**fds));
    for (size_t i = 0; r == 0 && i < all.count; i++) {
        AUTO(record) struct record *record = NULL;
        auto_close int link_fd = -1;
        bool is_user = false;

        if (record_read(check->engine, all.items[i], &record, NULL) < 0)
            continue; /* said elsewhere; it cannot start either */
        for (size_t k = 0; k < record->layers.count && !is_user; k++) {
            auto_free char *used = layer_key_from_path(record->layers.items[k]);

            is_user = text_equal(used, key);
        }
        if (!is_user)
            continue;
        r = monitor_link_or_claim(check->engine, all.items[i], CLAIM_WAIT_MS, &(*fds)[ids->count],
                                  &link_fd, err);
        if (r > 0)
            r = error_set(err, EBUSY, "container %.12s runs on it: stop it first", all.items[i]);
        if (r == 0)
            strings_add(ids, all.items[i]);
    }
    return r;
}

static int rebuild(struct check *check, const struct place *place, const char *key,
                   struct error *err)
{
    AUTO_CLEAR(strings) struct strings ids = { 0 };
    auto_free int *fds = NULL;
    int r;

    r = claim_users(check, key, &ids, &fds, err);
    if (r == 0)
        r = with_blob(check, place, key, layer_rebuild, err);
    for (size_t i = 0; i < ids.count; i++)
        claim_drop(check->engine, ids.items[i], &fds[i]);
    return r;
}

/* The key is decided anew: it may be one for this place. */
static int ensure(int data_fd, const char *key, const struct layer_source *source,
                  const struct strings *below, struct error *err)
{
    (void)key; /* there is none yet */
    return layer_ensure(data_fd, source, below, NULL, NULL, err);
}

/* Says what is wrong, or repairs it and says that. @place: NULL where no image tells of a blob;
 * @key: NULL where nothing names it yet */
static void tell_layer(struct check *check, const struct place *place, const char *key,
                       const struct error *why)
{
    struct error reason = { 0 };
    int r;

    if (!check->options->is_repairing || place == NULL) {
        add_defect(check, why);
        return;
    }
    r = key != NULL ? rebuild(check, place, key, &reason)
                    : with_blob(check, place, key, ensure, &reason);
    check->has_rebuilt = check->has_rebuilt || r == 0;
    if (r == 0)
        strings_addf(&check->result->repairs, "%s: unpacked anew", why->message);
    else
        strings_addf(&check->result->defects, "%s; it cannot be unpacked anew: %s", why->message,
                     reason.message);
}

static void check_layer(struct check *check, const struct place *place, const char *key)
{
    struct error why = { 0 };
    int r;

    if (strings_contains(&check->known, key))
        return;
    strings_add(&check->known, key);
    check->result->layer_count++;
    if (check->progress.function != NULL) {
        auto_free char *step = xasprintf("Checking layer %.12s", key);

        check->progress.function(step, 0, 0, check->progress.context);
    }
    r = layer_check(check->engine->data_fd, key, &why);
    if (r == 0 && check->options->is_deep && place != NULL)
        r = with_blob(check, place, key, layer_compare, &why);
    if (r < 0)
        tell_layer(check, place, key, &why);
}

static void check_place(struct check *check, const struct image *image, struct place *place)
{
    auto_free char *key = NULL;
    struct error why = { 0 };

    if (layer_find(check->engine->data_fd, &place->diff_id, &place->below, &key, NULL) == 0) {
        check_layer(check, place, key);
        return;
    }
    (void)error_set(&why, ENOENT, "image %.12s: its layer %.12s is not unpacked",
                    digest_hex(&image->manifest_digest), digest_hex(&place->diff_id));
    tell_layer(check, place, NULL, &why);
}

static void check_layers(struct check *check, const struct image *image)
{
    struct place place = { 0 };

    for (size_t i = 0; i < image->layers.count; i++) {
        place.blob = image->layers.items[i]; /* borrowed */
        if (digest_parse(image->config.diff_ids.items[i], &place.diff_id, NULL) < 0)
            break; /* image_open() has checked them */
        check_place(check, image, &place);
        strings_add(&place.below, place.diff_id.text);
    }
    strings_clear(&place.below);
}

/* --- images ----------------------------------------------------------------------------------- */

/* A record says nothing that its manifest does not. */
static bool repair_record(struct check *check, const struct image *image)
{
    return provision_publish(check->engine, image, NULL, NULL) == 0;
}

static void check_image(struct check *check, const char *text)
{
    struct image_store *store = engine_images(check->engine);
    AUTO_CLEAR(strings) struct strings defects = { 0 };
    AUTO(image) struct image *image = NULL;
    struct digest digest;

    if (digest_parse(text, &digest, NULL) < 0) {
        strings_addf(&check->result->defects, "file 'images/%s' is no record of an image", text);
        return;
    }
    check->result->image_count++;
    image_check(store, &digest, &defects);
    if (image_open(store, &digest, &image, NULL) == 0)
        check_layers(check, image);
    if (defects.count > 0 && image != NULL && check->options->is_repairing &&
        repair_record(check, image)) {
        AUTO_CLEAR(strings) struct strings left = { 0 };

        image_check(store, &digest, &left);
        for (size_t i = 0; i < defects.count; i++) {
            if (!strings_contains(&left, defects.items[i]))
                strings_addf(&check->result->repairs, "%s: written anew", defects.items[i]);
        }
        strings_add_all(&check->result->defects, &left);
        return;
    }
    strings_add_all(&check->result->defects, &defects);
}

static int check_images(struct check *check, struct error *err)
{
    AUTO_CLEAR(strings) struct strings manifests = { 0 };
    int r;

    r = image_manifests_list(engine_images(check->engine), &manifests, err);
    for (size_t i = 0; r == 0 && i < manifests.count; i++)
        check_image(check, manifests.items[i]);
    return r;
}

static int check_names(struct check *check, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    struct image_store *store = engine_images(check->engine);
    int r;

    r = image_lost_names(store, &names, err);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        const char *name = names.items[i];

        if (!check->options->is_repairing) {
            strings_addf(&check->result->defects, "name '%s' points at no image", name);
            continue;
        }
        r = image_drop_name(store, name, err);
        if (r == 0)
            strings_addf(&check->result->repairs, "name '%s' points at no image: dropped", name);
    }
    return r;
}

/* --- containers ------------------------------------------------------------------------------- */

/* A layer that a container's record names is gone. Its image may tell what to make it of. */
static void tell_lost_layer(struct check *check, const struct record *record, const char *key)
{
    AUTO(image) struct image *image = NULL;
    struct place place = { 0 };
    struct digest manifest;
    struct error why = { 0 };
    bool is_known = false;

    (void)error_set(&why, ENOENT, "container %.12s: its layer %.12s is missing", record->id, key);
    if (digest_parse(record->image_manifest, &manifest, NULL) == 0)
        (void)image_open(engine_images(check->engine), &manifest, &image, NULL);
    for (size_t i = 0; image != NULL && !is_known && i < image->layers.count; i++) {
        place.blob = image->layers.items[i]; /* borrowed */
        if (digest_parse(image->config.diff_ids.items[i], &place.diff_id, NULL) < 0)
            break;
        is_known = text_starts(key, digest_hex(&place.diff_id));
        if (!is_known)
            strings_add(&place.below, place.diff_id.text);
    }
    tell_layer(check, is_known ? &place : NULL, key, &why);
    strings_clear(&place.below);
}

static void check_container(struct check *check, const char *id)
{
    AUTO(record) struct record *record = NULL;
    struct error why = { 0 };
    int r;

    r = record_read(check->engine, id, &record, &why);
    if (r == -ENOENT)
        return; /* being removed */
    if (r < 0) {
        add_defect(check, &why);
        return;
    }
    for (size_t i = record->layers.count; i > 0; i--) { /* lowest first */
        auto_free char *key = layer_key_from_path(record->layers.items[i - 1]);

        if (key != NULL && !layer_exists(check->engine->data_fd, key))
            tell_lost_layer(check, record, key);
    }
}

/* Before the images: what containers name has to have that name, what images miss may have any. */
static int check_containers(struct check *check, struct error *err)
{
    AUTO_CLEAR(strings) struct strings ids = { 0 };
    int r;

    r = engine_container_ids(check->engine, &ids, err);
    for (size_t i = 0; r == 0 && i < ids.count; i++)
        check_container(check, ids.items[i]);
    return r;
}

/* Layers that containers use and whose image is gone, so that no blob tells what they were. */
static void check_kept_layers(struct check *check)
{
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    int r = store_mark_containers(check->engine, &keys, NULL);

    /* An unreadable record was told already. */
    for (size_t i = 0; r == 0 && i < keys.count; i++) {
        if (layer_exists(check->engine->data_fd, keys.items[i]))
            check_layer(check, NULL, keys.items[i]);
    }
}

/* --- roots of microVMs ------------------------------------------------------------------------ */

/* What was made of a damaged layer may be damaged, whether or not the layer is whole by now. */
static void check_root(struct check *check, const char *key)
{
    int data_fd = check->engine->data_fd;
    struct error why = { 0 };
    int r;

    r = erofs_check(data_fd, key, check->options->is_deep || check->has_rebuilt, &why);
    if (r == -ENOENT)
        check->result->unused_count++; /* its layers are gone, or another berth made it */
    if (r >= 0 || r == -ENOENT)
        return;
    if (r == -EBADMSG && check->options->is_repairing) {
        struct error reason = { 0 };

        if (erofs_delete(data_fd, key, &reason) == 0) {
            strings_addf(&check->result->repairs, "%s: removed; the next start makes it anew",
                         why.message);
            return;
        }
        (void)error_prefix(&why, r, "%s", reason.message);
    }
    add_defect(check, &why);
}

static int check_roots(struct check *check, struct error *err)
{
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    int r = erofs_list(check->engine->data_fd, &keys, err);

    for (size_t i = 0; r == 0 && i < keys.count; i++)
        check_root(check, keys.items[i]);
    return r;
}

/* --- what is left, and all of it -------------------------------------------------------------- */

static int check_leftovers(struct check *check, struct error *err)
{
    struct staging_usage left = { 0 };
    auto_free char *size = NULL;
    int r;

    r = staging_usage(check->engine->data_fd, &left, err);
    if (r < 0 || left.abandoned_count == 0)
        return r;
    size = text_format_size(left.abandoned.bytes);
    strings_addf(check->options->is_repairing ? &check->result->repairs : &check->result->defects,
                 "%llu leftovers of commands that were killed, %s%s",
                 (unsigned long long)left.abandoned_count, size,
                 check->options->is_repairing ? ": removed" : "");
    return check->options->is_repairing ? staging_clean(check->engine->data_fd, err) : 0;
}

static int count_unused(struct check *check, struct error *err)
{
    struct store_usage usage = { 0 };
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    int r;

    r = layer_list(check->engine->data_fd, &keys, err);
    for (size_t i = 0; r == 0 && i < keys.count; i++)
        check->result->unused_count += !strings_contains(&check->known, keys.items[i]);
    if (r == 0)
        r = engine_store_usage(check->engine, &usage, err);
    if (r == 0)
        check->result->unused_count += usage.unused_blob_count;
    store_usage_clear(&usage);
    return r;
}

static int check_all(struct check *check, struct error *err)
{
    int r;

    r = check_leftovers(check, err);
    if (r == 0)
        r = check_blobs(check, err);
    if (r == 0)
        r = check_containers(check, err);
    if (r == 0)
        r = check_images(check, err);
    if (r == 0)
        r = check_names(check, err);
    if (r == 0)
        check_kept_layers(check);
    if (r == 0)
        r = check_roots(check, err);
    if (r == 0 && check->has_rebuilt)
        r = layers_sync(check->engine->data_fd, err);
    return r == 0 ? count_unused(check, err) : r;
}

static int check_locked(struct check *check, struct error *err)
{
    bool is_exclusive = check->options->is_repairing;
    auto_close int layers_fd = -1;
    auto_close int blobs_fd = -1;
    int r;

    r = layers_lock(check->engine->data_fd, is_exclusive, LOCK_WAIT_MS, &layers_fd, err);
    if (r == 0)
        r = image_store_lock(engine_images(check->engine), is_exclusive, &blobs_fd, err);
    if (r == -ETIMEDOUT)
        return error_set(err, ETIMEDOUT,
                         "another command is adding or removing images; try again when it is done");
    return r < 0 ? r : check_all(check, err);
}

/* Only where all is known that is needed: a sweep ends at the first image that it cannot read. */
static void sweep(struct check *check)
{
    struct sweep_options options = { .wait_ms = LOCK_WAIT_MS, .is_in_foreground = true };
    struct sweep_result swept;
    struct error why = { 0 };

    if (store_sweep(check->engine, &options, &swept, &why) < 0)
        strings_addf(&check->result->defects, "what nothing needs stays: %s", why.message);
    else if (check->result->unused_count > 0)
        strings_addf(&check->result->repairs, "%llu layers and blobs that nothing needs: removed",
                     (unsigned long long)check->result->unused_count);
}

int engine_check(struct engine *engine, const struct check_options *options,
                 engine_progress *progress, void *context, struct check_result *ret_result,
                 struct error *err)
{
    AUTO_CLEAR(check_result) struct check_result result = { 0 };
    AUTO_CLEAR(check)
    struct check check = { .engine = engine, .options = options, .result = &result };
    int r;

    assert(engine != NULL);
    assert(options != NULL);
    assert(ret_result != NULL);

    check.progress.function = progress;
    check.progress.context = context;
    r = engine_need_images(engine, err);
    if (r == 0)
        r = check_locked(&check, err);
    if (r < 0)
        return r;
    if (options->is_repairing)
        sweep(&check);
    *ret_result = result;
    result = (struct check_result){ 0 };
    return 0;
}
