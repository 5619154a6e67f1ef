#include "checker/check_run.h"

#include "base/crypto.h"
#include "base/log.h"
#include "base/thread.h"
#include "plan/planner.h"

#include <string.h>

/* Events wait here until the check really runs: one that finds nothing to do leaves no trace. */
typedef struct {
        Store *store;
        const CheckCandidate *candidate;
        const Value *public_plan;
        const char *pipeline_name, *team_name;
        const Value *instance_vars;
        Mutex mutex;
        GPtrArray *waiting; /* Event */
        int64_t id;         /* 0: not begun */
} History;

static void free_event(void *event) {
        event_free(event);
}

static bool record(const Event *event, void *data, GError **error) {
        History *history = data;

        MUTEX_SCOPE(&history->mutex);
        if (history->id)
                return check_build_append(history->store, history->id, event, error);
        g_ptr_array_add(history->waiting, event_new(event->name, value_ref(event->data)));
        return true;
}

static bool begin(void *data, int64_t *ret_build_id, GError **error) {
        History *history = data;
        const CheckBuildSpec spec = { .resource_id = history->candidate->id,
                                      .pipeline_id = history->candidate->pipeline_id,
                                      .team_id = history->candidate->team_id,
                                      .resource_name = history->candidate->name,
                                      .pipeline_name = history->pipeline_name,
                                      .team_name = history->team_name,
                                      .instance_vars = history->instance_vars,
                                      .public_plan = history->public_plan };

        MUTEX_SCOPE(&history->mutex);
        if (!history->id && !check_build_begin(history->store, &spec, &history->id, error))
                return false;
        for (size_t i = 0; i < history->waiting->len; i++)
                if (!check_build_append(history->store, history->id,
                                        g_ptr_array_index(history->waiting, i), error))
                        return false;
        g_ptr_array_set_size(history->waiting, 0);
        *ret_build_id = history->id;
        return true;
}

/* A check that failed before it ran shows why: it gets its history now. */
static void end(History *history, BuildStatus status) {
        int64_t id = history->id;

        if (!id && status == BUILD_SUCCEEDED)
                return;
        if (begin(history, &id, NULL))
                check_build_finish(history->store, id, status, NULL);
}

Duration check_interval(const StepSettings *settings, const Value *resource_config) {
        const char *every = value_get_string(resource_config, "check_every", "");
        Duration interval;

        if (g_str_equal(every, "never"))
                return 0;
        if (*every && duration_parse(every, &interval, NULL) && interval > 0)
                return interval;
        return settings->checking_interval;
}

static Plan *make_plan(const CheckRun *check, const CheckCandidate *candidate,
                       const PipelineConfig *config, GError **error) {
        const ResourceConfig *resource = pipeline_config_resource(config, candidate->name);
        uint64_t counter = 0;

        if (!resource) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "resource '%s' deleted",
                            candidate->name);
                return NULL;
        }
        return planner_check(
                &(PlannerSpec){ .config = config,
                                .base_type_defaults = check->settings->base_type_defaults,
                                .checking_interval = check->settings->checking_interval,
                                .manually_triggered = check->skip_interval,
                                .counter = &counter },
                &(PlannerCheck){ .resource = resource,
                                 .from_version = candidate->pinned_version,
                                 .skip_interval = check->skip_interval,
                                 .skip_interval_recursively = check->skip_interval });
}

/* What keeps a check from being run at all stands in its history, as for a build. */
static Creds *open_creds(const PipelineConfig *config, const Pipeline *pipeline, const Plan *plan,
                         History *history, GError **error) {
        const CredsScope scope = { pipeline->team_name, pipeline->name };
        g_autoptr(GError) local = NULL;
        Creds *creds = creds_new(config->var_sources, &scope, &local);

        if (creds)
                return creds;
        g_autoptr(Event) event = event_error(plan->id, local->message, clock_now());
        record(event, history, NULL);
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
}

static bool run_step(const CheckRun *check, const CheckCandidate *candidate, const Plan *plan,
                     const Pipeline *pipeline, Creds *creds, History *history, bool *ret_succeeded,
                     GError **error) {
        g_autofree char *random = crypto_random_hex(8);
        g_autofree char *key = g_strdup_printf("%" G_GINT64_FORMAT "-%s", candidate->id, random);
        g_autoptr(Run) run = run_new(&(RunSpec){ .settings = check->settings,
                                                 .build_name = "check",
                                                 .team_id = candidate->team_id,
                                                 .team_name = pipeline->team_name,
                                                 .pipeline_id = candidate->pipeline_id,
                                                 .pipeline_name = pipeline->name,
                                                 .instance_vars = pipeline->instance_vars,
                                                 .created = clock_steady(),
                                                 .creds = creds,
                                                 .emit = record,
                                                 .check_key = key,
                                                 .data = history,
                                                 .begin_check = begin });
        g_autoptr(Scope) scope = scope_new(NULL);
        const StepCall call = { .run = run,
                                .scope = scope,
                                .plan = plan,
                                .cancel = check->cancel,
                                .shutdown = check->cancel };
        bool ran = step_check(&call, ret_succeeded, error);

        container_release_memory_check(check->settings->store, key, NULL);
        resource_cache_release_check(check->settings->store, key, NULL);
        return ran;
}

bool check_run(const CheckRun *check, bool *ret_succeeded, GError **error) {
        Store *store = check->settings->store;
        g_autoptr(CheckCandidate) candidate = check_candidate_get(store, check->resource_id, error);
        if (!candidate)
                return false;
        g_autoptr(Value) value = pipeline_config(store, candidate->pipeline_id, NULL, error);
        if (!value)
                return false;
        g_autoptr(Pipeline) pipeline = pipeline_get(store, candidate->pipeline_id, error);
        if (!pipeline)
                return false;
        g_autoptr(PipelineConfig)
                config = pipeline_config_from_value(value, PIPELINE_CONFIG_LENIENT, error);
        if (!config)
                return false;
        g_autoptr(Plan) plan = make_plan(check, candidate, config, error);
        if (!plan)
                return false;
        g_autoptr(Value) public = plan_to_public(plan);
        g_autoptr(GPtrArray) waiting = g_ptr_array_new_with_free_func(free_event);
        History history = { .store = store,
                            .candidate = candidate,
                            .public_plan = public,
                            .pipeline_name = pipeline->name,
                            .team_name = pipeline->team_name,
                            .instance_vars = pipeline->instance_vars,
                            .waiting = waiting };

        mutex_init(&history.mutex);
        g_autoptr(Creds) creds = open_creds(config, pipeline, plan, &history, error);
        bool ran = creds && run_step(check, candidate, plan, pipeline, creds, &history,
                                     ret_succeeded, error);
        if (!cancel_fired(check->cancel))
                end(&history, !ran             ? BUILD_ERRORED
                              : *ret_succeeded ? BUILD_SUCCEEDED
                                               : BUILD_FAILED);
        mutex_destroy(&history.mutex);
        return ran;
}
