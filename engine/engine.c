#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "engine/engine_private.h"
#include "engine/root_driver.h"

static const char *chosen_path(const char *given, const char *variable, const char *fallback)
{
    const char *value;

    if (!text_is_empty(given))
        return given;
    value = getenv(variable);
    return text_is_empty(value) ? fallback : value;
}

/* Opens a directory that exists already with one system call; makes it otherwise. */
static int open_directory(const char *path, mode_t mode, int *ret_fd, struct error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    return path_create_directory(path, mode, ret_fd, err);
}

static int make_folder(int dir_fd, const char *name, mode_t mode, struct error *err)
{
    if (mkdirat(dir_fd, name, mode) < 0 && errno != EEXIST)
        return error_errno(err, "make directory '%s'", name);
    return 0;
}

/* The run directory's folder is looked for first: where it is, everything was made before. */
static int open_folders(struct engine *engine, struct error *err)
{
    static const char *const folders[] = { "containers", "container-names", "volumes" };
    bool is_new = faccessat(engine->data_fd, "volumes", F_OK, 0) < 0; /* it is made last */
    int r;

    for (size_t i = 0; is_new && i < ARRAY_SIZE(folders); i++) {
        r = make_folder(engine->data_fd, folders[i], 0700, err);
        if (r < 0)
            return error_prefix(err, r, "data directory '%s'", engine->data_path);
    }
    engine->monitors_fd =
        openat(engine->run_fd, MONITORS_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (engine->monitors_fd >= 0)
        return is_new ? root_driver_probe(engine, err) : 0;
    r = make_folder(engine->run_fd, MONITORS_FOLDER, 0700, err);
    if (r < 0)
        return error_prefix(err, r, "run directory '%s'", engine->run_path);
    engine->monitors_fd =
        openat(engine->run_fd, MONITORS_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (engine->monitors_fd < 0)
        return error_errno(err, "open '%s/%s'", engine->run_path, MONITORS_FOLDER);
    return root_driver_probe(engine, err);
}

int engine_open(const char *data_path, const char *run_path, struct engine **ret_engine,
                struct error *err)
{
    AUTO(engine) struct engine *engine = NULL;
    int r;

    assert(ret_engine != NULL);

    engine = xcalloc(1, sizeof(*engine));
    engine->data_fd = engine->run_fd = engine->monitors_fd = engine->claim_fd = -1;
    /* Absolute and clean: the paths end up in bundles, which are read from other directories. */
    engine->data_path = path_clean(chosen_path(data_path, "BERTH_DATA", "/var/lib/berth"));
    engine->run_path = path_clean(chosen_path(run_path, "BERTH_RUN", "/run/berth"));
    if (engine->data_path[0] != '/' || engine->run_path[0] != '/')
        return error_set(err, EINVAL, "'%s' is not an absolute path",
                         engine->data_path[0] != '/' ? engine->data_path : engine->run_path);
    r = open_directory(engine->data_path, 0700, &engine->data_fd, err);
    if (r < 0)
        return error_prefix(err, r, "data directory '%s'", engine->data_path);
    r = open_directory(engine->run_path, 0710, &engine->run_fd, err);
    if (r < 0)
        return error_prefix(err, r, "run directory '%s'", engine->run_path);
    r = open_folders(engine, err);
    if (r < 0)
        return r;
    *ret_engine = take_ptr(&engine);
    return 0;
}

void engine_free(struct engine *engine)
{
    if (engine == NULL)
        return;
    engine_drop_reservation(engine);
    image_store_free(engine->images);
    runtime_free(engine->runtime);
    if (engine->monitors_fd >= 0)
        close(engine->monitors_fd);
    if (engine->run_fd >= 0)
        close(engine->run_fd);
    if (engine->data_fd >= 0)
        close(engine->data_fd);
    free(engine->data_path);
    free(engine->run_path);
    free(engine);
}

void engine_set_isolation(struct engine *engine, const struct isolation *isolation)
{
    engine->isolation = *isolation;
    engine->isolation.data_path = engine->data_path;
}

const struct isolation *engine_isolation(const struct engine *engine)
{
    return engine->isolation.name != NULL ? &engine->isolation : NULL;
}

const char *engine_data_path(const struct engine *engine)
{
    return engine->data_path;
}

const char *engine_run_path(const struct engine *engine)
{
    return engine->run_path;
}

int engine_data_fd(const struct engine *engine)
{
    return engine->data_fd;
}

int engine_need_images(struct engine *engine, struct error *err)
{
    if (engine->images != NULL)
        return 0;
    return image_store_open(engine->data_fd, &engine->images, err);
}

int engine_need_runtime(struct engine *engine, struct error *err)
{
    int r;

    if (engine->runtime != NULL)
        return 0;
    r = runtime_open(engine->run_path, &engine->runtime, err);
    if (r == 0 && engine->isolation.name != NULL)
        runtime_set_isolation(engine->runtime, &engine->isolation);
    if (r == 0 && rootless_session_is_on())
        runtime_set_rootless(engine->runtime, ROOTLESS_TRUE);
    return r;
}

int engine_open_running(struct engine *engine, const char *id, struct container **ret_container,
                        struct error *err)
{
    int r = engine_need_runtime(engine, err);

    if (r < 0)
        return r;
    r = container_open(engine->runtime, id, ret_container, err);
    return r == -ENOENT ? error_set(err, ESRCH, "container %.12s is not running", id) : r;
}

int engine_open_with_status(struct engine *engine, const char *id, struct container **ret_container,
                            enum container_status *ret_status, struct error *err)
{
    AUTO(container) struct container *container = NULL;
    int r;

    r = engine_open_running(engine, id, &container, err);
    if (r == 0)
        r = container_status(container, ret_status, err);
    if (r < 0)
        return r;
    *ret_container = take_ptr(&container);
    return 0;
}

int engine_look_at_isolation(struct engine *engine, const char *kernel,
                             struct isolation_view *ret_view, struct error *err)
{
    const struct isolation *isolation = engine_isolation(engine);
    AUTO_CLEAR(isolation_view) struct isolation_view view = { 0 };
    int r;

    if (isolation == NULL)
        return error_set(err, EOPNOTSUPP, "berth was built without microVMs");
    r = isolation->look(isolation, engine->run_path, &view, err);
    if (r < 0)
        return r;
    if (view.backend == NULL)
        return error_set(err, EOPNOTSUPP, "no microVM can run here: %s", view.reason);
    if (view.kernels.count == 0)
        return error_set(err, ENOENT,
                         "no kernel for microVMs was imported yet: get one by `berth vm kernel "
                         "import --package linux-image-cloud-amd64`");
    if (!text_is_empty(kernel) && !strings_contains(&view.kernels, kernel))
        return error_set(err, EINVAL,
                         "--kernel '%s' was not imported: `berth vm kernel ls` lists those that "
                         "were",
                         kernel);
    *ret_view = view;
    view = (struct isolation_view){ 0 };
    return 0;
}

struct image_store *engine_images(struct engine *engine)
{
    struct error err = { 0 };

    if (engine_need_images(engine, &err) < 0)
        log_error("%s", err.message);
    return engine->images;
}

struct runtime *engine_runtime(struct engine *engine)
{
    struct error err = { 0 };

    if (engine_need_runtime(engine, &err) < 0)
        log_error("%s", err.message);
    return engine->runtime;
}

void engine_keep_reservation(struct engine *engine, const char *id, int claim_fd)
{
    engine_drop_reservation(engine);
    engine->reserved_id = xstrdup(id);
    engine->claim_fd = claim_fd;
}

int engine_take_reservation(struct engine *engine, const char *id)
{
    if (engine->reserved_id == NULL || !text_equal(engine->reserved_id, id))
        return -1;
    free(engine->reserved_id);
    engine->reserved_id = NULL;
    return take_fd(&engine->claim_fd);
}

void engine_drop_reservation(struct engine *engine)
{
    if (engine->reserved_id == NULL)
        return;
    claim_drop(engine, engine->reserved_id, &engine->claim_fd);
    free(engine->reserved_id);
    engine->reserved_id = NULL;
}
