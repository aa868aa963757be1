#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "runtime/container.h"
#include "runtime/isolation.h"

/* Checkpoint and restore of a container whose process is an isolation's: what runs is saved by it,
 * without CRIU, and a restore is the ordinary creation of a container that goes on instead of
 * starting.
 *
 * The image's folder is the isolation's, but for one file of ours with its name, and one for
 * engines. They are removed before anything is written and made last, so what was interrupted is no
 * image. */

#define IMAGE_FILE     "isolation"
#define IMAGE_FILE_MAX 64
/* The first of CRIU's files, by which engines know that a checkpoint is there (podman: container
 * restore). It holds the same here. */
#define CRIU_FILE "inventory.img"

/* --- options ---------------------------------------------------------------------------------- */

static int check_options(const struct checkpoint_options *options, const char *name,
                         struct error *err)
{
    const struct {
        const char *option;
        bool is_given;
    } of_criu[] = {
        { "--parent-path", options->parent_path != NULL },
        { "--page-server", options->page_server != NULL },
        { "--pre-dump", options->is_pre_dump },
        { "--lazy-pages", options->is_lazy },
        { "--status-fd", options->status_fd >= 0 },
        { "--auto-dedup", options->has_auto_dedup },
        { "--lsm-profile", options->lsm_profile != NULL },
        { "--lsm-mount-context", options->lsm_mount_context != NULL },
        { "--tcp-close", options->closes_tcp },
        { "--tcp-skip-in-flight", options->skips_tcp_in_flight },
    };

    for (size_t i = 0; i < ARRAY_SIZE(of_criu); i++) {
        if (of_criu[i].is_given)
            return error_set(err, EOPNOTSUPP, "%s: is CRIU's, which has no part in a %s container",
                             of_criu[i].option, name);
    }
    return 0;
}

/* --- checkpoint ------------------------------------------------------------------------------- */

static int check_status(struct container *container, struct error *err)
{
    enum container_status status;
    int r;

    r = container_status(container, &status, err);
    if (r < 0)
        return r;
    if (status == CONTAINER_PAUSED)
        return error_set(err, EINVAL,
                         "container '%s' is paused: a %s container has to run for a checkpoint; "
                         "resume it first",
                         container->state.id, container->state.isolation);
    if (status != CONTAINER_RUNNING)
        return error_set(err, EINVAL, "container '%s' cannot be checkpointed in the %s state",
                         container->state.id, container_status_name(status));
    return 0;
}

static int open_image(const char *path, int *ret_fd, struct error *err)
{
    auto_close int fd = -1;
    int r = path_create_directory(path, 0700, &fd, err);

    if (r < 0)
        return error_prefix(err, r, "--image-path");
    if ((unlinkat(fd, IMAGE_FILE, 0) < 0 && errno != ENOENT) ||
        (unlinkat(fd, CRIU_FILE, 0) < 0 && errno != ENOENT))
        return error_errno(err, "remove the checkpoint that was in '%s'", path);
    *ret_fd = take_fd(&fd);
    return 0;
}

static int mark_complete(int image_fd, const char *name, struct error *err)
{
    int r = file_replace(image_fd, CRIU_FILE, name, strlen(name), 0600, FILE_SYNC_NONE, err);

    return r < 0
               ? r
               : file_replace(image_fd, IMAGE_FILE, name, strlen(name), 0600, FILE_SYNC_NONE, err);
}

int isolation_checkpoint(struct container *container, const struct isolation *isolation,
                         const struct checkpoint_options *options, struct error *err)
{
    auto_close int image_fd = -1;
    auto_close int hold_fd = -1;
    const struct spec *jail = NULL;
    int r;

    r = check_options(options, isolation->name, err);
    if (r == 0)
        r = check_status(container, err);
    if (r == 0)
        r = container_spec(container, &jail, err);
    if (r == 0)
        r = open_image(options->image_path, &image_fd, err);
    if (r < 0)
        return r;
    r = isolation->save(container->dir_fd, container->pidfd, jail, image_fd,
                        options->leaves_running, &hold_fd, err);
    if (r < 0)
        return error_prefix(err, r, "a checkpoint of container '%s'", container->state.id);
    r = mark_complete(image_fd, isolation->name, err);
    if (r < 0)
        return error_prefix(err, r, "write into '%s'", options->image_path);
    log_debug("checkpoint %s: the image is in '%s'", container->state.id, options->image_path);
    r = options->keep != NULL ? options->keep(options->keep_context, err) : 0;
    if (r < 0 || options->leaves_running)
        return r;
    return options->leaves_container ? container_signal(container, SIGKILL, false, err)
                                     : container_delete(container, true, err);
}

/* --- restore ---------------------------------------------------------------------------------- */

int isolation_find_image(const struct runtime *runtime, const char *image_path, char **ret_path,
                         struct error *err)
{
    auto_close int fd = open(image_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_free char *name = NULL;
    size_t length = 0;
    int r;

    *ret_path = NULL;
    if (fd < 0)
        return error_errno(err, "--image-path '%s'", image_path);
    r = file_read(fd, IMAGE_FILE, IMAGE_FILE_MAX, &name, &length, err);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return error_prefix(err, r, "--image-path '%s'", image_path);
    if (runtime->isolation == NULL || !text_equal(runtime->isolation->name, name))
        return error_set(err, EOPNOTSUPP,
                         "--image-path '%s': is of another kind of container than this program "
                         "can make",
                         image_path);
    *ret_path = realpath(image_path, NULL);
    return *ret_path == NULL ? error_errno(err, "find '%s'", image_path) : 0;
}

int isolation_refuse_image(const struct runtime *runtime, const struct spec *spec,
                           const char *image_path, struct error *err)
{
    if (runtime->isolation == NULL || !runtime->isolation->is_wanted(spec))
        return 0;
    return error_set(err, ENOENT,
                     "--image-path '%s': holds no checkpoint of a %s container, or one that was "
                     "interrupted: there is no file '" IMAGE_FILE "'",
                     image_path, runtime->isolation->name);
}

int isolation_restore(struct runtime *runtime, const struct container_options *options,
                      const struct checkpoint_options *checkpoint, const char *image_path,
                      struct container **ret_container, struct error *err)
{
    AUTO(container) struct container *container = NULL;
    struct container_options own = *options;
    int r;

    own.is_started_here = true;
    own.saved_path = image_path;
    r = check_options(checkpoint, runtime->isolation->name, err);
    if (r == 0)
        r = container_create(runtime, &own, &container, err);
    if (r < 0)
        return r;
    if (checkpoint->prepare != NULL)
        r = checkpoint->prepare(checkpoint->prepare_context, container_first_pid(container), err);
    if (r == 0)
        r = container_start(container, err);
    if (r == 0)
        r = runtime->isolation->wait_restored(container->dir_fd, container->pidfd, err);
    if (r < 0) {
        (void)container_delete(container, true, NULL); /* the error is the other one */
        return r;
    }
    *ret_container = take_ptr(&container);
    return 0;
}
