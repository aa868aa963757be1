#include "engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/process.h"
#include "base/staging.h"
#include "engine/bundle.h"
#include "engine/container_names.h"
#include "engine/device_rule.h"
#include "engine/engine_private.h"
#include "engine/fuse_root.h"
#include "engine/group.h"
#include "engine/host_facts.h"
#include "engine/image_root.h"
#include "engine/joined.h"
#include "engine/record.h"
#include "engine/publish_option.h"
#include "engine/resolv_conf.h"
#include "engine/rootless_session.h"
#include "engine/slirp.h"
#include "engine/root_driver.h"
#include "engine/vm_disk.h"
#include "engine/volumes.h"

/* Making a container. Everything is computed in memory first. Then, with the claim on the new id
 * held:
 *
 *   1. the name is reserved (a link)
 *   2. containers/.new-<id>/ is filled and renamed to containers/<id>/
 *   3. volumes are made
 *
 * A crash after 1 leaves a stale name, after 2 a directory that repair.c finds by the lock file of
 * the dead claim; and, once renamed, a container that can be started, whose volumes start.c makes.
 */

#define HOST_FILE_MAX (1u << 20)

/* What engine_create() gathers on its way. */
struct creation {
    struct engine *engine;
    struct image *image;
    struct record *record;
    struct host_facts facts;
    struct snapshot snapshot;
    struct spec *spec;
    struct spec_user user;
    char *home;
    char *container_path;
    char *erofs_path, *disk_path; /* of a microVM */
    struct staging *copy;         /* with the root that becomes upper/, where roots are copies */
    int groups_fd;                /* lock, while the record does not name the group yet; -1 */
};

static void creation_clear(struct creation *creation)
{
    image_free(creation->image);
    record_free(creation->record);
    host_facts_clear(&creation->facts);
    snapshot_clear(&creation->snapshot);
    spec_free(creation->spec);
    free(creation->user.additional_gids.items);
    free(creation->user.username);
    free(creation->home);
    free(creation->container_path);
    free(creation->erofs_path);
    free(creation->disk_path);
    staging_free(creation->copy);
    if (creation->groups_fd >= 0)
        close(creation->groups_fd);
}

static int copy_settings(const struct settings *from, struct settings *to, struct error *err)
{
    auto_free char *text = encode_text(&settings_object, from, ENCODE_COMPACT);

    return decode_text(&settings_object, text, strlen(text), to, "settings", err);
}

/* Layers are unpacked when an image is loaded, so they are only looked up here. */
static int find_layers(struct creation *creation, struct error *err)
{
    const struct strings *diff_ids = &creation->image->config.diff_ids;
    AUTO_CLEAR(strings) struct strings below = { 0 };
    AUTO_CLEAR(strings) struct strings paths = { 0 };

    for (size_t i = 0; i < diff_ids->count; i++) {
        auto_free char *key = NULL;
        struct digest digest;
        int r;

        r = digest_parse(diff_ids->items[i], &digest, err);
        if (r < 0)
            return r;
        r = layer_find(creation->engine->data_fd, &digest, &below, &key, err);
        if (r == -ENOENT)
            return error_set(
                err, ENOENT,
                "layer %zu of image '%s' is missing in the store: load the image again", i + 1,
                creation->record->settings.image);
        if (r < 0)
            return r;
        strings_addf(&paths, "%s/layers/%s/fs", creation->engine->data_path, key);
        strings_add(&below, diff_ids->items[i]);
    }
    /* Overlayfs takes each directory once. Of a layer that an image has twice (an empty one,
     * mostly) the upper place is enough: whatever it would show at the lower one it shows there. */
    for (size_t i = paths.count; i > 0; i--) {
        if (!strings_contains(&creation->record->layers, paths.items[i - 1]))
            strings_add(&creation->record->layers, paths.items[i - 1]);
    }
    if (paths.count == 0)
        return error_set(err, EINVAL, "image '%s' has no layers", creation->record->settings.image);
    return 0;
}

static int find_image(struct creation *creation, const struct settings *settings, struct error *err)
{
    struct record *record = creation->record;
    int r;

    r = engine_need_images(creation->engine, err);
    if (r < 0)
        return r;
    r = image_find(creation->engine->images, settings->image, &creation->image, err);
    if (r < 0)
        return r;
    record->image = xstrdup(settings->image);
    record->image_manifest = xstrdup(creation->image->manifest_digest.text);
    record->image_id = xstrdup(creation->image->id.text);
    return find_layers(creation, err);
}

static int check_bind(const struct settings_mount *mount, struct error *err)
{
    auto_close int fd = -1;
    int r;

    if (text_is_empty(mount->source) || mount->source[0] != '/')
        return error_set(err, EINVAL, "bind mount at '%s': '%s' is not an absolute path",
                         mount->target, mount->source == NULL ? "" : mount->source);
    if (access(mount->source, F_OK) == 0)
        return 0;
    if (errno != ENOENT)
        return error_errno(err, "bind mount of '%s'", mount->source);
    if (!mount->creates_source)
        return error_set(err, ENOENT, "bind mount: '%s' does not exist on the host", mount->source);
    r = path_create_directory(mount->source, 0755, &fd, err);
    return r < 0 ? error_prefix(err, r, "bind mount of '%s'", mount->source) : 0;
}

static int resolve_mounts(struct engine *engine, struct settings *settings, struct error *err)
{
    static const char *const types[] = { "bind", "volume", "tmpfs" };
    int r;

    for (size_t i = 0; i < settings->mounts.count; i++) {
        const struct settings_mount *mount = &settings->mounts.items[i];
        bool is_known = false;

        for (size_t k = 0; k < ARRAY_SIZE(types); k++)
            is_known = is_known || text_equal(mount->type, types[k]);
        if (!is_known)
            return error_set(err, EINVAL, "mount type '%s': give bind, volume or tmpfs",
                             mount->type == NULL ? "" : mount->type);
        if (text_is_empty(mount->target))
            return error_set(err, EINVAL, "a %s mount needs a target", mount->type);
        r = strcmp(mount->type, "bind") == 0 ? check_bind(mount, err) : 0;
        if (r < 0)
            return r;
    }
    return volumes_add_from(engine, settings, err);
}

/* So that what is missing is said now, not when the container starts. */
static int prepare_vm(struct creation *creation, struct strings *ret_warnings, struct error *err)
{
    const struct settings *settings = &creation->record->settings;
    AUTO_CLEAR(isolation_view) struct isolation_view view = { 0 };
    int r;

    if (!bundle_is_vm(settings))
        return 0;
    r = engine_look_at_isolation(creation->engine, settings->vm_kernel, &view, err);
    if (r < 0)
        return r;
    strings_add_all(ret_warnings, &view.warnings);
    if (!settings->is_removed)
        creation->disk_path = path_join(creation->container_path, VM_DISK_FILE);
    return engine_flatten(creation->engine, &creation->record->layers, &creation->erofs_path, err);
}

static int check_settings(const struct settings *settings, struct error *err)
{
    int signal;
    int r;

    r = bundle_check_isolation(settings, err);
    if (r == 0)
        r = bundle_check_annotations(settings, err);
    if (r < 0)
        return r;

    for (size_t i = 0; i < settings->device_rules.count; i++) {
        struct device_rule rule;

        r = device_rule_parse(settings->device_rules.items[i], &rule, err);
        if (r < 0)
            return r;
    }
    if (!text_is_empty(settings->stop_signal)) {
        r = process_parse_signal(settings->stop_signal, &signal, err);
        if (r < 0)
            return error_prefix(err, r, "--stop-signal");
    }
    if (settings->is_removed && settings->restart != RESTART_NO)
        return error_set(err, EINVAL, "--rm cannot be used together with --restart");
    if (!text_is_empty(settings->log_driver) && strcmp(settings->log_driver, "json-file") != 0 &&
        strcmp(settings->log_driver, "none") != 0)
        return error_set(err, EOPNOTSUPP, "--log-driver '%s': give json-file or none",
                         settings->log_driver);
    return 0;
}

/* In a group of `berth cgroup create`, which stays locked until the record names it. */
static int find_group(struct creation *creation, struct error *err)
{
    struct record *record = creation->record;
    AUTO(group) struct group *group = NULL;
    auto_free char *name = NULL;
    int r;

    r = group_name_parse(record->settings.cgroup_parent, &name, err);
    if (r == 0)
        r = groups_lock(creation->engine, false, &creation->groups_fd, err);
    if (r == 0)
        r = group_read(creation->engine, name, &group, err);
    if (r < 0)
        return r;
    free(record->settings.cgroup_parent);
    record->settings.cgroup_parent = take_ptr(&name);
    record->cgroup_path =
        xasprintf(BERTH_CGROUP "/%s/%s", record->settings.cgroup_parent, record->id);
    return 0;
}

static int plan_cgroup_path(struct creation *creation, struct error *err)
{
    struct record *record = creation->record;
    const char *parent = record->settings.cgroup_parent;
    auto_free char *joined = NULL;
    int r;

    if (!text_is_empty(parent) && parent[0] != '/') {
        r = find_group(creation, err);
        return r < 0 ? error_prefix(err, r, "--cgroup-parent") : 0;
    }
    /* The one that is delegated to an ordinary user may be another at each start. */
    if (text_is_empty(parent) && rootless_session_is_on())
        return 0;
    joined = xasprintf("%s/%s", text_is_empty(parent) ? BERTH_CGROUP : parent, record->id);
    r = cgroup_path_parse(joined, &record->cgroup_path, err);
    return r < 0 ? error_prefix(err, r, "--cgroup-parent '%s'", parent) : 0;
}

/* How the container gets its root, for as long as it is there. */
static int choose_driver(struct creation *creation, struct error *err)
{
    struct record *record = creation->record;
    enum root_driver driver;
    auto_free char *reason = NULL;
    int r;

    if (bundle_is_vm(&record->settings))
        return 0;
    r = root_driver_find(creation->engine, &record->layers, &driver, &reason, err);
    if (r < 0)
        return r;
    record->is_copied = driver == ROOT_COPIED;
    record->is_served = driver == ROOT_SERVED;
    if (driver != ROOT_OVERLAY && bundle_has_user_namespace(&record->settings))
        return error_set(
            err, EOPNOTSUPP, "--userns: ids cannot be mapped where containers get %s, as here: %s",
            driver == ROOT_COPIED ? "copies of their image" : "their root by " FUSE_ROOT_PROGRAM,
            reason);
    return 0;
}

static int fill_copy(const struct record *record, int to_fd, struct error *err)
{
    AUTO_CLEAR(layer_fds) struct layer_fds fds = { 0 };
    int r = layer_fds_open(AT_FDCWD, &record->layers, O_RDONLY, &fds, err);

    return r < 0 ? r : copied_root_create(fds.items, fds.count, to_fd, err);
}

/* It is made at once, as it is looked into below. */
static int copy_root(struct creation *creation, struct error *err)
{
    struct record *record = creation->record;
    auto_close int root_fd = -1;
    int r;

    if (!record->is_copied)
        return 0;
    r = staging_create(creation->engine->data_fd, &creation->copy, err);
    if (r < 0)
        return r;
    if (mkdirat(creation->copy->fd, "root", 0700) < 0)
        return error_errno(err, "make a directory in staging");
    r = path_open_beneath(creation->copy->fd, "root", O_RDONLY | O_DIRECTORY, 0, &root_fd, err);
    return r < 0 ? r : fill_copy(record, root_fd, err);
}

static int open_image_root(const struct creation *creation, struct fuse_root *ret_served,
                           int *ret_fd, struct error *err)
{
    const struct record *record = creation->record;

    if (record->is_served && record->layers.count > 1)
        return fuse_root_open_image(&record->layers, ret_served, ret_fd, err);
    if (!record->is_copied)
        return image_root_open(&record->layers, ret_fd, err);
    return path_open_beneath(creation->copy->fd, "root", O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

static int resolve_user(struct creation *creation, struct error *err)
{
    const struct strings *groups = &creation->record->settings.groups;
    AUTO_CLEAR(fuse_root) struct fuse_root served = FUSE_ROOT_NONE;
    auto_close int root_fd = -1;
    int r;

    r = open_image_root(creation, &served, &root_fd, err);
    if (r < 0)
        return r;
    r = user_resolve(root_fd, text_is_empty(creation->record->user) ? "0" : creation->record->user,
                     &creation->user, &creation->home, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < groups->count; i++) {
        struct u32_list *gids = &creation->user.additional_gids;
        auto_free char *text = xasprintf("0:%s", groups->items[i]);
        struct spec_user group = { 0 };

        r = user_resolve(root_fd, text, &group, NULL, err);
        free(group.additional_gids.items);
        free(group.username);
        if (r < 0)
            return error_prefix(err, r, "--group-add '%s'", groups->items[i]);
        gids->items = xrealloc(gids->items, gids->count + 1, sizeof(*gids->items));
        gids->items[gids->count++] = group.gid;
    }
    return 0;
}

static int check_published(struct settings *settings, struct error *err)
{
    AUTO_CLEAR(strings) struct strings all = { 0 };

    for (size_t i = 0; i < settings->published.count; i++) {
        AUTO_CLEAR(publish_option) struct publish_option option = { 0 };
        int r = publish_option_parse(settings->published.items[i], &option, err);

        if (r == 0)
            r = publish_option_apply(&option, &all, err);
        if (r < 0)
            return r;
    }
    strings_clear(&settings->published);
    strings_add_all(&settings->published, &all);
    if ((settings->published.count > 0 || settings->publishes_all) &&
        !text_equal(settings->network, SLIRP_NETWORK))
        return error_set(err, EOPNOTSUPP,
                         "--publish: takes --network slirp4netns; with --network host a container "
                         "has the machine's ports");
    return 0;
}

static bool is_published(const struct settings *settings, const struct published_port *port)
{
    for (size_t i = 0; i < settings->published.count; i++) {
        struct published_port other;

        if (published_port_parse(settings->published.items[i], &other, NULL) == 0 &&
            other.port == port->port && other.is_udp == port->is_udp)
            return true;
    }
    return false;
}

/* --publish-all: a free port for each that the image or --expose tells of. */
static int publish_exposed(struct record *record, struct error *err)
{
    int r = 0;

    if (!record->settings.publishes_all)
        return 0;
    for (size_t i = 0; r == 0 && i < record->exposed_ports.count; i++) {
        AUTO_CLEAR(publish_option) struct publish_option option = { 0 };

        r = publish_option_parse(record->exposed_ports.items[i], &option, err);
        if (r == 0 && !is_published(&record->settings, &option.ports[0]))
            r = publish_option_apply(&option, &record->settings.published, err);
    }
    return r;
}

/* An ordinary user's containers get what he may have, if nothing else was asked for. */
static int choose_network(struct settings *settings, struct error *err)
{
    auto_free char *obstacle = NULL;

    if (text_equal(settings->network, SLIRP_NETWORK)) {
        obstacle = slirp_find_obstacle();
        return obstacle != NULL ? error_set(err, EOPNOTSUPP, "--network: %s", obstacle) : 0;
    }
    if (text_is_empty(settings->network) && rootless_session_is_on()) {
        free(settings->network);
        settings->network = engine_default_network(&obstacle);
    }
    if ((settings->published.count > 0 || settings->publishes_all) && obstacle != NULL)
        return error_set(err, EOPNOTSUPP, "--publish: %s", obstacle);
    return 0;
}

static int resolve(struct creation *creation, const struct settings *settings, struct error *err)
{
    struct settings *own = &creation->record->settings;
    auto_free char *owner_hostname = NULL;
    int r;

    r = check_settings(own, err);
    if (r < 0)
        return r;
    if (bundle_has_user_namespace(own) && rootless_session_is_on())
        return error_set(err, EOPNOTSUPP,
                         "--userns auto: an ordinary user's containers are in his user namespace "
                         "already");
    r = choose_network(own, err);
    if (r == 0)
        r = check_published(own, err);
    if (r < 0)
        return r;
    r = joined_resolve(creation->engine, "--pid", &own->pid_mode, err);
    if (r == 0)
        r = joined_resolve(creation->engine, "--ipc", &own->ipc_mode, err);
    if (r == 0)
        r = joined_resolve(creation->engine, "--network", &own->network, err);
    if (r == 0)
        r = joined_check(own, err);
    if (r < 0)
        return r;
    r = find_image(creation, settings, err);
    if (r < 0)
        return r;
    r = resolve_mounts(creation->engine, own, err);
    if (r < 0)
        return r;
    r = host_facts_collect(creation->engine, own, &creation->facts, err);
    if (r < 0)
        return r;
    r = joined_hostname(creation->engine, own, &owner_hostname, err);
    if (r < 0)
        return r;
    r = bundle_merge(creation->record, &creation->image->config,
                     owner_hostname != NULL ? owner_hostname : creation->facts.hostname, err);
    if (r < 0)
        return r;
    r = publish_exposed(creation->record, err);
    if (r < 0)
        return r;
    r = volumes_plan(creation->engine, own, err);
    if (r < 0)
        return r;
    r = plan_cgroup_path(creation, err);
    if (r < 0)
        return r;
    r = choose_driver(creation, err);
    if (r == 0)
        r = copy_root(creation, err);
    if (r < 0)
        return r;
    return resolve_user(creation, err);
}

static int plan(struct creation *creation, struct strings *ret_warnings, struct error *err)
{
    struct record *record = creation->record;
    struct bundle_input input;

    strings_add_all(&creation->snapshot.lower, &record->layers);
    creation->snapshot.upper = path_join(creation->container_path, "upper");
    creation->snapshot.work = path_join(creation->container_path, "work");
    creation->snapshot.is_volatile = record->settings.is_removed;
    creation->snapshot.has_user_attributes = rootless_session_is_on();
    input = (struct bundle_input){
        .record = record,
        .snapshot = &creation->snapshot,
        .facts = &creation->facts,
        .container_path = creation->container_path,
        .user = &creation->user,
        .home = creation->home == NULL ? "/" : creation->home,
        .erofs_path = creation->erofs_path,
        .disk_path = creation->disk_path,
    };
    int r;

    r = bundle_plan(&input, &creation->spec, ret_warnings, err);
    if (r == 0 && rootless_session_is_on())
        rootless_session_adapt(creation->spec, record->settings.groups.count > 0);
    return r;
}

/* --- acting ------------------------------------------------------------------------------------
 */

static int write_text(int dir_fd, const char *name, const char *text, struct error *err)
{
    return file_create(dir_fd, name, text, strlen(text), 0644, err);
}

/* From those of the machine. One without them gives empty ones. */
static int write_own_files(const struct record *record, int dir_fd, struct error *err)
{
    auto_free char *hosts = NULL;
    auto_free char *host_hosts = NULL;
    auto_free char *resolv = NULL;
    auto_free char *own = NULL;
    auto_free char *planned = NULL;
    int r;

    if (network_is_host(&record->settings))
        (void)file_read(AT_FDCWD, "/etc/hosts", HOST_FILE_MAX, &host_hosts, NULL, NULL);
    (void)file_read(AT_FDCWD, "/etc/resolv.conf", HOST_FILE_MAX, &resolv, NULL, NULL);
    r = bundle_plan_hosts(record, host_hosts, &hosts, err);
    if (r < 0)
        return r;
    r = write_text(dir_fd, "hosts", hosts, err);
    if (r < 0)
        return r;
    if (text_equal(record->settings.network, SLIRP_NETWORK))
        own = slirp_plan_resolv_conf(resolv);
    r = resolv_conf_plan(&record->settings, own != NULL ? own : resolv, &planned, err);
    return r < 0 ? r : write_text(dir_fd, "resolv.conf", planned, err);
}

static int write_network_files(const struct creation *creation, int dir_fd, struct error *err)
{
    const struct record *record = creation->record;
    auto_free char *hostname = xasprintf("%s\n", record->hostname);
    int r = write_text(dir_fd, "hostname", hostname, err);

    if (r < 0)
        return r;
    return network_is_joined(&record->settings)
               ? joined_share_files(creation->engine, &record->settings, dir_fd, err)
               : write_own_files(record, dir_fd, err);
}

/* The layers are shown with shifted ids, the writable directory is not: it belongs to the
 * container's root from the beginning. */
static int shift_upper(const struct creation *creation, int dir_fd, struct error *err)
{
    const struct record *record = creation->record;
    uint32_t base = bundle_user_base(record);
    struct stat status;

    if (!bundle_has_user_namespace(&record->settings))
        return 0;
    if (fstatat(dir_fd, "upper", &status, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "examine the writable directory");
    if (fchownat(dir_fd, "upper", status.st_uid + base, status.st_gid + base, AT_SYMLINK_NOFOLLOW) <
            0 ||
        fchownat(dir_fd, "work", base, base, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "give the writable directory to user %u", base);
    return 0;
}

/* The directory work/ only tells when the copy was done (copied_root_changes()). */
static int place_copy(const struct creation *creation, int dir_fd, struct error *err)
{
    if (renameat(creation->copy->fd, "root", dir_fd, "upper") < 0)
        return error_errno(err, "move the copy of the image to the container");
    return mkdirat(dir_fd, "work", 0700) < 0 ? error_errno(err, "make the directory 'work'") : 0;
}

static int fill_directory(const struct creation *creation, int dir_fd, struct error *err)
{
    auto_free char *spec = spec_encode(creation->spec, ENCODE_COMPACT);
    int r;

    r = record_write(dir_fd, creation->record, true, err);
    if (r < 0)
        return r;
    r = write_network_files(creation, dir_fd, err);
    if (r < 0)
        return r;
    if (mkdirat(dir_fd, "bundle", 0700) < 0 || mkdirat(dir_fd, "bundle/rootfs", 0755) < 0)
        return error_errno(err, "make the bundle's directory");
    r = file_create(dir_fd, "bundle/config.json", spec, strlen(spec), 0600, err);
    if (r < 0)
        return r;
    if (creation->disk_path != NULL) {
        auto_free char *path = xasprintf("%s/containers/.new-%s/" VM_DISK_FILE,
                                         creation->engine->data_path, creation->record->id);

        r = vm_disk_create(dir_fd, path, err);
        if (r < 0)
            return r;
    }
    if (creation->record->is_copied)
        return place_copy(creation, dir_fd, err);
    r = snapshot_create_upper(dir_fd, &creation->snapshot, err);
    return r < 0 ? r : shift_upper(creation, dir_fd, err);
}

static int make_directory(const struct creation *creation, struct error *err)
{
    const char *id = creation->record->id;
    int data_fd = creation->engine->data_fd;
    auto_free char *hidden = xasprintf("containers/.new-%s", id);
    auto_free char *visible = xasprintf("containers/%s", id);
    auto_close int dir_fd = -1;
    int r;

    if (mkdirat(data_fd, hidden, 0710) < 0)
        return error_errno(err, "make directory '%s'", hidden);
    dir_fd = openat(data_fd, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    r = dir_fd < 0 ? error_errno(err, "open directory '%s'", hidden)
                   : fill_directory(creation, dir_fd, err);
    if (r == 0 && renameat(data_fd, hidden, data_fd, visible) < 0)
        r = error_errno(err, "make container %.12s visible", id);
    if (r < 0)
        (void)path_remove_tree(data_fd, hidden, NULL); /* repair finds what stays */
    return r;
}

static int apply(const struct creation *creation, struct error *err)
{
    struct record *record = creation->record;
    auto_close int volumes_fd = -1;
    int r = 0;

    /* Volumes that are there must not be pruned before the record says who uses them. */
    if (volumes_are_used(record))
        r = volumes_lock(creation->engine, false, &volumes_fd, err);
    if (r < 0)
        return r;
    if (text_is_empty(record->settings.name))
        r = container_name_generate(creation->engine, record->id, &record->name, err);
    else
        r = container_name_take(creation->engine, record->settings.name, record->id, err);
    if (r < 0)
        return r;
    if (record->name == NULL)
        record->name = xstrdup(record->settings.name);
    r = make_directory(creation, err);
    if (r < 0) {
        container_name_drop(creation->engine, record->name, record->id);
        return r;
    }
    r = volumes_ensure(creation->engine, record, err);
    if (volumes_fd >= 0)
        close(take_fd(&volumes_fd)); /* removing needs the lock exclusively */
    if (r < 0)
        (void)engine_remove_claimed(creation->engine, record->id, true, NULL);
    return r;
}

int engine_create(struct engine *engine, const struct settings *settings, char **ret_id,
                  struct strings *ret_warnings, struct error *err)
{
    AUTO_CLEAR(creation) struct creation creation = { .engine = engine, .groups_fd = -1 };
    AUTO_CLEAR(strings) struct strings warnings = { 0 };
    struct timespec now;
    auto_close int lock_fd = -1;
    int claim_fd = -1;
    int r;

    assert(ret_id != NULL);

    creation.record = xcalloc(1, sizeof(*creation.record));
    (void)clock_gettime(CLOCK_REALTIME, &now);
    creation.record->id = text_random_hex(CONTAINER_ID_LENGTH);
    creation.record->created = now.tv_sec;
    creation.record->created_ns = (uint32_t)now.tv_nsec;
    creation.container_path = xasprintf("%s/containers/%s", engine->data_path, creation.record->id);
    r = copy_settings(settings, &creation.record->settings, err);
    /* Until the record can be read, nothing else keeps rmi from sweeping the image's layers. */
    if (r == 0)
        r = layers_lock(engine->data_fd, false, UINT32_MAX, &lock_fd, err);
    if (r < 0)
        return r;
    r = resolve(&creation, settings, err);
    if (r < 0)
        return r;
    r = prepare_vm(&creation, &warnings, err);
    if (r == 0)
        r = plan(&creation, &warnings, err);
    if (r < 0)
        return r;
    /* The id is new, but a command that repairs may see the lock file before it is locked. */
    r = claim_take(engine, creation.record->id, CLAIM_WAIT_MS, &claim_fd, err);
    if (r < 0)
        return r;
    r = apply(&creation, err);
    if (r < 0) {
        claim_drop(engine, creation.record->id, &claim_fd);
        return r;
    }
    engine_keep_reservation(engine, creation.record->id, claim_fd);
    if (ret_warnings != NULL)
        strings_add_all(ret_warnings, &warnings);
    *ret_id = take_ptr(&creation.record->id);
    return 0;
}
