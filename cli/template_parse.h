#ifndef CLI_TEMPLATE_PARSE_H
#define CLI_TEMPLATE_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

/* The tree of a template; private to template*.c. */

enum term_kind {
    TERM_DOT,
    TERM_VARIABLE, /* text: "$x" without '$' ("" is the whole document) */
    TERM_STRING,   /* text: decoded */
    TERM_NUMBER,   /* text: as written */
    TERM_TRUE,
    TERM_FALSE,
    TERM_NIL,
    TERM_FUNCTION, /* text: its name */
    TERM_PIPELINE, /* in parentheses */
};

struct pipeline;

/* One operand; .A.B behind it are its members. */
struct term {
    enum term_kind kind;
    char *text;
    struct pipeline *pipeline;
    struct strings members;
    char *source; /* as written, for errors */
    size_t line, column;
};

struct template_command {
    struct term *terms;
    size_t count;
};

/* $a, $b := command | command */
struct pipeline {
    struct strings variables; /* at most two; without '$' */
    bool declares;            /* := makes new variables, = sets known ones */
    struct template_command *commands;
    size_t count;
};

enum node_kind {
    NODE_TEXT,
    NODE_ACTION,
    NODE_IF,
    NODE_RANGE,
    NODE_WITH,
    NODE_BREAK,
    NODE_CONTINUE
};

struct node;
struct nodes {
    struct node *items;
    size_t count;
};

struct node {
    enum node_kind kind;
    char *text;
    struct pipeline *pipeline;
    struct nodes body, otherwise;
};

/* Words that may stand for functions; ends with NULL. In template.c, where they are carried out. */
bool template_has_function(const char *name);

int nodes_parse(const char *text, struct nodes *ret_nodes, struct error *err);
void nodes_clear(struct nodes *nodes);

#endif
