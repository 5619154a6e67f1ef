#include "api/handlers.h"

#include "api/present.h"
#include "plan/plan.h"

/* ---- lists ---- */

static void answer_list(ApiCall *call, const BuildQuery *query, int bad_range) {
        g_autoptr(GError) error = NULL;
        PageLinks links = { 0 };
        g_autoptr(GPtrArray) builds = build_list(call->store, query, &links, &error);

        if (!builds) {
                if (error_is(error, ERROR_INVALID))
                        call_empty(call, bad_range);
                else
                        call_failed(call, error);
                return;
        }
        call_links(call, &links, &query->page);
        call_answer(call, 200, present_builds(builds));
}

void list_builds(ApiCall *call) {
        const Visibility visibility = access_visibility(call->access, ROLE_VIEWER);

        answer_list(call, &(BuildQuery){ .visibility = &visibility, .page = call_page(call) }, 500);
}

void list_team_builds(ApiCall *call) {
        if (call_team(call))
                answer_list(call,
                            &(BuildQuery){ .team_id = call->team->id, .page = call_page(call) },
                            404);
}

void list_pipeline_builds(ApiCall *call) {
        if (call_pipeline(call))
                answer_list(
                        call,
                        &(BuildQuery){ .pipeline_id = call->pipeline->id, .page = call_page(call) },
                        404);
}

/* ---- one build ---- */

static bool sees_comment(const ApiCall *call, const Build *build) {
        return build->job_public || access_allows_id(call->access, build->team_id, ROLE_VIEWER);
}

void get_build(ApiCall *call) {
        call_answer(call, 200, present_build(call->build, sees_comment(call, call->build)));
}

void get_build_plan(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        Value *plan = build_public_plan(call->store, call->build->id, &error);

        if (plan)
                call_answer(call, 200, plan);
        else
                call_failed(call, error);
}

static Value *present_versions(const ApiCall *call, const GPtrArray *versions, bool inputs) {
        Value *list = value_list();

        for (size_t i = 0; i < versions->len; i++) {
                const BuildVersion *version = g_ptr_array_index(versions, i);
                Value *map = value_map();
                value_map_set_string(map, "name", version->name);
                value_map_set(map, "version",
                              version->version ? value_sorted(version->version) : value_null());
                if (inputs) {
                        value_map_set_int(map, "pipeline_id", call->build->pipeline_id);
                        value_map_set_bool(map, "first_occurrence", version->first_occurrence);
                }
                value_list_add(list, map);
        }
        return list;
}

void get_build_resources(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) inputs = NULL, outputs = NULL;

        if (call->build->memory ||
            !build_versions(call->store, call->build->id, true, &inputs, &outputs, &error)) {
                call_empty(call, 500);
                return;
        }
        Value *answer = value_map();
        value_map_set(answer, "inputs", present_versions(call, inputs, true));
        value_map_set(answer, "outputs", present_versions(call, outputs, false));
        call_answer(call, 200, answer);
}

/* ---- preparation (reference 05 §3.7) ---- */

static const char *blocking(bool blocks) {
        return blocks ? "blocking" : "not_blocking";
}

static const char *manual_reason(ApiCall *call, int64_t resource_id) {
        g_autoptr(Resource)
                resource = resource_get(call->store, RESOURCE_KIND_RESOURCE, resource_id, NULL);
        g_auto(ScopeCheck) check = { 0 };

        if (resource && resource->scope_id && !resource->pinned_version &&
            scope_check_get(call->store, resource->scope_id, &check, NULL) &&
            check.last_end < call->build->created)
                return "checking for latest available versions";
        return NULL;
}

static const NextInput *find_next(const GPtrArray *next, const char *name, bool *ret_errors) {
        const NextInput *found = NULL;

        *ret_errors = false;
        for (size_t i = 0; next && i < next->len; i++) {
                const NextInput *input = g_ptr_array_index(next, i);
                *ret_errors = *ret_errors || input->resolve_error;
                if (g_str_equal(input->input_name, name))
                        found = input;
        }
        return found;
}

static void prepare_inputs(ApiCall *call, Value *inputs, Value *reasons) {
        g_autoptr(JobSummary) summary = job_summary(call->store, call->build->job_id, NULL);
        g_autoptr(GPtrArray) next = input_mapping_get(call->store, call->build->job_id, NULL, NULL);

        for (size_t i = 0; summary && i < summary->inputs->len; i++) {
                const JobSummaryInput *input = g_ptr_array_index(summary->inputs, i);
                bool errors;
                const NextInput *found = find_next(next, input->name, &errors);
                const char *reason = NULL;
                if (!found && errors)
                        continue;
                if (!found)
                        reason = "input is not included in resolved candidates";
                else if (found->resolve_error)
                        reason = found->resolve_error;
                else if (call->build->manual && !input->passed)
                        reason = manual_reason(call, found->resource_id);
                value_map_set_string(inputs, input->name, blocking(reason != NULL));
                if (reason)
                        value_map_set_string(reasons, input->name, reason);
        }
}

static bool any_blocks(const Value *inputs) {
        for (size_t i = 0; i < value_length(inputs); i++)
                if (g_str_equal(value_text(value_at(inputs, i)), "blocking"))
                        return true;
        return false;
}

/* Ours. Upstream's shape has no place for it but the reasons; no input can have this name. */
static bool prepare_room(ApiCall *call, const Job *job, Value *reasons) {
        g_autofree char *no_room = NULL;

        if (!job || !room_for_build(call->store, job->team_id, &no_room, NULL) || !no_room)
                return false;
        value_map_set_string(reasons, "room on a disk", no_room);
        return true;
}

void get_build_preparation(ApiCall *call) {
        const Build *build = call->build;
        bool pending = build->status == BUILD_PENDING && build->job_id && !build->memory;
        Value *answer = value_map(), *inputs = value_map(), *reasons = value_map();

        if (build->memory) {
                call_empty(call, 500);
                value_free(inputs);
                value_free(reasons);
                value_free(answer);
                return;
        }
        g_autoptr(Job) job = pending ? job_get(call->store, build->job_id, NULL) : NULL;
        if (pending)
                prepare_inputs(call, inputs, reasons);
        bool no_room = prepare_room(call, job, reasons);
        value_map_set_int(answer, "build_id", build->id);
        value_map_set_string(answer, "paused_pipeline", blocking(job && job->pipeline_paused));
        value_map_set_string(answer, "paused_job", blocking(job && job->paused));
        value_map_set_string(answer, "max_running_builds",
                             blocking(job && job->max_in_flight_reached));
        value_map_set(answer, "inputs", value_sorted(inputs));
        value_map_set_string(answer, "inputs_satisfied", blocking(no_room || any_blocks(inputs)));
        value_map_set(answer, "missing_input_reasons", value_sorted(reasons));
        value_free(inputs);
        value_free(reasons);
        call_answer(call, 200, answer);
}

void list_build_artifacts(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) artifacts = worker_artifact_list(call->store, call->build->id, &error);
        Value *list;

        if (!artifacts) {
                call_failed(call, error);
                return;
        }
        list = value_list();
        for (size_t i = 0; i < artifacts->len; i++)
                value_list_add(list, present_artifact(g_ptr_array_index(artifacts, i)));
        call_answer(call, 200, list);
}

/* ---- changes ---- */

static void create(ApiCall *call, int64_t team_id, int64_t pipeline_id) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) body = call_json(call);
        if (!body)
                return;
        g_autoptr(Plan) plan = plan_from_value(body, &error);
        if (!plan) {
                call_empty(call, 400);
                return;
        }
        g_autoptr(Value) private = plan_to_value(plan), public = plan_to_public(plan);
        const BuildStarted spec = { .team_id = team_id,
                                    .pipeline_id = pipeline_id,
                                    .plan = private,
                                    .public_plan = public };
        g_autoptr(Build) build = build_create_started(call->store, &spec, false, &error);
        if (build)
                call_answer(call, 201, present_build(build, false));
        else
                call_failed(call, error);
}

void create_build(ApiCall *call) {
        if (call_team(call))
                create(call, call->team->id, 0);
}

void create_pipeline_build(ApiCall *call) {
        if (call_pipeline(call))
                create(call, call->team->id, call->pipeline->id);
}

void abort_build(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (call->build->memory)
                call_empty(call, 500);
        else if (build_abort(call->store, call->build->id,
                             http_query(call->request, "force") != NULL, &error))
                call_empty(call, 204);
        else
                call_failed(call, error);
}

void set_build_comment(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;
        g_autoptr(Value) body = NULL;
        size_t length, used;

        /* The type is said before the body is read. */
        text = http_body(call->request, 0, &length, &error);
        body = text ? json_parse_first(text, length, NULL, &used, NULL) : NULL;
        if (!body) {
                http_answer(call->request, error_is(error, ERROR_LIMIT) ? 413 : 400,
                            "application/json", NULL, 0);
                return;
        }
        if (build_set_comment(call->store, call->build->id, value_get_string(body, "comment", ""),
                              &error))
                http_answer(call->request, 200, "application/json", NULL, 0);
        else
                call_failed(call, error);
}
