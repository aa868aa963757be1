#include "engine/query.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/bundle.h"
#include "engine/container_names.h"
#include "engine/engine_private.h"
#include "engine/published_port.h"
#include "engine/restart_policy.h"

#define SIZE_DEPTH_MAX 256

/* --- condition ---------------------------------------------------------------------------------
 */

static bool has_ended(const struct life *life)
{
    return life->finished > life->started ||
           (life->finished == life->started && life->finished_ns >= life->started_ns);
}

const char *container_condition_name(bool is_claimed, int runtime_status, const struct life *life,
                                     const struct settings *settings)
{
    if (!is_claimed)
        return life->started == 0 ? "created" : "exited";
    switch (runtime_status) {
    case CONTAINER_PAUSED:
        return "paused";
    case CONTAINER_RUNNING:
        return "running";
    default:
        break;
    }
    /* The monitor is between two runs, or at the beginning or the end of one; or another command
     * has the claim for a moment. */
    if (life->started == 0)
        return "created";
    if (!has_ended(life))
        return "running";
    return restart_is_due(settings->restart, settings->restart_max, life->exit_status,
                          life->restart_count, life->was_stopped)
               ? "restarting"
               : "exited";
}

/* The program runs before its monitor can record that. */
static void begin_life(struct life *life, const struct timespec *made)
{
    uint32_t restart_count = life->restart_count;

    life_clear(life);
    *life = (struct life){ .started = made->tv_sec,
                           .started_ns = (uint32_t)made->tv_nsec,
                           .restart_count = restart_count };
}

/* The runtime's status; -1: it does not know the container. */
static int look_at_run(struct engine *engine, const char *id, struct life *life, pid_t *ret_pid)
{
    AUTO(container) struct container *container = NULL;
    enum container_status status;

    /* It may end at any moment: what cannot be opened is not there. */
    if (container_open(engine->runtime, id, &container, NULL) < 0 ||
        container_status(container, &status, NULL) < 0)
        return -1;
    *ret_pid = container_pid(container);
    if ((status == CONTAINER_RUNNING || status == CONTAINER_PAUSED) &&
        (life->started == 0 || has_ended(life)))
        begin_life(life, container_created_at(container));
    return (int)status;
}

/* 1: claimed. A monitor records the end before it lets go of the claim, so an end that is not
 * recorded after that never will be; unless the container was started again since. */
static int look_at_claim(struct engine *engine, const char *id, struct life *life,
                         struct error *err)
{
    bool is_reserved = engine->reserved_id != NULL && strcmp(engine->reserved_id, id) == 0;
    uint32_t started_ns;
    int64_t started;
    int held, r;

    r = life_read(engine, id, life, err);
    if (r < 0)
        return r;
    held = is_reserved ? 1 : claim_is_held(engine, id, err);
    if (held != 0 || life->started == 0 || has_ended(life))
        return held;
    started = life->started;
    started_ns = life->started_ns;
    life_clear(life);
    r = life_read(engine, id, life, err);
    return r < 0 ? r : life->started != started || life->started_ns != started_ns;
}

int container_condition(struct engine *engine, const struct record *record, struct life *ret_life,
                        struct container_condition *ret_condition, struct error *err)
{
    AUTO_CLEAR(life) struct life life = { 0 };
    struct container_condition condition = { 0 };
    int runtime_status = -1;
    int held = look_at_claim(engine, record->id, &life, err);
    int r;

    if (held < 0)
        return held;
    if (held > 0) {
        r = engine_need_runtime(engine, err);
        if (r < 0)
            return r;
        runtime_status = look_at_run(engine, record->id, &life, &condition.pid);
    }
    condition.status = container_condition_name(held > 0, runtime_status, &life, &record->settings);
    condition.has_died = held == 0 && life.started != 0 && !has_ended(&life);
    *ret_condition = condition;
    *ret_life = life;
    life = (struct life){ 0 };
    return 0;
}

/* --- sizes -------------------------------------------------------------------------------------
 */

static void add_size(int dir_fd, unsigned depth, uint64_t *bytes)
{
    DIR *dir = fdopendir(dir_fd);

    if (dir == NULL) {
        close(dir_fd);
        return;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat status;
        int fd;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISREG(status.st_mode))
            *bytes += (uint64_t)status.st_size;
        if (!S_ISDIR(status.st_mode) || depth == SIZE_DEPTH_MAX)
            continue;
        fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0)
            add_size(fd, depth + 1, bytes);
    }
    closedir(dir);
}

int container_writable_size(struct engine *engine, const char *id, uint64_t *ret_bytes,
                            struct error *err)
{
    auto_close int dir_fd = -1;
    uint64_t bytes = 0;
    int fd;
    int r;

    r = container_directory(engine, id, &dir_fd, err);
    if (r < 0)
        return r;
    fd = openat(dir_fd, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        add_size(fd, 0, &bytes);
    *ret_bytes = bytes;
    return 0;
}

static uint64_t image_bytes(struct engine *engine, const struct record *record)
{
    AUTO(image) struct image *image = NULL;
    struct digest digest;

    /* An image that was removed by force has no size any more. */
    if (engine_need_images(engine, NULL) < 0 ||
        digest_parse(record->image_manifest, &digest, NULL) < 0 ||
        image_open(engine->images, &digest, &image, NULL) < 0)
        return 0;
    return image->size_bytes;
}

/* --- views -------------------------------------------------------------------------------------
 */

static void add_mounts(const struct record *record, struct container_view *view)
{
    for (size_t i = 0; i < record->settings.mounts.count; i++) {
        const struct settings_mount *mount = &record->settings.mounts.items[i];

        if (strcmp(mount->type, "tmpfs") == 0)
            continue;
        strings_add(&view->mounts, mount->source);
        if (strcmp(mount->type, "volume") == 0)
            strings_add(&view->volumes, mount->source);
    }
}

static char *show_ports(const struct settings *settings, bool is_running)
{
    AUTO_CLEAR(strings) struct strings shown = { 0 };

    for (size_t i = 0; is_running && i < settings->published.count; i++) {
        struct published_port port;

        if (published_port_parse(settings->published.items[i], &port, NULL) == 0)
            strings_take(&shown, published_port_show(&port));
    }
    return strings_join(&shown, ", ");
}

static void fill_view(const struct record *record, const struct life *life,
                      const struct container_condition *condition, struct container_view *view)
{
    view->id = xstrdup(record->id);
    view->name = xstrdup(record->name);
    view->image = xstrdup(record->image);
    view->image_id = xstrdup(record->image_id);
    view->status = xstrdup(condition->status);
    view->command = strings_join(&record->args, " ");
    view->created = record->created;
    view->started = life->started;
    view->finished = condition->has_died ? life->started : life->finished;
    view->exit_status = condition->has_died ? 128 + SIGKILL : life->exit_status;
    view->was_oom_killed = life->was_oom_killed;
    view->error = xstrdup(life->error == NULL ? "" : life->error);
    view->pid = condition->pid;
    view->restart_count = life->restart_count;
    for (size_t i = 0; i < record->labels.count; i++)
        string_map_set(&view->labels, record->labels.items[i].key, record->labels.items[i].value);
    view->network =
        xstrdup(text_is_empty(record->settings.network) ? "none" : record->settings.network);
    view->ports = show_ports(&record->settings, view->pid != 0);
    view->isolation =
        xstrdup(text_is_empty(record->settings.isolation) ? "none" : record->settings.isolation);
    add_mounts(record, view);
}

static int make_view(struct engine *engine, const char *id, bool with_sizes,
                     struct container_view *ret_view, struct error *err)
{
    AUTO(record) struct record *record = NULL;
    AUTO_CLEAR(life) struct life life = { 0 };
    struct container_condition condition;
    struct container_view view = { 0 };
    int r;

    r = record_read(engine, id, &record, err);
    if (r < 0)
        return r;
    r = container_condition(engine, record, &life, &condition, err);
    if (r < 0)
        return r;
    if (with_sizes) {
        r = container_writable_size(engine, id, &view.size_rw_bytes, err);
        if (r < 0)
            return r;
        view.size_root_bytes = view.size_rw_bytes + image_bytes(engine, record);
    }
    fill_view(record, &life, &condition, &view);
    *ret_view = view;
    return 0;
}

int engine_view(struct engine *engine, const char *id, struct container_view *ret_view,
                struct error *err)
{
    return make_view(engine, id, false, ret_view, err);
}

static int compare_views(const void *left, const void *right)
{
    const struct container_view *a = left;
    const struct container_view *b = right;

    if (a->created != b->created)
        return a->created < b->created ? 1 : -1;
    return strcmp(a->id, b->id);
}

int engine_list(struct engine *engine, bool with_sizes, struct container_views *ret_views,
                struct error *err)
{
    AUTO_CLEAR(strings) struct strings ids = { 0 };
    struct container_views views = { 0 };
    int r;

    r = engine_container_ids(engine, &ids, err);
    if (r < 0)
        return r;
    views.items = xcalloc(ids.count + 1, sizeof(*views.items));
    for (size_t i = 0; i < ids.count; i++) {
        struct error local = { 0 };

        r = make_view(engine, ids.items[i], with_sizes, &views.items[views.count], &local);
        if (r == 0)
            views.count++;
        else if (r != -ENOENT) /* removed meanwhile; a damaged one must not hide the others */
            log_warning("%s", local.message);
    }
    qsort(views.items, views.count, sizeof(*views.items), compare_views);
    *ret_views = views;
    return 0;
}

void container_view_clear(struct container_view *view)
{
    free(view->id);
    free(view->name);
    free(view->image);
    free(view->image_id);
    free(view->status);
    free(view->command);
    free(view->error);
    free(view->network);
    free(view->ports);
    free(view->isolation);
    string_map_clear(&view->labels);
    strings_clear(&view->mounts);
    strings_clear(&view->volumes);
    *view = (struct container_view){ 0 };
}

void container_views_clear(struct container_views *views)
{
    for (size_t i = 0; i < views->count; i++)
        container_view_clear(&views->items[i]);
    free(views->items);
    *views = (struct container_views){ 0 };
}

/* --- finding -----------------------------------------------------------------------------------
 */

/* In docker's words, as scripts look for them. A container that came since the search is no other.
 */
static int not_found(struct engine *engine, const char *text, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    int fd = openat(engine->data_fd, "container-names", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const char *near = NULL;

    if (dir != NULL) {
        for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
            if (entry->d_name[0] != '.' && strcmp(entry->d_name, text) != 0)
                strings_add(&names, entry->d_name);
        closedir(dir);
    }
    if (names.count > 0)
        near = text_nearest((const char *const *)names.items, text);
    if (near != NULL)
        return error_set(err, ENOENT, "No such container: %s; did you mean '%s'?", text, near);
    return error_set(err, ENOENT, "No such container: %s", text);
}

static int find_prefix(struct engine *engine, const char *text, char **ret_id, struct error *err)
{
    AUTO_CLEAR(strings) struct strings ids = { 0 };
    const char *found = NULL;
    int r;

    if (text[0] == '\0' || text[strspn(text, "0123456789abcdef")] != '\0')
        return not_found(engine, text, err);
    r = engine_container_ids(engine, &ids, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ids.count; i++) {
        if (!text_starts(ids.items[i], text))
            continue;
        if (found != NULL)
            return error_set(err, EINVAL,
                             "'%s' is the beginning of several container ids: give "
                             "more of it",
                             text);
        found = ids.items[i];
    }
    if (found == NULL)
        return not_found(engine, text, err);
    *ret_id = xstrdup(found);
    return 0;
}

int engine_find(struct engine *engine, const char *text, char **ret_id, struct error *err)
{
    auto_free char *id = NULL;

    assert(ret_id != NULL);

    if (text[0] == '/') /* names as inspect shows them */
        text++;
    if (container_id_is_full(text) && engine_has_container(engine, text)) {
        *ret_id = xstrdup(text);
        return 0;
    }
    if (container_name_read(engine, text, &id, NULL) == 0 && engine_has_container(engine, id)) {
        *ret_id = take_ptr(&id);
        return 0;
    }
    return find_prefix(engine, text, ret_id, err);
}

int engine_ports(struct engine *engine, const char *id, const char *port, struct strings *ret_lines,
                 struct error *err)
{
    AUTO(record) struct record *record = NULL;
    AUTO_CLEAR(container_view) struct container_view view = { 0 };
    const struct strings none = { 0 };
    int r;

    r = record_read(engine, id, &record, err);
    if (r == 0)
        r = engine_view(engine, id, &view, err);
    if (r == 0)
        r = published_ports_list(view.pid != 0 ? &record->settings.published : &none, port,
                                 ret_lines, err);
    return r < 0 ? error_prefix(err, r, "container %.12s", id) : 0;
}

/* --- details -----------------------------------------------------------------------------------
 */

int engine_settings(struct engine *engine, const char *id, struct settings **ret_settings,
                    struct error *err)
{
    AUTO(record) struct record *record = NULL;
    struct settings *settings;
    int r;

    r = record_read(engine, id, &record, err);
    if (r < 0)
        return r;
    settings = xmemdup(&record->settings, sizeof(*settings));
    record->settings = (struct settings){ 0 };
    *ret_settings = settings;
    return 0;
}

int engine_inspect(struct engine *engine, const char *id, bool with_size, char **ret_json,
                   struct error *err)
{
    AUTO(record) struct record *record = NULL;
    AUTO_CLEAR(life) struct life life = { 0 };
    AUTO(container) struct container *container = NULL;
    const struct string_map *machine = NULL;
    struct container_condition condition;
    uint64_t size_rw = 0, size_root = 0;
    int r;

    r = record_read(engine, id, &record, err);
    if (r < 0)
        return r;
    r = container_condition(engine, record, &life, &condition, err);
    if (r < 0)
        return r;
    if (with_size) {
        r = container_writable_size(engine, id, &size_rw, err);
        if (r < 0)
            return r;
        size_root = size_rw + image_bytes(engine, record);
    }
    if (bundle_is_vm(&record->settings) && engine_need_runtime(engine, NULL) == 0 &&
        container_open(engine->runtime, id, &container, NULL) == 0)
        machine = container_annotations(container);
    *ret_json = inspect_format(engine, record, &life, &condition, machine,
                               with_size ? &size_rw : NULL, with_size ? &size_root : NULL);
    return 0;
}

static int count_processes(struct container *container, struct cgroup_usage *usage,
                           struct error *err)
{
    auto_free pid_t *pids = NULL;
    size_t count;
    int r;

    r = container_pids(container, &pids, &count, err);
    if (r < 0)
        return r;
    *usage = (struct cgroup_usage){ .has_pids = true, .pids = count, .pids_limit = UINT64_MAX };
    return 0;
}

int engine_usage(struct engine *engine, const char *id, struct cgroup_usage *ret_usage,
                 struct error *err)
{
    AUTO(container) struct container *container = NULL;
    struct cgroup *cgroup;
    int r;

    r = engine_open_running(engine, id, &container, err);
    if (r < 0)
        return r;
    cgroup = container_cgroup(container);
    return cgroup != NULL ? cgroup_usage(cgroup, ret_usage, err)
                          : count_processes(container, ret_usage, err);
}

int engine_details(struct engine *engine, const char *id, struct cgroup_details *ret_details,
                   struct error *err)
{
    AUTO(container) struct container *container = NULL;
    struct cgroup *cgroup;
    int r;

    r = engine_open_running(engine, id, &container, err);
    if (r < 0)
        return r;
    cgroup = container_cgroup(container);
    return cgroup != NULL ? cgroup_details(cgroup, ret_details, err)
                          : count_processes(container, &ret_details->usage, err);
}

int engine_inner_processes(struct engine *engine, const char *id, char **ret_lines,
                           struct error *err)
{
    AUTO(container) struct container *container = NULL;
    int r;

    assert(ret_lines != NULL);

    r = engine_open_running(engine, id, &container, err);
    return r < 0 ? r : container_inner_processes(container, ret_lines, err);
}

int engine_pids(struct engine *engine, const char *id, pid_t **ret_pids, size_t *ret_count,
                struct error *err)
{
    AUTO(container) struct container *container = NULL;
    enum container_status status;
    int r;

    r = engine_open_with_status(engine, id, &container, &status, err);
    if (r < 0)
        return r;
    /* Before its start the first process is still berth's own. */
    if (status == CONTAINER_CREATING || status == CONTAINER_CREATED || status == CONTAINER_STOPPED)
        return error_set(err, ESRCH, "container %.12s is not running", id);
    return container_pids(container, ret_pids, ret_count, err);
}
