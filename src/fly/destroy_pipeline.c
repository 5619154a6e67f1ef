/* destroy-pipeline */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/prompt.h"

typedef struct {
        Globals globals;
        char *pipeline;
        bool non_interactive;
        char *team;
} DestroyOptions;

static const Option destroy_pipeline_options[] = {
        OPT(DestroyOptions, pipeline, OPTION_STRING, 'p', "pipeline", "Pipeline to destroy",
            .required = true),
        OPT(DestroyOptions, non_interactive, OPTION_FLAG, 'n', "non-interactive",
            "Destroy the pipeline without confirmation"),
        OPT_TEAM(DestroyOptions, "Name of the team to which the pipeline belongs, if different "
                                 "from the target default"),
        OPT_END,
};

/* One that is not there is destroyed already. *ret_missing: so it is. */
static bool request(Fly *fly, const char *method, const char *path, bool *ret_missing,
                    GError **error) {
        g_autoptr(GError) cause = NULL;

        if (api_call(fly, &(ApiCall){ .method = method, .path = path }, NULL, &cause))
                return true;
        if (fly_error_is(cause, FLY_NOT_FOUND))
                return *ret_missing = true;
        g_propagate_error(error, g_steal_pointer(&cause));
        return false;
}

static bool destroy_pipeline_run(Fly *fly, const void *data, const GPtrArray *arguments,
                                 GError **error) {
        const DestroyOptions *options = data;
        g_auto(PipelineRef) ref = { 0 };
        bool missing = false;

        if (!pipeline_ref_parse(options->pipeline, "-p, --pipeline", &ref, error) ||
            !fly_open(fly, options->team, error))
                return false;
        g_autofree char *path = path_pipeline(fly, &ref, "", NULL);
        g_autofree char *name = pipeline_ref_format(&ref);
        if (!request(fly, "GET", path, &missing, error))
                return false;
        if (missing) {
                printf("`%s` does not exist\n", name);
                return true;
        }
        printf("!!! this will remove all data for pipeline `%s`\n\n", name);
        if (!options->non_interactive && !prompt_confirm("are you sure?")) {
                puts("bailing out");
                return true;
        }
        if (!request(fly, "DELETE", path, &missing, error))
                return false;
        printf(missing ? "`%s` does not exist\n" : "`%s` deleted\n", name);
        return true;
}

const Command command_destroy_pipeline = {
        .name = "destroy-pipeline",
        .aliases = { "dp" },
        .summary = "Destroy a pipeline",
        .options = destroy_pipeline_options,
        .size = sizeof(DestroyOptions),
        .run = destroy_pipeline_run,
};
