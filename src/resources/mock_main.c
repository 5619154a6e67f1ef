/* weir-resource-mock: /opt/resource/check, in and out of the mock type. */
#include "resources/mock.h"
#include "resources/program.h"

#include <string.h>
#include <unistd.h>

/* Whether root in this user namespace is root of the one around it. */
static bool is_privileged(void) {
        bool privileged = false;
        FILE *map = fopen("/proc/self/uid_map", "re");
        unsigned long inner, outer, count;
        while (map && fscanf(map, "%lu %lu %lu", &inner, &outer, &count) == 3)
                privileged = privileged || (inner == 0 && outer == 0);
        if (map)
                fclose(map);
        return privileged;
}

static MockHost host_here(void) {
        return (MockHost){
                .privileged = is_privileged(),
                .mirrored_version = g_getenv("MIRRORED_VERSION"),
                .root = "/",
                .environment = (const char *const *) environ,
                .log = stderr,
                .started = g_get_monotonic_time(),
        };
}

static int finish(const MockHost *host, bool done, const Value *answer, GError *error) {
        g_autoptr(GError) failure = NULL;
        if (done && program_answer(answer, &failure))
                return 0;
        mock_log(host, "FATA", (done ? failure : error)->message, NULL, NULL);
        return 1;
}

static int run(int argc, char **argv,
               bool (*role)(const Value *, const char *, const MockHost *, Value **, GError **)) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) answer = NULL;
        MockHost host = host_here();
        g_autoptr(Value) request = program_request(&error);
        if (!request)
                g_prefix_error(&error, "invalid payload: ");
        bool done = request && role(request, argc > 1 ? argv[1] : NULL, &host, &answer, &error);
        return finish(&host, done, answer, error);
}

static bool check_role(const Value *request, const char *directory, const MockHost *host,
                       Value **ret, GError **error) {
        return mock_check(request, host, ret, error);
}

static int run_check(int argc, char **argv) {
        return run(argc, argv, check_role);
}

static int run_in(int argc, char **argv) {
        return run(argc, argv, mock_in);
}

static int run_out(int argc, char **argv) {
        return run(argc, argv, mock_out);
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
