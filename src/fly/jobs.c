/* jobs */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/shape.h"
#include "fly/table.h"

typedef struct {
        Globals globals;
        char *pipeline;
        bool json;
        char *team;
} JobsOptions;

static const Option jobs_options[] = {
        OPT(JobsOptions, pipeline, OPTION_STRING, 'p', "pipeline", "Get jobs in this pipeline",
            .required = true),
        OPT_JSON(JobsOptions),
        OPT_TEAM(JobsOptions, "Name of the team to which the pipeline belongs, if different from "
                              "the target default"),
        OPT_END,
};

static void status_cell(Table *table, const Value *build) {
        const char *status = value_get_string(build, "status", "");

        if (*status)
                table_cell(table, status, color_of_status(status));
        else
                table_cell_or(table, "", "n/a");
}

static bool jobs_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        static const char *const headers[] = { "name", "paused", "status", "next", NULL };
        const JobsOptions *options = data;
        g_auto(PipelineRef) ref = { 0 };
        g_autoptr(Table) table = table_new(headers);

        if (!pipeline_ref_parse(options->pipeline, "-p, --pipeline", &ref, error) ||
            !fly_open(fly, options->team, error))
                return false;
        g_autofree char *path = path_pipeline(fly, &ref, "/jobs", NULL);
        g_autoptr(Value) list = api_get(fly, path, error);
        if (!list)
                return false;
        if (options->json) {
                print_json_list(list, job_shape);
                return true;
        }
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *job = value_at(list, i);
                bool paused = value_get_bool(job, "paused", false);
                table_cell(table, value_get_string(job, "name", ""), COLOR_NONE);
                table_cell(table, paused ? "yes" : "no", paused ? COLOR_ON : COLOR_NONE);
                status_cell(table, value_get(job, "finished_build"));
                status_cell(table, value_get(job, "next_build"));
        }
        table_print(table, fly);
        return true;
}

const Command command_jobs = {
        .name = "jobs",
        .aliases = { "js" },
        .summary = "List the jobs in the pipelines",
        .options = jobs_options,
        .size = sizeof(JobsOptions),
        .run = jobs_run,
};
