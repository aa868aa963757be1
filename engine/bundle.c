#include "engine/bundle.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "engine/slirp.h"
#include "engine/volumes.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* --- namespaces --------------------------------------------------------------------------------
 */

int namespace_mode_parse(const char *option, const char *text, enum namespace_mode *ret_mode,
                         const char **ret_container, struct error *err)
{
    static const char prefix[] = "container:";
    bool is_network = strcmp(option, "--network") == 0;

    if (ret_container != NULL)
        *ret_container = NULL;
    if (text_is_empty(text) || strcmp(text, is_network ? "none" : "private") == 0) {
        *ret_mode = NAMESPACE_PRIVATE;
        return 0;
    }
    if (strcmp(text, "host") == 0) {
        *ret_mode = NAMESPACE_HOST;
        return 0;
    }
    if (is_network && strcmp(text, SLIRP_NETWORK) == 0) {
        *ret_mode = NAMESPACE_PRIVATE;
        return 0;
    }
    /* Words that only --ipc has: both mean a namespace of its own. */
    if (strcmp(option, "--ipc") == 0 &&
        (strcmp(text, "shareable") == 0 || strcmp(text, "none") == 0)) {
        *ret_mode = NAMESPACE_PRIVATE;
        return 0;
    }
    if (text_starts(text, prefix) && text[sizeof(prefix) - 1] != '\0' &&
        strcmp(option, "--uts") != 0 && strcmp(option, "--userns") != 0) {
        *ret_mode = NAMESPACE_CONTAINER;
        if (ret_container != NULL)
            *ret_container = text + sizeof(prefix) - 1;
        return 0;
    }
    if (is_network)
        return error_set(err, EOPNOTSUPP,
                         "network '%s' is not there yet: use --network none, host, " SLIRP_NETWORK
                         " or container:NAME",
                         text);
    return error_set(err, EINVAL, "%s '%s': give host, private%s", option, text,
                     strcmp(option, "--uts") == 0 ? "" : " or container:NAME");
}

bool network_is_host(const struct settings *settings)
{
    return settings->network != NULL && strcmp(settings->network, "host") == 0;
}

bool network_is_joined(const struct settings *settings)
{
    return settings->network != NULL && text_starts(settings->network, "container:");
}

/* --userns auto: 65536 ids of the host, far above those of people and packages; which of the 4096
 * ranges follows from the container's id, so nothing has to be kept or given back. */
#define USER_BASE        0x60000000u
#define USER_SLOT_DIGITS 3 /* hexadecimal */

bool bundle_has_user_namespace(const struct settings *settings)
{
    const char *mode = settings->userns_mode;

    return mode != NULL && (strcmp(mode, "auto") == 0 || strcmp(mode, "private") == 0);
}

uint32_t bundle_user_base(const struct record *record)
{
    auto_free char *slot = xstrndup(record->id, USER_SLOT_DIGITS);

    return USER_BASE + (uint32_t)strtoul(slot, NULL, 16) * BUNDLE_USER_RANGE;
}

static void add_mapping(struct spec_id_mappings *mappings, uint32_t host_id)
{
    mappings->items = xcalloc(1, sizeof(*mappings->items));
    mappings->items[0] = (struct spec_id_mapping){ .container_id = 0,
                                                   .host_id = host_id,
                                                   .size = BUNDLE_USER_RANGE };
    mappings->count = 1;
}

static void plan_user_namespace(const struct record *record, struct spec *spec)
{
    (void)spec_add_namespace(spec, "user", NULL);
    add_mapping(&spec->linux_.uid_mappings, bundle_user_base(record));
    add_mapping(&spec->linux_.gid_mappings, bundle_user_base(record));
}

/* A namespace of another container keeps its entry here without a path: the other's process is
 * only known when this one starts (start_join.c). */
static int plan_namespaces(const struct record *record, struct spec *spec, struct error *err)
{
    const struct settings *settings = &record->settings;
    const struct {
        const char *option, *text, *type;
    } modes[] = {
        { "--pid", settings->pid_mode, "pid" },
        { "--ipc", settings->ipc_mode, "ipc" },
        { "--uts", settings->uts_mode, "uts" },
    };
    enum namespace_mode mode;
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        r = namespace_mode_parse(modes[i].option, modes[i].text, &mode, NULL, err);
        if (r < 0)
            return r;
        if (mode == NAMESPACE_HOST)
            spec_remove_namespace(spec, modes[i].type);
    }
    if (bundle_has_user_namespace(settings)) {
        plan_user_namespace(record, spec);
    } else if (!text_is_empty(settings->userns_mode) &&
               strcmp(settings->userns_mode, "host") != 0) {
        return error_set(err, EINVAL, "--userns '%s': give host, or auto for one of its own",
                         settings->userns_mode);
    }
    r = namespace_mode_parse("--network", settings->network, &mode, NULL, err);
    if (r < 0)
        return r;
    if (mode == NAMESPACE_HOST)
        spec_remove_namespace(spec, "network");
    /* sysfs(5) shows a network, and is mounted only by a user namespace that owns it. */
    if (mode == NAMESPACE_CONTAINER && bundle_has_user_namespace(settings))
        return error_set(err, EOPNOTSUPP,
                         "--userns %s cannot be used together with --network container:NAME: the "
                         "network belongs to another user namespace",
                         settings->userns_mode);
    return 0;
}

/* --- merging -----------------------------------------------------------------------------------
 */

static int merge_command(struct record *record, const struct image_config *image, struct error *err)
{
    const struct settings *settings = &record->settings;
    bool is_replaced = settings->has_entrypoint;

    if (is_replaced) {
        for (size_t i = 0; i < settings->entrypoint.count; i++)
            if (settings->entrypoint.count > 1 || settings->entrypoint.items[i][0] != '\0')
                strings_add(&record->entrypoint, settings->entrypoint.items[i]);
    } else {
        strings_add_all(&record->entrypoint, &image->entrypoint);
    }
    /* The image's CMD are arguments for the image's ENTRYPOINT, not for another one. */
    if (settings->command.count > 0)
        strings_add_all(&record->command, &settings->command);
    else if (!is_replaced)
        strings_add_all(&record->command, &image->cmd);
    strings_add_all(&record->args, &record->entrypoint);
    strings_add_all(&record->args, &record->command);
    if (record->args.count == 0)
        return error_set(err, EINVAL,
                         "image '%s' names no program to run: give one behind the image",
                         record->image == NULL ? "" : record->image);
    return 0;
}

static void merge_variable(struct strings *env, const char *text)
{
    const char *equals = strchr(text, '=');
    auto_free char *name = NULL;

    if (equals != NULL) {
        name = xstrndup(text, (size_t)(equals - text));
        strings_set_variable(env, name, equals + 1);
        return;
    }
    for (size_t i = env->count; i > 0; i--)
        if (text_starts(env->items[i - 1], text) && env->items[i - 1][strlen(text)] == '=')
            strings_remove(env, i - 1);
}

static void merge_env(struct record *record, const struct image_config *image)
{
    strings_add(&record->env, "PATH=" DEFAULT_PATH);
    strings_addf(&record->env, "HOSTNAME=%s", record->hostname);
    if (record->settings.has_terminal)
        strings_add(&record->env, "TERM=xterm");
    for (size_t i = 0; i < image->env.count; i++)
        merge_variable(&record->env, image->env.items[i]);
    for (size_t i = 0; i < record->settings.env.count; i++)
        merge_variable(&record->env, record->settings.env.items[i]);
}

static void merge_labels(struct record *record, const struct image_config *image)
{
    for (size_t i = 0; i < image->labels.count; i++)
        string_map_set(&record->labels, image->labels.items[i].key, image->labels.items[i].value);
    for (size_t i = 0; i < record->settings.labels.count; i++)
        string_map_set(&record->labels, record->settings.labels.items[i].key,
                       record->settings.labels.items[i].value);
}

static int merge_hostname(struct record *record, const char *host_hostname, struct error *err)
{
    const struct settings *settings = &record->settings;
    bool is_host_uts = settings->uts_mode != NULL && strcmp(settings->uts_mode, "host") == 0;

    if (is_host_uts && !text_is_empty(settings->hostname))
        return error_set(err, EINVAL, "--hostname cannot be used together with --uts host");
    if (!text_is_empty(settings->hostname))
        record->hostname = xstrdup(settings->hostname);
    else if (is_host_uts || network_is_host(settings) || network_is_joined(settings))
        record->hostname = xstrdup(host_hostname);
    else
        record->hostname = xstrndup(record->id, 12);
    if (strlen(record->hostname) > 64 || strpbrk(record->hostname, " \t\n/") != NULL)
        return error_set(err, EINVAL, "--hostname '%s': not a name of at most 64 bytes",
                         record->hostname);
    record->domainname = xstrdup(settings->domainname);
    return 0;
}

static void add_image_volume(struct settings_mounts *mounts, const char *target)
{
    struct settings_mount *mount;
    auto_free char *path = path_clean(target);

    if (path[0] != '/' || path[1] == '\0')
        return;
    for (size_t i = 0; i < mounts->count; i++)
        if (strcmp(mounts->items[i].target, path) == 0)
            return;
    mounts->items = xrealloc(mounts->items, mounts->count + 1, sizeof(*mounts->items));
    mount = &mounts->items[mounts->count++];
    *mount = (struct settings_mount){ 0 };
    mount->type = xstrdup("volume");
    mount->target = take_ptr(&path);
}

static int merge_mounts(struct record *record, const struct image_config *image, struct error *err)
{
    struct settings_mounts *mounts = &record->settings.mounts;

    for (size_t i = 0; i < mounts->count; i++) {
        char *clean;

        if (mounts->items[i].target[0] != '/')
            return error_set(err, EINVAL, "mount target '%s' is not an absolute path",
                             mounts->items[i].target);
        clean = path_clean(mounts->items[i].target);
        free(mounts->items[i].target);
        mounts->items[i].target = clean;
        for (size_t k = 0; k < i; k++)
            if (strcmp(mounts->items[k].target, clean) == 0)
                return error_set(err, EINVAL, "two mounts at '%s'", clean);
    }
    for (size_t i = 0; i < image->volumes.count; i++)
        add_image_volume(mounts, image->volumes.items[i]);
    for (size_t i = 0; i < mounts->count; i++) {
        struct settings_mount *mount = &mounts->items[i];

        if (strcmp(mount->type, "volume") == 0 && text_is_empty(mount->source)) {
            free(mount->source);
            mount->source = volume_name_generate();
            mount->is_anonymous = true;
        }
    }
    return 0;
}

int bundle_merge(struct record *record, const struct image_config *image, const char *host_hostname,
                 struct error *err)
{
    const struct settings *settings = &record->settings;
    int r;

    r = merge_hostname(record, host_hostname, err);
    if (r < 0)
        return r;
    r = merge_command(record, image, err);
    if (r < 0)
        return r;
    merge_env(record, image);
    merge_labels(record, image);
    r = merge_mounts(record, image, err);
    if (r < 0)
        return r;
    record->user = xstrdup(settings->user != NULL ? settings->user : image->user);
    record->working_dir =
        xstrdup(!text_is_empty(settings->working_dir) ? settings->working_dir : image->working_dir);
    if (!text_is_empty(record->working_dir) && record->working_dir[0] != '/')
        return error_set(err, EINVAL, "the working directory '%s' is not an absolute path",
                         record->working_dir);
    record->stop_signal =
        xstrdup(!text_is_empty(settings->stop_signal) ? settings->stop_signal : image->stop_signal);
    strings_add_all(&record->exposed_ports, &image->exposed_ports);
    for (size_t i = 0; i < settings->exposed.count; i++)
        if (!strings_contains(&record->exposed_ports, settings->exposed.items[i]))
            strings_add(&record->exposed_ports, settings->exposed.items[i]);
    strings_add_all(&record->image_volumes, &image->volumes);
    return 0;
}

/* --- the plan ----------------------------------------------------------------------------------
 */

static void copy_user(const struct spec_user *from, struct spec_user *to)
{
    to->uid = from->uid;
    to->gid = from->gid;
    to->has_umask = from->has_umask;
    to->umask = from->umask;
    free(to->additional_gids.items);
    to->additional_gids.count = from->additional_gids.count;
    to->additional_gids.items =
        from->additional_gids.count == 0
            ? NULL
            : xmemdup(from->additional_gids.items,
                      from->additional_gids.count * sizeof(*from->additional_gids.items));
}

static void plan_process(const struct bundle_input *input, struct spec_process *process)
{
    const struct record *record = input->record;
    const struct settings *settings = &record->settings;

    strings_clear(&process->args);
    if (settings->has_init) {
        strings_add(&process->args, "/sbin/docker-init");
        strings_add(&process->args, "--");
    }
    strings_add_all(&process->args, &record->args);
    strings_clear(&process->env);
    strings_add_all(&process->env, &record->env);
    if (strings_variable(&process->env, "HOME") == NULL)
        strings_set_variable(&process->env, "HOME", input->home);
    free(process->cwd);
    process->cwd = xstrdup(text_is_empty(record->working_dir) ? "/" : record->working_dir);
    process->terminal = settings->has_terminal;
    copy_user(input->user, &process->user);
    /* Always set: otherwise it would be inherited from the monitor. */
    process->has_oom_score_adj = true;
    process->oom_score_adj =
        settings->has_oom_score_adj ? settings->oom_score_adj : input->facts->least_oom_score;
}

static int plan_sysctls(const struct settings *settings, struct spec *spec, struct error *err)
{
    static const char *const ipc[] = { "kernel.msgmax", "kernel.msgmnb",         "kernel.msgmni",
                                       "kernel.sem",    "kernel.shmall",         "kernel.shmmax",
                                       "kernel.shmmni", "kernel.shm_rmid_forced" };

    for (size_t i = 0; i < settings->sysctls.count; i++) {
        const char *key = settings->sysctls.items[i].key;
        bool is_namespaced = text_starts(key, "fs.mqueue.");

        for (size_t k = 0; k < ARRAY_SIZE(ipc); k++)
            is_namespaced = is_namespaced || strcmp(key, ipc[k]) == 0;
        if (is_namespaced && spec_find_namespace(spec, "ipc") == NULL)
            return error_set(err, EINVAL, "--sysctl '%s' would change the host: it shares --ipc",
                             key);
        if (text_starts(key, "net.")) {
            if (network_is_host(settings))
                return error_set(err, EINVAL,
                                 "--sysctl '%s' would change the host: it shares --network", key);
            is_namespaced = true;
        }
        if (!is_namespaced)
            return error_set(err, EINVAL,
                             "--sysctl '%s' is not one that a container has for itself", key);
        string_map_set(&spec->linux_.sysctl, key, settings->sysctls.items[i].value);
    }
    return 0;
}

/* What begins so asks the runtime for what the engine has to know of, and has options for. */
#define OWN_ANNOTATIONS "run.berth."

int bundle_check_annotations(const struct settings *settings, struct error *err)
{
    for (size_t i = 0; i < settings->annotations.count; i++) {
        const char *key = settings->annotations.items[i].key;

        if (text_starts(key, OWN_ANNOTATIONS))
            return error_set(err, EINVAL,
                             "--annotation '%s': those that begin with " OWN_ANNOTATIONS
                             " are set by options: see --isolation, --kernel and --vm-memory",
                             key);
    }
    return 0;
}

static void plan_annotations(const struct settings *settings, struct spec *spec)
{
    for (size_t i = 0; i < settings->annotations.count; i++)
        string_map_set(&spec->annotations, settings->annotations.items[i].key,
                       settings->annotations.items[i].value);
}

static int check_oom_score(const struct settings *settings, struct error *err)
{
    if (settings->has_oom_score_adj &&
        (settings->oom_score_adj < -1000 || settings->oom_score_adj > 1000))
        return error_set(err, EINVAL, "--oom-score-adj: %d is not from -1000 to 1000",
                         settings->oom_score_adj);
    return 0;
}

int bundle_plan(const struct bundle_input *input, struct spec **ret_spec,
                struct strings *ret_warnings, struct error *err)
{
    const struct record *record = input->record;
    const struct settings *settings = &record->settings;
    AUTO(spec) struct spec *spec = NULL;
    int r;

    assert(ret_spec != NULL);

    r = check_oom_score(settings, err);
    if (r < 0)
        return r;
    spec = spec_default_docker();
    if (spec->process == NULL)
        spec->process = xcalloc(1, sizeof(*spec->process));
    if (spec->root == NULL)
        spec->root = xcalloc(1, sizeof(*spec->root));
    if (spec->linux_.resources == NULL)
        spec->linux_.resources = xcalloc(1, sizeof(*spec->linux_.resources));
    plan_process(input, spec->process);
    free(spec->root->path);
    spec->root->path = xstrdup("rootfs");
    spec->root->readonly = settings->is_readonly;
    free(spec->linux_.cgroups_path);
    spec->linux_.cgroups_path = xstrdup(record->cgroup_path);
    r = plan_namespaces(input->record, spec, err);
    if (r < 0)
        return r;
    free(spec->hostname);
    spec->hostname = NULL;
    if (spec_find_namespace(spec, "uts") != NULL) {
        spec->hostname = xstrdup(record->hostname);
        spec->domainname = text_is_empty(record->domainname) ? NULL : xstrdup(record->domainname);
    }
    r = bundle_plan_limits(settings, input->facts, spec, ret_warnings, err);
    if (r < 0)
        return r;
    r = bundle_plan_security(input, spec, err);
    if (r < 0)
        return r;
    r = plan_sysctls(settings, spec, err);
    if (r < 0)
        return r;
    r = bundle_plan_mounts(input, spec, err);
    if (r < 0)
        return r;
    plan_annotations(settings, spec);
    if (bundle_is_vm(settings))
        bundle_plan_vm(settings, spec);
    *ret_spec = take_ptr(&spec);
    return 0;
}

/* --- /etc/hosts --------------------------------------------------------------------------------
 */

int bundle_plan_hosts(const struct record *record, const char *host_text, char **ret_text,
                      struct error *err)
{
    AUTO_CLEAR(text) struct text text = { 0 };

    text_add(&text, host_text != NULL ? host_text
                                      : "127.0.0.1\tlocalhost\n"
                                        "::1\tlocalhost ip6-localhost ip6-loopback\n"
                                        "fe00::\tip6-localnet\n"
                                        "ff00::\tip6-mcastprefix\n"
                                        "ff02::1\tip6-allnodes\n"
                                        "ff02::2\tip6-allrouters\n");
    if (text.length > 0 && text.data[text.length - 1] != '\n')
        text_add(&text, "\n");
    for (size_t i = 0; i < record->settings.add_hosts.count; i++) {
        const char *item = record->settings.add_hosts.items[i];
        size_t name_length = strcspn(item, ":=");
        const char *address = item + name_length + (item[name_length] != '\0');

        if (name_length == 0 || address[0] == '\0' || strpbrk(item, " \t\n#") != NULL)
            return error_set(err, EINVAL, "--add-host '%s': give NAME:ADDRESS", item);
        if (strcmp(address, "host-gateway") == 0) {
            if (!network_is_host(&record->settings))
                return error_set(err, EOPNOTSUPP,
                                 "--add-host '%s': without a network there is no gateway", item);
            address = "127.0.0.1";
        }
        text_addf(&text, "%s\t%.*s\n", address, (int)name_length, item);
    }
    *ret_text = text_take(&text);
    return 0;
}
