#include "cli/help.h"

#include <stdint.h>
#include <string.h>

#include "base/auto.h"

/* Columns between an option and its help never grow beyond this; longer options get a line of their
 * own. */
#define HELP_COLUMN_MAX 34

char *option_format(const struct option *option)
{
    if (option->kind == OPTION_FLAG)
        return xasprintf("--%s", option->name);
    if (option->kind == OPTION_OPTIONAL)
        return xasprintf("--%s[=%s]", option->name, option->value);
    return xasprintf("--%s %s", option->name, option->value);
}

static size_t option_width(const struct option *option)
{
    auto_free char *text = option_format(option);

    return strlen(text);
}

static size_t options_width(const struct option *options, size_t width)
{
    for (size_t i = 0; options != NULL && options[i].name != NULL; i++) {
        size_t own = options[i].kind != OPTION_REFUSED ? option_width(&options[i]) : 0;

        if (own > width && own <= HELP_COLUMN_MAX)
            width = own;
    }
    return width;
}

static void print_option(const struct option *option, size_t width, FILE *file)
{
    auto_free char *text = NULL;

    if (option->kind == OPTION_REFUSED)
        return;
    text = option_format(option);
    if (option->letter != 0)
        fprintf(file, "  -%c, ", option->letter);
    else
        fputs("      ", file);
    if (strlen(text) > width)
        fprintf(file, "%s\n%*s%s\n", text, (int)width + 9, "", option->help);
    else
        fprintf(file, "%-*s   %s\n", (int)width, text, option->help);
}

/* Two tables that are each in order of the alphabet, printed as one. */
static void print_options(const struct option *one, const struct option *two, FILE *file)
{
    size_t width = options_width(two, options_width(one, strlen("--help")));

    fputs("\nOptions:\n", file);
    while ((one != NULL && one->name != NULL) || (two != NULL && two->name != NULL)) {
        bool takes_one = two == NULL || two->name == NULL ||
                         (one != NULL && one->name != NULL && strcmp(one->name, two->name) <= 0);

        print_option(takes_one ? one++ : two++, width, file);
    }
    fprintf(file, "      %-*s   %s\n", (int)width, "--help", "Show this help");
}

char *examples_format(const struct program *program, const struct command *command)
{
    static const char placeholder[] = "{program}";
    AUTO_CLEAR(text) struct text text = { 0 };
    const char *rest = command->examples;

    for (const char *next = strstr(rest, placeholder); next != NULL;
         next = strstr(rest, placeholder)) {
        text_add_bytes(&text, rest, (size_t)(next - rest));
        text_add(&text, program->name);
        rest = next + strlen(placeholder);
    }
    text_add(&text, rest);
    return take_ptr(&text.data);
}

static void print_examples(const struct program *program, const struct command *command, FILE *file)
{
    auto_free char *text = examples_format(program, command);
    const char *examples = text;

    fputs("\nExamples:\n", file);
    while (*examples != '\0') {
        size_t length = strcspn(examples, "\n");

        fprintf(file, "  %.*s\n", (int)length, examples);
        examples += examples[length] == '\n' ? length + 1 : length;
    }
}

/* Breaks a paragraph into lines of at most 78 columns. */
static void print_paragraph(const char *paragraph, FILE *file)
{
    size_t column = 0;

    fputc('\n', file);
    while (*paragraph != '\0') {
        size_t length = strcspn(paragraph, " \n");

        if (column > 0 && column + 1 + length > 78) {
            fputc('\n', file);
            column = 0;
        }
        fprintf(file, "%s%.*s", column > 0 ? " " : "", (int)length, paragraph);
        column += length + (column > 0 ? 1 : 0);
        paragraph += length;
        if (*paragraph == '\n') {
            fputc('\n', file);
            column = 0;
        }
        if (*paragraph != '\0')
            paragraph++;
    }
    fputc('\n', file);
}

void help_print_command(const struct program *program, const struct command *command, FILE *file)
{
    fprintf(file, "Usage:  %s %s%s%s\n\n%s\n", program->name, command->name,
            command->usage != NULL ? " " : "", command->usage != NULL ? command->usage : "",
            command->help);
    if (command->description != NULL)
        print_paragraph(command->description, file);
    if (command->alias != NULL) {
        fputs("\nAliases:\n", file);
        for (const char *alias = command->alias; *alias != '\0';) {
            size_t length = strcspn(alias, "|");

            fprintf(file, "  %s %.*s\n", program->name, (int)length, alias);
            alias += alias[length] == '|' ? length + 1 : length;
        }
    }
    print_options(command->options, command->more_options, file);
    if (command->examples != NULL)
        print_examples(program, command, file);
}

/* The last word of a command's alias in @group ("rm" of "container rm"), or of its own name; NULL.
 */
static char *name_in_group(const struct command *command, const char *group)
{
    size_t length = strlen(group);
    auto_free char *names =
        xasprintf("%s|%s", command->name, command->alias != NULL ? command->alias : "");

    for (const char *name = names; *name != '\0';) {
        size_t end = strcspn(name, "|");

        if (end > length + 1 && strncmp(name, group, length) == 0 && name[length] == ' ')
            return xstrndup(name + length + 1, end - length - 1);
        name += name[end] == '|' ? end + 1 : end;
    }
    return NULL;
}

static bool text_is_section(const struct command *command, const char *section)
{
    return strcmp(command->section != NULL ? command->section : "Commands", section) == 0;
}

static void print_command(const struct command *command, const char *group, FILE *file)
{
    auto_free char *name = group != NULL ? name_in_group(command, group) : xstrdup(command->name);

    if (!command->is_hidden && name != NULL)
        fprintf(file, "  %-16s%s\n", name, command->help);
}

/* Each section once, where its first command stands in the table. */
static void print_sections(const struct command *commands, FILE *file)
{
    for (const struct command *first = commands; first->name != NULL; first++) {
        const char *section = first->section != NULL ? first->section : "Commands";
        bool is_known = first->is_hidden;

        for (const struct command *earlier = commands; earlier < first; earlier++)
            is_known = is_known || (!earlier->is_hidden && text_is_section(earlier, section));
        if (is_known)
            continue;
        fprintf(file, "\n%s:\n", section);
        for (const struct command *one = first; one->name != NULL; one++) {
            if (text_is_section(one, section))
                print_command(one, NULL, file);
        }
    }
}

void help_print(const struct program *program, const char *group, FILE *file)
{
    fprintf(file, "Usage:  %s %s COMMAND\n", program->name, group != NULL ? group : "[OPTIONS]");
    if (group != NULL) {
        fputs("\nCommands:\n", file);
        for (const struct command *one = program->commands; one->name != NULL; one++)
            print_command(one, group, file);
    } else {
        fprintf(file, "\n%s\n", program->summary);
        print_sections(program->commands, file);
        fputs("\nHelp:\n", file);
        for (const struct command *one = builtin_commands; one->name != NULL; one++)
            print_command(one, NULL, file);
        print_options(program->global_options, NULL, file);
    }
    fprintf(file, "\n'%s %s%sCOMMAND --help' tells more about a command.\n", program->name,
            group != NULL ? group : "", group != NULL ? " " : "");
}
