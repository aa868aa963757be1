#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/staging.h"
#include "engine/engine_private.h"
#include "engine/volumes.h"

/* Volumes as objects of their own: what `berth volume` makes, shows and removes. */

#define VOLUME_PATH_MAX 256

void volume_view_clear(struct volume_view *view)
{
    object_clear(&volume_view_object, view);
    *view = (struct volume_view){ 0 };
}

void volume_views_clear(struct volume_views *views)
{
    for (size_t i = 0; i < views->count; i++)
        volume_view_clear(&views->items[i]);
    free(views->items);
    *views = (struct volume_views){ 0 };
}

/* --- looking ---------------------------------------------------------------------------------- */

/* @ret_path: VOLUME_PATH_MAX bytes. A name that no volume can have is as good as none. */
static int find(struct engine *engine, const char *name, char *ret_path, struct stat *ret_status,
                struct error *err)
{
    if (text_check_name("volume name", name, NULL) < 0)
        return error_set(err, ENOENT, "No such volume: %s", name);
    (void)snprintf(ret_path, VOLUME_PATH_MAX, "volumes/%s", name);
    if (fstatat(engine->data_fd, ret_path, ret_status, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return errno == ENOENT ? error_set(err, ENOENT, "No such volume: %s", name)
                           : error_errno(err, "look at volume '%s'", name);
}

/* None: it was made without labels. */
static int read_labels(struct engine *engine, const char *path, struct volume_view *view,
                       struct error *err)
{
    auto_free char *file = path_join(path, "volume.json");
    auto_free char *text = NULL;
    size_t length;
    int r;

    r = file_read(engine->data_fd, file, RECORD_BYTES_MAX, &text, &length, err);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : decode_text(&volume_record_object, text, length, view, file, err);
}

int volume_view_read(struct engine *engine, const char *name, struct volume_view *ret_view,
                     struct error *err)
{
    AUTO_CLEAR(volume_view) struct volume_view view = { 0 };
    char path[VOLUME_PATH_MAX];
    struct stat status;
    int r;

    r = find(engine, name, path, &status, err);
    if (r < 0)
        return r;
    r = read_labels(engine, path, &view, err);
    if (r < 0)
        return error_prefix(err, r, "volume '%s'", name);
    view.name = xstrdup(name);
    view.driver = xstrdup("local");
    view.scope = xstrdup("local");
    view.mountpoint = xasprintf("%s/%s/_data", engine->data_path, path);
    /* Renamed into its place when it was made, and not changed since. */
    view.created = text_format_time(status.st_ctim.tv_sec, 0);
    *ret_view = view;
    view = (struct volume_view){ 0 };
    return 0;
}

int engine_volume_inspect(struct engine *engine, const char *name, char **ret_json,
                          struct error *err)
{
    AUTO_CLEAR(volume_view) struct volume_view view = { 0 };
    int r;

    r = volume_view_read(engine, name, &view, err);
    if (r == 0)
        *ret_json = encode_text(&volume_view_object, &view, ENCODE_COMPACT);
    return r;
}

static void warn_of_unread(const struct strings *unread, struct strings *ret_warnings)
{
    for (size_t i = 0; i < unread->count; i++)
        strings_addf(ret_warnings,
                     "container %s has a record that cannot be read: it may use any volume",
                     unread->items[i]);
}

int engine_volume_list(struct engine *engine, struct volume_views *ret_views,
                       struct strings *ret_warnings, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    AUTO_CLEAR(strings) struct strings used = { 0 };
    AUTO_CLEAR(strings) struct strings unread = { 0 };
    int r;

    assert(ret_views != NULL);
    assert(ret_warnings != NULL);

    r = volumes_list(engine, &names, err);
    if (r == 0)
        r = volumes_list_used(engine, &used, &unread, err);
    if (r < 0)
        return r;
    warn_of_unread(&unread, ret_warnings);
    ret_views->items = xcalloc(names.count + 1, sizeof(*ret_views->items));
    for (size_t i = 0; i < names.count; i++) {
        struct volume_view *view = &ret_views->items[ret_views->count];
        struct error why = { 0 };

        r = volume_view_read(engine, names.items[i], view, &why);
        if (r < 0 && r != -ENOENT) /* -ENOENT: removed meanwhile */
            strings_add(ret_warnings, why.message);
        if (r < 0)
            continue;
        view->is_used = unread.count > 0 || strings_contains(&used, view->name);
        ret_views->count++;
    }
    return 0;
}

/* --- making ----------------------------------------------------------------------------------- */

static int create(struct engine *engine, const char *name, const struct string_map *labels,
                  struct error *err)
{
    AUTO(staging) struct staging *staging = NULL;
    auto_close int data_fd = -1;
    int r;

    r = staging_create(engine->data_fd, &staging, err);
    if (r == 0)
        r = volume_stage(staging, labels, &data_fd, err);
    return r < 0 ? r : volume_publish(engine, staging, name, err);
}

int engine_volume_create(struct engine *engine, const char *name, const struct string_map *labels,
                         char **ret_name, struct strings *ret_warnings, struct error *err)
{
    auto_free char *own = name == NULL ? volume_name_generate() : xstrdup(name);
    int r;

    assert(labels != NULL);
    assert(ret_name != NULL);
    assert(ret_warnings != NULL);

    r = text_check_name("volume name", own, err);
    if (r < 0)
        return r;
    r = create(engine, own, labels, err);
    if (r == -EEXIST && labels->count > 0)
        strings_addf(ret_warnings, "volume '%s' is there already: it keeps the labels it has", own);
    if (r < 0 && r != -EEXIST)
        return error_prefix(err, r, "volume '%s'", own);
    *ret_name = take_ptr(&own);
    return 0;
}

/* --- removing --------------------------------------------------------------------------------- */

int engine_volume_remove(struct engine *engine, const char *name, struct error *err)
{
    AUTO_CLEAR(strings) struct strings users = { 0 };
    auto_free char *names = NULL;
    auto_close int lock_fd = -1;
    char path[VOLUME_PATH_MAX];
    struct stat status;
    int r;

    r = volumes_lock(engine, true, &lock_fd, err);
    if (r == 0)
        r = find(engine, name, path, &status, err);
    if (r == 0)
        r = volume_list_users(engine, name, &users, err);
    if (r < 0)
        return r;
    names = strings_join(&users, ", ");
    if (users.count > 0)
        return error_set(err, EBUSY,
                         "volume '%s' is used by containers: %s; remove them first, running or not",
                         name, names);
    r = staging_trash(engine->data_fd, engine->data_fd, path, err);
    (void)close(take_fd(&lock_fd)); /* releases the lock: many files take a while */
    return r < 0 ? error_prefix(err, r, "volume '%s'", name) : staging_clean(engine->data_fd, err);
}
