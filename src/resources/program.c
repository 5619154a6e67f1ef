#include "resources/program.h"

#include "base/files.h"
#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int program_main(const ProgramRole *roles, int argc, char **argv) {
        const char *slash = strrchr(argv[0], '/');
        const char *name = slash ? slash + 1 : argv[0];
        for (const ProgramRole *role = roles; role->name; role++) {
                if (g_str_equal(name, role->name))
                        return role->run(argc, argv);
                if (argc > 1 && g_str_equal(argv[1], role->name))
                        return role->run(argc - 1, argv + 1);
        }
        fprintf(stderr, "usage: check | in DIRECTORY | out DIRECTORY, with a request on stdin\n");
        return 2;
}

static bool read_stdin(GString *text, GError **error) {
        char buffer[16384];
        for (;;) {
                ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
                if (got == 0)
                        return true;
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0) {
                        error_set_errno(error, errno, "cannot read the request");
                        return false;
                }
                if (text->len + (size_t) got > PROGRAM_REQUEST_LIMIT) {
                        g_set_error(error, ERROR, ERROR_LIMIT,
                                    "the request is longer than %zu bytes", PROGRAM_REQUEST_LIMIT);
                        return false;
                }
                g_string_append_len(text, buffer, got);
        }
}

Value *program_request(GError **error) {
        g_autoptr(GString) text = g_string_new(NULL);
        if (!read_stdin(text, error))
                return NULL;
        if (strspn(text->str, " \t\r\n") == text->len) {
                g_set_error_literal(error, ERROR, ERROR_INVALID, "EOF");
                return NULL;
        }
        size_t used;
        return json_parse_first(text->str, text->len, NULL, &used, error);
}

bool program_answer(const Value *answer, GError **error) {
        size_t length;
        g_autofree char *text = json_write(answer, JSON_COMPACT, &length);
        return write_all(STDOUT_FILENO, text, length, error) &&
               write_all(STDOUT_FILENO, "\n", 1, error);
}

static int level_colour(const char *level) {
        if (g_str_equal(level, "INFO"))
                return 36;
        return g_str_equal(level, "WARN") ? 33 : 31;
}

GString *program_log_line(const ProgramLog *log) {
        int colour = level_colour(log->level);
        /* Of a line break that a version read from a file ends with, upstream's logger shows none. */
        g_autofree char *shown = g_strdup(log->message);
        size_t length = strlen(shown);
        if (length > 0 && shown[length - 1] == '\n')
                shown[length - 1] = '\0';
        GString *line = g_string_new(NULL);
        g_string_append_printf(line, "\033[%dm%s\033[0m[%04d] %-44s ", colour, log->level,
                               log->seconds, shown);
        if (log->field)
                g_string_append_printf(line, " \033[%dm%s\033[0m=%s", colour, log->field,
                                       log->value);
        g_string_append_c(line, '\n');
        return line;
}
