#include "engine/import_changes.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- words ------------------------------------------------------------------------------------ */

/* Splits as a Dockerfile does: spaces part words, quotes and backslashes keep them together. */
static int split_words(const char *text, struct strings *ret_words, struct error *err)
{
    struct text word = { 0 };
    bool is_in_word = false;
    char quote = '\0';

    for (; *text != '\0'; text++) {
        if (quote == '\0' && isspace((unsigned char)*text)) {
            if (is_in_word)
                strings_take(ret_words, text_take(&word));
            is_in_word = false;
            continue;
        }
        is_in_word = true;
        if (*text == quote) {
            quote = '\0';
        } else if (quote == '\0' && (*text == '"' || *text == '\'')) {
            quote = *text;
        } else {
            if (*text == '\\' && quote != '\'' && text[1] != '\0')
                text++;
            text_add_bytes(&word, text, 1);
        }
    }
    if (is_in_word)
        strings_take(ret_words, text_take(&word));
    text_clear(&word);
    if (quote != '\0')
        return error_set(err, EINVAL, "the quote %c has no end", quote);
    return 0;
}

static int parse_array(const char *text, struct strings *ret_words, struct error *err)
{
    auto_free char *json = xasprintf("{\"words\":%s}", text);
    struct import_words words = { 0 };
    int r;

    r = decode_text(&import_words_object, json, strlen(json), &words, NULL, err);
    if (r < 0)
        return r;
    *ret_words = words.words; /* moved */
    return 0;
}

/* ["a", "b"], or words. */
static int parse_list(const char *text, struct strings *ret_words, struct error *err)
{
    return *text == '[' ? parse_array(text, ret_words, err) : split_words(text, ret_words, err);
}

/* NAME=VALUE pairs, or one "NAME the rest". */
static int parse_pairs(const char *text, struct string_map *ret_pairs, struct error *err)
{
    AUTO_CLEAR(strings) struct strings words = { 0 };
    int r;

    r = split_words(text, &words, err);
    if (r < 0)
        return r;
    if (words.count > 1 && strchr(words.items[0], '=') == NULL) {
        const char *rest = text + strcspn(text, " \t");

        string_map_set(ret_pairs, words.items[0], rest + strspn(rest, " \t"));
        return 0;
    }
    for (size_t i = 0; i < words.count; i++) {
        char *equals = strchr(words.items[i], '=');

        if (equals == NULL || equals == words.items[i])
            return error_set(err, EINVAL, "'%s' is not NAME=VALUE", words.items[i]);
        *equals = '\0';
        string_map_set(ret_pairs, words.items[i], equals + 1);
    }
    return 0;
}

/* --- instructions ----------------------------------------------------------------------------- */

/* ["program", "argument"], or a line for the shell. */
static int set_program(struct strings *list, const char *text, struct error *err)
{
    AUTO_CLEAR(strings) struct strings words = { 0 };

    if (*text == '[') {
        int r = parse_array(text, &words, err);

        if (r < 0)
            return r;
    } else {
        strings_add(&words, "/bin/sh");
        strings_add(&words, "-c");
        strings_add(&words, text);
    }
    strings_clear(list);
    *list = words;
    words = (struct strings){ 0 };
    return 0;
}

static int apply_cmd(struct image_config *config, const char *text, struct error *err)
{
    return set_program(&config->cmd, text, err);
}

static int apply_entrypoint(struct image_config *config, const char *text, struct error *err)
{
    return set_program(&config->entrypoint, text, err);
}

static int apply_env(struct image_config *config, const char *text, struct error *err)
{
    AUTO_CLEAR(string_map) struct string_map pairs = { 0 };
    int r;

    r = parse_pairs(text, &pairs, err);
    for (size_t i = 0; r == 0 && i < pairs.count; i++)
        strings_set_variable(&config->env, pairs.items[i].key, pairs.items[i].value);
    return r;
}

static int apply_label(struct image_config *config, const char *text, struct error *err)
{
    return parse_pairs(text, &config->labels, err);
}

static int apply_expose(struct image_config *config, const char *text, struct error *err)
{
    AUTO_CLEAR(strings) struct strings words = { 0 };
    int r;

    r = split_words(text, &words, err);
    for (size_t i = 0; r == 0 && i < words.count; i++) {
        auto_free char *port = strchr(words.items[i], '/') != NULL
                                   ? xstrdup(words.items[i])
                                   : xasprintf("%s/tcp", words.items[i]);
        auto_free char *digits = xstrndup(port, strcspn(port, "-/"));
        uint64_t number;

        r = text_parse_u64(digits, "port", 65535, &number, err);
        if (r == 0 && !strings_contains(&config->exposed_ports, port))
            strings_add(&config->exposed_ports, port);
    }
    return r;
}

static int apply_volume(struct image_config *config, const char *text, struct error *err)
{
    AUTO_CLEAR(strings) struct strings words = { 0 };
    int r;

    r = parse_list(text, &words, err);
    for (size_t i = 0; r == 0 && i < words.count; i++) {
        if (words.items[i][0] == '\0')
            return error_set(err, EINVAL, "a volume has no name");
        if (!strings_contains(&config->volumes, words.items[i]))
            strings_add(&config->volumes, words.items[i]);
    }
    return r;
}

static int apply_on_build(struct image_config *config, const char *text, struct error *err)
{
    (void)err;
    strings_add(&config->on_build, text);
    return 0;
}

static int set_word(char **word, const char *text)
{
    free(*word);
    *word = xstrdup(text);
    return 0;
}

static int apply_user(struct image_config *config, const char *text, struct error *err)
{
    (void)err;
    return set_word(&config->user, text);
}

static int apply_work_directory(struct image_config *config, const char *text, struct error *err)
{
    (void)err;
    if (text[0] != '/') {
        /* Relative to the one before, as in a Dockerfile. */
        auto_free char *path =
            xasprintf("%s/%s", config->working_dir == NULL ? "" : config->working_dir, text);

        return set_word(&config->working_dir, path);
    }
    return set_word(&config->working_dir, text);
}

static int apply_stop_signal(struct image_config *config, const char *text, struct error *err)
{
    (void)err;
    return set_word(&config->stop_signal, text);
}

struct instruction {
    const char *word;
    int (*apply)(struct image_config *config, const char *text, struct error *err);
};

static const struct instruction instructions[] = {
    { "CMD", apply_cmd },
    { "ENTRYPOINT", apply_entrypoint },
    { "ENV", apply_env },
    { "EXPOSE", apply_expose },
    { "LABEL", apply_label },
    { "ONBUILD", apply_on_build },
    { "STOPSIGNAL", apply_stop_signal },
    { "USER", apply_user },
    { "VOLUME", apply_volume },
    { "WORKDIR", apply_work_directory },
};

static const struct instruction *find_instruction(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(instructions); i++) {
        if (strcasecmp(instructions[i].word, word) == 0)
            return &instructions[i];
    }
    return NULL;
}

int import_change_apply(struct image_config *config, const char *instruction, struct error *err)
{
    const struct instruction *found;
    auto_free char *word = NULL;
    auto_free char *text = NULL;
    size_t length;
    int r;

    assert(config != NULL);
    assert(instruction != NULL);

    instruction += strspn(instruction, " \t");
    word = xstrndup(instruction, strcspn(instruction, " \t"));
    instruction += strlen(word);
    text = xstrdup(instruction + strspn(instruction, " \t"));
    for (length = strlen(text); length > 0 && isspace((unsigned char)text[length - 1]); length--)
        text[length - 1] = '\0';

    found = find_instruction(word);
    if (found == NULL)
        return error_set(err, EINVAL,
                         "'%s' is no instruction that changes an image's config: CMD, ENTRYPOINT, "
                         "ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR",
                         word);
    if (*text == '\0')
        return error_set(err, EINVAL, "%s needs an argument", found->word);
    r = found->apply(config, text, err);
    return r < 0 ? error_prefix(err, r, "%s", found->word) : 0;
}
