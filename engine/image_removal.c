#include "engine/provision.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/engine_private.h"
#include "engine/record.h"
#include "engine/store_sweep.h"

/* `rmi`: refused while containers use the image; then names and record go, then what nothing refers
 * to any more (store_sweep.c). */

/* A load that runs meanwhile does not hold up rmi for longer; the next one sweeps. */
#define SWEEP_WAIT_MS 5000
#define SHORT_ID      12

/* --- who uses it ------------------------------------------------------------------------------ */

struct user {
    char *id; /* of the container; NULL: none */
    bool is_running;
};

/* The container that says most: a running one, else any. */
static int find_user(struct engine *engine, const struct image *image, struct user *ret_user,
                     struct error *err)
{
    AUTO_CLEAR(strings) struct strings ids = { 0 };
    int r;

    r = engine_container_ids(engine, &ids, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ids.count && !ret_user->is_running; i++) {
        AUTO(record) struct record *record = NULL;

        r = record_read(engine, ids.items[i], &record, err);
        if (r == -ENOENT)
            continue; /* being removed */
        if (r < 0)
            return r;
        if (!text_equal(record->image_manifest, image->manifest_digest.text) &&
            !text_equal(record->image_id, image->id.text))
            continue;
        r = claim_is_held(engine, ids.items[i], err);
        if (r < 0)
            return r;
        free(ret_user->id);
        ret_user->id = xstrdup(ids.items[i]);
        ret_user->is_running = r > 0;
    }
    return 0;
}

/* How many names the image has, and whether @text is its id rather than one of them. */
static int count_names(struct engine *engine, const struct image *image, size_t *ret_count,
                       struct error *err)
{
    AUTO_CLEAR(image_listing) struct image_listing listing = { 0 };
    int r;

    r = image_list(engine_images(engine), &listing, err);
    if (r < 0)
        return r;
    *ret_count = 0;
    for (size_t i = 0; i < listing.count; i++) {
        if (digest_equal(&listing.items[i].id, &image->id))
            *ret_count += listing.items[i].names.count;
    }
    return 0;
}

static bool is_id(const char *text, const struct image *image)
{
    const char *hex = text_starts(text, "sha256:") ? text + strlen("sha256:") : text;

    return text_starts(digest_hex(&image->id), hex);
}

/* Refuses as docker does. */
static int check_unused(struct engine *engine, const struct image *image, const char *text,
                        bool is_forced, struct error *err)
{
    struct user user = { 0 };
    auto_free char *container = NULL;
    const char *image_id = digest_hex(&image->id);
    size_t name_count;
    int r;

    r = count_names(engine, image, &name_count, err);
    if (r < 0)
        return r;
    if (!is_id(text, image) && name_count > 1)
        return 0; /* only this name goes */
    r = find_user(engine, image, &user, err);
    container = user.id;
    if (r < 0 || container == NULL)
        return r;
    if (!is_id(text, image))
        return is_forced ? 0
                         : error_set(err, EBUSY,
                                     "conflict: unable to remove repository reference \"%s\" (must "
                                     "force) - container %.*s is using its referenced image %.*s",
                                     text, SHORT_ID, container, SHORT_ID, image_id);
    if (user.is_running)
        return error_set(err, EBUSY,
                         "conflict: unable to delete %.*s (cannot be forced) - image is being used "
                         "by running container %.*s",
                         SHORT_ID, image_id, SHORT_ID, container);
    if (!is_forced)
        return error_set(err, EBUSY,
                         "conflict: unable to delete %.*s (must be forced) - image is being used "
                         "by stopped container %.*s",
                         SHORT_ID, image_id, SHORT_ID, container);
    return 0;
}

void provision_discard(struct engine *engine, int reason)
{
    bool is_full = reason == -ENOSPC || reason == -EDQUOT;
    struct sweep_options options = { .drops_partial = is_full, .is_in_foreground = is_full };
    struct sweep_result result;
    struct error err = { 0 };

    image_store_end_write(engine_images(engine));
    /* Nothing depends on it: the next rmi sweeps too. */
    if (store_sweep(engine, &options, &result, &err) < 0)
        log_debug("not all that was taken in is removed: %s", err.message);
}

int engine_remove_image(struct engine *engine, const char *text, bool is_forced,
                        struct strings *ret_lines, struct error *err)
{
    AUTO(image) struct image *image = NULL;
    struct sweep_options options = { .wait_ms = SWEEP_WAIT_MS };
    struct sweep_result result;
    struct error sweep_err = { 0 };
    int r;

    assert(engine != NULL);
    assert(text != NULL);

    r = engine_need_images(engine, err);
    if (r == 0)
        r = image_find(engine_images(engine), text, &image, err);
    if (r == 0)
        r = check_unused(engine, image, text, is_forced, err);
    else if (r == -EBADMSG) /* containers keep its layers; it is of no other use any more */
        r = 0;
    if (r == 0)
        r = image_remove(engine_images(engine), text, is_forced, ret_lines, err);
    if (r < 0)
        return r;
    /* The image is gone by now, so what goes wrong here is no reason to say that it is not. */
    r = store_sweep(engine, &options, &result, &sweep_err);
    if (r < 0)
        log_warning("image removed, but not all of its files: %s", sweep_err.message);
    return 0;
}
