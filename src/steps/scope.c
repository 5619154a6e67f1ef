#include "steps/scope.h"

#include "base/thread.h"

struct Scope {
        gatomicrefcount references;
        Scope *parent;
        Mutex mutex;
        GHashTable *artifacts; /* name → Artifact */
        GHashTable *vars;      /* name → Value */
};

static void free_artifact(void *artifact) {
        artifact_free(artifact);
}

static void free_value(void *value) {
        value_free(value);
}

Scope *scope_new(Scope *parent) {
        Scope *scope = g_new0(Scope, 1);

        g_atomic_ref_count_init(&scope->references);
        scope->parent = scope_ref(parent);
        mutex_init(&scope->mutex);
        scope->artifacts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_artifact);
        scope->vars = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_value);
        return scope;
}

Scope *scope_ref(Scope *scope) {
        if (scope)
                g_atomic_ref_count_inc(&scope->references);
        return scope;
}

void scope_free(Scope *scope) {
        if (!scope || !g_atomic_ref_count_dec(&scope->references))
                return;
        scope_free(scope->parent);
        g_hash_table_unref(scope->artifacts);
        g_hash_table_unref(scope->vars);
        mutex_destroy(&scope->mutex);
        g_free(scope);
}

void scope_put_artifact(Scope *scope, const char *name, Artifact *artifact) {
        MUTEX_SCOPE(&scope->mutex);
        g_hash_table_replace(scope->artifacts, g_strdup(name), artifact_ref(artifact));
}

Artifact *scope_artifact(Scope *scope, const char *name) {
        for (; scope; scope = scope->parent) {
                MUTEX_SCOPE(&scope->mutex);
                Artifact *artifact = g_hash_table_lookup(scope->artifacts, name);
                if (artifact)
                        return artifact_ref(artifact);
        }
        return NULL;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

GPtrArray *scope_artifact_names(Scope *scope) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

        for (; scope; scope = scope->parent) {
                MUTEX_SCOPE(&scope->mutex);
                GHashTableIter iterator;
                void *name;
                g_hash_table_iter_init(&iterator, scope->artifacts);
                while (g_hash_table_iter_next(&iterator, &name, NULL))
                        if (!g_hash_table_contains(seen, name)) {
                                char *copy = g_strdup(name);
                                g_hash_table_add(seen, copy);
                                g_ptr_array_add(names, copy);
                        }
        }
        g_ptr_array_sort(names, compare_names);
        return names;
}

void scope_put_var(Scope *scope, const char *name, const Value *value) {
        MUTEX_SCOPE(&scope->mutex);
        g_hash_table_replace(scope->vars, g_strdup(name), value_ref(value));
}

Value *scope_var(Scope *scope, const char *name) {
        for (; scope; scope = scope->parent) {
                MUTEX_SCOPE(&scope->mutex);
                Value *value = g_hash_table_lookup(scope->vars, name);
                if (value)
                        return value_ref(value);
        }
        return NULL;
}
