#include "cli/completion.h"

#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "base/text.h"

/* Completion scripts are generated from the tables, one function of the shell for each question:
 * which options has a command, what is the value of an option, what are a command's words. The
 * answers "@container", "@image", "@volume", "@cgroup", "@kernel", "@signal", "@file" and
 * "@command" are looked up when they are asked for. */

/* Words of @completion ("a|b|c", "container") as the scripts know them; "" for nothing. Caller
 * frees. */
static char *answer_of(const char *completion)
{
    static const char *const looked_up[] = { "container", "image",  "volume", "cgroup",
                                             "kernel",    "signal", "file",   "command" };
    char *answer;

    if (completion == NULL || strcmp(completion, "none") == 0)
        return xstrdup("");
    for (size_t i = 0; i < ARRAY_SIZE(looked_up); i++) {
        if (strcmp(completion, looked_up[i]) == 0)
            return xasprintf("@%s", completion);
    }
    answer = xstrdup(completion);
    for (char *bar = strchr(answer, '|'); bar != NULL; bar = strchr(bar, '|'))
        *bar = ' ';
    return answer;
}

static bool option_has_value(const struct option *option)
{
    return option->kind == OPTION_TEXT || option->kind == OPTION_LIST;
}

/* A visitor of all names by which a command is called: "rm", "container rm". */
typedef void name_visitor(const struct program *program, const struct command *command,
                          const char *name, void *context);

static void visit_names(const struct program *program, name_visitor *visitor, void *context)
{
    const struct command *const tables[] = { program->commands, builtin_commands };

    for (size_t table = 0; table < ARRAY_SIZE(tables); table++) {
        for (const struct command *one = tables[table]; one->name != NULL; one++) {
            struct strings names = { 0 };

            if (one->is_hidden)
                continue;
            strings_add(&names, one->name);
            if (one->alias != NULL)
                strings_split(&names, one->alias, '|');
            for (size_t i = 0; i < names.count; i++)
                visitor(program, one, names.items[i], context);
            strings_clear(&names);
        }
    }
}

static void add_first_word(const struct program *program, const struct command *command,
                           const char *name, void *context)
{
    struct strings *words = context;
    auto_free char *word = xstrndup(name, strcspn(name, " "));

    (void)program;
    (void)command;
    if (!strings_contains(words, word))
        strings_add(words, word);
}

/* First words: "run", "image", "container", each once. Caller clears. */
static void collect_first_words(const struct program *program, struct strings *words)
{
    visit_names(program, add_first_word, words);
}

struct second_words {
    const char *prefix; /* the first word and a space */
    struct strings *words;
};

static void add_second_word(const struct program *program, const struct command *command,
                            const char *name, void *context)
{
    const struct second_words *second = context;

    (void)program;
    (void)command;
    if (text_starts(name, second->prefix) &&
        !strings_contains(second->words, name + strlen(second->prefix)))
        strings_add(second->words, name + strlen(second->prefix));
}

/* Second words behind @first: "make inspect" behind "image". Caller clears. */
static void collect_second_words(const struct program *program, const char *first,
                                 struct strings *words)
{
    auto_free char *prefix = xasprintf("%s ", first);
    struct second_words second = { .prefix = prefix, .words = words };

    visit_names(program, add_second_word, &second);
}

/* --- what all shells ask a program for ----------------------------------------------------------
 */

/* Words that the program itself lists. */
static const struct listed_words {
    const char *kind;
    const char *command, *arguments; /* a command, and with which arguments it lists them */
    const char *other;               /* arguments for a program without the command */
} listed_words[] = {
    { "container", "images", "ps -a --format '{{.Names}}'", "list -q" },
    { "image", "images", "images --format '{{.Repository}}:{{.Tag}}'", "--version >/dev/null" },
    { "volume", "volume ls", "volume ls -q", "--version >/dev/null" },
    { "cgroup", "cgroup ls", "cgroup ls -q", "--version >/dev/null" },
    { "kernel", "vm kernel", "vm kernel ls --format '{{.Name}}'", "--version >/dev/null" },
};

static const char *arguments_for(const struct program *program, const struct listed_words *listed)
{
    return program_command(program, listed->command) != NULL ? listed->arguments : listed->other;
}

static const char signal_words[] = "HUP INT QUIT KILL USR1 USR2 TERM CONT STOP";

/* --- bash ------------------------------------------------------------------------------------- */

static void bash_option_names(const struct option *options, FILE *file)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (options->kind != OPTION_REFUSED)
            fprintf(file, " --%s", options->name);
    }
}

static void bash_options(const struct program *program, const struct command *command,
                         const char *name, void *context)
{
    FILE *file = context;
    (void)program;
    fprintf(file, "    '%s') echo \"--help", name);
    bash_option_names(command->options, file);
    bash_option_names(command->more_options, file);
    fputs("\" ;;\n", file);
}

static void bash_value_of(const char *name, const struct option *options, FILE *file)
{
    for (; options != NULL && options->name != NULL; options++) {
        auto_free char *answer = answer_of(options->completion);

        if (!option_has_value(options))
            continue;
        fprintf(file, "    '%s --%s'", name, options->name);
        if (options->letter != 0)
            fprintf(file, "|'%s -%c'", name, options->letter);
        fprintf(file, ") echo \"%s\" ;;\n", answer);
    }
}

static void bash_values(const struct program *program, const struct command *command,
                        const char *name, void *context)
{
    FILE *file = context;
    (void)program;
    bash_value_of(name, command->options, file);
    bash_value_of(name, command->more_options, file);
}

static void bash_words(const struct program *program, const struct command *command,
                       const char *name, void *context)
{
    FILE *file = context;
    auto_free char *answer = answer_of(command->words_completion);

    (void)program;
    fprintf(file, "    '%s') echo \"%s\" ;;\n", name, answer);
}

static const char bash_main[] =
    "_%1$s() {\n"
    "    local current=\"${COMP_WORDS[COMP_CWORD]}\" command='' word='' previous='' answer=''\n"
    "    local i words=0\n"
    "    COMPREPLY=()\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=\"${COMP_WORDS[i]}\"\n"
    "        if [[ $word == -* ]]; then\n"
    "            # the value of an option is no word\n"
    "            if _%1$s_value \"$command\" \"$word\" >/dev/null; then\n"
    "                previous=\"$word\"\n"
    "                i=$((i + 1))\n"
    "                [[ ${COMP_WORDS[i]} == '=' ]] && i=$((i + 1))\n"
    "                ((i < COMP_CWORD)) && previous=''\n"
    "            fi\n"
    "        elif [[ -z $command ]]; then\n"
    "            command=\"$word\"\n"
    "        elif [[ $words == 0 && \" $(_%1$s_group \"$command\") \" == *\" $word \"* ]]; then\n"
    "            command=\"$command $word\"\n"
    "        else\n"
    "            words=$((words + 1))\n"
    "        fi\n"
    "    done\n"
    "    [[ $current == '=' ]] && current=''\n"
    "    if [[ -n $previous ]]; then\n"
    "        answer=\"$(_%1$s_value \"$command\" \"$previous\")\"\n"
    "    elif [[ $current == -* ]]; then\n"
    "        answer=\"$(_%1$s_options \"$command\")\"\n"
    "    elif [[ -z $command ]]; then\n"
    "        answer=@command\n"
    "    elif [[ $words == 0 && -n $(_%1$s_group \"$command\") ]]; then\n"
    "        answer=\"$(_%1$s_group \"$command\")\"\n"
    "    else\n"
    "        answer=\"$(_%1$s_words \"$command\")\"\n"
    "    fi\n"
    "    case \"$answer\" in\n"
    "    @signal) answer='%3$s' ;;\n"
    "    @command) answer=\"$(_%1$s_commands)\" ;;\n"
    "    @file) compopt -o default 2>/dev/null; return ;;\n"
    "    @*) answer=\"$(_%1$s_listed \"$answer\")\" ;;\n"
    "    esac\n"
    "    # readline takes a colon for the end of a word\n"
    "    local word_so_far=\"$current\"\n"
    "    ((COMP_CWORD >= 2)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == ':' ]] &&\n"
    "        word_so_far=\"${COMP_WORDS[COMP_CWORD - 2]}:$current\"\n"
    "    [[ $current == ':' ]] && word_so_far=\"${COMP_WORDS[COMP_CWORD - 1]}:\"\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$answer\" -- \"$word_so_far\")\n"
    "    word=\"${word_so_far##*:}\"\n"
    "    COMPREPLY=(\"${COMPREPLY[@]#\"${word_so_far%%\"$word\"}\"}\")\n"
    "}\n"
    "complete -F _%1$s %2$s\n";

/* For a case of the shell: the second words of each first word, between @begin and @end. */
static void print_groups(const struct program *program, const char *begin, const char *end,
                         FILE *file)
{
    struct strings words = { 0 };

    collect_first_words(program, &words);
    for (size_t i = 0; i < words.count; i++) {
        struct strings seconds = { 0 };
        auto_free char *joined = NULL;

        collect_second_words(program, words.items[i], &seconds);
        joined = strings_join(&seconds, " ");
        if (seconds.count > 0)
            fprintf(file, "    %s) %s%s%s ;;\n", words.items[i], begin, joined, end);
        strings_clear(&seconds);
    }
    strings_clear(&words);
}

static void bash_print(const struct program *program, const char *function, FILE *file)
{
    struct strings words = { 0 };

    collect_first_words(program, &words);
    fprintf(file, "# bash completion for %s, generated from its tables\n", program->name);
    fprintf(file, "_%s_commands() { echo '", function);
    for (size_t i = 0; i < words.count; i++)
        fprintf(file, "%s%s", i > 0 ? " " : "", words.items[i]);
    fprintf(file, "'; }\n_%s_group() {\n    case \"$1\" in\n", function);
    strings_clear(&words);
    print_groups(program, "echo '", "'", file);
    fprintf(file, "    esac\n}\n_%s_options() {\n    case \"$1\" in\n    '') echo \"--help",
            function);
    bash_option_names(program->global_options, file);
    fputs("\" ;;\n", file);
    visit_names(program, bash_options, file);
    fprintf(file, "    esac\n}\n_%s_value() {\n    case \"$1 $2\" in\n", function);
    bash_value_of("", program->global_options, file);
    visit_names(program, bash_values, file);
    fprintf(file, "    *) return 1 ;;\n    esac\n}\n_%s_words() {\n    case \"$1\" in\n", function);
    visit_names(program, bash_words, file);
    fprintf(file, "    esac\n}\n_%s_listed() {\n    case \"$1\" in\n", function);
    for (size_t i = 0; i < ARRAY_SIZE(listed_words); i++)
        fprintf(file, "    @%s) %s %s 2>/dev/null ;;\n", listed_words[i].kind, program->name,
                arguments_for(program, &listed_words[i]));
    fputs("    esac\n}\n", file);
    fprintf(file, bash_main, function, program->name, signal_words);
}

/* --- zsh -------------------------------------------------------------------------------------- */

/* Writes help inside [...] of a specification between single quotes. */
static void zsh_text(const char *text, FILE *file)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\''", file);
        else if (*text == '[' || *text == ']' || *text == ':' || *text == '\\')
            fprintf(file, "\\%c", *text);
        else
            fputc(*text, file);
    }
}

static char *zsh_action(const char *function, const char *completion)
{
    auto_free char *answer = answer_of(completion);

    if (strcmp(answer, "@file") == 0)
        return xstrdup("_files");
    if (answer[0] == '@')
        return xasprintf("_%s_%ss", function, answer + 1);
    if (answer[0] == '\0')
        return xstrdup(" ");
    return xasprintf("(%s)", answer);
}

static void zsh_options(const char *function, const struct option *options, FILE *file)
{
    for (; options != NULL && options->name != NULL; options++) {
        auto_free char *action = zsh_action(function, options->completion);

        if (options->kind == OPTION_REFUSED)
            continue;
        fputs(" \\\n            ", file);
        if (options->kind == OPTION_LIST)
            fputs("'*'", file);
        else if (options->letter != 0)
            fprintf(file, "'(-%c --%s)'", options->letter, options->name);
        if (options->letter != 0)
            fprintf(file, "{-%c%s,--%s%s}", options->letter, option_has_value(options) ? "+" : "",
                    options->name, option_has_value(options) ? "=" : "");
        else
            fprintf(file, "--%s%s", options->name,
                    option_has_value(options)          ? "="
                    : options->kind == OPTION_OPTIONAL ? "=-"
                                                       : "");
        fputs("'[", file);
        zsh_text(options->help, file);
        fputc(']', file);
        if (options->kind == OPTION_OPTIONAL)
            fprintf(file, "::%s:%s", options->value, action);
        else if (option_has_value(options))
            fprintf(file, ":%s:%s", options->value != NULL ? options->value : "value", action);
        fputc('\'', file);
    }
}

static char *function_name(const struct program *program)
{
    char *name = xstrdup(program->name);

    for (char *dash = strchr(name, '-'); dash != NULL; dash = strchr(dash, '-'))
        *dash = '_';
    return name;
}

static void zsh_command(const struct program *program, const struct command *command,
                        const char *name, void *context)
{
    FILE *file = context;
    auto_free char *function = function_name(program);
    auto_free char *action = zsh_action(function, command->words_completion);

    fprintf(file, "    '%s')\n        _arguments -s %s\\\n            '--help[Show this help]'",
            name, command->stops_at_first_word ? "-A '-*' " : "");
    zsh_options(function, command->options, file);
    zsh_options(function, command->more_options, file);
    if (command->stops_at_first_word)
        fprintf(file, " \\\n            '1: :%s' '*:: :_normal' ;;\n", action);
    else if (command->words_completion != NULL)
        fprintf(file, " \\\n            '*: :%s' ;;\n", action);
    else
        fputs(" ;;\n", file);
}

static void zsh_describe(const struct program *program, const struct command *command,
                         const char *name, void *context)
{
    FILE *file = context;
    (void)program;
    if (strchr(name, ' ') != NULL)
        return;
    fprintf(file, "        '%s:", name);
    zsh_text(command->help, file);
    fputs("'\n", file);
}

static void zsh_print(const struct program *program, const char *function, FILE *file)
{
    fprintf(file, "#compdef %s\n# zsh completion for %s, generated from its tables\n",
            program->name, program->name);
    /* A colon in the name of an image separates nothing. */
    for (size_t i = 0; i < ARRAY_SIZE(listed_words); i++)
        fprintf(file, "_%s_%ss() { compadd -- ${(f)\"$(%s %s 2>/dev/null)\"} }\n", function,
                listed_words[i].kind, program->name, arguments_for(program, &listed_words[i]));
    fprintf(file, "_%s_signals() { compadd -- %s }\n", function, signal_words);
    fprintf(file, "_%s_commands() {\n    local -a commands=(\n", function);
    visit_names(program, zsh_describe, file);
    fprintf(file, "    )\n    _describe command commands\n}\n_%s() {\n", function);
    fputs("    local context state line command\n    local -a seconds\n"
          "    local curcontext=\"$curcontext\"\n"
          "    _arguments -C -s -A '-*' \\\n            '--help[Show this help]'",
          file);
    zsh_options(function, program->global_options, file);
    fprintf(file, " \\\n            '1: :->command' '*:: :->rest' && return\n"
                  "    command=$line[1]\n    case $command in\n");
    print_groups(program, "seconds=(", ")", file);
    fprintf(file,
            "    esac\n"
            "    if [[ $state == command ]]; then\n"
            "        _%s_commands\n"
            "        return\n"
            "    fi\n"
            "    if (( $#seconds )); then\n"
            "        if (( CURRENT == 2 )); then\n"
            "            compadd -- $seconds\n"
            "            return\n"
            "        fi\n"
            "        command=\"$command $words[2]\"\n"
            "        shift words\n"
            "        (( CURRENT-- ))\n"
            "    fi\n"
            "    case $command in\n",
            function);
    visit_names(program, zsh_command, file);
    fprintf(file,
            "    esac\n}\nif [[ $funcstack[1] == _%s ]]; then\n    _%s \"$@\"\nelse\n"
            "    compdef _%s %s\nfi\n",
            function, function, function, program->name);
}

/* --- fish ------------------------------------------------------------------------------------- */

static void fish_text(const char *text, FILE *file)
{
    fputc('\'', file);
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', file);
        fputc(*text, file);
    }
    fputc('\'', file);
}

static void fish_answer(const char *function, const char *completion, FILE *file)
{
    auto_free char *answer = answer_of(completion);

    if (strcmp(answer, "@file") == 0)
        fputs(" -F", file);
    else if (answer[0] == '@')
        fprintf(file, " -f -a '(__%s_%ss)'", function, answer + 1);
    else if (answer[0] != '\0')
        fprintf(file, " -f -a '%s'", answer);
}

static void fish_options(const struct program *program, const char *function, const char *condition,
                         const struct option *options, FILE *file)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (options->kind == OPTION_REFUSED)
            continue;
        fprintf(file, "complete -c %s -n '%s' -l %s", program->name, condition, options->name);
        if (options->letter != 0)
            fprintf(file, " -s %c", options->letter);
        if (option_has_value(options)) {
            fputs(" -r", file);
            fish_answer(function, options->completion, file);
        }
        fputs(" -d ", file);
        fish_text(options->help, file);
        fputc('\n', file);
    }
}

static void fish_command(const struct program *program, const struct command *command,
                         const char *name, void *context)
{
    FILE *file = context;
    auto_free char *function = function_name(program);
    auto_free char *condition = xasprintf("__%s_is %s", function, name);
    const char *second = strchr(name, ' ');

    if (second != NULL)
        fprintf(file, "complete -c %s -n '__%s_is %.*s' -f -a %s -d ", program->name, function,
                (int)(second - name), name, second + 1);
    else
        fprintf(file, "complete -c %s -n '__%s_is' -f -a %s -d ", program->name, function, name);
    fish_text(command->help, file);
    fputc('\n', file);
    fish_options(program, function, condition, command->options, file);
    fish_options(program, function, condition, command->more_options, file);
    if (command->words_completion != NULL) {
        fprintf(file, "complete -c %s -n '%s'", program->name, condition);
        fish_answer(function, command->words_completion, file);
        fputc('\n', file);
    }
}

static void fish_print(const struct program *program, const char *function, FILE *file)
{
    auto_free char *condition = xasprintf("__%s_is", function);

    fprintf(file, "# fish completion for %s, generated from its tables\n", program->name);
    /* Without words: no command yet. With words: they are the command that was typed. */
    fprintf(file,
            "function __%s_is\n"
            "    set -l typed\n"
            "    for word in (commandline -opc)[2..-1]\n"
            "        string match -q -- '-*' $word; or set -a typed $word\n"
            "    end\n"
            "    if test (count $argv) -eq 0\n"
            "        test (count $typed) -eq 0\n"
            "    else\n"
            "        set -l count (count $argv)\n"
            "        test \"$typed[1..$count]\" = \"$argv\"\n"
            "    end\n"
            "end\n",
            function);
    for (size_t i = 0; i < ARRAY_SIZE(listed_words); i++)
        fprintf(file, "function __%s_%ss\n    %s %s 2>/dev/null\nend\n", function,
                listed_words[i].kind, program->name, arguments_for(program, &listed_words[i]));
    fprintf(file, "function __%s_signals\n    printf '%%s\\n' %s\nend\n", function, signal_words);
    fprintf(file, "function __%s_commands\n    printf '%%s\\n'", function);
    {
        struct strings words = { 0 };

        collect_first_words(program, &words);
        for (size_t i = 0; i < words.count; i++)
            fprintf(file, " %s", words.items[i]);
        strings_clear(&words);
    }
    fputs("\nend\n", file);
    fish_options(program, function, condition, program->global_options, file);
    visit_names(program, fish_command, file);
}

int completion_print(const struct program *program, const char *shell, FILE *file,
                     struct error *err)
{
    auto_free char *function = function_name(program);

    if (strcmp(shell, "bash") == 0)
        bash_print(program, function, file);
    else if (strcmp(shell, "zsh") == 0)
        zsh_print(program, function, file);
    else if (strcmp(shell, "fish") == 0)
        fish_print(program, function, file);
    else
        return error_set(err, EINVAL,
                         "no completion for the shell '%s': bash, zsh and fish have it", shell);
    return 0;
}
