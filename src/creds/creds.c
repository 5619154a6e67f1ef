#include "creds/creds.h"

#include "config/validate.h"
#include "creds/kind.h"

static const CredsKind *const kinds[] = { &creds_dummy };

/* What pipelines may name besides: upstream has them. */
static const char *const missing_types[] = { "vault", "ssm", "secretsmanager", "idtoken", NULL };

typedef struct {
        char *name;
        const CredsKind *kind;
        void *source;
} Source;

struct Creds {
        char *team, *pipeline;
        GPtrArray *sources; /* of Source */
};

static void source_free(void *data) {
        Source *source = data;

        source->kind->close(source->source);
        g_free(source->name);
        g_free(source);
}

void creds_free(Creds *creds) {
        if (!creds)
                return;
        g_ptr_array_unref(creds->sources);
        g_free(creds->team);
        g_free(creds->pipeline);
        g_free(creds);
}

/* ---- opening ---- */

static const CredsKind *find_kind(const VarSourceConfig *config, GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (g_str_equal(kinds[i]->type, config->type))
                        return kinds[i];
        if (g_strv_contains(missing_types, config->type))
                g_set_error(error, ERROR, ERROR_UNSUPPORTED,
                            "create var_source '%s' error: credential manager type '%s' is not "
                            "supported by this version of Weir",
                            config->name, config->type);
        else
                g_set_error(error, ERROR, ERROR_INVALID, "unknown credential manager type: %s",
                            config->type);
        return NULL;
}

static Value *evaluate(Creds *creds, const VarSourceConfig *config, GError **error) {
        const Vars vars = { creds_lookup, creds };
        g_autoptr(Value) value = vars_interpolate(
                config->config, &vars, VARS_EXPECT_ALL | VARS_SERVER | VARS_FLOATS, error);

        if (!value) {
                g_prefix_error(error, "evaluate var_source '%s' error: ", config->name);
                return NULL;
        }
        if (value_is(value, VALUE_MAP))
                return g_steal_pointer(&value);
        g_set_error(error, ERROR, ERROR_INVALID, "var_source '%s' invalid config", config->name);
        return NULL;
}

static bool open_source(Creds *creds, const VarSourceConfig *config, GError **error) {
        const CredsKind *kind = find_kind(config, error);
        g_autoptr(Value) value = kind ? evaluate(creds, config, error) : NULL;

        if (!value)
                return false;
        void *opened = kind->open(value, error);
        if (!opened) {
                g_prefix_error(error, "create var_source '%s' error: ", config->name);
                return false;
        }
        Source *source = g_new0(Source, 1);
        *source = (Source){ g_strdup(config->name), kind, opened };
        g_ptr_array_add(creds->sources, source);
        return true;
}

Creds *creds_new(const GPtrArray *sources, const CredsScope *scope, GError **error) {
        g_autoptr(Creds) creds = g_new0(Creds, 1);

        creds->team = g_strdup(scope->team);
        creds->pipeline = g_strdup(scope->pipeline);
        creds->sources = g_ptr_array_new_with_free_func(source_free);
        if (!sources || sources->len == 0)
                return g_steal_pointer(&creds);
        g_autoptr(GPtrArray) ordered = var_sources_order(sources, error);
        if (!ordered)
                return NULL;
        for (size_t i = 0; i < ordered->len; i++)
                if (!open_source(creds, g_ptr_array_index(ordered, i), error))
                        return NULL;
        return g_steal_pointer(&creds);
}

static void free_config(void *config) {
        var_source_config_free(config);
}

Creds *creds_of_pipeline(Store *store, int64_t pipeline_id, const CredsScope *scope,
                         GError **error) {
        g_autoptr(GPtrArray) sources = g_ptr_array_new_with_free_func(free_config);
        g_autoptr(GError) local = NULL;
        g_autoptr(Value) config = pipeline_id ? pipeline_config(store, pipeline_id, NULL, &local)
                                              : NULL;
        const Value *list = value_get(config, "var_sources");

        if (local && !error_is(local, ERROR_NOT_FOUND)) {
                g_propagate_error(error, g_steal_pointer(&local));
                return NULL;
        }
        for (size_t i = 0; i < value_length(list); i++) {
                VarSourceConfig *source = var_source_config_from_value(value_at(list, i), error);
                if (!source)
                        return NULL;
                g_ptr_array_add(sources, source);
        }
        return creds_new(sources, scope, error);
}

/* ---- asking ---- */

static const Source *find_source(const Creds *creds, const char *name) {
        for (size_t i = 0; i < creds->sources->len; i++) {
                const Source *source = g_ptr_array_index(creds->sources, i);
                if (g_str_equal(source->name, name))
                        return source;
        }
        return NULL;
}

bool creds_lookup(const VarReference *reference, void *data, Value **ret, bool *ret_inexact,
                  GError **error) {
        const Creds *creds = data;
        const Source *source = find_source(creds, reference->source);
        const CredsScope scope = { creds->team, creds->pipeline };
        g_autoptr(Value) value = NULL;

        *ret = NULL;
        *ret_inexact = false;
        /* Without sources of its own a pipeline asks nobody by name. */
        if (!*reference->source || creds->sources->len == 0)
                return true;
        if (!source) {
                g_autofree char *name = var_reference_format(reference);
                g_set_error(error, ERROR, ERROR_INVALID, "missing source '%s' in var: %s",
                            reference->source, name);
                return false;
        }
        if (!source->kind->find(source->source, &scope, reference->path, &value, error))
                return false;
        if (!value)
                return true;
        *ret = var_fields(value, reference, error);
        return *ret != NULL;
}
