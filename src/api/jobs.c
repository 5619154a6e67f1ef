#include "api/handlers.h"

#include "api/present.h"

static void answer_summaries(ApiCall *call, int64_t pipeline_id, const Visibility *visibility) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) jobs = job_summary_list(call->store, pipeline_id, visibility, &error);

        if (!jobs) {
                call_failed(call, error);
                return;
        }
        Value *list = value_list();
        for (size_t i = 0; i < jobs->len; i++)
                value_list_add(list, present_job_summary(g_ptr_array_index(jobs, i)));
        call_answer(call, 200, list);
}

void list_all_jobs(ApiCall *call) {
        const Visibility visibility = access_visibility(call->access, ROLE_VIEWER);

        answer_summaries(call, 0, &visibility);
}

void list_jobs(ApiCall *call) {
        answer_summaries(call, call->pipeline->id, NULL);
}

static Build *find_build(ApiCall *call, const JobBuild *build) {
        return build ? build_get(call->store, build->id, NULL) : NULL;
}

void get_job(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Job) job = call_job(call);
        if (!job)
                return;
        g_autoptr(JobSummary) summary = job_summary(call->store, job->id, &error);
        if (!summary) {
                call_failed(call, error);
                return;
        }
        g_autoptr(Build) next = find_build(call, summary->next),
                         finished = find_build(call, summary->finished);
        call_answer(call, 200, present_job(summary, next, finished, call_param(call, "team_name")));
}

static bool sees_comments(const ApiCall *call, const Job *job) {
        return job->public || call_sees_team(call, job->team_name);
}

void list_job_builds(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Job) job = call_job(call);
        PageLinks links = { 0 };

        if (!job)
                return;
        const BuildQuery query = { .job_id = job->id, .page = call_page(call) };
        g_autoptr(GPtrArray) builds = build_list(call->store, &query, &links, &error);
        if (!builds) {
                if (error_is(error, ERROR_INVALID))
                        call_empty(call, 404);
                else
                        call_failed(call, error);
                return;
        }
        call_links(call, &links, &query.page);
        Value *list = value_list();
        for (size_t i = 0; i < builds->len; i++)
                value_list_add(list, present_build(g_ptr_array_index(builds, i),
                                                   sees_comments(call, job)));
        call_answer(call, 200, list);
}

void get_job_build(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Job) job = call_job(call);
        if (!job)
                return;
        g_autoptr(Build)
                build = build_find(call->store, job->id, call_param(call, "build_name"), &error);
        if (build)
                call_answer(call, 200, present_build(build, sees_comments(call, job)));
        else
                call_failed(call, error);
}

static void make_build(ApiCall *call, const BuildForJob *spec) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Build) build = build_create_for_job(call->store, spec, &error);

        if (build)
                call_answer(call, 200, present_build(build, false));
        else
                call_failed(call, error);
}

/* Where upstream says the type of the answer before it knows that there is none. */
static void refuse(ApiCall *call, int status) {
        http_answer(call->request, status, "application/json", NULL, 0);
}

void create_job_build(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        if (!call_pipeline(call))
                return;
        g_autoptr(Job) job = job_find(call->store, call->pipeline->id, call_param(call, "job_name"),
                                      &error);

        if (error_is(error, ERROR_NOT_FOUND))
                refuse(call, 404);
        else if (!job)
                call_failed(call, error);
        else if (job->disable_manual_trigger)
                refuse(call, 409);
        else
                make_build(call, &(BuildForJob){ .job_id = job->id,
                                                 .manual = true,
                                                 .created_by = access_display_name(call->access) });
}

void rerun_job_build(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Job) job = call_job(call);
        if (!job)
                return;
        if (job->disable_reruns) {
                refuse(call, 409);
                return;
        }
        g_autoptr(Build)
                build = build_find(call->store, job->id, call_param(call, "build_name"), &error);
        if (!build) {
                call_failed(call, error);
                return;
        }
        make_build(call, &(BuildForJob){ .job_id = job->id,
                                         .rerun_of = build->id,
                                         .created_by = access_display_name(call->access) });
}

/* ---- inputs, for fly execute --inputs-from ---- */

static const Value *find_named(const Value *list, const char *name) {
        for (size_t i = 0; i < value_length(list); i++)
                if (g_str_equal(value_get_string(value_at(list, i), "name", ""), name))
                        return value_at(list, i);
        return NULL;
}

typedef struct {
        ApiCall *call;
        const Value *resources; /* of the config */
        GArray *steps;          /* of JobInput */
} Inputs;

static const JobInput *find_step(const Inputs *inputs, const char *name) {
        for (size_t i = 0; i < inputs->steps->len; i++) {
                const JobInput *step = &g_array_index(inputs->steps, JobInput, i);
                if (g_str_equal(step->name, name))
                        return step;
        }
        return NULL;
}

static Value *present_input(const Inputs *inputs, const NextInput *input) {
        g_autoptr(Resource) resource = resource_get(inputs->call->store, RESOURCE_KIND_RESOURCE,
                                                    input->resource_id, NULL);
        const Value *definition = resource ? find_named(inputs->resources, resource->name) : NULL;
        const JobInput *step = find_step(inputs, input->input_name);
        Value *map = value_map(), *tags = value_list();

        value_map_set_string(map, "name", input->input_name);
        value_map_set_string(map, "resource", resource ? resource->name : "");
        value_map_set_string(map, "type", value_get_string(definition, "type", ""));
        value_map_set(map, "source",
                      value_has(definition, "source") ? value_ref(value_get(definition, "source"))
                                                      : value_null());
        if (step && value_length(step->params) > 0)
                value_map_set(map, "params", value_ref(step->params));
        value_map_set(map, "version", value_sorted(input->version));
        for (size_t i = 0; step && step->tags && step->tags[i]; i++)
                value_list_add(tags, value_string(step->tags[i]));
        if (value_length(tags) > 0)
                value_map_set(map, "tags", tags);
        else
                value_free(tags);
        return map;
}

void list_job_inputs(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Job) job = call_job(call);
        bool determined;
        if (!job)
                return;
        g_autoptr(GPtrArray) inputs = input_mapping_get(call->store, job->id, &determined, &error);
        g_autoptr(Value)
                config = inputs ? pipeline_config(call->store, call->pipeline->id, NULL, &error)
                                : NULL;
        g_autoptr(PipelineConfig) parsed = config ? pipeline_config_from_value(
                                                            config, PIPELINE_CONFIG_LENIENT, &error)
                                                  : NULL;
        if (!parsed) {
                call_failed(call, error);
                return;
        }
        const JobConfig *defined = pipeline_config_job(parsed, job->name);
        if (!determined || !defined) {
                refuse(call, 404);
                return;
        }
        g_autoptr(GArray) steps = job_config_inputs(defined);
        const Inputs given = { call, value_get(config, "resources"), steps };
        Value *list = value_list();
        for (size_t i = 0; i < inputs->len; i++)
                value_list_add(list, present_input(&given, g_ptr_array_index(inputs, i)));
        call_answer(call, 200, list);
}

/* ---- changes ---- */

void pause_job(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Job) job = call_job(call);

        if (job)
                call_done(
                        call,
                        job_pause(call->store, job->id, access_display_name(call->access), &error),
                        error);
}

void unpause_job(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Job) job = call_job(call);

        if (job)
                call_done(call, job_unpause(call->store, job->id, &error), error);
}

void schedule_job(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Job) job = call_job(call);

        if (job)
                call_done(call, job_request_schedule(call->store, job->id, &error), error);
}

void clear_task_cache(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Job) job = call_job(call);
        int64_t deleted;

        if (!job)
                return;
        if (!task_cache_clear(call->store, job->id, call_param(call, "step_name"),
                              http_query(call->request, "cache_path"), &deleted, &error)) {
                call_failed(call, error);
                return;
        }
        Value *answer = value_map();
        value_map_set_int(answer, "caches_removed", deleted);
        call_answer(call, 200, answer);
}
