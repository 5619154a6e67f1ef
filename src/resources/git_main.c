/* weir-resource-git: /opt/resource/check, in and out of the git type. */
#include "resources/git.h"
#include "resources/program.h"

#include <stdio.h>

static int run(int argc, char **argv, bool (*role)(GitRun *, Value **, GError **)) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) answer = NULL;
        GitRun state = { .directory = argc > 1 ? argv[1] : NULL, .status = 1 };
        g_autoptr(Value) request = program_request(&error);
        state.source = value_get(request, "source");
        state.version = value_get(request, "version");
        state.params = value_get(request, "params");
        if (request && role(&state, &answer, &error) && program_answer(answer, &error))
                return 0;
        fprintf(stderr, "%s\n", error->message);
        return state.status;
}

static int run_check(int argc, char **argv) {
        return run(argc, argv, git_check);
}

static int run_in(int argc, char **argv) {
        return run(argc, argv, git_in);
}

static int run_out(int argc, char **argv) {
        return run(argc, argv, git_out);
}

int main(int argc, char **argv) {
        static const ProgramRole roles[] = {
                { "check", run_check },
                { "in", run_in },
                { "out", run_out },
                {},
        };
        return program_main(roles, argc, argv);
}
