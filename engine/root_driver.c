#include "engine/root_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/staging.h"
#include "engine/engine_private.h"
#include "engine/fuse_root.h"
#include "engine/image_root.h"
#include "unionfs/unionfs.h"

#define COPIES           "copies"
#define REASON_BYTES_MAX 4096
#define SERVED_MARKS     "fuse-marks"
#define DRIVER_VARIABLE  "BERTH_STORAGE_DRIVER"

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

static bool has_file(const struct engine *engine, const char *name)
{
    return faccessat(engine->data_fd, name, F_OK, 0) == 0;
}

/* Layers of before have the kernel's marks, or are not there. */
static int keep_reason(struct engine *engine, const struct error *reason, struct error *err)
{
    int r = 0;

    if (!has_file(engine, COPIES) || !has_layers(engine))
        r = file_replace(engine->data_fd, SERVED_MARKS, "", 0, 0600, FILE_SYNC_NONE, err);
    if (r < 0)
        return r;
    return file_replace(engine->data_fd, COPIES, reason->message, strlen(reason->message), 0600,
                        FILE_SYNC_NONE, err);
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
        log_debug("overlay: containers get something else, as it is not usable: %s",
                  reason.message);
        return keep_reason(engine, &reason, err);
    }
    if (!has_layers(engine) && unlinkat(engine->data_fd, COPIES, 0) < 0 && errno != ENOENT)
        return error_errno(err, "remove '%s'", COPIES);
    return 0;
}

/* --- the choice ------------------------------------------------------------------------------- */

static const char *const driver_names[] = {
    [ROOT_OVERLAY] = "overlayfs",
    [ROOT_SERVED] = FUSE_ROOT_PROGRAM,
    [ROOT_COPIED] = "copies",
};

const char *root_driver_name(enum root_driver driver)
{
    return driver_names[driver];
}

/* @has_overlays: now and ever; else layers have marks of berth's own. NULL: it can be used. */
static char *find_served_obstacle(const struct engine *engine, bool has_overlays)
{
    if (!has_overlays && !has_file(engine, SERVED_MARKS))
        return xstrdup("fuse-overlayfs cannot read the marks of layers that an earlier berth made");
    return fuse_root_find_obstacle(engine->data_path);
}

static int find_wanted(const char *wanted, enum root_driver *ret_driver, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(driver_names); i++) {
        if (text_equal(wanted, driver_names[i])) {
            *ret_driver = (enum root_driver)i;
            return 0;
        }
    }
    return error_set(err, EINVAL,
                     DRIVER_VARIABLE ": unknown '%.40s': take overlayfs, fuse-overlayfs or copies",
                     wanted);
}

static int take_wanted(const char *wanted, const char *overlay_obstacle,
                       const char *served_obstacle, enum root_driver *ret_driver, struct error *err)
{
    const char *const obstacles[] = {
        [ROOT_OVERLAY] = overlay_obstacle, [ROOT_SERVED] = served_obstacle, [ROOT_COPIED] = NULL
    };
    int r = find_wanted(wanted, ret_driver, err);

    if (r == 0 && obstacles[*ret_driver] != NULL)
        return error_set(err, EOPNOTSUPP, DRIVER_VARIABLE ": %s", obstacles[*ret_driver]);
    return r;
}

/* Of a file with several names in a layer, fuse-overlayfs (1.10) copies up one of
 * them, whichever: later the others show what was before. So it is not chosen for such an image. */
static bool may_be_served(struct engine *engine, const struct strings *layers)
{
    for (size_t i = 0; layers != NULL && i < layers->count; i++) {
        auto_free char *key = layer_key_from_path(layers->items[i]);

        if (key == NULL || !layer_has_no_links(engine->data_fd, key))
            return false;
    }
    return true;
}

static void choose(struct engine *engine, const struct strings *layers,
                   const char *overlay_obstacle, const char *served_obstacle,
                   enum root_driver *ret_driver, char **ret_reason)
{
    *ret_driver =
        served_obstacle == NULL && may_be_served(engine, layers) ? ROOT_SERVED : ROOT_COPIED;
    if (*ret_driver == ROOT_SERVED)
        *ret_reason = xasprintf("%s; an image with hard links is copied", overlay_obstacle);
    else
        *ret_reason =
            xasprintf("%s; %s", overlay_obstacle,
                      served_obstacle != NULL ? served_obstacle : "the image has hard links");
}

int root_driver_find(struct engine *engine, const struct strings *layers,
                     enum root_driver *ret_driver, char **ret_reason, struct error *err)
{
    const char *wanted = getenv(DRIVER_VARIABLE);
    auto_free char *reason = NULL, *overlay_obstacle = NULL, *served_obstacle = NULL;
    int r;

    r = file_read(engine->data_fd, COPIES, REASON_BYTES_MAX, &reason, NULL, err);
    if (r < 0 && r != -ENOENT)
        return r;
    *ret_reason = NULL;
    *ret_driver = ROOT_OVERLAY;
    if (reason == NULL && text_is_empty(wanted))
        return 0;
    if (reason != NULL)
        overlay_obstacle = xasprintf("no overlay can be used: %s", reason);
    served_obstacle = find_served_obstacle(engine, reason == NULL);
    if (text_is_empty(wanted)) {
        choose(engine, layers, overlay_obstacle, served_obstacle, ret_driver, ret_reason);
        return 0;
    }
    r = take_wanted(wanted, overlay_obstacle, served_obstacle, ret_driver, err);
    if (r == 0)
        *ret_reason = xstrdup(DRIVER_VARIABLE " asks for it");
    return r;
}
