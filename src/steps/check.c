/* Asks a resource for its versions, unless the answer is known and fresh (reference 04 §4.4, 05 §2.5). */
#include "base/fault.h"
#include "pool/key_lock.h"
#include "steps/image.h"
#include "steps/script.h"
#include "steps/support.h"

#define WORKING_DIRECTORY "/tmp/build/check"
/* A check's container is used again until its session ends: 05 §2.5. */
#define SESSION_MIN (5 * DURATION_MINUTE)
#define SESSION_MAX DURATION_HOUR

typedef struct {
        const StepCall *call;
        const CheckPlan *plan;
        StepClock *clock;
        StepImage image;
        Value *source;
        int64_t config_id, scope_id;
        int64_t resource_id; /* of a resource check; 0: nested */
} Check;

static void check_clear(Check *check) {
        step_image_clear(&check->image);
        value_free(check->source);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Check, check_clear)

static Store *store_of(const Check *check) {
        return run_settings(check->call->run)->store;
}

/* ---- config and scope ---- */

/* Whose history it is: a resource's own, or that of a type or image. */
static bool find_owner(const Check *check, ResourceKind *ret_kind, int64_t *ret_id,
                       GError **error) {
        const RunSpec *spec = run_spec(check->call->run);
        const struct {
                const char *name;
                ResourceKind kind;
        } named[] = { { check->plan->resource, RESOURCE_KIND_RESOURCE },
                      { check->plan->resource_type, RESOURCE_KIND_TYPE },
                      { check->plan->prototype, RESOURCE_KIND_PROTOTYPE } };

        *ret_id = 0;
        for (size_t i = 0; i < G_N_ELEMENTS(named); i++) {
                if (!named[i].name || !*named[i].name || !spec->pipeline_id)
                        continue;
                g_autoptr(GError) local = NULL;
                g_autoptr(Resource) found = resource_find(spec->settings->store, named[i].kind,
                                                          spec->pipeline_id, named[i].name, &local);
                if (error_is(local, ERROR_NOT_FOUND) && named[i].kind == RESOURCE_KIND_RESOURCE) {
                        g_set_error(error, ERROR, ERROR_NOT_FOUND,
                                    "create resource config scope: resource '%s' deleted",
                                    named[i].name);
                        return false;
                }
                if (!found && !error_is(local, ERROR_NOT_FOUND)) {
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                *ret_kind = named[i].kind;
                *ret_id = found ? found->id : 0;
                return true;
        }
        return true;
}

static bool find_scope(Check *check, GError **error) {
        ResourceKind kind = RESOURCE_KIND_RESOURCE;
        int64_t id;

        if (!step_image_config(check->call, &check->image, check->source, &check->config_id,
                               error)) {
                g_prefix_error(error, "create resource config: ");
                return false;
        }
        if (!find_owner(check, &kind, &id, error))
                return false;
        check->resource_id = kind == RESOURCE_KIND_RESOURCE ? id : 0;
        if (!resource_scope_find_or_create(store_of(check), check->config_id, check->resource_id,
                                           run_settings(check->call->run)->global_resources,
                                           &check->scope_id, error)) {
                g_prefix_error(error, "create resource config scope: ");
                return false;
        }
        if (id && !resource_set_scope(store_of(check), kind, id, check->config_id, check->scope_id,
                                      error)) {
                g_prefix_error(error, "update resource config scope: ");
                return false;
        }
        return true;
}

static bool prepare(Check *check, GError **error) {
        const StepCall *call = check->call;

        check->source = run_interpolate(call->run, call->scope, check->plan->source, VARS_FLOATS,
                                        error);
        if (!check->source) {
                g_prefix_error(error, "resource config creds evaluation: ");
                return false;
        }
        return step_image_fetch(call, &check->plan->image, &check->image, error) &&
               find_scope(check, error);
}

/* ---- whether to run ---- */

static Duration interval(const Check *check) {
        const StepSettings *settings = run_settings(check->call->run);

        if (check->plan->interval.interval > 0)
                return check->plan->interval.interval;
        return check->resource_id ? settings->checking_interval : settings->type_checking_interval;
}

/* What lies further ahead than an interval was noted before the clock was set back. */
static bool is_past(const Check *check, Time next) {
        Time now = clock_steady();

        return now >= next || next - now > interval(check) / 1000 + 1000000;
}

static bool is_due(const Check *check, const ScopeCheck *last) {
        const RunSpec *spec = run_spec(check->call->run);
        bool skip_interval = check->plan->skip_interval;

        if (check->resource_id) {
                if (!skip_interval)
                        return is_past(check, last->next);
                return check->plan->from_version || !last->last_succeeded ||
                       last->last_start < spec->created;
        }
        if (!last->last_succeeded)
                return true;
        if (last->last_end > spec->created)
                return false;
        return is_past(check, last->next) || skip_interval;
}

/* ---- running ---- */

static Duration session_period(const Check *check) {
        g_autoptr(GPtrArray) workers = worker_list(store_of(check), NULL);
        int64_t newest = 0;

        for (size_t i = 0; workers && i < workers->len; i++)
                newest = MAX(newest, ((Worker *) g_ptr_array_index(workers, i))->start);
        Duration age = (time_seconds(clock_steady()) - newest) * DURATION_SECOND;
        return CLAMP(age, SESSION_MIN, SESSION_MAX);
}

static PoolContainer *make_container(const Check *check, GError **error) {
        const StepCall *call = check->call;
        StepWatch events = { .call = call, .clock = check->clock };
        const PoolWatch watch = step_watch(&events);
        g_auto(GStrv) env = step_resource_environment(call, false);
        ContainerOwner owner = step_owner(call);

        if (check->resource_id)
                owner = (ContainerOwner){ .kind = CONTAINER_OWNER_CHECK_SESSION,
                                          .team_id = run_spec(call->run)->team_id,
                                          .resource_config_id = check->config_id,
                                          .base_type = check->image.base_type,
                                          .session_period = session_period(check) };
        const ContainerNeed need = {
                .owner = owner,
                .epoch = check->resource_id ? 0 : run_spec(call->run)->lease.epoch,
                .metadata = step_metadata(call, "check", check->plan->name, WORKING_DIRECTORY),
                .need = { .resource_type = check->image.base_type,
                          .tags = check->plan->tags,
                          .team_id = run_spec(call->run)->team_id,
                          .check = check->resource_id != 0,
                          .no_input = check->resource_id == 0 },
                .base_type = check->image.image ? NULL : check->image.base_type,
                .image = check->image.image,
                .privileged = check->image.privileged,
                .env = (const char *const *) env,
                .certificates = true,
        };
        return pool_container(run_settings(call->run)->pool, &need, &watch, check->clock->cancel,
                              error);
}

static bool run_script(const Check *check, const Value *from, ScriptResult *ret, GError **error) {
        const StepCall *call = check->call;
        g_autoptr(PoolContainer) container = make_container(check, error);

        if (!container || !run_emit_once(call->run, call->plan->id, "start",
                                         event_start(call->plan->id, clock_now()), error))
                return false;
        const Script script = { .container = container,
                                .path = "/opt/resource/check",
                                .source = check->source,
                                .version = from };
        return script_run(call, &script, check->clock->cancel, ret, error);
}

/* The newest version known before. *ret NULL: none. */
static bool latest(const Check *check, Value **ret, GError **error) {
        g_autoptr(GError) local = NULL;
        g_autoptr(Version) version = version_latest(store_of(check), check->scope_id, &local);

        *ret = version ? value_ref(version->version) : NULL;
        if (!local)
                return true;
        g_propagate_prefixed_error(error, g_steal_pointer(&local), "get latest version: ");
        return false;
}

static bool note_start(const Check *check, GError **error) {
        const RunSpec *spec = run_spec(check->call->run);
        g_autoptr(Value) public = plan_to_public(check->call->plan);
        int64_t build_id = check->resource_id ? spec->build_id : 0;

        if (check->resource_id && spec->begin_check &&
            !spec->begin_check(spec->data, &build_id, error))
                return false;
        if (scope_check_started(store_of(check), check->scope_id, build_id, public, clock_steady(),
                                error))
                return true;
        g_prefix_error(error, "update check start time: ");
        return false;
}

static bool note_end(const Check *check, bool succeeded, GError **error) {
        Time now = clock_steady();

        if (scope_check_ended(store_of(check), check->scope_id, succeeded, now,
                              now + interval(check) / 1000, error))
                return true;
        g_prefix_error(error, "update check end time: ");
        return false;
}

/* *ret_versions NULL: the script failed. */
static bool ask(const Check *check, Value **ret_versions, GError **error) {
        g_autoptr(Value) from = value_ref(check->plan->from_version);
        g_auto(ScriptResult) result = { 0 };
        g_autoptr(Value) versions = NULL;

        *ret_versions = NULL;
        if ((!from && !latest(check, &from, error)) || !note_start(check, error))
                return false;
        bool ran = run_script(check, from, &result, error);
        if (ran && result.status == 0)
                versions = script_versions(&result, error);
        if (!ran || (result.status == 0 && !versions)) {
                note_end(check, false, NULL);
                if (error && *error && !error_is(*error, ERROR_TIMEOUT) &&
                    !error_is(*error, ERROR_CANCELLED))
                        g_prefix_error(error, "run check: ");
                return false;
        }
        *ret_versions = g_steal_pointer(&versions);
        return true;
}

static bool run_due(const Check *check, bool *ret_succeeded, GError **error) {
        const StepCall *call = check->call;
        g_autoptr(Value) versions = NULL;
        g_autoptr(Version) newest = NULL;

        if (!ask(check, &versions, error))
                return false;
        if (versions &&
            !version_save_all(store_of(check), check->scope_id, versions, NULL, &newest, error)) {
                g_prefix_error(error, "save versions: ");
                note_end(check, false, NULL);
                return false;
        }
        fault_here("versions-saved");
        if (newest)
                run_put_result(call->run, call->plan->id, newest->version);
        if (!note_end(check, versions != NULL, error))
                return false;
        *ret_succeeded = versions != NULL;
        return true;
}

/* Runs it, or answers with what is known. */
static bool settle(const Check *check, bool *ret_succeeded, GError **error) {
        g_auto(ScopeCheck) last = { 0 };
        g_autoptr(Value) known = NULL;

        if (!scope_check_get(store_of(check), check->scope_id, &last, error))
                return false;
        if (is_due(check, &last))
                return run_due(check, ret_succeeded, error);
        if (!latest(check, &known, error))
                return false;
        if (known)
                run_put_result(check->call->run, check->call->plan->id, known);
        *ret_succeeded = true;
        return true;
}

/* Checks of one resource config share a container and its files: one at a time, and who waited looks again whether
 * there is still a need (reference 05 §2.5). */
static bool settle_locked(const Check *check, bool *ret_succeeded, GError **error) {
        g_autofree char *key = g_strdup_printf("check %" G_GINT64_FORMAT, check->config_id);

        if (!check->resource_id)
                return settle(check, ret_succeeded, error);
        if (!key_lock_take(key, check->clock->cancel, error))
                return false;
        bool settled = settle(check, ret_succeeded, error);
        key_lock_release(key);
        return settled;
}

static bool run_check(const StepCall *call, bool *ret_succeeded, GError **error) {
        const char *id = call->plan->id;
        g_auto(StepClock) clock = { 0 };
        g_auto(Check) check = { .call = call, .plan = call->plan->check, .clock = &clock };

        const StepTimeout timeout = { check.plan->timeout, run_settings(call->run)->check_timeout,
                                      NULL };
        step_clock_init(&clock, call, &timeout);
        if (!run_emit_once(call->run, id, "initialize",
                           event_initialize_check(id, check.plan->name, clock_now()), error) ||
            !prepare(&check, error) || !settle_locked(&check, ret_succeeded, error))
                return false;
        return run_emit_once(call->run, id, "finish", event_finish(id, *ret_succeeded, clock_now()),
                             error);
}

bool step_check(const StepCall *call, bool *ret_succeeded, GError **error) {
        return step_guard(call, run_check, ret_succeeded, error);
}
