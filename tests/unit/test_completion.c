#include "cli/completion.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "base/text.h"
#include "cli/berth_commands.h"
#include "cli/help.h"
#include "cli/manpage.h"
#include "cli/refused_commands.h"

/* Walks the tables of the program berth: what help, the manual page and completion print is only as
 * good as they are. */

static const struct option global_options[] = {
    { "data", 0, OPTION_TEXT, "DIR", "Where data is kept", "file" },
    { 0 },
};

static const struct program program = {
    .name = "berth",
    .summary = "Runs containers",
    .commands = berth_commands,
    .global_options = global_options,
    .usage_status = 125,
};

/* What @print writes; caller frees. */
static char *printed_completion(const char *shell)
{
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);

    assert_non_null(file);
    assert_int_equal(completion_print(&program, shell, file, NULL), 0);
    (void)fclose(file);
    return text;
}

static void check_option(const struct command *command, const struct option *option)
{
    bool has_value = option->kind == OPTION_TEXT || option->kind == OPTION_LIST ||
                     option->kind == OPTION_OPTIONAL;

    if (text_is_empty(option->help) || option->help[strlen(option->help) - 1] == '.')
        fail_msg("%s --%s: no help, or a full stop at its end", command->name, option->name);
    if (option->kind != OPTION_REFUSED && has_value != (option->value != NULL))
        fail_msg("%s --%s: a value without a name, or a flag with one", command->name,
                 option->name);
    if (strncmp(option->name, "-", 1) == 0)
        fail_msg("%s --%s: hyphens do not belong to the name", command->name, option->name);
}

/* All options of a command, in both tables. Caller frees the array. */
static const struct option **collect_options(const struct command *command, size_t *ret_count)
{
    const struct option *const tables[] = { command->options, command->more_options };
    const struct option **all = NULL;

    *ret_count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const struct option *one = tables[i]; one != NULL && one->name != NULL; one++) {
            all = xrealloc(all, *ret_count + 1, sizeof(*all));
            all[(*ret_count)++] = one;
        }
    }
    return all;
}

static void every_option_has_help_and_no_two_share_a_name_or_letter(void **state)
{
    (void)state;
    for (const struct command *command = berth_commands; command->name != NULL; command++) {
        size_t count = 0;
        auto_free const struct option **options = collect_options(command, &count);

        for (size_t i = 0; i < count; i++) {
            check_option(command, options[i]);
            for (size_t j = 0; j < i; j++) {
                if (strcmp(options[i]->name, options[j]->name) == 0)
                    fail_msg("%s has --%s twice", command->name, options[i]->name);
                if (options[i]->letter != 0 && options[i]->letter == options[j]->letter)
                    fail_msg("%s: -%c is --%s and --%s", command->name, options[i]->letter,
                             options[i]->name, options[j]->name);
            }
        }
    }
}

static void every_command_can_be_found_and_explains_itself(void **state)
{
    (void)state;
    for (const struct command *command = berth_commands; command->name != NULL; command++) {
        AUTO_CLEAR(strings) struct strings names = { 0 };

        strings_add(&names, command->name);
        if (command->alias != NULL)
            strings_split(&names, command->alias, '|');
        for (size_t i = 0; i < names.count; i++) {
            if (program_command(&program, names.items[i]) != command)
                fail_msg("'%s' is another command", names.items[i]);
        }
        if (text_is_empty(command->help) || text_is_empty(command->usage) ||
            text_is_empty(command->examples) || text_is_empty(command->section))
            fail_msg("%s: no help, usage, examples or section", command->name);
        if (!text_starts(command->examples, "berth ") &&
            strstr(command->examples, "| berth ") == NULL)
            fail_msg("%s: its examples do not run berth", command->name);
        assert_non_null(command->handler);
        assert_true(command->min_words <= command->max_words);
    }
}

static void scripts_name_every_command_and_option(void **state)
{
    static const char *const shells[] = { "bash", "zsh", "fish" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
        auto_free char *script = printed_completion(shells[i]);

        for (const struct command *command = berth_commands; command->name != NULL; command++) {
            const char *word = strrchr(command->name, ' ');
            size_t count = 0;
            auto_free const struct option **options = collect_options(command, &count);

            if (strstr(script, word != NULL ? word + 1 : command->name) == NULL)
                fail_msg("%s does not complete %s", shells[i], command->name);
            for (size_t j = 0; j < count; j++) {
                if (options[j]->kind != OPTION_REFUSED && strstr(script, options[j]->name) == NULL)
                    fail_msg("%s does not complete --%s", shells[i], options[j]->name);
            }
        }
        assert_non_null(strstr(script, "berth ps -a --format '{{.Names}}'"));
    }
}

static void kernels_of_microvms_are_offered(void **state)
{
    static const char *const expected[][2] = { { "bash", "'run --kernel') echo \"@kernel\"" },
                                               { "zsh", "_berth_kernels'" },
                                               { "fish", "-a '(__berth_kernels)'" } };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        auto_free char *script = printed_completion(expected[i][0]);

        if (strstr(script, expected[i][1]) == NULL ||
            strstr(script, "berth vm kernel ls --format '{{.Name}}'") == NULL)
            fail_msg("%s does not offer kernels", expected[i][0]);
    }
}

static void volumes_are_offered(void **state)
{
    static const char *const expected[][2] = { { "bash", "'volume rm') echo \"@volume\"" },
                                               { "zsh", "_berth_volumes'" },
                                               { "fish", "-a '(__berth_volumes)'" } };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        auto_free char *script = printed_completion(expected[i][0]);

        if (strstr(script, expected[i][1]) == NULL || strstr(script, "berth volume ls -q") == NULL)
            fail_msg("%s does not offer volumes", expected[i][0]);
    }
}

/* Also as a first word: `berth network ls` is refused as `network` is. */
static void refused_commands_are_none_of_ours(void **state)
{
    (void)state;
    for (const struct refused_command *refused = refused_commands; refused->names != NULL;
         refused++) {
        AUTO_CLEAR(strings) struct strings names = { 0 };

        strings_split(&names, refused->names, '|');
        assert_true(refused->reason[strlen(refused->reason) - 1] != '.');
        for (size_t i = 0; i < names.count; i++) {
            if (program_command(&program, names.items[i]) != NULL)
                fail_msg("'%s' is a command", names.items[i]);
        }
    }
}

static void an_unknown_shell_is_named(void **state)
{
    struct error err = { 0 };

    (void)state;
    assert_int_equal(completion_print(&program, "tcsh", stdout, &err), -EINVAL);
    assert_string_equal(err.message,
                        "no completion for the shell 'tcsh': bash, zsh and fish have it");
}

static void help_leaves_out_what_is_not_there_yet(void **state)
{
    const struct command *command = program_command(&program, "container run");
    auto_free char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);

    (void)state;
    assert_non_null(command);
    help_print_command(&program, command, file);
    (void)fclose(file);
    assert_non_null(strstr(text, "Usage:  berth run [OPTIONS] IMAGE [COMMAND] [ARG...]\n"));
    assert_non_null(strstr(text, "  -m, --memory BYTES "));
    assert_non_null(strstr(text, "Examples:\n  berth run --rm busybox echo hello"));
    assert_null(strstr(text, "--health-cmd"));
}

static void the_manual_page_has_no_line_that_roff_takes_for_a_request(void **state)
{
    static const char *const requests[] = { ".TH ", ".SH ", ".SS ", ".TP", ".B ",   ".PP",
                                            ".nf",  ".fi",  ".RS ", ".RE", ".\\\"", ".BR " };
    AUTO_CLEAR(strings) struct strings lines = { 0 };
    auto_free char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);

    (void)state;
    manpage_print(&program, file);
    (void)fclose(file);
    strings_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        bool is_known = lines.items[i][0] != '.' && lines.items[i][0] != '\'';

        for (size_t j = 0; j < ARRAY_SIZE(requests); j++)
            is_known = is_known || text_starts(lines.items[i], requests[j]);
        if (!is_known)
            fail_msg("line %zu: '%s'", i + 1, lines.items[i]);
    }
    assert_non_null(strstr(text, ".SS \"berth image make\"\n"));
    assert_non_null(strstr(text, ".B \\-m, \\-\\-memory BYTES\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_has_help_and_no_two_share_a_name_or_letter),
        cmocka_unit_test(every_command_can_be_found_and_explains_itself),
        cmocka_unit_test(scripts_name_every_command_and_option),
        cmocka_unit_test(kernels_of_microvms_are_offered),
        cmocka_unit_test(volumes_are_offered),
        cmocka_unit_test(refused_commands_are_none_of_ours),
        cmocka_unit_test(an_unknown_shell_is_named),
        cmocka_unit_test(help_leaves_out_what_is_not_there_yet),
        cmocka_unit_test(the_manual_page_has_no_line_that_roff_takes_for_a_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
