#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image/archive_private.h"
#include "image/registry.h"
#include "image/registry_answers.h"
#include "image/registry_copy.h"

/* Copies from or to an archive or an OCI layout: each of the four ways is one of two halves that
 * bring an image into the store, where it is verified, and one of two that send it on. It gets
 * neither a record nor a name. */

/* By the name that it has in the archive; "latest" is one that is not kept. */
static bool has_name(const struct image_archive_item *item, const char *wanted)
{
    AUTO(reference) struct reference *reference = NULL;
    auto_free char *familiar = NULL;

    if (item->names.count == 0)
        return strcmp(wanted, "latest") == 0;
    if (reference_parse(wanted, &reference, NULL) < 0)
        return false;
    familiar = reference_format_familiar(reference);
    return strings_contains(&item->names, familiar);
}

/* A tag in a layout reads as a name with docker's own tag behind it. */
static void list_names(const struct image_archive_item *item, struct strings *names)
{
    for (size_t i = 0; i < item->names.count; i++) {
        const char *name = item->names.items[i];
        const char *end = text_ends(name, ":latest") ? strrchr(name, ':') : name + strlen(name);

        strings_addf(names, "%.*s", (int)(end - name), name);
    }
    if (item->names.count == 0)
        strings_add(names, "latest");
}

static int refuse_name(const struct image_archive *archive, const char *name, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    auto_free char *list = NULL;

    for (size_t i = 0; i < archive->count; i++)
        list_names(&archive->items[i], &names);
    list = strings_join(&names, ", ");
    if (name == NULL)
        return error_set(err, EINVAL, "there are %zu images in it: add ':' and one of %.1000s",
                         archive->count, list);
    return error_set(err, ENOENT, "there is no image '%s' in it%s%.1000s", name,
                     names.count > 0 ? "; there are " : "", list);
}

static int choose_item(const struct image_archive *archive, const char *name,
                       const struct image_archive_item **ret_item, struct error *err)
{
    if (name == NULL && archive->count == 1) {
        *ret_item = &archive->items[0];
        return 0;
    }
    for (size_t i = 0; name != NULL && i < archive->count; i++) {
        if (has_name(&archive->items[i], name)) {
            *ret_item = &archive->items[i];
            return 0;
        }
    }
    return refuse_name(archive, name, err);
}

/* @ret_item: of the archive's */
static int read_archive(struct image_store *store, const struct image_copy_end *source,
                        bool all_platforms, struct image_archive *archive,
                        const struct image_archive_item **ret_item, struct error *err)
{
    int r =
        image_archive_read(store, source->fd, source->is_directory, all_platforms, archive, err);

    return r < 0 ? r : choose_item(archive, source->name, ret_item, err);
}

static int take_from_archive(struct image_store *store, const struct image_copy_end *source,
                             bool all_platforms, struct image_archive_item *ret_item,
                             struct error *err)
{
    AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
    const struct image_archive_item *found = NULL;
    int r;

    r = read_archive(store, source, all_platforms, &archive, &found, err);
    if (r < 0)
        return r;
    ret_item->manifest_digest = found->manifest_digest;
    ret_item->has_index = found->has_index;
    ret_item->index = found->index;
    return 0;
}

static int take_from_registry(struct image_store *store, const struct registries *registries,
                              const struct image_copy_end *source, bool all_platforms,
                              const struct push_options *options,
                              struct image_archive_item *ret_item, struct error *err)
{
    const struct pull_options pull = { .registry = options->registry,
                                       .all_platforms = all_platforms };
    struct pulled pulled;
    int r;

    r = image_pull(store, registries, source->reference, &pull, &pulled, err);
    if (r < 0)
        return r;
    ret_item->manifest_digest = pulled.manifest_digest;
    ret_item->has_index = all_platforms && !digest_equal(&pulled.digest, &pulled.manifest_digest);
    ret_item->index = pulled.digest;
    return 0;
}

/* docker-archive knows one platform; a name in it is docker's, in a layout it is a tag. */
static int give_to_archive(struct image_store *store, const struct image_copy_end *destination,
                           struct image_archive_item *item, struct error *err)
{
    const struct image_archive archive = { .items = item, .count = 1 };
    int r = 0;

    if (destination->format == ARCHIVE_OCI)
        item->tag = destination->name;
    else if (destination->name != NULL)
        archive_item_name(item, destination->name);
    if (destination->format == ARCHIVE_DOCKER && destination->name != NULL &&
        item->names.count == 0)
        return error_set(err, EINVAL, "'%s' is no image name", destination->name);
    r = destination->is_directory
            ? image_layout_write(store, &archive, destination->fd, err)
            : image_archive_write(store, &archive, destination->format, destination->fd, err);
    return r;
}

int image_copy_archive(struct image_store *store, const struct registries *registries,
                       const struct image_copy_end *source,
                       const struct image_copy_end *destination, const struct push_options *options,
                       struct digest *ret_digest, struct error *err)
{
    struct image_archive_item item = { 0 };
    const struct digest *top;
    bool all_platforms;
    uint64_t size;
    int r;

    assert(store != NULL);
    assert(source != NULL);
    assert(destination != NULL);
    assert(ret_digest != NULL);

    all_platforms = destination->reference != NULL || destination->format != ARCHIVE_DOCKER;
    if (source->reference != NULL)
        r = take_from_registry(store, registries, source, all_platforms, options, &item, err);
    else
        r = take_from_archive(store, source, all_platforms, &item, err);
    if (r < 0)
        return r;
    top = item.has_index ? &item.index : &item.manifest_digest;
    if (destination->reference != NULL)
        r = image_push_tree(store, registries, top, destination->reference, options, &size, err);
    else
        r = give_to_archive(store, destination, &item, err);
    strings_clear(&item.names);
    if (r == 0)
        *ret_digest = *top;
    return r;
}

int image_inspect_archive(struct image_store *store, const struct image_copy_end *source,
                          char **ret_json, struct error *err)
{
    AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
    const struct image_archive_item *item = NULL;
    AUTO(image) struct image *image = NULL;
    AUTO_CLEAR(strings) struct strings names = { 0 };
    int r;

    assert(store != NULL);
    assert(source != NULL);
    assert(ret_json != NULL);

    r = read_archive(store, source, false, &archive, &item, err);
    if (r == 0)
        r = image_open(store, &item->manifest_digest, &image, err);
    if (r < 0)
        return r;
    list_names(item, &names);
    *ret_json =
        registry_view_make(NULL, &item->manifest_digest, &image->layers, &image->config, &names);
    return 0;
}
