#include "runtime/mount_plan.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "base/log.h"
#include "base/path.h"
#include "runtime/idmap_option.h"
#include "runtime/sysctls.h"

/* A device directory of our own when the configuration mounts none: nodes are never made in the
 * image's /dev, where links may lie in wait. As in the default configuration. */
static const char *const implied_dev_words[] = { "nosuid", "strictatime", "mode=755",
                                                 "size=65536k" };

static const struct type_kind {
    const char *type;
    enum mount_kind kind;
} type_kinds[] = {
    { "bind", MOUNT_BIND },      { "rbind", MOUNT_BIND },         { "overlay", MOUNT_OVERLAY },
    { "tmpfs", MOUNT_TMPFS },    { "proc", MOUNT_PROC },          { "sysfs", MOUNT_SYSFS },
    { "devpts", MOUNT_DEVPTS },  { "cgroup", MOUNT_CGROUP },      { "cgroup2", MOUNT_CGROUP },
    { "mqueue", MOUNT_KERNEL },  { "debugfs", MOUNT_KERNEL },     { "tracefs", MOUNT_KERNEL },
    { "ramfs", MOUNT_KERNEL },   { "securityfs", MOUNT_KERNEL },  { "hugetlbfs", MOUNT_KERNEL },
    { "fusectl", MOUNT_KERNEL }, { "configfs", MOUNT_KERNEL },    { "pstore", MOUNT_KERNEL },
    { "bpf", MOUNT_KERNEL },     { "binfmt_misc", MOUNT_KERNEL }, { "devtmpfs", MOUNT_KERNEL },
};

char *mount_step_name(const struct mount_step *step, char *buffer)
{
    int r = step->index == MOUNT_STEP_IMPLIED
                ? snprintf(buffer, MOUNT_STEP_NAME_MAX, "'/%s'", step->destination)
                : snprintf(buffer, MOUNT_STEP_NAME_MAX, "mounts[%zu] on '/%s'", step->index,
                           step->destination);

    if (r < 0)
        buffer[0] = '\0';
    return buffer;
}

static enum mount_kind find_kind(const struct spec_mount *mount,
                                 const struct mount_options *options)
{
    if (options->is_bind)
        return MOUNT_BIND;
    for (size_t i = 0; mount->type != NULL && i < ARRAY_SIZE(type_kinds); i++) {
        if (strcmp(type_kinds[i].type, mount->type) == 0)
            return type_kinds[i].kind;
    }
    return MOUNT_OTHER;
}

/* "/dev/./pts/" -> "dev/pts"; a relative destination is below "/" (config.md "Mounts"). */
/* What of a clean path is below the root's, as a path on the host; NULL: not below it. */
static const char *below_root(const char *root_path, const char *path)
{
    auto_free char *root = path_clean(root_path);
    size_t length = strlen(root);

    if (length < 2 || strncmp(path, root, length) != 0 || path[length] != '/')
        return NULL;
    return path + length + 1;
}

/* As with runc, a destination that names the place on the host means the place in the root. */
static char *clean_destination(const char *root_path, const char *destination)
{
    auto_free char *absolute = xasprintf("/%s", destination);
    auto_free char *clean = path_clean(absolute);
    const char *below = below_root(root_path, clean);

    return xstrdup(below != NULL ? below : clean + 1);
}

static char *absolute_path(const char *directory, const char *path)
{
    return path[0] == '/' ? xstrdup(path) : path_join(directory, path);
}

/* The first word of the file system's that has no value; NULL: none. */
static const char *first_word(const struct mount_options *options)
{
    for (size_t i = 0; i < options->data_count; i++) {
        if (strchr(options->data[i], '=') == NULL)
            return options->data[i];
    }
    return NULL;
}

/* Options such as "mode=755" are the file system's, which is mounted already: mount(2) ignores them
 * for a bind, and callers that give all mounts the same rely on that. A word alone may be a
 * mistyped one, without which the mount would have rights that were not meant. */
static void drop_data(struct mount_step *step)
{
    for (size_t i = 0; i < step->options.data_count; i++)
        log_warning("mounts[%zu].options: '%s' has no effect on a bind mount, going on without",
                    step->index, step->options.data[i]);
    step->options.data_count = 0;
}

static int check_bind(const struct mount_step *step, const struct spec_mount *mount,
                      struct error *err)
{
    const struct mount_options *options = &step->options;

    if (text_is_empty(mount->source))
        return error_set(err, EINVAL, "mounts[%zu].source: a bind mount needs one", step->index);
    if (first_word(options) != NULL)
        return error_set(err, EINVAL,
                         "mounts[%zu].options: bind mounts cannot have any filesystem-specific "
                         "options applied: '%s'",
                         step->index, first_word(options));
    if (options->copies_link && (options->keeps_source_link || options->keeps_destination_link))
        return error_set(err, EINVAL,
                         "mounts[%zu].options: 'copy-symlink' excludes 'src-nofollow' and "
                         "'dest-nofollow'",
                         step->index);
    if (options->has_copy_up)
        return error_set(err, EINVAL, "mounts[%zu].options: 'tmpcopyup' is for tmpfs only",
                         step->index);
    return 0;
}

static int check_file_system(const struct mount_step *step, struct error *err)
{
    if (step->options.copies_link || step->options.keeps_source_link)
        return error_set(
            err, EINVAL,
            "mounts[%zu].options: 'copy-symlink' and 'src-nofollow' are for binds only",
            step->index);
    if (text_is_empty(step->type))
        return error_set(err, EINVAL,
                         "mounts[%zu].type: missing, and 'bind' is not among the options",
                         step->index);
    if (step->options.has_copy_up && step->kind != MOUNT_TMPFS)
        return error_set(err, EINVAL, "mounts[%zu].options: 'tmpcopyup' is for tmpfs only",
                         step->index);
    return 0;
}

/* What may be put over files of /proc: statistics that lxcfs shows per container (as runc).
 * Anything else could stand in for a file that somebody later writes a label or a limit to. */
static const char *const proc_exceptions[] = {
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/meminfo",
    "proc/stat",
    "proc/swaps",
    "proc/uptime",
    "proc/loadavg",
    "proc/slabinfo",
    "proc/net/dev",
    "proc/sys/kernel/ns_last_pid",
    "proc/sys/crypto/fips_enabled",
};

static int check_inside_proc(const struct mount_step *step, struct error *err)
{
    if (!text_starts(step->destination, "proc/"))
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(proc_exceptions); i++) {
        if (strcmp(proc_exceptions[i], step->destination) == 0)
            return 0;
    }
    return error_set(err, EINVAL,
                     "mounts[%zu].destination: '/%s' cannot be mounted because it is inside /proc",
                     step->index, step->destination);
}

/* Group 5 ("tty") exists in a user namespace only if it is mapped; the option would be refused. */
static bool has_group(const struct spec *spec, const char *digits)
{
    const struct spec_namespace *user = spec_find_namespace(spec, "user");
    const struct spec_id_mappings *mappings = &spec->linux_.gid_mappings;
    uint64_t gid = 0;

    if (user == NULL)
        return true;
    if (!text_is_empty(user->path) || text_parse_u64(digits, "gid", UINT32_MAX, &gid, NULL) < 0)
        return false;
    for (size_t i = 0; i < mappings->count; i++) {
        if (gid >= mappings->items[i].container_id &&
            gid - mappings->items[i].container_id < mappings->items[i].size)
            return true;
    }
    return false;
}

static void drop_unknown_group(const struct spec *spec, struct mount_options *options)
{
    size_t kept = 0;

    for (size_t i = 0; i < options->data_count; i++) {
        if (!text_starts(options->data[i], "gid=") ||
            has_group(spec, options->data[i] + strlen("gid=")))
            options->data[kept++] = options->data[i];
    }
    options->data_count = kept;
}

static int check_id_map(const struct mount_step *step, struct error *err)
{
    if (step->uid_mappings->count == 0 || step->gid_mappings->count == 0)
        return error_set(err, EINVAL, "mounts[%zu]: 'idmap' needs uidMappings and gidMappings",
                         step->index);
    /* Their files belong to nobody in particular, and the kernel cannot map them. */
    if (step->kind == MOUNT_PROC || step->kind == MOUNT_SYSFS || step->kind == MOUNT_CGROUP ||
        step->kind == MOUNT_DEVPTS)
        return error_set(err, EOPNOTSUPP, "mounts[%zu]: '%s' cannot be id-mapped", step->index,
                         step->type);
    return 0;
}

/* "idmap" without mappings means those of the container's user namespace (config.md "Mounts"). */
static int plan_id_map(const struct spec *spec, const struct spec_mount *mount,
                       struct mount_step *step, struct error *err)
{
    bool has_maps = mount->uid_mappings.count > 0 || mount->gid_mappings.count > 0;

    int r;

    if (!step->options.has_id_map && !has_maps)
        return 0;
    if (step->options.id_map != NULL) {
        if (has_maps)
            return error_set(err, EINVAL,
                             "mounts[%zu].options: mappings are given twice, 'idmap=%s' too",
                             step->index, step->options.id_map);
        step->own_mappings = xcalloc(2, sizeof(step->own_mappings[0]));
        r = idmap_option_parse(step->options.id_map, &spec->linux_, &step->own_mappings[0],
                               &step->own_mappings[1], err);
        if (r < 0)
            return error_prefix(err, r, "mounts[%zu].options: 'idmap=%s'", step->index,
                                step->options.id_map);
        step->uid_mappings = &step->own_mappings[0];
        step->gid_mappings = &step->own_mappings[1];
        return check_id_map(step, err);
    }
    step->uid_mappings = has_maps ? &mount->uid_mappings : &spec->linux_.uid_mappings;
    step->gid_mappings = has_maps ? &mount->gid_mappings : &spec->linux_.gid_mappings;
    return check_id_map(step, err);
}

/* Mounts that are attached nowhere have neither peers nor masters. */
static int check_propagations(const struct spec *spec, const struct mount_step *step,
                              struct error *err)
{
    if (spec_find_namespace(spec, "mount") != NULL)
        return 0;
    for (size_t i = 0; i < step->options.propagation_count; i++) {
        if (step->options.propagations[i].flag != MS_PRIVATE)
            return error_set(err, EINVAL,
                             "mounts[%zu].options: propagation other than private needs a mount "
                             "namespace",
                             step->index);
    }
    return 0;
}

static int plan_step(const struct rootfs_plan *plan, size_t index, const char *bundle_path,
                     struct mount_step *ret_step, struct error *err)
{
    const struct spec *spec = plan->spec;
    const struct spec_mount *mount = &spec->mounts.items[index];
    struct mount_step *step = ret_step;
    int r;

    step->index = index;
    step->mount_fd = -1;
    step->type = mount->type;
    if (text_is_empty(mount->destination))
        return error_set(err, EINVAL, "mounts[%zu].destination: missing", index);
    step->destination = clean_destination(plan->root_path, mount->destination);
    r = mount_options_parse(&mount->options, &step->options, err);
    if (r < 0)
        return error_prefix(err, r, "mounts[%zu].options", index);
    step->kind = find_kind(mount, &step->options);
    r = check_propagations(spec, step, err);
    if (r == 0)
        r = check_inside_proc(step, err);
    if (r < 0)
        return r;
    if (step->kind == MOUNT_BIND) {
        r = check_bind(step, mount, err);
        if (r < 0)
            return r;
        drop_data(step);
        /* A type of "rbind" alone means the same as the option. */
        if (!step->options.is_bind)
            step->options.is_bind_recursive = text_equal(mount->type, "rbind");
        step->source = absolute_path(bundle_path, mount->source);
        if (path_is_normal(step->source) && !step->options.copies_link)
            step->inside = below_root(plan->root_path, step->source);
    } else {
        r = check_file_system(step, err);
        if (r < 0)
            return r;
        step->source = xstrdup(text_is_empty(mount->source) ? mount->type : mount->source);
        if (step->kind == MOUNT_DEVPTS)
            drop_unknown_group(spec, &step->options);
    }
    return plan_id_map(spec, mount, step, err);
}

/* A mount in which later steps still make things becomes read-only at the very end. */
static void mark_step(struct mount_step *step)
{
    bool is_read_only = (step->options.attr_set & MOUNT_ATTR_RDONLY) != 0;

    step->is_dev = strcmp(step->destination, "dev") == 0 && step->kind != MOUNT_BIND;
    step->is_pts = strcmp(step->destination, "dev/pts") == 0 && step->kind == MOUNT_DEVPTS;
    if (is_read_only && (step->kind == MOUNT_TMPFS || step->is_dev)) {
        step->is_late_read_only = true;
        step->options.attr_set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
    }
}

static void free_step(struct mount_step *step)
{
    auto_close_cleanup(&step->mount_fd);
    free(step->destination);
    free(step->source);
    mount_options_clear(&step->options);
    for (size_t i = 0; step->own_mappings != NULL && i < 2; i++)
        free(step->own_mappings[i].items);
    free(step->own_mappings);
    free(step->link_text);
}

static int add_overlay(struct rootfs_plan *plan, struct mount_step *step, struct error *err)
{
    if (step->kind != MOUNT_OVERLAY)
        return error_set(err, EINVAL,
                         "mounts[%zu].destination: only an overlay can be mounted on '/'",
                         step->index);
    if (plan->overlay != NULL)
        return error_set(err, EINVAL, "mounts[%zu].destination: '/' is mounted twice", step->index);
    if ((step->options.attr_set & MOUNT_ATTR_RDONLY) != 0) {
        step->options.attr_set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
        plan->is_read_only = true;
    }
    plan->overlay = xmemdup(step, sizeof(*step));
    *step = (struct mount_step){ .mount_fd = -1 };
    return 0;
}

static void add_implied_dev(struct rootfs_plan *plan)
{
    struct mount_step *step = &plan->steps[plan->step_count++];
    struct strings words = { 0 };

    /* The words are static, so they may be borrowed beyond the list; so they are not copied. */
    words.items = (char **)implied_dev_words;
    words.count = ARRAY_SIZE(implied_dev_words);
    (void)mount_options_parse(&words, &step->options, NULL); /* known words only */
    step->index = MOUNT_STEP_IMPLIED;
    step->mount_fd = -1;
    step->kind = MOUNT_TMPFS;
    step->type = "tmpfs";
    step->destination = xstrdup("dev");
    step->source = xstrdup("tmpfs");
    mark_step(step);
}

static bool needs_implied_dev(const struct rootfs_plan *plan)
{
    const struct spec *spec = plan->spec;

    for (size_t i = 0; i < spec->mounts.count; i++) {
        auto_free char *destination = NULL;

        if (text_is_empty(spec->mounts.items[i].destination))
            continue; /* an error soon */
        destination = clean_destination(plan->root_path, spec->mounts.items[i].destination);
        if (strcmp(destination, "dev") == 0)
            return false;
    }
    return true;
}

static int plan_mounts(struct rootfs_plan *plan, const char *bundle_path, struct error *err)
{
    const struct spec *spec = plan->spec;
    int r;

    plan->steps = xcalloc(spec->mounts.count + 1, sizeof(plan->steps[0]));
    if (needs_implied_dev(plan))
        add_implied_dev(plan);
    for (size_t i = 0; i < spec->mounts.count; i++) {
        struct mount_step *step = &plan->steps[plan->step_count];

        r = plan_step(plan, i, bundle_path, step, err);
        if (r == 0 && step->destination[0] == '\0') {
            r = add_overlay(plan, step, err);
            if (r == 0)
                continue;
        }
        /* Counted also on error, so that it is freed with the others. */
        plan->step_count++;
        if (r < 0)
            return r;
        mark_step(step);
        if (step->kind == MOUNT_BIND && strcmp(step->destination, "dev") == 0)
            plan->has_dev_of_config = true;
    }
    return 0;
}

static int plan_root(struct rootfs_plan *plan, const char *bundle_path, struct error *err)
{
    const struct spec *spec = plan->spec;
    const char *propagation = spec->linux_.rootfs_propagation;
    int r;

    if (spec->root == NULL || text_is_empty(spec->root->path))
        return error_set(err, EINVAL, "root.path: missing");
    plan->root_path = absolute_path(bundle_path, spec->root->path);
    plan->is_read_only = spec->root->readonly;
    if (text_is_empty(propagation))
        return 0;
    r = mount_propagation_parse(propagation, &plan->propagation, err);
    if (r < 0)
        return error_prefix(err, r, "linux.rootfsPropagation");
    if (plan->propagation.flag != MS_PRIVATE && spec_find_namespace(spec, "mount") == NULL)
        return error_set(err, EINVAL, "linux.rootfsPropagation: '%s' needs a mount namespace",
                         propagation);
    plan->has_propagation = true;
    return 0;
}

static int check_devices(const struct spec *spec, struct error *err)
{
    for (size_t i = 0; i < spec->linux_.devices.count; i++) {
        const struct spec_device *device = &spec->linux_.devices.items[i];

        if (text_is_empty(device->type) || device->type[1] != '\0' ||
            strchr("cubp", device->type[0]) == NULL)
            return error_set(err, EINVAL, "linux.devices[%zu].type: '%s' is not one of c, u, b, p",
                             i, device->type == NULL ? "" : device->type);
        if (text_is_empty(device->path) || device->path[0] != '/')
            return error_set(err, EINVAL, "linux.devices[%zu].path: must be absolute", i);
    }
    return 0;
}

int rootfs_plan(const struct spec *spec, const char *bundle_path, struct rootfs_plan **ret_plan,
                struct error *err)
{
    AUTO(rootfs_plan) struct rootfs_plan *plan = xcalloc(1, sizeof(*plan));
    int r;

    assert(spec != NULL);
    assert(bundle_path != NULL);
    assert(ret_plan != NULL);

    plan->spec = spec;
    plan->root_mount_fd = -1;
    plan->has_pid_namespace = spec_find_namespace(spec, "pid") != NULL;
    plan->has_user_namespace = spec_find_namespace(spec, "user") != NULL;
    r = plan_root(plan, bundle_path, err);
    if (r < 0)
        return r;
    r = plan_mounts(plan, bundle_path, err);
    if (r < 0)
        return r;
    r = check_devices(spec, err);
    if (r < 0)
        return r;
    r = sysctls_check(spec, err);
    if (r < 0)
        return r;
    *ret_plan = take_ptr(&plan);
    return 0;
}

void rootfs_plan_free(struct rootfs_plan *plan)
{
    if (plan == NULL)
        return;
    for (size_t i = 0; i < plan->step_count; i++)
        free_step(&plan->steps[i]);
    if (plan->overlay != NULL)
        free_step(plan->overlay);
    auto_close_cleanup(&plan->root_mount_fd);
    free(plan->overlay);
    free(plan->steps);
    free(plan->root_path);
    free(plan->label);
    free(plan);
}
