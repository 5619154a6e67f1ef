/* rename-pipeline */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/template.h"

#include <string.h>

typedef struct {
        Globals globals;
        char *old_name, *new_name;
        char *team;
} RenameOptions;

static const Option rename_pipeline_options[] = {
        OPT(RenameOptions, old_name, OPTION_STRING, 'o', "old-name",
            "Existing pipeline or instance group to rename", .required = true),
        OPT(RenameOptions, new_name, OPTION_STRING, 'n', "new-name",
            "New name for the pipeline or instance group", .required = true),
        OPT_TEAM(RenameOptions, "Name of the team to which the pipeline belongs, if different "
                                "from the target default"),
        OPT_END,
};

static bool rename_pipeline_run(Fly *fly, const void *data, const GPtrArray *arguments,
                                GError **error) {
        const RenameOptions *options = data;
        const PipelineRef ref = { options->old_name, NULL };
        g_autoptr(GError) cause = NULL;
        g_autoptr(Value) body = value_map();

        if (strchr(options->old_name, '/'))
                return fly_fail(error, "old pipeline name cannot contain '/'");
        if (strchr(options->new_name, '/'))
                return fly_fail(error, "new pipeline name cannot contain '/'");
        if (!fly_open(fly, options->team, error))
                return false;
        g_autofree char *path = path_pipeline(fly, &ref, "/rename", NULL);
        value_map_set_string(body, "name", options->new_name);
        g_autoptr(Value) answer = api_send(fly, "PUT", path, body, &cause);
        if (!answer)
                return fly_fail_missing(error, &cause, FLY_PLAIN, "pipeline '%s' not found\n",
                                        options->old_name);
        show_warnings_of_value(fly, value_get(answer, "warnings"));
        printf("pipeline successfully renamed to '%s'\n", options->new_name);
        return true;
}

const Command command_rename_pipeline = {
        .name = "rename-pipeline",
        .aliases = { "rp" },
        .summary = "Rename a pipeline",
        .options = rename_pipeline_options,
        .size = sizeof(RenameOptions),
        .run = rename_pipeline_run,
};
