/* Values that stand in the source's own configuration: for trying things out, and for tests. */
#include "creds/kind.h"

static void *dummy_open(const Value *config, GError **error) {
        const Value *vars = value_get(config, "vars");

        if (value_is(vars, VALUE_MAP))
                return value_ref(vars);
        g_set_error(error, ERROR, ERROR_INVALID, "invalid vars config: %s", value_go_type(vars));
        return NULL;
}

static void dummy_close(void *source) {
        value_free(source);
}

/* team/pipeline/path, team/path, path. */
static bool dummy_find(void *source, const CredsScope *scope, const char *path, Value **ret,
                       GError **error) {
        g_autofree char *of_team = g_strdup_printf("%s/%s", scope->team, path);
        g_autofree char *of_pipeline = scope->pipeline ? g_strdup_printf("%s/%s/%s", scope->team,
                                                                         scope->pipeline, path)
                                                       : NULL;
        const char *const places[] = { of_pipeline, of_team, path };

        *ret = NULL;
        for (size_t i = 0; i < G_N_ELEMENTS(places) && !*ret; i++)
                if (places[i] && value_has(source, places[i]))
                        *ret = value_ref(value_get(source, places[i]));
        return true;
}

const CredsKind creds_dummy = { "dummy", dummy_open, dummy_close, dummy_find };
