#ifndef CLI_TEMPLATE_MEMBERS_H
#define CLI_TEMPLATE_MEMBERS_H

#include <stdbool.h>

/* What docker's templates know of a member beyond its JSON: Go's types, by which what is empty
 * prints [] or map[] or <nil> where the JSON has null or nothing. */

enum template_kind {
    TEMPLATE_UNKNOWN,
    TEMPLATE_TEXT,
    TEMPLATE_LIST,
    TEMPLATE_MAP,     /* its keys are of the user: a missing one is no mistake */
    TEMPLATE_POINTER, /* a number, truth or object that may be nil */
};

/** By its name, in whichever object; TEMPLATE_UNKNOWN: docker has none that may be null. */
enum template_kind template_member_kind(const char *name);

/**
 * The member that docker's objects of the same sort always have, when they leave out this one while
 * it is empty; NULL: they do not.
 */
const char *template_member_beside(const char *name);

/**
 * The key in JSON of a field whose name in Go, by which docker's templates know it, is another;
 * NULL: they are the same. In docker's templates both name it.
 */
const char *template_member_key(const char *name);

/** What null prints: "[]", "map[]", "<nil>", "" or, of what is unknown, "<no value>". */
const char *template_null_text(enum template_kind kind);

#endif
