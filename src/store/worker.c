#include "store/worker.h"

#include "store/worker_internal.h"

static const char *const state_names[] = {
        [WORKER_RUNNING] = "running", [WORKER_STALLED] = "stalled",   [WORKER_LANDING] = "landing",
        [WORKER_LANDED] = "landed",   [WORKER_RETIRING] = "retiring",
};

const char *worker_state_name(WorkerState state) {
        return state_names[state];
}

bool worker_state_parse(const char *name, WorkerState *ret) {
        for (size_t i = 0; i < G_N_ELEMENTS(state_names); i++)
                if (name && g_str_equal(state_names[i], name)) {
                        *ret = (WorkerState) i;
                        return true;
                }
        return false;
}

static void resource_type_free(void *data) {
        WorkerResourceType *type = data;
        g_free(type->type);
        g_free(type->image);
        g_free(type->version);
        g_free(type->cache);
        g_free(type);
}

void worker_free(Worker *worker) {
        if (!worker)
                return;
        char *const texts[] = { worker->name,
                                worker->team_name,
                                worker->address,
                                worker->baggageclaim_url,
                                worker->certs_path,
                                worker->http_proxy_url,
                                worker->https_proxy_url,
                                worker->no_proxy,
                                worker->platform,
                                worker->version };
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                g_free(texts[i]);
        g_clear_pointer(&worker->resource_types, g_ptr_array_unref);
        g_clear_pointer(&worker->tags, g_ptr_array_unref);
        g_free(worker);
}

const WorkerResourceType *worker_resource_type(const Worker *worker, const char *type) {
        for (guint i = 0; i < worker->resource_types->len; i++) {
                const WorkerResourceType *known = worker->resource_types->pdata[i];
                if (g_str_equal(known->type, type))
                        return known;
        }
        return NULL;
}

static GPtrArray *read_types(DbRows *rows, int column) {
        GPtrArray *types = g_ptr_array_new_with_free_func(resource_type_free);
        g_autoptr(Value) list = row_json(rows, column);
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *item = value_at(list, i);
                WorkerResourceType *type = g_new0(WorkerResourceType, 1);
                *type = (WorkerResourceType){
                        .type = g_strdup(value_get_string(item, "type", "")),
                        .image = g_strdup(value_get_string(item, "image", "")),
                        .version = g_strdup(value_get_string(item, "version", "")),
                        .privileged = value_get_bool(item, "privileged", false),
                        .unique_version_history = value_get_bool(item, "unique_version_history",
                                                                 false),
                        .cache = g_strdup(value_get_string(item, "cache", "")),
                };
                g_ptr_array_add(types, type);
        }
        return types;
}

static GPtrArray *read_tags(DbRows *rows, int column) {
        GPtrArray *tags = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(Value) list = row_json(rows, column);
        for (size_t i = 0; i < value_length(list); i++)
                g_ptr_array_add(tags, g_strdup(text_or_empty(value_text(value_at(list, i)))));
        return tags;
}

#define SELECT                                                                                              \
        "SELECT w.id, w.team_id, w.name, t.name, w.state, w.address, w.baggageclaim_url, "                  \
        "w.certs_path, w.http_proxy_url, w.https_proxy_url, w.no_proxy, w.active_containers, "              \
        "w.active_volumes, w.active_tasks, w.max_active_tasks, w.resource_types, w.platform, "              \
        "w.version, w.tags, w.started, w.ephemeral, w.expires, w.stalled_since, w.disk_low FROM workers w " \
        "LEFT JOIN teams t ON t.id = w.team_id "

static void *row_worker(Store *store, DbRows *rows, GError **error) {
        Worker *worker = g_new0(Worker, 1);
        *worker = (Worker){
                .id = db_int(rows, 0),
                .team_id = db_int(rows, 1),
                .name = g_strdup(db_text(rows, 2)),
                .team_name = g_strdup(db_text(rows, 3)),
                .address = g_strdup(db_text(rows, 5)),
                .baggageclaim_url = g_strdup(db_text(rows, 6)),
                .certs_path = g_strdup(db_text(rows, 7)),
                .http_proxy_url = g_strdup(db_text(rows, 8)),
                .https_proxy_url = g_strdup(db_text(rows, 9)),
                .no_proxy = g_strdup(db_text(rows, 10)),
                .active_containers = db_int(rows, 11),
                .active_volumes = db_int(rows, 12),
                .active_tasks = db_int(rows, 13),
                .max_active_tasks = db_int(rows, 14),
                .resource_types = read_types(rows, 15),
                .platform = g_strdup(db_text(rows, 16)),
                .version = g_strdup(db_text(rows, 17)),
                .tags = read_tags(rows, 18),
                .start = db_int(rows, 19),
                .ephemeral = db_bool(rows, 20),
                .expires = db_int(rows, 21),
                .stalled_since = db_int(rows, 22),
                .disk_low = db_bool(rows, 23),
        };
        bool known = worker_state_parse(db_text(rows, 4), &worker->state);
        g_assert(known);
        heartbeat_apply(store, worker);
        return worker;
}

Worker *worker_find(Store *store, const char *name, GError **error) {
        return store_one(store, row_worker, "worker",
                         SQL(SELECT "WHERE w.name = $1", DB_TEXT(name)), error);
}

GPtrArray *worker_list(Store *store, GError **error) {
        return store_list(store, row_worker, (GDestroyNotify) worker_free,
                          SQL(SELECT "ORDER BY w.name"), error);
}

GPtrArray *worker_list_visible(Store *store, const Visibility *visibility, GError **error) {
        g_autoptr(GPtrArray) all = worker_list(store, error);
        for (guint i = 0; all && i < all->len;) {
                const Worker *worker = all->pdata[i];
                bool seen = visibility->everything || worker->team_id == 0;
                for (size_t k = 0; k < visibility->team_count && !seen; k++)
                        seen = visibility->team_ids[k] == worker->team_id;
                if (seen)
                        i++;
                else
                        g_ptr_array_remove_index(all, i);
        }
        return g_steal_pointer(&all);
}

/* ---- load ---- */

void worker_load_free(WorkerLoad *load) {
        if (!load)
                return;
        g_free(load->worker);
        g_free(load);
}

static void *row_load(Store *store, DbRows *rows, GError **error) {
        WorkerLoad *load = g_new0(WorkerLoad, 1);
        *load = (WorkerLoad){ g_strdup(db_text(rows, 0)), db_int(rows, 1), db_int(rows, 2),
                              db_int(rows, 3) };
        return load;
}

GPtrArray *worker_load_list(Store *store, GError **error) {
        return store_list(
                store, row_load, (GDestroyNotify) worker_load_free,
                SQL("SELECT w.name, (SELECT count(*) FROM containers c WHERE c.worker_id = w.id "
                    "AND c.build_id IS NOT NULL), (SELECT count(*) FROM containers c WHERE "
                    "c.worker_id = w.id), (SELECT count(*) FROM volumes v WHERE v.worker_id = "
                    "w.id) FROM workers w ORDER BY w.name"),
                error);
}

bool worker_take_task(Store *store, const char *name, int64_t limit, bool *ret_taken,
                      GError **error) {
        int64_t changed;
        if (!store_exec(store,
                        SQL("UPDATE workers SET active_tasks = active_tasks + 1 WHERE name = $1 "
                            "AND ($2 = 0 OR active_tasks < $2)",
                            DB_TEXT(name), DB_INT(limit)),
                        &changed, error))
                return false;
        *ret_taken = changed != 0;
        return true;
}

typedef struct {
        const char *name;
        const char *state;
        int64_t changed;
} Change;

static bool notify_worker(DbTx *tx, const char *name, GError **error) {
        int64_t id;
        if (!tx_int(tx, 0, &id, SQL("SELECT id FROM workers WHERE name = $1", DB_TEXT(name)),
                    error))
                return false;
        tx_notify(tx, NOTIFY_WORKERS, id);
        return true;
}

static bool give_task_in(DbTx *tx, void *data, GError **error) {
        Change *change = data;
        return tx_exec(tx,
                       SQL("UPDATE workers SET active_tasks = active_tasks - 1 WHERE name = $1 AND "
                           "active_tasks > 0",
                           DB_TEXT(change->name)),
                       NULL, error) &&
               notify_worker(tx, change->name, error);
}

bool worker_give_task(Store *store, const char *name, GError **error) {
        return db_write(store->db, give_task_in, &(Change){ .name = name }, error);
}

/* ---- leaving ---- */

static bool land_in(DbTx *tx, void *data, GError **error) {
        Change *change = data;
        return tx_exec(tx,
                       SQL("UPDATE workers SET state = CASE WHEN state = 'landed' AND $2 = "
                           "'landing' THEN state ELSE $2 END WHERE name = $1",
                           DB_TEXT(change->name), DB_TEXT(change->state)),
                       &change->changed, error) &&
               changed_or_not_found(change->changed, "worker", error) &&
               notify_worker(tx, change->name, error);
}

bool worker_land(Store *store, const char *name, GError **error) {
        return db_write(store->db, land_in, &(Change){ .name = name, .state = "landing" }, error);
}

bool worker_retire(Store *store, const char *name, GError **error) {
        return db_write(store->db, land_in, &(Change){ .name = name, .state = "retiring" }, error);
}

static bool delete_in(DbTx *tx, void *data, GError **error) {
        Change *change = data;
        int64_t running;
        if (change->state &&
            !tx_int(tx, 0, &running,
                    SQL("SELECT count(*) FROM workers WHERE name = $1 AND state = $2",
                        DB_TEXT(change->name), DB_TEXT(change->state)),
                    error))
                return false;
        if (change->state && running) {
                g_set_error(error, ERROR, ERROR_DENIED, "cannot prune running worker");
                return false;
        }
        if (!tx_exec(tx, SQL("DELETE FROM workers WHERE name = $1", DB_TEXT(change->name)),
                     &change->changed, error))
                return false;
        tx_notify(tx, NOTIFY_WORKERS, 0);
        return changed_or_not_found(change->changed, "worker", error);
}

bool worker_prune(Store *store, const char *name, GError **error) {
        return db_write(store->db, delete_in, &(Change){ .name = name, .state = "running" }, error);
}

bool worker_delete(Store *store, const char *name, GError **error) {
        return db_write(store->db, delete_in, &(Change){ .name = name }, error);
}

/* ---- one tick of 05 §6.9 ---- */

typedef struct {
        Duration stalled_timeout;
        WorkerTick tick;
} Tick;

#define BLOCKED                                                                                    \
        "EXISTS (SELECT 1 FROM containers c JOIN builds b ON b.id = c.build_id LEFT JOIN jobs j "  \
        "ON j.id = b.job_id WHERE c.worker_id = workers.id AND NOT b.completed AND (j.id IS NULL " \
        "OR NOT j.interruptible))"

static bool tick_in(DbTx *tx, void *data, GError **error) {
        Tick *tick = data;
        Time now;
        int64_t ephemeral, silent = 0, retired;
        if (!db_now(tx, &now, error) ||
            !tx_exec(tx,
                     SQL("DELETE FROM workers WHERE ephemeral AND expires > 0 AND expires < $1",
                         DB_INT(now)),
                     &ephemeral, error) ||
            !tx_exec(tx,
                     SQL("UPDATE workers SET state = 'stalled', expires = 0, stalled_since = $1 "
                         "WHERE state = 'running' AND expires > 0 AND expires < $1",
                         DB_INT(now)),
                     &tick->tick.stalled, error) ||
            (tick->stalled_timeout &&
             !tx_exec(tx,
                      SQL("DELETE FROM workers WHERE state = 'stalled' AND stalled_since < $1",
                          DB_INT(now - tick->stalled_timeout / 1000)),
                      &silent, error)) ||
            !tx_exec(tx, SQL("DELETE FROM workers WHERE state = 'retiring' AND NOT " BLOCKED),
                     &retired, error) ||
            !tx_exec(tx,
                     SQL("UPDATE workers SET state = 'landed', address = NULL, baggageclaim_url = "
                         "NULL WHERE state = 'landing' AND NOT " BLOCKED),
                     &tick->tick.landed, error))
                return false;
        tick->tick.deleted = ephemeral + silent + retired;
        if (tick->tick.deleted || tick->tick.stalled || tick->tick.landed)
                tx_notify(tx, NOTIFY_WORKERS, 0);
        return true;
}

static bool listen_in(DbTx *tx, void *data, GError **error) {
        const Duration *patience = data;
        Time now;
        return db_now(tx, &now, error) &&
               tx_exec(tx,
                       SQL("UPDATE workers SET expires = $2 WHERE expires > 0 AND expires < $2 AND "
                           "NOT EXISTS (SELECT 1 FROM lease_nodes WHERE expires > $1)",
                           DB_INT(now), DB_INT(now + *patience / 1000)),
                       NULL, error);
}

bool worker_listen_again(Store *store, Duration patience, GError **error) {
        return db_write(store->db, listen_in, &patience, error);
}

static bool due_in(DbTx *tx, void *data, GError **error) {
        Time now;
        return db_now(tx, &now, error) &&
               tx_int(tx, 0, data,
                      SQL("SELECT count(*) FROM workers WHERE (expires > 0 AND expires < $1) OR "
                          "state <> 'running'",
                          DB_INT(now)),
                      error);
}

bool worker_tick(Store *store, Duration stalled_timeout, WorkerTick *ret, GError **error) {
        Tick tick = { .stalled_timeout = stalled_timeout };
        int64_t due;
        /* What waits in memory may have prolonged one. */
        if (!heartbeats_flush(store, error) || !db_read(store->db, due_in, &due, error) ||
            (due && !db_write(store->db, tick_in, &tick, error)))
                return false;
        *ret = tick.tick;
        return true;
}
