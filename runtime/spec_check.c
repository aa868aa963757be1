#include "runtime/spec.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <string.h>

#include "base/auto.h"
#include "runtime/process_setup.h"
#include "runtime/rdt.h"

/* What field tables cannot say about config.json; pure. Options of mounts, propagation and sysctls
 * are checked where their tables are, by rootfs_plan(). The runtime-spec is meant where a comment
 * says "the specification". */

#define ID_MAX       4294967294u /* 4294967295 is -1, which means "no change" to setresuid(2) */
#define UMASK_MAX    0777u
#define MAPPINGS_MAX 340  /* lines of /proc/PID/uid_map (user_namespaces(7)) */
#define MAJOR_MAX    4095 /* the kernel's dev_t: 12 and 20 bits */
#define MINOR_MAX    1048575

static bool is_absolute(const char *path)
{
    return path != NULL && path[0] == '/';
}

static bool is_word(const char *const *words, const char *word)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (text_equal(words[i], word))
            return true;
    }
    return false;
}

static int check_absolute_list(const struct strings *paths, const char *member, struct error *err)
{
    for (size_t i = 0; i < paths->count; i++) {
        if (!is_absolute(paths->items[i]))
            return error_set(err, EINVAL, "%s[%zu]: '%s' must be absolute", member, i,
                             paths->items[i]);
    }
    return 0;
}

/* --- process ---------------------------------------------------------------------------------- */

static int check_user(const struct spec_user *user, struct error *err)
{
    if (user->uid > ID_MAX)
        return error_set(err, EINVAL, "process.user.uid: %u is out of range", user->uid);
    if (user->gid > ID_MAX)
        return error_set(err, EINVAL, "process.user.gid: %u is out of range", user->gid);
    if (user->has_umask && user->umask > UMASK_MAX)
        return error_set(err, EINVAL, "process.user.umask: %u is larger than 0777", user->umask);
    for (size_t i = 0; i < user->additional_gids.count; i++) {
        if (user->additional_gids.items[i] > ID_MAX)
            return error_set(err, EINVAL, "process.user.additionalGids[%zu]: %u is out of range", i,
                             user->additional_gids.items[i]);
    }
    return 0;
}

static int check_environment(const struct strings *env, const char *member, struct error *err)
{
    for (size_t i = 0; i < env->count; i++) {
        const char *equals = strchr(env->items[i], '=');

        if (equals == NULL || equals == env->items[i])
            return error_set(err, EINVAL, "%s[%zu]: '%s' is not NAME=VALUE", member, i,
                             env->items[i]);
    }
    return 0;
}

int spec_process_check(const struct spec_process *process, struct error *err)
{
    int r;

    assert(process != NULL);

    if (!is_absolute(process->cwd))
        return error_set(err, EINVAL, "process.cwd: '%s' must be absolute",
                         process->cwd != NULL ? process->cwd : "");
    if (process->args.count == 0)
        return error_set(err, EINVAL, "process.args: is empty, there is no program to run");
    if (process->args.items[0][0] == '\0')
        return error_set(err, EINVAL, "process.args[0]: is empty, there is no program to run");
    if (process->has_oom_score_adj &&
        (process->oom_score_adj < -1000 || process->oom_score_adj > 1000))
        return error_set(err, EINVAL, "process.oomScoreAdj: %d is not from -1000 to 1000",
                         process->oom_score_adj);
    r = check_user(&process->user, err);
    if (r == 0)
        r = check_environment(&process->env, "process.env", err);
    if (r == 0)
        r = rlimits_check(&process->rlimits, err);
    if (r == 0)
        r = process_scheduling_check(process, err);
    return r;
}

/* --- mounts, hooks ---------------------------------------------------------------------------- */

static int check_mappings(const struct spec_id_mappings *mappings, const char *member,
                          struct error *err)
{
    if (mappings->count > MAPPINGS_MAX)
        return error_set(err, EINVAL, "%s: %zu mappings are more than the %d the kernel takes",
                         member, mappings->count, MAPPINGS_MAX);
    for (size_t i = 0; i < mappings->count; i++) {
        const struct spec_id_mapping *mapping = &mappings->items[i];
        const uint64_t ids = (uint64_t)ID_MAX + 1;

        if (mapping->size == 0)
            return error_set(err, EINVAL, "%s[%zu].size: must not be 0", member, i);
        if ((uint64_t)mapping->container_id + mapping->size > ids ||
            (uint64_t)mapping->host_id + mapping->size > ids)
            return error_set(err, EINVAL, "%s[%zu]: reaches beyond the largest id %u", member, i,
                             ID_MAX);
    }
    return 0;
}

static int check_mount(const struct spec_mount *mount, size_t index, struct error *err)
{
    auto_free char *uid_member = NULL;
    auto_free char *gid_member = NULL;
    int r;

    /* Relative to "/" since the specification 1.2. */
    if (text_is_empty(mount->destination))
        return error_set(err, EINVAL, "mounts[%zu].destination: is empty", index);
    if ((mount->uid_mappings.count > 0) != (mount->gid_mappings.count > 0))
        return error_set(err, EINVAL, "mounts[%zu]: uidMappings and gidMappings belong together",
                         index);
    if (mount->uid_mappings.count == 0)
        return 0;
    uid_member = xasprintf("mounts[%zu].uidMappings", index);
    gid_member = xasprintf("mounts[%zu].gidMappings", index);
    r = check_mappings(&mount->uid_mappings, uid_member, err);
    return r < 0 ? r : check_mappings(&mount->gid_mappings, gid_member, err);
}

int spec_mounts_check(const struct spec_mounts *mounts, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < mounts->count && r == 0; i++)
        r = check_mount(&mounts->items[i], i, err);
    return r;
}

static int check_hook_list(const struct spec_hook_list *hooks, const char *kind, struct error *err)
{
    for (size_t i = 0; i < hooks->count; i++) {
        const struct spec_hook *hook = &hooks->items[i];
        auto_free char *env_member = xasprintf("hooks.%s[%zu].env", kind, i);
        int r;

        if (!is_absolute(hook->path))
            return error_set(err, EINVAL, "hooks.%s[%zu].path: '%s' must be absolute", kind, i,
                             hook->path);
        if (hook->has_timeout && hook->timeout <= 0)
            return error_set(err, EINVAL, "hooks.%s[%zu].timeout: %d is not larger than 0", kind, i,
                             hook->timeout);
        r = check_environment(&hook->env, env_member, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_hooks(const struct spec_hooks *hooks, struct error *err)
{
    const struct {
        const char *kind;
        const struct spec_hook_list *list;
    } lists[] = {
        { "prestart", &hooks->prestart },
        { "createRuntime", &hooks->create_runtime },
        { "createContainer", &hooks->create_container },
        { "startContainer", &hooks->start_container },
        { "poststart", &hooks->poststart },
        { "poststop", &hooks->poststop },
    };
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(lists) && r == 0; i++)
        r = check_hook_list(lists[i].list, lists[i].kind, err);
    return r;
}

/* --- namespaces ------------------------------------------------------------------------------- */

static int check_namespaces(const struct spec *spec, struct error *err)
{
    static const char *const types[] = { "pid",  "network", "mount", "ipc", "uts",
                                         "user", "cgroup",  "time",  NULL };
    const struct spec_namespaces *namespaces = &spec->linux_.namespaces;

    for (size_t i = 0; i < namespaces->count; i++) {
        const struct spec_namespace *item = &namespaces->items[i];

        if (!is_word(types, item->type))
            return error_set(err, EINVAL, "linux.namespaces[%zu].type: unknown namespace '%s'", i,
                             item->type);
        if (spec_find_namespace(spec, item->type) != item)
            return error_set(err, EINVAL, "linux.namespaces[%zu].type: '%s' is there twice", i,
                             item->type);
        if (!text_is_empty(item->path) && !is_absolute(item->path))
            return error_set(err, EINVAL, "linux.namespaces[%zu].path: '%s' must be absolute", i,
                             item->path);
    }
    return 0;
}

static int check_user_namespace(const struct spec *spec, struct error *err)
{
    const struct spec_linux *linux_ = &spec->linux_;
    const struct spec_namespace *user = spec_find_namespace(spec, "user");
    int r;

    if (user == NULL && linux_->uid_mappings.count > 0)
        return error_set(err, EINVAL, "linux.uidMappings: needs a user namespace");
    if (user == NULL && linux_->gid_mappings.count > 0)
        return error_set(err, EINVAL, "linux.gidMappings: needs a user namespace");
    if (user != NULL && text_is_empty(user->path)) {
        if (linux_->uid_mappings.count == 0)
            return error_set(err, EINVAL,
                             "linux.uidMappings: is missing, the new user namespace needs it");
        if (linux_->gid_mappings.count == 0)
            return error_set(err, EINVAL,
                             "linux.gidMappings: is missing, the new user namespace needs it");
    }
    r = check_mappings(&linux_->uid_mappings, "linux.uidMappings", err);
    return r < 0 ? r : check_mappings(&linux_->gid_mappings, "linux.gidMappings", err);
}

static int check_names(const struct spec *spec, struct error *err)
{
    if (spec_find_namespace(spec, "uts") != NULL)
        return 0;
    if (!text_is_empty(spec->hostname))
        return error_set(err, EINVAL, "hostname: needs a uts namespace");
    if (!text_is_empty(spec->domainname))
        return error_set(err, EINVAL, "domainname: needs a uts namespace");
    return 0;
}

static int check_time_offsets(const struct spec *spec, struct error *err)
{
    static const char *const clocks[] = { "monotonic", "boottime", NULL };
    const struct spec_time_offsets *offsets = &spec->linux_.time_offsets;
    const struct spec_namespace *time = spec_find_namespace(spec, "time");

    if (offsets->count == 0)
        return 0;
    if (time == NULL || !text_is_empty(time->path))
        return error_set(err, EINVAL, "linux.timeOffsets: needs a new time namespace");
    for (size_t i = 0; i < offsets->count; i++) {
        if (!is_word(clocks, offsets->items[i].key))
            return error_set(err, EINVAL, "linux.timeOffsets: unknown clock '%s'",
                             offsets->items[i].key);
        if (offsets->items[i].nanosecs > 999999999)
            return error_set(err, EINVAL, "linux.timeOffsets.%s.nanosecs: %u is out of range",
                             offsets->items[i].key, offsets->items[i].nanosecs);
    }
    return 0;
}

/* --- devices ---------------------------------------------------------------------------------- */

static int check_device(const struct spec_device *device, size_t index, struct error *err)
{
    static const char *const types[] = { "c", "b", "u", "p", NULL };

    if (!is_word(types, device->type))
        return error_set(err, EINVAL, "linux.devices[%zu].type: '%s' is not one of c, b, u, p",
                         index, device->type);
    if (!is_absolute(device->path))
        return error_set(err, EINVAL, "linux.devices[%zu].path: '%s' must be absolute", index,
                         device->path);
    if (text_equal(device->type, "p"))
        return 0;
    if (device->major < 0 || device->major > MAJOR_MAX)
        return error_set(err, EINVAL, "linux.devices[%zu].major: %" PRId64 " is out of range",
                         index, device->major);
    if (device->minor < 0 || device->minor > MINOR_MAX)
        return error_set(err, EINVAL, "linux.devices[%zu].minor: %" PRId64 " is out of range",
                         index, device->minor);
    return 0;
}

static int check_devices(const struct spec_devices *devices, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < devices->count && r == 0; i++)
        r = check_device(&devices->items[i], i, err);
    return r;
}

static int check_device_rules(const struct cgroup_resources *resources, struct error *err)
{
    static const char *const types[] = { "a", "b", "c", NULL };
    const struct cgroup_device_rules *rules = resources != NULL ? &resources->devices : NULL;

    for (size_t i = 0; rules != NULL && i < rules->count; i++) {
        const struct cgroup_device_rule *rule = &rules->items[i];

        if (!text_is_empty(rule->type) && !is_word(types, rule->type))
            return error_set(err, EINVAL,
                             "linux.resources.devices[%zu].type: '%s' is not one of a, b, c", i,
                             rule->type);
        if (rule->access != NULL && strspn(rule->access, "rwm") != strlen(rule->access))
            return error_set(err, EINVAL,
                             "linux.resources.devices[%zu].access: '%s' is not of r, w, m", i,
                             rule->access);
    }
    return 0;
}

static bool is_interface_name(const char *name)
{
    if (text_is_empty(name) || strlen(name) >= IF_NAMESIZE || text_equal(name, ".") ||
        text_equal(name, ".."))
        return false;
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '/' || *c == ':' || isspace((unsigned char)*c))
            return false;
    }
    return true;
}

/* In a new name one "%d" stands for a number that is free there. */
static bool is_interface_template(const char *name)
{
    const char *percent = strchr(name, '%');

    return is_interface_name(name) &&
           (percent == NULL || (percent[1] == 'd' && strchr(percent + 1, '%') == NULL));
}

static const char *new_name(const struct spec_net_device *device)
{
    return text_is_empty(device->name) ? device->key : device->name;
}

static bool is_same_new_name(const struct spec_net_device *a, const struct spec_net_device *b)
{
    return strchr(new_name(a), '%') == NULL && text_equal(new_name(a), new_name(b));
}

static int check_net_devices(const struct spec *spec, struct error *err)
{
    const struct spec_net_devices *devices = &spec->linux_.net_devices;

    if (devices->count > 0 && spec_find_namespace(spec, "network") == NULL)
        return error_set(err, EINVAL, "linux.netDevices: needs a network namespace");
    for (size_t i = 0; i < devices->count; i++) {
        const struct spec_net_device *device = &devices->items[i];

        if (!is_interface_name(device->key))
            return error_set(err, EINVAL, "linux.netDevices: '%s' is not the name of an interface",
                             device->key);
        if (!text_is_empty(device->name) && !is_interface_template(device->name))
            return error_set(err, EINVAL,
                             "linux.netDevices.%s.name: '%s' is not the name of an interface",
                             device->key, device->name);
        for (size_t j = 0; j < i; j++) {
            if (is_same_new_name(device, &devices->items[j]))
                return error_set(err, EINVAL,
                                 "linux.netDevices.%s.name: '%s' is given to another one too",
                                 device->key, new_name(device));
        }
    }
    return 0;
}

/* --- the document ----------------------------------------------------------------------------- */

static int check_linux(const struct spec *spec, struct error *err)
{
    const struct spec_linux *linux_ = &spec->linux_;
    int r;

    r = check_namespaces(spec, err);
    if (r == 0)
        r = check_user_namespace(spec, err);
    if (r == 0)
        r = check_names(spec, err);
    if (r == 0)
        r = check_time_offsets(spec, err);
    if (r == 0)
        r = check_devices(&linux_->devices, err);
    if (r == 0)
        r = check_device_rules(linux_->resources, err);
    if (r == 0)
        r = check_net_devices(spec, err);
    if (r == 0 && linux_->intel_rdt != NULL)
        r = rdt_check(linux_->intel_rdt, err);
    if (r == 0)
        r = check_absolute_list(&linux_->masked_paths, "linux.maskedPaths", err);
    if (r == 0)
        r = check_absolute_list(&linux_->readonly_paths, "linux.readonlyPaths", err);
    if (r == 0 && linux_->seccomp != NULL)
        r = seccomp_check(linux_->seccomp, err);
    if (r == 0 && linux_->personality != NULL)
        r = process_personality_check(linux_->personality, err);
    if (r == 0 && linux_->memory_policy != NULL)
        r = process_memory_policy_check(linux_->memory_policy, err);
    return r;
}

/* Every 1.x is compatible with what we read, also a development version of it ("1.0.2-dev"). */
static bool is_known_version(const char *version)
{
    return version != NULL && text_starts(version, "1.") && isdigit((unsigned char)version[2]);
}

int spec_check(const struct spec *spec, struct error *err)
{
    int r = 0;

    assert(spec != NULL);

    if (!is_known_version(spec->oci_version))
        return error_set(err, EINVAL, "ociVersion: '%s' is not supported, only 1.x is",
                         spec->oci_version != NULL ? spec->oci_version : "");
    if (spec->root == NULL)
        return error_set(err, EINVAL, "root: is missing");
    if (text_is_empty(spec->root->path))
        return error_set(err, EINVAL, "root.path: is empty");
    if (spec->process != NULL)
        r = spec_process_check(spec->process, err);
    if (r == 0)
        r = spec_mounts_check(&spec->mounts, err);
    if (r == 0)
        r = check_hooks(&spec->hooks, err);
    return r < 0 ? r : check_linux(spec, err);
}
