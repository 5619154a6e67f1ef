/* hijack: a process in a build's or a check's container (reference 02 §14). */
#include "fly/hijack.h"

#include "fly/address.h"
#include "fly/commands.h"
#include "fly/terminal.h"

#include <signal.h>
#include <unistd.h>

static const Option hijack_options[] = {
        OPT(HijackOptions, job, OPTION_STRING, 'j', "job", "Name of a job to hijack",
            .value_name = "PIPELINE/JOB"),
        OPT(HijackOptions, handle, OPTION_STRING, 0, "handle", "Handle id of a job to hijack"),
        OPT(HijackOptions, check, OPTION_STRING, 'c', "check",
            "Name of a resource's checking container to hijack", .value_name = "PIPELINE/CHECK"),
        OPT(HijackOptions, url, OPTION_STRING, 'u', "url",
            "URL for the build, job, or check container to hijack"),
        OPT(HijackOptions, build, OPTION_STRING, 'b', "build",
            "Build number within the job, or global build ID"),
        OPT(HijackOptions, step, OPTION_STRING, 's', "step",
            "Name of step to hijack (e.g. build, unit, resource name)"),
        OPT(HijackOptions, step_type, OPTION_STRING, 0, "step-type",
            "Type of step to hijack (e.g. get, put, task)"),
        OPT(HijackOptions, attempt, OPTION_STRING, 'a', "attempt",
            "Attempt number of step to hijack.", .value_name = "N[,N,...]"),
        OPT_TEAM(HijackOptions, "Name of the team to which the container belongs, if different "
                                "from the target default"),
        OPT_END,
};

static const char *const hijack_arguments[] = {
        "command:", "The command to run in the container (default: bash)", NULL
};

/* With only an address, the target is the one of that server and team. */
static bool find_target(Fly *fly, const char *url, GError **error) {
        g_auto(Address) address = { 0 };
        g_autoptr(Targets) targets = targets_load(error);

        if (!targets || !address_parse(url, &address, error))
                return false;
        for (guint i = 0; i < targets->list->len; i++) {
                const Target *target = g_ptr_array_index(targets->list, i);
                if (g_str_equal(target->api, address.server) &&
                    g_strcmp0(target->team, address.team) == 0) {
                        fly->target_name = g_intern_string(target->name);
                        return true;
                }
        }
        return fly_fail(error, "no target matching url");
}

static void fill_spec(const Value *container, const GPtrArray *words, GardenProcessSpec *ret) {
        const char *term = g_getenv("TERM");

        garden_process_spec_init(ret);
        ret->path = g_strdup(words->len > 0 ? g_ptr_array_index(words, 0) : "bash");
        for (guint i = 1; i < words->len; i++)
                g_ptr_array_add(ret->args, g_strdup(g_ptr_array_index(words, i)));
        g_ptr_array_add(ret->env, g_strconcat("TERM=", term ? term : "", NULL));
        ret->user = g_strdup(value_get_string(container, "user", ""));
        ret->directory = g_strdup(value_get_string(container, "working_directory", ""));
        ret->tty = terminal_size(STDOUT_FILENO, &ret->window);
}

/* Some shell: bash where there is one. */
static bool run_shell(Fly *fly, const char *handle, GardenProcessSpec *spec, HijackTyped *typed,
                      HijackEnd *end, GError **error) {
        if (!hijack_session(fly, handle, spec, typed, end, error))
                return false;
        if (!end->no_executable)
                return true;
        hijack_end_clear(end);
        g_free(spec->path);
        spec->path = g_strdup("sh");
        fputs("\rCouldn't find \"bash\" on container, retrying with \"sh\"\n\r", stderr);
        return hijack_session(fly, handle, spec, typed, end, error);
}

static bool run_in(Fly *fly, const Value *container, const GPtrArray *words, GError **error) {
        const char *handle = value_get_string(container, "id", "");
        g_auto(GardenProcessSpec) spec = { 0 };
        g_auto(HijackEnd) end = { 0 };
        HijackTyped typed = { .bytes = g_byte_array_new() };

        fill_spec(container, words, &spec);
        fflush(stdout);
        signal(SIGPIPE, SIG_IGN); /* of the connection; our own output looks for itself */
        terminal_raw();
        bool ran = words->len > 0 ? hijack_session(fly, handle, &spec, &typed, &end, error)
                                  : run_shell(fly, handle, &spec, &typed, &end, error);
        terminal_restore();
        if (typed.bytes)
                g_byte_array_unref(typed.bytes);
        /* Upstream's fly says nothing here and exits with 0, which helps nobody. */
        if (ran && end.no_executable)
                hijack_say_failure(end.failure ? end.failure : "executable file not found");
        if (ran)
                fly->status = end.no_executable ? 255 : end.status;
        return ran;
}

static bool hijack_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const HijackOptions *options = data;
        g_autoptr(Value) container = NULL;

        if (!fly->target_name && options->url && !find_target(fly, options->url, error))
                return false;
        if (!fly_open(fly, options->team, error) ||
            !hijack_find_container(fly, options, &container, error))
                return false;
        return !container || run_in(fly, container, arguments, error);
}

const Command command_hijack = {
        .name = "hijack",
        .aliases = { "intercept", "i" },
        .summary = "Execute a command in a container",
        .options = hijack_options,
        .size = sizeof(HijackOptions),
        .usage = "[command...]",
        .arguments = hijack_arguments,
        .run = hijack_run,
};
