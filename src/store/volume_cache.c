/* Volumes that are a worker's copy of a resource cache or of a task's cache (04 §11; 05 §6.6). */
#include "store/volume_internal.h"

typedef struct {
        Store *store;
        int64_t volume_id, resource_cache_id, task_cache_id;
        const char *source_worker;
        Volume *winner;
} Become;

static bool read_volume(DbTx *tx, Become *become, int64_t id, GError **error) {
        void *found;
        g_clear_pointer(&become->winner, volume_free);
        if (!tx_one(tx, become->store, row_volume, &found,
                    SQL(VOLUME_SELECT "WHERE v.id = $1", DB_INT(id)), error))
                return false;
        become->winner = found;
        return changed_or_not_found(found != NULL, "volume", error);
}

/* The base type at the bottom of a cache's chain of types. */
static bool base_type_of(DbTx *tx, int64_t resource_cache_id, int64_t *ret_id, GError **error) {
        return tx_int(
                tx, 0, ret_id,
                SQL("WITH RECURSIVE chain (cache_id, base_id) AS (SELECT c.resource_cache_id, "
                    "c.base_resource_type_id FROM resource_caches k JOIN resource_configs c ON "
                    "c.id = k.resource_config_id WHERE k.id = $1 UNION ALL SELECT "
                    "c.resource_cache_id, c.base_resource_type_id FROM chain JOIN resource_caches "
                    "k ON k.id = chain.cache_id JOIN resource_configs c ON c.id = "
                    "k.resource_config_id) SELECT base_id FROM chain WHERE base_id IS NOT NULL",
                    DB_INT(resource_cache_id)),
                error);
}

/*
 * The worker's type row the copy is bound to: where the get ran, the worker's own; a streamed copy
 * inherits its source's. 0: there is none, so it cannot be a cache.
 */
static bool find_binding(DbTx *tx, const Become *become, int64_t *ret_id, GError **error) {
        bool streamed = become->source_worker &&
                        !g_str_equal(become->source_worker, become->winner->worker);
        int64_t base_id;
        if (streamed)
                return tx_int(tx, 0, ret_id,
                              SQL("SELECT x.worker_base_type_id FROM worker_resource_caches x JOIN "
                                  "workers w ON w.id = x.worker_id WHERE w.name = $1 AND "
                                  "x.resource_cache_id = $2 AND x.worker_base_type_id IS NOT NULL",
                                  DB_TEXT(become->source_worker),
                                  DB_INT(become->resource_cache_id)),
                              error);
        return base_type_of(tx, become->resource_cache_id, &base_id, error) &&
               tx_int(tx, 0, ret_id,
                      SQL("SELECT id FROM worker_base_types WHERE worker_id = $1 AND "
                          "base_resource_type_id = $2",
                          DB_INT(become->winner->worker_id), DB_INT(base_id)),
                      error);
}

/* Of a cache on this volume's worker: the valid row and the live volume that has it. */
static bool find_winner(DbTx *tx, const Become *become, int64_t *ret_row, int64_t *ret_volume,
                        GError **error) {
        DbArg worker = DB_INT(become->winner->worker_id), cache = DB_INT(become->resource_cache_id);
        return tx_int(tx, 0, ret_row,
                      SQL("SELECT id FROM worker_resource_caches WHERE worker_id = $1 AND "
                          "resource_cache_id = $2 AND worker_base_type_id IS NOT NULL",
                          worker, cache),
                      error) &&
               tx_int(tx, 0, ret_volume,
                      SQL("SELECT id FROM volumes WHERE worker_resource_cache_id = $1 AND state = "
                          "'created'",
                          DB_INT(*ret_row)),
                      error);
}

static bool become_cache_in(DbTx *tx, void *data, GError **error) {
        Become *become = data;
        int64_t row, volume, binding;
        if (!read_volume(tx, become, become->volume_id, error) ||
            !find_winner(tx, become, &row, &volume, error))
                return false;
        if (volume)
                return read_volume(tx, become, volume, error); /* first wins */
        if (!row) {
                if (!find_binding(tx, become, &binding, error))
                        return false;
                if (!binding)
                        return true;
                if (!tx_insert(tx, &row,
                               SQL("INSERT INTO worker_resource_caches (worker_id, "
                                   "resource_cache_id, worker_base_type_id) VALUES ($1, $2, $3) "
                                   "RETURNING id",
                                   DB_INT(become->winner->worker_id),
                                   DB_INT(become->resource_cache_id), DB_INT(binding)),
                               error))
                        return false;
        }
        /* A volume that had it and is being destroyed gives it up. */
        return tx_exec(tx,
                       SQL("UPDATE volumes SET worker_resource_cache_id = NULL WHERE "
                           "worker_resource_cache_id = $1",
                           DB_INT(row)),
                       NULL, error) &&
               tx_exec(tx,
                       SQL("UPDATE volumes SET worker_resource_cache_id = $2, team_id = NULL WHERE "
                           "id = $1",
                           DB_INT(become->volume_id), DB_INT(row)),
                       NULL, error) &&
               read_volume(tx, become, become->volume_id, error);
}

bool volume_become_cache(Store *store, int64_t id, int64_t resource_cache_id,
                         const char *source_worker, Volume **ret_winner, GError **error) {
        Become become = { .store = store,
                          .volume_id = id,
                          .resource_cache_id = resource_cache_id,
                          .source_worker = source_worker };
        if (!db_write(store->db, become_cache_in, &become, error)) {
                volume_free(become.winner);
                return false;
        }
        *ret_winner = become.winner;
        return true;
}

/* Valid ones first; else the one invalidated last, if that was after the build began. */
#define CACHE_WHERE                                                                                 \
        "WHERE x.resource_cache_id = $1 AND v.state = 'created' AND (x.worker_base_type_id IS NOT " \
        "NULL OR ($2 > 0 AND x.invalid_since > $2)) "

Volume *volume_find_cache(Store *store, int64_t resource_cache_id, const char *worker,
                          Time build_start, GError **error) {
        g_autoptr(GPtrArray) volumes = store_list(
                store, row_volume, (GDestroyNotify) volume_free,
                SQL(VOLUME_SELECT CACHE_WHERE
                    "AND w.name = $3 ORDER BY CASE WHEN x.worker_base_type_id IS NULL THEN 1 ELSE "
                    "0 END, x.invalid_since DESC, v.id LIMIT 1",
                    DB_INT(resource_cache_id), DB_INT(build_start), DB_TEXT(worker)),
                error);
        return volumes && volumes->len ? g_ptr_array_steal_index(volumes, 0) : NULL;
}

GPtrArray *volume_list_cache_workers(Store *store, int64_t resource_cache_id, Time build_start,
                                     GError **error) {
        return store_list(store, row_text, g_free,
                          SQL("SELECT DISTINCT w.name FROM volumes v JOIN workers w ON w.id = "
                              "v.worker_id JOIN worker_resource_caches x ON x.id = "
                              "v.worker_resource_cache_id " CACHE_WHERE "ORDER BY w.name",
                              DB_INT(resource_cache_id), DB_INT(build_start)),
                          error);
}

Volume *volume_find_task_cache(Store *store, int64_t task_cache_id, const char *worker,
                               GError **error) {
        g_autoptr(GPtrArray) volumes = store_list(
                store, row_volume, (GDestroyNotify) volume_free,
                SQL(VOLUME_SELECT "WHERE v.task_cache_id = $1 AND w.name = $2 AND "
                                  "v.state = 'created' ORDER BY v.id DESC LIMIT 1",
                    DB_INT(task_cache_id), DB_TEXT(worker)),
                error);
        return volumes && volumes->len ? g_ptr_array_steal_index(volumes, 0) : NULL;
}

static bool become_task_cache_in(DbTx *tx, void *data, GError **error) {
        Become *become = data;
        int64_t changed;
        return tx_exec(tx,
                       SQL("UPDATE volumes SET task_cache_id = NULL WHERE task_cache_id = $1 AND "
                           "id <> $2 AND worker_id = (SELECT worker_id FROM volumes WHERE id = "
                           "$2)",
                           DB_INT(become->task_cache_id), DB_INT(become->volume_id)),
                       NULL, error) &&
               tx_exec(tx,
                       SQL("UPDATE volumes SET task_cache_id = $1 WHERE id = $2",
                           DB_INT(become->task_cache_id), DB_INT(become->volume_id)),
                       &changed, error) &&
               changed_or_not_found(changed, "volume", error);
}

bool volume_become_task_cache(Store *store, int64_t id, int64_t task_cache_id, GError **error) {
        Become become = { .volume_id = id, .task_cache_id = task_cache_id };
        return db_write(store->db, become_task_cache_in, &become, error);
}
