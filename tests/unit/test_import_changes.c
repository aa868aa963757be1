#include "engine/import_changes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"

static void config_free(struct image_config *config)
{
    strings_clear(&config->cmd);
    strings_clear(&config->entrypoint);
    strings_clear(&config->env);
    strings_clear(&config->exposed_ports);
    strings_clear(&config->volumes);
    strings_clear(&config->on_build);
    string_map_clear(&config->labels);
    free(config->user);
    free(config->working_dir);
    free(config->stop_signal);
}

static void apply(struct image_config *config, const char *instruction)
{
    struct error err = { 0 };

    if (import_change_apply(config, instruction, &err) < 0)
        fail_msg("%s", err.message);
}

static void check_list(const struct strings *list, const char *expected)
{
    auto_free char *joined = strings_join(list, "|");

    assert_string_equal(joined, expected);
}

static void programs_are_words_or_a_line_for_the_shell(void **state)
{
    struct image_config config = { 0 };

    (void)state;
    apply(&config, "CMD [\"sh\", \"-c\", \"echo a b\"]");
    check_list(&config.cmd, "sh|-c|echo a b");
    apply(&config, "cmd echo a  b ");
    check_list(&config.cmd, "/bin/sh|-c|echo a  b");
    apply(&config, "ENTRYPOINT [\"/init\"]");
    check_list(&config.entrypoint, "/init");
    config_free(&config);
}

static void variables_and_labels_are_pairs(void **state)
{
    struct image_config config = { 0 };

    (void)state;
    apply(&config, "ENV A=1 B='two words' C=\"a \\\" b\" D=x\\ y");
    check_list(&config.env, "A=1|B=two words|C=a \" b|D=x y");
    apply(&config, "ENV A the rest of it");
    check_list(&config.env, "A=the rest of it|B=two words|C=a \" b|D=x y");
    apply(&config, "LABEL org.example.a=1 \"b c\"=d");
    assert_string_equal(string_map_get(&config.labels, "org.example.a"), "1");
    assert_string_equal(string_map_get(&config.labels, "b c"), "d");
    config_free(&config);
}

static void ports_and_volumes_are_lists_without_repetition(void **state)
{
    struct image_config config = { 0 };

    (void)state;
    apply(&config, "EXPOSE 80 443/tcp 53/udp 8000-8010");
    apply(&config, "EXPOSE 80/tcp");
    check_list(&config.exposed_ports, "80/tcp|443/tcp|53/udp|8000-8010/tcp");
    apply(&config, "VOLUME /a /b");
    apply(&config, "VOLUME [\"/b\", \"/c d\"]");
    check_list(&config.volumes, "/a|/b|/c d");
    config_free(&config);
}

static void single_values_replace(void **state)
{
    struct image_config config = { 0 };

    (void)state;
    apply(&config, "USER 1000:1000");
    apply(&config, "user daemon");
    assert_string_equal(config.user, "daemon");
    apply(&config, "WORKDIR /a");
    apply(&config, "WORKDIR b");
    assert_string_equal(config.working_dir, "/a/b");
    apply(&config, "STOPSIGNAL SIGINT");
    assert_string_equal(config.stop_signal, "SIGINT");
    apply(&config, "ONBUILD RUN true");
    check_list(&config.on_build, "RUN true");
    config_free(&config);
}

static void what_is_wrong_is_named(void **state)
{
    static const char *const rows[][2] = {
        { "RUN true", "'RUN' is no instruction that changes an image's config: CMD, ENTRYPOINT, "
                      "ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR" },
        { "CMD", "CMD needs an argument" },
        { "user  ", "USER needs an argument" },
        { "ENV A=1 B", "ENV: 'B' is not NAME=VALUE" },
        { "ENV =1", "ENV: '=1' is not NAME=VALUE" },
        { "LABEL a=\"b", "LABEL: the quote \" has no end" },
        { "EXPOSE http", "EXPOSE: port: 'http' is not a number from 0 to 65535" },
        { "EXPOSE 65536", "EXPOSE: port: '65536' is not a number from 0 to 65535" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct image_config config = { 0 };
        struct error err = { 0 };

        assert_int_equal(import_change_apply(&config, rows[i][0], &err), -EINVAL);
        assert_string_equal(err.message, rows[i][1]);
        config_free(&config);
    }
}

static void a_list_that_is_no_json_is_refused(void **state)
{
    static const char *const rows[] = { "CMD [\"a\"", "CMD [1]", "CMD [\"a\"] b",
                                        "CMD [\"a\"],\"words\":[]", "VOLUME [\"\"]" };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct image_config config = { 0 };

        if (import_change_apply(&config, rows[i], NULL) >= 0)
            fail_msg("'%s' was taken", rows[i]);
        config_free(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_are_words_or_a_line_for_the_shell),
        cmocka_unit_test(variables_and_labels_are_pairs),
        cmocka_unit_test(ports_and_volumes_are_lists_without_repetition),
        cmocka_unit_test(single_values_replace),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_list_that_is_no_json_is_refused),
    };

    return cmocka_run_group_tests_name("import_changes", tests, NULL, NULL);
}
