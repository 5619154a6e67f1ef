/* Workers register and keep alive (06 §2.9, §2.10). */
#include "store/worker_internal.h"

typedef struct {
        char *name;
        WorkerBeat beat;
        Time expires; /* 0: never */
} Heartbeat;

struct Heartbeats {
        Mutex lock;
        GHashTable *waiting; /* name → Heartbeat */
};

static void heartbeat_free(void *data) {
        Heartbeat *heartbeat = data;
        g_free(heartbeat->name);
        g_free(heartbeat);
}

Heartbeats *heartbeats_new(void) {
        Heartbeats *heartbeats = g_new0(Heartbeats, 1);
        mutex_init(&heartbeats->lock);
        heartbeats->waiting = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, heartbeat_free);
        return heartbeats;
}

void heartbeats_free(Heartbeats *heartbeats) {
        g_hash_table_unref(heartbeats->waiting);
        mutex_destroy(&heartbeats->lock);
        g_free(heartbeats);
}

void heartbeat_apply(Store *store, Worker *worker) {
        MUTEX_SCOPE(&store->heartbeats->lock);
        const Heartbeat *heartbeat = g_hash_table_lookup(store->heartbeats->waiting, worker->name);
        if (!heartbeat)
                return;
        worker->active_containers = heartbeat->beat.active_containers;
        worker->active_volumes = heartbeat->beat.active_volumes;
        worker->expires = heartbeat->expires;
}

void heartbeat_forget(Store *store, const char *name) {
        MUTEX_SCOPE(&store->heartbeats->lock);
        g_hash_table_remove(store->heartbeats->waiting, name);
}

/* ---- registering ---- */

typedef struct {
        const WorkerRegistration *registration;
        const char *name, *state, *types, *tags;
        int64_t id;
} Register;

static bool may_take_name(DbTx *tx, const Register *make, GError **error) {
        int64_t taken;
        if (!tx_int(tx, 0, &taken,
                    SQL("SELECT count(*) FROM workers WHERE name = $1 AND COALESCE(team_id, 0) <> "
                        "$2",
                        DB_TEXT(make->name), DB_INT(make->registration->team_id)),
                    error))
                return false;
        if (taken)
                g_set_error(error, ERROR, ERROR_DENIED,
                            "worker already exists and is either global or owned by another team");
        return !taken;
}

static const char *opt(const Value *payload, const char *key) {
        const char *text = value_get_string(payload, key, NULL);
        return text && *text ? text : NULL;
}

static bool upsert_worker(DbTx *tx, Register *make, GError **error) {
        const Value *payload = make->registration->payload;
        Time now;
        if (!db_now(tx, &now, error))
                return false;
        Time expires = make->registration->ttl ? now + make->registration->ttl / 1000 : 0;
        return tx_insert(
                tx, &make->id,
                SQL("INSERT INTO workers (name, team_id, state, address, baggageclaim_url, "
                    "certs_path, http_proxy_url, https_proxy_url, no_proxy, active_containers, "
                    "active_volumes, max_active_tasks, resource_types, platform, version, tags, "
                    "started, ephemeral, expires, disk_low) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "
                    "$10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) ON CONFLICT (name) DO "
                    "UPDATE SET state = excluded.state, address = excluded.address, "
                    "baggageclaim_url = excluded.baggageclaim_url, certs_path = "
                    "excluded.certs_path, http_proxy_url = excluded.http_proxy_url, "
                    "https_proxy_url = excluded.https_proxy_url, no_proxy = excluded.no_proxy, "
                    "active_containers = excluded.active_containers, active_volumes = "
                    "excluded.active_volumes, max_active_tasks = excluded.max_active_tasks, "
                    "resource_types = excluded.resource_types, platform = excluded.platform, "
                    "version = excluded.version, tags = excluded.tags, started = "
                    "excluded.started, ephemeral = excluded.ephemeral, expires = "
                    "excluded.expires, disk_low = excluded.disk_low, stalled_since = 0 RETURNING id",
                    DB_TEXT(make->name), DB_INT_OR_NULL(make->registration->team_id),
                    DB_TEXT(make->state), DB_TEXT(opt(payload, "addr")),
                    DB_TEXT(opt(payload, "baggageclaim_url")), DB_TEXT(opt(payload, "certs_path")),
                    DB_TEXT(opt(payload, "http_proxy_url")),
                    DB_TEXT(opt(payload, "https_proxy_url")), DB_TEXT(opt(payload, "no_proxy")),
                    DB_INT(value_get_int(payload, "active_containers", 0)),
                    DB_INT(value_get_int(payload, "active_volumes", 0)),
                    DB_INT(value_get_int(payload, "max_active_tasks", 0)), DB_TEXT(make->types),
                    DB_TEXT(value_get_string(payload, "platform", "")),
                    DB_TEXT(value_get_string(payload, "version", "")), DB_TEXT(make->tags),
                    DB_INT(value_get_int(payload, "start_time", 0)),
                    DB_BOOL(value_get_bool(payload, "ephemeral", false)), DB_INT(expires),
                    DB_BOOL(value_get_bool(payload, "disk_low", false))),
                error);
}

/* Caches that came from a type which this worker has no longer are not valid any more. */
static bool invalidate(DbTx *tx, int64_t worker_base_type_id, GError **error) {
        return tx_exec(tx,
                       SQL("UPDATE worker_resource_caches SET invalid_since = $2, "
                           "worker_base_type_id = NULL WHERE worker_base_type_id = $1",
                           DB_INT(worker_base_type_id), DB_INT(clock_steady())),
                       NULL, error) &&
               tx_exec(tx,
                       SQL("DELETE FROM worker_base_types WHERE id = $1",
                           DB_INT(worker_base_type_id)),
                       NULL, error);
}

static bool save_type(DbTx *tx, Register *make, const Value *type, GError **error) {
        int64_t base_id, same, other;
        DbArg worker = DB_INT(make->id), image = DB_TEXT(value_get_string(type, "image", "")),
              version = DB_TEXT(value_get_string(type, "version", ""));
        return tx_insert(tx, &base_id,
                         SQL("INSERT INTO base_resource_types (name, unique_version_history) "
                             "VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET "
                             "unique_version_history = excluded.unique_version_history RETURNING "
                             "id",
                             DB_TEXT(value_get_string(type, "type", "")),
                             DB_BOOL(value_get_bool(type, "unique_version_history", false))),
                         error) &&
               tx_int(tx, 0, &same,
                      SQL("SELECT id FROM worker_base_types WHERE worker_id = $1 AND "
                          "base_resource_type_id = $2 AND image = $3 AND version = $4",
                          worker, DB_INT(base_id), image, version),
                      error) &&
               (same ||
                (tx_int(tx, 0, &other,
                        SQL("SELECT id FROM worker_base_types WHERE worker_id = $1 AND "
                            "base_resource_type_id = $2",
                            worker, DB_INT(base_id)),
                        error) &&
                 (other == 0 || invalidate(tx, other, error)) &&
                 tx_exec(tx,
                         SQL("INSERT INTO worker_base_types (worker_id, base_resource_type_id, "
                             "image, version) VALUES ($1, $2, $3, $4)",
                             worker, DB_INT(base_id), image, version),
                         NULL, error)));
}

static bool has_type(const Value *types, const char *name) {
        for (size_t i = 0; i < value_length(types); i++)
                if (g_str_equal(value_get_string(value_at(types, i), "type", ""), name))
                        return true;
        return false;
}

typedef struct {
        int64_t id;
        char *name;
} TypeRow;

static void type_row_free(void *data) {
        g_free(((TypeRow *) data)->name);
        g_free(data);
}

static void *row_type(Store *store, DbRows *rows, GError **error) {
        TypeRow *type = g_new0(TypeRow, 1);
        *type = (TypeRow){ db_int(rows, 0), g_strdup(db_text(rows, 1)) };
        return type;
}

static bool save_types(DbTx *tx, Register *make, GError **error) {
        const Value *types = value_get(make->registration->payload, "resource_types");
        g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(type_row_free);
        for (size_t i = 0; i < value_length(types); i++)
                if (!save_type(tx, make, value_at(types, i), error))
                        return false;
        if (!tx_list(tx, NULL, row_type, known,
                     SQL("SELECT w.id, b.name FROM worker_base_types w JOIN base_resource_types b "
                         "ON b.id = w.base_resource_type_id WHERE w.worker_id = $1",
                         DB_INT(make->id)),
                     error))
                return false;
        for (guint i = 0; i < known->len; i++) {
                const TypeRow *type = known->pdata[i];
                if (!has_type(types, type->name) && !invalidate(tx, type->id, error))
                        return false;
        }
        return true;
}

static bool register_in(DbTx *tx, void *data, GError **error) {
        Register *make = data;
        if (!may_take_name(tx, make, error) || !upsert_worker(tx, make, error) ||
            !save_types(tx, make, error))
                return false;
        tx_notify(tx, NOTIFY_WORKERS, make->id);
        return true;
}

static char *list_text(const Value *list) {
        g_autoptr(Value) empty = value_list();
        return json_write(value_is(list, VALUE_LIST) ? list : empty, JSON_COMPACT, NULL);
}

static char *tags_text(const Value *list) {
        g_autoptr(Value) tags = value_list();
        for (size_t i = 0; i < value_length(list); i++) {
                const char *tag = value_text(value_at(list, i));
                if (tag && *tag)
                        value_list_add(tags, value_string(tag));
        }
        return json_write(tags, JSON_COMPACT, NULL);
}

bool worker_register(Store *store, const WorkerRegistration *registration, Worker **ret,
                     GError **error) {
        const Value *payload = registration->payload;
        g_autofree char *types = list_text(value_get(payload, "resource_types"));
        g_autofree char *tags = tags_text(value_get(payload, "tags"));
        const char *name = opt(payload, "name"), *state = opt(payload, "state");
        WorkerState parsed;
        Register make = {
                .registration = registration,
                .name = name ? name : value_get_string(payload, "addr", ""),
                .state = state ? state : "running",
                .types = types,
                .tags = tags,
        };
        if (!worker_state_parse(make.state, &parsed)) {
                g_set_error(error, ERROR, ERROR_INVALID, "unknown worker state '%s'", make.state);
                return false;
        }
        heartbeat_forget(store, make.name);
        if (!db_write(store->db, register_in, &make, error))
                return false;
        Worker *worker = ret ? worker_find(store, make.name, error) : NULL;
        if (ret && !worker)
                return false;
        if (ret)
                *ret = worker;
        return true;
}

/* ---- heartbeats: in memory, flushed in batches ---- */

static bool write_heartbeat(DbTx *tx, const Heartbeat *heartbeat, GError **error) {
        int64_t changed;
        DbArg disk_low = DB_BOOL(heartbeat->beat.disk_low);
        if (!tx_int(tx, 0, &changed,
                    SQL("SELECT id FROM workers WHERE name = $1 AND (state = 'stalled' OR disk_low "
                        "IS DISTINCT FROM $2)",
                        DB_TEXT(heartbeat->name), disk_low),
                    error) ||
            !tx_exec(
                    tx,
                    SQL("UPDATE workers SET expires = $2, active_containers = $3, active_volumes "
                        "= $4, disk_low = $5, stalled_since = 0, state = CASE WHEN state = 'stalled' THEN "
                        "'running' ELSE state END WHERE name = $1",
                        DB_TEXT(heartbeat->name), DB_INT(heartbeat->expires),
                        DB_INT(heartbeat->beat.active_containers),
                        DB_INT(heartbeat->beat.active_volumes), disk_low),
                    NULL, error))
                return false;
        if (changed)
                tx_notify(tx, NOTIFY_WORKERS, changed);
        return true;
}

static bool heartbeat_in(DbTx *tx, void *data, GError **error) {
        Heartbeat *heartbeat = data;
        Time now;
        if (!db_now(tx, &now, error))
                return false;
        heartbeat->expires = heartbeat->beat.ttl ? now + heartbeat->beat.ttl / 1000 : 0;
        return write_heartbeat(tx, heartbeat, error);
}

Worker *worker_heartbeat(Store *store, const char *name, const WorkerBeat *beat, GError **error) {
        g_autoptr(Worker) worker = worker_find(store, name, error);
        if (!worker)
                return NULL;
        Heartbeat heartbeat = { .name = (char *) name, .beat = *beat };
        /* Other nodes must see it with PostgreSQL; a change that somebody waits for is written at once. */
        if (store->postgres || worker->state == WORKER_STALLED ||
            worker->disk_low != beat->disk_low) {
                heartbeat_forget(store, name);
                return db_write(store->db, heartbeat_in, &heartbeat, error)
                               ? worker_find(store, name, error)
                               : NULL;
        }
        heartbeat.expires = beat->ttl ? clock_steady() + beat->ttl / 1000 : 0;
        heartbeat.name = g_strdup(name);
        mutex_lock(&store->heartbeats->lock);
        Heartbeat *waiting = g_memdup2(&heartbeat, sizeof heartbeat);
        g_hash_table_replace(store->heartbeats->waiting, waiting->name, waiting);
        mutex_unlock(&store->heartbeats->lock);
        heartbeat_apply(store, worker);
        return g_steal_pointer(&worker);
}

static bool flush_in(DbTx *tx, void *data, GError **error) {
        const GPtrArray *heartbeats = data;
        for (guint i = 0; i < heartbeats->len; i++)
                if (!write_heartbeat(tx, heartbeats->pdata[i], error))
                        return false;
        return true;
}

bool heartbeats_flush(Store *store, GError **error) {
        g_autoptr(GPtrArray) taken = g_ptr_array_new_with_free_func(heartbeat_free);
        mutex_lock(&store->heartbeats->lock);
        GHashTableIter iter;
        void *value;
        g_hash_table_iter_init(&iter, store->heartbeats->waiting);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                g_hash_table_iter_steal(&iter);
                g_ptr_array_add(taken, value);
        }
        mutex_unlock(&store->heartbeats->lock);
        return taken->len == 0 || db_write(store->db, flush_in, taken, error);
}
