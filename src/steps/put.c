/* Pushes to a resource, at most once (reference 04 §4.2; design G4). */
#include "base/fault.h"
#include "steps/image.h"
#include "steps/put_inputs.h"
#include "steps/script.h"
#include "steps/support.h"

#define WORKING_DIRECTORY "/tmp/build/put"

typedef struct {
        const StepCall *call;
        const PutPlan *plan;
        StepClock *clock;
        bool resumed; /* another life of the server may have begun the script */
        StepImage image;
        Value *source, *params;
        GPtrArray *names;     /* of inputs */
        GPtrArray *artifacts; /* parallel */
        GPtrArray *paths;     /* parallel */
} Put;

static void put_clear(Put *put) {
        step_image_clear(&put->image);
        value_free(put->source);
        value_free(put->params);
        g_clear_pointer(&put->names, g_ptr_array_unref);
        g_clear_pointer(&put->artifacts, g_ptr_array_unref);
        g_clear_pointer(&put->paths, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Put, put_clear)

static void free_artifact(void *artifact) {
        artifact_free(artifact);
}

static bool find_inputs(Put *put, GError **error) {
        Scope *scope = put->call->scope;

        put->names = put_input_names(put->plan->inputs, put->plan->params, scope, error);
        if (!put->names)
                return false;
        put->artifacts = g_ptr_array_new_with_free_func(free_artifact);
        put->paths = g_ptr_array_new_with_free_func(g_free);
        for (size_t i = 0; i < put->names->len; i++) {
                const char *name = g_ptr_array_index(put->names, i);
                g_ptr_array_add(put->artifacts, scope_artifact(scope, name));
                g_ptr_array_add(put->paths, g_strdup_printf(WORKING_DIRECTORY "/%s", name));
        }
        return true;
}

static bool prepare(Put *put, GError **error) {
        const StepCall *call = put->call;

        put->source = run_interpolate(call->run, call->scope, put->plan->source, VARS_FLOATS,
                                      error);
        if (!put->source)
                return false;
        if (put->plan->params) {
                put->params = run_interpolate(call->run, call->scope, put->plan->params,
                                              VARS_FLOATS, error);
                if (!put->params)
                        return false;
        }
        return find_inputs(put, error) &&
               step_image_fetch(call, &put->plan->image, &put->image, error);
}

static PoolContainer *make_container(const Put *put, GError **error) {
        const StepCall *call = put->call;
        StepWatch events = { .call = call, .clock = put->clock, .silent = put->resumed };
        const PoolWatch watch = step_watch(&events);
        g_auto(GStrv) env = step_resource_environment(call, put->plan->expose_build_created_by);
        g_autofree ContainerInput *inputs = g_new0(ContainerInput, put->names->len);

        for (size_t i = 0; i < put->names->len; i++)
                inputs[i] = (ContainerInput){ .artifact = g_ptr_array_index(put->artifacts, i),
                                              .path = g_ptr_array_index(put->paths, i) };
        const ContainerNeed need = {
                .owner = step_owner(call),
                .epoch = run_spec(call->run)->lease.epoch,
                .metadata = step_metadata(call, "put", put->plan->name, WORKING_DIRECTORY),
                .need = { .resource_type = put->image.base_type,
                          .tags = put->plan->tags,
                          .team_id = run_spec(call->run)->team_id },
                .base_type = put->image.image ? NULL : put->image.base_type,
                .image = put->image.image,
                .privileged = put->image.privileged,
                .env = (const char *const *) env,
                .working_directory = WORKING_DIRECTORY,
                .inputs = inputs,
                .input_count = put->names->len,
                .certificates = true,
        };
        return pool_container(run_settings(call->run)->pool, &need, &watch, put->clock->cancel,
                              error);
}

/* The version becomes part of the resource's history and an output of the build. */
static bool save_output(const Put *put, const ScriptResult *result, GError **error) {
        const RunSpec *spec = run_spec(put->call->run);
        Store *store = spec->settings->store;
        int64_t config_id, scope_id;

        if (value_length(result->version) == 0) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "resource output version is empty. Version must contain at least one "
                            "key-value pair");
                return false;
        }
        g_autoptr(Resource) resource = resource_find(store, RESOURCE_KIND_RESOURCE,
                                                     spec->pipeline_id, put->plan->resource, NULL);
        if (!resource) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "resource %s not found in pipeline %s",
                            put->plan->resource, spec->pipeline_name ? spec->pipeline_name : "");
                return false;
        }
        return step_image_config(put->call, &put->image, put->source, &config_id, error) &&
               resource_scope_find_or_create(store, config_id, resource->id,
                                             spec->settings->global_resources, &scope_id, error) &&
               build_save_output(store,
                                 &(BuildOutput){ .id = spec->build_id,
                                                 .epoch = spec->lease.epoch,
                                                 .name = put->plan->name,
                                                 .resource_id = resource->id,
                                                 .config_id = config_id,
                                                 .scope_id = scope_id,
                                                 .version = result->version,
                                                 .metadata = result->metadata },
                                 error);
}

static bool finish(const Put *put, const ScriptResult *result, bool *ret_succeeded,
                   GError **error) {
        const StepCall *call = put->call;
        bool succeeded = result->status == 0;
        g_autoptr(Value) journal = value_map();

        if (succeeded && *put->plan->resource && !save_output(put, result, error))
                return false;
        fault_here("output-saved");
        value_map_set_int(journal, "status", result->status);
        if (succeeded) {
                run_put_result(call->run, call->plan->id, result->version);
                value_map_set(journal, "version", value_ref(result->version));
        }
        if (succeeded && !step_warn_of_secrets(call, result->version, result->metadata, error))
                return false;
        if (!run_emit_once(call->run, call->plan->id, "finish",
                           event_finish_put(call->plan->id, result->status,
                                            succeeded ? result->version : NULL,
                                            succeeded ? result->metadata : NULL, clock_now()),
                           error) ||
            !step_finish(call, succeeded, journal, error))
                return false;
        *ret_succeeded = succeeded;
        return true;
}

/* What a script did that we lost sight of nobody can tell; it must not be done twice. reason: why, or NULL. */
static bool lost_sight(const Put *put, const GError *reason, GError **error) {
        g_set_error(error, ERROR, ERROR_UNAVAILABLE,
                    "put '%s' was under way when its container was lost: its effect is unknown, it "
                    "is not repeated%s%s",
                    put->plan->name, reason ? ": " : "", reason ? reason->message : "");
        return false;
}

static bool run_script(const Put *put, PoolContainer *container, ScriptResult *ret,
                       GError **error) {
        const StepCall *call = put->call;
        g_autoptr(GError) local = NULL;
        bool lost = false;

        if (put->resumed && pool_container_created(container))
                return lost_sight(put, NULL, error);
        if (!put->resumed) {
                if (!run_emit_once(call->run, call->plan->id, "start",
                                   event_start_put(call->plan->id, clock_now()), error))
                        return false;
                fault_here("step-started");
                if (!step_journal_save(call, BUILD_STEP_RUNNING, container, NULL, error))
                        return false;
                fault_here("journal-running");
        }
        const Script script = { .container = container,
                                .path = "/opt/resource/out",
                                .directory = WORKING_DIRECTORY,
                                .source = put->source,
                                .params = put->params,
                                .keep_result = true,
                                .once = true,
                                .attach_only = put->resumed,
                                .ret_lost = &lost };
        if (script_run(call, &script, put->clock->cancel, ret, &local))
                return true;
        if (lost || error_is(local, ERROR_NOT_FOUND))
                return lost_sight(put, lost ? local : NULL, error);
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

static bool replay(const StepCall *call, const BuildStep *step, bool *ret_succeeded,
                   GError **error) {
        if (step_journal_errored(step, error))
                return false;
        *ret_succeeded = step->state == BUILD_STEP_SUCCEEDED;
        if (*ret_succeeded)
                run_put_result(call->run, call->plan->id, value_get(step->result, "version"));
        return true;
}

static bool run_put(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_autoptr(BuildStep) before = NULL;
        g_auto(StepClock) clock = { 0 };
        g_auto(Put) put = { .call = call, .plan = call->plan->put, .clock = &clock };
        g_auto(ScriptResult) result = { 0 };

        if (!step_journal_find(call, &before, error))
                return false;
        if (step_journal_is_over(before))
                return replay(call, before, ret_succeeded, error);
        put.resumed = before != NULL;
        if (!run_emit_once(call->run, call->plan->id, "initialize",
                           event_initialize_put(call->plan->id, clock_now()), error))
                return false;
        fault_here("step-initialized");
        const StepTimeout timeout = { put.plan->timeout, run_settings(call->run)->put_timeout,
                                      before };
        step_clock_init(&clock, call, &timeout);
        if (!prepare(&put, error))
                return false;
        g_autoptr(PoolContainer) container = make_container(&put, error);
        return container && run_script(&put, container, &result, error) &&
               finish(&put, &result, ret_succeeded, error);
}

bool step_put(const StepCall *call, bool *ret_succeeded, GError **error) {
        return step_guard(call, run_put, ret_succeeded, error);
}
