/* expose-pipeline, hide-pipeline */
#include "fly/api.h"
#include "fly/commands.h"

typedef struct {
        Globals globals;
        char *pipeline;
        char *team;
} VisibilityOptions;

#define TEAM                                                                                       \
        OPT_TEAM(VisibilityOptions, "Name of the team to which the pipeline belongs, if "          \
                                    "different from the target default")

static const Option expose_pipeline_options[] = {
        OPT(VisibilityOptions, pipeline, OPTION_STRING, 'p', "pipeline", "Pipeline to expose",
            .required = true),
        TEAM,
        OPT_END,
};

static const Option hide_pipeline_options[] = {
        OPT(VisibilityOptions, pipeline, OPTION_STRING, 'p', "pipeline", "Pipeline to hide",
            .required = true),
        TEAM,
        OPT_END,
};

static bool set_visibility(Fly *fly, const VisibilityOptions *options, const char *action,
                           const char *done, GError **error) {
        g_auto(PipelineRef) ref = { 0 };
        g_autoptr(GError) cause = NULL;

        if (!pipeline_ref_parse(options->pipeline, "-p, --pipeline", &ref, error) ||
            !fly_open(fly, options->team, error))
                return false;
        g_autofree char *path = path_pipeline(fly, &ref, action, NULL);
        g_autofree char *name = pipeline_ref_format(&ref);
        if (!api_put(fly, path, &cause))
                return fly_fail_missing(error, &cause, FLY_PLAIN, "pipeline '%s' not found\n",
                                        name);
        printf("%s '%s'\n", done, name);
        return true;
}

static bool expose_pipeline_run(Fly *fly, const void *options, const GPtrArray *arguments,
                                GError **error) {
        return set_visibility(fly, options, "/expose", "exposed", error);
}

static bool hide_pipeline_run(Fly *fly, const void *options, const GPtrArray *arguments,
                              GError **error) {
        return set_visibility(fly, options, "/hide", "hid", error);
}

const Command command_expose_pipeline = {
        .name = "expose-pipeline",
        .aliases = { "ep" },
        .summary = "Make a pipeline publicly viewable",
        .options = expose_pipeline_options,
        .size = sizeof(VisibilityOptions),
        .run = expose_pipeline_run,
};

const Command command_hide_pipeline = {
        .name = "hide-pipeline",
        .aliases = { "hp" },
        .summary = "Hide a pipeline from the public",
        .options = hide_pipeline_options,
        .size = sizeof(VisibilityOptions),
        .run = hide_pipeline_run,
};
