/* trigger-job, rerun-build: start a build and, with -w, follow it. */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/detach.h"
#include "http/url.h"

typedef struct {
        Globals globals;
        char *job;
        bool watch;
        char *team;
} TriggerOptions;

static const Option trigger_job_options[] = {
        OPT(TriggerOptions, job, OPTION_STRING, 'j', "job", "Name of a job to trigger",
            .required = true, .value_name = "PIPELINE/JOB"),
        OPT(TriggerOptions, watch, OPTION_FLAG, 'w', "watch", "Start watching the build output"),
        OPT_TEAM(TriggerOptions, "Name of the team to which the job belongs, if different from "
                                 "the target default"),
        OPT_END,
};

static bool trigger_job_run(Fly *fly, const void *data, const GPtrArray *arguments,
                            GError **error) {
        const TriggerOptions *options = data;
        g_auto(ItemRef) job = { 0 };

        if (!item_ref_parse(options->job, ITEM_JOB, "-j, --job", &job, error) ||
            !fly_open(fly, options->team, error))
                return false;
        g_autofree char *path = path_item(fly, "jobs", &job, "/builds", NULL);
        g_autoptr(Value) build = api_send(fly, "POST", path, NULL, error);
        return build && started_build(fly, &job, build, options->watch, error);
}

const Command command_trigger_job = {
        .name = "trigger-job",
        .aliases = { "tj" },
        .summary = "Start a job in a pipeline",
        .options = trigger_job_options,
        .size = sizeof(TriggerOptions),
        .run = trigger_job_run,
};

/* ---- rerun-build ---- */

typedef struct {
        Globals globals;
        char *job, *build;
        bool watch;
} RerunOptions;

static const Option rerun_build_options[] = {
        OPT(RerunOptions, job, OPTION_STRING, 'j', "job",
            "Name of the job that you want to rerun a build for", .required = true,
            .value_name = "PIPELINE/JOB"),
        OPT(RerunOptions, build, OPTION_STRING, 'b', "build", "The number of the build to rerun",
            .required = true),
        OPT(RerunOptions, watch, OPTION_FLAG, 'w', "watch",
            "Start watching the rerun build output"),
        OPT_END,
};

static bool rerun_build_run(Fly *fly, const void *data, const GPtrArray *arguments,
                            GError **error) {
        const RerunOptions *options = data;
        g_auto(ItemRef) job = { 0 };

        if (!item_ref_parse(options->job, ITEM_JOB, "-j, --job", &job, error) ||
            !fly_open(fly, NULL, error))
                return false;
        g_autofree char *number = url_encode_path(options->build);
        g_autofree char *tail = g_strconcat("/builds/", number, NULL);
        g_autofree char *path = path_item(fly, "jobs", &job, tail, NULL);
        g_autoptr(Value) build = api_send(fly, "POST", path, NULL, error);
        return build && started_build(fly, &job, build, options->watch, error);
}

const Command command_rerun_build = {
        .name = "rerun-build",
        .aliases = { "rb" },
        .summary = "Rerun a build",
        .options = rerun_build_options,
        .size = sizeof(RerunOptions),
        .run = rerun_build_run,
};
