#include "store/resource_cache.h"

#include "store/internal.h"

void resource_cache_free(ResourceCache *cache) {
        if (!cache)
                return;
        value_free(cache->version);
        value_free(cache->metadata);
        g_free(cache);
}

static void *row_cache(Store *store, DbRows *rows, GError **error) {
        ResourceCache *cache = g_new0(ResourceCache, 1);
        *cache = (ResourceCache){ db_int(rows, 0), db_int(rows, 1), db_json(rows, 2),
                                  row_json(rows, 3) };
        return cache;
}

#define SELECT "SELECT id, resource_config_id, version, metadata FROM resource_caches "

ResourceCache *resource_cache_get(Store *store, int64_t id, GError **error) {
        return store_one(store, row_cache, "resource cache",
                         SQL(SELECT "WHERE id = $1", DB_INT(id)), error);
}

typedef struct {
        Store *store;
        const ResourceCacheKey *key;
        const ResourceCacheUser *user;
        const char *digest, *version, *params_digest;
        Time now;
        ResourceCache *found;
} Find;

static bool find_cache(DbTx *tx, Find *find, GError **error) {
        void *found;
        g_clear_pointer(&find->found, resource_cache_free);
        if (!tx_one(tx, find->store, row_cache, &found,
                    SQL(SELECT "WHERE resource_config_id = $1 AND digest = $2 AND params_digest = "
                               "$3",
                        DB_INT(find->key->resource_config_id), DB_TEXT(find->digest),
                        DB_TEXT(find->params_digest)),
                    error))
                return false;
        find->found = found;
        return true;
}

static bool save_use(DbTx *tx, Find *find, GError **error) {
        int64_t known;
        DbArg build = DB_INT_OR_NULL(find->user->build_id),
              check = DB_TEXT(find->user->build_id ? NULL : find->user->check_key);
        return tx_int(tx, 0, &known,
                      find->user->build_id
                              ? SQL("SELECT id FROM resource_cache_uses WHERE resource_cache_id = "
                                    "$1 AND build_id = $2",
                                    DB_INT(find->found->id), build)
                              : SQL("SELECT id FROM resource_cache_uses WHERE resource_cache_id = "
                                    "$1 AND check_key = $2",
                                    DB_INT(find->found->id), check),
                      error) &&
               (known || tx_exec(tx,
                                 SQL("INSERT INTO resource_cache_uses (resource_cache_id, "
                                     "build_id, check_key, created) VALUES ($1, $2, $3, $4)",
                                     DB_INT(find->found->id), build, check, DB_INT(find->now)),
                                 NULL, error));
}

static bool find_in(DbTx *tx, void *data, GError **error) {
        Find *find = data;
        int64_t id;
        return find_cache(tx, find, error) &&
               (find->found ||
                (tx_insert(tx, &id,
                           SQL("INSERT INTO resource_caches (resource_config_id, digest, version, "
                               "params_digest) VALUES ($1, $2, $3, $4) RETURNING id",
                               DB_INT(find->key->resource_config_id), DB_TEXT(find->digest),
                               DB_TEXT(find->version), DB_TEXT(find->params_digest)),
                           error) &&
                 find_cache(tx, find, error))) &&
               save_use(tx, find, error);
}

ResourceCache *resource_cache_find_or_create(Store *store, const ResourceCacheKey *key,
                                             const ResourceCacheUser *user, GError **error) {
        g_autoptr(Value) empty = value_map();
        g_autofree char *digest = json_digest(key->version);
        g_autofree char *version = json_write(key->version, JSON_SORTED, NULL);
        g_autofree char *params_digest = json_digest(value_is_null(key->params) ? empty
                                                                                : key->params);
        Find find = {
                .store = store,
                .key = key,
                .user = user,
                .digest = digest,
                .version = version,
                .params_digest = params_digest,
                .now = clock_steady(),
        };
        if (db_write(store->db, find_in, &find, error))
                return find.found;
        resource_cache_free(find.found);
        return NULL;
}

bool resource_cache_set_metadata(Store *store, int64_t id, const Value *metadata, GError **error) {
        g_autofree char *text = json_or_null(metadata);
        return store_exec(store,
                          SQL("UPDATE resource_caches SET metadata = $2 WHERE id = $1 AND metadata "
                              "IS DISTINCT FROM $2",
                              DB_INT(id), DB_TEXT(text)),
                          NULL, error);
}

bool resource_cache_use_as_image(Store *store, int64_t id, int64_t build_id, int64_t job_id,
                                 GError **error) {
        return store_exec(store,
                          SQL("INSERT INTO build_image_caches (resource_cache_id, build_id, "
                              "job_id) VALUES ($1, $2, $3) ON CONFLICT (build_id, "
                              "resource_cache_id) DO NOTHING",
                              DB_INT(id), DB_INT(build_id), DB_INT_OR_NULL(job_id)),
                          NULL, error);
}

bool resource_cache_release_check(Store *store, const char *check_key, GError **error) {
        return store_exec(
                store,
                SQL("DELETE FROM resource_cache_uses WHERE check_key = $1", DB_TEXT(check_key)),
                NULL, error);
}

char *resource_config_base_type(Store *store, int64_t resource_config_id, GError **error) {
        return store_one(
                store, row_text, "base resource type",
                SQL("WITH RECURSIVE chain (cache_id, base_id) AS (SELECT resource_cache_id, "
                    "base_resource_type_id FROM resource_configs WHERE id = $1 UNION ALL SELECT "
                    "c.resource_cache_id, c.base_resource_type_id FROM chain JOIN resource_caches "
                    "k ON k.id = chain.cache_id JOIN resource_configs c ON c.id = "
                    "k.resource_config_id) SELECT b.name FROM chain JOIN base_resource_types b ON "
                    "b.id = chain.base_id",
                    DB_INT(resource_config_id)),
                error);
}

/* ---- going ---- */

typedef struct {
        int64_t config_id;
        const char *digest; /* NULL: every version */
        Time now;
        int64_t deleted;
} Sweep;

/* The copies are given up; the rows of caches in use stay until they are not. */
static bool clear_in(DbTx *tx, void *data, GError **error) {
        Sweep *sweep = data;
        return tx_exec(tx,
                       SQL("DELETE FROM worker_resource_caches WHERE resource_cache_id IN (SELECT "
                           "id FROM resource_caches WHERE resource_config_id = $1 AND ($2 = '' OR "
                           "digest = $2))",
                           DB_INT(sweep->config_id), DB_TEXT(text_or_empty(sweep->digest))),
                       &sweep->deleted, error);
}

bool resource_cache_clear(Store *store, int64_t resource_config_id, const Value *version,
                          int64_t *ret_deleted, GError **error) {
        g_autofree char *digest = version ? json_digest(version) : NULL;
        Sweep sweep = { .config_id = resource_config_id, .digest = digest };
        if (!db_write(store->db, clear_in, &sweep, error))
                return false;
        *ret_deleted = sweep.deleted;
        return true;
}

static bool sweep_in(DbTx *tx, void *data, GError **error) {
        Sweep *sweep = data;
        Time day = 24 * 3600 * (Time) 1000000;
        DbArg yesterday = DB_INT(sweep->now - day);
        return tx_exec(tx,
                       SQL("DELETE FROM build_image_caches WHERE job_id IS NULL AND EXISTS (SELECT "
                           "1 FROM builds b WHERE b.id = build_image_caches.build_id AND "
                           "b.completed AND b.ended < $1)",
                           yesterday),
                       NULL, error) &&
               /* A success takes its predecessors' along; of a job that only fails they would gather. */
               tx_exec(tx,
                       SQL("DELETE FROM build_image_caches WHERE EXISTS (SELECT 1 FROM builds b "
                           "WHERE b.id = build_image_caches.build_id AND b.completed) AND EXISTS "
                           "(SELECT 1 FROM build_image_caches n WHERE n.job_id = "
                           "build_image_caches.job_id AND n.resource_cache_id = "
                           "build_image_caches.resource_cache_id AND n.build_id > "
                           "build_image_caches.build_id)"),
                       NULL, error) &&
               tx_exec(tx,
                       SQL("DELETE FROM resource_cache_uses WHERE (check_key IS NOT NULL AND "
                           "created < $1) OR EXISTS (SELECT 1 FROM builds b WHERE b.id = "
                           "resource_cache_uses.build_id AND NOT b.interceptible)",
                           yesterday),
                       NULL, error) &&
               tx_exec(tx,
                       SQL("DELETE FROM resource_caches WHERE NOT EXISTS (SELECT 1 FROM "
                           "resource_cache_uses u WHERE u.resource_cache_id = resource_caches.id) "
                           "AND NOT EXISTS (SELECT 1 FROM resource_configs c WHERE "
                           "c.resource_cache_id = resource_caches.id) AND NOT EXISTS (SELECT 1 "
                           "FROM build_image_caches i WHERE i.resource_cache_id = "
                           "resource_caches.id) AND NOT EXISTS (SELECT 1 FROM next_inputs n JOIN "
                           "resources r ON r.id = n.resource_id JOIN jobs j ON j.id = n.job_id "
                           "JOIN pipelines p ON p.id = j.pipeline_id WHERE NOT p.paused AND "
                           "r.resource_config_id = resource_caches.resource_config_id AND n.digest "
                           "= resource_caches.digest)"),
                       &sweep->deleted, error) &&
               tx_exec(tx,
                       SQL("DELETE FROM worker_resource_caches WHERE worker_base_type_id IS NULL "
                           "AND invalid_since < COALESCE((SELECT min(started) FROM builds WHERE "
                           "NOT completed AND status = 'started'), $1)",
                           DB_INT(sweep->now)),
                       NULL, error);
}

bool resource_cache_sweep(Store *store, Time now, int64_t *ret_deleted, GError **error) {
        Sweep sweep = { .now = now };
        if (!db_write(store->db, sweep_in, &sweep, error))
                return false;
        *ret_deleted = sweep.deleted;
        return true;
}
