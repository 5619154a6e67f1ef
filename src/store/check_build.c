#include "store/check_build.h"

#include "store/internal.h"

/* Ids taken from the database at once: so that a check itself writes nothing. */
#define ID_BLOCK 1024
/* Of events kept per check. */
#define EVENTS_MAX (1024 * 1024)

typedef struct {
        Build build;       /* text and values are owned */
        Value *plan;       /* public */
        GPtrArray *events; /* GBytes, as stored */
        size_t bytes;
        bool truncated;
} MemoryBuild;

struct MemoryBuilds {
        Mutex lock;
        GHashTable *by_id;       /* build id → MemoryBuild */
        GHashTable *by_resource; /* resource id → MemoryBuild, borrowed: the last one */
        int64_t next_id, last_id;
};

static void memory_build_free(void *data) {
        MemoryBuild *memory = data;
        g_free(memory->build.name);
        g_free(memory->build.team_name);
        g_free(memory->build.pipeline_name);
        g_free(memory->build.resource_name);
        value_free(memory->build.instance_vars);
        value_free(memory->plan);
        g_ptr_array_unref(memory->events);
        g_free(memory);
}

MemoryBuilds *memory_builds_new(void) {
        MemoryBuilds *builds = g_new0(MemoryBuilds, 1);
        mutex_init(&builds->lock);
        builds->by_id = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, memory_build_free);
        builds->by_resource = g_hash_table_new(g_int64_hash, g_int64_equal);
        return builds;
}

void memory_builds_free(MemoryBuilds *builds) {
        g_hash_table_unref(builds->by_resource);
        g_hash_table_unref(builds->by_id);
        mutex_destroy(&builds->lock);
        g_free(builds);
}

static bool reserve_in(DbTx *tx, void *data, GError **error) {
        return tx_counter(tx, "build", ID_BLOCK, data, error);
}

static bool take_id(Store *store, int64_t *ret, GError **error) {
        MemoryBuilds *builds = store->memory_builds;
        for (;;) {
                mutex_lock(&builds->lock);
                bool have = builds->next_id < builds->last_id;
                if (have)
                        *ret = ++builds->next_id;
                mutex_unlock(&builds->lock);
                if (have)
                        return true;
                int64_t last;
                if (!db_write(store->db, reserve_in, &last, error))
                        return false;
                MUTEX_SCOPE(&builds->lock);
                if (builds->next_id >= builds->last_id) {
                        builds->next_id = last - ID_BLOCK;
                        builds->last_id = last;
                }
        }
}

static void add_event(MemoryBuild *memory, const Event *event) {
        size_t length;
        char *text = event_write(event, &length);
        g_ptr_array_add(memory->events, g_bytes_new_take(text, length));
        memory->bytes += length;
}

bool check_build_begin(Store *store, const CheckBuildSpec *spec, int64_t *ret_id, GError **error) {
        int64_t id;
        if (!take_id(store, &id, error))
                return false;
        Time now = clock_now();
        MemoryBuild *memory = g_new0(MemoryBuild, 1);
        memory->build = (Build){
                .id = id,
                .name = g_strdup("check"),
                .team_id = spec->team_id,
                .team_name = g_strdup(spec->team_name),
                .pipeline_id = spec->pipeline_id,
                .pipeline_name = g_strdup(spec->pipeline_name),
                .instance_vars = value_ref(spec->instance_vars),
                .resource_id = spec->resource_id,
                .resource_name = g_strdup(spec->resource_name),
                .status = BUILD_STARTED,
                .memory = true,
                .created = now,
                .start = now,
                .has_plan = spec->public_plan != NULL,
        };
        memory->plan = value_ref(spec->public_plan);
        memory->events = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        g_autoptr(Event) started = event_status("started", now);
        add_event(memory, started);

        MemoryBuilds *builds = store->memory_builds;
        mutex_lock(&builds->lock);
        MemoryBuild *previous = g_hash_table_lookup(builds->by_resource, &spec->resource_id);
        if (previous) {
                g_hash_table_remove(builds->by_resource, &spec->resource_id);
                g_hash_table_remove(builds->by_id, &previous->build.id);
        }
        g_hash_table_insert(builds->by_id, &memory->build.id, memory);
        g_hash_table_insert(builds->by_resource, &memory->build.resource_id, memory);
        mutex_unlock(&builds->lock);
        *ret_id = id;
        return true;
}

bool check_build_append(Store *store, int64_t id, const Event *event, GError **error) {
        mutex_lock(&store->memory_builds->lock);
        MemoryBuild *memory = g_hash_table_lookup(store->memory_builds->by_id, &id);
        bool added = memory && !memory->build.completed && memory->bytes < EVENTS_MAX;
        if (added)
                add_event(memory, event);
        mutex_unlock(&store->memory_builds->lock);
        if (added)
                bus_deliver(store->bus, NOTIFY_BUILD_EVENTS, id);
        return true;
}

bool check_build_finish(Store *store, int64_t id, BuildStatus status, GError **error) {
        Time now = clock_now();
        g_autoptr(Event) event = event_status(build_status_name(status), now);
        mutex_lock(&store->memory_builds->lock);
        MemoryBuild *memory = g_hash_table_lookup(store->memory_builds->by_id, &id);
        if (memory && !memory->build.completed) {
                add_event(memory, event);
                memory->build.status = status;
                memory->build.completed = true;
                memory->build.end = now;
        }
        mutex_unlock(&store->memory_builds->lock);
        if (memory)
                bus_deliver(store->bus, NOTIFY_BUILD_EVENTS, id);
        return true;
}

Build *memory_build_get(Store *store, int64_t id) {
        MUTEX_SCOPE(&store->memory_builds->lock);
        const MemoryBuild *memory = g_hash_table_lookup(store->memory_builds->by_id, &id);
        if (!memory)
                return NULL;
        Build *build = g_memdup2(&memory->build, sizeof memory->build);
        build->name = g_strdup(build->name);
        build->team_name = g_strdup(build->team_name);
        build->pipeline_name = g_strdup(build->pipeline_name);
        build->resource_name = g_strdup(build->resource_name);
        build->instance_vars = value_ref(build->instance_vars);
        return build;
}

Value *memory_build_plan(Store *store, int64_t id) {
        MUTEX_SCOPE(&store->memory_builds->lock);
        const MemoryBuild *memory = g_hash_table_lookup(store->memory_builds->by_id, &id);
        return memory ? value_ref(memory->plan) : NULL;
}

GPtrArray *memory_build_read(Store *store, int64_t id, int64_t from, size_t bytes, bool *ret_known,
                             bool *ret_ended) {
        GPtrArray *events = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        MUTEX_SCOPE(&store->memory_builds->lock);
        const MemoryBuild *memory = g_hash_table_lookup(store->memory_builds->by_id, &id);
        *ret_known = memory != NULL;
        *ret_ended = memory && memory->build.completed;
        size_t total = 0;
        for (int64_t i = from; memory && i < (int64_t) memory->events->len && total < bytes; i++) {
                GBytes *event = memory->events->pdata[i];
                total += g_bytes_get_size(event);
                g_ptr_array_add(events, g_bytes_ref(event));
        }
        return events;
}

/* ---- what a resource shows ---- */

void check_summary_clear(CheckSummary *summary) {
        g_clear_pointer(&summary->plan, value_free);
}

static void summarize_memory(Store *store, int64_t resource_id, CheckSummary *ret) {
        MUTEX_SCOPE(&store->memory_builds->lock);
        const MemoryBuild *memory = g_hash_table_lookup(store->memory_builds->by_resource,
                                                        &resource_id);
        if (memory)
                *ret = (CheckSummary){
                        .id = memory->build.id,
                        .status = memory->build.status,
                        .start = memory->build.start,
                        .end = memory->build.end,
                        .plan = value_ref(memory->plan),
                };
}

bool check_summary_get(Store *store, int64_t resource_id, int64_t scope_id, CheckSummary *ret,
                       GError **error) {
        g_auto(CheckSummary) summary = { 0 };
        g_auto(ScopeCheck) check = { 0 };
        summarize_memory(store, resource_id, &summary);
        if (scope_id && !scope_check_get(store, scope_id, &check, error))
                return false;
        if (check.last_build_id && check.last_build_id != summary.id &&
            check.last_start > summary.start) {
                bool ended = check.last_end > check.last_start;
                check_summary_clear(&summary);
                summary = (CheckSummary){
                        .id = check.last_build_id,
                        .status = !ended                 ? BUILD_STARTED
                                  : check.last_succeeded ? BUILD_SUCCEEDED
                                                         : BUILD_FAILED,
                        .start = check.last_start,
                        .end = ended ? check.last_end : 0,
                        .plan = g_steal_pointer(&check.last_plan),
                };
        }
        summary.last_checked = check.last_end;
        *ret = summary;
        summary = (CheckSummary){ 0 };
        return true;
}
