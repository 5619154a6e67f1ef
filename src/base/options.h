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
        OPTION_PATH,     /* char **, a file that must exist */
        OPTION_FOLDER,   /* char **, a directory that must exist */
        OPTION_URL,      /* char **, with scheme and host; slashes at its end are taken off */
        OPTION_IP,       /* char **, an address */
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
        const char *value_name; /* what --help shows behind "=": "NAME=PATH"; NULL: nothing */
        int64_t maximum;        /* of an integer; 0: none. 65535 is a port, which Go calls uint16 */
        bool negative;          /* may be below 0 though the table is natural */
        bool verbatim; /* a value in double quotes keeps them; by default they are Go's and are taken off */
} Option;

typedef struct {
        const char *program; /* "weir web" */
        const char *summary;
        const Option *options; /* ends with a NULL name */
        const char
                *arguments; /* of positional arguments in the usage line; NULL: none are allowed */
        const char *prefix; /* put before every flag and variable, "worker-"; NULL: none */
        bool natural; /* integers and durations below 0 are refused, as none of them means anything */
} OptionTable;

/*
 * Fills target (zeroed before) from defaults, then environment, then argv[1..]. Go-flags' grammar
 * (reference 02 §1.2):
 * --a=b, --a b, -ab, "--". Positional arguments go to *ret_arguments (a GPtrArray of new text; may
 * be NULL if none are allowed). Returns false with ERROR_INVALID and go-flags' text (02 §1.3) for
 * what is wrong; ERROR_EXISTS when --help was asked. Before any thread starts: variables that were taken are
 * removed from the environment, so that children do not see secrets.
 */
bool options_parse(const OptionTable *table, int argc, char **argv, void *target,
                   GPtrArray **ret_arguments, GError **error);
void options_clear(const OptionTable *table, void *target);
char *options_help(const OptionTable *table); /* returns new, go-flags' layout */
char *options_man(const OptionTable *table);  /* returns new, mdoc */

/* The same for several tables that share one command line, as `weir quickstart` does. An earlier table's names win;
 * the first says which arguments are allowed. */
typedef struct {
        const OptionTable *table;
        void *target;
} OptionScope;
bool options_parse_scopes(const OptionScope *scopes, size_t count, int argc, char **argv,
                          GPtrArray **ret_arguments, GError **error);

/* ---- programs with commands ---- */

typedef struct {
        const char *name; /* "PATH" */
        const char *help;
        bool required;
        bool many; /* all that follow */
} OptionArgument;

typedef struct {
        const char *name;
        const char *const *aliases; /* ends with NULL; NULL: none */
        const char *summary;
        const Option *options;           /* ends with a NULL name; NULL: none */
        const OptionArgument *arguments; /* ends with a NULL name; NULL: none */
        size_t size;                     /* of the struct that the options fill */
        const void *data;                /* whatever the program needs to run it */
        bool hidden;
} OptionCommand;

/* Has no environment. */
typedef struct {
        const char *program;
        const Option *options; /* may stand before and behind the command, whose own win there */
        const OptionCommand *commands; /* in the order of --help; ends with a NULL name */
} OptionProgram;

typedef struct {
        const OptionCommand *command; /* NULL: none was given */
        void *target;                 /* of command->size */
        GPtrArray *arguments;         /* behind the command */
} OptionCall;

/*
 * Fills globals and *ret_call, which is cleared by options_call_clear() whether it succeeds or not. Errors as of
 * options_parse(), with ERROR_EXISTS ret_call->command is what help was asked for; "Unknown command `foo', did you
 * mean `bar'?" and "Please specify one command of: a, b or c" when there is no such one.
 */
bool options_parse_program(const OptionProgram *program, int argc, char **argv, void *globals,
                           OptionCall *ret_call, GError **error);
void options_call_clear(OptionCall *call);
void options_clear_globals(const OptionProgram *program, void *globals);
/* command NULL: of the program. Returns new, go-flags' layout. */
char *options_program_help(const OptionProgram *program, const OptionCommand *command);
