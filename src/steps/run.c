#include "steps/run.h"

#include "base/thread.h"

struct Run {
        gatomicrefcount references;
        RunSpec spec; /* with text of our own */
        Redactor *redactor;
        Mutex mutex;
        GHashTable *results;     /* plan id → Value */
        GHashTable *credentials; /* set of names */
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
        run->credentials = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
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
        g_hash_table_unref(run->credentials);
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

/* ---- credentials ---- */

static bool look_up_credential(Run *run, const VarReference *reference, Value **ret,
                               bool *ret_inexact, GError **error) {
        if (!run->spec.creds)
                return true;
        if (!creds_lookup(reference, run->spec.creds, ret, ret_inexact, error))
                return false;
        if (!*ret)
                return true;
        run_track_secret(run, *ret);
        MUTEX_SCOPE(&run->mutex);
        g_hash_table_add(run->credentials, g_strdup(reference->name));
        return true;
}

Value *run_credentials(Run *run) {
        MUTEX_SCOPE(&run->mutex);
        if (g_hash_table_size(run->credentials) == 0)
                return NULL;
        Value *names = value_list();
        GHashTableIter iterator;
        void *name;
        g_hash_table_iter_init(&iterator, run->credentials);
        while (g_hash_table_iter_next(&iterator, &name, NULL))
                value_list_add(names, value_string(name));
        return names;
}

void run_recall_credentials(Run *run, const Value *names) {
        for (size_t i = 0; i < value_length(names); i++) {
                const char *name = value_text(value_at(names, i));
                g_autoptr(VarReference) reference = name ? var_reference_parse(name, NULL) : NULL;
                g_autoptr(Value) value = NULL;
                bool inexact;
                if (reference)
                        look_up_credential(run, reference, &value, &inexact, NULL);
        }
}

/* ---- interpolation ---- */

typedef struct {
        Run *run;
        Scope *scope;
} Lookup;

static bool look_up_var(const VarReference *reference, void *data, Value **ret, bool *ret_inexact,
                        GError **error) {
        const Lookup *lookup = data;
        g_autoptr(Value) local = NULL;

        *ret = NULL;
        *ret_inexact = false;
        if (g_str_equal(reference->source, "."))
                local = scope_var(lookup->scope, reference->path);
        if (!local)
                return look_up_credential(lookup->run, reference, ret, ret_inexact, error);
        *ret = var_fields(local, reference, error);
        return *ret != NULL;
}

Value *run_interpolate(Run *run, Scope *scope, const Value *value, VarsFlags flags,
                       GError **error) {
        Lookup lookup = { run, scope };
        const Vars vars = { .lookup = look_up_var, .data = &lookup };

        return vars_interpolate(value, &vars, flags | VARS_EXPECT_ALL | VARS_SERVER, error);
}
