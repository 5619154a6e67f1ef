#include "base/child.h"
#include "resources/git.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void git_say(const char *format, ...) {
        va_list arguments;
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        fflush(stderr);
}

GPtrArray *git_arguments(const char *first, ...) {
        GPtrArray *arguments = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(arguments, g_strdup("git"));
        va_list rest;
        va_start(rest, first);
        for (const char *argument = first; argument; argument = va_arg(rest, const char *))
                g_ptr_array_add(arguments, g_strdup(argument));
        va_end(rest);
        return arguments;
}

void git_argument(GPtrArray *arguments, const char *format, ...) {
        va_list values;
        va_start(values, format);
        g_ptr_array_add(arguments, g_strdup_vprintf(format, values));
        va_end(values);
}

typedef struct {
        const char *input;
        int output, error; /* descriptors, or -1: output is collected, error dropped */
} Streams;

/* Takes arguments. */
static bool run_git(GitRun *run, GPtrArray *taken, Streams streams, ChildResult *ret,
                    GError **error) {
        g_autoptr(GPtrArray) arguments = taken;
        g_ptr_array_add(arguments, NULL);
        ChildSpec spec = {
                .argv = (const char *const *) arguments->pdata,
                .directory = run->repository,
                .input = -1,
                .output = streams.output,
                .error = streams.error,
        };
        size_t length = streams.input ? strlen(streams.input) : 0;
        if (!child_run(&spec, streams.input, length, GIT_OUTPUT_LIMIT, NULL, ret, error))
                return false;
        if (ret->status != 0) {
                run->status = ret->status;
                g_set_error(error, ERROR, ERROR_IO, "git %s failed with exit status %d",
                            (const char *) arguments->pdata[1], ret->status);
                return false;
        }
        return true;
}

bool git_show(GitRun *run, GPtrArray *arguments, GError **error) {
        g_auto(ChildResult) result = {};
        Streams streams = { .output = STDERR_FILENO, .error = STDERR_FILENO };
        return run_git(run, arguments, streams, &result, error);
}

bool git_read(GitRun *run, GPtrArray *arguments, const char *input, char **ret, GError **error) {
        g_auto(ChildResult) result = {};
        Streams streams = { .input = input, .output = -1, .error = STDERR_FILENO };
        if (!run_git(run, arguments, streams, &result, error))
                return false;
        *ret = g_steal_pointer(&result.output);
        return true;
}

char *git_line(GitRun *run, GPtrArray *arguments) {
        g_auto(ChildResult) result = {};
        int status = run->status;
        if (!run_git(run, arguments, (Streams){ .output = -1, .error = -1 }, &result, NULL)) {
                run->status = status;
                return NULL;
        }
        return g_strndup(result.output, strcspn(result.output, "\n"));
}
