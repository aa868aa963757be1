#include "engine/volumes.h"

#include <dirent.h>
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
#include "engine/fuse_root.h"
#include "engine/image_root.h"
#include "engine/tree_copy.h"

#define VOLUME_PATH_MAX  256
#define RECORD_FILE_PATH "volume/volume.json" /* in staging */
#define ANONYMOUS_LENGTH 64                   /* of the random name, bundle.c */

static bool is_volume(const struct settings_mount *mount)
{
    return strcmp(mount->type, "volume") == 0;
}

int volumes_plan(struct engine *engine, struct settings *settings, struct error *err)
{
    for (size_t i = 0; i < settings->mounts.count; i++) {
        struct settings_mount *mount = &settings->mounts.items[i];
        int r;

        if (!is_volume(mount))
            continue;
        r = text_check_name("volume name", mount->source, err);
        if (r < 0)
            return r;
        free(mount->volume_path);
        mount->volume_path = xasprintf("%s/volumes/%s/_data", engine->data_path, mount->source);
    }
    return 0;
}

static bool is_empty_directory(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    bool is_empty = true;

    if (dir == NULL)
        return false;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            is_empty = false;
    closedir(dir);
    return is_empty;
}

/* What a copied root has below a volume is the image's: the volume hides it from the container. */
static int open_image_root(struct engine *engine, const struct record *record,
                           struct fuse_root *ret_served, int *ret_fd, struct error *err)
{
    auto_free char *path = xasprintf("containers/%s/upper", record->id);

    if (record->is_served && record->layers.count > 1)
        return fuse_root_open_image(&record->layers, ret_served, ret_fd, err);
    if (!record->is_copied)
        return image_root_open(&record->layers, ret_fd, err);
    return path_open_beneath(engine->data_fd, path, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

/* Nothing at that place in the image, or no directory: the volume stays empty. */
static int fill(struct engine *engine, int data_fd, const struct record *record,
                const struct settings_mount *mount, struct error *err)
{
    AUTO_CLEAR(fuse_root) struct fuse_root served = FUSE_ROOT_NONE;
    auto_close int root_fd = -1;
    auto_close int from_fd = -1;
    int r;

    r = open_image_root(engine, record, &served, &root_fd, err);
    if (r < 0)
        return r;
    r = path_open_in_root(root_fd, mount->target, O_RDONLY | O_DIRECTORY, 0, &from_fd, NULL);
    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r < 0)
        return error_set(err, -r, "open '%s' in the image: %s", mount->target, strerror(-r));
    return tree_copy(from_fd, data_fd, err);
}

/* Both the folder and, when a name is taken over from an earlier crash, its _data. */
static int open_existing(struct engine *engine, const struct settings_mount *mount, int *ret_fd)
{
    char path[VOLUME_PATH_MAX];

    (void)snprintf(path, sizeof(path), "volumes/%s/_data", mount->source);
    *ret_fd = openat(engine->data_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? -errno : 0;
}

/* Labels that are kept for long, so they are on the disk before the volume is there. */
static int write_labels(const struct staging *staging, const struct string_map *labels,
                        struct error *err)
{
    const struct volume_view view = { .labels = *labels };
    auto_free char *text = encode_text(&volume_record_object, &view, ENCODE_COMPACT);

    if (strlen(text) > RECORD_BYTES_MAX)
        return error_set(err, E2BIG, "its labels take more than %u bytes", RECORD_BYTES_MAX);
    return file_replace(staging->fd, RECORD_FILE_PATH, text, strlen(text), 0600, FILE_SYNC_DATA,
                        err);
}

int volume_stage(const struct staging *staging, const struct string_map *labels, int *ret_data_fd,
                 struct error *err)
{
    int r = 0;

    if (mkdirat(staging->fd, "volume", 0701) < 0 || mkdirat(staging->fd, "volume/_data", 0755) < 0)
        return error_errno(err, "make a directory in staging");
    if (labels->count > 0)
        r = write_labels(staging, labels, err);
    if (r < 0)
        return r;
    *ret_data_fd = openat(staging->fd, "volume/_data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_data_fd < 0 ? error_errno(err, "open a directory in staging") : 0;
}

int volume_publish(struct engine *engine, const struct staging *staging, const char *name,
                   struct error *err)
{
    char path[VOLUME_PATH_MAX];

    (void)snprintf(path, sizeof(path), "volumes/%s", name);
    if (renameat2(staging->fd, "volume", engine->data_fd, path, RENAME_NOREPLACE) == 0)
        return 0;
    return errno == EEXIST ? -EEXIST : error_errno(err, "make it visible");
}

/* -EEXIST: there is one meanwhile (no message). */
static int create(struct engine *engine, const struct record *record,
                  const struct settings_mount *mount, struct error *err)
{
    AUTO(staging) struct staging *staging = NULL;
    auto_close int data_fd = -1;
    int r;

    r = staging_create(engine->data_fd, &staging, err);
    if (r == 0)
        r = volume_stage(staging, &mount->labels, &data_fd, err);
    if (r == 0 && !mount->is_nocopy)
        r = fill(engine, data_fd, record, mount, err);
    return r < 0 ? r : volume_publish(engine, staging, mount->source, err);
}

/* Two containers that start at once would fill it both. */
static int fill_existing(struct engine *engine, int data_fd, const struct record *record,
                         const struct settings_mount *mount, struct error *err)
{
    auto_close int lock_fd = -1;
    int r;

    r = file_lock(engine->data_fd, "locks/volumes", true, UINT32_MAX, &lock_fd, err);
    if (r < 0 || !is_empty_directory(data_fd))
        return r;
    return fill(engine, data_fd, record, mount, err);
}

static int ensure(struct engine *engine, const struct record *record,
                  const struct settings_mount *mount, struct error *err)
{
    auto_close int data_fd = -1;
    int r;

    r = open_existing(engine, mount, &data_fd);
    if (r == -ENOENT) {
        r = create(engine, record, mount, err);
        if (r != -EEXIST)
            return r;
        /* Made just now, by another container, or empty by `volume create`: share that one. */
        r = open_existing(engine, mount, &data_fd);
    }
    if (r < 0)
        return error_set(err, -r, "open its directory: %s", strerror(-r));
    if (!mount->is_nocopy && is_empty_directory(data_fd))
        return fill_existing(engine, data_fd, record, mount, err);
    return 0;
}

int volumes_ensure(struct engine *engine, const struct record *record, struct error *err)
{
    for (size_t i = 0; i < record->settings.mounts.count; i++) {
        const struct settings_mount *mount = &record->settings.mounts.items[i];
        int r;

        if (!is_volume(mount))
            continue;
        r = ensure(engine, record, mount, err);
        if (r < 0)
            return error_prefix(err, r, "volume '%s'", mount->source);
    }
    return 0;
}

static bool uses_volume(const struct record *record, const char *name)
{
    for (size_t i = 0; i < record->settings.mounts.count; i++)
        if (is_volume(&record->settings.mounts.items[i]) &&
            text_equal(record->settings.mounts.items[i].source, name))
            return true;
    return false;
}

int volumes_lock(struct engine *engine, bool is_exclusive, int *ret_fd, struct error *err)
{
    int r = 0;

    if (mkdirat(engine->data_fd, "locks", 0700) < 0 && errno != EEXIST)
        r = error_errno(err, "make the directory 'locks'");
    if (r == 0)
        r = file_lock(engine->data_fd, "locks/volume-users", is_exclusive, UINT32_MAX, ret_fd, err);
    return r < 0 ? error_prefix(err, r, "lock the volumes") : 0;
}

bool volumes_are_used(const struct record *record)
{
    for (size_t i = 0; i < record->settings.mounts.count; i++)
        if (is_volume(&record->settings.mounts.items[i]))
            return true;
    return false;
}

bool volume_name_is_anonymous(const char *name)
{
    return strlen(name) == ANONYMOUS_LENGTH && strspn(name, "0123456789abcdef") == ANONYMOUS_LENGTH;
}

char *volume_name_generate(void)
{
    return text_random_hex(ANONYMOUS_LENGTH);
}

int volumes_list(struct engine *engine, struct strings *ret_names, struct error *err)
{
    int fd = openat(engine->data_fd, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (dir == NULL)
        return error_errno(err, "open the volumes' directory");
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        if (entry->d_name[0] != '.')
            strings_add(ret_names, entry->d_name);
    closedir(dir);
    strings_sort(ret_names);
    return 0;
}

typedef void (*note_record)(const struct record *record, void *data);

/* @but: a container that does not count; NULL. @ret_unread: short ids of those with a record that
 * cannot be read, which may use any volume. */
static int visit_records(struct engine *engine, const char *but, note_record note, void *data,
                         struct strings *ret_unread, struct error *err)
{
    AUTO_CLEAR(strings) struct strings ids = { 0 };
    int r;

    r = engine_container_ids(engine, &ids, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ids.count; i++) {
        AUTO(record) struct record *record = NULL;

        if (text_equal(ids.items[i], but))
            continue;
        r = record_read(engine, ids.items[i], &record, NULL);
        if (r == 0)
            note(record, data);
        else if (r != -ENOENT) /* -ENOENT: being removed */
            strings_addf(ret_unread, "%.12s", ids.items[i]);
    }
    return 0;
}

struct volume_users {
    const char *volume; /* borrowed */
    struct strings *names;
};

static void note_user(const struct record *record, void *data)
{
    const struct volume_users *users = data;

    if (uses_volume(record, users->volume))
        strings_add(users->names, record->name);
}

static int list_users(struct engine *engine, const char *but, const char *name,
                      struct strings *ret_users, struct error *err)
{
    struct volume_users users = { .volume = name, .names = ret_users };

    return visit_records(engine, but, note_user, &users, ret_users, err);
}

int volume_list_users(struct engine *engine, const char *name, struct strings *ret_users,
                      struct error *err)
{
    return list_users(engine, NULL, name, ret_users, err);
}

static void note_used(const struct record *record, void *data)
{
    for (size_t i = 0; i < record->settings.mounts.count; i++)
        if (is_volume(&record->settings.mounts.items[i]))
            strings_add(data, record->settings.mounts.items[i].source);
}

int volumes_list_used(struct engine *engine, struct strings *ret_names, struct strings *ret_unread,
                      struct error *err)
{
    return visit_records(engine, NULL, note_used, ret_names, ret_unread, err);
}

static int remove_unused(struct engine *engine, const char *own_id, const char *name,
                         struct error *err)
{
    auto_free char *path = path_join("volumes", name);
    AUTO_CLEAR(strings) struct strings users = { 0 };
    int r;

    r = list_users(engine, own_id, name, &users, err);
    if (r < 0 || users.count > 0)
        return r;
    return staging_discard(engine->data_fd, engine->data_fd, path, err);
}

int volumes_remove_anonymous(struct engine *engine, const struct record *record, struct error *err)
{
    auto_close int lock_fd = -1;
    int r = 0;

    for (size_t i = 0; i < record->settings.mounts.count; i++) {
        const struct settings_mount *mount = &record->settings.mounts.items[i];

        if (!is_volume(mount) || !mount->is_anonymous)
            continue;
        if (lock_fd < 0)
            r = volumes_lock(engine, true, &lock_fd, err);
        if (r == 0)
            r = remove_unused(engine, record->id, mount->source, err);
        if (r < 0)
            return error_prefix(err, r, "volume '%s'", mount->source);
    }
    return 0;
}

static void add_mount(struct settings_mounts *mounts, const struct settings_mount *from,
                      bool is_readonly)
{
    struct settings_mount *mount;

    for (size_t i = 0; i < mounts->count; i++)
        if (text_equal(mounts->items[i].target, from->target))
            return; /* the container's own wins */
    mounts->items = xrealloc(mounts->items, mounts->count + 1, sizeof(*mounts->items));
    mount = &mounts->items[mounts->count++];
    *mount = (struct settings_mount){
        .type = xstrdup(from->type),
        .source = xstrdup(from->source),
        .target = xstrdup(from->target),
        .is_readonly = from->is_readonly || is_readonly,
        .is_nocopy = true,
        .propagation = xstrdup(from->propagation),
        .is_anonymous = from->is_anonymous,
    };
    strings_add_all(&mount->options, &from->options);
}

int volumes_add_from(struct engine *engine, struct settings *settings, struct error *err)
{
    for (size_t i = 0; i < settings->volumes_from.count; i++) {
        const char *text = settings->volumes_from.items[i];
        const char *colon = strchr(text, ':');
        AUTO(record) struct record *record = NULL;
        auto_free char *name = NULL;
        auto_free char *id = NULL;
        int r;

        if (colon != NULL && strcmp(colon, ":ro") != 0 && strcmp(colon, ":rw") != 0)
            return error_set(err, EINVAL, "--volumes-from '%s': give NAME, NAME:ro or NAME:rw",
                             text);
        name = colon == NULL ? xstrdup(text) : xstrndup(text, (size_t)(colon - text));
        r = engine_find(engine, name, &id, err);
        if (r < 0)
            return error_prefix(err, r, "--volumes-from");
        r = record_read(engine, id, &record, err);
        if (r < 0)
            return error_prefix(err, r, "--volumes-from '%s'", name);
        for (size_t k = 0; k < record->settings.mounts.count; k++)
            if (strcmp(record->settings.mounts.items[k].type, "tmpfs") != 0)
                add_mount(&settings->mounts, &record->settings.mounts.items[k],
                          colon != NULL && strcmp(colon, ":ro") == 0);
    }
    return 0;
}
