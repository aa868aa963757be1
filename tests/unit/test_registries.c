#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "image/registries.h"
#include "image/registry_plan.h"
#include "image/toml.h"

/* --- toml ------------------------------------------------------------------------------------- */

static void the_supported_part_of_toml_is_read(void **state)
{
    AUTO_CLEAR(toml) struct toml toml = { 0 };
    struct error err = { 0 };

    (void)state;
    assert_int_equal(toml_parse("a = \"x\\ty\" # comment\r\n"
                                "list = [ 'one', # first\n \"two\",\n]\n"
                                "[[t.\"q r\"]]\nflag = true\nnumber = -12_0\n"
                                "b.c = ''",
                                &toml, &err),
                     0);
    assert_int_equal(toml.count, 6);
    assert_string_equal(toml.entries[0].text, "x\ty");
    assert_int_equal(toml.entries[1].items.count, 2);
    assert_string_equal(toml.entries[1].items.items[1], "two");
    assert_string_equal(toml.entries[2].table, "t.q r");
    assert_true(toml.entries[2].is_item);
    assert_true(toml.entries[3].flag);
    assert_int_equal(toml.entries[4].type, TOML_INTEGER);
    assert_string_equal(toml.entries[5].key, "b.c");
    assert_string_equal(toml.entries[5].table, "t.q r");
}

static void what_is_not_supported_names_its_line(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "\na", "line 2: a key has no '=' behind it" },
        { "a =", "line 1: a value is missing, or of a kind that is not supported" },
        { "a = {b = 1}", "line 1: a value is missing, or of a kind that is not supported" },
        { "a = 1.5", "line 1: a value is missing, or of a kind that is not supported" },
        { "a = \"\"\"x\"\"\"", "line 1: strings of several lines are not supported" },
        { "a = 'x", "line 1: a string has no end" },
        { "a = \"\\u0041\"", "line 1: an escape in a string is not known" },
        { "a = [1]", "line 1: an array may hold strings only" },
        { "a = ['x' 'y']", "line 1: an array has no end" },
        { "a = 'x' y", "line 1: there is something behind the value" },
        { "[a", "line 1: a table's name has no end" },
        { "[[a]", "line 1: a table's name has no end" },
        { "[]", "line 1: a key is missing" },
        { "a = 1\na = 2", "line 2: the key was given before" },
        { "= 1", "line 1: a key is missing" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct toml toml = { 0 };
        struct error err = { 0 };

        print_message("%s\n", rows[i].text);
        assert_int_equal(toml_parse(rows[i].text, &toml, &err), -EINVAL);
        assert_string_equal(err.message, rows[i].message);
        assert_int_equal(toml.count, 0);
    }
}

/* --- registries.conf -------------------------------------------------------------------------- */

static const char conf[] = "unqualified-search-registries = ['quay.io', 'docker.io']\n"
                           "[[registry]]\nlocation = 'mirrored.test/'\n"
                           "[[registry.mirror]]\nlocation = 'm1.test/copy'\ninsecure = true\n"
                           "[[registry.mirror]]\nlocation = 'm2.test'\n"
                           "pull-from-mirror = 'digest-only'\n"
                           "[[registry]]\nprefix = 'mirrored.test/team'\nlocation = 'team.test/x'\n"
                           "[[registry]]\nprefix = '*.wild.test'\ninsecure = true\n"
                           "[[registry]]\nprefix = 'a.wild.test'\nblocked = true\n"
                           "[aliases]\n'tool' = 'quay.io/tools/tool'\n";

static void the_longest_prefix_counts(void **state)
{
    static const struct {
        const char *name, *prefix;
    } rows[] = {
        { "mirrored.test/a", "mirrored.test" },
        { "mirrored.test/team/a", "mirrored.test/team" },
        { "mirrored.test/teams/a", "mirrored.test" },
        { "b.wild.test/a", "*.wild.test" },
        { "a.wild.test/a", "a.wild.test" },
        { "wild.test/a", NULL },
        { "other.test/mirrored.test/a", NULL },
    };
    AUTO_CLEAR(registries) struct registries registries = { 0 };

    (void)state;
    assert_int_equal(registries_parse(conf, &registries, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct registry_entry *entry = registries_find(&registries, rows[i].name);

        print_message("%s\n", rows[i].name);
        assert_true(text_equal(entry != NULL ? entry->prefix : NULL, rows[i].prefix));
    }
}

static void a_later_file_replaces_what_it_names_again(void **state)
{
    AUTO_CLEAR(registries) struct registries registries = { 0 };

    (void)state;
    assert_int_equal(registries_parse(conf, &registries, NULL), 0);
    assert_int_equal(registries_parse("unqualified-search-registries = ['x.test']\n"
                                      "[[registry]]\nlocation = 'mirrored.test'\nblocked = true\n"
                                      "[aliases]\n'tool' = 'x.test/tool'\n",
                                      &registries, NULL),
                     0);
    assert_int_equal(registries.count, 4);
    assert_true(registries_find(&registries, "mirrored.test/a")->is_blocked);
    assert_int_equal(registries_find(&registries, "mirrored.test/a")->mirror_count, 0);
    assert_int_equal(registries.search.count, 1);
    assert_string_equal(string_map_get(&registries.aliases, "tool"), "x.test/tool");
}

static void what_registries_conf_says_wrong_is_told(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "[[registry]]\ninsecure = true", "registry 1 has neither prefix nor location" },
        { "[[registry]]\nlocation = 1", "line 2: 'location' has to be a string" },
        { "[[registry]]\nlocation = 'x'\nblocked = 'no'",
          "line 3: 'blocked' has to be true or false" },
        { "[[registry.mirror]]\nlocation = 'x'", "line 1: a mirror without a registry" },
        { "[[registry]]\nlocation = 'x'\n[[registry.mirror]]", "mirror 1 of 'x' has no location" },
        { "[registries.search]\nregistries = ['x']", "line 1: it is in the old format, version 1" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(registries) struct registries registries = { 0 };
        struct error err = { 0 };

        print_message("%s\n", rows[i].text);
        assert_true(registries_parse(rows[i].text, &registries, &err) < 0);
        assert_string_equal(err.message, rows[i].message);
        assert_int_equal(registries.count, 0);
    }
}

/* --- plans ------------------------------------------------------------------------------------ */

/* "host/repository" of each endpoint with its marks: m mirror, h http allowed, u unverified. */
static char *plan_text(const struct registry_plan *plan)
{
    AUTO_CLEAR(text) struct text text = { 0 };

    for (size_t i = 0; i < plan->count; i++)
        text_addf(&text, "%s%s/%s%s%s%s", i > 0 ? " " : "", plan->items[i].host,
                  plan->items[i].repository, plan->items[i].is_mirror ? " m" : "",
                  plan->items[i].allows_http ? " h" : "", plan->items[i].is_unverified ? " u" : "");
    return text_take(&text);
}

static void names_become_endpoints(void **state)
{
    static const struct {
        const char *name;
        enum registry_tls tls;
        bool has_mirrors;
        const char *plan;
    } rows[] = {
        { "busybox", REGISTRY_TLS_CONFIGURED, true, "registry-1.docker.io/library/busybox" },
        { "busybox", REGISTRY_TLS_UNVERIFIED, true, "registry-1.docker.io/library/busybox h u" },
        { "localhost:5000/a", REGISTRY_TLS_CONFIGURED, true, "localhost:5000/a h" },
        { "localhost:5000/a", REGISTRY_TLS_VERIFIED, true, "localhost:5000/a" },
        { "127.1.2.3/a", REGISTRY_TLS_CONFIGURED, true, "127.1.2.3/a h" },
        { "128.1.2.3/a", REGISTRY_TLS_CONFIGURED, true, "128.1.2.3/a" },
        { "mirrored.test/a", REGISTRY_TLS_CONFIGURED, true,
          "m1.test/copy/a m h u mirrored.test/a" },
        { "mirrored.test/a", REGISTRY_TLS_CONFIGURED, false, "mirrored.test/a" },
        { "mirrored.test/a@sha256:"
          "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
          REGISTRY_TLS_CONFIGURED, true, "m1.test/copy/a m h u m2.test/a m mirrored.test/a" },
        { "mirrored.test/team/a", REGISTRY_TLS_CONFIGURED, true, "team.test/x/a" },
        { "b.wild.test/a", REGISTRY_TLS_CONFIGURED, true, "b.wild.test/a h u" },
    };
    AUTO_CLEAR(registries) struct registries registries = { 0 };

    (void)state;
    assert_int_equal(registries_parse(conf, &registries, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct registry_options options = { .tls = rows[i].tls };
        AUTO(reference) struct reference *reference = NULL;
        AUTO_CLEAR(registry_plan) struct registry_plan plan = { 0 };
        auto_free char *text = NULL;

        print_message("%s\n", rows[i].name);
        assert_int_equal(reference_parse(rows[i].name, &reference, NULL), 0);
        assert_int_equal(
            registry_plan_make(&registries, reference, &options, rows[i].has_mirrors, &plan, NULL),
            0);
        text = plan_text(&plan);
        assert_string_equal(text, rows[i].plan);
    }
}

static void what_is_blocked_or_no_name_has_no_plan(void **state)
{
    static const struct {
        const char *conf, *message;
    } rows[] = {
        { "[[registry]]\nlocation = 'x.test'\nblocked = true", "registries.conf blocks 'x.test'" },
        { "[[registry]]\nprefix = 'x.test'\nlocation = 'y'",
          "registries.conf makes it 'y/a', which is no image name" },
        { "[[registry]]\nprefix = 'x.test'\nlocation = 'y.test/?q='",
          "registries.conf makes it 'y.test/?q=/a', which is no image name" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(registries) struct registries registries = { 0 };
        AUTO(reference) struct reference *reference = NULL;
        struct registry_options options = { 0 };
        struct registry_plan plan = { 0 };
        struct error err = { 0 };

        print_message("%s\n", rows[i].conf);
        assert_int_equal(registries_parse(rows[i].conf, &registries, NULL), 0);
        assert_int_equal(reference_parse("x.test/a", &reference, NULL), 0);
        assert_true(registry_plan_make(&registries, reference, &options, true, &plan, &err) < 0);
        assert_string_equal(err.message, rows[i].message);
        assert_int_equal(plan.count, 0);
    }
}

static void short_names_have_candidates(void **state)
{
    static const struct {
        const char *name, *candidates;
    } rows[] = {
        { "tool", "quay.io/tools/tool" },
        { "tool:2", "quay.io/tools/tool:2" },
        { "x.test/tool", "x.test/tool" },
        { "other:1", "quay.io/other:1 docker.io/other:1" },
        { "team/other", "quay.io/team/other docker.io/team/other" },
    };
    AUTO_CLEAR(registries) struct registries registries = { 0 };
    struct registries none = { 0 };
    AUTO_CLEAR(strings) struct strings plain = { 0 };

    (void)state;
    assert_int_equal(registries_parse(conf, &registries, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO_CLEAR(strings) struct strings names = { 0 };
        auto_free char *text = NULL;

        registries_names(&registries, rows[i].name, &names);
        text = strings_join(&names, " ");
        assert_string_equal(text, rows[i].candidates);
    }
    registries_names(&none, "alpine", &plain);
    assert_int_equal(plain.count, 1);
    assert_string_equal(plain.items[0], "alpine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_supported_part_of_toml_is_read),
        cmocka_unit_test(what_is_not_supported_names_its_line),
        cmocka_unit_test(the_longest_prefix_counts),
        cmocka_unit_test(a_later_file_replaces_what_it_names_again),
        cmocka_unit_test(what_registries_conf_says_wrong_is_told),
        cmocka_unit_test(names_become_endpoints),
        cmocka_unit_test(what_is_blocked_or_no_name_has_no_plan),
        cmocka_unit_test(short_names_have_candidates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
