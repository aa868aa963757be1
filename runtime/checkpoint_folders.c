#include "runtime/checkpoint_folders.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"

void checkpoint_folders_clear(struct checkpoint_folders *folders)
{
    auto_close_cleanup(&folders->image_fd);
    auto_close_cleanup(&folders->work_fd);
    *folders = (struct checkpoint_folders)CHECKPOINT_FOLDERS_NONE;
}

static int open_folder(const char *option, const char *path, int *ret_fd, struct error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_errno(err, "%s '%s'", option, path);
    *ret_fd = fd;
    return 0;
}

/* Without this CRIU would only warn of a missing parent, and write an image that is whole. */
static int check_parent(const struct checkpoint_folders *folders,
                        const struct checkpoint_options *options, struct error *err)
{
    struct stat status;

    if (options->parent_path == NULL)
        return 0;
    if (fstatat(folders->image_fd, options->parent_path, &status, 0) < 0)
        return error_errno(err, "--parent-path '%s', from '%s' on", options->parent_path,
                           options->image_path);
    if (!S_ISDIR(status.st_mode))
        return error_set(err, ENOTDIR, "--parent-path '%s': is not a folder", options->parent_path);
    return 0;
}

/* CRIU opens some of the image's files as the root of the container's user namespace, and takes
 * what it must not look for as a failure; the files themselves stay root's alone. */
static int check_searchable(const struct checkpoint_folders *folders,
                            const struct checkpoint_options *options, struct error *err)
{
    struct stat status;

    if (fstat(folders->image_fd, &status) < 0)
        return error_errno(err, "look at '%s'", options->image_path);
    if ((status.st_mode & S_IXOTH) == 0)
        return error_set(
            err, EACCES,
            "--image-path '%s': the root of the user namespace has to search it: allow "
            "that by chmod o+x",
            options->image_path);
    return 0;
}

int checkpoint_folders_open(const struct checkpoint_options *options, bool makes_image,
                            bool has_user_namespace, struct checkpoint_folders *ret_folders,
                            struct error *err)
{
    AUTO_CLEAR(checkpoint_folders) struct checkpoint_folders folders = CHECKPOINT_FOLDERS_NONE;
    int r;

    if (makes_image) {
        r = path_create_directory(options->image_path, has_user_namespace ? 0711 : 0700,
                                  &folders.image_fd, err);
        if (r < 0)
            return error_prefix(err, r, "--image-path");
    } else {
        r = open_folder("--image-path", options->image_path, &folders.image_fd, err);
        if (r < 0)
            return r;
    }
    r = check_parent(&folders, options, err);
    if (r == 0 && has_user_namespace && !makes_image)
        r = check_searchable(&folders, options, err);
    if (r < 0)
        return r;
    if (options->work_path != NULL) {
        r = path_create_directory(options->work_path, 0700, &folders.work_fd, err);
        if (r < 0)
            return error_prefix(err, r, "--work-path");
    }
    folders.log_dir = options->work_path != NULL ? options->work_path : options->image_path;
    *ret_folders = folders;
    folders = (struct checkpoint_folders)CHECKPOINT_FOLDERS_NONE;
    return 0;
}

int checkpoint_folders_use(const struct checkpoint_folders *folders,
                           const struct string_map *annotations, struct criu_options *ret_options,
                           struct error *err)
{
    const char *file = NULL;
    int r;

    ret_options->images_dir_fd = folders->image_fd;
    ret_options->work_dir_fd = folders->work_fd;
    r = checkpoint_config_plan(annotations, &file, err);
    if (r < 0)
        return r;
    /* CRIU passes over a missing file; who names one wants it. */
    if (!text_is_empty(file) && access(file, R_OK) < 0)
        return error_errno(err, "annotation org.criu.config: '%s'", file);
    for (size_t i = 0; file == NULL && checkpoint_config_files[i] != NULL; i++) {
        if (access(checkpoint_config_files[i], R_OK) == 0)
            file = checkpoint_config_files[i];
    }
    ret_options->config_file = text_is_empty(file) ? NULL : file;
    return 0;
}

int checkpoint_shut_off_child(struct error *err)
{
    if (unshare(CLONE_NEWNS) < 0)
        return error_errno(err, "make a mount namespace for criu");
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return error_errno(err, "shut mounts off from the host");
    return 0;
}

static int reopen(int old_fd, const char *option, const char *path, struct error *err)
{
    auto_close int fd = -1;
    struct stat before, now;
    int r;

    r = open_folder(option, path, &fd, err);
    if (r < 0)
        return r;
    if (fstat(old_fd, &before) < 0 || fstat(fd, &now) < 0)
        return error_errno(err, "look at '%s'", path);
    if (before.st_dev != now.st_dev || before.st_ino != now.st_ino)
        return error_set(err, EAGAIN, "%s '%s': was replaced by another folder meanwhile", option,
                         path);
    if (dup2(fd, old_fd) < 0)
        return error_errno(err, "keep '%s'", path);
    return 0;
}

int checkpoint_folders_reopen_child(const struct checkpoint_folders *folders,
                                    const struct checkpoint_options *options, struct error *err)
{
    int r;

    r = reopen(folders->image_fd, "--image-path", options->image_path, err);
    if (r < 0 || folders->work_fd < 0)
        return r;
    return reopen(folders->work_fd, "--work-path", options->work_path, err);
}

int checkpoint_check_rights(const char *purpose, struct error *err)
{
    if (geteuid() != 0)
        return error_set(err, EPERM, "%s needs root", purpose);
    return 0;
}
