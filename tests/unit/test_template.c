#include "cli/template.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"

static const char document[] =
    "{\"Id\":\"abc\",\"Name\":\"/web\",\"State\":{\"Pid\":12,\"Running\":true,\"Error\":\"\","
    "\"Health\":null},\"Config\":{\"Labels\":{\"a.b\":\"c\",\"z\":\"y\"},\"Env\":[\"A=1\",\"B=2\"],"
    "\"Empty\":[],\"Nothing\":null},\"Mounts\":[{\"Source\":\"/s\",\"RW\":true},{\"Source\":\"/t\","
    "\"RW\":false}],\"HostConfig\":{\"Binds\":null,\"Init\":null,\"Ports\":{}},"
    "\"Bound\":{\"Destination\":\"/d\"},\"Made\":{\"Entrypoint\":null,\"Labels\":null},"
    "\"Runtimes\":{\"one\":{\"path\":\"/"
    "one\"}},\"Volumes\":{\"Id\":\"v\"},\"Float\":0.5,\"Zero\":0,\"Text\":\"gr\\u00fcn\"}";

/* Runs @text over the document; the result or the error message is in @out. */
static int run(const char *text, struct text *out)
{
    AUTO(template) struct template *template = NULL;
    struct error err = { 0 };
    int r = template_parse(text, &template, &err);

    if (r == 0)
        r = template_run(template, document, strlen(document), out, &err);
    if (r < 0) {
        text_clear(out);
        text_add(out, err.message);
    }
    return r;
}

struct row {
    const char *template;
    const char *result;
};

static void check_rows(const struct row *rows, size_t count, int expected)
{
    for (size_t i = 0; i < count; i++) {
        struct text out = { 0 };
        int r = run(rows[i].template, &out);
        const char *result = out.data != NULL ? out.data : "";

        if (r != expected || strcmp(result, rows[i].result) != 0)
            fail_msg("'%s' gives %d, '%s' instead of '%s'", rows[i].template, r, result,
                     rows[i].result);
        text_clear(&out);
    }
}

static void members_and_indexes_are_found(void **state)
{
    static const struct row rows[] = {
        { "plain", "plain" },
        { "", "" },
        { "{{.Id}}", "abc" },
        { "{{ .State.Pid }}/{{.State.Running}}", "12/true" },
        { "{{index .Config.Labels \"a.b\"}}", "c" },
        { "{{index .Config.Labels \"none\"}}", "" },
        { "{{index .Mounts 1 \"Source\"}}", "/t" },
        { "{{(index .Mounts 0).Source}}", "/s" },
        { "{{.Config.Env}}", "[A=1 B=2]" },
        { "{{.Config.Labels}}", "map[a.b:c z:y]" },
        { "{{.Config.Nothing}}", "<no value>" },
        { "{{.Float}}", "0.5" },
        { "{{$.State.Pid}}", "12" },
        { "{{$x := .State}}{{$x.Pid}}", "12" },
        { "{{.ID}} {{.Runtimes.one.Path}} {{.Runtimes.one.path}}", "abc /one /one" },
        { "{{.Volumes.Id}} {{.Volumes.ID}}", "v <no value>" }, /* a map's keys are their own */
        { "{{\"{{\"}}{{`a\\n`}}{{'a'}}", "{{a\\n97" },
        { "{{slice .Id 1}} {{slice .Id 0 2}}", "bc ab" },
        { "a{{/* nothing */}}b", "ab" },
        { "a {{- .Id -}} b", "aabcb" },
        { "a{{- 1}} {{-1}}", "a1 -1" },
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows), 0);
}

/* As docker, whose documents have types: what is left out or null prints by them. */
static void what_is_empty_prints_as_its_type_does(void **state)
{
    static const struct row rows[] = {
        { "{{.HostConfig.Binds}} {{.HostConfig.Init}} {{.Made.Labels}}", "[] <nil> map[]" },
        { "{{json .HostConfig.Binds}} {{json .Made.ExposedPorts}}", "null null" },
        { "{{.Bound.Name}}|{{json .Bound.Driver}}|{{.Bound.Destination}}", "|\"\"|/d" },
        { "{{.Made.ExposedPorts}} {{.Made.StopTimeout}} {{.Made.Entrypoint}}", "map[] <nil> []" },
        { "{{with .Bound}}{{.Name}}{{end}}{{if eq .Bound.Name \"\"}}none{{end}}", "none" },
        { "{{range .Made.ExposedPorts}}x{{else}}none{{end}}", "none" },
        { "{{.Config.Labels.none}} {{.HostConfig.Ports.none.deep}}", "<no value> <no value>" },
    };
    static const struct row bad[] = {
        { "{{.State.ExposedPorts}}", "template parsing error: template: :1:2: executing \"\" at "
                                     "<.State.ExposedPorts>: map has no entry for key "
                                     "\"ExposedPorts\"" },
        { "{{.HostConfig.Init.Deep}}", "template parsing error: template: :1:2: executing \"\" at "
                                       "<.HostConfig.Init.Deep>: nil data; no entry for key "
                                       "\"Deep\"" },
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows), 0);
    check_rows(bad, ARRAY_SIZE(bad), -EINVAL);
}

static void documents_are_printed_as_json(void **state)
{
    static const struct row rows[] = {
        { "{{json .Config.Env}}", "[\"A=1\",\"B=2\"]" },
        { "{{json .State.Pid}}", "12" },
        { "{{json .Config.Nothing}}", "null" },
        { "{{json .Id}}", "\"abc\"" },
        { "{{.State | json}}", "{\"Pid\":12,\"Running\":true,\"Error\":\"\",\"Health\":null}" },
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows), 0);
}

static void loops_go_through_lists_and_maps(void **state)
{
    static const struct row rows[] = {
        { "{{range .Config.Env}}<{{.}}>{{end}}", "<A=1><B=2>" },
        { "{{range $i, $v := .Config.Env}}{{$i}}={{$v}} {{end}}", "0=A=1 1=B=2 " },
        { "{{range $v := .Mounts}}{{$v.Source}}{{end}}", "/s/t" },
        { "{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}};{{end}}", "a.b:c;z:y;" },
        { "{{range .Config.Empty}}x{{else}}none{{end}}", "none" },
        { "{{range .Config.Nothing}}x{{else}}none{{end}}", "none" },
        { "{{range .Mounts}}{{if .RW}}{{continue}}{{end}}{{.Source}}{{end}}", "/t" },
        { "{{range .Mounts}}{{.Source}}{{break}}{{end}}", "/s" },
        { "{{range .Mounts}}{{$.Id}}{{end}}", "abcabc" },
        { "{{range $name, $r := .Runtimes}}{{$name}} {{$r.Path}}{{end}}", "one /one" },
        { "{{$n := 0}}{{range .Mounts}}{{$n = .Source}}{{end}}{{$n}}", "/t" },
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows), 0);
}

static void conditions_know_what_is_true(void **state)
{
    static const struct row rows[] = {
        { "{{if .State.Running}}yes{{else}}no{{end}}", "yes" },
        { "{{if .State.Error}}yes{{else if .Zero}}zero{{else}}no{{end}}", "no" },
        { "{{if .Missing.Deep}}yes{{else}}no{{end}}", "no" },
        { "{{if not .State.Health}}none{{end}}", "none" },
        { "{{with .State}}{{.Pid}}{{end}}", "12" },
        { "{{with .Config.Empty}}x{{else}}none{{end}}", "none" },
        { "{{with $x := .Id}}{{$x}}{{end}}", "abc" },
        { "{{if eq .Id \"x\" \"abc\"}}one of{{end}}", "one of" },
        { "{{if ne .Id \"x\"}}other{{end}}", "other" },
        { "{{if and .State.Running (gt .State.Pid 10) (le .Float 1)}}all{{end}}", "all" },
        { "{{or .State.Error .Id}}{{and .Zero .Missing}}", "abc0" },
        { "{{lt 1 2}} {{ge 2 3}} {{eq 1 1.0}}", "true false true" },
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows), 0);
}

static void functions_do_what_docker_users_know(void **state)
{
    static const struct row rows[] = {
        { "{{len .Config.Env}}{{len .Id}}{{len .Config.Nothing}}", "230" },
        { "{{join .Config.Env \", \"}}", "A=1, B=2" },
        { "{{(index (split .Name \"/\") 1)}}", "web" },
        { "{{upper .Id}} {{lower \"AB\"}} {{title \"a bc\"}}", "ABC ab A Bc" },
        { "{{truncate .Text 3}}|{{pad .Id 1 2}}|", "grü| abc  |" },
        { "{{printf \"%s=%d %v %q\" .Id .State.Pid .State.Running \"a\\\"\"}}",
          "abc=12 true \"a\\\"\"" },
        { "{{printf \"%-5s|%5s|%05d|%x|%.2f|%%|%.1s\" .Id .Id 42 255 .Float .Text}}",
          "abc  |  abc|00042|ff|0.50|%|g" },
        { "{{printf \"%d\" .Id}} {{printf \"%s\"}}", "%!d(string=abc) %!s(MISSING)" },
        { "{{println .Id 1}}{{print 1 2 \"a\" \"b\"}}", "abc 1\n1 2ab" },
        { "{{.Id | printf \"%s-%s\" \"x\" | upper}}", "X-ABC" },
        { "{{html \"<&>\"}} {{urlquery \"a b/\"}} {{js \"it's\"}}", "&lt;&amp;&gt; a+b%2F it\\'s" },
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows), 0);
}

static void mistakes_are_named_as_docker_does(void **state)
{
    static const struct row rows[] = {
        { "{{.Id", "template parsing error: template: :1: unclosed action" },
        { "{{", "template parsing error: template: :1: unclosed action" },
        { "{{}}", "template parsing error: template: :1: missing value for command" },
        { "{{foo .Id}}", "template parsing error: template: :1: function \"foo\" not defined" },
        { "\n{{if .Id}}", "template parsing error: template: :2: unexpected EOF" },
        { "{{end}}", "template parsing error: template: :1: unexpected {{end}}" },
        { "{{\"abc}}", "template parsing error: template: :1: unterminated quoted string" },
        { "{{(.Id}}", "template parsing error: template: :1: unclosed left paren" },
        { "{{break}}", "template parsing error: template: :1: {{break}} outside {{range}}" },
        { "{{.Missing}}", "template parsing error: template: :1:2: executing \"\" at <.Missing>: "
                          "map has no entry for key \"Missing\"" },
        { "{{.State.Health.Status}}",
          "template parsing error: template: :1:2: executing \"\" at <.State.Health.Status>: nil "
          "data; no entry for key \"Status\"" },
        { "{{.Id.X}}", "template parsing error: template: :1:2: executing \"\" at <.Id.X>: can't "
                       "evaluate field X in this value" },
        { "{{index .Mounts 5}}",
          "template parsing error: template: :1:2: executing \"\" at <index>: "
          "error calling index: index out of range: 5" },
        { "{{lt 1 \"a\"}}", "template parsing error: template: :1:2: executing \"\" at <lt>: error "
                            "calling lt: incompatible types for comparison" },
        { "{{$x}}", "template parsing error: template: :1:2: executing \"\" at <$x>: undefined "
                    "variable \"$x\"" },
        { "{{range .Id}}{{end}}",
          "template parsing error: template: :1:8: executing \"\" at <.Id>: "
          "range can't iterate over abc" },
        { "{{len}}",
          "template parsing error: template: :1:2: executing \"\" at <len>: wrong number "
          "of args for len: want 1 got 0" },
        { "{{.Id .Id}}",
          "template parsing error: template: :1:2: executing \"\" at <.Id>: can't give "
          "argument to non-function .Id" },
    };

    (void)state;
    check_rows(rows, ARRAY_SIZE(rows), -EINVAL);
}

static void deep_nesting_is_refused(void **state)
{
    struct text deep = { 0 };
    struct text out = { 0 };

    (void)state;
    text_add(&deep, "{{");
    for (int i = 0; i < 1000; i++)
        text_add(&deep, "(");
    assert_int_equal(run(deep.data, &out), -EINVAL);
    assert_string_equal(out.data,
                        "template parsing error: template: :1: too many levels of parentheses");
    text_clear(&deep);
    text_clear(&out);
}

static void rows_of_lists_have_labels_and_sorted_json(void **state)
{
    AUTO_CLEAR(string_map) struct string_map fields = { 0 };
    AUTO_CLEAR(string_map) struct string_map labels = { 0 };
    AUTO(template) struct template *template = NULL;
    struct text out = { 0 };

    (void)state;
    string_map_set(&fields, "Names", "web");
    string_map_set(&fields, "ID", "12");
    string_map_set(&labels, "a.b", "c");
    assert_int_equal(
        template_parse("{{.ID}} {{.Label \"a.b\"}}{{.Label \"x\"}} {{json .}}", &template, NULL),
        0);
    assert_int_equal(template_run_fields(template, &fields, &labels, &out, NULL), 0);
    assert_string_equal(out.data, "12 c {\"ID\":\"12\",\"Names\":\"web\"}");
    text_clear(&out);
    assert_int_equal(template_run_headers(template, &fields, &out, NULL), 0);
    assert_string_equal(out.data, "12 bx {\"ID\":\"12\",\"Names\":\"web\"}");
    text_clear(&out);
}

/* U+009B begins a sequence of a terminal's, U+00E4 and U+00A0 do not. */
static void json_has_no_byte_for_the_terminal(void **state)
{
    const char *json = "\"\\u001b\x7f\xc2\x9b"
                       "2J\xc3\xa4\xc2\xa0\"";
    const char *escaped = "\"\\u001B\\u007F\\u009B2J\xc3\xa4\xc2\xa0\"";
    AUTO_CLEAR(text) struct text out = { 0 };
    AUTO(template) struct template *template = NULL;
    auto_free char *indented = NULL;

    (void)state;
    assert_int_equal(template_indent_json(json, strlen(json), &indented, NULL), 0);
    assert_string_equal(indented, escaped);
    assert_int_equal(template_parse("{{json .}}", &template, NULL), 0);
    assert_int_equal(template_run(template, json, strlen(json), &out, NULL), 0);
    assert_string_equal(out.data, escaped);
}

static void json_is_indented_by_four(void **state)
{
    auto_free char *text = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(template_indent_json("[{\"a\":[]}]", 10, &text, &err), 0);
    assert_string_equal(text, "[\n    {\n        \"a\": []\n    }\n]");
    assert_int_equal(template_indent_json("[", 1, &text, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_and_indexes_are_found),
        cmocka_unit_test(what_is_empty_prints_as_its_type_does),
        cmocka_unit_test(documents_are_printed_as_json),
        cmocka_unit_test(loops_go_through_lists_and_maps),
        cmocka_unit_test(conditions_know_what_is_true),
        cmocka_unit_test(functions_do_what_docker_users_know),
        cmocka_unit_test(mistakes_are_named_as_docker_does),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(rows_of_lists_have_labels_and_sorted_json),
        cmocka_unit_test(json_is_indented_by_four),
        cmocka_unit_test(json_has_no_byte_for_the_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
