/* get-pipeline, checklist: what a pipeline is configured as (reference 02 §10.3) */
#include "fly/api.h"
#include "fly/commands.h"

#include "base/json.h"
#include "base/yaml.h"
#include "config/pipeline.h"

#include <string.h>

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

/* ---- checklist ---- */

typedef struct {
        Globals globals;
        char *pipeline;
        char *team;
} ChecklistOptions;

static const Option checklist_options[] = {
        OPT(ChecklistOptions, pipeline, OPTION_STRING, 'p', "pipeline",
            "The pipeline from which to generate the Checkfile", .required = true),
        OPT_TEAM(ChecklistOptions, "Name of the team to which the pipeline belongs, if different "
                                   "from the target default"),
        OPT_END,
};

static void print_checks(const Fly *fly, const char *group, const char *pipeline,
                         const GPtrArray *jobs) {
        printf("#- %s\n", group);
        for (size_t i = 0; i < jobs->len; i++) {
                const char *job = jobs->pdata[i];
                printf("%s: concourse.check %s %s %s %s\n", job, fly->target->api, fly->team,
                       pipeline, job);
        }
        putchar('\n');
}

static int compare_texts(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* The jobs that no group names, in order. Returns new array of borrowed names. */
static GPtrArray *ungrouped(const PipelineConfig *config) {
        g_autoptr(GHashTable) grouped = g_hash_table_new(g_str_hash, g_str_equal);
        GPtrArray *names = g_ptr_array_new();

        for (size_t i = 0; i < config->groups->len; i++) {
                const GroupConfig *group = config->groups->pdata[i];
                for (size_t j = 0; group->jobs && group->jobs[j]; j++)
                        g_hash_table_add(grouped, group->jobs[j]);
        }
        for (size_t i = 0; i < config->jobs->len; i++) {
                const JobConfig *job = config->jobs->pdata[i];
                if (!g_hash_table_contains(grouped, job->name))
                        g_ptr_array_add(names, job->name);
        }
        g_ptr_array_sort(names, compare_texts);
        return names;
}

/* Groups as they are written: a pattern in one stands for no job here. */
static bool checklist_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const ChecklistOptions *options = data;
        const GetOptions get = { .pipeline = options->pipeline, .team = options->team };
        g_auto(PipelineRef) ref = { 0 };
        g_autoptr(PipelineConfig) config = get_config(fly, &get, &ref, error);

        if (!config)
                return false;
        g_autofree char *name = pipeline_ref_format(&ref);
        for (size_t i = 0; i < config->groups->len; i++) {
                const GroupConfig *group = config->groups->pdata[i];
                g_autoptr(GPtrArray) jobs = g_ptr_array_new();
                for (size_t j = 0; group->jobs && group->jobs[j]; j++)
                        g_ptr_array_add(jobs, group->jobs[j]);
                print_checks(fly, group->name, name, jobs);
        }
        g_autoptr(GPtrArray) rest = ungrouped(config);
        if (rest->len > 0)
                print_checks(fly, config->groups->len > 0 ? "misc" : name, name, rest);
        return true;
}

const Command command_checklist = {
        .name = "checklist",
        .aliases = { "cl" },
        .summary = "Print a Checkfile of the given pipeline",
        .options = checklist_options,
        .size = sizeof(ChecklistOptions),
        .run = checklist_run,
};
