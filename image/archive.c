#include "image/archive_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

void image_archive_clear(struct image_archive *archive)
{
    for (size_t i = 0; i < archive->count; i++)
        strings_clear(&archive->items[i].names);
    free(archive->items);
    *archive = (struct image_archive){ 0 };
}

struct image_archive_item *archive_item(struct image_archive *archive,
                                        const struct digest *manifest_digest)
{
    for (size_t i = 0; i < archive->count; i++) {
        if (digest_equal(&archive->items[i].manifest_digest, manifest_digest))
            return &archive->items[i];
    }
    archive->items = xrealloc(archive->items, archive->count + 1, sizeof(*archive->items));
    archive->items[archive->count] =
        (struct image_archive_item){ .manifest_digest = *manifest_digest };
    return &archive->items[archive->count++];
}

void archive_item_name(struct image_archive_item *item, const char *text)
{
    AUTO(reference) struct reference *reference = NULL;
    auto_free char *familiar = NULL;
    struct error err = { 0 };

    if (reference_parse(text, &reference, &err) < 0) {
        log_debug("load: left out a name: %s", err.message);
        return;
    }
    if (reference->digest != NULL) {
        free(reference->digest);
        reference->digest = NULL;
    }
    if (reference->tag == NULL)
        return;
    familiar = reference_format_familiar(reference);
    if (!strings_contains(&item->names, familiar))
        strings_add(&item->names, familiar);
}

static int read_spooled(struct image_store *store, struct spool *spool, bool all_platforms,
                        struct image_archive *archive, struct error *err)
{
    if (spool_has(spool, "index.json"))
        return layout_read(store, spool, all_platforms, archive, err);
    if (spool_has(spool, "version") && spool_has(spool, "manifest.json"))
        return error_set(err, ENOTSUP,
                         "is of skopeo's 'dir:' form; copy it to 'oci:' or "
                         "'docker-archive:' first");
    if (spool_has(spool, "manifest.json"))
        return docker_archive_read(store, spool, archive, err);
    if (spool_has(spool, "repositories"))
        return error_set(err, ENOTSUP,
                         "was saved by a docker older than 1.10 (it has no "
                         "manifest.json); save it again with a newer one");
    return error_set(err, EINVAL,
                     "has neither index.json (OCI layout) nor manifest.json (docker "
                     "save); a root file system is taken by `berth import`");
}

int image_archive_read(struct image_store *store, int fd, bool is_directory, bool all_platforms,
                       struct image_archive *ret_archive, struct error *err)
{
    AUTO(spool) struct spool *spool = NULL;
    AUTO_CLEAR(image_archive) struct image_archive archive = { 0 };
    int r;

    assert(store != NULL);
    assert(fd >= 0);
    assert(ret_archive != NULL);

    if (is_directory)
        r = spool_open_directory(store, fd, &spool, err);
    else
        r = spool_read_archive(store, fd, &spool, err);
    if (r < 0)
        return r;
    r = read_spooled(store, spool, all_platforms, &archive, err);
    if (r < 0)
        return r;
    *ret_archive = archive;
    archive = (struct image_archive){ 0 };
    return 0;
}
