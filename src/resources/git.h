/* The git resource type (reference 09 §6): check, in and out around the git program. */
#pragma once

#include "base/value.h"

/* The most that is read from git at once: a list of commits is 41 bytes a piece. */
#define GIT_OUTPUT_LIMIT ((size_t) 256 << 20)

/* One run of a program. Borrowed but for what is said to be owned. */
typedef struct {
        const Value *source, *version, *params; /* NULL when absent */
        const char *directory;  /* get's destination, put's sources; NULL in check */
        const char *repository; /* where git runs; NULL: here */
        int status;             /* the exit status after a failure; 1 unless git said otherwise */
} GitRun;

/* Each: *ret is new, the program's answer. The messages are upstream's. */
bool git_check(GitRun *run, Value **ret, GError **error);
bool git_in(GitRun *run, Value **ret, GError **error);
bool git_out(GitRun *run, Value **ret, GError **error);

/* ---- the request, read as upstream's jq does: absent, null, "" and false are all "" ---- */

/* Strings, number literals and "true"; valid as long as map. Never NULL. */
const char *git_text(const Value *map, const char *key);
bool git_flag(const Value *map, const char *key); /* true or "true" */
int64_t git_number(const Value *map, const char *key, int64_t otherwise);

/* Refuses keys that are not in the table: "Found unknown keys in get params:" and one per line.
 * names ends with NULL. */
bool git_keys_check(const Value *map, const char *const *names, const char *what, GError **error);
/* The same for the source: for check only, get and put ignore unknown keys. */
bool git_source_check(const Value *source, GError **error);
/* Where keys and settings of this process go: $HOME and $TMPDIR, or their usual places. */
const char *git_home(void);
const char *git_temporary(void);
/* Sets up keys, ~/.netrc and git's configuration for this process and its children. */
bool git_credentials_set_up(const Value *source, GError **error);

/* ---- running git ---- */

/* Collects arguments: git_arguments("fetch", "origin", NULL), then g_ptr_array_add of g_strdup. */
GPtrArray *git_arguments(const char *first, ...) G_GNUC_NULL_TERMINATED;
void git_argument(GPtrArray *arguments, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Takes arguments. Output goes to stderr, for the user to see. False when git failed. */
bool git_show(GitRun *run, GPtrArray *arguments, GError **error);
/* Takes arguments. *ret is new: what git wrote to stdout. input may be NULL. */
bool git_read(GitRun *run, GPtrArray *arguments, const char *input, char **ret, GError **error);
/* Takes arguments. The first line of its output, without newline; NULL when git failed (silently). */
char *git_line(GitRun *run, GPtrArray *arguments);

/* Lines for the user, on stderr. */
void git_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* ---- what get and put both answer ---- */

/* Metadata of HEAD in run->repository, in upstream's order. */
bool git_metadata(GitRun *run, Value **ret, GError **error);
