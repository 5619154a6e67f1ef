/* pause-pipeline, unpause-pipeline */
#include "fly/api.h"
#include "fly/commands.h"

typedef struct {
        Globals globals;
        char *pipeline;
        bool all;
        char *team;
} PauseOptions;

static const Option pause_pipeline_options[] = {
        OPT(PauseOptions, pipeline, OPTION_STRING, 'p', "pipeline", "Pipeline to pause"),
        OPT(PauseOptions, all, OPTION_FLAG, 'a', "all", "Pause all pipelines"),
        OPT_TEAM(PauseOptions, "Name of the team to which the pipeline belongs, if different from "
                               "the target default"),
        OPT_END,
};

static const Option unpause_pipeline_options[] = {
        OPT(PauseOptions, pipeline, OPTION_STRING, 'p', "pipeline", "Pipeline to unpause"),
        OPT(PauseOptions, all, OPTION_FLAG, 'a', "all", "Unpause all pipelines"),
        OPT_TEAM(PauseOptions, "Name of the team to which the pipeline belongs, if different from "
                               "the target default"),
        OPT_END,
};

static bool set_one(Fly *fly, const PipelineRef *ref, const char *action, const char *done,
                    GError **error) {
        g_autofree char *path = path_pipeline(fly, ref, action, NULL);
        g_autofree char *name = pipeline_ref_format(ref);
        g_autoptr(GError) cause = NULL;

        if (api_put(fly, path, &cause)) {
                printf("%s '%s'\n", done, name);
                return true;
        }
        if (fly_error_is(cause, FLY_NOT_FOUND))
                return fly_fail_plain(error, "pipeline '%s' not found\n", name);
        g_propagate_error(error, g_steal_pointer(&cause));
        return false;
}

static bool set_all(Fly *fly, const char *action, const char *done, GError **error) {
        g_autofree char *path = path_team(fly, "/pipelines");
        g_autoptr(Value) pipelines = api_get(fly, path, error);

        if (!pipelines)
                return false;
        for (size_t i = 0; i < value_length(pipelines); i++) {
                const Value *item = value_at(pipelines, i);
                const PipelineRef ref = { (char *) value_get_string(item, "name", ""),
                                          (Value *) value_get(item, "instance_vars") };
                if (!set_one(fly, &ref, action, done, error))
                        return false;
        }
        return true;
}

static bool run(Fly *fly, const PauseOptions *options, const char *action, const char *done,
                GError **error) {
        g_auto(PipelineRef) ref = { 0 };

        if (!options->pipeline && !options->all)
                return fly_fail_plain(error, "one of the flags '-p, --pipeline' or '-a, --all' is "
                                             "required");
        if (options->pipeline && options->all)
                return fly_fail_plain(error, "only one of the flags '-p, --pipeline' or '-a, "
                                             "--all' is allowed");
        if (options->pipeline &&
            !pipeline_ref_parse(options->pipeline, "-p, --pipeline", &ref, error))
                return false;
        return fly_open(fly, options->team, error) &&
               (options->all ? set_all(fly, action, done, error)
                             : set_one(fly, &ref, action, done, error));
}

static bool pause_pipeline_run(Fly *fly, const void *options, const GPtrArray *arguments,
                               GError **error) {
        return run(fly, options, "/pause", "paused", error);
}

static bool unpause_pipeline_run(Fly *fly, const void *options, const GPtrArray *arguments,
                                 GError **error) {
        return run(fly, options, "/unpause", "unpaused", error);
}

const Command command_pause_pipeline = {
        .name = "pause-pipeline",
        .aliases = { "pp" },
        .summary = "Pause a pipeline",
        .options = pause_pipeline_options,
        .size = sizeof(PauseOptions),
        .run = pause_pipeline_run,
};

const Command command_unpause_pipeline = {
        .name = "unpause-pipeline",
        .aliases = { "up" },
        .summary = "Un-pause a pipeline",
        .options = unpause_pipeline_options,
        .size = sizeof(PauseOptions),
        .run = unpause_pipeline_run,
};
