#include "cli/template_parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

/* Levels of parentheses and blocks; each costs stack. */
#define TEMPLATE_DEPTH_MAX 64

static const char white_space[] = " \t\r\n";

/* Where the parser is in the text; inside {{ }} when reading actions. */
struct cursor {
    const char *start;
    const char *at;
    unsigned depth;
    unsigned range_depth;
};

static size_t cursor_line(const struct cursor *cursor)
{
    size_t line = 1;

    for (const char *c = cursor->start; c < cursor->at; c++)
        line += *c == '\n';
    return line;
}

static int parse_failed(const struct cursor *cursor, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int parse_failed(const struct cursor *cursor, struct error *err, const char *format, ...)
{
    auto_free char *message = NULL;
    va_list arguments;

    va_start(arguments, format);
    message = xvasprintf(format, arguments);
    va_end(arguments);
    return error_set(err, EINVAL, "template parsing error: template: :%zu: %s", cursor_line(cursor),
                     message);
}

/* --- releasing -------------------------------------------------------------------------------- */

static void pipeline_free(struct pipeline *pipeline);

static void term_clear(struct term *term)
{
    free(term->text);
    free(term->source);
    pipeline_free(term->pipeline);
    strings_clear(&term->members);
}

static void pipeline_free(struct pipeline *pipeline)
{
    if (pipeline == NULL)
        return;
    for (size_t i = 0; i < pipeline->count; i++) {
        for (size_t j = 0; j < pipeline->commands[i].count; j++)
            term_clear(&pipeline->commands[i].terms[j]);
        free(pipeline->commands[i].terms);
    }
    free(pipeline->commands);
    strings_clear(&pipeline->variables);
    free(pipeline);
}

void nodes_clear(struct nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) {
        free(nodes->items[i].text);
        pipeline_free(nodes->items[i].pipeline);
        nodes_clear(&nodes->items[i].body);
        nodes_clear(&nodes->items[i].otherwise);
    }
    free(nodes->items);
    *nodes = (struct nodes){ 0 };
}

static struct node *nodes_add(struct nodes *nodes, enum node_kind kind)
{
    nodes->items = xrealloc(nodes->items, nodes->count + 1, sizeof(*nodes->items));
    nodes->items[nodes->count] = (struct node){ .kind = kind };
    return &nodes->items[nodes->count++];
}

/* --- operands --------------------------------------------------------------------------------- */

static void skip_space(struct cursor *cursor)
{
    cursor->at += strspn(cursor->at, white_space);
}

/* "}}" or " -}}": the end of an action. */
static bool at_end(const struct cursor *cursor)
{
    return strncmp(cursor->at, "}}", 2) == 0 ||
           (strncmp(cursor->at, "-}}", 3) == 0 && cursor->at > cursor->start &&
            strchr(white_space, cursor->at[-1]) != NULL);
}

static bool is_name_byte(char byte)
{
    return isalnum((unsigned char)byte) || byte == '_' || ((unsigned char)byte & 0x80) != 0;
}

static size_t name_length(const char *text)
{
    size_t length = 0;

    while (is_name_byte(text[length]))
        length++;
    return length;
}

static void add_character(struct text *out, uint32_t character)
{
    char bytes[4];
    size_t length = 0;

    if (character < 0x80) {
        bytes[length++] = (char)character;
    } else if (character < 0x800) {
        bytes[length++] = (char)(0xc0 | character >> 6);
        bytes[length++] = (char)(0x80 | (character & 0x3f));
    } else {
        bytes[length++] = (char)(0xe0 | character >> 12);
        bytes[length++] = (char)(0x80 | (character >> 6 & 0x3f));
        bytes[length++] = (char)(0x80 | (character & 0x3f));
    }
    text_add_bytes(out, bytes, length);
}

/* One escape of Go's quoted strings; the cursor stands behind the backslash. */
static int parse_escape(struct cursor *cursor, struct text *out, struct error *err)
{
    static const char letters[] = "abfnrtv\\\"'";
    static const char values[] = "\a\b\f\n\r\t\v\\\"'";
    const char *known = *cursor->at != '\0' ? strchr(letters, *cursor->at) : NULL;
    size_t digits = *cursor->at == 'x' ? 2 : *cursor->at == 'u' ? 4 : 0;
    char hex[5] = "";
    uint32_t value;

    if (known != NULL) {
        text_add_bytes(out, &values[known - letters], 1);
        cursor->at++;
        return 0;
    }
    for (size_t i = 0; i < digits && isxdigit((unsigned char)cursor->at[1 + i]); i++)
        hex[i] = cursor->at[1 + i];
    if (digits == 0 || strlen(hex) != digits)
        return parse_failed(cursor, err, "invalid syntax in quoted string");
    value = (uint32_t)strtoul(hex, NULL, 16);
    /* A zero byte would end the text, and halves of surrogate pairs are no characters. */
    if (value == 0 || (value >= 0xd800 && value < 0xe000) || (digits == 2 && value >= 0x80))
        return parse_failed(cursor, err, "unsupported character in quoted string");
    add_character(out, value);
    cursor->at += 1 + digits;
    return 0;
}

static int parse_string(struct cursor *cursor, struct term *term, struct error *err)
{
    char quote = *cursor->at++;
    struct text out = { 0 };
    int r = 0;

    while (r == 0 && *cursor->at != quote) {
        if (*cursor->at == '\0' || (*cursor->at == '\n' && quote != '`')) {
            r = parse_failed(cursor, err, "unterminated quoted string");
        } else if (*cursor->at == '\\' && quote != '`') {
            cursor->at++;
            r = parse_escape(cursor, &out, err);
        } else {
            text_add_bytes(&out, cursor->at++, 1);
        }
    }
    if (r < 0) {
        text_clear(&out);
        return r;
    }
    cursor->at++;
    if (quote == '\'' && out.length == 1) {
        /* Go takes a character for its number. */
        term->kind = TERM_NUMBER;
        term->text = xasprintf("%d", (int)(unsigned char)out.data[0]);
        text_clear(&out);
        return 0;
    }
    if (quote == '\'') {
        text_clear(&out);
        return parse_failed(cursor, err, "malformed character constant");
    }
    term->kind = TERM_STRING;
    term->text = text_take(&out);
    return 0;
}

static int parse_number(struct cursor *cursor, struct term *term, struct error *err)
{
    size_t length = 1 + strspn(cursor->at + 1, "0123456789.eE_xabcdefABCDEF");
    char *end = NULL;

    term->kind = TERM_NUMBER;
    term->text = xstrndup(cursor->at, length);
    (void)strtod(term->text, &end);
    if (*end != '\0')
        return parse_failed(cursor, err, "bad number syntax: \"%s\"", term->text);
    cursor->at += length;
    return 0;
}

static int parse_word(struct cursor *cursor, struct term *term, struct error *err)
{
    static const struct {
        const char *word;
        enum term_kind kind;
    } words[] = { { "true", TERM_TRUE }, { "false", TERM_FALSE }, { "nil", TERM_NIL } };
    size_t length = name_length(cursor->at);

    term->kind = TERM_FUNCTION;
    term->text = xstrndup(cursor->at, length);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(words[i].word, term->text) == 0)
            term->kind = words[i].kind;
    }
    if (term->kind == TERM_FUNCTION && !template_has_function(term->text))
        return parse_failed(cursor, err, "function \"%s\" not defined", term->text);
    cursor->at += length;
    return 0;
}

static int parse_pipeline(struct cursor *cursor, char closer, struct pipeline **ret_pipeline,
                          struct error *err);

static int parse_parentheses(struct cursor *cursor, struct term *term, struct error *err)
{
    int r;

    if (++cursor->depth > TEMPLATE_DEPTH_MAX)
        return parse_failed(cursor, err, "too many levels of parentheses");
    cursor->at++;
    term->kind = TERM_PIPELINE;
    r = parse_pipeline(cursor, ')', &term->pipeline, err);
    if (r < 0)
        return r;
    cursor->at++;
    cursor->depth--;
    return 0;
}

/* .A.B behind an operand */
static int parse_members(struct cursor *cursor, struct term *term, struct error *err)
{
    while (*cursor->at == '.') {
        size_t length = name_length(cursor->at + 1);

        if (length == 0)
            return parse_failed(cursor, err, "unexpected \".\" in operand");
        strings_take(&term->members, xstrndup(cursor->at + 1, length));
        cursor->at += 1 + length;
    }
    return 0;
}

static int parse_term(struct cursor *cursor, struct term *term, struct error *err)
{
    const char *first = cursor->at;
    int r = 0;

    term->line = cursor_line(cursor);
    while (first - term->column > cursor->start && first[-(ptrdiff_t)term->column - 1] != '\n')
        term->column++;

    if (*first == '"' || *first == '`' || *first == '\'') {
        r = parse_string(cursor, term, err);
    } else if (*first == '(') {
        r = parse_parentheses(cursor, term, err);
    } else if (*first == '$') {
        size_t length = name_length(first + 1);

        term->kind = TERM_VARIABLE;
        term->text = xstrndup(first + 1, length);
        cursor->at += 1 + length;
    } else if (*first == '.' && !isdigit((unsigned char)first[1])) {
        term->kind = TERM_DOT;
        if (name_length(first + 1) == 0)
            cursor->at++;
    } else if (isdigit((unsigned char)*first) || *first == '.' ||
               ((*first == '-' || *first == '+') && isdigit((unsigned char)first[1]))) {
        r = parse_number(cursor, term, err);
    } else if (isalpha((unsigned char)*first) || *first == '_') {
        r = parse_word(cursor, term, err);
    } else {
        return parse_failed(cursor, err, "unexpected \"%.1s\" in command", first);
    }
    if (r == 0 && (term->kind != TERM_DOT || name_length(first + 1) > 0))
        r = parse_members(cursor, term, err);
    if (r < 0)
        return r;
    term->source = xstrndup(first, (size_t)(cursor->at - first));
    if (*cursor->at != '\0' && strchr(" \t\r\n|)", *cursor->at) == NULL && !at_end(cursor))
        return parse_failed(cursor, err, "unexpected \"%.1s\" in operand", cursor->at);
    return 0;
}

/* --- pipelines -------------------------------------------------------------------------------- */

static int parse_template_command(struct cursor *cursor, char closer,
                                  struct template_command *command, struct error *err)
{
    for (skip_space(cursor); *cursor->at != '|'; skip_space(cursor)) {
        int r;

        if (*cursor->at == closer && closer == ')')
            break;
        if (closer == ')' && (*cursor->at == '\0' || at_end(cursor)))
            return parse_failed(cursor, err, "unclosed left paren");
        if (*cursor->at == '\0')
            return parse_failed(cursor, err, "unclosed action");
        if (at_end(cursor))
            break;
        command->terms = xrealloc(command->terms, command->count + 1, sizeof(*command->terms));
        command->terms[command->count] = (struct term){ 0 };
        r = parse_term(cursor, &command->terms[command->count++], err);
        if (r < 0)
            return r;
    }
    if (command->count == 0)
        return parse_failed(cursor, err, "missing value for command");
    return 0;
}

/* "$x := ", "$i, $v := ", "$x = "; nothing is taken when it is an operand. */
static void parse_variables(struct cursor *cursor, struct pipeline *pipeline)
{
    struct cursor look = *cursor;
    struct strings names = { 0 };

    skip_space(&look);
    while (*look.at == '$' && names.count < 2) {
        size_t length = name_length(look.at + 1);

        strings_take(&names, xstrndup(look.at + 1, length));
        look.at += 1 + length;
        skip_space(&look);
        if (*look.at != ',')
            break;
        look.at++;
        skip_space(&look);
    }
    if (names.count > 0 && (strncmp(look.at, ":=", 2) == 0 || *look.at == '=')) {
        pipeline->declares = *look.at == ':';
        cursor->at = look.at + (pipeline->declares ? 2 : 1);
        pipeline->variables = names;
        return;
    }
    strings_clear(&names);
}

static int parse_commands(struct cursor *cursor, char closer, struct pipeline *pipeline,
                          struct error *err)
{
    parse_variables(cursor, pipeline);
    for (;;) {
        int r;

        pipeline->commands =
            xrealloc(pipeline->commands, pipeline->count + 1, sizeof(*pipeline->commands));
        pipeline->commands[pipeline->count] = (struct template_command){ 0 };
        r = parse_template_command(cursor, closer, &pipeline->commands[pipeline->count++], err);
        if (r < 0)
            return r;
        if (*cursor->at != '|')
            return 0;
        cursor->at++;
    }
}

/* Reads up to @closer, ')' or '}', which is left to the caller. */
static int parse_pipeline(struct cursor *cursor, char closer, struct pipeline **ret_pipeline,
                          struct error *err)
{
    struct pipeline *pipeline = xcalloc(1, sizeof(*pipeline));
    int r = parse_commands(cursor, closer, pipeline, err);

    if (r < 0) {
        pipeline_free(pipeline);
        return r;
    }
    *ret_pipeline = pipeline;
    return 0;
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* What ended a list of nodes. */
enum block_end { BLOCK_END_OF_TEXT, BLOCK_END, BLOCK_ELSE };

/* Steps over "}}" or "-}}", which takes the white space behind it away. */
static int close_action(struct cursor *cursor, struct error *err)
{
    skip_space(cursor);
    if (!at_end(cursor))
        return parse_failed(cursor, err,
                            *cursor->at == '\0' ? "unclosed action" : "unexpected text in action");
    if (*cursor->at == '-') {
        cursor->at += 3;
        skip_space(cursor);
    } else {
        cursor->at += 2;
    }
    return 0;
}

static bool take_word(struct cursor *cursor, const char *word)
{
    size_t length = strlen(word);

    skip_space(cursor);
    if (strncmp(cursor->at, word, length) != 0 || is_name_byte(cursor->at[length]))
        return false;
    cursor->at += length;
    return true;
}

static int parse_nodes(struct cursor *cursor, struct nodes *nodes, enum block_end *ret_end,
                       struct error *err);

static int parse_block(struct cursor *cursor, struct node *node, struct error *err);

/* Behind {{else: "if ..." makes the same as a nested block. */
static int parse_else(struct cursor *cursor, struct node *node, struct error *err)
{
    enum block_end end = BLOCK_END;
    enum node_kind nested = NODE_TEXT;
    int r;

    if (node->kind == NODE_IF && take_word(cursor, "if"))
        nested = NODE_IF;
    else if (node->kind == NODE_WITH && take_word(cursor, "with"))
        nested = NODE_WITH;
    if (nested != NODE_TEXT)
        return parse_block(cursor, nodes_add(&node->otherwise, nested), err);

    r = close_action(cursor, err);
    if (r < 0)
        return r;
    r = parse_nodes(cursor, &node->otherwise, &end, err);
    if (r < 0)
        return r;
    if (end == BLOCK_ELSE)
        return parse_failed(cursor, err, "expected end; found {{else}}");
    if (end == BLOCK_END_OF_TEXT)
        return parse_failed(cursor, err, "unexpected EOF");
    return close_action(cursor, err);
}

/* The cursor stands behind the word: "if", "range", "with". */
static int parse_block(struct cursor *cursor, struct node *node, struct error *err)
{
    enum block_end end = BLOCK_END;
    int r;

    if (++cursor->depth > TEMPLATE_DEPTH_MAX)
        return parse_failed(cursor, err, "too many nested blocks");
    r = parse_pipeline(cursor, '}', &node->pipeline, err);
    if (r < 0)
        return r;
    r = close_action(cursor, err);
    if (r < 0)
        return r;
    cursor->range_depth += node->kind == NODE_RANGE;
    r = parse_nodes(cursor, &node->body, &end, err);
    cursor->range_depth -= node->kind == NODE_RANGE;
    if (r < 0)
        return r;
    if (end == BLOCK_END_OF_TEXT)
        return parse_failed(cursor, err, "unexpected EOF");
    r = end == BLOCK_ELSE ? parse_else(cursor, node, err) : close_action(cursor, err);
    cursor->depth--;
    return r;
}

/* Text up to the next "{{", without the white space that "{{- " takes away. False: no action
 * follows. */
static bool parse_text(struct cursor *cursor, struct nodes *nodes)
{
    const char *open = strstr(cursor->at, "{{");
    size_t length = open != NULL ? (size_t)(open - cursor->at) : strlen(cursor->at);
    size_t kept = length;
    bool is_trimmed =
        open != NULL && open[2] == '-' && open[3] != '\0' && strchr(white_space, open[3]) != NULL;

    if (is_trimmed) {
        while (kept > 0 && strchr(white_space, cursor->at[kept - 1]) != NULL)
            kept--;
    }
    if (kept > 0)
        nodes_add(nodes, NODE_TEXT)->text = xstrndup(cursor->at, kept);
    cursor->at += length;
    if (open != NULL)
        cursor->at += is_trimmed ? 3 : 2;
    return open != NULL;
}

static int parse_comment(struct cursor *cursor, struct error *err)
{
    const char *end = strstr(cursor->at, "*/");

    if (end == NULL)
        return parse_failed(cursor, err, "unclosed comment");
    cursor->at = end + 2;
    return close_action(cursor, err);
}

/* One {{...}}; the cursor stands behind "{{". 1: it was an end or else, in @ret_end. */
static int parse_action(struct cursor *cursor, struct nodes *nodes, enum block_end *ret_end,
                        struct error *err)
{
    static const struct {
        const char *word;
        enum node_kind kind;
    } blocks[] = { { "if", NODE_IF }, { "range", NODE_RANGE }, { "with", NODE_WITH } };
    struct node *node;
    int r;

    skip_space(cursor);
    if (strncmp(cursor->at, "/*", 2) == 0)
        return parse_comment(cursor, err);
    for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
        if (take_word(cursor, blocks[i].word))
            return parse_block(cursor, nodes_add(nodes, blocks[i].kind), err);
    }
    if (take_word(cursor, "end") || take_word(cursor, "else")) {
        *ret_end = cursor->at[-1] == 'd' ? BLOCK_END : BLOCK_ELSE;
        return 1;
    }
    if (take_word(cursor, "break") || take_word(cursor, "continue")) {
        bool is_break = cursor->at[-1] == 'k';

        if (cursor->range_depth == 0)
            return parse_failed(cursor, err, "{{%s}} outside {{range}}",
                                is_break ? "break" : "continue");
        nodes_add(nodes, is_break ? NODE_BREAK : NODE_CONTINUE);
        return close_action(cursor, err);
    }
    node = nodes_add(nodes, NODE_ACTION);
    r = parse_pipeline(cursor, '}', &node->pipeline, err);
    if (r < 0)
        return r;
    return close_action(cursor, err);
}

static int parse_nodes(struct cursor *cursor, struct nodes *nodes, enum block_end *ret_end,
                       struct error *err)
{
    for (;;) {
        int r;

        if (!parse_text(cursor, nodes)) {
            *ret_end = BLOCK_END_OF_TEXT;
            return 0;
        }
        r = parse_action(cursor, nodes, ret_end, err);
        if (r != 0)
            return r < 0 ? r : 0;
    }
}

int nodes_parse(const char *text, struct nodes *ret_nodes, struct error *err)
{
    struct cursor cursor = { .start = text, .at = text };
    struct nodes nodes = { 0 };
    enum block_end end = BLOCK_END_OF_TEXT;
    int r = parse_nodes(&cursor, &nodes, &end, err);

    if (r == 0 && end != BLOCK_END_OF_TEXT)
        r = parse_failed(&cursor, err, "unexpected {{%s}}", end == BLOCK_END ? "end" : "else");
    if (r < 0) {
        nodes_clear(&nodes);
        return r;
    }
    *ret_nodes = nodes;
    return 0;
}
