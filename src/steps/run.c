#include "steps/run.h"

#include "base/thread.h"

struct Run {
        gatomicrefcount references;
        RunSpec spec; /* with text of our own */
        Redactor *redactor;
        Mutex mutex;
        GHashTable *results; /* plan id → Value */
};

static void free_value(void *value) {
        value_free(value);
}

Run *run_new(const RunSpec *spec) {
        Run *run = g_new0(Run, 1);

        g_atomic_ref_count_init(&run->references);
        run->spec = *spec;
        run->spec.build_name = g_strdup(spec->build_name);
        run->spec.team_name = g_strdup(spec->team_name);
        run->spec.pipeline_name = g_strdup(spec->pipeline_name);
        run->spec.job_name = g_strdup(spec->job_name);
        run->spec.created_by = g_strdup(spec->created_by);
        run->spec.check_key = g_strdup(spec->check_key);
        run->spec.instance_vars = value_ref(spec->instance_vars);
        run->redactor = redactor_new();
        mutex_init(&run->mutex);
        run->results = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_value);
        return run;
}

Run *run_ref(Run *run) {
        g_atomic_ref_count_inc(&run->references);
        return run;
}

void run_free(Run *run) {
        if (!run || !g_atomic_ref_count_dec(&run->references))
                return;
        g_free((char *) run->spec.build_name);
        g_free((char *) run->spec.team_name);
        g_free((char *) run->spec.pipeline_name);
        g_free((char *) run->spec.job_name);
        g_free((char *) run->spec.created_by);
        g_free((char *) run->spec.check_key);
        value_free((Value *) run->spec.instance_vars);
        redactor_free(run->redactor);
        g_hash_table_unref(run->results);
        mutex_destroy(&run->mutex);
        g_free(run);
}

const RunSpec *run_spec(const Run *run) {
        return &run->spec;
}

const StepSettings *run_settings(const Run *run) {
        return run->spec.settings;
}

void run_put_result(Run *run, const char *plan_id, const Value *version) {
        MUTEX_SCOPE(&run->mutex);
        g_hash_table_replace(run->results, g_strdup(plan_id), value_ref(version));
}

Value *run_result(Run *run, const char *plan_id) {
        MUTEX_SCOPE(&run->mutex);
        return value_ref(g_hash_table_lookup(run->results, plan_id));
}

Redactor *run_redactor(Run *run) {
        return run->redactor;
}

void run_track_secret(Run *run, const Value *value) {
        if (run->spec.settings->redact_secrets)
                redactor_track(run->redactor, value);
}

char *run_redact(Run *run, const char *text) {
        if (!run->spec.settings->redact_secrets)
                return g_strdup(text);
        return redactor_apply(run->redactor, text, strlen(text), NULL);
}

Value *run_redact_value(Run *run, const Value *value) {
        bool is_map = value_is(value, VALUE_MAP);

        if (value_is(value, VALUE_STRING)) {
                g_autofree char *clean = run_redact(run, value_text(value));
                return value_string(clean);
        }
        if (!is_map && !value_is(value, VALUE_LIST))
                return value ? value_ref(value) : value_null();
        Value *copy = is_map ? value_map() : value_list();
        for (size_t i = 0; i < value_length(value); i++) {
                Value *item = run_redact_value(run, value_at(value, i));
                if (is_map)
                        value_map_set(copy, value_key_at(value, i), item);
                else
                        value_list_add(copy, item);
        }
        return copy;
}

/* ---- events ---- */

bool run_emit_at(Run *run, Event *event, const StreamOffset *offset, GError **error) {
        g_autoptr(Event) owned = event;

        if (run->spec.log)
                return build_log_append(run->spec.log, owned, offset, error);
        return !run->spec.emit || run->spec.emit(owned, run->spec.data, error);
}

bool run_emit(Run *run, Event *event, GError **error) {
        return run_emit_at(run, event, NULL, error);
}

/* A mark is kept as a stream of one byte: in the frame of its event, so that neither is there without the other. */
bool run_emit_once(Run *run, const char *plan_id, const char *mark, Event *event, GError **error) {
        g_autoptr(Event) owned = event;
        const StreamOffset stream = { .plan_id = plan_id, .source = mark, .offset = 1 };
        int64_t emitted;

        return run_stored_offset(run, &stream, &emitted, error) &&
               (emitted > 0 || run_emit_at(run, g_steal_pointer(&owned), &stream, error));
}

bool run_stored_offset(Run *run, const StreamOffset *stream, int64_t *ret, GError **error) {
        if (run->spec.log)
                return build_log_offset(run->spec.log, stream, ret, error);
        *ret = 0;
        return true;
}

bool run_emit_error(Run *run, const char *plan_id, const GError *why, GError **error) {
        g_autofree char *text = NULL;

        if (error_is(why, ERROR_CANCELLED))
                text = g_strdup("interrupted");
        else if (error_is(why, ERROR_TIMEOUT))
                text = g_strdup("timeout exceeded");
        else
                text = run_redact(run, why->message);
        return run_emit_once(run, plan_id, "error", event_error(plan_id, text, clock_now()), error);
}

/* ---- interpolation ---- */

static bool look_up_var(const VarReference *reference, void *data, Value **ret, bool *ret_inexact,
                        GError **error) {
        Scope *scope = data;
        g_autoptr(Value) value = NULL;

        *ret = NULL;
        *ret_inexact = false;
        if (g_str_equal(reference->source, "."))
                value = scope_var(scope, reference->path);
        else if (*reference->source) {
                g_set_error(error, ERROR, ERROR_INVALID, "missing source '%s' in var: %s",
                            reference->source, reference->name);
                return false;
        }
        if (!value)
                return true;
        *ret = var_fields(value, reference, error);
        return *ret != NULL;
}

Value *run_interpolate(Run *run, Scope *scope, const Value *value, VarsFlags flags,
                       GError **error) {
        const Vars vars = { .lookup = look_up_var, .data = scope };

        return vars_interpolate(value, &vars, flags | VARS_EXPECT_ALL | VARS_SERVER, error);
}
