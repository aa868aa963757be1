#include "unionfs/unionfs.h"

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
#include "unionfs/erofs_file.h"
#include "unionfs/erofs_store.h"
#include "unionfs/layer_store.h"

/* How a root comes into being: under a lock of its key, in staging; synced, since whoever finds it
 * takes it as it is; and one rename makes it appear. */

/* --- layers ----------------------------------------------------------------------------------- */

static int open_layers(int data_fd, const struct strings *layers, struct layer_fds *fds,
                       struct error *err)
{
    AUTO_CLEAR(strings) struct strings paths = { 0 };

    for (size_t i = 0; i < layers->count; i++)
        strings_addf(&paths, LAYERS "/%s/fs", layers->items[i]);
    if (paths.count == 0)
        return error_set(err, EINVAL, "there are no layers to make a root of");
    return layer_fds_open(data_fd, &paths, O_RDONLY, fds, err);
}

/* --- making ----------------------------------------------------------------------------------- */

struct making {
    int data_fd;
    const struct strings *layers;
    const struct erofs_watch *watch;
    char *key, *lock_name;
    int lock_fd;
    struct staging *staging;
};

static void making_clear(struct making *making)
{
    staging_free(making->staging);
    if (making->lock_fd >= 0) {
        (void)unlinkat(making->data_fd, making->lock_name, 0); /* held: nobody counts on it */
        (void)close(making->lock_fd);
    }
    free(making->lock_name);
    free(making->key);
}

static int write_root(struct making *making, int fd, struct error *err)
{
    AUTO_CLEAR(layer_fds) struct layer_fds fds = { 0 };
    int r;

    r = open_layers(making->data_fd, making->layers, &fds, err);
    if (r == 0)
        r = erofs_file_write(fd, fds.items, fds.count, making->watch, err);
    if (r == 0 && fdatasync(fd) < 0)
        r = error_errno(err, "write the EROFS file to the disk");
    return r;
}

static int fill(struct making *making, struct error *err)
{
    auto_free char *text = erofs_layers_format(making->layers);
    auto_close int fd = -1;
    int r;

    r = staging_create(making->data_fd, &making->staging, err);
    if (r < 0)
        return r;
    if (mkdirat(making->staging->fd, "root", 0700) < 0)
        return error_errno(err, "make a directory in staging");
    r = path_open_beneath(making->staging->fd, "root/" EROFS_NAME, O_RDWR | O_CREAT | O_EXCL, 0444,
                          &fd, err);
    if (r == 0)
        r = write_root(making, fd, err);
    if (r == 0)
        r = file_replace(making->staging->fd, "root/layers", text, strlen(text), 0600,
                         FILE_SYNC_DATA, err);
    return r;
}

static int publish(struct making *making, struct error *err)
{
    auto_free char *path = path_join(EROFS_FOLDER, making->key);
    int r;

    if (mkdirat(making->data_fd, EROFS_FOLDER, 0700) < 0 && errno != EEXIST)
        return error_errno(err, "make the directory '%s'", EROFS_FOLDER);
    r = erofs_delete(making->data_fd, making->key, err); /* what had the same hash, if anything */
    if (r == 0 && renameat(making->staging->fd, "root", making->data_fd, path) < 0)
        r = error_errno(err, "rename it to '%s'", path);
    return r;
}

static int make_locked(struct making *making, char **ret_path, struct error *err)
{
    int r;

    r = erofs_find(making->data_fd, making->layers, ret_path, NULL);
    if (r != -ENOENT)
        return r < 0 ? erofs_find(making->data_fd, making->layers, ret_path, err) : 0;
    r = fill(making, err);
    if (r == 0)
        r = publish(making, err);
    return r < 0 ? r : erofs_find(making->data_fd, making->layers, ret_path, err);
}

int erofs_ensure(int data_fd, const struct strings *layers, const struct erofs_watch *watch,
                 char **ret_path, struct error *err)
{
    AUTO_CLEAR(making)
    struct making making = { .data_fd = data_fd, .layers = layers, .watch = watch, .lock_fd = -1 };
    int r;

    assert(layers != NULL);
    assert(ret_path != NULL);

    if (mkdirat(data_fd, "locks", 0700) < 0 && errno != EEXIST)
        return error_errno(err, "make the directory 'locks'");
    making.key = erofs_key(layers);
    making.lock_name = xasprintf("locks/erofs-%s", making.key);
    r = file_lock(data_fd, making.lock_name, true, UINT32_MAX, &making.lock_fd, err);
    if (r == 0)
        r = make_locked(&making, ret_path, err);
    return r < 0 ? error_prefix(err, r, "make one file of the image's layers") : 0;
}

/* --- checking --------------------------------------------------------------------------------- */

int erofs_check(int data_fd, const char *key, bool with_contents, struct error *err)
{
    auto_free char *path = xasprintf(EROFS_FOLDER "/%s/" EROFS_NAME, key);
    AUTO_CLEAR(strings) struct strings layers = { 0 };
    AUTO_CLEAR(layer_fds) struct layer_fds fds = { 0 };
    auto_close int fd = -1;
    int r;

    r = erofs_read_layers(data_fd, key, &layers, err);
    if (r == 0)
        r = open_layers(data_fd, &layers, &fds, err);
    if (r < 0)
        return r;
    r = path_open_beneath(data_fd, path, O_RDONLY, 0, &fd, err);
    if (r == 0)
        r = erofs_file_compare(fd, fds.items, fds.count, with_contents, err);
    if (r == -ENOENT)
        r = -EBADMSG;
    return r < 0 ? error_prefix(err, r, "root %s of microVMs", key) : 0;
}
