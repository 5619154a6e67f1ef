/* get-pipeline, checklist: what a pipeline is configured as (reference 02 §10.3) */
#include "fly/api.h"
#include "fly/commands.h"

#include "base/json.h"
#include "base/yaml.h"
#include "config/pipeline.h"

typedef struct {
        Globals globals;
        char *pipeline;
        bool json;
        char *team;
} GetOptions;

static const Option get_pipeline_options[] = {
        OPT(GetOptions, pipeline, OPTION_STRING, 'p', "pipeline",
            "Get configuration of this pipeline", .required = true),
        OPT(GetOptions, json, OPTION_FLAG, 'j', "json", "Print config as json instead of yaml"),
        OPT_TEAM(GetOptions, "Name of the team to which the pipeline belongs, if different from "
                             "the target default"),
        OPT_END,
};

static PipelineConfig *get_config(Fly *fly, const GetOptions *options, PipelineRef *ref,
                                  GError **error) {
        g_autoptr(GError) cause = NULL;

        if (!pipeline_ref_parse(options->pipeline, "-p, --pipeline", ref, error) ||
            !fly_open(fly, options->team, error))
                return NULL;
        g_autofree char *path = path_pipeline(fly, ref, "/config", NULL);
        g_autoptr(Value) body = api_get(fly, path, &cause);
        if (body)
                return pipeline_config_from_value(value_get(body, "config"),
                                                  PIPELINE_CONFIG_LENIENT, error);
        if (fly_error_is(cause, FLY_NOT_FOUND))
                fly_fail(error, "pipeline not found");
        else
                g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
}

static bool get_pipeline_run(Fly *fly, const void *data, const GPtrArray *arguments,
                             GError **error) {
        const GetOptions *options = data;
        g_auto(PipelineRef) ref = { 0 };
        g_autoptr(PipelineConfig) config = get_config(fly, options, &ref, error);

        if (!config)
                return false;
        g_autoptr(Value) value = pipeline_config_to_value(config);
        g_autofree char *text = options->json ? json_write(value, 0, NULL)
                                              : yaml_write(value, error);
        if (!text)
                return false;
        fputs(text, stdout);
        return true;
}

const Command command_get_pipeline = {
        .name = "get-pipeline",
        .aliases = { "gp" },
        .summary = "Get a pipeline's current configuration",
        .options = get_pipeline_options,
        .size = sizeof(GetOptions),
        .run = get_pipeline_run,
};
