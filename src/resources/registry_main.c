/* weir-resource-registry-image: /opt/resource/check, in and out of the registry-image type. */
#include "resources/program.h"
#include "resources/registry.h"

#include <locale.h>
#include <stdio.h>

/* curl reads only the lower-case form of the first, Go both. */
static void take_proxies(void) {
        const char *proxy = g_getenv("HTTP_PROXY");
        if (proxy && !g_getenv("http_proxy"))
                g_setenv("http_proxy", proxy, true);
}

static void fail(const GError *error, int64_t started) {
        g_autoptr(GString) line = program_log_line(&(const ProgramLog){
                .level = "ERRO",
                .message = error->message,
                .seconds = (int) ((g_get_monotonic_time() - started) / G_USEC_PER_SEC) });
        fwrite(line->str, 1, line->len, stderr);
}

static int run(int argc, char **argv, StrictRole role,
               bool (*program)(RegistryRun *, Value **, GError **)) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) answer = NULL;
        g_auto(RegistryRun) state = { 0 };
        int64_t started = g_get_monotonic_time();
        g_autoptr(Value) request = program_request(&error);
        if (!request)
                g_prefix_error(&error, "invalid payload: ");
        take_proxies();
        if (request && registry_run_init(role, request, &state, &error)) {
                state.directory = argc > 1 ? argv[1] : NULL;
                if (program(&state, &answer, &error) && program_answer(answer, &error))
                        return 0;
        }
        fail(error, started);
        return 1;
}

static int run_check(int argc, char **argv) {
        return run(argc, argv, STRICT_CHECK, registry_check);
}

static int run_in(int argc, char **argv) {
        return run(argc, argv, STRICT_IN, registry_in);
}

static int run_out(int argc, char **argv) {
        return run(argc, argv, STRICT_OUT, registry_out);
}

int main(int argc, char **argv) {
        static const ProgramRole roles[] = {
                { "check", run_check },
                { "in", run_in },
                { "out", run_out },
                {},
        };
        /* libarchive reads the names of files in images as the locale has them. */
        setlocale(LC_CTYPE, "C.UTF-8");
        return program_main(roles, argc, argv);
}
