#include "cli/template.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/decode.h"
#include "cli/template_functions.h"
#include "cli/template_members.h"
#include "cli/template_parse.h"

/* Two loops over a long list inside each other may write much; nobody means this much. */
#define TEMPLATE_OUTPUT_MAX (64u << 20)

struct template
{
    struct nodes nodes;
};

/* A variable lives until the block that declared it ends. */
struct variable {
    const char *name; /* borrowed from the tree */
    json_t *value;
};

/* One run. */
struct run {
    struct text *out;
    size_t out_start;
    struct variable *variables;
    size_t variable_count;
    const struct string_map *labels;
    bool labels_are_headers; /* {{.Label "a.key"}} is "key" */
    json_t *document;
    bool sorts_keys;
    bool is_condition; /* missing members are null */
};

/* How a list of nodes ended. */
enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

int template_parse(const char *text, struct template **ret_template, struct error *err)
{
    struct template *template;
    struct nodes nodes = { 0 };
    int r;

    assert(text != NULL);
    assert(ret_template != NULL);

    r = nodes_parse(text, &nodes, err);
    if (r < 0)
        return r;
    template = xcalloc(1, sizeof(*template));
    template->nodes = nodes;
    *ret_template = template;
    return 0;
}

void template_free(struct template *template)
{
    if (template == NULL)
        return;
    nodes_clear(&template->nodes);
    free(template);
}

/* --- operands --------------------------------------------------------------------------------- */

/* "template parsing error: template: :1:2: executing "" at <.Foo>: ..." as docker prints it. */
static int run_failed(const struct term *term, int r, struct error *err)
{
    return error_prefix(err, r,
                        "template parsing error: template: :%zu:%zu: executing \"\" at <%s>",
                        term->line, term->column, term->source);
}

static int evaluate_pipeline(struct run *run, const struct pipeline *pipeline, json_t *dot,
                             json_t **ret_value, struct error *err);

/* What stands for a member that is not there; NULL: nothing does, its name is a mistake. */
static json_t *missing_member(const struct run *run, const json_t *value, const char *name)
{
    const char *beside = template_member_beside(name);

    if (beside != NULL && json_object_get(value, beside) != NULL)
        return template_member_kind(name) == TEMPLATE_TEXT ? json_string("") : json_null();
    return run->is_condition ? json_null() : NULL;
}

/* The member of an object, a new reference.
 *
 * @owner  the object's own name; NULL: it has none
 *
 * Returns 1 when it is the key of a map that does not have it: null, and so is what is below. */
static int find_member(const struct run *run, json_t *value, const char *owner, const char *name,
                       json_t **ret_value, struct error *err)
{
    bool is_in_map = owner != NULL && template_member_kind(owner) == TEMPLATE_MAP;
    const char *key = is_in_map ? NULL : template_member_key(name);
    json_t *member = json_object_get(value, name);

    if (member == NULL && key != NULL)
        member = json_object_get(value, key);
    member = member != NULL ? json_incref(member) : missing_member(run, value, name);
    if (member != NULL) {
        *ret_value = member;
        return 0;
    }
    if (is_in_map) {
        *ret_value = json_null();
        return 1;
    }
    if (json_is_object(value))
        return error_set(err, EINVAL, "map has no entry for key \"%s\"", name);
    if (json_is_null(value))
        return error_set(err, EINVAL, "nil data; no entry for key \"%s\"", name);
    return error_set(err, EINVAL, "can't evaluate field %s in this value", name);
}

static int find_variable(const struct run *run, const char *name, json_t **ret_value,
                         struct error *err)
{
    if (name[0] == '\0') {
        *ret_value = run->document;
        return 0;
    }
    for (size_t i = run->variable_count; i > 0; i--) {
        if (strcmp(run->variables[i - 1].name, name) == 0) {
            *ret_value = run->variables[i - 1].value;
            return 0;
        }
    }
    return error_set(err, EINVAL, "undefined variable \"$%s\"", name);
}

static json_t *number_value(const char *text)
{
    char *end = NULL;
    long long number;

    errno = 0;
    number = strtoll(text, &end, 0);
    if (errno == 0 && *end == '\0')
        return json_integer(number);
    {
        json_t *real = json_real(strtod(text, NULL)); /* NULL when it is infinite */

        return real != NULL ? real : json_null();
    }
}

/* @ret_value: a new reference. */
static int evaluate_base(struct run *run, const struct term *term, json_t *dot, json_t **ret_value,
                         struct error *err)
{
    json_t *found = NULL;
    int r;

    switch (term->kind) {
    case TERM_DOT:
        *ret_value = json_incref(dot);
        return 0;
    case TERM_VARIABLE:
        r = find_variable(run, term->text, &found, err);
        if (r < 0)
            return r;
        *ret_value = json_incref(found);
        return 0;
    case TERM_STRING:
        found = json_string(term->text);
        *ret_value = found != NULL ? found : json_string("");
        return 0;
    case TERM_NUMBER:
        *ret_value = number_value(term->text);
        return 0;
    case TERM_TRUE:
    case TERM_FALSE:
        *ret_value = json_boolean(term->kind == TERM_TRUE);
        return 0;
    case TERM_NIL:
        *ret_value = json_null();
        return 0;
    case TERM_FUNCTION:
        return template_call(term->text, NULL, 0, run->sorts_keys, ret_value, err);
    case TERM_PIPELINE:
        return evaluate_pipeline(run, term->pipeline, dot, ret_value, err);
    }
    return 0;
}

static int evaluate_term(struct run *run, const struct term *term, json_t *dot, json_t **ret_value,
                         struct error *err)
{
    json_t *value = NULL;
    char *const *names = term->members.items;
    int r = evaluate_base(run, term, dot, &value, err);

    /* What fails inside parentheses has named its place already. */
    if (r < 0)
        return term->kind == TERM_PIPELINE ? r : run_failed(term, r, err);
    for (size_t i = 0; r == 0 && i < term->members.count; i++) {
        json_t *member = NULL;

        r = find_member(run, value, i > 0 ? names[i - 1] : NULL, names[i], &member, err);
        json_decref(value);
        if (r < 0)
            return run_failed(term, r, err);
        value = member;
    }
    *ret_value = value;
    return 0;
}

/* --- commands --------------------------------------------------------------------------------- */

/* and, or: the first operand that decides is the value; the others are not looked at. */
static int evaluate_logic(struct run *run, const struct template_command *command, json_t *dot,
                          json_t *last, json_t **ret_value, struct error *err)
{
    bool stops_at = strcmp(command->terms[0].text, "or") == 0;
    json_t *value = NULL;

    if (command->count == 1 && last == NULL)
        return run_failed(&command->terms[0],
                          error_set(err, EINVAL,
                                    "wrong number of args for %s: want at least 1 got 0",
                                    command->terms[0].text),
                          err);
    for (size_t i = 1; i < command->count; i++) {
        int r;

        json_decref(value);
        value = NULL;
        r = evaluate_term(run, &command->terms[i], dot, &value, err);
        if (r < 0)
            return r;
        if (template_is_true(value) == stops_at) {
            *ret_value = value;
            return 0;
        }
    }
    if (last != NULL) {
        json_decref(value);
        value = json_incref(last);
    }
    *ret_value = value;
    return 0;
}

static int call_function(struct run *run, const struct template_command *command, json_t *dot,
                         json_t *last, json_t **values, json_t **ret_value, struct error *err)
{
    const struct term *function = &command->terms[0];
    size_t count = 0;
    int r = 0;

    for (size_t i = 1; r == 0 && i < command->count; i++) {
        r = evaluate_term(run, &command->terms[i], dot, &values[count], err);
        count += r == 0;
    }
    if (r < 0)
        return r;
    if (last != NULL)
        values[count++] = json_incref(last);
    r = template_call(function->text, values, count, run->sorts_keys, ret_value, err);
    return r < 0 ? run_failed(function, r, err) : 0;
}

static int evaluate_function(struct run *run, const struct template_command *command, json_t *dot,
                             json_t *last, json_t **ret_value, struct error *err)
{
    auto_free json_t **values = NULL;
    int r;

    if (strcmp(command->terms[0].text, "and") == 0 || strcmp(command->terms[0].text, "or") == 0)
        return evaluate_logic(run, command, dot, last, ret_value, err);
    values = xcalloc(command->count + 1, sizeof(*values));
    r = call_function(run, command, dot, last, values, ret_value, err);
    for (size_t i = 0; i <= command->count; i++)
        json_decref(values[i]);
    return r;
}

/* What stands behind the last dot. */
static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot != NULL ? dot + 1 : key;
}

/* .Label "key" of a row, the one member of docker's rows that takes an operand. */
static int evaluate_label(struct run *run, const struct template_command *command, json_t *dot,
                          json_t **ret_value, struct error *err)
{
    json_t *key = NULL;
    const char *value;
    int r = evaluate_term(run, &command->terms[1], dot, &key, err);

    if (r < 0)
        return r;
    if (json_is_string(key) && run->labels_are_headers)
        value = last_part(json_string_value(key));
    else
        value = json_is_string(key) ? string_map_get(run->labels, json_string_value(key)) : NULL;
    *ret_value = json_string(value != NULL ? value : "");
    json_decref(key);
    if (*ret_value == NULL)
        *ret_value = json_string("");
    return 0;
}

static bool command_is_label(const struct run *run, const struct template_command *command)
{
    const struct term *first = &command->terms[0];

    return (run->labels != NULL || run->labels_are_headers) && command->count == 2 &&
           first->kind == TERM_DOT && first->members.count == 1 &&
           strcmp(first->members.items[0], "Label") == 0;
}

static int evaluate_command(struct run *run, const struct template_command *command, json_t *dot,
                            json_t *last, json_t **ret_value, struct error *err)
{
    const struct term *first = &command->terms[0];

    if (first->kind == TERM_FUNCTION && first->members.count == 0)
        return evaluate_function(run, command, dot, last, ret_value, err);
    if (command_is_label(run, command))
        return evaluate_label(run, command, dot, ret_value, err);
    if (command->count > 1 || last != NULL)
        return run_failed(
            first, error_set(err, EINVAL, "can't give argument to non-function %s", first->source),
            err);
    return evaluate_term(run, first, dot, ret_value, err);
}

static void variable_set(struct run *run, const char *name, json_t *value, bool declares)
{
    for (size_t i = run->variable_count; !declares && i > 0; i--) {
        if (strcmp(run->variables[i - 1].name, name) == 0) {
            json_incref(value);
            json_decref(run->variables[i - 1].value);
            run->variables[i - 1].value = value;
            return;
        }
    }
    run->variables = xrealloc(run->variables, run->variable_count + 1, sizeof(*run->variables));
    run->variables[run->variable_count++] = (struct variable){ name, json_incref(value) };
}

static void variables_drop(struct run *run, size_t count)
{
    while (run->variable_count > count)
        json_decref(run->variables[--run->variable_count].value);
}

static int evaluate_pipeline(struct run *run, const struct pipeline *pipeline, json_t *dot,
                             json_t **ret_value, struct error *err)
{
    json_t *value = NULL;

    for (size_t i = 0; i < pipeline->count; i++) {
        json_t *last = value;
        int r;

        value = NULL;
        r = evaluate_command(run, &pipeline->commands[i], dot, last, &value, err);
        json_decref(last);
        if (r < 0)
            return r;
    }
    *ret_value = value;
    return 0;
}

/* --- nodes ------------------------------------------------------------------------------------ */

static int run_nodes(struct run *run, const struct nodes *nodes, json_t *dot, enum flow *ret_flow,
                     struct error *err);

/* The last name of {{.A.B}}, whose type tells what null prints; NULL: of another action. */
static const char *printed_member(const struct pipeline *pipeline)
{
    const struct term *term = &pipeline->commands[0].terms[0];

    if (pipeline->count > 1 || pipeline->commands[0].count > 1 || term->members.count == 0)
        return NULL;
    return term->members.items[term->members.count - 1];
}

static void print_result(struct run *run, const struct pipeline *pipeline, json_t *value)
{
    const char *member = json_is_null(value) ? printed_member(pipeline) : NULL;

    if (member != NULL)
        text_add(run->out, template_null_text(template_member_kind(member)));
    else
        template_print_value(run->out, value);
}

static int run_action(struct run *run, const struct node *node, json_t *dot, struct error *err)
{
    json_t *value = NULL;
    int r = evaluate_pipeline(run, node->pipeline, dot, &value, err);

    if (r < 0)
        return r;
    if (node->pipeline->variables.count > 0)
        variable_set(run, node->pipeline->variables.items[0], value, node->pipeline->declares);
    else
        print_result(run, node->pipeline, value);
    json_decref(value);
    if (run->out->length - run->out_start > TEMPLATE_OUTPUT_MAX)
        return error_set(err, EFBIG, "the template writes more than %u bytes", TEMPLATE_OUTPUT_MAX);
    return 0;
}

/* if and with; with makes the value the dot of its body. */
static int run_condition(struct run *run, const struct node *node, json_t *dot, enum flow *ret_flow,
                         struct error *err)
{
    size_t variables = run->variable_count;
    bool was_condition = run->is_condition;
    json_t *value = NULL;
    int r;

    run->is_condition = true;
    r = evaluate_pipeline(run, node->pipeline, dot, &value, err);
    run->is_condition = was_condition;
    if (r < 0)
        return r;
    if (node->pipeline->variables.count > 0)
        variable_set(run, node->pipeline->variables.items[0], value, node->pipeline->declares);
    if (template_is_true(value))
        r = run_nodes(run, &node->body, node->kind == NODE_WITH ? value : dot, ret_flow, err);
    else
        r = run_nodes(run, &node->otherwise, dot, ret_flow, err);
    json_decref(value);
    variables_drop(run, variables);
    return r;
}

/* One turn of a loop. @key is taken. 1: the loop ends. */
static int run_turn(struct run *run, const struct node *node, json_t *key, json_t *value,
                    struct error *err)
{
    const struct strings *names = &node->pipeline->variables;
    size_t variables = run->variable_count;
    enum flow flow = FLOW_ON;
    int r;

    if (names->count == 2)
        variable_set(run, names->items[0], key, true);
    if (names->count > 0)
        variable_set(run, names->items[names->count - 1], value, true);
    json_decref(key);
    r = run_nodes(run, &node->body, value, &flow, err);
    variables_drop(run, variables);
    return r < 0 ? r : flow == FLOW_BREAK;
}

static int run_turns(struct run *run, const struct node *node, json_t *value, struct error *err)
{
    int r = 0;

    if (json_is_object(value)) {
        auto_free const char **keys = template_sorted_keys(value);

        for (size_t i = 0; r == 0 && keys[i] != NULL; i++)
            r = run_turn(run, node, json_string(keys[i]), json_object_get(value, keys[i]), err);
        return r;
    }
    for (size_t i = 0; r == 0 && i < json_array_size(value); i++)
        r = run_turn(run, node, json_integer((json_int_t)i), json_array_get(value, i), err);
    return r;
}

static int run_range(struct run *run, const struct node *node, json_t *dot, enum flow *ret_flow,
                     struct error *err)
{
    json_t *value = NULL;
    int r = evaluate_pipeline(run, node->pipeline, dot, &value, err);

    if (r < 0)
        return r;
    if (!json_is_array(value) && !json_is_object(value) && !json_is_null(value)) {
        struct text shown = { 0 };

        template_print_value(&shown, value);
        r = run_failed(&node->pipeline->commands[0].terms[0],
                       error_set(err, EINVAL, "range can't iterate over %s",
                                 shown.data != NULL ? shown.data : ""),
                       err);
        text_clear(&shown);
    } else if (!template_is_true(value)) {
        r = run_nodes(run, &node->otherwise, dot, ret_flow, err);
    } else {
        r = run_turns(run, node, value, err);
    }
    json_decref(value);
    return r < 0 ? r : 0;
}

static int run_nodes(struct run *run, const struct nodes *nodes, json_t *dot, enum flow *ret_flow,
                     struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && *ret_flow == FLOW_ON && i < nodes->count; i++) {
        const struct node *node = &nodes->items[i];

        switch (node->kind) {
        case NODE_TEXT:
            text_add(run->out, node->text);
            break;
        case NODE_ACTION:
            r = run_action(run, node, dot, err);
            break;
        case NODE_IF:
        case NODE_WITH:
            r = run_condition(run, node, dot, ret_flow, err);
            break;
        case NODE_RANGE:
            r = run_range(run, node, dot, ret_flow, err);
            break;
        case NODE_BREAK:
            *ret_flow = FLOW_BREAK;
            break;
        case NODE_CONTINUE:
            *ret_flow = FLOW_CONTINUE;
            break;
        }
    }
    return r;
}

static int run_document(const struct template *template, struct run *run, struct error *err)
{
    enum flow flow = FLOW_ON;
    int r;

    run->out_start = run->out->length;
    r = run_nodes(run, &template->nodes, run->document, &flow, err);
    variables_drop(run, 0);
    free(run->variables);
    json_decref(run->document);
    return r;
}

int template_run(const struct template *template, const char *json, size_t length, struct text *out,
                 struct error *err)
{
    json_error_t error;
    struct run run = { .out = out };

    assert(template != NULL);
    assert(out != NULL);

    run.document = json_loadb(json, length, JSON_DECODE_ANY, &error);
    if (run.document == NULL)
        return error_set(err, EINVAL, "read the document for --format: %s", error.text);
    return run_document(template, &run, err);
}

static json_t *fields_document(const struct string_map *fields)
{
    json_t *document = json_object();

    for (size_t i = 0; i < fields->count; i++) {
        json_t *value = json_string(fields->items[i].value);

        /* Not UTF-8, as an odd command line may be: shown as nothing. */
        (void)json_object_set_new(document, fields->items[i].key,
                                  value != NULL ? value : json_string(""));
    }
    return document;
}

int template_run_fields(const struct template *template, const struct string_map *fields,
                        const struct string_map *labels, struct text *out, struct error *err)
{
    struct run run = { .out = out, .labels = labels, .sorts_keys = true };

    assert(template != NULL);
    assert(fields != NULL);
    assert(out != NULL);

    run.document = fields_document(fields);
    return run_document(template, &run, err);
}

int template_run_headers(const struct template *template, const struct string_map *headers,
                         struct text *out, struct error *err)
{
    struct run run = { .out = out, .labels_are_headers = true, .sorts_keys = true };

    assert(template != NULL);
    assert(headers != NULL);
    assert(out != NULL);

    run.document = fields_document(headers);
    return run_document(template, &run, err);
}

int template_indent_json(const char *json, size_t length, char **ret_text, struct error *err)
{
    json_error_t error;
    json_t *document = json_loadb(json, length, JSON_DECODE_ANY, &error);

    if (document == NULL)
        return error_set(err, EINVAL, "read the document to print: %s", error.text);
    *ret_text = template_escape_controls(json_dumps(document, JSON_ENCODE_ANY | JSON_INDENT(4)));
    json_decref(document);
    return 0;
}
