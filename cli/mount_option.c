#include "cli/mount_option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/path.h"
#include "base/text.h"
#include "cli/run_values.h"

static void mount_clear(struct settings_mount *mount)
{
    free(mount->type);
    free(mount->source);
    free(mount->target);
    free(mount->propagation);
    free(mount->spec);
    strings_clear(&mount->options);
    string_map_clear(&mount->labels);
}

static void add_mount(struct settings *settings, struct settings_mount *mount)
{
    struct settings_mounts *mounts = &settings->mounts;

    mounts->items = xrealloc(mounts->items, mounts->count + 1, sizeof(*mounts->items));
    mounts->items[mounts->count++] = *mount;
    *mount = (struct settings_mount){ 0 };
}

static bool is_propagation(const char *word)
{
    static const char *const words[] = { "private", "rprivate", "shared",
                                         "rshared", "slave",    "rslave" };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(words[i], word) == 0)
            return true;
    }
    return false;
}

static int check_target(const char *option, const char *text, const char *target, struct error *err)
{
    if (target == NULL || target[0] != '/')
        return error_set(err, EINVAL, "%s '%s': the path in the container '%s' is not absolute",
                         option, text, target != NULL ? target : "");
    return 0;
}

/* --- -v --------------------------------------------------------------------------------------- */

static int volume_mode(struct settings_mount *mount, const char *text, const char *mode,
                       struct error *err)
{
    /* SELinux labels and hints for other systems mean nothing here; docker accepts them too. */
    static const char *const ignored[] = { "rw", "z", "Z", "cached", "delegated", "consistent" };
    AUTO_CLEAR(strings) struct strings words = { 0 };

    strings_split(&words, mode, ',');
    for (size_t i = 0; i < words.count; i++) {
        const char *word = words.items[i];
        bool is_ignored = false;

        for (size_t j = 0; j < ARRAY_SIZE(ignored); j++)
            is_ignored = is_ignored || strcmp(ignored[j], word) == 0;
        if (is_ignored)
            continue;
        if (strcmp(word, "ro") == 0) {
            mount->is_readonly = true;
        } else if (strcmp(word, "nocopy") == 0 && strcmp(mount->type, "volume") == 0) {
            mount->is_nocopy = true;
        } else if (is_propagation(word) && strcmp(mount->type, "bind") == 0) {
            free(mount->propagation);
            mount->propagation = xstrdup(word);
        } else {
            return error_set(err, EINVAL, "--volume '%s': invalid mode '%s'", text, word);
        }
    }
    return 0;
}

static bool is_host_path(const char *source)
{
    return source[0] == '/' || source[0] == '.';
}

/* "/a/../b", or "./c" below the current directory; caller frees. */
static int complete_path(const char *option, const char *text, const char *source, char **ret_path,
                         struct error *err)
{
    auto_free char *here = NULL;
    auto_free char *joined = NULL;

    if (source[0] == '/') {
        *ret_path = path_clean(source);
        return 0;
    }
    here = getcwd(NULL, 0);
    if (here == NULL)
        return error_errno(err, "%s '%s': find the current directory", option, text);
    joined = path_join(here, source);
    *ret_path = path_clean(joined);
    return 0;
}

/* The source decides: a path is bound, a name is a volume. */
static int volume_source(struct settings_mount *mount, const char *text, const char *source,
                         struct error *err)
{
    int r;

    if (is_host_path(source)) {
        mount->type = xstrdup("bind");
        r = complete_path("--volume", text, source, &mount->source, err);
        if (r < 0)
            return r;
    } else {
        r = text_check_name("volume", source, err);
        if (r < 0)
            return error_prefix(err, r, "--volume '%s' (give a host directory as an absolute path)",
                                text);
        mount->type = xstrdup("volume");
        mount->source = xstrdup(source);
    }
    mount->creates_source = strcmp(mount->type, "bind") == 0;
    mount->spec = xasprintf("%s%s", mount->source, text + strlen(source));
    return 0;
}

static int volume_parse(struct settings_mount *mount, const char *text, struct error *err)
{
    AUTO_CLEAR(strings) struct strings parts = { 0 };
    const char *target;
    int r;

    strings_split(&parts, text, ':');
    for (size_t i = 0; i < parts.count; i++) {
        if (parts.items[i][0] == '\0' || parts.count > 3)
            return error_set(err, EINVAL,
                             "invalid volume specification '%s': give [SOURCE:]PATH[:OPTIONS]",
                             text);
    }
    if (parts.count == 1) {
        mount->type = xstrdup("volume");
        mount->spec = xstrdup(text);
    } else {
        r = volume_source(mount, text, parts.items[0], err);
        if (r < 0)
            return r;
    }
    target = parts.items[parts.count > 1 ? 1 : 0];
    r = check_target("--volume", text, target, err);
    if (r < 0)
        return r;
    mount->target = path_clean(target);
    if (strcmp(mount->target, "/") == 0)
        return error_set(
            err, EINVAL,
            "invalid volume specification '%s': the path in the container cannot be '/'", text);
    return parts.count == 3 ? volume_mode(mount, text, parts.items[2], err) : 0;
}

int mount_option_volume(struct settings *settings, const char *text, struct error *err)
{
    struct settings_mount mount = { 0 };
    int r = volume_parse(&mount, text, err);

    if (r < 0) {
        mount_clear(&mount);
        return r;
    }
    add_mount(settings, &mount);
    return 0;
}

/* --- --mount ---------------------------------------------------------------------------------- */

/* Splits fields at commas; "a,b" between quotes is one field, "" in it a quote. */
static int split_csv(const char *text, struct strings *fields, struct error *err)
{
    const char *at = text;
    struct text field = { 0 };
    bool is_quoted = false;

    for (; *at != '\0'; at++) {
        if (*at == '"' && is_quoted && at[1] == '"')
            text_add_bytes(&field, at++, 1);
        else if (*at == '"')
            is_quoted = !is_quoted;
        else if (*at == ',' && !is_quoted)
            strings_take(fields, text_take(&field));
        else
            text_add_bytes(&field, at, 1);
    }
    strings_take(fields, text_take(&field));
    if (is_quoted)
        return error_set(err, EINVAL, "--mount '%s': a quote is not closed", text);
    return 0;
}

enum mount_key {
    KEY_TYPE,
    KEY_SOURCE,
    KEY_TARGET,
    KEY_READONLY,
    KEY_PROPAGATION,
    KEY_NOCOPY,
    KEY_LABEL,
    KEY_TMPFS_SIZE,
    KEY_TMPFS_MODE,
    KEY_IGNORED,
    KEY_LATER,
};

static const struct mount_key_word {
    const char *word;
    enum mount_key key;
    const char *type; /* only for mounts of this type; NULL: any */
    bool is_flag;     /* may stand without a value */
} mount_keys[] = {
    { "type", KEY_TYPE, NULL, false },
    { "source", KEY_SOURCE, NULL, false },
    { "src", KEY_SOURCE, NULL, false },
    { "target", KEY_TARGET, NULL, false },
    { "dst", KEY_TARGET, NULL, false },
    { "destination", KEY_TARGET, NULL, false },
    { "readonly", KEY_READONLY, NULL, true },
    { "ro", KEY_READONLY, NULL, true },
    { "consistency", KEY_IGNORED, NULL, false },
    { "bind-propagation", KEY_PROPAGATION, "bind", false },
    { "bind-nonrecursive", KEY_LATER, "bind", true },
    { "bind-recursive", KEY_LATER, "bind", false },
    { "volume-nocopy", KEY_NOCOPY, "volume", true },
    { "volume-subpath", KEY_LATER, "volume", false },
    { "volume-label", KEY_LABEL, "volume", false },
    { "volume-driver", KEY_LATER, "volume", false },
    { "volume-opt", KEY_LATER, "volume", false },
    { "tmpfs-size", KEY_TMPFS_SIZE, "tmpfs", false },
    { "tmpfs-mode", KEY_TMPFS_MODE, "tmpfs", false },
};

static int find_key(const char *text, const char *name, const struct mount_key_word **ret_key,
                    struct error *err)
{
    const char *words[ARRAY_SIZE(mount_keys) + 1] = { NULL };
    const char *nearest;

    for (size_t i = 0; i < ARRAY_SIZE(mount_keys); i++) {
        words[i] = mount_keys[i].word;
        if (strcmp(mount_keys[i].word, name) == 0) {
            *ret_key = &mount_keys[i];
            return 0;
        }
    }
    nearest = text_nearest(words, name);
    if (nearest != NULL)
        return error_set(err, EINVAL, "--mount '%s': unexpected key '%s', did you mean '%s'?", text,
                         name, nearest);
    return error_set(err, EINVAL, "--mount '%s': unexpected key '%s'", text, name);
}

static int set_type(struct settings_mount *mount, const char *text, const char *value,
                    struct error *err)
{
    if (strcmp(value, "bind") != 0 && strcmp(value, "volume") != 0 && strcmp(value, "tmpfs") != 0)
        return error_set(err, EINVAL,
                         "--mount '%s': type '%s' is not there yet: give bind, volume or tmpfs",
                         text, value);
    free(mount->type);
    mount->type = xstrdup(value);
    return 0;
}

static int set_tmpfs_size(struct settings_mount *mount, const char *value, struct error *err)
{
    uint64_t bytes = 0;
    int r = text_parse_bytes(value, "tmpfs-size", &bytes, err);

    if (r < 0)
        return r;
    strings_addf(&mount->options, "size=%llu", (unsigned long long)bytes);
    return 0;
}

static int set_tmpfs_mode(struct settings_mount *mount, const char *value, struct error *err)
{
    size_t length = strlen(value);

    if (length == 0 || length > 5 || strspn(value, "01234567") != length)
        return error_set(err, EINVAL, "tmpfs-mode: '%s' is no octal mode such as 1777", value);
    strings_addf(&mount->options, "mode=%s", value);
    return 0;
}

static int set_source(struct settings_mount *mount, const char *value)
{
    free(mount->source);
    mount->source = xstrdup(value);
    return 0;
}

static int set_propagation(struct settings_mount *mount, const char *value, struct error *err)
{
    if (!is_propagation(value))
        return error_set(err, EINVAL, "bind-propagation: '%s' is unknown", value);
    free(mount->propagation);
    mount->propagation = xstrdup(value);
    return 0;
}

static int set_key(struct settings_mount *mount, const char *text, const struct mount_key_word *key,
                   const char *value, struct error *err)
{
    switch (key->key) {
    case KEY_TYPE:
        return set_type(mount, text, value, err);
    case KEY_SOURCE:
        return set_source(mount, value);
    case KEY_TARGET:
        free(mount->target);
        mount->target = path_clean(value);
        return 0;
    case KEY_READONLY:
        return text_parse_bool(value, key->word, &mount->is_readonly, err);
    case KEY_NOCOPY:
        return text_parse_bool(value, key->word, &mount->is_nocopy, err);
    case KEY_LABEL:
        return run_value_pair(&mount->labels, key->word, value, false, err);
    case KEY_PROPAGATION:
        return set_propagation(mount, value, err);
    case KEY_TMPFS_SIZE:
        return set_tmpfs_size(mount, value, err);
    case KEY_TMPFS_MODE:
        return set_tmpfs_mode(mount, value, err);
    case KEY_IGNORED:
        return 0;
    case KEY_LATER:
        return error_set(err, EOPNOTSUPP, "'%s' is not there yet", key->word);
    }
    return 0;
}

static int set_field(struct settings_mount *mount, const char *text, const char *field,
                     const char **ret_only_for, const char **ret_key, struct error *err)
{
    const char *equals = strchr(field, '=');
    auto_free char *name =
        equals != NULL ? xstrndup(field, (size_t)(equals - field)) : xstrdup(field);
    const struct mount_key_word *key = NULL;
    int r;

    r = find_key(text, name, &key, err);
    if (r < 0)
        return r;
    if (equals == NULL && !key->is_flag)
        return error_set(err, EINVAL, "--mount '%s': '%s' needs a value (%s=VALUE)", text, field,
                         key->word);
    if (key->type != NULL) {
        *ret_only_for = key->type;
        *ret_key = key->word;
    }
    r = set_key(mount, text, key, equals != NULL ? equals + 1 : "true", err);
    if (r < 0 && err != NULL && !text_starts(err->message, "--mount"))
        return error_prefix(err, r, "--mount '%s'", text);
    return r;
}

/* As docker: what begins with a dot is a path from here. */
static int complete_bind(struct settings_mount *mount, const char *text, struct error *err)
{
    auto_free char *source = take_ptr(&mount->source);

    if (source == NULL || !is_host_path(source))
        return error_set(err, EINVAL, "--mount '%s': source '%s' is not an absolute path", text,
                         source != NULL ? source : "");
    return complete_path("--mount", text, source, &mount->source, err);
}

static int check_source(struct settings_mount *mount, const char *text, struct error *err)
{
    if (strcmp(mount->type, "bind") == 0)
        return complete_bind(mount, text, err);
    if (strcmp(mount->type, "tmpfs") == 0 && mount->source != NULL)
        return error_set(err, EINVAL, "--mount '%s': a tmpfs has no source", text);
    if (strcmp(mount->type, "volume") == 0 && mount->source != NULL)
        return text_check_name("volume", mount->source, err);
    return 0;
}

static int mount_parse(struct settings_mount *mount, const char *text, struct error *err)
{
    AUTO_CLEAR(strings) struct strings fields = { 0 };
    int r;

    r = split_csv(text, &fields, err);
    if (r < 0)
        return r;
    mount->type = xstrdup("volume");
    for (size_t i = 0; i < fields.count; i++) {
        const char *only_for = NULL, *key = NULL;

        r = set_field(mount, text, fields.items[i], &only_for, &key, err);
        if (r < 0)
            return r;
        /* As docker demands it, the type comes first. */
        if (only_for != NULL && strcmp(only_for, mount->type) != 0)
            return error_set(err, EINVAL, "--mount '%s': '%s' is only for type=%s", text, key,
                             only_for);
    }
    if (mount->target == NULL)
        return error_set(err, EINVAL, "--mount '%s': target is required", text);
    r = check_target("--mount", text, mount->target, err);
    if (r < 0)
        return r;
    return check_source(mount, text, err);
}

int mount_option_mount(struct settings *settings, const char *text, struct error *err)
{
    struct settings_mount mount = { 0 };
    int r = mount_parse(&mount, text, err);

    if (r < 0) {
        mount_clear(&mount);
        return r;
    }
    add_mount(settings, &mount);
    return 0;
}

/* --- --tmpfs ---------------------------------------------------------------------------------- */

int mount_option_tmpfs(struct settings *settings, const char *text, struct error *err)
{
    size_t length = strcspn(text, ":");
    auto_free char *target = xstrndup(text, length);
    struct settings_mount mount = { 0 };
    int r = check_target("--tmpfs", text, target, err);

    if (r < 0)
        return r;
    mount.type = xstrdup("tmpfs");
    mount.target = path_clean(target);
    mount.spec = xstrdup(text);
    if (text[length] == ':' && text[length + 1] != '\0')
        strings_split(&mount.options, text + length + 1, ',');
    add_mount(settings, &mount);
    return 0;
}
