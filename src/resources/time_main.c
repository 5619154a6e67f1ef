/* weir-resource-time: /opt/resource/check, in and out of the time type. */
#include "resources/program.h"
#include "resources/time_resource.h"

#include <stdio.h>
#include <time.h>

static Moment now_here(void) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        return (Moment){ .seconds = now.tv_sec, .nanoseconds = (int32_t) now.tv_nsec };
}

static int run(const char *directory,
               bool (*role)(const Value *, const char *, const Moment *, Value **, GError **)) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) answer = NULL;
        Moment now = now_here();
        g_autoptr(Value) request = program_request(&error);
        if (!request)
                g_prefix_error(&error, "parse error: ");
        if (request && role(request, directory, &now, &answer, &error) &&
            program_answer(answer, &error))
                return 0;
        fprintf(stderr, "%s\n", error->message);
        return 1;
}

static bool check_role(const Value *request, const char *directory, const Moment *now, Value **ret,
                       GError **error) {
        return time_check(request, now, ret, error);
}

static bool in_role(const Value *request, const char *directory, const Moment *now, Value **ret,
                    GError **error) {
        return time_in(request, now, directory, ret, error);
}

static bool out_role(const Value *request, const char *directory, const Moment *now, Value **ret,
                     GError **error) {
        return time_out(request, now, ret, error);
}

static int run_check(int argc, char **argv) {
        return run(NULL, check_role);
}

static int run_in(int argc, char **argv) {
        if (argc < 2) {
                fprintf(stderr, "usage: %s <destination>\n", argv[0]);
                return 1;
        }
        return run(argv[1], in_role);
}

static int run_out(int argc, char **argv) {
        return run(NULL, out_role);
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
