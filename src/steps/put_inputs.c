#include "steps/put_inputs.h"

#include <string.h>

static bool contains(const GPtrArray *names, const char *name) {
        for (size_t i = 0; i < names->len; i++)
                if (g_str_equal(g_ptr_array_index(names, i), name))
                        return true;
        return false;
}

static void add(GPtrArray *names, const char *name) {
        if (!contains(names, name))
                g_ptr_array_add(names, g_strdup(name));
}

/* The first part of a path, "." and ".." aside. */
static void detect_in_text(const char *text, Scope *scope, GPtrArray *names) {
        g_auto(GStrv) parts = g_strsplit(text, "/", -1);

        for (size_t i = 0; parts[i]; i++) {
                if (*parts[i] == '\0' || g_str_equal(parts[i], ".") || g_str_equal(parts[i], ".."))
                        continue;
                g_autoptr(Artifact) artifact = scope_artifact(scope, parts[i]);
                if (artifact)
                        add(names, parts[i]);
                return;
        }
}

static void detect(const Value *params, Scope *scope, GPtrArray *names) {
        if (value_is(params, VALUE_STRING))
                detect_in_text(value_text(params), scope, names);
        for (size_t i = 0; i < value_length(params); i++)
                detect(value_at(params, i), scope, names);
}

static int compare(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static bool add_listed(char *const *listed, Scope *scope, GPtrArray *names, GError **error) {
        for (size_t i = 0; listed[i]; i++) {
                g_autoptr(Artifact) artifact = scope_artifact(scope, listed[i]);
                if (!artifact) {
                        g_set_error(error, ERROR, ERROR_INVALID, "input not found: %s", listed[i]);
                        return false;
                }
                add(names, listed[i]);
        }
        return true;
}

GPtrArray *put_input_names(const PutInputs *inputs, const Value *params, Scope *scope,
                           GError **error) {
        if (inputs && inputs->all)
                return scope_artifact_names(scope);

        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        if (!inputs || inputs->detect)
                detect(params, scope, names);
        else if (inputs->names && !add_listed(inputs->names, scope, names, error))
                return NULL;
        g_ptr_array_sort(names, compare);
        return g_steal_pointer(&names);
}
