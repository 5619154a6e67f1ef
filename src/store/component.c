#include "store/component.h"

#include "base/log.h"
#include "store/internal.h"

#define GC ((Duration) 0) /* stands for the interval of garbage collection */

static const struct {
        const char *name;
        Duration interval;
} known[] = {
        { COMPONENT_SCHEDULER, 10 * DURATION_SECOND },
        { COMPONENT_TRACKER, 10 * DURATION_SECOND },
        { COMPONENT_SCANNER, 10 * DURATION_SECOND },
        { COMPONENT_REAPER, GC },
        { COMPONENT_KEYS, 10 * DURATION_MINUTE },
        { "collector_access_tokens", GC },
        { "collector_artifacts", GC },
        { "collector_builds", GC },
        { "collector_check_sessions", GC },
        { "collector_checks", GC },
        { "collector_containers", GC },
        { "collector_pipelines", GC },
        { "collector_resource_cache_uses", GC },
        { "collector_resource_caches", GC },
        { "collector_resource_configs", GC },
        { "collector_task_caches", GC },
        { "collector_volumes", GC },
        { "collector_workers", GC },
        { "pipeline_pauser", GC },
};

/* What memory knows of one. */
typedef struct {
        bool paused;
        Time last_ran, written;
} State;

struct Components {
        Mutex lock;
        GHashTable *states; /* name → State */
        bool fresh;         /* paused is as in the database */
        uint64_t watch;
};

void component_free(Component *component) {
        if (!component)
                return;
        g_free(component->name);
        g_free(component);
}

/* ---- memory ---- */

static void grow_stale(NotifyKind kind, int64_t id, void *data) {
        Components *components = data;

        MUTEX_SCOPE(&components->lock);
        components->fresh = false;
}

Components *components_new(Store *store) {
        Components *components = g_new0(Components, 1);

        mutex_init(&components->lock);
        components->states = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        components->watch = notify_watch(store, NOTIFY_COMPONENTS, 0, grow_stale, components);
        return components;
}

void components_free(Store *store, Components *components) {
        notify_unwatch(store, components->watch);
        g_hash_table_unref(components->states);
        mutex_destroy(&components->lock);
        g_free(components);
}

static State *state_of(Components *components, const char *name) {
        State *state = g_hash_table_lookup(components->states, name);

        if (!state) {
                state = g_new0(State, 1);
                g_hash_table_insert(components->states, g_strdup(name), state);
        }
        return state;
}

static void *row_component(Store *store, DbRows *rows, GError **error) {
        Component *component = g_new0(Component, 1);

        component->name = g_strdup(db_text(rows, 0));
        component->interval = db_int(rows, 1);
        component->last_ran = db_int(rows, 2);
        component->paused = db_bool(rows, 3);
        return component;
}

static GPtrArray *list_rows(Store *store, GError **error) {
        return store_list(store, row_component, (GDestroyNotify) component_free,
                          SQL("SELECT name, run_interval, last_ran, paused FROM components ORDER "
                              "BY name"),
                          error);
}

/* Reads who is paused, unless that is known. What is said meanwhile makes it stale again. */
static void refresh(Store *store) {
        Components *components = store->components;
        g_autoptr(GError) error = NULL;

        mutex_lock(&components->lock);
        bool fresh = components->fresh;
        components->fresh = true;
        mutex_unlock(&components->lock);
        if (fresh)
                return;
        g_autoptr(GPtrArray) rows = list_rows(store, &error);
        MUTEX_SCOPE(&components->lock);
        if (!rows) {
                components->fresh = false;
                log_error("store", "list-components-failed", error);
                return;
        }
        for (size_t i = 0; i < rows->len; i++) {
                const Component *component = rows->pdata[i];
                state_of(components, component->name)->paused = component->paused;
        }
}

bool component_begin(Store *store, const char *name) {
        Components *components = store->components;

        refresh(store);
        mutex_lock(&components->lock);
        State *state = state_of(components, name);
        bool paused = state->paused;
        if (!paused)
                state->last_ran = clock_now();
        bool due = (state->last_ran - state->written) * 1000 >= COMPONENT_LAG;
        mutex_unlock(&components->lock);
        if (due)
                store_mark_dirty(store);
        return !paused;
}

/* ---- what is written of it ---- */

typedef struct {
        char *name;
        Time last_ran;
} Ran;

static void ran_free(void *data) {
        Ran *ran = data;

        g_free(ran->name);
        g_free(ran);
}

static bool flush_in(DbTx *tx, void *data, GError **error) {
        const GPtrArray *list = data;

        for (size_t i = 0; i < list->len; i++) {
                const Ran *ran = list->pdata[i];
                if (!tx_exec(tx,
                             SQL("UPDATE components SET last_ran = $2 WHERE name = $1 AND last_ran "
                                 "< $2",
                                 DB_TEXT(ran->name), DB_INT(ran->last_ran)),
                             NULL, error))
                        return false;
        }
        return true;
}

/* Those that ran since they were last written, once any of them waits long enough. */
static GPtrArray *take_unwritten(Components *components, bool all) {
        GPtrArray *list = g_ptr_array_new_with_free_func(ran_free);
        GHashTableIter iterator;
        void *name, *value;
        bool due = all;

        MUTEX_SCOPE(&components->lock);
        g_hash_table_iter_init(&iterator, components->states);
        while (g_hash_table_iter_next(&iterator, &name, &value)) {
                const State *state = value;
                if (state->last_ran == state->written)
                        continue;
                due = due || (state->last_ran - state->written) * 1000 >= COMPONENT_LAG;
                Ran *ran = g_new0(Ran, 1);
                *ran = (Ran){ g_strdup(name), state->last_ran };
                g_ptr_array_add(list, ran);
        }
        if (!due)
                g_ptr_array_set_size(list, 0);
        for (size_t i = 0; i < list->len; i++) {
                const Ran *ran = list->pdata[i];
                state_of(components, ran->name)->written = ran->last_ran;
        }
        return list;
}

bool components_flush(Store *store, bool all, GError **error) {
        g_autoptr(GPtrArray) list = take_unwritten(store->components, all);

        /* Lost when it fails: the next run is written soon enough. */
        return list->len == 0 || db_write(store->db, flush_in, list, error);
}

/* ---- for the API ---- */

typedef struct {
        Duration gc_interval;
} Registration;

static bool register_in(DbTx *tx, void *data, GError **error) {
        const Registration *registration = data;

        for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
                Duration interval = known[i].interval ? known[i].interval
                                                      : registration->gc_interval;
                if (!tx_exec(tx,
                             SQL("INSERT INTO components (name, run_interval) VALUES ($1, $2) ON "
                                 "CONFLICT (name) DO UPDATE SET run_interval = "
                                 "excluded.run_interval WHERE components.run_interval <> "
                                 "excluded.run_interval",
                                 DB_TEXT(known[i].name), DB_INT(interval)),
                             NULL, error))
                        return false;
        }
        return true;
}

bool component_register_all(Store *store, Duration gc_interval, GError **error) {
        return db_write(store->db, register_in, &(Registration){ gc_interval }, error);
}

GPtrArray *component_list(Store *store, GError **error) {
        GPtrArray *list = list_rows(store, error);

        MUTEX_SCOPE(&store->components->lock);
        for (size_t i = 0; list && i < list->len; i++) {
                Component *component = list->pdata[i];
                const State *state = g_hash_table_lookup(store->components->states,
                                                         component->name);
                if (state)
                        component->last_ran = MAX(component->last_ran, state->last_ran);
        }
        return list;
}

typedef struct {
        const char *name;
        bool paused;
} Pausing;

static bool set_paused_in(DbTx *tx, void *data, GError **error) {
        const Pausing *pausing = data;
        int64_t changed = 0;

        if (!tx_exec(tx,
                     SQL("UPDATE components SET paused = $1 WHERE $2 IS NULL OR name = $2",
                         DB_BOOL(pausing->paused), DB_TEXT(pausing->name)),
                     &changed, error) ||
            !changed_or_not_found(changed, "component", error))
                return false;
        tx_notify(tx, NOTIFY_COMPONENTS, 0);
        return true;
}

bool component_set_paused(Store *store, const char *name, bool paused, GError **error) {
        if (!db_write(store->db, set_paused_in, &(Pausing){ name, paused }, error))
                return false;
        grow_stale(NOTIFY_COMPONENTS, 0, store->components); /* here at once, elsewhere soon */
        return true;
}
