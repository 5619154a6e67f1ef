/* What the programs of all resource types share (reference 09 §2). */
#pragma once

#include "base/value.h"

/* The most a request may be: sources with keys and certificates in them are some 100 KiB. */
#define PROGRAM_REQUEST_LIMIT ((size_t) 16 << 20)

typedef struct {
        const char *name; /* "check", "in", "out" */
        int (*run)(int argc, char **argv);
} ProgramRole;

/* Runs the role whose name argv[0] ends in, or argv[1] is. Returns the exit status. */
int program_main(const ProgramRole *roles, int argc, char **argv);

/* Reads the first JSON value on stdin; the rest is ignored. Returns new; texts as Go's decoder. */
Value *program_request(GError **error);

/* Writes answer and a newline to stdout. */
bool program_answer(const Value *answer, GError **error);

/* One line as logrus writes it to a terminal, with its line break. level: "INFO", "WARN", "ERRO", "FATA"; seconds
 * since the program began; field may be NULL, or a name with its value. Returns new. */
typedef struct {
        const char *level, *message, *field, *value;
        int seconds;
} ProgramLog;
GString *program_log_line(const ProgramLog *log);
