#include "cli/options.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/log.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/manpage.h"

/* Command lines are read in one pass, as docker's users know them: global options, a command of one
 * or two words, then its options and words in any order. A command that runs a program
 * (stops_at_first_word) leaves everything behind its first word to that program. Nothing is run
 * before the whole line is understood. */

static const struct option help_options[] = {
    { "man", 0, OPTION_FLAG, NULL, "Print the manual page (roff)", NULL },
    { 0 },
};

const struct command builtin_commands[] = {
    {
        .name = "help",
        .usage = "[COMMAND]",
        .help = "Show what a command does",
        .examples = "{program} help run\n"
                    "{program} help --man | man -l -              # the manual page\n",
        .options = help_options,
        .max_words = 2,
        .words_completion = "command",
    },
    {
        .name = "completion",
        .usage = "bash|zsh|fish",
        .help = "Print a completion script for a shell",
        .description = "The script completes commands, options, and names of what exists. `make "
                       "install` puts it where the shells look; otherwise load it from the start "
                       "file of the shell.",
        .examples = "source <({program} completion bash)          # for this shell only\n"
                    "{program} completion fish > ~/.config/fish/completions/{program}.fish\n",
        .min_words = 1,
        .max_words = 1,
        .words_completion = "bash|zsh|fish",
    },
    { 0 },
};

/* Where the parser is. */
struct parser {
    const struct program *program;
    char **argv;
    int argc;
    int next;
    struct arguments *arguments;
    const char **words; /* becomes arguments->words */
};

static size_t options_count(const struct option *options)
{
    size_t count = 0;

    while (options != NULL && options[count].name != NULL)
        count++;
    return count;
}

static const struct option *options_find(const struct option *options, const char *name,
                                         size_t length, char letter, size_t *ret_index)
{
    for (size_t i = 0; options != NULL && options[i].name != NULL; i++) {
        bool is_match = name != NULL ? strlen(options[i].name) == length &&
                                           memcmp(options[i].name, name, length) == 0
                                     : options[i].letter == letter;

        if (is_match) {
            *ret_index = i;
            return &options[i];
        }
    }
    return NULL;
}

/* The option by name or letter, and its place for values: the command's first, then global ones. */
static const struct option *parser_find(const struct parser *parser, const char *name,
                                        size_t length, char letter, struct option_value **ret_value)
{
    const struct arguments *arguments = parser->arguments;
    const struct command *command = arguments->command;
    const struct option *option = NULL;
    size_t index = 0;

    if (command != NULL) {
        option = options_find(command->options, name, length, letter, &index);
        if (option == NULL) {
            option = options_find(command->more_options, name, length, letter, &index);
            index += options_count(command->options);
        }
        if (option != NULL) {
            *ret_value = &arguments->values[index];
            return option;
        }
        /* Behind the command, letters are the command's alone: `logs -v` must not mean --version.
         */
        if (name == NULL)
            return NULL;
    }
    option = options_find(parser->program->global_options, name, length, letter, &index);
    if (option != NULL)
        *ret_value = &arguments->global_values[index];
    return option;
}

/* "berth run" */
static char *parser_name(const struct parser *parser)
{
    const struct command *command = parser->arguments->command;

    if (command == NULL)
        return xstrdup(parser->program->name);
    return xasprintf("%s %s", parser->program->name, command->name);
}

static void names_add(struct strings *names, const struct option *options)
{
    for (size_t i = 0; options != NULL && options[i].name != NULL; i++)
        strings_add(names, options[i].name);
}

static int unknown_option(const struct parser *parser, const char *typed, const char *name,
                          struct error *err)
{
    const struct command *command = parser->arguments->command;
    auto_free char *program = parser_name(parser);
    struct strings names = { 0 };
    const char *nearest = NULL;

    if (name != NULL) {
        if (command != NULL) {
            names_add(&names, command->options);
            names_add(&names, command->more_options);
        }
        names_add(&names, parser->program->global_options);
        strings_add(&names, "help");
        nearest = text_nearest((const char *const *)names.items, name);
    }
    if (nearest != NULL)
        (void)error_set(err, EINVAL, "unknown option '%s', did you mean '--%s'? see '%s --help'",
                        typed, nearest, program);
    else
        (void)error_set(err, EINVAL, "unknown option '%s'; see '%s --help'", typed, program);
    strings_clear(&names);
    return -EINVAL;
}

/* Stores one option. @value: NULL when none was written with it. */
static int option_store(const struct parser *parser, const struct option *option,
                        struct option_value *target, const char *typed, const char *value,
                        struct error *err)
{
    bool flag = true;
    int r;

    switch (option->kind) {
    case OPTION_FLAG:
        if (value != NULL) {
            auto_free char *what = xasprintf("option '%s'", typed);

            r = text_parse_bool(value, what, &flag, err);
            if (r < 0)
                return r;
        }
        target->flag = flag;
        break;
    case OPTION_OPTIONAL:
        target->text = value != NULL ? value : "";
        break;
    case OPTION_TEXT:
        target->text = value;
        break;
    case OPTION_LIST:
        strings_add(&target->list, value);
        break;
    case OPTION_REFUSED: {
        auto_free char *program = parser_name(parser);

        return error_set(err, EINVAL, "option '%s': %s; see '%s --help'", typed, option->help,
                         program);
    }
    }
    target->is_set = true;
    return 0;
}

static bool option_needs_value(const struct option *option)
{
    return option->kind == OPTION_TEXT || option->kind == OPTION_LIST;
}

static int missing_value(const struct parser *parser, const char *typed,
                         const struct option *option, struct error *err)
{
    auto_free char *program = parser_name(parser);

    return error_set(err, EINVAL, "option '%s' needs a value (%s); see '%s --help'", typed,
                     option->value != NULL ? option->value : "VALUE", program);
}

/* --name, --name=value, --name value; @dashes: how many stand before the name */
static int parse_long(struct parser *parser, const char *argument, size_t dashes, struct error *err)
{
    const char *name = argument + dashes;
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    auto_free char *typed = xstrndup(argument, length + dashes);
    struct option_value *target = NULL;
    const struct option *option = parser_find(parser, name, length, 0, &target);

    if (option == NULL && length == 1 && parser->program->has_go_flags)
        option = parser_find(parser, NULL, 0, name[0], &target);
    if (option == NULL && strcmp(typed + dashes, "help") == 0) {
        parser->arguments->wants_help = true;
        return 0;
    }
    if (option == NULL)
        return unknown_option(parser, typed, typed + dashes, err);
    if (option_needs_value(option) && value == NULL) {
        if (parser->next >= parser->argc)
            return missing_value(parser, typed, option, err);
        value = parser->argv[parser->next++];
    }
    return option_store(parser, option, target, typed, value, err);
}

/* Whether "-bundle" is to be read as "--bundle". A whole name wins over bundled letters. */
static bool is_go_name(const struct parser *parser, const char *argument)
{
    size_t length = strcspn(argument + 1, "=");
    struct option_value *target = NULL;

    return parser->program->has_go_flags && length > 1 &&
           (parser_find(parser, argument + 1, length, 0, &target) != NULL ||
            strcmp(argument, "-help") == 0);
}

/* -i, -it, -ePATH=x, -e PATH=x, -e=PATH=x, -t=false */
static int parse_letters(struct parser *parser, const char *argument, struct error *err)
{
    for (const char *letter = argument + 1; *letter != '\0'; letter++) {
        const char typed[] = { '-', *letter, '\0' };
        struct option_value *target = NULL;
        const struct option *option = parser_find(parser, NULL, 0, *letter, &target);
        const char *value = NULL;
        int r;

        if (option == NULL && *letter == 'h') {
            parser->arguments->wants_help = true;
            continue;
        }
        if (option == NULL)
            return unknown_option(parser, typed, NULL, err);
        if (letter[1] == '=')
            value = letter + 2;
        else if (option_needs_value(option) && letter[1] != '\0')
            value = letter + 1;
        else if (option_needs_value(option) && parser->next < parser->argc)
            value = parser->argv[parser->next++];
        else if (option_needs_value(option))
            return missing_value(parser, typed, option, err);

        r = option_store(parser, option, target, typed, value, err);
        if (r < 0 || value != NULL)
            return r;
    }
    return 0;
}

static bool name_has_first_word(const char *name, const char *word)
{
    size_t length = strlen(word);

    return strncmp(name, word, length) == 0 && name[length] == ' ';
}

/* Walks "a|b c|d". */
static bool alias_matches(const char *alias, const char *name, bool is_first_word)
{
    while (alias != NULL && *alias != '\0') {
        size_t length = strcspn(alias, "|");
        auto_free char *one = xstrndup(alias, length);

        if (is_first_word ? name_has_first_word(one, name) : strcmp(one, name) == 0)
            return true;
        alias += alias[length] == '|' ? length + 1 : length;
    }
    return false;
}

bool command_has_name(const struct command *command, const char *name)
{
    return strcmp(command->name, name) == 0 || alias_matches(command->alias, name, false);
}

const struct command *program_command(const struct program *program, const char *name)
{
    const struct command *const tables[] = { program->commands, builtin_commands };

    for (size_t table = 0; table < ARRAY_SIZE(tables); table++) {
        for (const struct command *command = tables[table]; command->name != NULL; command++) {
            if (command_has_name(command, name))
                return command;
        }
    }
    return NULL;
}

static bool program_has_group(const struct program *program, const char *word)
{
    for (const struct command *command = program->commands; command->name != NULL; command++) {
        if (name_has_first_word(command->name, word) || alias_matches(command->alias, word, true))
            return true;
    }
    return false;
}

static const char *refusal_of(const struct program *program, const char *typed)
{
    const struct refused_command *refused = program->refused_commands;

    for (; refused != NULL && refused->names != NULL; refused++) {
        if (alias_matches(refused->names, typed, false))
            return refused->reason;
    }
    return NULL;
}

static int unknown_command(const struct program *program, const char *typed, struct error *err)
{
    const char *refusal = refusal_of(program, typed);
    /* runc's words, by which its callers find out which commands there are. */
    auto_free char *topic =
        program->has_go_flags ? xasprintf("No help topic for '%s': ", typed) : xstrdup("");
    struct strings names = { 0 };
    const char *nearest = NULL;

    if (refusal != NULL)
        return error_set(err, ENOENT, "command '%s': %s; see '%s --help'", typed, refusal,
                         program->name);
    for (const struct command *command = program->commands; command->name != NULL; command++) {
        if (!command->is_hidden)
            strings_add(&names, command->name);
        if (command->alias != NULL)
            strings_split(&names, command->alias, '|');
    }
    strings_add(&names, "help");
    strings_add(&names, "completion");
    nearest = text_nearest((const char *const *)names.items, typed);
    if (nearest != NULL)
        (void)error_set(err, ENOENT, "%sunknown command '%s', did you mean '%s'? see '%s --help'",
                        topic, typed, nearest, program->name);
    else
        (void)error_set(err, ENOENT, "%sunknown command '%s'; see '%s --help'", topic, typed,
                        program->name);
    strings_clear(&names);
    return -ENOENT;
}

/* Takes one or two words as the command. */
static int parse_command(struct parser *parser, const char *word, struct error *err)
{
    const struct program *program = parser->program;
    struct arguments *arguments = parser->arguments;
    const char *second = parser->next < parser->argc ? parser->argv[parser->next] : NULL;
    size_t count;

    if (second != NULL && second[0] != '-') {
        auto_free char *both = xasprintf("%s %s", word, second);

        arguments->command = program_command(program, both);
        if (arguments->command != NULL)
            parser->next++;
        else if (program_command(program, word) == NULL && program_has_group(program, word))
            return unknown_command(program, both, err);
    }
    if (arguments->command == NULL)
        arguments->command = program_command(program, word);
    if (arguments->command == NULL && program_has_group(program, word)) {
        arguments->group = word;
        arguments->wants_help = true;
        return 0;
    }
    if (arguments->command == NULL)
        return unknown_command(program, word, err);

    count = options_count(arguments->command->options) +
            options_count(arguments->command->more_options);
    arguments->values = xcalloc(count + 1, sizeof(*arguments->values));
    return 0;
}

static int check_word_count(const struct parser *parser, struct error *err)
{
    const struct command *command = parser->arguments->command;
    size_t count = parser->arguments->word_count;
    size_t bound = count < command->min_words ? command->min_words : command->max_words;
    const char *how = command->min_words == command->max_words ? "exactly "
                      : count < command->min_words             ? "at least "
                                                               : "at most ";
    auto_free char *program = parser_name(parser);

    if (count >= command->min_words && count <= command->max_words)
        return 0;
    /* docker's words: "requires at least 1 argument" */
    if (bound == 0)
        return error_set(err, EINVAL, "'%s' accepts no arguments; see '%s --help'", program,
                         program);
    return error_set(err, EINVAL, "'%s' requires %s%zu argument%s; see '%s --help'", program, how,
                     bound, bound == 1 ? "" : "s", program);
}

static int parse_line(struct parser *parser, struct error *err)
{
    struct arguments *arguments = parser->arguments;
    bool only_words = false;
    int r = 0;

    while (r == 0 && parser->next < parser->argc && arguments->group == NULL) {
        const char *argument = parser->argv[parser->next++];

        if (!only_words && strcmp(argument, "--") == 0) {
            only_words = true;
        } else if (!only_words && strncmp(argument, "--", 2) == 0) {
            r = parse_long(parser, argument, 2, err);
        } else if (!only_words && argument[0] == '-' && is_go_name(parser, argument)) {
            r = parse_long(parser, argument, 1, err);
        } else if (!only_words && argument[0] == '-' && argument[1] != '\0') {
            r = parse_letters(parser, argument, err);
        } else if (arguments->command == NULL) {
            r = parse_command(parser, argument, err);
        } else {
            parser->words[arguments->word_count++] = argument;
            only_words = only_words || arguments->command->stops_at_first_word;
        }
    }
    return r;
}

int arguments_parse(const struct program *program, int argc, char **argv,
                    struct arguments *ret_arguments, struct error *err)
{
    struct arguments arguments = { .program = program };
    struct parser parser = { .program = program, .argv = argv, .argc = argc, .next = 1 };
    struct option_value *version = NULL;
    int r;

    assert(program != NULL);
    assert(argv != NULL);
    assert(ret_arguments != NULL);

    arguments.global_values =
        xcalloc(options_count(program->global_options) + 1, sizeof(*arguments.global_values));
    parser.words = xcalloc((size_t)argc + 1, sizeof(*parser.words));
    arguments.words = parser.words;
    parser.arguments = &arguments;

    r = parse_line(&parser, err);
    if (r == 0 && arguments.command == NULL) {
        arguments.wants_version =
            parser_find(&parser, "version", strlen("version"), 0, &version) != NULL &&
            version->flag;
        if (!arguments.wants_version && !arguments.wants_help)
            arguments.wants_help = true;
    }
    if (r == 0 && !arguments.wants_help && arguments.command != NULL)
        r = check_word_count(&parser, err);
    if (r < 0) {
        arguments_clear(&arguments);
        return r;
    }
    *ret_arguments = arguments;
    return 0;
}

static void values_free(struct option_value *values, const struct option *options,
                        const struct option *more_options)
{
    size_t count = options_count(options) + options_count(more_options);

    for (size_t i = 0; values != NULL && i < count; i++)
        strings_clear(&values[i].list);
    free(values);
}

void arguments_clear(struct arguments *arguments)
{
    const struct command *command = arguments->command;

    if (command != NULL)
        values_free(arguments->values, command->options, command->more_options);
    if (arguments->program != NULL)
        values_free(arguments->global_values, arguments->program->global_options, NULL);
    free((void *)arguments->words);
    *arguments = (struct arguments){ 0 };
}

const struct option *command_option(const struct command *command, const char *name)
{
    size_t index = 0;
    const struct option *option = options_find(command->options, name, strlen(name), 0, &index);

    if (option == NULL)
        option = options_find(command->more_options, name, strlen(name), 0, &index);
    return option;
}

static const struct option_value *arguments_value(const struct arguments *arguments,
                                                  const char *name)
{
    const struct command *command = arguments->command;
    size_t index = 0;

    assert(command != NULL);
    if (options_find(command->options, name, strlen(name), 0, &index) != NULL)
        return &arguments->values[index];
    if (options_find(command->more_options, name, strlen(name), 0, &index) != NULL)
        return &arguments->values[options_count(command->options) + index];
    assert(!"the command's tables have this option");
    return NULL;
}

bool arguments_flag(const struct arguments *arguments, const char *name)
{
    return arguments_value(arguments, name)->flag;
}

const char *arguments_text(const struct arguments *arguments, const char *name)
{
    return arguments_value(arguments, name)->text;
}

const struct strings *arguments_list(const struct arguments *arguments, const char *name)
{
    return &arguments_value(arguments, name)->list;
}

bool arguments_has(const struct arguments *arguments, const char *name)
{
    return arguments_value(arguments, name)->is_set;
}

bool arguments_has_any(const struct arguments *arguments)
{
    size_t count = options_count(arguments->command->options) +
                   options_count(arguments->command->more_options);

    for (size_t i = 0; i < count; i++)
        if (arguments->values[i].is_set)
            return true;
    return false;
}

const struct option_value *arguments_global(const struct arguments *arguments, const char *name)
{
    size_t index = 0;
    const struct option *option =
        options_find(arguments->program->global_options, name, strlen(name), 0, &index);

    assert(option != NULL);
    return &arguments->global_values[index];
}

/* help, help COMMAND, help --man, completion SHELL */
static int run_builtin(const struct program *program, const struct arguments *arguments,
                       struct error *err)
{
    const char *const *words = arguments->words;
    auto_free char *name = NULL;

    if (strcmp(arguments->command->name, "completion") == 0)
        return completion_print(program, words[0], stdout, err);
    if (arguments_flag(arguments, "man")) {
        manpage_print(program, stdout);
        return 0;
    }
    if (arguments->word_count == 0) {
        help_print(program, NULL, stdout);
        return 0;
    }
    name = arguments->word_count == 1 ? xstrdup(words[0]) : xasprintf("%s %s", words[0], words[1]);
    if (program_command(program, name) != NULL)
        help_print_command(program, program_command(program, name), stdout);
    else if (arguments->word_count == 1 && program_has_group(program, name))
        help_print(program, name, stdout);
    else
        return unknown_command(program, name, err);
    return 0;
}

/* The command line of one run, for the function below. */
struct command_line {
    const struct program *program;
    int argc;
    char **argv;
    void *context;
};

static int usage_failed(const struct command_line *line, const struct error *err)
{
    if (line->program->usage_failed != NULL)
        return line->program->usage_failed(line->argc, line->argv, line->context, err);
    log_error("%s", err->message);
    return line->program->usage_status;
}

int program_run(const struct program *program, int argc, char **argv, void *context)
{
    const struct command_line line = { program, argc, argv, context };
    struct arguments arguments = { 0 };
    struct error err = { 0 };
    int status = 0;

    log_configure(program->name, -1, LOG_PLAIN, false);
    if (arguments_parse(program, argc, argv, &arguments, &err) < 0)
        return usage_failed(&line, &err);

    if (arguments.wants_version) {
        printf("%s version %s\n", program->name,
               program->version != NULL ? program->version : BERTH_VERSION);
    } else if (arguments.wants_help && arguments.command == NULL) {
        help_print(program, arguments.group, stdout);
    } else if (arguments.wants_help) {
        help_print_command(program, arguments.command, stdout);
    } else if (arguments.command->handler == NULL) {
        if (run_builtin(program, &arguments, &err) < 0)
            status = usage_failed(&line, &err);
    } else if (program->prepare != NULL && program->prepare(&arguments, context, &err) < 0) {
        status = usage_failed(&line, &err);
    } else {
        status = arguments.command->handler(&arguments, context);
    }
    arguments_clear(&arguments);
    if (fflush(stdout) != 0 && status == 0) {
        log_error("write standard output: %m");
        status = program->usage_status;
    }
    return status;
}
