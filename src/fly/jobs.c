/* jobs, paused-jobs */
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

static Value *get_jobs(Fly *fly, const JobsOptions *options, GError **error) {
        g_auto(PipelineRef) ref = { 0 };

        if (!pipeline_ref_parse(options->pipeline, "-p, --pipeline", &ref, error) ||
            !fly_open(fly, options->team, error))
                return NULL;
        g_autofree char *path = path_pipeline(fly, &ref, "/jobs", NULL);
        return api_get(fly, path, error);
}

static bool jobs_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        static const char *const headers[] = { "name", "paused", "status", "next", NULL };
        const JobsOptions *options = data;
        g_autoptr(Table) table = table_new(headers);
        g_autoptr(Value) list = get_jobs(fly, options, error);

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

/* ---- paused-jobs ---- */

static void paused_row(Table *table, const Value *job) {
        const char *by = value_get_string(job, "paused_by", "");
        int64_t at = value_get_int(job, "paused_at", 0);
        g_autofree char *time = at ? time_text(at) : g_strdup("n/a");

        table_cell(table, value_get_string(job, "name", ""), COLOR_NONE);
        table_cell(table, "yes", COLOR_NONE);
        table_cell(table, *by ? by : "n/a", COLOR_NONE);
        table_cell(table, time, COLOR_NONE);
}

static bool paused_jobs_run(Fly *fly, const void *data, const GPtrArray *arguments,
                            GError **error) {
        static const char *const headers[] = { "name", "paused", "paused_by", "paused_at", NULL };
        const JobsOptions *options = data;
        g_autoptr(Value) shown = value_list(), list = get_jobs(fly, options, error);

        if (!list)
                return false;
        for (size_t i = 0; i < value_length(list); i++)
                if (value_get_bool(value_at(list, i), "paused", false))
                        value_list_add(shown, value_ref(value_at(list, i)));
        if (options->json) {
                print_json_list(shown, job_shape);
                return true;
        }
        g_autoptr(Table) table = table_new(headers);
        for (size_t i = 0; i < value_length(shown); i++)
                paused_row(table, value_at(shown, i));
        table_print(table, fly);
        return true;
}

const Command command_paused_jobs = {
        .name = "paused-jobs",
        .aliases = { "pjs" },
        .summary = "List the paused jobs in the pipelines",
        .options = jobs_options,
        .size = sizeof(JobsOptions),
        .run = paused_jobs_run,
};
