/* What all commands of fly share: the context, the table's types, the errors (reference 02 §1, §2). */
#pragma once

#include "base/options.h"
#include "fly/target.h"
#include "http/client.h"

#include <stdio.h>

/* What fly says it is: the version of upstream whose contract it keeps. */
#define FLY_VERSION "8.2.5"

#define FLY_ERROR (fly_error_quark())

typedef enum {
        FLY_FAILED,       /* "error: …" */
        FLY_PLAIN,        /* printed as it is */
        FLY_SILENT,       /* all is said */
        FLY_UNAUTHORIZED, /* the server does not know us: how to log in is printed */
        FLY_NO_TARGET,    /* -t is missing */
        FLY_VERSION_GAP,  /* too far from the server's version */
        FLY_NETWORK,      /* no server there */
        FLY_NOT_FOUND,    /* a 404; printed as FLY_FAILED unless the command has its own words */
        FLY_FORBIDDEN,
} FlyErrorCode;

GQuark fly_error_quark(void);
bool fly_error_is(const GError *error, FlyErrorCode code);
/* Sets a FLY_FAILED or FLY_PLAIN; returns false, for "return fly_fail(error, …)". */
bool fly_fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
bool fly_fail_plain(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* What a command makes of a failed request: a FLY_NOT_FOUND gets these words and that code, anything else is passed on
 * as it is. Takes *cause; returns false. */
bool fly_fail_missing(GError **error, GError **cause, FlyErrorCode code, const char *format, ...)
        G_GNUC_PRINTF(4, 5);

/* The first member of every command's options. */
typedef struct {
        char *target;
        bool version;
        bool verbose;
        bool print_table_headers;
} Globals;

/* One run of the program. One thread, but for what interrupt.h says. */
typedef struct {
        const char *program; /* argv[0] as it was typed */
        const char *target_name;
        bool verbose;
        bool headers;  /* of tables: print them */
        bool terminal; /* stdout is one: colours */
        int status;    /* what the program exits with when nothing fails */
        Targets *targets;
        Target *target;   /* borrowed from targets, or own_target */
        HttpClient *http; /* made by api.c for the target */
        char *team;       /* that requests are for */
        char *worker_version;
} Fly;

typedef struct {
        const char *name;
        const char *aliases[3];
        const char *summary;
        const Option *options; /* ends with a NULL name; NULL: none beyond the global ones */
        size_t size;           /* of its options struct; 0: Globals alone */
        const char *usage;     /* of positional arguments, in --help's first line; NULL: none */
        const char *const *arguments; /* pairs of name and help for --help, NULL-terminated */
        /* options is its struct, arguments are the positional ones. */
        bool (*run)(Fly *fly, const void *options, const GPtrArray *arguments, GError **error);
} Command;

extern const Command *const commands[]; /* ends with NULL */
const Command *command_find(const char *name);

/* Lines of the tables of options. */
#define OPT(type, member, kind_, letter_, name_, help_, ...)                                       \
        {                                                                                          \
                .name = name_, .letter = letter_, .kind = kind_, .offset = offsetof(type, member), \
                .help = help_, .environment = "", __VA_ARGS__                                      \
        }
#define OPT_TEAM(type, help_) OPT(type, team, OPTION_STRING, 0, "team", help_)
#define OPT_JSON(type) OPT(type, json, OPTION_FLAG, 0, "json", "Print command result as JSON")
#define OPT_END                                                                                    \
        { 0 }

extern const Option global_options[];
char *fly_help(void);                           /* returns new */
char *fly_command_help(const Command *command); /* returns new */

/* The command's options and, behind them, the global ones whose letters it does not use itself. Returns new. */
Option *command_options(const Command *command);

const char *fly_version(void);
int fly_main(int argc, char **argv);
