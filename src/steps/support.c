#include "steps/support.h"

#include "base/fault.h"
#include "base/json.h"
#include "http/url.h"

#include <string.h>

/* ---- how a step ends ---- */

static bool is_leaving(const StepCall *call, const GError *error) {
        return cancel_fired(call->shutdown) || error_is(error, ERROR_STALE);
}

/* So that another life of the server knows how it ended, and neither runs it nor says it again. */
static bool journal_error(const StepCall *call, const GError *why, GError **error) {
        g_autoptr(BuildStep) before = NULL;

        if (!step_journal_find(call, &before, error))
                return false;
        g_autoptr(Value) result = before && before->result ? value_copy(before->result)
                                                           : value_map();
        value_map_set_string(result, "error", why->message);
        value_map_set_int(result, "code", why->domain == ERROR ? why->code : ERROR_INTERNAL);
        fault_here("step-failed");
        return step_journal_save(call, BUILD_STEP_ERRORED, NULL, result, error);
}

bool step_journal_errored(const BuildStep *step, GError **error) {
        if (step->state != BUILD_STEP_ERRORED)
                return false;
        g_set_error(error, ERROR, (int) value_get_int(step->result, "code", ERROR_INTERNAL), "%s",
                    value_get_string(step->result, "error", ""));
        return true;
}

/* Here an error leaves the step: what comes of it outside, other events and the server's own log included, shows
 * no secrets. */
static void redact(const StepCall *call, GError *why) {
        char *clean = run_redact(call->run, why->message);

        g_free(why->message);
        why->message = clean;
}

bool step_guard(const StepCall *call, StepFn body, bool *ret_succeeded, GError **error) {
        g_autoptr(GError) why = NULL;
        bool succeeded = false;

        if (body(call, &succeeded, &why)) {
                *ret_succeeded = succeeded;
                return true;
        }
        redact(call, why);
        if (!is_leaving(call, why) && (!run_emit_error(call->run, call->plan->id, why, error) ||
                                       !journal_error(call, why, error)))
                return false;
        if (error_is(why, ERROR_TIMEOUT) && !is_leaving(call, why)) {
                *ret_succeeded = false;
                return true;
        }
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
}

bool step_say(const StepCall *call, const StepText *text, GError **error, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_autofree char *plain = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_autofree char *clean = run_redact(call->run, plain);
        return run_emit_once(
                call->run, call->plan->id, text->mark,
                event_log(call->plan->id, text->source, clean, strlen(clean), clock_now()), error);
}

bool step_warn_of_secrets(const StepCall *call, const Value *version, const Value *metadata,
                          GError **error) {
        const struct {
                const char *name;
                const Value *value;
        } shown[] = { { "version", version }, { "metadata", metadata } };

        for (size_t i = 0; i < G_N_ELEMENTS(shown); i++) {
                g_autofree char *mark = g_strdup_printf("secret %s", shown[i].name);
                g_autoptr(Value) clean = run_redact_value(call->run, shown[i].value);
                if (shown[i].value && !value_equal(clean, shown[i].value) &&
                    !step_say(call, &(StepText){ mark, "stderr" }, error,
                              "\033[1;33mWARNING: the %s holds a secret; it is stored and shown in "
                              "clear\033[0m\n",
                              shown[i].name))
                        return false;
        }
        return true;
}

/* ---- the clock ---- */

void step_clock_init(StepClock *clock, const StepCall *call, const StepTimeout *timeout) {
        Duration after = timeout->otherwise;

        *clock = (StepClock){ 0 };
        if (timeout->text && *timeout->text && !duration_parse(timeout->text, &after, NULL))
                clock->unreadable = timeout->text;
        if (after > 0 && timeout->before)
                after = MAX(after - timeout->before->age, 1);
        clock->after = after;
        clock->cancel = cancel_new(call->cancel);
}

static void ring(void *data) {
        cancel_fire(data, CANCEL_DEADLINE);
}

bool step_clock_start(StepClock *clock, GError **error) {
        if (clock->unreadable) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "parse timeout: time: invalid duration \"%s\"", clock->unreadable);
                return false;
        }
        if (clock->alarm || clock->after <= 0)
                return true;
        clock->alarm = cancel_new_deadline(NULL, clock->after);
        clock->watch = cancel_watch(clock->alarm, ring, clock->cancel);
        return true;
}

void step_clock_clear(StepClock *clock) {
        if (clock->alarm)
                cancel_unwatch(clock->alarm, clock->watch);
        cancel_free(clock->alarm);
        cancel_free(clock->cancel);
        *clock = (StepClock){ 0 };
}

/* ---- the container ---- */

ContainerOwner step_owner(const StepCall *call) {
        const RunSpec *spec = run_spec(call->run);

        if (!spec->build_id)
                return (ContainerOwner){ .kind = CONTAINER_OWNER_MEMORY_CHECK,
                                         .check_key = spec->check_key,
                                         .plan_id = call->plan->id,
                                         .team_id = spec->team_id };
        return (ContainerOwner){ .kind = CONTAINER_OWNER_BUILD_STEP,
                                 .build_id = spec->build_id,
                                 .plan_id = call->plan->id,
                                 .team_id = spec->team_id };
}

ContainerMetadata step_metadata(const StepCall *call, const char *type, const char *name,
                                const char *working_directory) {
        const RunSpec *spec = run_spec(call->run);

        return (ContainerMetadata){
                .type = type,
                .step_name = name,
                .attempt = call->attempt,
                .working_directory = working_directory,
                .pipeline_id = spec->pipeline_id,
                .pipeline_name = spec->pipeline_name,
                .instance_vars = spec->instance_vars,
                .job_id = spec->job_id,
                .job_name = spec->job_name,
                .build_id = spec->build_id,
                .build_name = spec->build_name,
        };
}

static void add_text(GPtrArray *env, const char *name, const char *value) {
        if (value && *value)
                g_ptr_array_add(env, g_strdup_printf("%s=%s", name, value));
}

static void add_id(GPtrArray *env, const char *name, int64_t id) {
        if (id)
                g_ptr_array_add(env, g_strdup_printf("%s=%" G_GINT64_FORMAT, name, id));
}

static void add_urls(GPtrArray *env, const RunSpec *spec) {
        const char *external = spec->settings->external_url;

        add_text(env, "ATC_EXTERNAL_URL", external);
        if (!external || !spec->build_id)
                return;
        g_autofree char *brief = g_strdup_printf("%s/builds/%" G_GINT64_FORMAT, external,
                                                 spec->build_id);
        if (spec->job_name) {
                g_autofree char *vars = url_instance_vars(spec->instance_vars);
                g_autofree char *url = g_strdup_printf(
                        "%s/teams/%s/pipelines/%s/jobs/%s/builds/%s%s%s", external, spec->team_name,
                        spec->pipeline_name, spec->job_name, spec->build_name, *vars ? "?" : "",
                        vars);
                add_text(env, "BUILD_URL", url);
        } else
                add_text(env, "BUILD_URL", brief);
        add_text(env, "BUILD_URL_SHORT", brief);
}

char **step_resource_environment(const StepCall *call, bool creator) {
        const RunSpec *spec = run_spec(call->run);
        GPtrArray *env = g_ptr_array_new();

        add_text(env, "BUILD_STATUS", call->build_status);
        add_id(env, "BUILD_ID", spec->build_id);
        add_text(env, "BUILD_NAME", spec->build_name);
        add_id(env, "BUILD_TEAM_ID", spec->team_id);
        add_text(env, "BUILD_TEAM_NAME", spec->team_name);
        add_id(env, "BUILD_JOB_ID", spec->job_id);
        add_text(env, "BUILD_JOB_NAME", spec->job_name);
        add_id(env, "BUILD_PIPELINE_ID", spec->pipeline_id);
        add_text(env, "BUILD_PIPELINE_NAME", spec->pipeline_name);
        if (spec->instance_vars) {
                g_autofree char *vars = json_write(spec->instance_vars, JSON_SORTED, NULL);
                add_text(env, "BUILD_PIPELINE_INSTANCE_VARS", vars);
        }
        add_urls(env, spec);
        if (creator)
                add_text(env, "BUILD_CREATED_BY", spec->created_by);
        g_ptr_array_add(env, NULL);
        return (char **) g_ptr_array_free(env, FALSE);
}

/* The pool says these on the step's thread; an event that cannot be stored stops the step at its next one. */
static void say_waiting(bool no_room, void *data) {
        static const char text[] =
                "no worker has room on its disk for a container: waiting until one has\n";
        StepWatch *watch = data;
        const char *id = watch->call->plan->id;

        if (!watch->silent && no_room)
                run_emit_once(watch->call->run, id, "waiting for room",
                              event_log(id, "stderr", text, strlen(text), clock_now()), NULL);
        if (!watch->silent)
                run_emit_once(watch->call->run, watch->call->plan->id, "waiting",
                              event_waiting_for_worker(watch->call->plan->id, clock_now()), NULL);
}

/* What the chosen worker lacks, once. */
static void say_full(const char *worker, const char *reason, void *data) {
        StepWatch *watch = data;
        const char *id = watch->call->plan->id;
        g_autofree char *text = g_strdup_printf("worker %s is full (%s): waiting for a place\n",
                                                worker, reason);

        if (!watch->silent)
                run_emit_once(watch->call->run, id, "waiting for a place",
                              event_log(id, "stderr", text, strlen(text), clock_now()), NULL);
}

static bool say_selected(const char *worker, void *data, GError **error) {
        StepWatch *watch = data;
        g_autofree char *mark = g_strconcat("selected ", worker, NULL);

        if (!watch->silent)
                run_emit_once(watch->call->run, watch->call->plan->id, mark,
                              event_selected_worker(watch->call->plan->id, worker, clock_now()),
                              NULL);
        return !watch->clock || step_clock_start(watch->clock, error);
}

static void say_streaming(const char *volume, const char *from, const char *to, void *data) {
        StepWatch *watch = data;

        if (!watch->silent)
                run_emit(watch->call->run,
                         event_streaming_volume(watch->call->plan->id, volume, from, to,
                                                clock_now()),
                         NULL);
}

PoolWatch step_watch(StepWatch *watch) {
        return (PoolWatch){ .waiting = say_waiting,
                            .full = say_full,
                            .selected = say_selected,
                            .streaming = say_streaming,
                            .data = watch };
}

/* ---- the journal ---- */

/* In each result: names of the credentials that were in use when it was written. */
#define CREDENTIALS "credentials"

bool step_journal_find(const StepCall *call, BuildStep **ret, GError **error) {
        const RunSpec *spec = run_spec(call->run);
        g_autoptr(GError) local = NULL;

        *ret = NULL;
        if (!spec->build_id)
                return true;
        *ret = build_step_find(spec->settings->store, spec->build_id, call->plan->id,
                               call->attempt ? call->attempt : "", &local);
        if (*ret)
                run_recall_credentials(call->run, value_get((*ret)->result, CREDENTIALS));
        if (!local)
                return true;
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

/* NULL: as it stands in the journal. Returns new. */
static Value *with_credentials(const StepCall *call, const Value *result) {
        g_autoptr(Value) names = run_credentials(call->run);

        if (!names)
                return result ? value_ref(result) : NULL;
        Value *whole = result ? value_copy(result) : value_map();
        value_map_set(whole, CREDENTIALS, g_steal_pointer(&names));
        return whole;
}

bool step_journal_save(const StepCall *call, BuildStepState state, const PoolContainer *container,
                       const Value *result, GError **error) {
        const RunSpec *spec = run_spec(call->run);

        if (!spec->build_id)
                return true;
        if (spec->log && !build_log_flush(spec->log, error))
                return false;
        g_autoptr(Value) whole = with_credentials(call, result);
        return build_step_save(
                spec->settings->store, &spec->lease,
                &(BuildStep){
                        .build_id = spec->build_id,
                        .plan_id = call->plan->id,
                        .attempt = (char *) (call->attempt ? call->attempt : ""),
                        .state = state,
                        .worker = container ? (char *) pool_container_worker(container) : NULL,
                        .handle = container ? (char *) pool_container_handle(container) : NULL,
                        .schema = BUILD_STEP_SCHEMA,
                        .result = whole,
                },
                error);
}

typedef struct {
        const GPtrArray *steps;
        bool found;
} Search;

static void look_for_plan(const Plan *plan, void *data) {
        Search *search = data;

        for (guint i = 0; !search->found && i < search->steps->len; i++)
                search->found = g_str_equal(((BuildStep *) search->steps->pdata[i])->plan_id,
                                            plan->id);
}

bool step_journal_has(const StepCall *call, const Plan *plan) {
        const RunSpec *spec = run_spec(call->run);

        if (spec->lease.epoch < 2) /* nobody had it before us: what has begun is on its way */
                return false;
        g_autoptr(GPtrArray) steps = build_step_list(spec->settings->store, spec->build_id, NULL);
        Search search = { .steps = steps };
        if (steps)
                plan_each(plan, look_for_plan, &search);
        return search.found;
}

bool step_finish(const StepCall *call, bool succeeded, const Value *result, GError **error) {
        fault_here("step-finished");
        if (!step_journal_save(call, succeeded ? BUILD_STEP_SUCCEEDED : BUILD_STEP_FAILED, NULL,
                               result, error))
                return false;
        fault_here("journal-over");
        return true;
}

bool step_journal_is_over(const BuildStep *step) {
        return step && step->state >= BUILD_STEP_SUCCEEDED;
}
