#include "image/registries.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "image/store_private.h"
#include "image/toml.h"

#define FILE_MAX (1u << 20)

static void entry_clear(struct registry_entry *entry)
{
    for (size_t i = 0; i < entry->mirror_count; i++)
        free(entry->mirrors[i].location);
    free(entry->mirrors);
    free(entry->prefix);
    free(entry->location);
    *entry = (struct registry_entry){ 0 };
}

void registries_clear(struct registries *registries)
{
    for (size_t i = 0; i < registries->count; i++)
        entry_clear(&registries->entries[i]);
    free(registries->entries);
    strings_clear(&registries->search);
    string_map_clear(&registries->aliases);
    *registries = (struct registries){ 0 };
}

/* --- one file --------------------------------------------------------------------------------- */

static int wrong_type(const struct toml_entry *entry, const char *wanted, struct error *err)
{
    return error_set(err, EINVAL, "line %u: '%s' has to be %s", entry->line, entry->key, wanted);
}

static int take_text(const struct toml_entry *entry, char **member, struct error *err)
{
    size_t length;

    if (entry->type != TOML_STRING)
        return wrong_type(entry, "a string", err);
    free(*member);
    *member = xstrdup(entry->text);
    length = strlen(*member);
    if (length > 0 && (*member)[length - 1] == '/')
        (*member)[length - 1] = '\0';
    return 0;
}

static int take_flag(const struct toml_entry *entry, bool *member, struct error *err)
{
    if (entry->type != TOML_BOOL)
        return wrong_type(entry, "true or false", err);
    *member = entry->flag;
    return 0;
}

static int take_mirror(const struct toml_entry *entry, struct registry_mirror *mirror,
                       struct error *err)
{
    if (strcmp(entry->key, "location") == 0)
        return take_text(entry, &mirror->location, err);
    if (strcmp(entry->key, "insecure") == 0)
        return take_flag(entry, &mirror->is_insecure, err);
    if (strcmp(entry->key, "pull-from-mirror") != 0)
        return 0;
    if (entry->type != TOML_STRING)
        return wrong_type(entry, "a string", err);
    if (strcmp(entry->text, "all") == 0)
        mirror->use = MIRROR_ALL;
    else if (strcmp(entry->text, "digest-only") == 0)
        mirror->use = MIRROR_DIGESTS;
    else if (strcmp(entry->text, "tag-only") == 0)
        mirror->use = MIRROR_TAGS;
    else
        return wrong_type(entry, "all, digest-only or tag-only", err);
    return 0;
}

static int take_registry(const struct toml_entry *entry, struct registry_entry *registry,
                         struct error *err)
{
    if (strcmp(entry->key, "prefix") == 0)
        return take_text(entry, &registry->prefix, err);
    if (strcmp(entry->key, "location") == 0)
        return take_text(entry, &registry->location, err);
    if (strcmp(entry->key, "insecure") == 0)
        return take_flag(entry, &registry->is_insecure, err);
    if (strcmp(entry->key, "blocked") == 0)
        return take_flag(entry, &registry->is_blocked, err);
    if (strcmp(entry->key, "mirror-by-digest-only") == 0)
        return take_flag(entry, &registry->mirrors_by_digest, err);
    return 0; /* of a version that has more */
}

static int begin_table(const struct toml_entry *entry, struct registries *registries,
                       struct error *err)
{
    if (strcmp(entry->table, "registry") == 0 && entry->is_item) {
        registries->entries =
            xrealloc(registries->entries, registries->count + 1, sizeof(*registries->entries));
        registries->entries[registries->count++] = (struct registry_entry){ 0 };
    } else if (strcmp(entry->table, "registry.mirror") == 0 && entry->is_item) {
        struct registry_entry *registry;

        if (registries->count == 0)
            return error_set(err, EINVAL, "line %u: a mirror without a registry", entry->line);
        registry = &registries->entries[registries->count - 1];
        registry->mirrors =
            xrealloc(registry->mirrors, registry->mirror_count + 1, sizeof(*registry->mirrors));
        registry->mirrors[registry->mirror_count++] = (struct registry_mirror){ 0 };
    } else if (text_starts(entry->table, "registries.")) {
        return error_set(err, ENOTSUP, "line %u: it is in the old format, version 1", entry->line);
    }
    return 0;
}

static int take_entry(const struct toml_entry *entry, struct registries *registries,
                      struct error *err)
{
    struct registry_entry *registry =
        registries->count > 0 ? &registries->entries[registries->count - 1] : NULL;

    if (entry->type == TOML_TABLE)
        return begin_table(entry, registries, err);
    if (strcmp(entry->table, "registry") == 0 && registry != NULL)
        return take_registry(entry, registry, err);
    if (strcmp(entry->table, "registry.mirror") == 0 && registry != NULL &&
        registry->mirror_count > 0)
        return take_mirror(entry, &registry->mirrors[registry->mirror_count - 1], err);
    if (strcmp(entry->table, "aliases") == 0) {
        if (entry->type != TOML_STRING)
            return wrong_type(entry, "a string", err);
        string_map_set(&registries->aliases, entry->key, entry->text);
    } else if (entry->table[0] == '\0' &&
               strcmp(entry->key, "unqualified-search-registries") == 0) {
        if (entry->type != TOML_STRINGS)
            return wrong_type(entry, "an array of strings", err);
        strings_add_all(&registries->search, &entry->items);
    }
    return 0;
}

/* What goes without saying, and what must be said. */
static int complete(struct registries *registries, struct error *err)
{
    for (size_t i = 0; i < registries->count; i++) {
        struct registry_entry *entry = &registries->entries[i];

        if (text_is_empty(entry->prefix)) {
            free(entry->prefix);
            entry->prefix = xstrdup(entry->location);
        }
        if (text_is_empty(entry->prefix))
            return error_set(err, EINVAL, "registry %zu has neither prefix nor location", i + 1);
        if (text_is_empty(entry->location)) { /* a wildcard stands for itself */
            free(entry->location);
            entry->location = text_starts(entry->prefix, "*.") ? NULL : xstrdup(entry->prefix);
        }
        for (size_t j = 0; j < entry->mirror_count; j++) {
            if (text_is_empty(entry->mirrors[j].location))
                return error_set(err, EINVAL, "mirror %zu of '%s' has no location", j + 1,
                                 entry->prefix);
        }
    }
    return 0;
}

static void replace_entry(struct registries *registries, struct registry_entry *entry)
{
    size_t index = 0;

    while (index < registries->count &&
           strcmp(registries->entries[index].prefix, entry->prefix) != 0)
        index++;
    if (index == registries->count) {
        registries->entries =
            xrealloc(registries->entries, registries->count + 1, sizeof(*registries->entries));
        registries->count++;
    } else {
        entry_clear(&registries->entries[index]);
    }
    registries->entries[index] = *entry;
    *entry = (struct registry_entry){ 0 };
}

int registries_parse(const char *text, struct registries *registries, struct error *err)
{
    AUTO_CLEAR(toml) struct toml toml = { 0 };
    AUTO_CLEAR(registries) struct registries file = { 0 };
    int r;

    assert(text != NULL);
    assert(registries != NULL);

    r = toml_parse(text, &toml, err);
    for (size_t i = 0; r == 0 && i < toml.count; i++)
        r = take_entry(&toml.entries[i], &file, err);
    if (r == 0)
        r = complete(&file, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < file.count; i++)
        replace_entry(registries, &file.entries[i]);
    for (size_t i = 0; i < file.aliases.count; i++)
        string_map_set(&registries->aliases, file.aliases.items[i].key,
                       file.aliases.items[i].value);
    if (file.search.count > 0) {
        strings_clear(&registries->search);
        registries->search = file.search;
        file.search = (struct strings){ 0 };
    }
    return 0;
}

/* --- finding ---------------------------------------------------------------------------------- */

/* Bytes of the name that the prefix stands for; 0: it does not. A prefix ends where a part ends. */
static size_t match(const char *prefix, const char *name)
{
    size_t length = strlen(prefix);

    if (text_starts(prefix, "*.")) {
        size_t host = strcspn(name, "/");

        return host > length - 1 && strncmp(name + host - (length - 1), prefix + 1, length - 1) == 0
                   ? host
                   : 0;
    }
    if (strncmp(prefix, name, length) != 0)
        return 0;
    return name[length] == '\0' || name[length] == '/' ? length : 0;
}

const struct registry_entry *registries_find(const struct registries *registries, const char *name)
{
    const struct registry_entry *found = NULL;
    size_t best = 0;

    for (size_t i = 0; i < registries->count; i++) {
        const struct registry_entry *entry = &registries->entries[i];
        size_t length = match(entry->prefix, name);

        /* Of a wildcard and a whole host, the host. */
        if (length > best ||
            (length > 0 && length == best && found != NULL && text_starts(found->prefix, "*."))) {
            best = length;
            found = entry;
        }
    }
    return found;
}

char *registry_entry_rewrite(const struct registry_entry *entry, const char *location,
                             const char *name)
{
    return location == NULL ? xstrdup(name)
                            : xasprintf("%s%s", location, name + match(entry->prefix, name));
}

/* --- the files -------------------------------------------------------------------------------- */

static int load_file(const char *path, struct registries *registries, struct error *err)
{
    auto_free char *text = NULL;
    size_t length;
    int r;

    r = file_read(AT_FDCWD, path, FILE_MAX, &text, &length, err);
    if (r < 0)
        return r;
    r = strlen(text) != length ? error_set(err, EINVAL, "it is no text")
                               : registries_parse(text, registries, err);
    return r < 0 ? error_prefix(err, r, "'%s'", path) : 0;
}

static int load_folder(const char *folder, struct registries *registries, struct error *err)
{
    AUTO_CLEAR(strings) struct strings names = { 0 };
    int r;

    r = store_list_directory(AT_FDCWD, folder, &names, NULL);
    if (r < 0)
        return 0; /* no such folder, or not for us */
    strings_sort(&names);
    for (size_t i = 0; i < names.count; i++) {
        auto_free char *path = path_join(folder, names.items[i]);

        r = text_ends(path, ".conf") ? load_file(path, registries, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static char *user_folder(void)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");

    if (!text_is_empty(config))
        return path_join(config, "containers");
    return text_is_empty(home) ? NULL : path_join(home, ".config/containers");
}

int registries_load(struct registries *ret_registries, struct error *err)
{
    AUTO_CLEAR(registries) struct registries registries = { 0 };
    auto_free char *folder = user_folder();
    auto_free char *path = folder != NULL ? path_join(folder, "registries.conf") : NULL;
    auto_free char *drop_ins = folder != NULL ? path_join(folder, "registries.conf.d") : NULL;
    const char *chosen = getenv("CONTAINERS_REGISTRIES_CONF");
    int r = -ENOENT;

    assert(ret_registries != NULL);

    if (!text_is_empty(chosen)) {
        r = load_file(chosen, &registries, err);
        if (r < 0)
            return r;
    } else if (path != NULL) {
        r = load_file(path, &registries, err);
    }
    if (r == -ENOENT)
        r = load_file("/etc/containers/registries.conf", &registries, err);
    if (r < 0 && r != -ENOENT)
        return r;
    r = load_folder("/etc/containers/registries.conf.d", &registries, err);
    if (r == 0 && drop_ins != NULL)
        r = load_folder(drop_ins, &registries, err);
    if (r < 0)
        return r;
    *ret_registries = registries;
    registries = (struct registries){ 0 };
    return 0;
}

int registries_open(struct registries **ret_registries, struct error *err)
{
    struct registries *registries = xcalloc(1, sizeof(*registries));
    int r = registries_load(registries, err);

    if (r < 0) {
        free(registries);
        return r;
    }
    *ret_registries = registries;
    return 0;
}

void registries_free(struct registries *registries)
{
    if (registries == NULL)
        return;
    registries_clear(registries);
    free(registries);
}
