/* One table per command declares its options; the parser, --help, the man page and the environment
 * come from it. */
#pragma once

#include "base/duration.h"

typedef enum {
        OPTION_FLAG,     /* bool * */
        OPTION_STRING,   /* char **, owned by the struct */
        OPTION_INT,      /* int64_t * */
        OPTION_FLOAT,    /* double * */
        OPTION_DURATION, /* Duration * */
        OPTION_LIST,     /* GPtrArray **, repeatable; commas separate in the environment */
        OPTION_PAIRS,    /* GPtrArray ** of "KEY:VALUE" text, repeatable */
        OPTION_CHOICE,   /* char **, one of `choices` */
        OPTION_PATH,     /* char **, must exist */
} OptionKind;

typedef struct {
        const char *name; /* "bind-port": --bind-port, CONCOURSE_BIND_PORT, WEIR_BIND_PORT */
        char letter;      /* 0: none */
        OptionKind kind;
        size_t offset;        /* of the field in the target struct */
        const char *standard; /* default, as it would be written; NULL: none */
        const char *help;
        const char *group; /* heading in --help; NULL: the first */
        const char *const *choices;
        const char
                *environment; /* name without prefix where it differs from the flag's; "": none */
        bool required;
        bool hidden;
} Option;

typedef struct {
        const char *program; /* "weir web" */
        const char *summary;
        const Option *options; /* ends with a NULL name */
        const char
                *arguments; /* of positional arguments in the usage line; NULL: none are allowed */
        const char *prefix; /* put before every flag and variable, "worker-"; NULL: none */
} OptionTable;

/*
 * Fills target (zeroed before) from defaults, then environment, then argv[1..]. Go-flags' grammar
 * (reference 02 §1.2):
 * --a=b, --a b, -ab, "--". Positional arguments go to *ret_arguments (a GPtrArray of new text; may
 * be NULL if none are allowed). Returns false with ERROR_INVALID and go-flags' text (02 §1.3) for
 * what is wrong; ERROR_EXISTS when --help was asked.
 */
bool options_parse(const OptionTable *table, int argc, char **argv, void *target,
                   GPtrArray **ret_arguments, GError **error);
void options_clear(const OptionTable *table, void *target);
char *options_help(const OptionTable *table); /* returns new, go-flags' layout */
char *options_man(const OptionTable *table);  /* returns new, mdoc */
