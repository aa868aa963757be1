#include "unionfs/layer_store.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/staging.h"
#include "unionfs/unpack_report.h"

/* DATA/layers as it lies on disk: looking up and removing. Making layers is layer.c, which needs
 * much more; starting a container needs only this. */

#define META_BYTES_MAX UNPACK_REPORT_BYTES_MAX

int layers_open(int data_fd, int *ret_fd, struct error *err)
{
    if (mkdirat(data_fd, LAYERS, 0700) < 0 && errno != EEXIST)
        return error_errno(err, "make the directory '%s'", LAYERS);
    return path_open_beneath(data_fd, LAYERS, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

bool layer_exists(int data_fd, const char *key)
{
    auto_free char *path = xasprintf(LAYERS "/%s/fs", key);

    return faccessat(data_fd, path, F_OK, 0) == 0;
}

int layer_store_list_names(int dir_fd, const char *name, struct strings *ret_names,
                           struct error *err)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory;
    struct dirent *entry;

    if (fd < 0 && errno == ENOENT)
        return 0;
    directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL)
        return error_errno(err, "read the directory '%s'", name);
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.')
            strings_add(ret_names, entry->d_name);
    }
    (void)closedir(directory); /* only read */
    strings_sort(ret_names);
    return 0;
}

static int read_meta(int data_fd, const char *key, struct unpack_report *report, struct error *err)
{
    auto_free char *path = xasprintf(LAYERS "/%s/meta", key);
    auto_free char *json = NULL;
    size_t length;
    int r;

    r = file_read(data_fd, path, META_BYTES_MAX, &json, &length, err);
    if (r == 0)
        r = decode_text(&unpack_report_object, json, length, report, "meta", err);
    return r < 0 ? error_prefix(err, r, "layer %s", key) : 0;
}

static bool strings_are_equal(const struct strings *a, const struct strings *b)
{
    size_t count = b == NULL ? 0 : b->count;

    if (a->count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!text_equal(a->items[i], b->items[i]))
            return false;
    }
    return true;
}

/* Among the trees that were made of this layer for some place, the one for this place. */
static int find_placed(int data_fd, const struct digest *diff_id, const struct strings *below,
                       char **ret_key, struct error *err)
{
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    auto_free char *prefix = xasprintf("%s-", digest_hex(diff_id));
    int r;

    r = layer_list(data_fd, &keys, err);
    for (size_t i = 0; r == 0 && i < keys.count; i++) {
        struct unpack_report meta = { 0 };
        bool is_it;

        if (!text_starts(keys.items[i], prefix))
            continue;
        r = read_meta(data_fd, keys.items[i], &meta, err);
        is_it = r == 0 && strings_are_equal(&meta.below, below);
        object_clear(&unpack_report_object, &meta);
        if (is_it) {
            *ret_key = xstrdup(keys.items[i]);
            return 0;
        }
    }
    return r < 0 ? r : error_set(err, ENOENT, "layer %s is not unpacked", diff_id->text);
}

char *layer_key_from_path(const char *path)
{
    static const char suffix[] = "/fs";
    auto_free char *directory = NULL;
    const char *slash;

    if (!text_ends(path, suffix))
        return NULL;
    directory = xstrndup(path, strlen(path) - strlen(suffix));
    slash = strrchr(directory, '/');
    return xstrdup(slash == NULL ? directory : slash + 1);
}

int layer_find(int data_fd, const struct digest *diff_id, const struct strings *below,
               char **ret_key, struct error *err)
{
    assert(diff_id != NULL);
    assert(ret_key != NULL);

    if (!layer_exists(data_fd, digest_hex(diff_id)))
        return find_placed(data_fd, diff_id, below, ret_key, err);
    *ret_key = xstrdup(digest_hex(diff_id));
    return 0;
}

int layer_list(int data_fd, struct strings *ret_keys, struct error *err)
{
    assert(ret_keys != NULL);

    return layer_store_list_names(data_fd, LAYERS, ret_keys, err);
}

int layer_size(int data_fd, const char *key, uint64_t *ret_bytes, struct error *err)
{
    struct unpack_report meta = { 0 };
    int r;

    assert(ret_bytes != NULL);

    r = read_meta(data_fd, key, &meta, err);
    if (r < 0)
        return r;
    *ret_bytes = meta.bytes;
    object_clear(&unpack_report_object, &meta);
    return 0;
}

bool layer_has_no_links(int data_fd, const char *key)
{
    struct unpack_report meta = { 0 };
    bool has_none = read_meta(data_fd, key, &meta, NULL) == 0 && meta.has_no_links;

    object_clear(&unpack_report_object, &meta);
    return has_none;
}

int layer_usage(int data_fd, const char *key, struct disk_usage *ret_usage, struct error *err)
{
    auto_free char *path = xasprintf(LAYERS "/%s", key);
    auto_free char *fs_path = xasprintf("%s/fs", path);
    auto_free char *meta_path = xasprintf("%s/meta", path);
    struct unpack_report meta = { 0 };
    struct disk_usage usage = { 0 };
    int r;

    assert(ret_usage != NULL);

    if (read_meta(data_fd, key, &meta, NULL) == 0) {
        usage.bytes = meta.disk_bytes;
        usage.entries = meta.tree_entries;
        usage.file_bytes = meta.tree_bytes;
        object_clear(&unpack_report_object, &meta);
    }
    r = usage.entries > 0 ? 0 : disk_usage_add(data_fd, fs_path, &usage, err);
    if (r == 0)
        r = disk_usage_add(data_fd, meta_path, &usage, err);
    if (r == 0)
        *ret_usage = usage;
    return r;
}

static int check_count(const char *what, uint64_t found, uint64_t expected, struct error *err)
{
    if (found == expected)
        return 0;
    return error_set(err, EBADMSG, "has %llu %s, not %llu", (unsigned long long)found, what,
                     (unsigned long long)expected);
}

int layer_check(int data_fd, const char *key, struct error *err)
{
    auto_free char *path = xasprintf(LAYERS "/%s/fs", key);
    struct unpack_report meta = { 0 };
    struct disk_usage usage = { 0 };
    int r;

    r = read_meta(data_fd, key, &meta, err);
    if (r < 0)
        return r;
    r = disk_usage_add(data_fd, path, &usage, err);
    if (r == 0 && usage.entries == 0)
        r = error_set(err, EBADMSG, "its files are missing");
    if (r == 0 && meta.tree_entries > 0) /* else of a berth that did not count them */
        r = check_count("entries", usage.entries, meta.tree_entries, err);
    if (r == 0 && meta.tree_entries > 0)
        r = check_count("bytes in files", usage.file_bytes, meta.tree_bytes, err);
    if (r == 0 && meta.tree_entries > 0)
        r = check_count("whiteouts", usage.whiteouts, meta.tree_whiteouts, err);
    object_clear(&unpack_report_object, &meta);
    return r < 0 ? error_prefix(err, r, "layer %.12s", key) : 0;
}

int layer_delete(int data_fd, const char *key, struct error *err)
{
    auto_free char *mark = xasprintf(LAYERS "/" UNSYNCED "/%s", key);
    auto_close int layers_fd = -1;
    int r;

    r = layers_open(data_fd, &layers_fd, err);
    if (r == 0)
        r = staging_trash(data_fd, layers_fd, key, err);
    if (r < 0)
        return error_prefix(err, r, "remove layer %s", key);
    (void)unlinkat(data_fd, mark, 0); /* a mark without a layer means nothing */
    return 0;
}

int layers_sync(int data_fd, struct error *err)
{
    AUTO_CLEAR(strings) struct strings keys = { 0 };
    auto_close int marks_fd = -1;
    int r;

    /* Listed before the sync: what is renamed meanwhile belongs to another's sync. */
    r = layer_store_list_names(data_fd, LAYERS "/" UNSYNCED, &keys, err);
    if (r < 0)
        return r;
    if (syncfs(data_fd) < 0)
        return error_errno(err, "write layers to the disk");
    for (size_t i = 0; i < keys.count; i++) {
        auto_free char *name = xasprintf(LAYERS "/" UNSYNCED "/%s", keys.items[i]);

        (void)unlinkat(data_fd, name, 0); /* left behind, it costs one unpacking after a reboot */
    }
    if (keys.count == 0)
        return 0;
    /* A mark that came back with a crash could cost a layer that containers use by then. */
    marks_fd = openat(data_fd, LAYERS "/" UNSYNCED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (marks_fd < 0 || fsync(marks_fd) < 0)
        return error_errno(err, "write the list of layers to the disk");
    return 0;
}

int layers_lock(int data_fd, bool is_exclusive, uint32_t timeout_ms, int *ret_fd, struct error *err)
{
    if (mkdirat(data_fd, "locks", 0700) < 0 && errno != EEXIST)
        return error_errno(err, "make the directory 'locks'");
    return file_lock(data_fd, "locks/layers", is_exclusive, timeout_ms, ret_fd, err);
}
