#include "engine/group.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/engine_private.h"
#include "engine/record.h"
#include "engine/settings_limits.h"

#define GROUPS_FOLDER "cgroups"
#define GROUPS_LOCK   GROUPS_FOLDER "/.lock"

void group_free(struct group *group)
{
    if (group == NULL)
        return;
    object_clear(&group_object, group);
    free(group);
}

/* --- on disk ---------------------------------------------------------------------------------- */

int groups_lock(struct engine *engine, bool is_exclusive, int *ret_fd, struct error *err)
{
    if (mkdirat(engine->data_fd, GROUPS_FOLDER, 0700) < 0 && errno != EEXIST)
        return error_errno(err, "make directory '%s/" GROUPS_FOLDER "'", engine->data_path);
    return file_lock(engine->data_fd, GROUPS_LOCK, is_exclusive, UINT32_MAX, ret_fd, err);
}

static char *group_file(const char *name)
{
    auto_free char *file = group_name_encode(name);

    return xasprintf(GROUPS_FOLDER "/%s", file);
}

int group_read(struct engine *engine, const char *name, struct group **ret_group, struct error *err)
{
    AUTO(group) struct group *group = NULL;
    auto_free char *file = group_file(name);
    auto_free char *text = NULL;
    size_t length;
    int r;

    r = file_read(engine->data_fd, file, RECORD_BYTES_MAX, &text, &length, err);
    if (r == -ENOENT)
        return error_set(err, ENOENT, "there is no cgroup '%s': `berth cgroup create %s` makes it",
                         name, name);
    if (r < 0)
        return r;
    group = xcalloc(1, sizeof(*group));
    r = decode_text(&group_object, text, length, group, file, err);
    if (r < 0)
        return error_prefix(err, r, "cgroup '%s'", name);
    if (!text_equal(group->name, name))
        return error_set(err, EBADMSG, "cgroup '%s': its record names another", name);
    *ret_group = take_ptr(&group);
    return 0;
}

int group_write(struct engine *engine, const struct group *group, struct error *err)
{
    auto_free char *file = group_name_encode(group->name);
    auto_free char *text = encode_text(&group_object, group, ENCODE_COMPACT);
    auto_close int dir_fd =
        openat(engine->data_fd, GROUPS_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir_fd < 0)
        return error_errno(err, "open '%s/" GROUPS_FOLDER "'", engine->data_path);
    return file_replace(dir_fd, file, text, strlen(text), 0600, FILE_SYNC_DATA, err);
}

/* '/' stands before all that a name may have, so that "a/b" follows "a", and "a-b" both. */
static int compare_names(const void *left, const void *right)
{
    const unsigned char *a = *(const unsigned char *const *)left;
    const unsigned char *b = *(const unsigned char *const *)right;

    for (; *a != '\0' && *a == *b; a++, b++)
        continue;
    return (*a == '/' ? 1 : *a) - (*b == '/' ? 1 : *b);
}

int groups_list(struct engine *engine, struct strings *ret_names, struct error *err)
{
    int fd = openat(engine->data_fd, GROUPS_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL)
        return errno == ENOENT ? 0 : error_errno(err, "list the cgroups");
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char *name = group_name_decode(entry->d_name);

        if (name != NULL)
            strings_take(ret_names, name);
    }
    closedir(dir);
    if (ret_names->count > 0)
        qsort(ret_names->items, ret_names->count, sizeof(*ret_names->items), compare_names);
    return 0;
}

/* --- in the kernel ---------------------------------------------------------------------------- */

static int make_one(struct engine *engine, const char *name, struct cgroup **ret_cgroup,
                    struct error *err)
{
    AUTO(group) struct group *group = NULL;
    AUTO(cgroup) struct cgroup *cgroup = NULL;
    AUTO_CLEAR(limits) struct cgroup_resources resources = { 0 };
    auto_free char *path = group_name_path(name);
    int r;

    r = group_read(engine, name, &group, err);
    if (r == 0)
        r = settings_limits_plan(engine, &group->settings, &resources, NULL, err);
    if (r == 0)
        r = engine_need_runtime(engine, err);
    if (r == 0)
        r = cgroup_adopt(runtime_cgroups(engine->runtime), path, true, &cgroup, err);
    if (r == 0)
        r = cgroup_apply(cgroup, &resources, err);
    if (r < 0)
        return r;
    *ret_cgroup = take_ptr(&cgroup);
    return 0;
}

/* Limits are written again also where the cgroup is there: it may have been left half made. */
int group_make(struct engine *engine, const char *name, struct cgroup **ret_cgroup,
               struct error *err)
{
    for (const char *slash = strchrnul(name, '/');; slash = strchrnul(slash + 1, '/')) {
        auto_free char *part = xstrndup(name, (size_t)(slash - name));
        AUTO(cgroup) struct cgroup *cgroup = NULL;
        int r = make_one(engine, part, &cgroup, err);

        if (r < 0)
            return error_prefix(err, r, "make cgroup '%s'", part);
        if (*slash == '\0') {
            *ret_cgroup = take_ptr(&cgroup);
            return 0;
        }
    }
}

int group_prepare(struct engine *engine, const char *name, struct error *err)
{
    AUTO(cgroup) struct cgroup *cgroup = NULL;
    auto_close int lock_fd = -1;
    int r;

    r = groups_lock(engine, true, &lock_fd, err);
    return r < 0 ? r : group_make(engine, name, &cgroup, err);
}

int group_containers(struct engine *engine, const char *name, bool is_deep,
                     struct strings *ret_names, struct error *err)
{
    auto_free char *prefix = xasprintf(BERTH_CGROUP "/%s/", name);
    AUTO_CLEAR(strings) struct strings ids = { 0 };
    int r;

    r = engine_container_ids(engine, &ids, err);
    for (size_t i = 0; r == 0 && i < ids.count; i++) {
        AUTO(record) struct record *record = NULL;

        /* One that cannot be read may be removed just now; its cgroup, if any, is still in the way.
         */
        if (record_read(engine, ids.items[i], &record, NULL) == 0 &&
            !text_is_empty(record->cgroup_path) && text_starts(record->cgroup_path, prefix) &&
            (is_deep || strchr(record->cgroup_path + strlen(prefix), '/') == NULL))
            strings_add(ret_names, record->name);
    }
    strings_sort(ret_names);
    return r;
}
