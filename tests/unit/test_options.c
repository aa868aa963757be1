#include "cli/options.h"

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

static const struct refused_command refused[] = {
    { "network|image build", "it is not there yet" },
    { 0 },
};

static const struct option run_options[] = {
    { "env", 'e', OPTION_LIST, "NAME=VALUE", "Set a variable", NULL },
    { "interactive", 'i', OPTION_FLAG, NULL, "Keep standard input open", NULL },
    { "memory", 'm', OPTION_TEXT, "BYTES", "Limit memory", NULL },
    { "publish", 'p', OPTION_REFUSED, NULL, "publishing ports is not there yet", NULL },
    { "rm", 0, OPTION_FLAG, NULL, "Remove it at its end", NULL },
    { "systemd", 0, OPTION_OPTIONAL, "MODE", "Mode", NULL },
    { "tty", 't', OPTION_FLAG, NULL, "Give it a terminal", NULL },
    { 0 },
};

static const struct option shared_options[] = {
    { "hostname", 'h', OPTION_TEXT, "NAME", "Host name", NULL },
    { 0 },
};

static const struct option global_options[] = {
    { "data", 0, OPTION_TEXT, "DIR", "Where data is kept", "file" },
    { "version", 'v', OPTION_FLAG, NULL, "Show the version", NULL },
    { 0 },
};

static const struct command commands[] = {
    { .name = "run",
      .alias = "container run",
      .usage = "IMAGE",
      .help = "Run",
      .options = run_options,
      .more_options = shared_options,
      .min_words = 1,
      .max_words = SIZE_MAX,
      .stops_at_first_word = true },
    { .name = "ps",
      .alias = "container ls|container list",
      .help = "List",
      .options = run_options,
      .max_words = 0 },
    { .name = "stop",
      .help = "Stop",
      .options = run_options,
      .min_words = 1,
      .max_words = SIZE_MAX },
    { .name = "rename", .help = "Rename", .min_words = 2, .max_words = 2 },
    { .name = "image make", .help = "Make", .min_words = 1, .max_words = 1 },
    { 0 },
};

static const struct program program = {
    .name = "berth",
    .summary = "Runs containers",
    .commands = commands,
    .global_options = global_options,
    .refused_commands = refused,
    .usage_status = 125,
};

/* Parses words that end with NULL. */
static int parse(const char *const *words, struct arguments *arguments, struct error *err)
{
    int count = 0;

    while (words[count] != NULL)
        count++;
    return arguments_parse(&program, count, (char **)words, arguments, err);
}

static void all_forms_of_long_options_are_read(void **state)
{
    const char *words[] = { "berth", "run",     "--memory=64m", "--env",  "A=b", "--env=C=d",
                            "--rm",  "--tty=0", "busybox",      "--rm=x", NULL };
    struct arguments arguments = { 0 };

    (void)state;
    assert_int_equal(parse(words, &arguments, NULL), 0);
    assert_string_equal(arguments.command->name, "run");
    assert_string_equal(arguments_text(&arguments, "memory"), "64m");
    assert_int_equal(arguments_list(&arguments, "env")->count, 2);
    assert_string_equal(arguments_list(&arguments, "env")->items[1], "C=d");
    assert_true(arguments_flag(&arguments, "rm"));
    assert_false(arguments_flag(&arguments, "tty"));
    assert_true(arguments_has(&arguments, "tty"));
    assert_int_equal(arguments.word_count, 2);
    assert_string_equal(arguments.words[1], "--rm=x");
    assert_null(arguments.words[2]);
    arguments_clear(&arguments);
}

static void letters_may_be_bundled_and_carry_values(void **state)
{
    const char *words[] = { "berth", "run", "-it", "-eA=b", "-e", "C=d", "-e=E=f",
                            "-iem",  "-m",  "5",   "-hbox", "x",  "-z",  NULL };
    struct arguments arguments = { 0 };

    (void)state;
    assert_int_equal(parse(words, &arguments, NULL), 0);
    assert_true(arguments_flag(&arguments, "interactive"));
    assert_true(arguments_flag(&arguments, "tty"));
    assert_int_equal(arguments_list(&arguments, "env")->count, 4);
    assert_string_equal(arguments_list(&arguments, "env")->items[0], "A=b");
    assert_string_equal(arguments_list(&arguments, "env")->items[1], "C=d");
    assert_string_equal(arguments_list(&arguments, "env")->items[2], "E=f");
    assert_string_equal(arguments_list(&arguments, "env")->items[3], "m");
    assert_string_equal(arguments_text(&arguments, "memory"), "5");
    assert_string_equal(arguments_text(&arguments, "hostname"), "box");
    assert_int_equal(arguments.word_count, 2);
    arguments_clear(&arguments);
}

static void options_may_stand_behind_words_and_two_hyphens_end_them(void **state)
{
    const char *words[] = { "berth", "--data", "/d", "stop", "a", "--rm", "-", "--", "--rm", NULL };
    struct arguments arguments = { 0 };

    (void)state;
    assert_int_equal(parse(words, &arguments, NULL), 0);
    assert_string_equal(arguments_global(&arguments, "data")->text, "/d");
    assert_true(arguments_flag(&arguments, "rm"));
    assert_int_equal(arguments.word_count, 3);
    assert_string_equal(arguments.words[0], "a");
    assert_string_equal(arguments.words[1], "-");
    assert_string_equal(arguments.words[2], "--rm");
    arguments_clear(&arguments);
}

static void the_program_in_the_container_keeps_its_options(void **state)
{
    const char *words[] = { "berth", "run", "--", "busybox", "--", "--help", NULL };
    struct arguments arguments = { 0 };

    (void)state;
    assert_int_equal(parse(words, &arguments, NULL), 0);
    assert_false(arguments.wants_help);
    assert_int_equal(arguments.word_count, 3);
    assert_string_equal(arguments.words[1], "--");
    arguments_clear(&arguments);
}

static void commands_of_two_words_and_long_forms_are_found(void **state)
{
    static const struct {
        const char *words[5];
        const char *command;
    } rows[] = {
        { { "berth", "image", "make", "x" }, "image make" },
        { { "berth", "container", "run", "x" }, "run" },
        { { "berth", "container", "list" }, "ps" },
        { { "berth", "ps" }, "ps" },
        { { "berth", "help", "image", "make" }, "help" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arguments arguments = { 0 };

        if (parse(rows[i].words, &arguments, NULL) != 0)
            fail_msg("row %zu is not understood", i);
        assert_string_equal(arguments.command->name, rows[i].command);
        arguments_clear(&arguments);
    }
}

static void help_and_version_are_seen_wherever_they_stand(void **state)
{
    static const struct {
        const char *words[5];
        bool wants_help, wants_version;
        const char *group;
    } rows[] = {
        { { "berth" }, true, false, NULL },
        { { "berth", "--help" }, true, false, NULL },
        { { "berth", "-h" }, true, false, NULL },
        { { "berth", "run", "--help" }, true, false, NULL },
        { { "berth", "ps", "-h" }, true, false, NULL },
        { { "berth", "image" }, true, false, "image" },
        { { "berth", "container", "--help" }, true, false, "container" },
        { { "berth", "-v" }, false, true, NULL },
        { { "berth", "--version" }, false, true, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arguments arguments = { 0 };

        if (parse(rows[i].words, &arguments, NULL) != 0)
            fail_msg("row %zu is not understood", i);
        if (arguments.wants_help != rows[i].wants_help ||
            arguments.wants_version != rows[i].wants_version ||
            !text_equal(arguments.group, rows[i].group))
            fail_msg("row %zu is wrong", i);
        arguments_clear(&arguments);
    }
}

static void mistakes_are_named_with_the_nearest_word_and_where_help_is(void **state)
{
    static const struct {
        const char *words[5];
        const char *message;
    } rows[] = {
        { { "berth", "run", "--memroy", "1" },
          "unknown option '--memroy', did you mean '--memory'? see 'berth run --help'" },
        { { "berth", "run", "--wholly-unknown" },
          "unknown option '--wholly-unknown'; see 'berth run --help'" },
        { { "berth", "ps", "-v" }, "unknown option '-v'; see 'berth ps --help'" },
        { { "berth", "rnu" }, "unknown command 'rnu', did you mean 'run'? see 'berth --help'" },
        { { "berth", "image", "mke" },
          "unknown command 'image mke', did you mean 'image make'? see 'berth --help'" },
        { { "berth", "network", "ls" },
          "command 'network': it is not there yet; see 'berth --help'" },
        { { "berth", "image", "build", "." },
          "command 'image build': it is not there yet; see 'berth --help'" },
        { { "berth", "run", "-m" }, "option '-m' needs a value (BYTES); see 'berth run --help'" },
        { { "berth", "run", "--env" },
          "option '--env' needs a value (NAME=VALUE); see 'berth run --help'" },
        { { "berth", "run", "-p", "80:80" },
          "option '-p': publishing ports is not there yet; see 'berth run --help'" },
        { { "berth", "run" }, "'berth run' requires at least 1 argument; see 'berth run --help'" },
        { { "berth", "ps", "x" }, "'berth ps' accepts no arguments; see 'berth ps --help'" },
        { { "berth", "rename", "x" },
          "'berth rename' requires exactly 2 arguments; see 'berth rename --help'" },
        { { "berth", "help", "a", "b", "c" }, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct arguments arguments = { 0 };
        struct error err = { 0 };
        const char *words[6] = { 0 };

        memcpy(words, rows[i].words, sizeof(rows[i].words));
        if (parse(words, &arguments, &err) >= 0)
            fail_msg("row %zu is accepted", i);
        if (rows[i].message != NULL)
            assert_string_equal(err.message, rows[i].message);
        assert_null(arguments.values);
    }
}

static void single_dashes_may_stand_before_names_where_go_callers_expect_it(void **state)
{
    static const struct program go_program = {
        .name = "oci",
        .commands = commands,
        .global_options = global_options,
        .has_go_flags = true,
    };
    const char *words[] = { "oci",      "-data=d", "run", "-env",   "A=b", "-memory=5",
                            "-rm=true", "--t",     "-it", "--m=64", "x",   NULL };
    const char *unknown[] = { "oci", "rnu", NULL };
    struct arguments arguments = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(arguments_parse(&go_program, 11, (char **)words, &arguments, &err), 0);
    assert_string_equal(arguments_global(&arguments, "data")->text, "d");
    assert_string_equal(arguments_list(&arguments, "env")->items[0], "A=b");
    assert_string_equal(arguments_text(&arguments, "memory"), "64");
    assert_true(arguments_flag(&arguments, "rm"));
    assert_true(arguments_flag(&arguments, "tty"));
    assert_true(arguments_flag(&arguments, "interactive"));
    assert_int_equal(arguments.word_count, 1);
    arguments_clear(&arguments);
    assert_int_equal(arguments_parse(&go_program, 2, (char **)unknown, &arguments, &err), -ENOENT);
    assert_string_equal(err.message, "No help topic for 'rnu': unknown command 'rnu', did you mean "
                                     "'run'? see 'oci --help'");
}

static void a_flag_takes_only_words_for_yes_and_no(void **state)
{
    const char *words[] = { "berth", "run", "--rm=maybe", "x", NULL };
    struct arguments arguments = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(parse(words, &arguments, &err), -EINVAL);
    assert_non_null(strstr(err.message, "option '--rm'"));
    assert_non_null(strstr(err.message, "maybe"));
}

static void an_optional_value_never_takes_the_next_word(void **state)
{
    const char *words[] = { "berth", "run", "--systemd", "x", NULL };
    const char *with_value[] = { "berth", "run", "--systemd=on", "x", NULL };
    struct arguments arguments = { 0 };

    (void)state;
    assert_int_equal(parse(words, &arguments, NULL), 0);
    assert_string_equal(arguments_text(&arguments, "systemd"), "");
    assert_int_equal(arguments.word_count, 1);
    arguments_clear(&arguments);

    assert_int_equal(parse(with_value, &arguments, NULL), 0);
    assert_string_equal(arguments_text(&arguments, "systemd"), "on");
    arguments_clear(&arguments);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_of_long_options_are_read),
        cmocka_unit_test(letters_may_be_bundled_and_carry_values),
        cmocka_unit_test(options_may_stand_behind_words_and_two_hyphens_end_them),
        cmocka_unit_test(the_program_in_the_container_keeps_its_options),
        cmocka_unit_test(commands_of_two_words_and_long_forms_are_found),
        cmocka_unit_test(help_and_version_are_seen_wherever_they_stand),
        cmocka_unit_test(mistakes_are_named_with_the_nearest_word_and_where_help_is),
        cmocka_unit_test(single_dashes_may_stand_before_names_where_go_callers_expect_it),
        cmocka_unit_test(a_flag_takes_only_words_for_yes_and_no),
        cmocka_unit_test(an_optional_value_never_takes_the_next_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
