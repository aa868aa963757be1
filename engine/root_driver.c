#include "engine/root_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/staging.h"
#include "engine/engine_private.h"
#include "engine/image_root.h"
#include "unionfs/unionfs.h"

#define COPIES           "copies"
#define REASON_BYTES_MAX 4096

static int make_directories(int dir_fd, struct error *err)
{
    static const char *const names[] = { "lower", "lower/folder", "lower/file", "upper", "work" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (mkdirat(dir_fd, names[i], 0700) < 0)
            return error_errno(err, "make the directory '%s'", names[i]);
    }
    return 0;
}

/* Through the mount: a whiteout, and a directory that hides the one below it. */
static int change_overlay(int mount_fd, struct error *err)
{
    if (unlinkat(mount_fd, "file", AT_REMOVEDIR) < 0)
        return error_errno(err, "remove something in an overlay");
    if (unlinkat(mount_fd, "folder", AT_REMOVEDIR) < 0 || mkdirat(mount_fd, "folder", 0700) < 0)
        return error_errno(err, "replace a directory in an overlay");
    return 0;
}

/* @err says why no overlay can be used when @ret_is_usable is false. */
static int try_overlay(struct engine *engine, bool *ret_is_usable, struct error *err)
{
    AUTO(staging) struct staging *staging = NULL;
    struct snapshot snapshot AUTO_CLEAR(snapshot) = {
        .has_user_attributes = rootless_session_is_on(),
    };
    auto_free char *path = NULL;
    auto_close int mount_fd = -1;
    int r;

    r = staging_create(engine->data_fd, &staging, err);
    if (r == 0)
        r = make_directories(staging->fd, err);
    if (r < 0)
        return r;
    path = xasprintf("%s/staging/%s", engine->data_path, staging->name);
    strings_addf(&snapshot.lower, "%s/lower", path);
    snapshot.upper = xasprintf("%s/upper", path);
    snapshot.work = xasprintf("%s/work", path);
    r = snapshot_root_open(&snapshot, &mount_fd, NULL);
    if (r < 0)
        (void)error_set(err, -r, "mount one above files of '%s': %s", engine->data_path,
                        strerror(-r));
    else
        r = change_overlay(mount_fd, err);
    *ret_is_usable = r == 0;
    return 0;
}

static bool has_layers(struct engine *engine)
{
    AUTO_CLEAR(strings) struct strings keys = { 0 };

    return layer_list(engine->data_fd, &keys, NULL) == 0 && keys.count > 0;
}

int root_driver_probe(struct engine *engine, struct error *err)
{
    struct error reason = { 0 };
    bool is_usable = false;
    int r;

    if (geteuid() != 0)
        return 0;
    r = try_overlay(engine, &is_usable, &reason);
    if (r < 0) {
        log_debug("overlay: not tried out: %s", reason.message);
        return 0; /* what makes a container will say it */
    }
    if (!is_usable) {
        log_debug("overlay: containers get copies, as it is not usable: %s", reason.message);
        return file_replace(engine->data_fd, COPIES, reason.message, strlen(reason.message), 0600,
                            FILE_SYNC_NONE, err);
    }
    if (!has_layers(engine) && unlinkat(engine->data_fd, COPIES, 0) < 0 && errno != ENOENT)
        return error_errno(err, "remove '%s'", COPIES);
    return 0;
}

int root_driver_find(struct engine *engine, bool *ret_is_copied, char **ret_reason,
                     struct error *err)
{
    auto_free char *reason = NULL;
    int r;

    r = file_read(engine->data_fd, COPIES, REASON_BYTES_MAX, &reason, NULL, err);
    if (r < 0 && r != -ENOENT)
        return r;
    *ret_is_copied = r == 0;
    if (ret_reason != NULL)
        *ret_reason = take_ptr(&reason);
    return 0;
}
