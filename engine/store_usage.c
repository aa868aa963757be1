#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/path.h"
#include "base/staging.h"
#include "engine/engine_private.h"
#include "engine/record.h"
#include "engine/store_sweep.h"
#include "engine/volumes.h"

/* `system df`: all is looked up, nothing is counted along. What images share, their layers and
 * blobs, is listed once, and each image says what it needs of it. */

/* A layer, a blob, or a microVM's root made of layers. */
enum piece_kind { PIECE_LAYER, PIECE_BLOB, PIECE_ROOT };
struct piece {
    char *name; /* key of a layer or root, digest of a blob; they look different */
    uint64_t bytes;
    size_t images; /* that need it */
    enum piece_kind kind;
    bool is_kept; /* by a container, or by an image that containers were made of */
};
struct pieces {
    struct piece *items; /* sorted by name once all are there */
    size_t count;
};

static void pieces_clear(struct pieces *pieces)
{
    for (size_t i = 0; i < pieces->count; i++)
        free(pieces->items[i].name);
    free(pieces->items);
    *pieces = (struct pieces){ 0 };
}

static int compare_pieces(const void *a, const void *b)
{
    return strcmp(((const struct piece *)a)->name, ((const struct piece *)b)->name);
}

static struct piece *pieces_find(const struct pieces *pieces, const char *name)
{
    struct piece wanted = { .name = (char *)name };

    return pieces->count == 0 ? NULL
                              : bsearch(&wanted, pieces->items, pieces->count,
                                        sizeof(*pieces->items), compare_pieces);
}

static void pieces_add(struct pieces *pieces, enum piece_kind kind, const char *name,
                       uint64_t bytes)
{
    pieces->items = xrealloc(pieces->items, pieces->count + 1, sizeof(*pieces->items));
    pieces->items[pieces->count++] =
        (struct piece){ .name = xstrdup(name), .bytes = bytes, .kind = kind };
}

static int pieces_add_keys(struct engine *engine, struct pieces *pieces, enum piece_kind kind,
                           struct error *err)
{
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    int data_fd = engine->data_fd;
    int r;

    r = kind == PIECE_LAYER ? layer_list(data_fd, &keys, err) : erofs_list(data_fd, &keys, err);
    for (size_t i = 0; r == 0 && i < keys.count; i++) {
        struct disk_usage usage = { 0 };

        r = kind == PIECE_LAYER ? layer_usage(data_fd, keys.items[i], &usage, err)
                                : erofs_usage(data_fd, keys.items[i], &usage, err);
        pieces_add(pieces, kind, keys.items[i], usage.bytes);
    }
    return r;
}

static int pieces_list(struct engine *engine, struct pieces *pieces, struct error *err)
{
    AUTO_CLEAR(image_blobs) struct image_blobs blobs = { 0 };
    int r;

    r = pieces_add_keys(engine, pieces, PIECE_LAYER, err);
    if (r == 0)
        r = pieces_add_keys(engine, pieces, PIECE_ROOT, err);
    if (r == 0)
        r = image_blobs_list(engine_images(engine), &blobs, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < blobs.count; i++)
        pieces_add(pieces, PIECE_BLOB, blobs.items[i].digest.text, blobs.items[i].disk_bytes);
    if (pieces->count > 1)
        qsort(pieces->items, pieces->count, sizeof(*pieces->items), compare_pieces);
    return 0;
}

/* --- images ----------------------------------------------------------------------------------- */

/* Names of all pieces that an image needs, each once. */
static int list_needed(struct engine *engine, const struct image_listing_item *item,
                       struct strings *names, struct error *err)
{
    AUTO_CLEAR(strings) struct strings all = { 0 };

    for (size_t i = 0; i < item->manifests.count; i++) {
        AUTO(image) struct image *image = NULL;
        struct digest digest;
        int r;

        r = digest_parse(item->manifests.items[i], &digest, err);
        if (r == 0)
            r = image_open(engine_images(engine), &digest, &image, err);
        if (r < 0)
            return r;
        strings_add(&all, digest.text);
        strings_add(&all, image->id.text);
        for (size_t j = 0; j < image->layers.count; j++)
            strings_add(&all, image->layers.items[j].digest.text);
        store_mark_image(engine, &image->config.diff_ids, &all);
        r = image_index_blobs(engine_images(engine), &digest, &all, err);
        if (r < 0)
            return r;
    }
    strings_sort(&all);
    for (size_t i = 0; i < all.count; i++) {
        if (i == 0 || strcmp(all.items[i], all.items[i - 1]) != 0)
            strings_add(names, all.items[i]);
    }
    return 0;
}

static size_t count_containers(const struct store_usage *usage, const struct digest *id)
{
    size_t count = 0;

    for (size_t i = 0; i < usage->container_count; i++)
        count += text_equal(usage->container_items[i].view.image_id, id->text);
    return count;
}

static void add_image(const struct image_listing_item *item, const struct strings *needed,
                      const struct pieces *pieces, struct store_usage *usage)
{
    struct usage_image *image = &usage->image_items[usage->image_count++];

    image->id = item->id;
    image->created = item->created;
    image->containers = count_containers(usage, &item->id);
    strings_add_all(&image->names, &item->names);
    for (size_t i = 0; i < needed->count; i++) {
        struct piece *piece = pieces_find(pieces, needed->items[i]);

        if (piece == NULL)
            continue;
        piece->images++;
        piece->is_kept = piece->is_kept || image->containers > 0;
        if (piece->kind != PIECE_ROOT)
            *(piece->kind == PIECE_BLOB ? &image->blob_bytes : &image->layer_bytes) += piece->bytes;
    }
}

/* Known when all images have said what they need. */
static void add_shared(struct usage_image *image, const struct strings *needed,
                       const struct pieces *pieces)
{
    for (size_t i = 0; i < needed->count; i++) {
        const struct piece *piece = pieces_find(pieces, needed->items[i]);

        if (piece != NULL && piece->kind == PIECE_LAYER && piece->images > 1)
            image->shared_bytes += piece->bytes;
    }
}

static bool is_removed(struct engine *engine, const struct digest *id)
{
    AUTO(image) struct image *image = NULL;

    return image_find(engine_images(engine), id->text, &image, NULL) == -ENOENT;
}

static int add_images(struct engine *engine, const struct pieces *pieces, struct store_usage *usage,
                      struct error *err)
{
    AUTO_CLEAR(image_listing) struct image_listing listing = { 0 };
    auto_free struct strings *needed = NULL;
    int r;

    r = image_list(engine_images(engine), &listing, err);
    if (r < 0)
        return r;
    usage->damage = listing.damage;
    usage->image_items = xcalloc(listing.count + 1, sizeof(*usage->image_items));
    needed = xcalloc(listing.count + 1, sizeof(*needed));
    for (size_t i = 0; i < listing.count; i++) {
        struct strings *names = &needed[usage->image_count];
        struct error why = { 0 };

        r = list_needed(engine, &listing.items[i], names, &why);
        if (r < 0 && is_removed(engine, &listing.items[i].id)) /* since it was listed */
            continue;
        /* What is damaged is shown without a size: `system check` says more. */
        if (r < 0)
            usage->damage = why;
        add_image(&listing.items[i], names, pieces, usage);
    }
    for (size_t i = 0; i < usage->image_count; i++) {
        add_shared(&usage->image_items[i], &needed[i], pieces);
        usage->images.active += usage->image_items[i].containers > 0;
        strings_clear(&needed[i]);
    }
    usage->images.total = usage->image_count;
    return 0;
}

static int keep_used(struct engine *engine, const struct pieces *pieces, struct error *err)
{
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    int r = store_mark_containers(engine, &keys, err);

    for (size_t i = 0; r == 0 && i < keys.count; i++) {
        struct piece *piece = pieces_find(pieces, keys.items[i]);

        if (piece != NULL)
            piece->is_kept = true;
    }
    return r;
}

static void add_pieces(const struct pieces *pieces, struct store_usage *usage)
{
    struct usage_kind *const kinds[] = {
        [PIECE_LAYER] = &usage->images,
        [PIECE_BLOB] = &usage->blobs,
        [PIECE_ROOT] = &usage->roots,
    };

    for (size_t i = 0; i < pieces->count; i++) {
        const struct piece *piece = &pieces->items[i];
        struct usage_kind *kind = kinds[piece->kind];

        kind->bytes += piece->bytes;
        kind->reclaimable_bytes += piece->is_kept ? 0 : piece->bytes;
        if (piece->kind != PIECE_LAYER) { /* else images are counted */
            kind->total++;
            kind->active += piece->is_kept;
        }
        usage->unused_blob_count += piece->kind == PIECE_BLOB && piece->images == 0;
    }
}

/* --- containers, volumes, leftovers ------------------------------------------------------------
 */

static int add_containers(struct engine *engine, struct store_usage *usage, struct error *err)
{
    AUTO_CLEAR(container_views) struct container_views views = { 0 };
    int r;

    r = engine_list(engine, false, &views, err);
    if (r < 0)
        return r;
    usage->container_items = xcalloc(views.count + 1, sizeof(*usage->container_items));
    for (size_t i = 0; i < views.count; i++) {
        struct usage_container *container = &usage->container_items[usage->container_count++];
        auto_free char *path = path_join("containers", views.items[i].id);
        struct disk_usage size = { 0 };

        container->view = views.items[i];
        views.items[i] = (struct container_view){ 0 };
        container->is_stopped = strcmp(container->view.status, "created") == 0 ||
                                strcmp(container->view.status, "exited") == 0;
        r = disk_usage_add(engine->data_fd, path, &size, err);
        if (r < 0)
            return r;
        container->bytes = size.bytes;
        usage->containers.total++;
        usage->containers.active += !container->is_stopped;
        usage->containers.bytes += size.bytes;
        usage->containers.reclaimable_bytes += container->is_stopped ? size.bytes : 0;
    }
    return 0;
}

static int add_volumes(struct engine *engine, struct store_usage *usage, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    int r;

    r = volumes_list(engine, &names, err);
    if (r < 0)
        return r;
    usage->volume_items = xcalloc(names.count + 1, sizeof(*usage->volume_items));
    for (size_t i = 0; i < names.count; i++) {
        struct usage_volume *volume = &usage->volume_items[usage->volume_count++];
        auto_free char *path = path_join("volumes", names.items[i]);
        struct disk_usage size = { 0 };

        volume->name = xstrdup(names.items[i]);
        volume->is_anonymous = volume_name_is_anonymous(volume->name);
        for (size_t k = 0; k < usage->container_count; k++)
            volume->containers +=
                strings_contains(&usage->container_items[k].view.volumes, volume->name);
        r = disk_usage_add(engine->data_fd, path, &size, err);
        if (r < 0)
            return r;
        volume->bytes = size.bytes;
        usage->volumes.total++;
        usage->volumes.active += volume->containers > 0;
        usage->volumes.bytes += size.bytes;
        usage->volumes.reclaimable_bytes += volume->containers > 0 ? 0 : size.bytes;
    }
    return 0;
}

static int add_leftovers(struct engine *engine, struct store_usage *usage, struct error *err)
{
    struct image_partial_usage partial = { 0 };
    struct staging_usage staging = { 0 };
    struct disk_usage warm = { 0 };
    int r;

    r = staging_usage(engine->data_fd, &staging, err);
    if (r == 0)
        r = disk_usage_add(engine->data_fd, WARM_FOLDER, &warm, err);
    if (r == 0)
        r = image_partial_usage(engine_images(engine), &partial, err);
    usage->leftovers = (struct usage_kind){
        .total = staging.held_count + staging.abandoned_count + partial.count,
        .active = staging.held_count + partial.held_count,
        .bytes = staging.held.bytes + staging.abandoned.bytes + partial.bytes + warm.bytes,
        .reclaimable_bytes =
            staging.abandoned.bytes + partial.bytes - partial.held_bytes + warm.bytes,
    };
    return r;
}

int engine_store_usage(struct engine *engine, struct store_usage *ret_usage, struct error *err)
{
    AUTO_CLEAR(store_usage) struct store_usage usage = { 0 };
    AUTO_CLEAR(pieces) struct pieces pieces = { 0 };
    int r;

    assert(engine != NULL);
    assert(ret_usage != NULL);

    r = engine_need_images(engine, err);
    if (r == 0)
        r = pieces_list(engine, &pieces, err);
    if (r == 0)
        r = add_containers(engine, &usage, err);
    if (r == 0)
        r = add_images(engine, &pieces, &usage, err);
    if (r == 0)
        r = keep_used(engine, &pieces, err);
    if (r == 0)
        r = add_volumes(engine, &usage, err);
    if (r == 0)
        r = add_leftovers(engine, &usage, err);
    if (r < 0)
        return r;
    add_pieces(&pieces, &usage);
    *ret_usage = usage;
    usage = (struct store_usage){ 0 };
    return 0;
}

void store_usage_clear(struct store_usage *usage)
{
    for (size_t i = 0; i < usage->image_count; i++)
        strings_clear(&usage->image_items[i].names);
    for (size_t i = 0; i < usage->container_count; i++)
        container_view_clear(&usage->container_items[i].view);
    for (size_t i = 0; i < usage->volume_count; i++)
        free(usage->volume_items[i].name);
    free(usage->image_items);
    free(usage->container_items);
    free(usage->volume_items);
    *usage = (struct store_usage){ 0 };
}
