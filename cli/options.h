#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

/* Commands and options are tables: parsing, --help, the man check and shell completion all come
 * from them. */

enum option_kind {
    OPTION_FLAG,     /* bool: --rm, --rm=false, -it bundles */
    OPTION_TEXT,     /* one value; the last wins: --name x, --name=x, -n x, -nx */
    OPTION_LIST,     /* may be repeated: struct strings */
    OPTION_OPTIONAL, /* a text whose value may be left out: only --name=value carries one */
    OPTION_REFUSED,  /* docker has it, berth not yet: not in help, using it is an error that says
                        .help */
};

struct option {
    const char *name; /* "memory-swap"; NULL ends the table */
    char letter;      /* 'm'; 0: none */
    enum option_kind kind;
    const char *value;      /* how help calls the value: "BYTES"; NULL for flags */
    const char *help;       /* one line, no full stop */
    const char *completion; /* "container", "image", "cgroup", "file", "signal", "none", or "a|b|c";
                               NULL: nothing */
};

/* Values of one parsed command line, in the order of the table. Borrowed from argv. */
struct option_value {
    bool is_set;
    bool flag;           /* OPTION_FLAG */
    const char *text;    /* OPTION_TEXT, OPTION_OPTIONAL ("" without value) */
    struct strings list; /* OPTION_LIST */
};

struct command;
struct program;
struct arguments {
    const struct program *program;
    const struct command *command;      /* NULL: none was typed */
    struct option_value *values;        /* one for each option of the command */
    struct option_value *global_values; /* one for each global option */
    const char *const *words;           /* what is not an option; ends with NULL */
    size_t word_count;
    bool wants_help;    /* --help, or a group of commands without one of them */
    bool wants_version; /* --version before any command */
    const char *group;  /* "image": help of these commands only; NULL */
};

/* Value of an option by its long name; asserts that the table has it. */
bool arguments_flag(const struct arguments *arguments, const char *name);
const char *arguments_text(const struct arguments *arguments,
                           const char *name); /* NULL: not given */
const struct strings *arguments_list(const struct arguments *arguments, const char *name);
bool arguments_has(const struct arguments *arguments, const char *name);
bool arguments_has_any(const struct arguments *arguments); /* any option of the command */
const struct option_value *arguments_global(const struct arguments *arguments, const char *name);

/** Runs a command; the result is the exit status of the program. Prints its own errors by
 * log_error(). */
typedef int command_handler(const struct arguments *arguments, void *context);

struct command {
    const char *name;             /* "run", "image make"; NULL ends the table */
    const char *alias;            /* "container run", or NULL; several by '|' */
    const char *usage;            /* "[OPTIONS] IMAGE [COMMAND] [ARG...]" */
    const char *help;             /* one line */
    const char *description;      /* a paragraph for --help and the man page; may be NULL */
    const char *examples;         /* lines "command # what it does"; {program} is replaced */
    const struct option *options; /* ends with a name of NULL; may be NULL */
    const struct option
        *more_options;           /* a second table (options that commands share); may be NULL */
    size_t min_words, max_words; /* SIZE_MAX: any number */
    bool stops_at_first_word; /* options after the first word belong to the program in the container
                               */
    bool is_hidden;           /* not in help: internal */
    command_handler *handler;
    const char *words_completion; /* as option.completion, for the words; also "command" */
    const char *section;          /* heading in the list of commands: "Images"; NULL: "Commands" */
};

/* docker has it, berth not: not in help, using it is an error that says why. */
struct refused_command {
    const char *names; /* by '|', as command.alias: "network", "image build"; NULL ends the table */
    const char *reason; /* one line, no full stop */
};

struct program {
    const char *name;    /* "berth" */
    const char *summary; /* one line */
    const struct command *commands;
    const struct option *global_options;
    const struct refused_command *refused_commands; /* NULL: none */
    int usage_status;  /* exit status for wrong usage: 125 for berth, 1 for berth-oci */
    bool has_go_flags; /* as Go's flag package: -bundle means --bundle, and --b means -b */
    /* Called after parsing, before the handler: sets up logging and the context. */
    int (*prepare)(const struct arguments *arguments, void *context, struct error *err);
    /* Says what was wrong with the command line or with prepare(), and returns the exit status;
     * NULL: log_error() and usage_status. */
    int (*usage_failed)(int argc, char **argv, void *context, const struct error *err);
    const char *version;     /* what --version prints behind "NAME version "; NULL: BERTH_VERSION */
    const char *description; /* roff of the manual page's DESCRIPTION; NULL */
    const char *manual;      /* roff behind the generated part of the manual page; NULL */
};

/* "help" and "completion", which every program has; ends with a name of NULL. Their handlers are
 * NULL: program_run() prints. */
extern const struct command builtin_commands[];

/**
 * Parses one command line; runs and prints nothing.
 *
 * @ret_arguments  words and texts are borrowed from @argv; release with arguments_clear().
 *                 command is NULL when wants_help or wants_version is set without a command.
 *
 * Returns 0; -ENOENT for an unknown command, or -EINVAL, with a sentence that ends in
 * "see 'berth run --help'".
 */
int arguments_parse(const struct program *program, int argc, char **argv,
                    struct arguments *ret_arguments, struct error *err);
void arguments_clear(struct arguments *arguments);

/** The option called @name in either table of a command, or NULL. */
const struct option *command_option(const struct command *command, const char *name);

/** Whether @name is the command's name or one of its aliases. */
bool command_has_name(const struct command *command, const char *name);

/** The command called "run" or "image make", also by alias; NULL when there is none. */
const struct command *program_command(const struct program *program, const char *name);

/** Parses, then runs the command (or prints help, a completion script, an error with the nearest
 * name). Returns the exit status. */
int program_run(const struct program *program, int argc, char **argv, void *context);

#endif
