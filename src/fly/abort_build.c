/* abort-build */
#include "fly/api.h"
#include "fly/commands.h"
#include "http/url.h"

typedef struct {
        Globals globals;
        char *job, *build, *team;
        bool force;
} AbortOptions;

static const Option abort_build_options[] = {
        OPT(AbortOptions, job, OPTION_STRING, 'j', "job", "Name of a job to cancel",
            .value_name = "PIPELINE/JOB"),
        OPT(AbortOptions, build, OPTION_STRING, 'b', "build",
            "If job is specified: build number to cancel. If job not specified: build id",
            .required = true),
        OPT_TEAM(AbortOptions, "Name of the team to which the pipeline belongs, if different from "
                               "the target default"),
        OPT(AbortOptions, force, OPTION_FLAG, 0, "force",
            "WARNING: Only use as a last resort! Try regular aborting first and wait 1min. Marks "
            "the build as aborted immediately and does not wait for the build's containers to "
            "stop."),
        OPT_END,
};

static bool abort_build_run(Fly *fly, const void *data, const GPtrArray *arguments,
                            GError **error) {
        const AbortOptions *options = data;
        g_auto(ItemRef) job = { 0 };
        g_autoptr(GError) cause = NULL;

        if ((options->job && !item_ref_parse(options->job, ITEM_JOB, "-j, --job", &job, error)) ||
            !fly_open(fly, options->team, error))
                return false;
        g_autofree char *segment = url_encode_path(options->build);
        g_autofree char *tail = g_strconcat("/builds/", segment, NULL);
        g_autofree char *path = options->job ? path_item(fly, "jobs", &job, tail, NULL)
                                             : g_strconcat("/api/v1", tail, NULL);
        g_autoptr(Value) build = api_get(fly, path, &cause);
        if (!build && fly_error_is(cause, FLY_NOT_FOUND))
                return fly_fail(error, "build does not exist");
        if (!build && options->job)
                return fly_fail(error, "failed to get build: %s", cause->message);
        if (!build) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        g_autofree char *abort = g_strdup_printf("/api/v1/builds/%" G_GINT64_FORMAT "/abort%s",
                                                 value_get_int(build, "id", 0),
                                                 options->force ? "?force=" : "");
        if (!api_put(fly, abort, error))
                return false;
        puts(options->force ? "build forcefully aborted" : "build successfully aborted");
        return true;
}

const Command command_abort_build = {
        .name = "abort-build",
        .aliases = { "ab" },
        .summary = "Abort a build",
        .options = abort_build_options,
        .size = sizeof(AbortOptions),
        .run = abort_build_run,
};
