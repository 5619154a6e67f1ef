#include "store/resource_scope.h"

#include "store/internal.h"

/* last_referenced is not stamped more often than this. */
#define REFERENCED_STEP (60 * (Time) 1000000)

/* ---- resource configs ---- */

typedef struct {
        const ResourceConfigKey *key;
        const char *digest;
        Time now;
        bool write;
        int64_t id;
        bool fresh; /* stamped lately */
} FindConfig;

static bool find_config(DbTx *tx, FindConfig *find, int64_t base_id, GError **error) {
        g_autoptr(DbRows)
                rows = find->key->resource_cache_id
                               ? db_query(tx, error,
                                          "SELECT id, last_referenced FROM resource_configs WHERE "
                                          "resource_cache_id = $1 AND source_digest = $2",
                                          DB_INT(find->key->resource_cache_id),
                                          DB_TEXT(find->digest))
                               : db_query(tx, error,
                                          "SELECT id, last_referenced FROM resource_configs WHERE "
                                          "base_resource_type_id = $1 AND source_digest = $2",
                                          DB_INT(base_id), DB_TEXT(find->digest));
        if (!rows)
                return false;
        find->id = 0;
        if (db_next(rows)) {
                find->id = db_int(rows, 0);
                find->fresh = db_int(rows, 1) + REFERENCED_STEP > find->now;
        }
        return db_done(rows, error);
}

static bool find_base(DbTx *tx, FindConfig *find, int64_t *ret_id, GError **error) {
        *ret_id = 0;
        if (find->key->resource_cache_id)
                return true;
        if (!tx_int(tx, 0, ret_id,
                    SQL("SELECT id FROM base_resource_types WHERE name = $1",
                        DB_TEXT(find->key->base_type)),
                    error))
                return false;
        if (*ret_id == 0)
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "base resource type not found: %s",
                            find->key->base_type);
        return *ret_id != 0;
}

static bool find_config_in(DbTx *tx, void *data, GError **error) {
        FindConfig *find = data;
        int64_t base_id;
        if (!find_base(tx, find, &base_id, error) || !find_config(tx, find, base_id, error))
                return false;
        if (!find->write)
                return true;
        if (find->id)
                return tx_exec(tx,
                               SQL("UPDATE resource_configs SET last_referenced = $2 WHERE id = $1",
                                   DB_INT(find->id), DB_INT(find->now)),
                               NULL, error);
        return tx_insert(tx, &find->id,
                         SQL("INSERT INTO resource_configs (base_resource_type_id, "
                             "resource_cache_id, source_digest, last_referenced) VALUES ($1, $2, "
                             "$3, $4) RETURNING id",
                             DB_INT_OR_NULL(base_id), DB_INT_OR_NULL(find->key->resource_cache_id),
                             DB_TEXT(find->digest), DB_INT(find->now)),
                         error);
}

bool resource_config_find_or_create(Store *store, const ResourceConfigKey *key, int64_t *ret_id,
                                    GError **error) {
        g_autoptr(Value) empty = value_map();
        g_autofree char *digest = json_digest(value_is_null(key->source) ? empty : key->source);
        FindConfig find = { .key = key, .digest = digest, .now = clock_steady() };
        if (!db_read(store->db, find_config_in, &find, error))
                return false;
        find.write = !find.id || !find.fresh;
        if (find.write && !db_write(store->db, find_config_in, &find, error))
                return false;
        *ret_id = find.id;
        return true;
}

bool resource_config_delete_unused(Store *store, Time referenced_before, int64_t *ret_deleted,
                                   GError **error) {
        return store_exec(
                store,
                SQL("DELETE FROM resource_configs WHERE last_referenced < $1 AND NOT EXISTS "
                    "(SELECT 1 FROM resources r WHERE r.resource_config_id = resource_configs.id) "
                    "AND NOT EXISTS (SELECT 1 FROM resource_caches c WHERE c.resource_config_id = "
                    "resource_configs.id)",
                    DB_INT(referenced_before)),
                ret_deleted, error);
}

/* ---- scopes ---- */

typedef struct {
        int64_t config_id, resource_id;
        bool global, write;
        int64_t id;
} FindScope;

/* Whether the resource has its history alone (05 §1.3). */
static bool is_own(DbTx *tx, const FindScope *find, bool *ret, GError **error) {
        *ret = find->resource_id != 0;
        if (!*ret || !find->global)
                return true;
        int64_t unique;
        if (!tx_int(tx, 0, &unique,
                    SQL("SELECT count(*) FROM resource_configs c JOIN base_resource_types b ON "
                        "b.id = c.base_resource_type_id WHERE c.id = $1 AND "
                        "b.unique_version_history",
                        DB_INT(find->config_id)),
                    error))
                return false;
        *ret = unique > 0;
        return true;
}

static bool find_scope_in(DbTx *tx, void *data, GError **error) {
        FindScope *find = data;
        bool own;
        if (!is_own(tx, find, &own, error) ||
            !tx_int(tx, 0, &find->id,
                    own ? SQL("SELECT id FROM resource_scopes WHERE resource_config_id = $1 AND "
                              "resource_id = $2",
                              DB_INT(find->config_id), DB_INT(find->resource_id))
                        : SQL("SELECT id FROM resource_scopes WHERE resource_config_id = $1 AND "
                              "resource_id IS NULL",
                              DB_INT(find->config_id)),
                    error))
                return false;
        if (find->id || !find->write)
                return true;
        return (!own || tx_exec(tx,
                                SQL("DELETE FROM resource_scopes WHERE resource_id = $1",
                                    DB_INT(find->resource_id)),
                                NULL, error)) &&
               tx_insert(tx, &find->id,
                         SQL("INSERT INTO resource_scopes (resource_config_id, resource_id) VALUES "
                             "($1, $2) RETURNING id",
                             DB_INT(find->config_id), DB_INT_OR_NULL(own ? find->resource_id : 0)),
                         error);
}

bool resource_scope_find_or_create(Store *store, int64_t config_id, int64_t resource_id,
                                   bool global_resources, int64_t *ret_id, GError **error) {
        FindScope find = { .config_id = config_id,
                           .resource_id = resource_id,
                           .global = global_resources };
        if (!db_read(store->db, find_scope_in, &find, error))
                return false;
        find.write = true;
        if (!find.id && !db_write(store->db, find_scope_in, &find, error))
                return false;
        *ret_id = find.id;
        return true;
}
