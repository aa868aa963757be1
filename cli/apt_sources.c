#include "cli/apt_sources.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"

#define SOURCES_MAX (1u << 20) /* bytes of one file */
#define APT_FOLDER  "/etc/apt/sources.list.d"

struct source {
    char *types, *uris, *suites, *components, *signed_by, *enabled, *trusted, *check_valid;
};

static void source_clear(struct source *source)
{
    free(source->types);
    free(source->uris);
    free(source->suites);
    free(source->components);
    free(source->signed_by);
    free(source->enabled);
    free(source->trusted);
    free(source->check_valid);
    *source = (struct source){ 0 };
}

static void split_words(struct strings *words, const char *text)
{
    while (text != NULL && *text != '\0') {
        size_t length = strcspn(text, " \t\n");

        if (length > 0)
            strings_take(words, xstrndup(text, length));
        text += length + (text[length] != '\0');
    }
}

static bool suite_matches(const char *word, const char *suite)
{
    static const char *const suffixes[] = { "", "-updates", "-security", "/updates" };
    size_t length = strlen(suite);

    if (strncmp(word, suite, length) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        if (strcmp(word + length, suffixes[i]) == 0)
            return true;
    }
    return false;
}

/* Vendors name their suites after Debian's too, so the key or the archive's name has to tell. */
static bool is_debian(const struct source *source, const char *uri)
{
    auto_free char *bare = xstrdup(uri);

    if (source->signed_by != NULL && source->signed_by[0] == '/')
        return strstr(source->signed_by, "debian-archive") != NULL;
    while (text_ends(bare, "/"))
        bare[strlen(bare) - 1] = '\0';
    return text_ends(bare, "/debian") || text_ends(bare, "/debian-security") ||
           strstr(bare, "/archive/debian/") != NULL ||
           strstr(bare, "/archive/debian-security/") != NULL;
}

static char *format_options(const struct source *source)
{
    AUTO_CLEAR(text) struct text text = { 0 };

    if (source->signed_by != NULL && source->signed_by[0] == '/')
        text_addf(&text, " signed-by=%s", source->signed_by);
    if (source->trusted != NULL)
        text_addf(&text, " trusted=%s", source->trusted);
    if (source->check_valid != NULL)
        text_addf(&text, " check-valid-until=%s", source->check_valid);
    return text.length > 0 ? xasprintf(" [%s]", text.data + 1) : xstrdup("");
}

static void add_source(const struct source *source, const char *suite, struct strings *lines)
{
    AUTO_CLEAR(strings) struct strings types = { 0 };
    AUTO_CLEAR(strings) struct strings uris = { 0 };
    AUTO_CLEAR(strings) struct strings suites = { 0 };
    AUTO_CLEAR(strings) struct strings components = { 0 };
    auto_free char *options = format_options(source);
    auto_free char *component_list = NULL;

    split_words(&types, source->types);
    split_words(&uris, source->uris);
    split_words(&suites, source->suites);
    split_words(&components, source->components);
    component_list = strings_join(&components, " ");
    if (!strings_contains(&types, "deb") || !strings_contains(&components, "main") ||
        (source->enabled != NULL && strcasecmp(source->enabled, "no") == 0))
        return;
    for (size_t i = 0; i < uris.count; i++) {
        for (size_t j = 0; j < suites.count; j++) {
            auto_free char *line = xasprintf("deb%s %s %s %s", options, uris.items[i],
                                             suites.items[j], component_list);

            if (is_debian(source, uris.items[i]) && suite_matches(suites.items[j], suite) &&
                !strings_contains(lines, line))
                strings_add(lines, line);
        }
    }
}

static void set_option(struct source *source, const char *name, size_t length, const char *value)
{
    static const struct {
        const char *name;
        size_t offset;
    } members[] = {
        { "Types", offsetof(struct source, types) },
        { "URIs", offsetof(struct source, uris) },
        { "Suites", offsetof(struct source, suites) },
        { "Components", offsetof(struct source, components) },
        { "Signed-By", offsetof(struct source, signed_by) },
        { "Enabled", offsetof(struct source, enabled) },
        { "Trusted", offsetof(struct source, trusted) },
        { "Check-Valid-Until", offsetof(struct source, check_valid) },
    };

    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        char **slot = (char **)((char *)source + members[i].offset);

        if (strlen(members[i].name) != length || strncasecmp(members[i].name, name, length) != 0)
            continue;
        free(*slot);
        *slot = xstrdup(value + strspn(value, " \t"));
        for (size_t end = strlen(*slot); end > 0 && isspace((unsigned char)(*slot)[end - 1]); end--)
            (*slot)[end - 1] = '\0';
    }
}

/* "deb [ name=value ... ] URI SUITE COMPONENT..." */
static void parse_line(const char *line, const char *suite, struct strings *lines)
{
    AUTO_CLEAR(source) struct source source = { 0 };
    AUTO_CLEAR(strings) struct strings options = { 0 };
    AUTO_CLEAR(strings) struct strings words = { 0 };
    auto_free char *text = xstrndup(line, strcspn(line, "#"));
    char *open = strchr(text, '[');
    char *close = open != NULL ? strchr(open, ']') : NULL;

    if (open != NULL && close == NULL)
        return;
    if (open != NULL) {
        auto_free char *inside = xstrndup(open + 1, (size_t)(close - open) - 1);

        split_words(&options, inside);
        memset(open, ' ', (size_t)(close - open) + 1);
    }
    split_words(&words, text);
    if (words.count < 4)
        return;
    for (size_t i = 0; i < options.count; i++) {
        size_t length = strcspn(options.items[i], "=");

        if (options.items[i][length] == '=')
            set_option(&source, options.items[i], length, options.items[i] + length + 1);
    }
    source.types = xstrdup(words.items[0]);
    source.uris = xstrdup(words.items[1]);
    source.suites = xstrdup(words.items[2]);
    for (int i = 0; i < 3; i++)
        strings_remove(&words, 0);
    source.components = strings_join(&words, " ");
    add_source(&source, suite, lines);
}

void apt_sources_parse_list(const char *text, const char *suite, struct strings *ret_lines)
{
    AUTO_CLEAR(strings) struct strings lines = { 0 };

    assert(text != NULL);
    assert(suite != NULL);

    strings_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.count; i++)
        parse_line(lines.items[i], suite, ret_lines);
}

void apt_sources_parse_deb822(const char *text, const char *suite, struct strings *ret_lines)
{
    AUTO_CLEAR(source) struct source source = { 0 };
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    AUTO_CLEAR(text) struct text field = { 0 }; /* one field with its continuation lines */

    assert(text != NULL);
    assert(suite != NULL);

    strings_split(&lines, text, '\n');
    strings_add(&lines, ""); /* ends the last stanza */
    for (size_t i = 0; i < lines.count; i++) {
        const char *line = lines.items[i];

        if (line[0] == '#')
            continue;
        if (line[0] == ' ' || line[0] == '\t') {
            text_addf(&field, " %s", line + 1);
            continue;
        }
        if (field.length > 0) {
            size_t length = strcspn(field.data, ":");

            if (field.data[length] == ':')
                set_option(&source, field.data, length, field.data + length + 1);
            text_clear(&field);
        }
        if (line[0] == '\0') {
            add_source(&source, suite, ret_lines);
            source_clear(&source);
        } else {
            text_add(&field, line);
        }
    }
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int apt_sources_read(const char *suite, struct strings *ret_lines, struct error *err)
{
    auto_free char *list = NULL;
    struct dirent **files = NULL;
    int count;

    assert(suite != NULL);
    assert(ret_lines != NULL);

    if (file_read(AT_FDCWD, "/etc/apt/sources.list", SOURCES_MAX, &list, NULL, NULL) == 0)
        apt_sources_parse_list(list, suite, ret_lines);
    count = scandir(APT_FOLDER, &files, NULL, compare_entries);
    if (count < 0 && errno != ENOENT)
        return error_errno(err, "read directory '%s'", APT_FOLDER);
    for (int i = 0; i < count; i++) {
        auto_free char *path = xasprintf(APT_FOLDER "/%s", files[i]->d_name);
        auto_free char *text = NULL;
        bool is_list = text_ends(path, ".list");

        free(files[i]);
        if ((!is_list && !text_ends(path, ".sources")) ||
            file_read(AT_FDCWD, path, SOURCES_MAX, &text, NULL, NULL) < 0)
            continue;
        if (is_list)
            apt_sources_parse_list(text, suite, ret_lines);
        else
            apt_sources_parse_deb822(text, suite, ret_lines);
    }
    free(files);
    return 0;
}
