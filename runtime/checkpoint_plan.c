#include "runtime/checkpoint_plan.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/criu.h"
#include "runtime/mount_plan.h"

/* --- external mounts -------------------------------------------------------------------------- */

static void add_external(struct external_mounts *mounts, const char *place, const char *name,
                         const char *source, bool is_mask)
{
    mounts->items = xrealloc(mounts->items, mounts->count + 1, sizeof(*mounts->items));
    mounts->items[mounts->count++] = (struct external_mount){
        .place = xstrdup(place),
        .name = xstrdup(name),
        .source = xstrdup(source),
        .is_mask = is_mask,
    };
}

void external_mounts_clear(struct external_mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++) {
        free(mounts->items[i].place);
        free(mounts->items[i].name);
        free(mounts->items[i].source);
    }
    free(mounts->items);
    *mounts = (struct external_mounts){ 0 };
}

/* Without a cgroup namespace the container sees its own cgroups as binds of the host's. */
static void add_cgroups(const struct mount_step *step, const struct cgroup_system *system,
                        const char *cgroup_path, struct external_mounts *mounts)
{
    const struct cgroup_hierarchy *hierarchies;
    size_t count = 0;

    if (system == NULL || cgroup_path == NULL)
        return;
    hierarchies = cgroup_system_hierarchies(system, &count);
    for (size_t i = 0; i < count; i++) {
        bool is_whole = cgroup_system_layout(system) == CGROUP_LAYOUT_V2;
        auto_free char *place =
            is_whole ? xasprintf("/%s", step->destination)
                     : xasprintf("/%s/%s", step->destination, hierarchies[i].mount_name);
        auto_free char *source = xasprintf("/sys/fs/cgroup/%s%s%s", hierarchies[i].mount_name,
                                           text_is_empty(hierarchies[i].mount_name) ? "" : "/",
                                           cgroup_path[0] == '/' ? cgroup_path + 1 : cgroup_path);

        add_external(mounts, place, place, source, false);
    }
}

static int add_step(const struct mount_step *step, bool has_cgroup_namespace,
                    const struct cgroup_system *system, const char *cgroup_path,
                    struct external_mounts *mounts, struct error *err)
{
    char step_name[MOUNT_STEP_NAME_MAX];
    auto_free char *place = NULL;

    if (step->uid_mappings != NULL || step->gid_mappings != NULL)
        return error_set(err, EOPNOTSUPP,
                         "%s: has an id map, and CRIU cannot make such a mount again",
                         mount_step_name(step, step_name));
    if (step->kind == MOUNT_CGROUP && !has_cgroup_namespace) {
        add_cgroups(step, system, cgroup_path, mounts);
        return 0;
    }
    if (step->kind != MOUNT_BIND)
        return 0;
    /* CRIU finds sources by their host's path, in which a link of the image would lead astray. */
    if (step->inside != NULL || step->options.keeps_source_link)
        return error_set(err, EOPNOTSUPP, "%s: binds %s, and CRIU cannot make such a mount again",
                         mount_step_name(step, step_name),
                         step->inside != NULL ? "a part of the root" : "a link");
    place = xasprintf("/%s", step->destination);
    add_external(mounts, place, place, step->source, false);
    return 0;
}

int external_mounts_plan(const struct spec *spec, const struct rootfs_plan *rootfs,
                         const struct cgroup_system *system, const char *cgroup_path,
                         struct external_mounts *ret_mounts, struct error *err)
{
    static const char *const nodes[] = {
        "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
    };
    bool has_cgroup_namespace = spec_find_namespace(spec, "cgroup") != NULL;
    struct external_mounts mounts = { 0 };

    assert(rootfs != NULL);
    assert(ret_mounts != NULL);

    for (size_t i = 0; i < rootfs->step_count; i++) {
        int r =
            add_step(&rootfs->steps[i], has_cgroup_namespace, system, cgroup_path, &mounts, err);

        if (r < 0) {
            external_mounts_clear(&mounts);
            return r;
        }
    }
    for (size_t i = 0; rootfs->has_user_namespace && i < ARRAY_SIZE(nodes); i++)
        add_external(&mounts, nodes[i], nodes[i], nodes[i], false);
    for (size_t i = 0; rootfs->has_user_namespace && i < spec->linux_.devices.count; i++) {
        const char *path = spec->linux_.devices.items[i].path;

        add_external(&mounts, path, path, path, false);
    }
    for (size_t i = 0; i < spec->linux_.masked_paths.count; i++)
        add_external(&mounts, spec->linux_.masked_paths.items[i], "/dev/null", "/dev/null", true);
    *ret_mounts = mounts;
    return 0;
}

/* --- options ---------------------------------------------------------------------------------- */

struct word {
    const char *word;
    int32_t value;
};

static int find_word(const struct word *words, const char *option, const char *word,
                     int32_t *ret_value, struct error *err)
{
    struct text known = { 0 };
    auto_free char *list = NULL;

    for (size_t i = 0; words[i].word != NULL; i++) {
        if (text_equal(words[i].word, word)) {
            text_clear(&known);
            *ret_value = words[i].value;
            return 0;
        }
        text_addf(&known, "%s%s", i == 0 ? "" : ", ", words[i].word);
    }
    list = text_take(&known);
    return error_set(err, EINVAL, "%s '%s': is none of %s", option, word, list);
}

/* "[::1]:27" has its colons in brackets. */
static int split_page_server(const char *text, char **ret_address, int32_t *ret_port,
                             struct error *err)
{
    const char *colon = strrchr(text, ':');
    auto_free char *address = NULL;
    uint64_t port = 0;
    size_t length;

    if (colon == NULL || colon == text || colon[1] == '\0')
        return error_set(err, EINVAL, "--page-server '%s': is not ADDRESS:PORT", text);
    if (text_parse_u64(colon + 1, "port", 65535, &port, NULL) < 0 || port == 0)
        return error_set(err, EINVAL, "--page-server '%s': '%s' is not a port", text, colon + 1);
    length = (size_t)(colon - text);
    if (text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    } else if (memchr(text, ':', length) != NULL) {
        return error_set(err, EINVAL, "--page-server '%s': write an IPv6 address in brackets",
                         text);
    }
    address = xstrndup(text, length);
    *ret_address = take_ptr(&address);
    *ret_port = (int32_t)port;
    return 0;
}

static const struct word cgroup_words[] = {
    { "soft", CRIU_CGROUPS_SOFT },
    { "full", CRIU_CGROUPS_FULL },
    { "strict", CRIU_CGROUPS_STRICT },
    { "ignore", CRIU_CGROUPS_IGNORE },
    { 0 },
};
static const struct word lock_words[] = {
    { "iptables", CRIU_NETWORK_IPTABLES },
    { "nftables", CRIU_NETWORK_NFTABLES },
    { "skip", CRIU_NETWORK_SKIP },
    { 0 },
};

static int check_contradictions(const struct checkpoint_options *options, struct error *err)
{
    if (text_is_empty(options->image_path))
        return error_set(err, EINVAL, "--image-path: is empty");
    if (options->status_fd >= 0 && !options->is_lazy)
        return error_set(err, EINVAL,
                         "--status-fd: there is nothing to report without --lazy-pages");
    if (options->is_pre_dump && options->is_lazy)
        return error_set(err, EINVAL,
                         "--pre-dump and --lazy-pages: a pre-dump has no pages left to fetch");
    if (options->parent_path != NULL && options->parent_path[0] == '/')
        return error_set(err, EINVAL,
                         "--parent-path '%s': must be relative to the folder of --image-path",
                         options->parent_path);
    if (options->closes_tcp && options->has_tcp_established)
        return error_set(err, EINVAL,
                         "--tcp-close and --tcp-established: connections are either closed or "
                         "restored");
    return 0;
}

int checkpoint_options_check(const struct checkpoint_options *options, struct error *err)
{
    struct criu_options ignored = CRIU_OPTIONS_NONE;
    auto_free char *address = NULL;
    int r;

    assert(options != NULL);

    r = check_contradictions(options, err);
    if (r < 0)
        return r;
    if (options->page_server != NULL) {
        r = split_page_server(options->page_server, &address, &ignored.page_server_port, err);
        if (r < 0)
            return r;
    }
    if (options->network_lock != NULL) {
        r = find_word(lock_words, "--network-lock", options->network_lock, &ignored.network_lock,
                      err);
        if (r < 0)
            return r;
    }
    if (options->cgroups_mode == NULL)
        return 0;
    return find_word(cgroup_words, "--manage-cgroups-mode", options->cgroups_mode,
                     &ignored.manage_cgroups_mode, err);
}

static int need_version(uint32_t version, uint32_t needed, const char *option, struct error *err)
{
    if (version >= needed)
        return 0;
    return error_set(err, EOPNOTSUPP, "%s needs CRIU %u.%u, installed is %u.%u.%u", option,
                     needed / 10000, needed / 100 % 100, version / 10000, version / 100 % 100,
                     version % 100);
}

static int plan_words(const struct checkpoint_options *options, uint32_t version,
                      struct criu_options *ret_options, struct error *err)
{
    int r;

    ret_options->manage_cgroups = true;
    ret_options->manage_cgroups_mode = CRIU_CGROUPS_SOFT;
    if (options->cgroups_mode != NULL) {
        r = find_word(cgroup_words, "--manage-cgroups-mode", options->cgroups_mode,
                      &ret_options->manage_cgroups_mode, err);
        if (r < 0)
            return r;
    }
    if (options->network_lock != NULL) {
        r = find_word(lock_words, "--network-lock", options->network_lock,
                      &ret_options->network_lock, err);
        if (r == 0)
            r = need_version(version,
                             ret_options->network_lock == CRIU_NETWORK_SKIP ? CRIU_VERSION_LOCK_NOT
                                                                            : CRIU_VERSION_LOCK,
                             "--network-lock", err);
        if (r < 0)
            return r;
    }
    if (options->lsm_profile != NULL || options->lsm_mount_context != NULL) {
        r = need_version(version, CRIU_VERSION_LSM,
                         options->lsm_profile != NULL ? "--lsm-profile" : "--lsm-mount-context",
                         err);
        if (r < 0)
            return r;
    }
    if (options->page_server != NULL)
        return split_page_server(options->page_server, &ret_options->page_server_address,
                                 &ret_options->page_server_port, err);
    return 0;
}

int checkpoint_options_plan(const struct checkpoint_options *options, bool is_restore,
                            uint32_t version, struct criu_options *ret_options, struct error *err)
{
    int r;

    assert(options != NULL);
    assert(ret_options != NULL);

    r = check_contradictions(options, err);
    if (r < 0)
        return r;
    r = plan_words(options, version, ret_options, err);
    if (r < 0)
        return r;
    ret_options->log_level = 4; /* everything: the log is read only when something failed */
    ret_options->log_file = is_restore ? CRIU_RESTORE_LOG : CRIU_DUMP_LOG;
    ret_options->notify_scripts = true;
    ret_options->orphan_pts_master = true;
    ret_options->evasive_devices = is_restore;
    ret_options->rst_sibling = is_restore;
    ret_options->leave_running = options->leaves_running;
    ret_options->tcp_established = options->has_tcp_established;
    ret_options->tcp_skip_in_flight = options->skips_tcp_in_flight;
    ret_options->tcp_close = options->closes_tcp;
    ret_options->link_remap = options->has_link_remap;
    ret_options->ext_unix_sk = options->has_external_unix_sockets;
    ret_options->shell_job = options->is_shell_job;
    ret_options->file_locks = options->has_file_locks;
    ret_options->auto_dedup = options->has_auto_dedup;
    ret_options->lazy_pages = options->is_lazy;
    ret_options->parent_img = is_restore ? NULL : options->parent_path;
    /* From a pre-dump on the kernel has to note which pages change. */
    ret_options->track_mem = options->is_pre_dump || ret_options->parent_img != NULL;
    ret_options->lsm_profile = options->lsm_profile;
    ret_options->lsm_mount_context = options->lsm_mount_context;
    return 0;
}

/* --- CRIU's configuration --------------------------------------------------------------------- */

#define CONFIG_FOLDER "/etc/criu/"

const char *const checkpoint_config_files[] = {
    CONFIG_FOLDER "berth.conf",
    CONFIG_FOLDER "runc.conf",
    CONFIG_FOLDER "crun.conf",
    NULL,
};

int checkpoint_config_plan(const struct string_map *annotations, const char **ret_file,
                           struct error *err)
{
    const char *file = string_map_get(annotations, "org.criu.config");

    if (!text_is_empty(file) &&
        (!text_starts(file, CONFIG_FOLDER) || strchr(file + strlen(CONFIG_FOLDER), '/') != NULL ||
         file[strlen(CONFIG_FOLDER)] == '.' || file[strlen(CONFIG_FOLDER)] == '\0'))
        return error_set(err, EINVAL,
                         "annotation org.criu.config: '%s' is not a file in %s, and a "
                         "configuration of CRIU may name programs to run on the host",
                         file, CONFIG_FOLDER);
    *ret_file = file;
    return 0;
}

/* --- descriptors.json ------------------------------------------------------------------------- */

/* The file is a bare list, while field tables describe members: it is wrapped in one. */
struct descriptors {
    struct strings names;
};
#define WRAP_START "{\"names\":"
static const struct field descriptors_fields[] = {
    FIELD_OF(struct descriptors, names, "names", FIELD_STRINGS, FIELD_REQUIRED),
    { 0 },
};
static const struct object descriptors_object = { descriptors_fields, sizeof(struct descriptors),
                                                  OBJECT_REFUSE_UNKNOWN };

char *descriptors_format(const struct strings *names)
{
    struct descriptors descriptors = { .names = *names };
    auto_free char *json = encode_text(&descriptors_object, &descriptors, ENCODE_COMPACT);

    assert(text_starts(json, WRAP_START));
    return xstrndup(json + strlen(WRAP_START), strlen(json) - strlen(WRAP_START) - 1);
}

int descriptors_parse(const char *json, size_t length, struct strings *ret_names, struct error *err)
{
    auto_free char *wrapped = xasprintf(WRAP_START "%.*s}", (int)length, json);
    struct descriptors descriptors = { 0 };
    struct error cause = { 0 };

    if (decode_text(&descriptors_object, wrapped, strlen(wrapped), &descriptors, NULL, &cause) < 0)
        return error_set(err, EBADMSG, "%s: is not a list of texts", DESCRIPTORS_FILE);
    if (descriptors.names.count > DESCRIPTORS_COUNT) {
        strings_clear(&descriptors.names);
        return error_set(err, EBADMSG, "%s: has more than %d descriptors", DESCRIPTORS_FILE,
                         DESCRIPTORS_COUNT);
    }
    *ret_names = descriptors.names;
    return 0;
}

bool descriptor_is_outer(const char *name)
{
    static const char digits[] = "0123456789", hex[] = "0123456789abcdef";
    const char *at;

    if (strlen(name) > 64)
        return false;
    if (text_starts(name, "pipe:[")) {
        at = name + strlen("pipe:[");
        return strspn(at, digits) > 0 && strcmp(at + strspn(at, digits), "]") == 0;
    }
    if (!text_starts(name, "file["))
        return false;
    at = name + strlen("file[");
    if (strspn(at, hex) == 0 || at[strspn(at, hex)] != ':')
        return false;
    at += strspn(at, hex) + 1;
    return strspn(at, hex) > 0 && strcmp(at + strspn(at, hex), "]") == 0;
}
